//! `ipgeo bulk`: addresses per second on one core, with the columns that it adds by default, for a list of random addresses
//! and one of a thousand frequent addresses.
//!
//! `IPGEO_BENCH_DATABASE` names a compiled database; by default, the sample is read.

#![expect(clippy::print_stdout, reason = "what was measured is the point")]

#[path = "support/median.rs"]
mod median;

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use median::median;

const RUNS: usize = 5;
const ADDRESSES: u32 = 1_000_000;

/// A run of the program in a state folder.
fn run(state: &Path, args: &[&str]) -> Duration {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ipgeo"));
    let begun = Instant::now();
    let output = command.arg("--state").arg(state).args(args).current_dir(state).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    begun.elapsed()
}

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path();
    let database = std::env::var_os("IPGEO_BENCH_DATABASE").map_or_else(
        || {
            run(state, &["geo", "build", "--sample"]);
            state.join("geo/ipgeo.mmdb")
        },
        PathBuf::from,
    );
    let database = database.to_str().expect("UTF-8");
    println!(
        "ipgeo bulk, {ADDRESSES} addresses, {database}; medians of {RUNS} runs, each a process of its own"
    );
    let mut random = fastrand::Rng::with_seed(1);
    let mut address = || Ipv4Addr::from_bits(random.u32(0x0100_0000..0xe000_0000));
    let frequent: Vec<Ipv4Addr> = (0..1_000).map(|_| address()).collect();
    let all: Vec<Ipv4Addr> = (0..ADDRESSES).map(|_| address()).collect();
    let (list, out) = (state.join("list.csv"), state.join("out.csv"));
    for (name, addresses) in [("random", &all), ("frequent", &frequent)] {
        let mut text = "visitor,ip,path\n".to_owned();
        for (number, address) in (0..ADDRESSES).zip(addresses.iter().cycle()) {
            let _infallible = writeln!(text, "{number},{address},/index.html");
        }
        std::fs::write(&list, text).expect("written");
        let paths = [list.to_str().expect("UTF-8"), "--out", out.to_str().expect("UTF-8")];
        let args = [&["bulk", "--progress", "none", "--database", database], &paths[..]].concat();
        let mut times: Vec<Duration> = (0..RUNS).map(|_| run(state, &args)).collect();
        let rate = f64::from(ADDRESSES) / median(&mut times).as_secs_f64();
        println!("  {name:<10} {rate:>10.0} addresses/s");
    }
}
