//! How much two databases differ, by looking up random addresses (from a seed) in both.
//!
//! Drawn from networks, every network of either database counts the same: how much of the data changed.
//! Drawn from addresses, every IPv4 address counts the same: how much a random caller would see.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use super::error::BuildError;
use super::feeds::Correction;
use super::networks::Networks;
use crate::{Database, GeoError};

/// Number of moves between countries to report.
const MOVES_MAX: usize = 5;

/// Why two databases were not compared.
#[derive(Debug, thiserror::Error)]
pub enum DiffError {
    /// A file is not a compiled database.
    #[error(transparent)]
    Open(#[from] GeoError),
    /// The networks of a file can't be counted.
    #[error(transparent)]
    Networks(#[from] BuildError),
}

/// The result of one way of drawing addresses.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct DiffSample {
    /// `networks` or `addresses`.
    pub drawn_from: &'static str,
    /// 4 or 6.
    pub ip_version: u8,
    /// Addresses drawn.
    pub drawn: u64,
    /// Addresses known to both databases.
    pub known: u64,
    /// Addresses known only to the new database.
    pub gained: u64,
    /// Addresses known only to the old database.
    pub lost: u64,
    /// Known addresses whose country changed.
    pub country_changed: u64,
    /// Known addresses whose city or country changed.
    pub city_changed: u64,
    /// `country_changed` in percent of `known`.
    pub country_percent: f64,
    /// `city_changed` in percent of `known`.
    pub city_percent: f64,
}

/// Addresses that moved from one country to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CountryMove {
    /// The old country's code, or `none`.
    pub from: String,
    /// The new country's code, or `none`.
    pub to: String,
    /// Number of drawn addresses that moved.
    pub count: u64,
}

/// The differences found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DatabaseDiff {
    /// Date of the old database.
    pub old_date: String,
    /// Date of the new one.
    pub new_date: String,
    /// The seed that addresses were drawn from.
    pub seed: u64,
    /// One entry for each way of drawing.
    pub sampled: Vec<DiffSample>,
    /// The most frequent moves between countries.
    pub moves: Vec<CountryMove>,
    /// What corrections change, if there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corrections: Option<CorrectionCount>,
}

/// What corrections change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct CorrectionCount {
    /// Corrections.
    pub corrections: u64,
    /// Their IPv4 addresses.
    pub ipv4_addresses: u64,
    /// Corrections that change the location of their first address.
    pub changed: u64,
}

impl DatabaseDiff {
    /// The largest `country_percent`.
    pub fn country_percent_max(&self) -> f64 {
        self.sampled.iter().map(|sampled| sampled.country_percent).fold(0.0, f64::max)
    }
}

/// What a compiled database answers about an address, as far as databases are compared.
#[derive(Debug, Default, PartialEq)]
pub(super) struct ServedLocation {
    pub(super) country_code: Option<String>,
    pub(super) city: Option<String>,
    pub(super) latitude: Option<f64>,
    pub(super) longitude: Option<f64>,
}

impl ServedLocation {
    /// `None` if none of the fields is known.
    pub(super) fn look_up(database: &Database, address: IpAddr) -> Option<Self> {
        let mut members = String::from("{");
        database.lookup(address)?.write_static(&mut members);
        members.push('}');
        let answer: Value = serde_json::from_str(&members).ok()?;
        let text = |name| answer.get(name).and_then(Value::as_str).map(str::to_owned);
        let number = |name| answer.get(name).and_then(Value::as_f64);
        let location = Self {
            country_code: text("country_code"),
            city: text("city"),
            latitude: number("latitude"),
            longitude: number("longitude"),
        };
        (location != Self::default()).then_some(location)
    }
}

struct Comparison<'a> {
    old: &'a Database,
    new: &'a Database,
    moves: BTreeMap<(String, String), u64>,
}

impl Comparison<'_> {
    fn compare(&mut self, address: IpAddr, into: &mut DiffSample) {
        into.drawn += 1;
        let [old, new] = [self.old, self.new].map(|database| ServedLocation::look_up(database, address));
        let (old, new) = match (old, new) {
            (None, None) => return,
            (Some(_), None) => return into.lost += 1,
            (None, Some(_)) => return into.gained += 1,
            (Some(old), Some(new)) => (old, new),
        };
        into.known += 1;
        let country_changed = old.country_code != new.country_code;
        if country_changed || old.city != new.city {
            into.city_changed += 1;
        }
        if country_changed {
            into.country_changed += 1;
            let code = |code: Option<String>| code.unwrap_or_else(|| "none".to_owned());
            *self.moves.entry((code(old.country_code), code(new.country_code))).or_default() += 1;
        }
    }
}

/// A share in percent, rounded to two decimals.
fn percent(part: u64, whole: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a share of some thousand addresses")]
    let share = if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
    (share * 10_000.0).round() / 100.0
}

