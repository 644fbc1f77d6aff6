//! Compares a compiled database with its source, address by address. The `maxminddb` crate reads the source, our reader the
//! result, so that a fault in our reader cannot hide one in the compiler.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use serde_json::Value;

use super::super::clean;
use super::super::countries::CountryTable;
use super::super::diff::ServedLocation;
use crate::Database;

/// The result of a comparison.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Checked {
    /// Addresses that both know, with equal locations.
    pub(super) known: u64,
    /// Addresses that neither knows.
    pub(super) unknown: u64,
    /// The first differences, described.
    pub(super) differences: Vec<String>,
}

/// Maximum number of differences to describe.
const DIFFERENCES_MAX: usize = 10;

/// Compares `count` random addresses of a seed: IPv4 addresses, or addresses in the parts of IPv6 that are in use.
pub(super) fn check(
    compiled: &Database,
    source: &Path,
    ipv6: bool,
    count: u32,
    seed: u64,
) -> Result<Checked, maxminddb::MaxMindDbError> {
    let reader = maxminddb::Reader::open_readfile(source)?;
    let countries = CountryTable::new();
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
        let expected: Option<Value> = reader.lookup(address)?.decode()?;
        let expected = expected.map(|record| without_placeholders(&source_location(&record), &countries));
        let expected = expected.filter(|location| *location != ServedLocation::default());
        let found = ServedLocation::look_up(compiled, address);
        match (&expected, &found) {
            (None, None) => checked.unknown += 1,
            (Some(expected), Some(found)) if is_same(expected, found) => checked.known += 1,
            _ if checked.differences.len() < DIFFERENCES_MAX => {
                checked.differences.push(format!("{address}: source {expected:?}, compiled {found:?}"));
            }
            _ => {}
        }
    }
    Ok(checked)
}

/// The location in a source's record of the flat or MaxMind's layout.
fn source_location(record: &Value) -> ServedLocation {
    let text = |value: Option<&Value>| {
        value.and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    if record.get("country_code").is_some() {
        let number = |name| record.get(name).and_then(Value::as_f64);
        return ServedLocation {
            country_code: text(record.get("country_code")),
            city: text(record.get("city")),
            latitude: number("latitude"),
            longitude: number("longitude"),
        };
    }
    let country = record.get("country").or_else(|| record.get("registered_country"));
    let number = |path| record.pointer(path).and_then(Value::as_f64);
    ServedLocation {
        country_code: text(country.and_then(|country| country.get("iso_code"))),
        city: text(record.pointer("/city/names/en")),
        latitude: number("/location/latitude"),
        longitude: number("/location/longitude"),
    }
}

fn without_placeholders(location: &ServedLocation, countries: &CountryTable) -> ServedLocation {
    let number = |number: Option<f64>| number.map(|number| number.to_string()).unwrap_or_default();
    let point = clean::point(&number(location.latitude), &number(location.longitude));
    let country = location.country_code.as_deref().and_then(|code| countries.code_of(code));
    let city = location.city.as_deref().map(clean::text);
    ServedLocation {
        country_code: country.map(str::to_owned),
        city: city.filter(|city| !city.is_empty()),
        latitude: location.latitude.filter(|_| point.is_some()),
        longitude: location.longitude.filter(|_| point.is_some()),
    }
}

/// Whether locations are equal. A coordinate that the source stores in single precision equals one that rounds to it.
fn is_same(expected: &ServedLocation, found: &ServedLocation) -> bool {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::float_cmp,
        reason = "rounding to the source's precision"
    )]
    let same_number = |expected: Option<f64>, found: Option<f64>| match (expected, found) {
        (Some(expected), Some(found)) => found == expected || f64::from(found as f32) == expected,
        (expected, found) => expected == found,
    };
    expected.country_code == found.country_code
        && expected.city == found.city
        && same_number(expected.latitude, found.latitude)
        && same_number(expected.longitude, found.longitude)
}
