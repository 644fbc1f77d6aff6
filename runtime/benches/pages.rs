//! The cost of a lookup while nothing of the file is in memory: the number of 4 KiB pages that it reads, and the time of the
//! first lookup after dropping the page cache.
//!
//! `IPGEO_BENCH_DATABASE` names a compiled database. `IPGEO_BENCH_BEFORE` optionally names another one to compare with,
//! and `IPGEO_BENCH_SOURCE` the IPv4 source, whose records are decoded completely, as by common readers.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "what was measured is the point")]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "numbers of a bench are far from their types' ends"
)]

#[path = "support/addresses.rs"]
mod addresses;
#[path = "support/cold.rs"]
mod cold;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use addresses::{Random, any_ipv4, any_ipv6, of_a_network, traffic};
use ipgeo_geo::Database;
use ipgeo_geo::compile::Networks;
use ipgeo_geo::raw::{Layout, Step};
use ipgeo_geo::trace::Pages;

const LOOKUPS: usize = 200_000;
const COLD_RUNS: usize = 41;

fn named(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from)
}

/// Kinds of addresses: name and addresses.
fn kinds(networks: &Networks) -> Vec<(&'static str, Vec<IpAddr>)> {
    let mut random = Random::new(11);
    let mut draw = |next: &mut dyn FnMut(&mut Random) -> Option<IpAddr>| -> Vec<IpAddr> {
        (0..LOOKUPS).filter_map(|_| next(&mut random)).collect()
    };
    vec![
        ("random, IPv4", draw(&mut |random| Some(any_ipv4(random)))),
        ("random, IPv6", draw(&mut |random| Some(any_ipv6(random)))),
        ("like traffic", draw(&mut |random| traffic(random, networks))),
        ("any network, IPv4", draw(&mut |random| of_a_network(random, networks, false))),
        ("any network, IPv6", draw(&mut |random| of_a_network(random, networks, true))),
    ]
}

/// Median, 99th percentile and maximum.
fn row(what: &str, kind: &str, mut counts: Vec<usize>) {
    counts.sort_unstable();
    let at = |share: f64| counts[((counts.len() - 1) as f64 * share) as usize];
    let mean = counts.iter().sum::<usize>() as f64 / counts.len() as f64;
    println!("| {what} | {kind} | {mean:.2} | {} | {} | {} |", at(0.5), at(0.99), at(1.0));
}

fn count(name: &str, path: &Path) {
    let database = Database::open(path).expect("a compiled database");
    let networks = Networks::open(path).expect("the same");
    for (kind, addresses) in kinds(&networks) {
        row(name, kind, addresses.into_iter().map(|address| database.pages(address).len()).collect());
    }
}

/// A source. Common readers decode its records completely.
fn count_source(path: &Path) {
    let file = std::fs::read(path).expect("a source");
    let (layout, _) = Layout::read(&file).expect("a source");
    let networks = Networks::open(path).expect("the same");
    for (kind, addresses) in kinds(&networks) {
        let counts: Vec<usize> = addresses
            .into_iter()
            .filter(IpAddr::is_ipv4)
            .map(|address| {
                let pages = Pages::default();
                if let Some((offset, _)) = layout.find_traced(&file, address, &pages) {
                    let _ = layout.data_traced(&file, &pages).value(offset);
                }
                pages.into_set().len()
            })
            .collect();
        if counts.len() > LOOKUPS / 2 {
            row("the IPv4 source, its records decoded", kind, counts);
        }
    }
}

/// Sizes of the parts of a file.
fn parts(path: &Path) {
    let file = std::fs::read(path).expect("the file");
    let (layout, _) = Layout::read(&file).expect("a database");
    let leaves = (0..layout.node_count)
        .flat_map(|node| [0, 1].map(|bit| layout.step(layout.record(&file, node, bit))))
        .filter(|step| matches!(step, Step::Data(_)))
        .count();
    println!(
        "{} bytes: {} of {} nodes, {} of data; {leaves} leaves",
        file.len(),
        layout.data_start,
        layout.node_count,
        layout.data_end - layout.data_start,
    );
}

fn cold_row(what: &str, path: &Path, pause: Duration, run: impl Fn(&Path, IpAddr, Duration) -> cold::Run) {
    let mut random = Random::new(3);
    let device = cold::device(path, COLD_RUNS);
    let mut runs: Vec<cold::Run> = (0..COLD_RUNS).map(|_| run(path, any_ipv4(&mut random), pause)).collect();
    runs.sort_by_key(|run| run.lookup);
    let middle = &runs[runs.len() / 2];
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    let mut faults: Vec<u64> = runs.iter().map(|run| run.major).collect();
    faults.sort_unstable();
    let faults_middle = faults[faults.len() / 2];
    let mut beyond: Vec<f64> =
        runs.iter().map(|run| micros(run.lookup) - run.major as f64 * micros(device)).collect();
    beyond.sort_by(f64::total_cmp);
    let mut opens: Vec<f64> = runs.iter().map(|run| micros(run.open)).collect();
    opens.sort_by(f64::total_cmp);
    println!(
        "| {what} | {:.0} | {:.0} ({:.0} to {:.0}) | {faults_middle} ({} to {}) | {:.0} | {:.0} |",
        opens[opens.len() / 2],
        micros(middle.lookup),
        micros(runs[0].lookup),
        micros(runs[runs.len() - 1].lookup),
        faults[0],
        faults[faults.len() - 1],
        micros(device),
        beyond[beyond.len() / 2],
    );
}

fn main() {
    let Some(path) = named("IPGEO_BENCH_DATABASE") else {
        eprintln!("IPGEO_BENCH_DATABASE is not set: nothing is measured");
        return;
    };
    let (before, source) = (named("IPGEO_BENCH_BEFORE"), named("IPGEO_BENCH_SOURCE"));
    parts(&path);
    println!("\ndistinct pages of 4 KiB that a lookup reads, {LOOKUPS} lookups each\n");
    println!(
        "| file | addresses | mean | median | p99 | maximum |\n| --- | --- | ---: | ---: | ---: | ---: |"
    );
    count("compiled", &path);
    if let Some(before) = &before {
        count("compiled before", before);
    }
    if let Some(source) = &source {
        count_source(source);
    }

    println!(
        "\nthe first lookup of a random address with nothing of the file in memory, microseconds; {COLD_RUNS} runs\n"
    );
    println!(
        "| how | opening | first lookup (least to most) | reads waited for | one read of the device | beyond the device |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    let (none, some) = (Duration::ZERO, Duration::from_millis(5));
    cold_row("ours", &path, none, cold::ours);
    cold_row("ours, 5 ms after opening", &path, some, cold::ours);
    cold_row("`maxminddb` crate on our file, mapped", &path, none, cold::theirs);
    if let Some(before) = &before {
        cold_row("our reader on the file compiled before", before, none, cold::ours);
        cold_row("`maxminddb` crate on the file compiled before", before, none, cold::theirs);
    }
    if let Some(source) = &source {
        cold_row("`maxminddb` crate on the source, mapped", source, none, cold::theirs);
    }
}