/// Compares two compiled databases: `count` addresses for each way of drawing them.
pub fn diff(old_file: &Path, new_file: &Path, count: u32, seed: u64) -> Result<DatabaseDiff, DiffError> {
    let (old, new) = (Database::open(old_file)?, Database::open(new_file)?);
    let networks = [Networks::open(old_file)?, Networks::open(new_file)?];
    let mut random = fastrand::Rng::with_seed(seed);
    let mut comparison = Comparison { old: &old, new: &new, moves: BTreeMap::new() };
    let mut sampled = Vec::new();
    for (ip_version, ipv6) in [(4, false), (6, true)] {
        let mut drawn = DiffSample { drawn_from: "networks", ip_version, ..DiffSample::default() };
        for index in 0..count {
            // Alternating, so that networks that only one of the two has are drawn too.
            let list = &networks[index as usize % 2];
            if list.len(ipv6) > 0 {
                let (number, rest) = (random.u64(0..list.len(ipv6)), random.u128(..));
                if let Some(address) = list.address(ipv6, number, rest) {
                    comparison.compare(address, &mut drawn);
                }
            }
        }
        sampled.push(drawn);
    }
    // Hardly any random IPv6 address is in use, so only IPv4 addresses are drawn this way.
    let mut drawn = DiffSample { drawn_from: "addresses", ip_version: 4, ..DiffSample::default() };
    for _ in 0..count {
        let address = Ipv4Addr::from_bits(random.u32(0x0100_0000..0xe000_0000));
        comparison.compare(address.into(), &mut drawn);
    }
    sampled.push(drawn);
    for drawn in &mut sampled {
        drawn.country_percent = percent(drawn.country_changed, drawn.known);
        drawn.city_percent = percent(drawn.city_changed, drawn.known);
    }
    let mut moves: Vec<CountryMove> =
        comparison.moves.into_iter().map(|((from, to), count)| CountryMove { from, to, count }).collect();
    moves.sort_by_key(|one| std::cmp::Reverse(one.count));
    moves.truncate(MOVES_MAX);
    let date = |database: &Database| database.info().date.clone();
    Ok(DatabaseDiff { old_date: date(&old), new_date: date(&new), seed, sampled, moves, corrections: None })
}

/// Counts what corrections change between two databases.
pub fn count_corrections(
    old_file: &Path,
    new_file: &Path,
    corrections: &[Correction],
) -> Result<CorrectionCount, DiffError> {
    let (old, new) = (Database::open(old_file)?, Database::open(new_file)?);
    let mut count = CorrectionCount { corrections: corrections.len() as u64, ..CorrectionCount::default() };
    for (addresses, first) in corrections.iter().filter_map(Correction::addresses) {
        if first.is_ipv4() {
            count.ipv4_addresses += u64::try_from(addresses).unwrap_or(u64::MAX);
        }
        let [before, after] = [&old, &new].map(|database| ServedLocation::look_up(database, first));
        count.changed += u64::from(before != after);
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::{DataDescription, compile_text, sample};

    const OLD: &str = "\
8.8.8.0/24 | US | | | Mountain View | | | | |
9.9.0.0/16 | US | | | Berkeley | | | | |
20.0.0.0/8 | DE | | | Berlin | | | | |
2a00::/16 | FR | | | Paris | | | | |
";

    fn database(folder: &Path, name: &str, text: &str) -> std::path::PathBuf {
        let path = folder.join(name);
        let description = DataDescription { date: name.to_owned(), ..DataDescription::default() };
        std::fs::write(&path, compile_text(text, &description).expect("it compiles")).expect("written");
        path
    }

    #[test]
    fn what_changed_is_counted_by_networks_and_by_addresses() {
        let folder = tempfile::tempdir().expect("a folder");
        let old = database(folder.path(), "old", OLD);
        let same = diff(&old, &old, 500, 1).expect("compared");
        assert!(
            same.sampled.iter().all(|drawn| drawn.country_percent + drawn.city_percent == 0.0),
            "{same:?}"
        );
        assert!(same.sampled.iter().all(|drawn| drawn.lost + drawn.gained == 0), "{same:?}");
        assert!(same.sampled[0].known == 500 && same.sampled[1].known == 500, "{same:?}");

        let changed = OLD.replace("Mountain View", "Palo Alto").replace("| DE |", "| PL |");
        let new = database(folder.path(), "new", &(changed + "30.0.0.0/8 | JP | | | Tokyo | | | | |\n"));
        let found = diff(&old, &new, 2_000, 1).expect("compared");
        assert_eq!((found.old_date.as_str(), found.new_date.as_str()), ("old", "new"));
        let [four, six, addresses] = found.sampled.as_slice() else { panic!("{found:?}") };
        // Of three networks of IPv4 in the old one and four in the new one, one has another country and
        // one another city.
        assert!((25.0..45.0).contains(&four.country_percent), "{four:?}");
        assert!((55.0..80.0).contains(&four.city_percent), "{four:?}");
        assert!(four.gained > 100 && four.lost == 0, "{four:?}");
        assert_eq!((six.known, six.country_changed), (2_000, 0));
        // Nearly all known addresses are in the /8 that moved.
        assert!(addresses.country_percent > 90.0 && addresses.gained > 0, "{addresses:?}");
        assert_eq!((found.moves[0].from.as_str(), found.moves[0].to.as_str()), ("DE", "PL"));
        assert_eq!(diff(&old, &new, 2_000, 1).expect("compared"), found, "a seed repeats itself");
    }

    #[test]
    fn every_network_of_the_sample_can_be_drawn() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("s.mmdb");
        std::fs::write(&path, sample().expect("it compiles")).expect("written");
        let (networks, database) =
            (Networks::open(&path).expect("opened"), Database::open(&path).expect("opened"));
        for ipv6 in [false, true] {
            assert!(networks.len(ipv6) > 50, "{}", networks.len(ipv6));
            for number in 0..networks.len(ipv6) {
                let address = networks.address(ipv6, number, u128::MAX / 3).expect("an address");
                assert_eq!(address.is_ipv6(), ipv6, "{address}");
                assert!(database.lookup(address).is_some(), "{address}");
                assert!(!address.to_string().starts_with("100:"), "{address} is an AS number's");
            }
            assert_eq!(networks.address(ipv6, networks.len(ipv6), 0), None);
        }
        std::fs::write(&path, "no database").expect("written");
        assert!(matches!(diff(&path, &path, 1, 1), Err(DiffError::Open(_))));
    }
}
