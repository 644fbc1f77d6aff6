//! Home: the pollers of the stream and the counters that they invoke, with the real usage handler.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ipgeo_contract::{EarlyReport, RECORD_AGE_S, Thresholds};
use ipgeo_runtime::store::{AccessRead as _, Alert};
use ipgeo_runtime::tables::{AccessTable, LedgerTable};
use ipgeo_runtime::usage::{AlertMessage, BatchResponse, KinesisEvent, KinesisRecord, UsageHandler};
use tokio::sync::Notify;

use crate::client::Client;
use crate::pipe::Pipes;
use crate::recount::FailedBatch;
use crate::shared::{HOME, LEDGER, Shared, access_table, lock};
use crate::weather::Link;

/// The percentages of a limit at which alerts are sent.
pub(crate) const THRESHOLDS: [u8; 2] = [80, 100];
/// Most records of a batch.
const BATCH_RECORDS: usize = 100;
/// Milliseconds after which Lambda ends the counter.
const TIMEOUT_MS: u64 = 60_000;

/// One environment of the counter.
struct Counter {
    id: usize,
    usage: UsageHandler<LedgerTable<Client>, AccessTable<Client>>,
    ledger: LedgerTable<Client>,
    access: AccessTable<Client>,
    wrong_ms: i64,
}

/// The counter's environments that are idle, and the batches that were given up.
pub struct Home {
    world: Arc<Shared>,
    pipes: Arc<Pipes>,
    idle: Mutex<Vec<Counter>>,
    made: AtomicUsize,
    /// A batch begins to be counted.
    pub(crate) begins: Notify,
    /// Batches that Lambda has given up, as events.
    pub failed: Mutex<Vec<FailedBatch>>,
}

impl Home {
    pub(crate) fn new(world: &Arc<Shared>, pipes: &Arc<Pipes>) -> Arc<Self> {
        let (idle, failed) = (Mutex::default(), Mutex::default());
        Arc::new(Self {
            world: Arc::clone(world),
            pipes: Arc::clone(pipes),
            idle,
            made: AtomicUsize::new(0),
            begins: Notify::new(),
            failed,
        })
    }

    /// Home's ledger and access table, through a client of their own.
    pub fn tables(world: &Arc<Shared>) -> (LedgerTable<Client>, AccessTable<Client>) {
        let client = Client::of_home(world);
        (LedgerTable::new(client.clone(), LEDGER), AccessTable::new(client, access_table(HOME)))
    }

    /// Ends the counter's idle environments.
    pub fn restart(&self) {
        lock(&self.idle).clear();
    }

    fn counter(&self) -> Counter {
        if let Some(counter) = lock(&self.idle).pop()
            && !self.world.mishap(50)
        {
            return counter;
        }
        let (ledger, access) = Self::tables(&self.world);
        let thresholds = Thresholds::new(THRESHOLDS.to_vec()).unwrap_or_default();
        let usage = UsageHandler::new(ledger.clone(), access.clone()).with_alerts(thresholds);
        let wrong_ms = if self.world.scenario.mood.is_rough() {
            self.world.random(|random| random.i64(-800..=800))
        } else {
            0
        };
        Counter { id: self.made.fetch_add(1, Ordering::Relaxed), usage, ledger, access, wrong_ms }
    }

    /// Counts a batch, as `bootstrap` does.
    async fn count(self: Arc<Self>, records: Vec<KinesisRecord>) -> BatchResponse {
        let counter = self.counter();
        let now = || self.world.clock(counter.wrong_ms);
        self.begins.notify_waiters();
        let event = KinesisEvent { records };
        let (mut response, report) = counter.usage.handle(&event, now()).await;
        drop(counter.usage.note_or_redeliver(&event, &report, now(), &mut response).await);
        self.send_alerts_by(&counter.ledger, &counter.access, &report.alerts, counter.wrong_ms).await;
        lock(&self.idle).push(counter);
        response
    }

    /// Sends alerts, as an operator's verb does.
    pub(crate) async fn send_alerts(&self, alerts: &[Alert]) {
        let (ledger, access) = Self::tables(&self.world);
        self.send_alerts_by(&ledger, &access, alerts, 0).await;
    }

    async fn send_alerts_by(
        &self,
        ledger: &LedgerTable<Client>,
        access: &AccessTable<Client>,
        alerts: &[Alert],
        wrong_ms: i64,
    ) {
        for alert in alerts {
            let record = access.key(&alert.identity).await.ok().flatten();
            let message = AlertMessage::new(alert, record.as_ref());
            if self.world.mishap(30) {
                continue;
            }
            let ms = self.world.ms();
            lock(&self.world.history).alerts.push((ms, message.id));
            drop(ledger.alert_was_sent(alert, self.world.clock(wrong_ms)).await);
        }
    }

    /// Carries a report of early counts home; returns whether the environment knows that it arrived.
    pub(crate) async fn report(self: &Arc<Self>, region: usize, report: &EarlyReport) -> bool {
        let fate = self.world.fate(Link::Report(region), 150);
        let json = report.to_json();
        let repeats = 1 + u64::from(self.world.mishap(20));
        for repeat in 0..if fate.arrives { repeats } else { 0 } {
            let (home, json) = (Arc::clone(self), json.clone());
            // Lambda may invoke a function again much later.
            let later_ms = if repeat > 0 { self.world.between(0..=40 * 60_000) } else { 0 };
            let wait_ms = fate.there_ms + self.world.between(0..=3) + later_ms;
            self.world.spawn(async move {
                home.world.sleep_ms(wait_ms).await;
                home.count_early(&json).await;
            });
        }
        self.world.sleep_ms(fate.there_ms + fate.back_ms).await;
        fate.arrives && fate.is_answered
    }

