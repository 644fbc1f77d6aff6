//! Counting under faults in thousands of runs: writes that are throttled, time out after they are applied, arrive late or get
//! garbled answers; killed writers; batches that are redelivered with other bounds, shuffled, or counted twice at once; shards
//! that split and merge; corrupt and repeated records. The ledger equals the events each time.
//!
//! `IPGEO_FAULT_RUNS=20000` sets the number of runs; run n is always the same.

use std::time::Instant;

use super::notes::cut;
use crate::support::flaky::{Done, FlakyStore, Rates};
use crate::support::ledger::{counted, publications_are_right, without_watermarks};
use crate::support::stream::{IDENTITIES, Stream};
use ipgeo_contract::Identity;
use ipgeo_runtime::store::{Applied, InvalidWrite, LedgerUpdate, LedgerWrite, Newest, StoreError};
use ipgeo_runtime::usage::{BatchResponse, KinesisEvent, KinesisRecord, UsageHandler};
use jiff::Timestamp;

const RUNS: u64 = 1_000;
/// Turns of the poller after which a run counts as stuck.
const TURNS_MAX: usize = 20_000;

type Handler = UsageHandler<&'static FlakyStore, &'static FlakyStore>;

/// One batch for one environment. Nobody reads the answer of a stray one, whose poller has ended.
struct Delivery {
    shard: usize,
    batch: Vec<KinesisRecord>,
    handler: usize,
    stray: bool,
}

/// One run: a stream, a failing store, and the counting environments.
struct Run {
    rng: fastrand::Rng,
    stream: Stream,
    store: &'static FlakyStore,
    handlers: Vec<Handler>,
    kills: bool,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let kills = rng.bool();
        let records = rng.usize(1..40);
        // A new environment only knows the repeats of a shard.
        let stream = Stream::written(&mut rng, records, !kills);
        let mut rate = |most| rng.u32(0..most);
        let rates = Rates { refused: rate(80), lost: rate(60), late: rate(50), garbled: rate(40) };
        let store = FlakyStore::leaked(seed, rates);
        let mut run = Self { rng, stream, store, handlers: Vec::new(), kills };
        run.start();
        run
    }

    /// Restarts the environments, which lose their memory.
    fn start(&mut self) {
        let count = if self.kills { 3 } else { 1 };
        self.handlers = (0..count).map(|_| UsageHandler::new(self.store, self.store)).collect();
    }

    fn deliveries(&mut self) -> Vec<Delivery> {
        let mut ready = self.stream.ready();
        self.rng.shuffle(&mut ready);
        ready.truncate(self.rng.usize(1..3));
        let mut deliveries = Vec::new();
        for shard in ready {
            for stray in [true, false] {
                if !stray || (self.kills && self.rng.u8(0..4) == 0) {
                    let batch = self.stream.batch(&mut self.rng, shard);
                    let handler = self.rng.usize(0..self.handlers.len());
                    deliveries.push(Delivery { shard, batch, handler, stray });
                }
            }
        }
        deliveries
    }

    /// Delivers all batches concurrently.
    async fn deliver(&self, deliveries: &[Delivery]) -> Vec<BatchResponse> {
        let mut under_way = futures_util::stream::FuturesOrdered::new();
        for delivery in deliveries {
            let event = KinesisEvent { records: delivery.batch.clone() };
            let handler = &self.handlers[delivery.handler];
            under_way.push_back(async move {
                let now = crate::support::now();
                let (mut response, report) = handler.handle(&event, now).await;
                drop(handler.note_or_redeliver(&event, &report, now, &mut response).await);
                response
            });
        }
        futures_util::StreamExt::collect(under_way).await
    }

    async fn drain(&mut self) -> Result<(), String> {
        for _ in 0..TURNS_MAX {
            if self.stream.ready().is_empty() {
                self.store.calm();
                return Ok(());
            }
            if self.kills && self.rng.u8(0..3) == 0 {
                self.store.kill_after(self.rng.u32(1..10));
            }
            let deliveries = self.deliveries();
            let answered = tokio::select! {
                biased;
                () = self.store.killed.notified() => None,
                answered = self.deliver(&deliveries) => Some(answered),
            };
            match answered {
                None => self.start(),
                Some(responses) => {
                    for (delivery, response) in deliveries.iter().zip(&responses) {
                        if !delivery.stray {
                            self.stream.settle(delivery.shard, &delivery.batch, response);
                        }
                    }
                }
            }
        }
        Err(format!("still counting after {TURNS_MAX} turns"))
    }

    fn check(&self) -> Result<(), String> {
        let ledger = without_watermarks(self.store.memory.ledger.lock().expect("unpoisoned").clone())?;
        let expected = counted(&self.stream.events);
        if ledger != expected {
            return Err(format!("the ledger is\n{ledger:#?}\nand the events are\n{expected:#?}"));
        }
        let published = self.store.memory.published.lock().expect("unpoisoned");
        for (identity, limit) in IDENTITIES {
            let identity: Identity = identity.parse().expect("an identity");
            let history = published.get(&identity).map(Vec::as_slice).unwrap_or_default();
            publications_are_right(&ledger, &identity, limit.parse().expect("a limit"), history)?;
        }
        Ok(())
    }
}

