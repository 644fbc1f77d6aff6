//! Instructions of a lookup, counted by Callgrind: the same on every machine of a kind and in every run, so they show
//! regressions that are lost in the noise of timings.
//!
//! The counts are compared with `instructions.txt`; `-- --bless` rewrites it. Without Valgrind, the bench is skipped with a
//! note.

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

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, ExitCode};

use addresses::{Random, any_ipv4};
use ipgeo_geo::Database;
use jiff::Timestamp;

const CASES: [&str; 4] = ["open", "walk and read", "all fields as JSON", "and the time of day there"];
/// Numbers of lookups of two runs, whose difference excludes everything but lookups.
const LOOKUPS: usize = 20_000;
/// Percentage by which a count may grow before the bench fails, because compilers differ slightly.
const GROWTH_MAX_PERCENT: u64 = 2;
/// Tells a run under Callgrind its case and number of lookups.
const INNER: &str = "--inner";

/// The counted work: repeats a case on a database file.
fn work(path: &str, case: &str, times: usize) -> usize {
    let now: Timestamp = "2026-11-24T12:00:00Z".parse().expect("a timestamp");
    let mut random = Random::new(5);
    let mut out = String::with_capacity(4_096);
    if case == CASES[0] {
        return (0..times / 100).filter(|_| Database::open(Path::new(path)).is_ok()).count();
    }
    let database = Database::open(Path::new(path)).expect("a database");
    for _ in 0..times {
        let address = any_ipv4(&mut random);
        out.clear();
        let Some(location) = black_box(&database).lookup(black_box(address)) else { continue };
        if case != CASES[1] {
            location.write_static(&mut out);
        }
        if case == CASES[3] {
            location.write_time_zone(now, &mut out);
        }
        black_box(&out);
    }
    out.len()
}

/// Instructions of a run in a separate process.
fn counted(path: &Path, case: &str, times: usize, folder: &Path) -> u64 {
    let out = folder.join("callgrind.out");
    let status = Command::new("valgrind")
        .args(["--tool=callgrind", "-q", &format!("--callgrind-out-file={}", out.display())])
        .arg(std::env::current_exe().expect("this program"))
        .arg(INNER)
        .arg(path)
        .args([case, &times.to_string()])
        .status()
        .expect("valgrind starts");
    assert!(status.success(), "{status}");
    let text = std::fs::read_to_string(out).expect("its counts");
    let totals = text.lines().find_map(|line| line.strip_prefix("summary:").or(line.strip_prefix("totals:")));
    totals.and_then(|totals| totals.trim().parse().ok()).expect("a total")
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [inner, path, case, times] = arguments.as_slice()
        && inner == INNER
    {
        black_box(work(path, case, times.parse().expect("a number")));
        return ExitCode::SUCCESS;
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        eprintln!("valgrind is not installed: no instruction is counted");
        return ExitCode::SUCCESS;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let sample = folder.path().join("sample.mmdb");
    std::fs::write(&sample, ipgeo_geo::compile::sample().expect("it compiles")).expect("the sample");
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions.txt");
    let before: BTreeMap<String, u64> = std::fs::read_to_string(&kept)
        .unwrap_or_default()
        .lines()
        .filter_map(|line| line.rsplit_once(' '))
        .filter_map(|(case, count)| Some((case.to_owned(), count.parse().ok()?)))
        .collect();
    println!(
        "instructions a time, sample database, Callgrind\n\n| what | now | kept |\n| --- | ---: | ---: |"
    );
    let (mut text, mut grown) = (String::new(), false);
    for case in CASES {
        let [all, half] = [LOOKUPS, LOOKUPS / 2].map(|times| counted(&sample, case, times, folder.path()));
        let divisor = if case == CASES[0] { LOOKUPS / 200 } else { LOOKUPS / 2 };
        let count = (all - half) / divisor as u64;
        let kept = before.get(case);
        println!("| {case} | {count} | {} |", kept.map_or("none".to_owned(), ToString::to_string));
        grown |= kept.is_some_and(|kept| count * 100 > kept * (100 + GROWTH_MAX_PERCENT));
        text.extend([case, " ", &count.to_string(), "\n"]);
    }
    if arguments.iter().any(|argument| argument == "--bless") {
        std::fs::write(kept, text).expect("written");
    } else if grown {
        eprintln!("more instructions than in {}; if that is intended, run with -- --bless", kept.display());
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
