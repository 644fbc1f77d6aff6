//! For tests: a ledger and a stream in memory, with the same write conditions as the real ones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use ipgeo_contract::{Charge, Gap, Identity, Month, RegionName, UsageEvent, Verdict, padded_sequence};
use ipgeo_runtime::store::{Applied, LedgerUpdate, LedgerWrite, MonthTotals, Newest, ShardNote, StoreError};
use ipgeo_runtime::usage::{KinesisRecord, LogEvent, envelope};
use jiff::Timestamp;

use crate::usage::stream::{StreamPage, StreamPosition, StreamRead, StreamRecord};

#[derive(Debug, Default)]
pub(super) struct Item {
    pub(super) charged: u64,
    watermarks: BTreeMap<String, String>,
}

#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) items: BTreeMap<(Identity, Month), Item>,
    notes: BTreeMap<String, ShardNote>,
}

/// A ledger; clones are the same one.
#[derive(Debug, Clone, Default)]
pub(super) struct MemoryLedger(Arc<Mutex<Tables>>);

impl MemoryLedger {
    pub(super) fn tables(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().expect("unpoisoned")
    }

    /// Calls charged, by identity.
    pub(super) fn counts(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for ((identity, _), item) in &self.tables().items {
            *counts.entry(identity.to_string()).or_default() += item.charged;
        }
        counts
    }
}

impl LedgerWrite for MemoryLedger {
    async fn apply(&self, update: &LedgerUpdate) -> Result<Applied, StoreError> {
        let mut tables = self.tables();
        let item = tables.items.entry((update.identity.clone(), update.month)).or_default();
        let totals = MonthTotals { charged: item.charged, ..MonthTotals::default() };
        if let Some(watermark) = item.watermarks.get(&update.shard)
            && *watermark >= update.first
        {
            return Ok(Applied::Behind { watermark: watermark.clone(), totals });
        }
        item.charged += update.charged;
        item.watermarks.insert(update.shard.clone(), update.last.clone());
        Ok(Applied::Added(MonthTotals { charged: item.charged, ..MonthTotals::default() }))
    }

    async fn shard_note(&self, shard: &str) -> Result<Option<ShardNote>, StoreError> {
        Ok(self.tables().notes.get(shard).cloned())
    }

    async fn note_gap(&self, shard: &str, _number: u32, gap: &Gap) -> Result<bool, StoreError> {
        self.tables().notes.entry(shard.to_owned()).or_default().gaps.push(gap.clone());
        Ok(true)
    }

    async fn note_newest(&self, newest: &Newest, counted: Timestamp) -> Result<(), StoreError> {
        let mut tables = self.tables();
        let note = tables.notes.entry(newest.shard.clone()).or_default();
        if note.sequence < newest.sequence {
            let event = newest.regions.values().max().map(|event| (*event).min(counted));
            note.newest = note.newest.max(event);
            note.sequence.clone_from(&newest.sequence);
            note.fingerprints.clone_from(&newest.fingerprints);
        }
        Ok(())
    }
}

/// A stream: its records by shard.
#[derive(Debug, Clone, Default)]
pub(super) struct MemoryStream {
    pub(super) shards: BTreeMap<String, Vec<StreamRecord>>,
    /// Maximum records of a page.
    pub(super) page: usize,
}

impl MemoryStream {
    /// The padded sequence numbers of what it holds.
    pub(super) fn sequences(&self, shard: &str) -> BTreeSet<String> {
        let of = |kept: &StreamRecord| padded_sequence(&kept.record.kinesis.sequence_number);
        self.shards.get(shard).into_iter().flatten().filter_map(of).collect()
    }
}

impl StreamRead for MemoryStream {
    async fn shards(&self) -> Result<Vec<String>, StoreError> {
        Ok(self.shards.keys().cloned().collect())
    }

    async fn begin(&self, shard: &str, from: Timestamp) -> Result<StreamPosition, StoreError> {
        Ok(StreamPosition(self.shards[shard].partition_point(|kept| kept.at < from).to_string()))
    }

    async fn read(&self, shard: &str, place: StreamPosition) -> Result<StreamPage, StoreError> {
        let from: usize = place.0.parse().expect("a place");
        let all = &self.shards[shard];
        let to = (from + self.page).min(all.len());
        Ok(StreamPage {
            records: all[from..to].to_vec(),
            next: (to < all.len()).then(|| StreamPosition(to.to_string())),
        })
    }
}

/// One allowed call of a site.
pub(super) fn call(site: &str, time: Timestamp) -> UsageEvent {
    UsageEvent {
        time,
        verdict: Verdict::Allowed,
        cost: 1,
        region: RegionName::new("eu-central-1"),
        request_id: String::new(),
        tier: String::new(),
        charges: vec![Charge {
            identity: format!("site#{site}").parse().expect("an identity"),
            limit: "1000/day".parse().expect("a limit"),
        }],
    }
}

/// A record that carries calls.
pub(super) fn record(shard: &str, sequence: u64, events: &[UsageEvent]) -> KinesisRecord {
    let lines = events.iter().enumerate().map(|(index, event)| LogEvent {
        id: format!("{sequence}-{index}"),
        timestamp: event.time.as_millisecond(),
        message: event.to_line(),
    });
    let data = envelope("group", shard, lines.collect()).expect("packs");
    KinesisRecord::new(shard, &sequence.to_string(), &data)
}
