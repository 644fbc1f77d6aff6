//! Checking a compiled database against its source, address by address, with another reader: the
//! `maxminddb` crate reads the source, the runtime's reader the result.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use ipgeo_runtime::geo::Database;
use serde_json::Value;

use super::clean;
use super::facts::Facts;

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// Addresses that both know.
    pub known: u64,
    /// Addresses that neither knows.
    pub unknown: u64,
    /// The first differences, in words.
    pub differences: Vec<String>,
}

/// Differences that are told.
const DIFFERENCES_MAX: usize = 10;

/// Country code, city, latitude and longitude of an address.
pub(super) type Found = (Option<String>, Option<String>, Option<f64>, Option<f64>);

/// Compares `count` random addresses of a seed: of IPv4 when `ipv6` is false, else of the parts of IPv6
/// that are given out.
pub fn check(
    compiled: &Database,
    source: &Path,
    ipv6: bool,
    count: u32,
    seed: u64,
) -> Result<Checked, maxminddb::MaxMindDbError> {
    let reader = maxminddb::Reader::open_readfile(source)?;
    let countries = Facts::new();
    let mut random = fastrand::Rng::with_seed(seed);
    let mut checked = Checked::default();
    for _ in 0..count {
        let address: IpAddr = if ipv6 {
            let block = [0x2001, 0x2400, 0x2600, 0x2800, 0x2a00, 0x2c00][random.usize(0..6)];
            let block = block | random.u128(0..0x10);
            Ipv6Addr::from_bits(block << 112 | random.u128(..) >> 16).into()
        } else {
            Ipv4Addr::from_bits(random.u32(0x0100_0000..0xe000_0000)).into()
        };
        let theirs: Option<Value> = reader.lookup(address)?.decode()?;
        let theirs = theirs.as_ref().map(|value| known(source_facts(value), &countries));
        let theirs = theirs.filter(|facts| *facts != Found::default());
        let ours = our_facts(compiled, address);
        match (&theirs, &ours) {
            (None, None) => checked.unknown += 1,
            (Some(theirs), Some(ours)) if same(theirs, ours) => checked.known += 1,
            _ if checked.differences.len() < DIFFERENCES_MAX => {
                checked.differences.push(format!("{address}: source {theirs:?}, compiled {ours:?}"));
            }
            _ => {}
        }
    }
    Ok(checked)
}

fn text(value: Option<&Value>) -> Option<String> {
    value.and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn source_facts(value: &Value) -> Found {
    if value.get("country_code").is_some() {
        let number = |name| value.get(name).and_then(Value::as_f64);
        return (
            text(value.get("country_code")),
            text(value.get("city")),
            number("latitude"),
            number("longitude"),
        );
    }
    let country = value.get("country").or_else(|| value.get("registered_country"));
    let number = |path| value.pointer(path).and_then(Value::as_f64);
    (
        text(country.and_then(|country| country.get("iso_code"))),
        text(value.pointer("/city/names/en")),
        number("/location/latitude"),
        number("/location/longitude"),
    )
}

/// A source's values without placeholders.
fn known((country, city, latitude, longitude): Found, countries: &Facts) -> Found {
    let number = |number: Option<f64>| number.map(|number| number.to_string()).unwrap_or_default();
    let point = clean::point(&number(latitude), &number(longitude));
    (
        country.and_then(|code| countries.code_of(&code)).map(str::to_owned),
        city.map(|city| clean::text(&city)).filter(|city| !city.is_empty()),
        latitude.filter(|_| point.is_some()),
        longitude.filter(|_| point.is_some()),
    )
}

pub(super) fn our_facts(compiled: &Database, address: IpAddr) -> Option<Found> {
    let mut members = String::from("{");
    compiled.lookup(address)?.write_static(&mut members);
    members.push('}');
    let value: Value = serde_json::from_str(&members).ok()?;
    let number = |name| value.get(name).and_then(Value::as_f64);
    let facts =
        (text(value.get("country_code")), text(value.get("city")), number("latitude"), number("longitude"));
    (facts != Found::default()).then_some(facts)
}

/// Equal; a coordinate that the source holds in single precision is equal when it rounds to it.
fn same(theirs: &Found, ours: &Found) -> bool {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::float_cmp,
        reason = "rounding to the source's precision"
    )]
    let same_number = |theirs: Option<f64>, ours: Option<f64>| match (theirs, ours) {
        (Some(theirs), Some(ours)) => ours == theirs || f64::from(ours as f32) == theirs,
        (theirs, ours) => theirs == ours,
    };
    theirs.0 == ours.0 && theirs.1 == ours.1 && same_number(theirs.2, ours.2) && same_number(theirs.3, ours.3)
}
