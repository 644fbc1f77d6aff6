//! Rendering as a complete process, from the file on disk to validated templates on disk, compared with an AWS CDK app of the
//! same resources if `cli/benches/peers/cdk/install.sh` has installed it.

#![expect(clippy::print_stdout, reason = "what was measured is the point")]

#[path = "support/file.rs"]
#[expect(dead_code, reason = "shared with benches that need more of it")]
mod file;
#[path = "support/median.rs"]
mod median;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use file::regions_toml;
use ipgeo::internals::config::PLACES;
use median::median;

const RUNS: usize = 25;
/// A peer's run takes seconds.
const PEER_RUNS: usize = 5;

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

/// The folder of the CDK app.
fn cdk() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/peers/cdk");
    folder.join("node_modules/aws-cdk/bin/cdk").is_file().then_some(folder)
}

fn synthesize(folder: &Path, count: usize) -> Duration {
    let others = PLACES.iter().map(|place| place.name).filter(|name| *name != "eu-central-1");
    let regions: Vec<&str> = ["eu-central-1"].into_iter().chain(others.take(count - 1)).collect();
    let begun = Instant::now();
    let status = Command::new("node")
        .args(["node_modules/aws-cdk/bin/cdk", "synth", "--app", "node app.js", "--output", "out"])
        .args(["--quiet", "--no-version-reporting", "--no-notices"])
        .current_dir(folder)
        .env("REGIONS", regions.join(","))
        .env("CDK_DISABLE_VERSION_CHECK", "1")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(status.expect("it runs").success());
    begun.elapsed()
}

fn main() {
    let peer = cdk();
    println!("ipgeo render --out, whole process; medians of {RUNS} runs, and of {PEER_RUNS} of cdk synth");
    for count in [1, 10, PLACES.len()] {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("regions.toml"), regions_toml(count)).expect("a file");
        let mut times: Vec<Duration> = (0..RUNS).map(|_| render(folder.path())).collect();
        let ours = median(&mut times).as_secs_f64();
        let spread =
            format!("{:.1} to {:.1}", times[0].as_secs_f64() * 1e3, times[RUNS - 1].as_secs_f64() * 1e3);
        let beside = peer.as_deref().map_or("cdk synth is not installed".to_owned(), |folder| {
            let mut times: Vec<Duration> = (0..PEER_RUNS).map(|_| synthesize(folder, count)).collect();
            let theirs = median(&mut times).as_secs_f64();
            format!("cdk synth {theirs:.2} s, {:.0} times as long", theirs / ours)
        });
        println!("  {count:>2} regions  {:.1} ms ({spread})  {beside}", ours * 1e3);
    }
}
