//! The cost of a lookup by number of networks: the IPv4 source, compiled with coarser and finer networks. Writes
//! `docs/pictures/measured/lookup.tsv` and prints the exponent: cost ~ networks^exponent.
//!
//! `IPGEO_BENCH_SOURCE` names the source.

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
#[path = "../../cli/benches/support/curve.rs"]
mod curve;

use std::hint::black_box;
use std::net::IpAddr;
use std::path::Path;

use addresses::{Random, any_ipv4, of_a_network};
use curve::{Curve, save};
use ipgeo_geo::Database;
use ipgeo_geo::compile::{DataDescription, Networks, NoProgress, Source, build};

const ROUNDS: usize = 9;
const LOOKUPS: usize = 100_000;
/// Prefix lengths below which one network replaces all others: about 10³ networks to all 6.3 million.
const DEPTHS: [u32; 7] = [10, 13, 15, 17, 20, 22, 32];

struct Point {
    networks: f64,
    megabytes: f64,
    random_ns: f64,
    spread: [f64; 2],
    network_ns: f64,
    pages: f64,
}

fn middle(mut times: Vec<f64>) -> [f64; 3] {
    times.sort_by(f64::total_cmp);
    [times[times.len() / 2], times[0], times[times.len() - 1]]
}

/// Nanoseconds per lookup with its answer: median, minimum and maximum of the rounds.
fn time(database: &Database, addresses: &[IpAddr]) -> [f64; 3] {
    let mut out = String::with_capacity(4_096);
    let rounds = (0..=ROUNDS).map(|_| {
        let begun = clock::cpu_ns();
        for address in addresses {
            out.clear();
            if let Some(location) = database.lookup(black_box(*address)) {
                location.write_static(&mut out);
            }
            black_box(&out);
        }
        (clock::cpu_ns() - begun) as f64 / addresses.len() as f64
    });
    middle(rounds.skip(1).collect())
}

fn measure(source: &Path, depth: u32, folder: &Path) -> Point {
    let file = std::fs::read(source).expect("the source");
    let cut = folder.join("cut.mmdb");
    std::fs::write(&cut, city::coarser(&file, depth)).expect("written");
    let path = folder.join("compiled.mmdb");
    let opened = [Source::open(&cut).expect("a source").into()];
    let compiled = build(&opened, &DataDescription::default(), &NoProgress).expect("it compiles");
    std::fs::write(&path, compiled.to_bytes()).expect("written");
    let database = Database::open(&path).expect("it opens");
    let networks = Networks::open(&path).expect("the same");
    let mut random = Random::new(9);
    let any: Vec<IpAddr> = (0..LOOKUPS).map(|_| any_ipv4(&mut random)).collect();
    let of_networks: Vec<IpAddr> =
        (0..LOOKUPS).filter_map(|_| of_a_network(&mut random, &networks, false)).collect();
    let pages: usize = of_networks.iter().take(20_000).map(|address| database.pages(*address).len()).sum();
    let [random_ns, least, most] = time(&database, &any);
    Point {
        networks: networks.len(false) as f64,
        megabytes: database.info().bytes as f64 / 1e6,
        random_ns,
        spread: [least, most],
        network_ns: time(&database, &of_networks)[0],
        pages: pages as f64 / 20_000.0,
    }
}

fn main() {
    let Some(source) = std::env::var_os("IPGEO_BENCH_SOURCE") else {
        eprintln!("IPGEO_BENCH_SOURCE is not set: nothing is measured");
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let points: Vec<Point> =
        DEPTHS.iter().map(|depth| measure(Path::new(&source), *depth, folder.path())).collect();
    println!(
        "processor time, medians of {ROUNDS} rounds of {LOOKUPS} lookups, each with its answer as JSON\n"
    );
    println!(
        "| networks | file, MB | random, ns (least to most) | any network, ns | pages read, any network |"
    );
    println!("| ---: | ---: | ---: | ---: | ---: |");
    for point in &points {
        println!(
            "| {} | {:.1} | {:.0} ({:.0} to {:.0}) | {:.0} | {:.2} |",
            point.networks,
            point.megabytes,
            point.random_ns,
            point.spread[0],
            point.spread[1],
            point.network_ns,
            point.pages
        );
    }
    let curve = |name, cost: fn(&Point) -> f64| Curve {
        name,
        points: points.iter().map(|point| (point.networks, cost(point))).collect(),
        spread: Vec::new(),
    };
    let pages = curve("pages", |point| point.pages);
    let mut curves =
        [curve("random addresses", |point| point.random_ns), curve("any network", |point| point.network_ns)];
    curves[0].spread = points.iter().map(|point| point.spread).collect();
    let [random, any] = [&curves[0], &curves[1]].map(Curve::exponent);
    println!("\nexponents: {random:.2} (random), {any:.2} (any network), {:.2} (pages)", pages.exponent());
    save("lookup", "networks", &curves);
}
