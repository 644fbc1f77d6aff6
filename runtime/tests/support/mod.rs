//! A store in memory with injected faults, and what the usage handler needs around it.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::allow_attributes,
    clippy::unwrap_used,
    reason = "each test file uses its part"
)]

pub mod edge;
pub mod flaky;
pub mod hostile;
pub mod ledger;
pub mod schema;
pub mod stream;

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use aws_sdk_dynamodb::config::Credentials;
use ipgeo_contract::{Charge, Gap, Identity, Limit, Month, Published, RegionName, UsageEvent, Verdict};
use ipgeo_runtime::dynamo::{AccessTable, Effort, LedgerTable, client, create_tables};
use ipgeo_runtime::store::{
    Alert, Applied, LedgerUpdate, LedgerWrite, MonthTotals, Newest, PublishWrite, ShardNote, StoreError,
};
use ipgeo_runtime::tables;
use ipgeo_runtime::usage::{KinesisEvent, KinesisRecord, LogEvent, UsageHandler, envelope};
use ipgeo_runtime::wire::{Account, Client};
use jiff::Timestamp;

/// The time of counting in tests: later than all events.
pub const NOW: &str = "2026-12-02T00:00:00Z";

pub fn now() -> Timestamp {
    NOW.parse().expect("a timestamp")
}

/// The failure of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is written, and an error is returned.
    Refused,
    /// It is written, but an error is returned: a timeout after applying.
    AppliedThenLost,
}

/// An item of the ledger in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryItem {
    pub charged: u64,
    pub days: BTreeMap<i8, u64>,
    pub regions: BTreeMap<String, u64>,
    pub verdicts: BTreeMap<Verdict, u64>,
    pub watermarks: BTreeMap<String, String>,
    pub before_gaps: BTreeMap<(String, u32), String>,
}

/// Ledger and access table in memory; the nth write (from 0) gets the fault at index n.
#[derive(Debug, Default)]
pub struct MemoryStore {
    pub ledger: Mutex<BTreeMap<(Identity, Month), MemoryItem>>,
    pub published: Mutex<BTreeMap<Identity, Vec<Published>>>,
    pub faults: Mutex<HashMap<usize, Fault>>,
    pub writes: Mutex<usize>,
    /// The limit in every API key's record, if a test needs one.
    pub limit: Mutex<Option<Limit>>,
    /// Alerts recorded, each once.
    pub alerts: Mutex<Vec<Alert>>,
    pub notes: Mutex<BTreeMap<String, ShardNote>>,
}

fn lost() -> StoreError {
    StoreError { action: "write".into(), source: "made to fail".into() }
}

impl MemoryStore {
    fn next_fault(&self) -> Option<Fault> {
        let mut writes = self.writes.lock().unwrap();
        let fault = self.faults.lock().unwrap().remove(&writes);
        *writes += 1;
        fault
    }

    /// Adds an update as the ledger's condition allows.
    pub fn add(&self, update: &LedgerUpdate) -> Applied {
        let mut ledger = self.ledger.lock().unwrap();
        let item = ledger.entry((update.identity.clone(), update.month)).or_default();
        let totals = |item: &MemoryItem| MonthTotals {
            charged: item.charged,
            days: item.days.clone(),
            includes_others: false,
        };
        if let Some(watermark) = item.watermarks.get(&update.shard)
            && *watermark >= update.first
        {
            return Applied::Behind { watermark: watermark.clone(), totals: totals(item) };
        }
        item.charged += update.charged;
        for (day, n) in &update.days {
            *item.days.entry(*day).or_default() += n;
        }
        for (region, n) in &update.regions {
            *item.regions.entry(region.clone()).or_default() += n;
        }
        for (verdict, n) in &update.verdicts {
            *item.verdicts.entry(*verdict).or_default() += n;
        }
        let before = item.watermarks.insert(update.shard.clone(), update.last.clone());
        if let Some((gap, _)) = update.gap {
            let later = item.before_gaps.range((update.shard.clone(), gap)..);
            let later = later.take_while(|((shard, _), _)| *shard == update.shard).map(|(_, at)| at.clone());
            let kept = later.chain(before).next().unwrap_or_else(|| "0".into());
            item.before_gaps.insert((update.shard.clone(), gap), kept);
        }
        Applied::Added(totals(item))
    }

    pub fn shard_note(&self, shard: &str) -> Option<ShardNote> {
        self.notes.lock().unwrap().get(shard).cloned()
    }

    pub fn note_gap(&self, shard: &str, number: u32, gap: &Gap) -> bool {
        let mut notes = self.notes.lock().unwrap();
        let note = notes.entry(shard.to_owned()).or_default();
        if note.gaps.len() + 1 == number as usize {
            note.gaps.push(gap.clone());
        }
        note.gaps.get(number as usize - 1) == Some(gap)
    }

    pub fn note_newest(&self, newest: &Newest, counted: Timestamp) {
        let mut notes = self.notes.lock().unwrap();
        let note = notes.entry(newest.shard.clone()).or_default();
        if note.sequence < newest.sequence {
            let event = newest.regions.values().max().map(|event| (*event).min(counted));
            note.newest = note.newest.max(event);
            note.sequence.clone_from(&newest.sequence);
            note.fingerprints.clone_from(&newest.fingerprints);
        }
    }

    /// Sets published usage as the access table's condition allows.
    pub fn set(&self, identity: &Identity, published: Published) {
        let mut all = self.published.lock().unwrap();
        let history = all.entry(identity.clone()).or_default();
        let newer = history.last().is_none_or(|last| {
            let (old, new) = (last.period.to_string(), published.period.to_string());
            old.len() != new.len() || old < new || (old == new && last.used < published.used)
        });
        if newer {
            history.push(published);
        }
    }
}

