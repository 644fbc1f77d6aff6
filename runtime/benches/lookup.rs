//! A lookup with its answer as JSON, compared with common readers in the same run, in alternating rounds.
//!
//! `IPGEO_BENCH_DATABASE` names a compiled database, `IPGEO_BENCH_BEFORE` optionally another one to compare with, and
//! `IPGEO_BENCH_SOURCE` the IPv4 source that it was compiled from. `runtime/benches/peers/install.sh` installs the readers of other languages. Missing ones are
//! skipped with a note.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "what was measured is the point")]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "numbers of a bench are far from their types' ends"
)]

#[path = "support/addresses.rs"]
#[expect(dead_code, reason = "shared with benches that need more of it")]
mod addresses;
#[path = "support/city.rs"]
#[expect(dead_code, reason = "shared with a bench that needs more of it")]
mod city;
#[path = "support/clock.rs"]
mod clock;
#[path = "support/peer.rs"]
mod peer;

use std::hint::black_box;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use addresses::{Random, any_ipv4};
use ipgeo_geo::Database;
use ipgeo_geo::raw::Layout;
use jiff::Timestamp;
use maxminddb::Reader;
use peer::{LOOKUPS_OF_PEERS, Peer};
use serde::{Deserialize, Serialize};

const ROUNDS: usize = 15;
/// Lookups in a round.
const LOOKUPS: usize = 100_000;
/// Total addresses, so that no round repeats those of the previous one.
const ADDRESSES: usize = 1_500_000;
/// Number of addresses that are repeated.
const BUSY: usize = 1_000;

/// A record of the source, decoded completely.
#[derive(Serialize, Deserialize)]
struct FlatCity<'a> {
    #[serde(borrow)]
    country_code: Option<&'a str>,
    state1: Option<&'a str>,
    state2: Option<&'a str>,
    city: Option<&'a str>,
    postcode: Option<&'a str>,
    latitude: Option<f32>,
    longitude: Option<f32>,
    timezone: Option<&'a str>,
}

fn named(variable: &str) -> Option<PathBuf> {
    let path = std::env::var_os(variable).map(PathBuf::from);
    if path.is_none() {
        eprintln!("{variable} is not set: skipping what needs it");
    }
    path
}

/// A measured reader: nanoseconds per lookup, for a number of addresses from a given one on.
type Run<'a> = Box<dyn FnMut(&Set, usize) -> f64 + 'a>;

/// Addresses, also in a file for the peers.
struct Set {
    name: &'static str,
    addresses: Vec<IpAddr>,
}

impl Set {
    /// The addresses of a round, repeated if there are few.
    fn round(&self, round: usize, count: usize) -> impl Iterator<Item = IpAddr> {
        let start = round * count % self.addresses.len();
        self.addresses.iter().cycle().skip(start).take(count).copied()
    }
}

fn timed(set: &Set, round: usize, mut lookup: impl FnMut(IpAddr) -> usize) -> f64 {
    let addresses: Vec<IpAddr> = set.round(round, LOOKUPS).collect();
    let begun = clock::cpu_ns();
    for address in &addresses {
        black_box(lookup(black_box(*address)));
    }
    (clock::cpu_ns() - begun) as f64 / addresses.len() as f64
}

fn ours<'a>(database: &'a Database, file: &'a [u8]) -> Vec<(&'static str, Run<'a>)> {
    let now: Timestamp = "2026-11-24T12:00:00Z".parse().expect("a timestamp");
    let (layout, _) = Layout::read(file).expect("a database");
    let (mut plain, mut timely) = (String::with_capacity(4_096), String::with_capacity(4_096));
    vec![
        (
            "ipgeo, all fields as JSON",
            Box::new(move |set: &Set, round| {
                timed(set, round, |address| {
                    plain.clear();
                    plain.push('{');
                    if let Some(location) = database.lookup(address) {
                        location.write_static(&mut plain);
                    }
                    plain.push('}');
                    plain.len()
                })
            }) as Run<'a>,
        ),
        (
            "ipgeo, and the time of day there",
            Box::new(move |set: &Set, round| {
                timed(set, round, |address| {
                    timely.clear();
                    timely.push('{');
                    if let Some(location) = database.lookup(address) {
                        location.write_static(&mut timely);
                        timely.push(',');
                        location.write_time_zone(now, &mut timely);
                    }
                    timely.push('}');
                    timely.len()
                })
            }),
        ),
        (
            "ipgeo, the walk through the tree alone",
            Box::new(move |set: &Set, round| {
                timed(set, round, |address| layout.find(file, address).map_or(0, |(at, _)| at))
            }),
        ),
    ]
}

