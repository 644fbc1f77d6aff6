//! The handler: decodes a batch of the stream, folds and flushes it, and reports what must be redelivered.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use ipgeo_contract::{Thresholds, padded_sequence};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::alerts::Alerts;
use super::decode::{Decoded, EventRecord, Skipped, decode};
use super::envelope::{KinesisEvent, KinesisRecord};
use super::flush::{Flushed, flush};
use super::newest::newest;
use super::repeats::Repeats;
use super::shards::Shard;
use super::totals::{CountedEvent, Totals};
use crate::store::{Alert, LedgerWrite, Newest, PublishWrite, ShardNote, StoreError};

/// Maximum concurrent writes: enough to hide the round trip, and few enough for the initial throughput of a new table.
pub const WRITES_AT_ONCE: usize = 16;

/// The answer to Lambda's poller, which redelivers everything from the lowest failed record on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchResponse {
    /// The records that failed.
    pub batch_item_failures: Vec<ItemFailure>,
}

impl BatchResponse {
    /// Retains the records of a batch that must be redelivered: those from the lowest failed one on. Returns whether any
    /// failed.
    pub fn retain_failed(&self, batch: &mut Vec<KinesisRecord>) -> bool {
        let sequence = |text: &str| padded_sequence(text).unwrap_or_default();
        let failed = self.batch_item_failures.iter().map(|failure| sequence(&failure.item_identifier)).min();
        batch.retain(|record| {
            failed.as_ref().is_some_and(|lowest| sequence(&record.kinesis.sequence_number) >= *lowest)
        });
        failed.is_some()
    }
}

/// A failed record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemFailure {
    /// The sequence number as received.
    pub item_identifier: String,
}

/// The result of a batch, logged as one line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Readable records.
    pub records: u64,
    /// Usage events in them.
    pub events: u64,
    /// Usage events that repeat log lines counted in another record of the stream.
    pub repeated_events: u64,
    /// What was skipped, and why.
    pub skipped: Skipped,
    /// Charges added to the ledger; one event has one charge, or two when it names an address and a site.
    pub added: u64,
    /// Charges that the ledger already had.
    pub known: u64,
    /// Publications written.
    pub publications: u64,
    /// Causes of the first few failed writes.
    pub failures: Vec<String>,
    /// New alerts, for the caller to send.
    #[serde(skip)]
    pub alerts: Vec<Alert>,
    /// The position up to which each shard is now counted: before the first failed record.
    #[serde(skip)]
    pub newest: Vec<Newest>,
}

/// Maximum failures listed in a report.
const FAILURES_LISTED_MAX: usize = 3;

/// Counts usage events into a ledger and publishes what edges may not know.
#[derive(Debug)]
pub struct UsageHandler<L, P> {
    ledger: Arc<L>,
    publish: Arc<P>,
    alerts: Arc<Alerts>,
    repeats: Mutex<Repeats>,
    /// The newest event of each shard.
    newest: Mutex<BTreeMap<String, Timestamp>>,
    /// Whether this is a replay.
    is_replay: bool,
}

