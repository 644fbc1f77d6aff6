//! The request path: `bootstrap` under a Runtime API on loopback, from its start to the first answer and warm, compared
//! in one run with the same lookup as a Python and a Node function, and with itself without a store.
//!
//! `runtime/benches/request_path/run.sh` builds and installs the programs and starts this one. Every program is a
//! separate process; this one only sends events and reads `/proc`. Linux only.
//!
//! `IPGEO_BENCH_FOLDER` is where the programs are (`target/lambda`), `IPGEO_BENCH_PEERS` where the peers are,
//! `IPGEO_BENCH_BEFORE` another `bootstrap` to compare with, `IPGEO_BENCH_DATABASE` a compiled database
//! (default: the sample), `IPGEO_BENCH_RUNS` how many cold starts.

#![expect(clippy::print_stdout, reason = "what was measured is the point")]

mod early;
mod stub;
mod subject;

use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use ipgeo_contract::{ApiKey, access_attr as attr};
use serde_json::{Value, json};
use stub::{Answered, RuntimeApi, serve_store};
use subject::{Resident, Store, Subject, World, processor_time, resident};
use tokio_rustls::rustls::ServerConfig;

/// Cold starts of each quick program, and the number of rounds per cold start of a slow one.
const RUNS: usize = 60;
const SLOW_EVERY: usize = 5;
/// Requests before warm ones are measured, warm requests in a round, and rounds.
const WARM_UP: usize = 200;
const WARM: usize = 500;
const WARM_ROUNDS: usize = 20;
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// The measurements of one program.
#[derive(Default)]
struct Seen {
    /// Start to the first answer, for a first request without a read of the store, and for one with an API key.
    ready: Vec<Duration>,
    keyed: Vec<Duration>,
    round_trips: Vec<Duration>,
    /// Processor time per request, the mean of each round.
    processor: Vec<Duration>,
    resident: Resident,
}

/// A running program and its Runtime API.
struct Running {
    child: Child,
    started: Instant,
    api: RuntimeApi,
    answers: Receiver<Answered>,
}

impl Running {
    fn start(subject: &Subject, world: &World, first: &str) -> Self {
        let (sender, answers) = channel();
        let api = RuntimeApi::serve(sender);
        api.send(first);
        let (child, started) = subject.start(world, &api.address);
        Self { child, started, api, answers }
    }

    fn answer(&self, expected: &str) -> Answered {
        let answered = self.answers.recv_timeout(ANSWER_WITHIN).expect("an answer");
        let answer: Value = serde_json::from_str(&answered.body).expect("an answer in JSON");
        assert_eq!(answer["statusCode"], 200, "{answer}");
        assert!(answered.body.contains(expected), "{answer}");
        answered
    }

    fn end(mut self) {
        self.child.kill().and_then(|()| self.child.wait()).expect("it ends");
    }
}

fn event(path: &str, key: &ApiKey) -> String {
    json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "",
        "headers": {
            "accept": "application/json", "accept-encoding": "gzip", "content-length": "0",
            "host": "api.example.com", "user-agent": "curl/8.9.1", "x-api-key": key.expose(),
            "x-amzn-trace-id": "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700", "x-forwarded-for": "81.2.69.142",
            "x-forwarded-port": "443", "x-forwarded-proto": "https",
        },
        "requestContext": {
            "accountId": "000000000000", "apiId": "abcdefghij", "domainName": "api.example.com",
            "domainPrefix": "api", "requestId": "JKJaXmPLvHcESHA=", "routeKey": "$default", "stage": "$default",
            "time": "25/Nov/2026:10:00:00 +0000", "timeEpoch": 1_795_600_800_000_u64,
            "http": {
                "method": "GET", "path": path, "protocol": "HTTP/1.1", "sourceIp": "81.2.69.142",
                "userAgent": "curl/8.9.1",
            },
        },
        "isBase64Encoded": false,
    })
    .to_string()
}

fn item() -> String {
    item_with_limit(100_000_000)
}

