//! The real binary, killed: `bootstrap` counts a stream into a real DynamoDB API through a network that throttles, loses
//! answers, answers garbage, and SIGKILLs it at a random write. It is restarted and the batches are redelivered with other
//! bounds; in the end the ledger equals the events.
//!
//! `IPGEO_KILL_RUNS=200` sets the number of runs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use crate::lambda::{RuntimeApi, Tables, next_line, sns, start, tables};
use crate::network::Network;
use crate::support::MemoryItem;
use crate::support::ledger::{Ledger, counted, publications_are_right, without_watermarks};
use crate::support::stream::{IDENTITIES, Stream};
use ipgeo_contract::{Identity, IdentityKind, KeyRecord, Limit, Published, env};
use ipgeo_runtime::store::AccessRead as _;
use ipgeo_runtime::usage::BatchResponse;
use jiff::Timestamp;
use serde_json::json;
use tokio::process::Child;

const RUNS: u64 = 20;
const TURNS_MAX: usize = 2_000;

/// A counting process, and its Runtime API.
struct Counter {
    child: Child,
    api: Arc<RuntimeApi>,
}

impl Counter {
    async fn start(tables: &Tables, sns: &str) -> Self {
        let (api, address) = RuntimeApi::serve().await;
        let (child, mut log) = start(env::HANDLER_USAGE, &address, tables, sns, Path::new("none"));
        // A full pipe would stop the process.
        tokio::spawn(async move { while let Ok(Some(_)) = next_line(&mut log).await {} });
        Self { child, api }
    }
}

fn limit_of(text: &str) -> Limit {
    text.parse().expect("a limit")
}

async fn put_keys(tables: &Tables) {
    for (identity, limit) in IDENTITIES {
        let identity: Identity = identity.parse().expect("an identity");
        if identity.kind() == IdentityKind::Key {
            let record = KeyRecord::new("ipg_…x3Kq", "acme", "startup", limit_of(limit), Timestamp::now());
            tables.access.put_key(&identity, &record).await.expect("stored");
        }
    }
}

async fn ledger(tables: &Tables) -> Ledger {
    let items = tables.ledger.everything().await.expect("a read");
    let item = |item: ipgeo_runtime::dynamo::LedgerItem| {
        let kept = MemoryItem {
            charged: item.charged,
            days: item.days,
            regions: item.regions,
            verdicts: item.verdicts,
            watermarks: item.watermarks,
            before_gaps: item.before_gaps,
        };
        ((item.identity, item.month), kept)
    };
    items.into_iter().map(item).collect()
}

async fn published(tables: &Tables, identity: &Identity) -> Option<Published> {
    match identity.kind() {
        IdentityKind::Key => tables.access.key(identity).await.expect("a read").and_then(|key| key.published),
        _ => tables.access.published(std::slice::from_ref(identity)).await.expect("a read")[0],
    }
}

/// Published usage, as seen by repeated reads.
#[derive(Default)]
struct Histories(BTreeMap<Identity, Vec<Published>>);

impl Histories {
    async fn look(&mut self, tables: &Tables) {
        for (identity, _) in IDENTITIES {
            let identity: Identity = identity.parse().expect("an identity");
            if let Some(now) = published(tables, &identity).await {
                let history = self.0.entry(identity).or_default();
                if history.last() != Some(&now) {
                    history.push(now);
                }
            }
        }
    }
}

/// One run; returns how often the process was killed.
async fn run(seed: u64, sns: &str) -> crate::network::Done {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut stream = Stream::written(&mut rng, 16, false);
    let direct = tables().await;
    put_keys(&direct).await;
    let server = direct.endpoint.trim_start_matches("http://").parse().expect("an address");
    let (network, endpoint) = Network::before(server, seed).await;
    let through = Tables { endpoint, ..direct.clone() };

    let mut histories = Histories::default();
    let mut kills_left = rng.u32(1..5);
    let mut counter: Option<Counter> = None;
    for _ in 0..TURNS_MAX {
        let ready = stream.ready();
        if ready.is_empty() {
            break;
        }
        if counter.is_none() {
            network.start((kills_left > 0).then(|| rng.u32(1..25)));
            counter = Some(Counter::start(&through, sns).await);
        }
        let Some(running) = &mut counter else { unreachable!() };
        let shard = ready[rng.usize(0..ready.len())];
        let batch = stream.batch(&mut rng, shard);
        let event = json!({ "Records": batch }).to_string();
        tokio::select! {
            biased;
            () = network.killed.notified() => {
                running.child.kill().await.expect("it is killed");
                (counter, kills_left) = (None, kills_left.saturating_sub(1));
            }
            answer = running.api.invoke(&event) => {
                let response: BatchResponse = serde_json::from_value(answer).expect("a response");
                stream.settle(shard, &batch, &response);
            }
        }
        histories.look(&direct).await;
    }
    assert!(stream.ready().is_empty(), "run {seed}: still counting after {TURNS_MAX} turns");
    check(seed, &stream, without_watermarks(ledger(&direct).await), &histories);
    if let Some(mut running) = counter {
        running.child.kill().await.expect("it ends");
    }
    network.done()
}

fn check(seed: u64, stream: &Stream, ledger: Result<Ledger, String>, histories: &Histories) {
    let ledger = ledger.unwrap_or_else(|fault| panic!("run {seed}: {fault}"));
    assert_eq!(ledger, counted(&stream.events), "run {seed}");
    for (identity, limit) in IDENTITIES {
        let identity: Identity = identity.parse().expect("an identity");
        let history = histories.0.get(&identity).map(Vec::as_slice).unwrap_or_default();
        if let Err(fault) = publications_are_right(&ledger, &identity, limit_of(limit), history) {
            panic!("run {seed}: {fault}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stderr, reason = "the figures of the run are its result")]
async fn a_counter_that_is_killed_again_and_again_counts_exactly_once() {
    let runs = std::env::var("IPGEO_KILL_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(RUNS);
    let (_taken, sns) = sns().await;
    let began = Instant::now();
    let mut all = crate::network::Done::default();
    for seed in 0..runs {
        let done = run(seed, &sns).await;
        all.writes += done.writes;
        all.throttled += done.throttled;
        all.lost += done.lost;
        all.garbled += done.garbled;
        all.killed += done.killed;
    }
    eprintln!("{runs} runs in {:.1} s: {all:?}", began.elapsed().as_secs_f64());
    assert!(u64::from(all.killed) >= runs, "{all:?}");
    assert!(all.throttled > 0 && all.lost > 0 && all.garbled > 0, "{all:?}");
}
