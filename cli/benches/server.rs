//! `ipgeo dev`'s HTTP layer compared with similar servers on `FastAPI`, aiohttp and Fastify: the throughput of each by `wrk`, and
//! response times at an equal rate of requests.
//!
//! `cli/benches/peers/server/install.sh` installs the peers; `wrk` must be on the path. A missing server is
//! skipped with a message. Linux only.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "what was measured is the point")]
#![expect(clippy::cast_precision_loss, reason = "numbers of a bench are far from their types' ends")]

#[path = "support/callers.rs"]
#[expect(dead_code, reason = "shared with a bench that needs more of it")]
mod callers;
#[path = "support/file.rs"]
#[expect(dead_code, reason = "shared with benches that need more of it")]
mod file;
#[path = "support/running.rs"]
#[expect(dead_code, reason = "shared with benches that need more of it")]
mod running;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use callers::{Caller, Pace, all_call, at_permille};
use file::generous_toml;
use running::Dev;

/// Rounds over all servers.
const ROUNDS: usize = 5;
const CONNECTIONS: usize = 32;
const SECONDS: u64 = 8;
/// Requests a second in total, a rate that every server can serve.
const EQUAL: u32 = 1_000;
const ADDRESSES: usize = 2_000;

/// A measured server.
struct Subject {
    name: &'static str,
    server: String,
    process: Option<Child>,
    rounds: Vec<Round>,
}

/// The measurements of one round.
struct Round {
    per_second: f64,
    p99_full_ms: f64,
    p50_us: u32,
    p99_us: u32,
    /// Microseconds of the server's processor time per request, under `wrk`.
    cpu_us: f64,
}

impl Drop for Subject {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ended_or_gone = process.kill().and_then(|()| process.wait());
        }
    }
}

fn peers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/peers/server")
}

/// Starts a peer, which prints its port when it is ready.
fn peer(name: &'static str, program: &Path, script: &str, dev: &Dev, api_key: &str) -> Option<Subject> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/server").join(script);
    if !peers().join("node_modules/fastify").exists() {
        eprintln!("{name} is left out: cli/benches/peers/server/install.sh installs it");
        return None;
    }
    let mut child = Command::new(program)
        .arg(script)
        .arg(dev.database())
        .arg(api_key)
        .arg(dev.state().join(format!("{name}.log")))
        .current_dir(peers())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut port = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut port).expect("its port");
    let server = format!("127.0.0.1:{}", port.trim());
    Some(Subject { name, server, process: Some(child), rounds: Vec::new() })
}

/// Random addresses, the same in every run.
fn paths() -> Vec<String> {
    let mut random = fastrand::Rng::with_seed(5);
    let mut byte = || random.u8(..);
    let known = ["/8.8.8.8", "/1.1.1.1", "/2001:4860:4860::8888"].map(str::to_owned);
    let any = std::iter::repeat_with(|| format!("/{}.{}.{}.{}", 11 + byte() % 80, byte(), byte(), byte()));
    if std::env::var_os("IPGEO_BENCH_DATABASE").is_some() {
        any.take(ADDRESSES).collect()
    } else {
        known.into_iter().cycle().take(ADDRESSES).collect()
    }
}

/// For `wrk`: the same paths in turn, with the API key.
fn script(folder: &Path, paths: &[String], api_key: &str) -> PathBuf {
    let file = folder.join("ask.lua");
    let paths = paths.join("','");
    let text = format!(
        "local paths, at = {{'{paths}'}}, 0\nlocal headers = {{['x-api-key'] = '{api_key}'}}\n\
         function request()\n  at = at % #paths + 1\n  return wrk.format('GET', paths[at], headers)\nend\n"
    );
    std::fs::write(&file, text).expect("written");
    file
}

/// Requests a second, and milliseconds at p99; any other status is an error of the bench.
fn wrk(server: &str, script: &Path) -> (f64, f64) {
    let output = Command::new("wrk")
        .args(["--threads", "1", "--connections", &CONNECTIONS.to_string()])
        .args(["--duration", &SECONDS.to_string(), "--latency", "--script"])
        .arg(script)
        .arg(format!("http://{server}"))
        .output()
        .expect("wrk runs");
    let told = String::from_utf8(output.stdout).expect("text");
    assert!(!told.contains("Non-2xx") && !told.contains("Socket errors"), "{server}: {told}");
    let after = |name: &str| {
        let line = told.lines().find_map(|line| line.trim().strip_prefix(name)).expect("wrk's summary");
        line.trim().to_owned()
    };
    let p99 = after("99%");
    let ms = match p99.strip_suffix("us") {
        Some(us) => us.parse::<f64>().expect("a number") / 1e3,
        None => match p99.strip_suffix("ms") {
            Some(ms) => ms.parse().expect("a number"),
            None => p99.trim_end_matches('s').parse::<f64>().expect("a number") * 1e3,
        },
    };
    (after("Requests/sec:").parse().expect("a number"), ms)
}