fn item_with_limit(calls: u64) -> String {
    json!({
        attr::ID: { "S": "key#00" }, attr::OWNER: { "S": "acme" }, attr::TIER: { "S": "startup" },
        attr::LIMIT: { "N": calls.to_string() }, attr::WINDOW: { "S": "month" }, attr::STATUS: { "S": "active" },
        attr::HINT: { "S": "ipg_…abcd" }, attr::CREATED: { "N": "1795600800000" },
    })
    .to_string()
}

/// A certificate for the store, a file of it alone, and one of this machine's roots with it. The first is for the
/// client that has its roots built in, the other for those that read the machine's when they start.
fn certificate(folder: &Path) -> (Arc<ServerConfig>, [PathBuf; 2]) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
    let own = made.cert.pem();
    let machine = std::fs::read_to_string("/etc/ssl/certs/ca-certificates.crt").unwrap_or_default();
    let files = [("own.pem", own.clone()), ("machine.pem", machine + &own)].map(|(name, text)| {
        let file = folder.join(name);
        std::fs::write(&file, text).expect("written");
        file
    });
    let key = tokio_rustls::rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let config = ServerConfig::builder().with_no_client_auth();
    (Arc::new(config.with_single_cert(vec![made.cert.der().clone()], key).expect("a key")), files)
}

fn path_of(variable: &str, otherwise: &str) -> PathBuf {
    let named = std::env::var_os(variable).map(PathBuf::from);
    named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(otherwise))
}

/// The installed programs, and the names of missing ones.
fn subjects(peers: &Path) -> Vec<Subject> {
    let ours = path_of("IPGEO_BENCH_FOLDER", "target/lambda");
    let rust = |name, program: PathBuf, store| {
        let folder = program.parent().expect("a folder").to_owned();
        Subject {
            name,
            program,
            arguments: vec![],
            folder,
            store,
            home: None,
            is_whole: true,
            is_quick: true,
        }
    };
    let mut all = vec![
        rust("floor: no store client", ours.join("floor"), Store::None),
        rust("bootstrap", ours.join("bootstrap"), Store::Plain),
        rust("bootstrap, store over TLS", ours.join("bootstrap"), Store::Tls),
    ];
    if let Some(before) = std::env::var_os("IPGEO_BENCH_BEFORE").map(PathBuf::from) {
        all.push(rust("bootstrap before", before.clone(), Store::Plain));
        all.push(rust("bootstrap before, over TLS", before, Store::Tls));
    }
    let functions = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/request_path/peers");
    let slow = |name, program: PathBuf, arguments: &[&str], store| Subject {
        name,
        program,
        arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
        folder: functions.clone(),
        store,
        home: None,
        is_whole: false,
        is_quick: false,
    };
    let python = peers.join("python/bin/python");
    let arguments = ["-m", "awslambdaric", "function.handler"];
    all.push(slow("Python: maxminddb", python.clone(), &arguments, Store::None));
    all.push(slow("Python: maxminddb, boto3", python, &arguments, Store::Plain));
    let client = peers.join("node/node_modules/aws-lambda-ric/index.mjs");
    let client = client.to_string_lossy();
    all.push(slow("Node: maxmind", "node".into(), &[&client, "function.handler"], Store::None));
    all
}

/// One start, and the time to the first answer.
fn cold(subject: &Subject, world: &World, first: &str, expected: &str) -> Duration {
    let running = Running::start(subject, world, first);
    let answered = running.answer(expected);
    let took = answered.at.duration_since(running.started);
    running.end();
    took
}

/// Requests to running programs, round by round.
fn warm(subjects: &[Subject], world: &World, event: &str, expected: &str, seen: &mut [Seen]) {
    let ask = |running: &Running| {
        running.api.send(event);
        running.answer(expected).round_trip
    };
    let start = |subject| {
        let running = Running::start(subject, world, event);
        running.answer(expected);
        for _ in 0..WARM_UP {
            ask(&running);
        }
        running
    };
    let running: Vec<Running> = subjects.iter().map(start).collect();
    for _ in 0..WARM_ROUNDS {
        for (running, seen) in running.iter().zip(&mut *seen) {
            let before = processor_time(running.child.id());
            seen.round_trips.extend((0..WARM).map(|_| ask(running)));
            let spent = processor_time(running.child.id()).saturating_sub(before);
            seen.processor.push(spent / u32::try_from(WARM).expect("few"));
        }
    }
    for (running, seen) in running.into_iter().zip(seen) {
        seen.resident = resident(running.child.id(), &world.database);
        running.end();
    }
}

