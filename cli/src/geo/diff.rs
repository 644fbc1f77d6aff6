//! How much a database differs from the one before: addresses are drawn, from a seed, and asked of both.
//!
//! Drawn over networks, every announced network of either database counts alike: what changed in the data.
//! Drawn over addresses, every address counts alike: what a random caller would see changed.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use ipgeo_runtime::geo::{Database, GeoError};
use serde::Serialize;

use super::check::our_facts;
use super::error::BuildError;
use super::networks::Networks;

/// Moves between countries that are told.
const MOVES_MAX: usize = 5;

/// Why two databases were not compared.
#[derive(Debug, thiserror::Error)]
pub enum DiffError {
    /// A file is no compiled database.
    #[error(transparent)]
    Open(#[from] GeoError),
    /// Its tree can't be read.
    #[error(transparent)]
    Tree(#[from] BuildError),
}

/// What was drawn, and what of it has changed.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Sampled {
    /// `networks` or `addresses`: what was drawn from.
    pub drawn_from: &'static str,
    /// 4 or 6.
    pub ip_version: u8,
    /// Addresses drawn.
    pub drawn: u64,
    /// Those that both know.
    pub known: u64,
    /// Those that only the new one knows.
    pub gained: u64,
    /// Those that only the old one knows.
    pub lost: u64,
    /// Of the known: another country.
    pub country_changed: u64,
    /// Of the known: another city, or another country.
    pub city_changed: u64,
    /// `country_changed` of `known`, percent.
    pub country_percent: f64,
    /// `city_changed` of `known`, percent.
    pub city_percent: f64,
}

/// A move between countries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Move {
    /// The old country's code.
    pub from: String,
    /// The new one's.
    pub to: String,
    /// Drawn addresses that moved.
    pub count: u64,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Diff {
    /// Date of the old database.
    pub old_date: String,
    /// Date of the new one.
    pub new_date: String,
    /// The seed that addresses were drawn from.
    pub seed: u64,
    /// What was drawn.
    pub sampled: Vec<Sampled>,
    /// The most frequent moves between countries.
    pub moves: Vec<Move>,
}

impl Diff {
    /// The largest share of another country, percent.
    pub fn country_percent_max(&self) -> f64 {
        self.sampled.iter().map(|sampled| sampled.country_percent).fold(0.0, f64::max)
    }
}

struct Comparison<'a> {
    old: &'a Database,
    new: &'a Database,
    moves: BTreeMap<(String, String), u64>,
}

impl Comparison<'_> {
    fn compare(&mut self, address: IpAddr, into: &mut Sampled) {
        into.drawn += 1;
        let (old, new) = match (our_facts(self.old, address), our_facts(self.new, address)) {
            (None, None) => return,
            (Some(_), None) => return into.lost += 1,
            (None, Some(_)) => return into.gained += 1,
            (Some(old), Some(new)) => (old, new),
        };
        into.known += 1;
        if old.0 != new.0 {
            into.country_changed += 1;
            let code = |code: Option<String>| code.unwrap_or_else(|| "none".to_owned());
            *self.moves.entry((code(old.0.clone()), code(new.0.clone()))).or_default() += 1;
        }
        if (old.0, old.1) != (new.0, new.1) {
            into.city_changed += 1;
        }
    }
}

/// Percent, to a hundredth.
fn percent(part: u64, whole: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a share of some thousand addresses")]
    let share = if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
    (share * 10_000.0).round() / 100.0
}

/// Compares two compiled databases by `count` addresses for each way of drawing.
pub fn diff(old_file: &Path, new_file: &Path, count: u32, seed: u64) -> Result<Diff, DiffError> {
    let (old, new) = (Database::open(old_file)?, Database::open(new_file)?);
    let networks = [Networks::open(old_file)?, Networks::open(new_file)?];
    let mut random = fastrand::Rng::with_seed(seed);
    let mut comparison = Comparison { old: &old, new: &new, moves: BTreeMap::new() };
    let mut sampled = Vec::new();
    for (ip_version, ipv6) in [(4, false), (6, true)] {
        let mut drawn = Sampled { drawn_from: "networks", ip_version, ..Sampled::default() };
        for index in 0..count {
            // Half of each: a network that only one of them has is met too.
            let of = &networks[index as usize % 2];
            if of.len(ipv6) > 0 {
                let (number, rest) = (random.u64(0..of.len(ipv6)), random.u128(..));
                if let Some(address) = of.address(ipv6, number, rest) {
                    comparison.compare(address, &mut drawn);
                }
            }
        }
        sampled.push(drawn);
    }
    // Nearly no random address of IPv6 is anybody's: only IPv4 is drawn so.
    let mut drawn = Sampled { drawn_from: "addresses", ip_version: 4, ..Sampled::default() };
    for _ in 0..count {
        let address = Ipv4Addr::from_bits(random.u32(0x0100_0000..0xe000_0000));
        comparison.compare(address.into(), &mut drawn);
    }
    sampled.push(drawn);
    for drawn in &mut sampled {
        drawn.country_percent = percent(drawn.country_changed, drawn.known);
        drawn.city_percent = percent(drawn.city_changed, drawn.known);
    }
    let mut moves: Vec<Move> =
        comparison.moves.into_iter().map(|((from, to), count)| Move { from, to, count }).collect();
    moves.sort_by_key(|one| std::cmp::Reverse(one.count));
    moves.truncate(MOVES_MAX);
    let date = |database: &Database| database.info().date.clone();
    Ok(Diff { old_date: date(&old), new_date: date(&new), seed, sampled, moves })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geo::{About, sample_of, write_sample};

    const OLD: &str = "\
8.8.8.0/24 | US | | | Mountain View | | | | |
9.9.0.0/16 | US | | | Berkeley | | | | |
20.0.0.0/8 | DE | | | Berlin | | | | |
2a00::/16 | FR | | | Paris | | | | |
";

    fn database(folder: &Path, name: &str, text: &str) -> std::path::PathBuf {
        let path = folder.join(name);
        let about = About { date: name.to_owned(), ..About::default() };
        std::fs::write(&path, sample_of(text, &about).expect("it compiles")).expect("written");
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
        write_sample(&path).expect("written");
        let (networks, database) =
            (Networks::open(&path).expect("opened"), Database::open(&path).expect("opened"));
        for ipv6 in [false, true] {
            assert!(networks.len(ipv6) > 50, "{}", networks.len(ipv6));
            for number in 0..networks.len(ipv6) {
                let address = networks.address(ipv6, number, u128::MAX / 3).expect("an address");
                assert_eq!(address.is_ipv6(), ipv6, "{address}");
                assert!(database.lookup(address).is_some(), "{address}");
                assert!(!address.to_string().starts_with("100:"), "{address} is a network number's");
            }
            assert_eq!(networks.address(ipv6, networks.len(ipv6), 0), None);
        }
        std::fs::write(&path, "no database").expect("written");
        assert!(matches!(diff(&path, &path, 1, 1), Err(DiffError::Open(_))));
    }
}