/// Seconds of processor time that a process has had, in clock ticks of 10 ms.
fn processor_s(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    // The name may hold spaces; what follows its bracket does not.
    let fields: Vec<&str> = stat.rsplit(") ").next().expect("fields").split(' ').collect();
    let ticks: f64 = fields[11..13].iter().map(|ticks| ticks.parse::<f64>().expect("a number")).sum();
    ticks / 100.0
}

fn round(server: &str, pid: u32, paths: &[String], api_key: &str, script: &Path) -> Round {
    let before = processor_s(pid);
    let (per_second, p99_full_ms) = wrk(server, script);
    let cpu_us = (processor_s(pid) - before) * 1e6 / (per_second * SECONDS as f64);
    let caller = |at: usize| {
        let mut paths = paths.to_vec();
        paths.rotate_left(at * ADDRESSES / CONNECTIONS);
        Caller { server: server.to_owned(), paths, api_key: api_key.to_owned() }
    };
    let callers: Vec<Caller> = (0..CONNECTIONS).map(caller).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let told = runtime.block_on(all_call(&callers, Pace::PerSecond(EQUAL), Duration::from_secs(SECONDS)));
    assert!(told.refused_us.is_empty(), "{server} answered {:?}", told.statuses);
    let us = |permille| at_permille(&told.answered_us, permille);
    Round { per_second, p99_full_ms, p50_us: us(500), p99_us: us(990), cpu_us }
}

/// Median, minimum and maximum.
fn middle(values: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    [values[values.len() / 2], values[0], values[values.len() - 1]]
}

fn tell(subjects: &[Subject]) {
    println!(
        "| server | requests/s (least to most) | ipgeo's | p99 then, ms | processor a request, µs | p50 / p99 at {EQUAL}/s, µs |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    let rate = |subject: &Subject| middle(subject.rounds.iter().map(|round| round.per_second));
    let ours = rate(&subjects[0])[0];
    for subject in subjects {
        let [median, least, most] = rate(subject);
        let of = |what: fn(&Round) -> f64| middle(subject.rounds.iter().map(what))[0];
        println!(
            "| {} | {median:.0} ({least:.0} to {most:.0}) | {:.1} × | {:.2} | {:.0} | {:.0} / {:.0} |",
            subject.name,
            ours / median,
            of(|round| round.p99_full_ms),
            of(|round| round.cpu_us),
            of(|round| round.p50_us.into()),
            of(|round| round.p99_us.into()),
        );
    }
}

fn main() {
    if Command::new("wrk").arg("--version").output().is_err() {
        eprintln!("wrk is not installed: nothing is measured");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("regions.toml");
    std::fs::write(&config, generous_toml(1, "")).expect("a file");
    let dev = Dev::start(&config, &["--no-throttle"]);
    let api_key = dev.ipgeo(&["keys", "create", "--owner", "bench", "--tier", "large"]);
    let (paths, python) = (paths(), peers().join("python/bin/python"));
    let script = script(folder.path(), &paths, &api_key);
    let ours = Subject { name: "ipgeo dev", server: dev.regions[0].clone(), process: None, rounds: vec![] };
    let theirs = [
        peer("FastAPI", &python, "fastapi_server.py", &dev, &api_key),
        peer("aiohttp", &python, "aiohttp_server.py", &dev, &api_key),
        peer("Fastify", Path::new("node"), "fastify_server.js", &dev, &api_key),
    ];
    let mut subjects: Vec<Subject> = [ours].into_iter().chain(theirs.into_iter().flatten()).collect();
    for _ in 0..ROUNDS {
        for subject in &mut subjects {
            let pid = subject.process.as_ref().map_or(dev.pid(), Child::id);
            subject.rounds.push(round(&subject.server, pid, &paths, &api_key, &script));
        }
    }
    println!(
        "{CONNECTIONS} connections, {ROUNDS} rounds in turns of {SECONDS} s of wrk and {SECONDS} s at {EQUAL}/s; medians\n"
    );
    tell(&subjects);
}