/// A ledger whose row of a shard can't be written, now or later.
struct FullRow(&'static FlakyStore);

impl LedgerWrite for FullRow {
    async fn apply(&self, update: &LedgerUpdate) -> Result<Applied, StoreError> {
        self.0.apply(update).await
    }

    async fn note_newest(&self, _: &Newest, _: Timestamp) -> Result<(), StoreError> {
        let why = InvalidWrite("ValidationException: the item is too large".into());
        Err(StoreError { action: "write".into(), source: why.into() })
    }
}

/// The sequence numbers that must be redelivered after counting a batch and saving its progress.
async fn redelivered<L: LedgerWrite + 'static>(
    counter: &UsageHandler<L, &'static FlakyStore>,
    event: &KinesisEvent,
    before_saving: impl FnOnce(),
) -> Vec<String> {
    let (mut response, report) = counter.handle(event, crate::support::now()).await;
    assert!(response.batch_item_failures.is_empty(), "{:?}", report.failures);
    before_saving();
    let noted = counter.note_or_redeliver(event, &report, crate::support::now(), &mut response).await;
    assert_eq!(noted.is_err_and(|error| !error.is_invalid()), !response.batch_item_failures.is_empty());
    response.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect()
}

/// Another environment would count repeats of lines that are not saved as counted.
#[tokio::test]
async fn a_batch_whose_lines_could_not_be_saved_is_redelivered() {
    let store = FlakyStore::leaked(1, Rates::default());
    let environment = || UsageHandler::new(store, store);
    let batch = |records: &[(u64, std::ops::Range<u64>)]| KinesisEvent {
        records: records.iter().map(|(sequence, ids)| cut(*sequence, ids.clone())).collect(),
    };
    let first = batch(&[(11, 5..9), (9, 0..5)]);
    assert_eq!(redelivered(&environment(), &first, || store.set_gone(true)).await, ["9"]);
    store.set_gone(false);
    assert!(redelivered(&environment(), &first, || ()).await.is_empty());
    assert!(redelivered(&environment(), &batch(&[(12, 0..9)]), || ()).await.is_empty());
    let ledger =
        without_watermarks(store.memory.ledger.lock().expect("unpoisoned").clone()).expect("a ledger");
    assert_eq!(ledger.values().map(|item| item.charged).collect::<Vec<_>>(), [9]);
    // A row that can never be written does not stop its shard.
    let full = UsageHandler::new(FullRow(store), store);
    assert!(redelivered(&full, &batch(&[(13, 9..10)]), || ()).await.is_empty());
}

fn runs() -> u64 {
    std::env::var("IPGEO_FAULT_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(RUNS)
}

#[test]
#[expect(clippy::print_stderr, reason = "the figures of the run are its result")]
fn the_ledger_equals_the_events_under_every_fault() {
    let (began, runs) = (Instant::now(), runs());
    let (mut done, mut events, mut poisoned, mut repeated) = (Done::default(), 0, 0, 0);
    for seed in 0..runs {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let mut run = Run::new(seed);
        let result = runtime.block_on(run.drain()).and_then(|()| run.check());
        if let Err(fault) = result {
            panic!("run {seed}: {fault}");
        }
        let of_run = *run.store.done.lock().expect("unpoisoned");
        done.add(of_run);
        events += run.stream.events.len();
        poisoned += run.stream.poisoned;
        repeated += run.stream.repeated;
    }
    eprintln!(
        "{runs} runs in {:.1} s: {events} events, {poisoned} poisoned and {repeated} repeated records; {done:?}",
        began.elapsed().as_secs_f64()
    );
    for (what, count) in [
        ("refused", done.refused),
        ("lost", done.lost),
        ("late", done.late),
        ("garbled", done.garbled),
        ("kills", done.kills),
        ("poisoned", poisoned),
        ("repeated", repeated),
    ] {
        assert!(count >= runs / 10, "{what}: only {count} in {runs} runs");
    }
}