    async fn count_early(&self, json: &str) {
        if !EarlyReport::is_one(json) {
            self.world.wrong(&format!("home does not accept a report of early counts: {json}"));
        }
        let Ok(report) = EarlyReport::from_json(json.as_bytes()) else {
            self.world.wrong(&format!("home can't read a report of early counts: {json}"));
            return;
        };
        lock(&self.world.history).reports += 1;
        let counter = self.counter();
        counter.usage.count_early(&report, self.world.clock(counter.wrong_ms)).await;
        lock(&self.idle).push(counter);
    }

    /// Reads a shard to its end, for ever: Lambda's poller.
    pub(crate) async fn poll(self: Arc<Self>, shard: usize) {
        let arrived = Arc::clone(&lock(&self.pipes.stream).shards[shard].arrived);
        loop {
            arrived.notified().await;
            while self.has_records(shard) {
                if self.parent_is_counted(shard) {
                    // The window, in which a batch is gathered.
                    self.world.sleep_ms(self.world.between(50..=self.world.scenario.window_s * 1_000)).await;
                    self.deliver(shard).await;
                } else {
                    self.world.sleep_ms(1_000).await;
                }
            }
        }
    }

    fn has_records(&self, shard: usize) -> bool {
        let stream = lock(&self.pipes.stream);
        stream.shards[shard].done < stream.shards[shard].records.len()
    }

    fn parent_is_counted(&self, shard: usize) -> bool {
        let stream = lock(&self.pipes.stream);
        let parent = stream.shards[shard].parent.map(|parent| &stream.shards[parent]);
        parent.is_none_or(|parent| parent.done == parent.records.len())
    }

    /// Delivers one batch until it is counted or given up.
    async fn deliver(self: &Arc<Self>, shard: usize) {
        let (mut from, to) = {
            let stream = lock(&self.pipes.stream);
            let Some(shard) = stream.shards.get(shard) else { return };
            // Sometimes the poller's own position is lost, and a batch begins earlier.
            let back = if self.world.mishap(40) { self.world.between(1..=3) } else { 0 };
            let from = shard.done.saturating_sub(usize::try_from(back).unwrap_or(0));
            (from, shard.records.len().min(shard.done + BATCH_RECORDS))
        };
        let mut pause_ms = 1_000;
        while from < to {
            let (records, oldest_ms) = {
                let stream = lock(&self.pipes.stream);
                let batch = &stream.shards[shard].records[from..to];
                (batch.iter().map(|(_, record)| record.clone()).collect::<Vec<_>>(), batch[0].0)
            };
            if self.world.ms().saturating_sub(oldest_ms) > u64::from(RECORD_AGE_S) * 1_000 {
                // Only records that are too old are given up.
                let old = self.old_records(shard, from, to);
                lock(&self.failed).push(FailedBatch { records: records[..old].to_vec() });
                self.world.operation(format!("{old} records of shard {shard} are given up"));
                from += old;
            } else if let Some(response) = self.invoke(&records).await {
                let mut left = records;
                from = if response.retain_failed(&mut left) { to - left.len() } else { to };
            }
            self.settle(shard, from);
            if from < to {
                self.pause(&mut pause_ms).await;
            }
        }
    }

    /// The poller does not deliver records before `from` again.
    fn settle(&self, shard: usize, from: usize) {
        let shard = &mut lock(&self.pipes.stream).shards[shard];
        shard.done = shard.done.max(from);
    }

    fn old_records(&self, shard: usize, from: usize, to: usize) -> usize {
        let age_ms = u64::from(RECORD_AGE_S) * 1_000;
        let now_ms = self.world.ms();
        let stream = lock(&self.pipes.stream);
        let batch = &stream.shards[shard].records[from..to];
        batch.iter().take_while(|(at_ms, _)| now_ms.saturating_sub(*at_ms) > age_ms).count()
    }

    async fn pause(&self, pause_ms: &mut u64) {
        self.world.sleep_ms(self.world.between(1..=*pause_ms)).await;
        *pause_ms = (*pause_ms * 2).min(60_000);
    }

    /// Invokes a counter; `None` if its answer does not arrive.
    async fn invoke(self: &Arc<Self>, records: &[KinesisRecord]) -> Option<BatchResponse> {
        lock(&self.world.history).batches += 1;
        let fate = self.world.fate(Link::Invoke, 20);
        if !fate.arrives {
            self.world.sleep_ms(5_000).await;
            return None;
        }
        self.world.sleep_ms(fate.there_ms).await;
        let counting = self.world.spawn(Arc::clone(self).count(records.to_vec()));
        if self.world.mishap(60) {
            // The counter dies at any moment.
            self.world.sleep_ms(self.world.between(0..=150)).await;
            counting.abort();
            return counting.await.ok();
        }
        if self.world.mishap(20) {
            // The poller gives an answer up that still comes, while another counter has the batch.
            self.world.sleep_ms(self.world.between(0..=60)).await;
            return None;
        }
        let aborts = counting.abort_handle();
        match tokio::time::timeout(Duration::from_millis(TIMEOUT_MS), counting).await {
            Ok(response) if fate.is_answered => response.ok(),
            Ok(_) => None,
            Err(_) => {
                aborts.abort();
                None
            }
        }
    }
}

impl std::fmt::Debug for Counter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "counter {}", self.id)
    }
}