impl LedgerWrite for &'static MemoryStore {
    async fn apply(&self, update: &LedgerUpdate) -> Result<Applied, StoreError> {
        match self.next_fault() {
            Some(Fault::Refused) => Err(lost()),
            Some(Fault::AppliedThenLost) => {
                self.add(update);
                Err(lost())
            }
            None => Ok(self.add(update)),
        }
    }

    async fn record_alert(&self, alert: &Alert) -> Result<bool, StoreError> {
        let mut alerts = self.alerts.lock().unwrap();
        let same = |known: &Alert| {
            (&known.identity, known.period, known.percent, known.limit)
                == (&alert.identity, alert.period, alert.percent, alert.limit)
        };
        let is_new = !alerts.iter().any(same);
        if is_new {
            alerts.push(alert.clone());
        }
        Ok(is_new)
    }

    async fn shard_note(&self, shard: &str) -> Result<Option<ShardNote>, StoreError> {
        Ok(MemoryStore::shard_note(self, shard))
    }

    async fn note_gap(&self, shard: &str, number: u32, gap: &Gap) -> Result<bool, StoreError> {
        Ok(MemoryStore::note_gap(self, shard, number, gap))
    }

    async fn note_newest(&self, newest: &Newest, counted: Timestamp) -> Result<(), StoreError> {
        MemoryStore::note_newest(self, newest, counted);
        Ok(())
    }
}

impl PublishWrite for &'static MemoryStore {
    async fn publish(
        &self,
        identity: &Identity,
        limit: Limit,
        published: Published,
    ) -> Result<Option<Limit>, StoreError> {
        match self.next_fault() {
            Some(Fault::Refused) => Err(lost()),
            Some(Fault::AppliedThenLost) => {
                self.set(identity, published);
                Err(lost())
            }
            None => {
                let holds = *self.limit.lock().unwrap();
                if holds.is_none_or(|holds| holds.window == limit.window) {
                    self.set(identity, published);
                }
                Ok(holds)
            }
        }
    }
}

/// A handler over a store that lives as long as the test.
pub fn memory_handler() -> (&'static MemoryStore, UsageHandler<&'static MemoryStore, &'static MemoryStore>) {
    let store: &'static MemoryStore = Box::leak(Box::default());
    (store, UsageHandler::new(store, store))
}

/// An empty pair of tables, served until the test's runtime ends: through the SDK, and through the Lambda's own client.
#[derive(Clone)]
pub struct Tables {
    pub endpoint: String,
    pub access: AccessTable,
    pub ledger: LedgerTable,
    pub own_access: tables::AccessTable<Client>,
    pub own_ledger: tables::LedgerTable<Client>,
}

impl Tables {
    pub async fn serve() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        tokio::spawn(dynoxide::server::serve_on(listener, dynoxide::Database::memory().expect("a store")));
        let tables = Self::unmade(&endpoint);
        tables.create().await.expect("tables");
        tables.create().await.expect("creating them again changes nothing");
        tables
    }

    /// Tables of a database by its URL, before they are created.
    pub fn unmade(endpoint: &str) -> Self {
        let credentials = Credentials::new("test", "test", None, None, "tests");
        let sdk = client(Some(endpoint), "eu-central-1", credentials.clone(), Effort::Patient);
        let account = Account::at(endpoint, "eu-central-1", credentials);
        let own = Client::new(&account, Effort::Patient).expect("a client");
        Self {
            endpoint: endpoint.to_owned(),
            access: AccessTable::new(sdk.clone(), "access"),
            ledger: LedgerTable::new(sdk, "ledger"),
            own_access: tables::AccessTable::new(own.clone(), "access"),
            own_ledger: tables::LedgerTable::new(own, "ledger"),
        }
    }

    /// Creates them unless they exist.
    pub async fn create(&self) -> Result<(), StoreError> {
        create_tables(self.access.client(), "access", "ledger").await
    }
}

/// An allowed event of one call.
pub fn event(time: &str, identity: &str, limit: &str) -> UsageEvent {
    UsageEvent {
        time: time.parse::<Timestamp>().expect("a timestamp"),
        verdict: Verdict::Allowed,
        cost: 1,
        region: RegionName::new("eu-central-1"),
        request_id: "r".into(),
        tier: "startup".into(),
        charges: vec![Charge {
            identity: identity.parse().expect("an identity"),
            limit: limit.parse().expect("a limit"),
        }],
    }
}

/// A record of the stream that carries these events in a real envelope.
pub fn record(shard: &str, sequence: u64, events: &[UsageEvent]) -> KinesisRecord {
    let lines = events.iter().enumerate().map(|(index, event)| LogEvent {
        id: format!("{shard}-{sequence}-{index}"),
        timestamp: event.time.as_millisecond(),
        message: event.to_line(),
    });
    let data = envelope("ipgeo", "stream", lines.collect()).expect("packs");
    KinesisRecord::new(shard, &sequence.to_string(), &data)
}

/// Delivers a batch until nothing fails, as the stream's poller does, and saves the progress; at most `tries` times.
pub async fn deliver<L: LedgerWrite + 'static, P: PublishWrite + 'static>(
    handler: &UsageHandler<L, P>,
    batch: Vec<KinesisRecord>,
    tries: usize,
) {
    let mut batch = batch;
    for _ in 0..tries {
        let (response, report) = handler.handle(&KinesisEvent { records: batch.clone() }, now()).await;
        handler.note(&report, now()).await.expect("noted");
        if !response.retain_failed(&mut batch) {
            return;
        }
    }
    panic!("still failing after {tries} tries");
}