/// The quantile, in thousandths.
fn quantile(values: &mut [Duration], permille: usize) -> Duration {
    values.sort_unstable();
    values
        .get((values.len() * permille / 1_000).min(values.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default()
}

fn ms(duration: Duration) -> String {
    format!("{:.2}", duration.as_secs_f64() * 1e3)
}

fn us(duration: Duration) -> String {
    format!("{:.0}", duration.as_secs_f64() * 1e6)
}

fn spread(values: &mut [Duration]) -> String {
    let [low, middle, high] = [250, 500, 750].map(|permille| ms(quantile(values, permille)));
    format!("{middle} ({low}–{high})")
}

fn print(subjects: &[Subject], seen: &mut [Seen]) {
    println!(
        "| program | start → /health, ms | start → first lookup with an API key, ms | warm round trip p50 / p99, µs | processor a request, µs | resident without the database: anonymous + files, MiB | program, MB |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    #[expect(clippy::cast_precision_loss, reason = "megabytes")]
    for (subject, seen) in subjects.iter().zip(seen) {
        let mib = |kib: u64| kib as f64 / 1_024.0;
        println!(
            "| {} | {} | {} | {} / {} | {} | {:.1} + {:.1} | {} |",
            subject.name,
            spread(&mut seen.ready),
            spread(&mut seen.keyed),
            us(quantile(&mut seen.round_trips, 500)),
            us(quantile(&mut seen.round_trips, 990)),
            us(quantile(&mut seen.processor, 500)),
            mib(seen.resident.anonymous),
            mib(seen.resident.files),
            if subject.is_whole { format!("{:.2}", subject.bytes() as f64 / 1e6) } else { String::new() },
        );
    }
}

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = std::env::var_os("IPGEO_BENCH_DATABASE").map_or_else(
        || {
            let file = folder.path().join("sample.mmdb");
            std::fs::write(&file, ipgeo_geo::compile::sample().expect("it compiles")).expect("written");
            file
        },
        PathBuf::from,
    );
    let (tls, roots) = certificate(folder.path());
    let item = item();
    let peers = path_of("IPGEO_BENCH_PEERS", "target/peers");
    let peers = std::path::absolute(&peers).unwrap_or(peers);
    let (plain, tls) = (serve_store(&item, None), serve_store(&item, Some(tls)));
    let mut world = World { database, plain, tls, roots, peers };
    let runs = std::env::var("IPGEO_BENCH_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(RUNS);
    let key = ApiKey::generate("ipg", |bytes| bytes.fill(99)).expect("an API key");
    let (health, lookup) = (event("/health", &key), event("/8.8.8.8", &key));
    let (there, missing): (Vec<_>, Vec<_>) = subjects(&world.peers).into_iter().partition(Subject::is_there);
    for subject in missing {
        println!("not measured: {} ({} is not there)", subject.name, subject.program.display());
    }
    let mut seen: Vec<Seen> = there.iter().map(|_| Seen::default()).collect();
    // Round by round, so that other load affects all alike.
    for round in 0..runs {
        for (subject, seen) in there.iter().zip(&mut seen) {
            if subject.is_quick || round % SLOW_EVERY == 0 {
                seen.ready.push(cold(subject, &world, &health, "ok"));
                seen.keyed.push(cold(subject, &world, &lookup, "8.8.8.8"));
            }
        }
    }
    warm(&there, &world, &lookup, "8.8.8.8", &mut seen);
    println!(
        "cold: {runs} starts each (slow ones {}), median (quartiles); warm: {WARM_ROUNDS} rounds of {WARM} requests",
        runs.div_ceil(SLOW_EVERY)
    );
    print(&there, &mut seen);
    let is_bootstrap = |subject: &Subject| subject.name == "bootstrap" && subject.is_there();
    if subjects(&world.peers).iter().any(is_bootstrap) {
        let bootstrap = || subjects(&path_of("IPGEO_BENCH_PEERS", "target/peers")).swap_remove(1);
        early::measure(bootstrap, &mut world, &lookup, "8.8.8.8");
    }
}
