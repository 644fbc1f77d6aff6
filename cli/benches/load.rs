//! `ipgeo dev` under load: ten minutes at full throughput, in ten regions, with a hundred API keys; then overload. Its memory
//! must stay flat, its counts must equal the answers, and refusals must be fast.
//!
//! `IPGEO_BENCH_SECONDS` sets the duration (default: 600). Linux only.

#![expect(clippy::print_stdout, reason = "what was measured is the point")]
#![expect(clippy::cast_precision_loss, reason = "numbers of a bench are far from their types' ends")]

#[path = "support/callers.rs"]
mod callers;
#[path = "support/file.rs"]
#[expect(dead_code, reason = "shared with benches that need more of it")]
mod file;
#[path = "support/running.rs"]
#[expect(dead_code, reason = "shared with benches that need more of it")]
mod running;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use callers::{Caller, Pace, Told, all_call, at_permille};
use file::generous_toml;
use running::Dev;
use serde_json::Value;

const SECONDS: u64 = 600;
const KEYS: usize = 100;
const CALLERS: usize = 64;
const REGIONS: usize = 10;
/// Number of memory measurements.
const LOOKS: u32 = 12;
/// The throttle rate of a region in the overload run.
const RATE: u32 = 500;
const OVERLOAD: Duration = Duration::from_secs(20);
/// How long counting may take after the last request.
const COUNTED_WITHIN: Duration = Duration::from_mins(2);

/// Runs asynchronous work on this thread.
fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}

/// All charged calls in the ledger.
fn charged(dev: &Dev) -> u64 {
    let rows: Value =
        serde_json::from_str(&dev.ipgeo(&["usage", "report", "--by", "key", "--json"])).expect("JSON");
    let rows = rows["rows"].as_array().or(rows.as_array()).expect("rows");
    rows.iter().map(|row| row["calls"].as_u64().expect("a number")).sum()
}

/// Waits until the ledger has `calls`; returns how long that took.
fn counted(dev: &Dev, calls: u64) -> Duration {
    let begun = Instant::now();
    loop {
        let found = charged(dev);
        assert!(found <= calls, "{found} calls are counted, {calls} were answered");
        if found == calls {
            return begun.elapsed();
        }
        assert!(begun.elapsed() < COUNTED_WITHIN, "{found} of {calls} calls are counted");
        std::thread::sleep(Duration::from_millis(250));
    }
}

/// Resident MiB without mapped files, measured every `every` until `done`.
fn watch(dev: &Dev, every: Duration, done: &AtomicBool) -> Vec<u64> {
    let mut seen = Vec::new();
    let mut next = Instant::now() + every;
    while !done.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(50));
        if Instant::now() >= next {
            seen.push(dev.mebibytes("RssAnon"));
            next += every;
        }
    }
    seen
}

fn tell(what: &str, told: &Told, seconds: f64) {
    let statuses: Vec<String> =
        told.statuses.iter().map(|(status, count)| format!("{count} × {status}")).collect();
    println!("{what}: {} in {seconds:.0} s", statuses.join(", "));
    for (name, sorted) in [("answered", &told.answered_us), ("refused", &told.refused_us)] {
        if !sorted.is_empty() {
            println!(
                "  {name} {:.0}/s, p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms, slowest {:.1} ms",
                sorted.len() as f64 / seconds,
                f64::from(at_permille(sorted, 500)) / 1e3,
                f64::from(at_permille(sorted, 990)) / 1e3,
                f64::from(at_permille(sorted, 999)) / 1e3,
                f64::from(at_permille(sorted, 1_000)) / 1e3,
            );
        }
    }
}

/// Full throughput for a long time.
fn at_its_limit(seconds: u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("regions.toml");
    std::fs::write(&config, generous_toml(REGIONS, "")).expect("a file");
    let dev = Arc::new(Dev::start(&config, &["--no-throttle"]));
    let create = |number: usize| {
        let owner = format!("owner-{number}");
        dev.ipgeo(&["keys", "create", "--owner", &owner, "--tier", "large"])
    };
    let keys: Vec<String> = (0..KEYS).map(create).collect();
    // Wait until every region has them.
    std::thread::sleep(Duration::from_secs(2));
    let caller = |at: usize| Caller {
        server: dev.regions[at % REGIONS].clone(),
        paths: ["/8.8.8.8", "/1.1.1.1", "/2001:4860:4860::8888"].map(str::to_owned).to_vec(),
        api_key: keys[at % KEYS].clone(),
    };
    let callers: Vec<Caller> = (0..CALLERS).map(caller).collect();
    let done = Arc::new(AtomicBool::new(false));
    let watching = {
        let (dev, done, every) = (Arc::clone(&dev), Arc::clone(&done), Duration::from_secs(seconds) / LOOKS);
        std::thread::spawn(move || watch(&dev, every, &done))
    };
    let told = block_on(all_call(&callers, Pace::Flat, Duration::from_secs(seconds)));
    done.store(true, Ordering::Relaxed);
    let memory = watching.join().expect("memory is read");
    tell("at its limit", &told, seconds as f64);
    assert_eq!(told.count(200), told.statuses.values().sum::<u64>(), "all are answered");
    let lag = counted(&dev, told.count(200));
    println!("  all {} calls counted, {:.1} s after the last", told.count(200), lag.as_secs_f64());
    println!("  memory beyond mapped files, MiB, from start to end: {memory:?}");
    let [first, .., last] = memory[..] else { panic!("memory was looked at too seldom") };
    assert!(last <= first + first / 4, "memory has grown");
}

/// Overload, then less than the throttle again.
fn overloaded() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("regions.toml");
    let limits = format!("[runtime]\nthrottle_rate = {RATE}\nthrottle_burst = {RATE}\n");
    std::fs::write(&config, generous_toml(1, &limits)).expect("a file");
    let dev = Dev::start(&config, &[]);
    let api_key = dev.ipgeo(&["keys", "create", "--owner", "bench", "--tier", "large"]);
    let caller = Caller { server: dev.regions[0].clone(), paths: vec!["/8.8.8.8".to_owned()], api_key };
    let callers = vec![caller; CALLERS];
    let mut answered = 0;
    for (what, pace) in [
        ("below what it lets through", Pace::PerSecond(RATE / 2)),
        ("far above", Pace::Flat),
        ("below again", Pace::PerSecond(RATE / 2)),
    ] {
        let told = block_on(all_call(&callers, pace, OVERLOAD));
        tell(what, &told, OVERLOAD.as_secs_f64());
        answered += told.count(200);
    }
    let lag = counted(&dev, answered);
    println!("  all {answered} calls counted, {:.1} s after the last", lag.as_secs_f64());
}

fn main() {
    let seconds = std::env::var("IPGEO_BENCH_SECONDS").ok().and_then(|text| text.parse().ok());
    println!("ipgeo dev; {CALLERS} callers, each on a connection of its own\n");
    at_its_limit(seconds.unwrap_or(SECONDS));
    println!("\none region that lets {RATE} requests a second through");
    overloaded();
}