fn common<'a>(city: &'a Reader<Vec<u8>>, flat: &'a Reader<Vec<u8>>) -> Vec<(&'static str, Run<'a>)> {
    vec![
        (
            "Rust maxminddb, City struct and serde_json",
            Box::new(move |set: &Set, round| {
                timed(set, round, |address| {
                    let found = city.lookup(address).expect("a lookup");
                    let city: Option<maxminddb::geoip2::City<'_>> = found.decode().expect("a record");
                    serde_json::to_string(&city).expect("JSON").len()
                })
            }) as Run<'a>,
        ),
        (
            "Rust maxminddb, the source's flat 8 fields and serde_json",
            Box::new(move |set: &Set, round| {
                timed(set, round, |address| {
                    let found = flat.lookup(address).expect("a lookup");
                    let city: Option<FlatCity<'_>> = found.decode().expect("a record");
                    serde_json::to_string(&city).expect("JSON").len()
                })
            }),
        ),
    ]
}

fn sets() -> [Set; 2] {
    let mut random = Random::new(7);
    let addresses: Vec<IpAddr> = (0..ADDRESSES).map(|_| any_ipv4(&mut random)).collect();
    let busy = addresses[..BUSY].to_vec();
    [Set { name: "random", addresses }, Set { name: "busy", addresses: busy }]
}

/// Median, minimum and maximum.
fn summary(times: &mut [f64]) -> [f64; 3] {
    times.sort_by(f64::total_cmp);
    [times[times.len() / 2], times[0], times[times.len() - 1]]
}

fn measure(contestants: &mut [(String, Run<'_>)], sets: &[Set; 2]) {
    println!(
        "nanoseconds of processor time for a lookup with its answer; {ROUNDS} rounds, each of {LOOKUPS} lookups ({LOOKUPS_OF_PEERS} of"
    );
    println!(
        "Python's and Node's), all programs in turn; median (minimum to maximum), and the ratio to ours"
    );
    println!();
    println!(
        "| what | random addresses | | {BUSY} frequent addresses | |\n| --- | ---: | ---: | ---: | ---: |"
    );
    let mut times = vec![[const { Vec::new() }; 2]; contestants.len()];
    // The first round warms up.
    for round in 0..=ROUNDS {
        for (index, (_, run)) in contestants.iter_mut().enumerate() {
            for (times, set) in times[index].iter_mut().zip(sets) {
                let time = run(set, round);
                if round > 0 {
                    times.push(time);
                }
            }
        }
    }
    let mut first = None;
    for ((name, _), times) in contestants.iter().zip(&mut times) {
        let summaries = times.each_mut().map(|times| summary(times));
        let base = *first.get_or_insert(summaries);
        let cells = [0, 1].map(|set| {
            let [median, least, most] = summaries[set];
            format!("{median:.0} ({least:.0} to {most:.0}) | {:.2} ×", median / base[set][0])
        });
        println!("| {name} | {} | {} |", cells[0], cells[1]);
    }
}

/// The readers of other languages that are installed, each on both sets.
fn peers(sets: &[Set; 2], target: &Path, path: &Path, database: &Database) -> Vec<(&'static str, [Peer; 2])> {
    for set in sets {
        let lines: Vec<String> = set.addresses.iter().map(ToString::to_string).collect();
        std::fs::write(target.join(set.name), lines.join("\n")).expect("written");
    }
    let mut peers = Vec::new();
    for language in ["Python", "Node"] {
        peer::agrees(language, target, path, database, &sets[0].addresses);
        let start = |set: &Set| Peer::start(language, target, &target.join("city.mmdb"), set.name);
        if let [Some(random), Some(busy)] = sets.each_ref().map(start) {
            peers.push((language, [random, busy]));
        }
    }
    peers
}

fn main() {
    let Some(path) = named("IPGEO_BENCH_DATABASE") else { return };
    let database = Database::open(&path).expect("a compiled database");
    let file = std::fs::read(&path).expect("the same file");
    let before = named("IPGEO_BENCH_BEFORE").map(|path| {
        let database = Database::open(&path).expect("a compiled database");
        (database, std::fs::read(&path).expect("the same file"))
    });
    let sets = sets();
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/peers");
    let readers = named("IPGEO_BENCH_SOURCE").map(|source| {
        let flat = std::fs::read(source).expect("the source");
        let city = city::in_city_layout(&flat, &database);
        std::fs::create_dir_all(&target).expect("a folder");
        std::fs::write(target.join("city.mmdb"), &city).expect("written");
        [city, flat].map(|bytes| Reader::from_source(bytes).expect("a database"))
    });
    let mut peers = if readers.is_some() { peers(&sets, &target, &path, &database) } else { Vec::new() };
    let mut contestants: Vec<(String, Run<'_>)> = Vec::new();
    contestants.extend(ours(&database, &file).into_iter().map(|(name, run)| (name.to_owned(), run)));
    if let Some((database, file)) = &before {
        let named = |(name, run)| (format!("{name}, on the database before"), run);
        contestants.extend(ours(database, file).into_iter().map(named));
    }
    if let Some([city, flat]) = &readers {
        contestants.extend(common(city, flat).into_iter().map(|(name, run)| (name.to_owned(), run)));
    }
    for (language, pair) in &mut peers {
        let run: Run<'_> = Box::new(move |set: &Set, round| {
            pair[usize::from(set.name == "busy")].time(round * LOOKUPS_OF_PEERS)
        });
        contestants.push((peer::title(language).to_owned(), run));
    }
    measure(&mut contestants, &sets);
}
