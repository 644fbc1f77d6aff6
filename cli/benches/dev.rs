//! How long `ipgeo dev` takes until all regions answer, and what it holds in memory when idle.
//!
//! `IPGEO_BENCH_DATABASE` names a compiled database; else the sample is served. Linux only: memory is read
//! from `/proc`.

#![expect(clippy::print_stdout, reason = "what was measured is the point")]

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const RUNS: usize = 9;
const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../regions.toml");

/// One field of a process's status, in MiB.
fn mebibytes(pid: u32, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a status");
    let line = status.lines().find(|line| line.starts_with(field)).expect("a field");
    let kilobytes: u64 = line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number");
    kilobytes / 1_024
}

fn median<T: Ord + Copy>(values: &mut [T]) -> T {
    values.sort_unstable();
    values[values.len() / 2]
}

fn main() {
    let database = std::env::var_os("IPGEO_BENCH_DATABASE");
    let (mut ready, mut anonymous) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let state = tempfile::tempdir().expect("a folder");
        let mut command = Command::new(env!("CARGO_BIN_EXE_ipgeo"));
        command
            .args(["--config", CONFIG, "--state"])
            .arg(state.path())
            .args(["dev", "--json", "--port", "0"]);
        if let Some(database) = &database {
            command.arg("--database").arg(database);
        }
        let start = Instant::now();
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        ready.push(start.elapsed());
        std::thread::sleep(Duration::from_secs(1));
        anonymous.push(mebibytes(child.id(), "RssAnon"));
        child.kill().and_then(|()| child.wait()).expect("it ends");
    }
    let served = if database.is_some() { "the database named" } else { "the sample" };
    println!("ipgeo dev, ten regions, {served}; medians of {RUNS} runs");
    println!("  until all regions answer  {:?}", median(&mut ready));
    println!("  memory beyond mapped files, idle  {} MiB", median(&mut anonymous));
}
