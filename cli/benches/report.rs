//! `ipgeo usage report` by number of rows: ledger items folded into the printed summary.

#![expect(clippy::print_stdout, reason = "what was measured is the point")]

#[path = "support/curve.rs"]
mod curve;
#[path = "support/median.rs"]
mod median;

use std::collections::HashMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use curve::{Curve, save};
use ipgeo::internals::usage::report::{DayRange, GroupBy, Sums};
use ipgeo_contract::Verdict;
use ipgeo_runtime::dynamo::LedgerItem;
use median::median;

const RUNS: usize = 9;

/// A month of an API key that is used every day in ten regions.
fn item(number: u64) -> LedgerItem {
    let regions = (0..10).map(|region| (format!("region-{region}"), number % 97 + region)).collect();
    LedgerItem {
        identity: format!("key#{number:064x}").parse().expect("an identity"),
        month: "2026-11".parse().expect("a month"),
        charged: number % 1_000,
        days: (1..=30).map(|day| (day, number % 89)).collect(),
        regions,
        verdicts: [(Verdict::Allowed, number % 1_000), (Verdict::OverQuota, 3)].into(),
        watermarks: [("shardId-000000000000".to_owned(), format!("{number:064}"))].into(),
        before_gaps: std::collections::BTreeMap::new(),
    }
}

/// The tables of `ipgeo usage report`: callers, then sums by day, region and verdict.
fn summary(items: &[LedgerItem]) -> usize {
    let keys = HashMap::new();
    let (from, to) = ("2026-11-01".parse().expect("a day"), "2026-11-30".parse().expect("a day"));
    let by = |by_identity, part| {
        let mut sums = Sums::new(by_identity, part, DayRange { from, to });
        for item in items {
            sums.add(item);
        }
        sums.rows(&keys).len()
    };
    by(true, None)
        + by(false, Some(GroupBy::Day))
        + by(false, Some(GroupBy::Region))
        + by(false, Some(GroupBy::Verdict))
}

/// Milliseconds of `work`, the median of all runs.
fn ms(mut work: impl FnMut()) -> f64 {
    let mut times: Vec<Duration> = (0..RUNS)
        .map(|_| {
            let begun = Instant::now();
            work();
            begun.elapsed()
        })
        .collect();
    median(&mut times).as_secs_f64() * 1e3
}

fn main() {
    println!("the summary of `ipgeo usage report`, without reading the ledger; medians of {RUNS} runs");
    let mut curve = Curve { name: "the summary", points: Vec::new(), spread: Vec::new() };
    for count in [1_000_u32, 10_000, 100_000, 1_000_000] {
        let items: Vec<LedgerItem> = (0..u64::from(count)).map(item).collect();
        let ms = ms(|| {
            black_box(summary(&items));
        });
        println!("  {count:>8} items  {ms:>9.2} ms  {:.2} us an item", ms * 1e3 / f64::from(count));
        curve.points.push((f64::from(count), ms));
    }
    println!("exponent {:.2}", curve.exponent());
    save("report", "ledger items", &[curve]);
}
