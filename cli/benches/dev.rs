//! The time until all regions of `ipgeo dev` answer, and its memory use when idle.
//!
//! `IPGEO_BENCH_DATABASE` names a compiled database; by default, the sample is served. Linux only: memory is read
//! from `/proc`.

#![expect(clippy::print_stdout, reason = "what was measured is the point")]

#[path = "support/running.rs"]
#[expect(dead_code, reason = "shared with benches that need more of it")]
mod running;

use std::path::Path;
use std::time::{Duration, Instant};

use running::Dev;

const RUNS: usize = 9;
const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../regions.toml");

fn median<T: Ord + Copy>(values: &mut [T]) -> T {
    values.sort_unstable();
    values[values.len() / 2]
}

fn main() {
    let (mut ready, mut anonymous) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let start = Instant::now();
        let dev = Dev::start(Path::new(CONFIG), &[]);
        ready.push(start.elapsed());
        std::thread::sleep(Duration::from_secs(1));
        anonymous.push(dev.mebibytes("RssAnon"));
    }
    let database = std::env::var_os("IPGEO_BENCH_DATABASE");
    let served = if database.is_some() { "the database named" } else { "the sample" };
    println!("ipgeo dev, ten regions, {served}; medians of {RUNS} runs");
    println!("  until all regions answer  {:?}", median(&mut ready));
    println!("  memory beyond mapped files, idle  {} MiB", median(&mut anonymous));
}
