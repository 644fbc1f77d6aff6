//! Rendering as its user sees it: the whole process, from the file on disk to templates on disk, checked.

#![expect(clippy::print_stdout, reason = "what was measured is the point")]

#[path = "support/file.rs"]
mod file;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use file::{median, regions_toml};
use ipgeo::config::PLACES;

const RUNS: usize = 25;

fn render(folder: &Path) -> Duration {
    let begun = Instant::now();
    let status = Command::new(env!("CARGO_BIN_EXE_ipgeo"))
        .args(["render", "--out", "rendered"])
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(status.expect("it runs").success());
    begun.elapsed()
}

fn main() {
    println!("ipgeo render --out, whole process; medians of {RUNS} runs");
    for count in [1, 10, PLACES.len()] {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("regions.toml"), regions_toml(count)).expect("a file");
        let mut times: Vec<Duration> = (0..RUNS).map(|_| render(folder.path())).collect();
        println!("  {count:>2} regions  {:.1} ms", median(&mut times).as_secs_f64() * 1e3);
    }
}