impl<L, P> UsageHandler<L, P>
where
    L: LedgerWrite + 'static,
    P: PublishWrite + 'static,
{
    /// A handler that counts into `ledger` and publishes to `publish`.
    pub fn new(ledger: L, publish: P) -> Self {
        Self {
            ledger: Arc::new(ledger),
            publish: Arc::new(publish),
            alerts: Arc::default(),
            repeats: Mutex::default(),
            newest: Mutex::default(),
            is_replay: false,
        }
    }

    /// The same handler for a replay: it ignores saved fingerprints, since the counts may have been lost, but still recognises
    /// repeats among the lines that it reads.
    #[must_use]
    pub fn counting_again(mut self) -> Self {
        self.is_replay = true;
        self
    }

    pub(super) fn ledger(&self) -> &L {
        &self.ledger
    }

    pub(super) fn publish(&self) -> &P {
        &self.publish
    }

    /// The position up to which a shard is counted; `None` if unknown.
    pub async fn shard_note(&self, shard: &str) -> Result<Option<ShardNote>, StoreError> {
        self.ledger.shard_note(shard).await
    }

    /// The same handler, which records an alert when an API key reaches a threshold.
    #[must_use]
    pub fn with_alerts(mut self, thresholds: Thresholds) -> Self {
        self.alerts = Arc::new(Alerts::new(thresholds));
        self
    }

    /// Saves the counting progress of a batch. Until it is saved, another environment would count repeats of the batch's lines.
    pub async fn note(&self, report: &Report, counted: Timestamp) -> Result<(), StoreError> {
        for newest in &report.newest {
            self.ledger.note_newest(newest, counted).await?;
        }
        Ok(())
    }

    /// Saves the counting progress of a batch of the stream. If that fails, the batch must be redelivered, although its events are
    /// counted. A row that the store refuses as invalid would stop its shard for a day: the batch then ends without it.
    pub async fn note_or_redeliver(
        &self,
        event: &KinesisEvent,
        report: &Report,
        counted: Timestamp,
        response: &mut BatchResponse,
    ) -> Result<(), StoreError> {
        let noted = self.note(report, counted).await;
        if noted.as_ref().is_err_and(|error| !error.is_invalid()) {
            let records = event.records.iter().map(|record| &record.kinesis.sequence_number);
            let first = records.min_by_key(|sequence| padded_sequence(sequence));
            let failure = first.map(|sequence| ItemFailure { item_identifier: sequence.clone() });
            response.batch_item_failures.extend(failure);
        }
        noted
    }

    /// Counts a batch at the time `now`. Redeliver from the lowest failure until nothing fails; events are never counted
    /// twice.
    pub async fn handle(&self, event: &KinesisEvent, now: Timestamp) -> (BatchResponse, Report) {
        self.count(decode(event, now), now).await
    }

    /// Counts a decoded batch.
    pub async fn count(&self, decoded: Decoded, now: Timestamp) -> (BatchResponse, Report) {
        let mut report = Report {
            records: decoded.records.len() as u64,
            events: decoded.records.iter().map(|record| record.events.len() as u64).sum(),
            skipped: decoded.skipped,
            ..Report::default()
        };
        let mut shards: BTreeMap<String, Vec<EventRecord>> = BTreeMap::new();
        for record in decoded.records {
            shards.entry(record.shard.clone()).or_default().push(record);
        }
        let mut response = BatchResponse::default();
        for (name, mut records) in shards {
            if let Some(sequence) = self.count_shard(&name, &mut records, now, &mut report).await {
                let raw = records.iter().find(|record| record.sequence == sequence);
                response
                    .batch_item_failures
                    .extend(raw.map(|record| ItemFailure { item_identifier: record.raw_sequence.clone() }));
            }
        }
        (response, report)
    }

    /// Counts a shard's records, which are in order; returns the lowest sequence number that failed.
    async fn count_shard(
        &self,
        name: &str,
        records: &mut [EventRecord],
        now: Timestamp,
        report: &mut Report,
    ) -> Option<String> {
        let first = records.first()?.sequence.clone();
        let mut shard = match Shard::open(&*self.ledger, name, &first, now).await {
            Ok(shard) => shard,
            Err(error) => {
                report.fail("shard", &error);
                return Some(first);
            }
        };
        {
            let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
            let before = newest.get(name).copied();
            newest.insert(name.to_owned(), shard.include(records, before));
        }
        let shard = Arc::new(shard);
        {
            let mut repeats = self.repeats.lock().unwrap_or_else(PoisonError::into_inner);
            report.repeated_events += shard.without_repeats(records, &mut repeats, self.is_replay);
        }
        let failed = self.flush_shard(&shard, Totals::fold(&*records), report).await;
        // Records before the first failure are completely counted and are not redelivered.
        let complete = failed
            .as_ref()
            .map_or(records.len(), |failed| records.partition_point(|record| record.sequence < *failed));
        report.newest.extend(newest(name, &records[..complete], &shard.note));
        failed
    }

    /// Flushes a shard's items, several at once; returns the lowest sequence number that failed.
    async fn flush_shard(&self, shard: &Arc<Shard>, totals: Totals, report: &mut Report) -> Option<String> {
        let permits = Arc::new(Semaphore::new(WRITES_AT_ONCE));
        let mut flushes = JoinSet::new();
        let lowest_of_all = totals.items.values().filter_map(|events| first_sequence(events)).min();
        for (item, events) in totals.items {
            let (ledger, publish) = (Arc::clone(&self.ledger), Arc::clone(&self.publish));
            let (permits, shard) = (Arc::clone(&permits), Arc::clone(shard));
            let alerts = Arc::clone(&self.alerts);
            flushes.spawn(async move {
                // The semaphore is never closed; even without a permit the write would be correct.
                let _permit = permits.acquire_owned().await;
                let result = flush(&*ledger, &*publish, &alerts, &shard, &item, &events).await;
                (first_sequence(&events), item, result)
            });
        }
        let mut lowest: Option<String> = None;
        while let Some(joined) = flushes.join_next().await {
            let Ok((sequence, item, result)) = joined else {
                // It is unknown which write panicked, so everything is redelivered.
                report.failures.push("a write panicked".to_owned());
                lowest.clone_from(&lowest_of_all);
                continue;
            };
            match result {
                Ok(flushed) => report.add(flushed),
                Err(error) => {
                    report.fail(&format!("{} item", item.identity.kind().as_str()), &error);
                    lowest = lowest.into_iter().chain(sequence).min();
                }
            }
        }
        lowest
    }
}

fn first_sequence(events: &[CountedEvent]) -> Option<String> {
    events.first().map(|event| event.sequence.as_ref().to_owned())
}

impl Report {
    fn add(&mut self, flushed: Flushed) {
        self.added += flushed.added;
        self.known += flushed.known;
        self.publications += flushed.publications;
        self.alerts.extend(flushed.alerts);
    }

    fn fail(&mut self, what: &str, error: &StoreError) {
        if self.failures.len() < FAILURES_LISTED_MAX {
            let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
            self.failures.push(format!("{what}: {error}: {cause}"));
        }
    }
}
