//! An edge with its store, log and clock in memory.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use ipgeo_contract::{AddressSecret, ApiKey, Identity, KeyRecord, Limit, Published, UsageEvent};
use ipgeo_geo::Database;
use ipgeo_runtime::lookup::{Answer, Event, Lookup, Settings, UsageSink};
use ipgeo_runtime::store::{AccessRead, StoreError};
use jiff::Timestamp;
use serde_json::Value;

/// An access table in memory that can be changed and can fail.
#[derive(Default)]
pub(super) struct Table {
    pub(super) keys: Mutex<BTreeMap<Identity, KeyRecord>>,
    pub(super) published: Mutex<BTreeMap<Identity, Published>>,
    pub(super) down: Mutex<bool>,
    pub(super) reads: AtomicUsize,
    pub(super) secret_reads: AtomicUsize,
}

impl Table {
    fn read(&self) -> Result<(), StoreError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        if *self.down.lock().expect("unpoisoned") {
            return Err(StoreError { action: "read".into(), source: "made to fail".into() });
        }
        Ok(())
    }
}

impl AccessRead for &'static Table {
    async fn key(&self, identity: &Identity) -> Result<Option<KeyRecord>, StoreError> {
        self.read()?;
        Ok(self.keys.lock().expect("unpoisoned").get(identity).cloned())
    }

    async fn published(&self, identities: &[Identity]) -> Result<Vec<Option<Published>>, StoreError> {
        self.read()?;
        let published = self.published.lock().expect("unpoisoned");
        Ok(identities.iter().map(|identity| published.get(identity).copied()).collect())
    }

    async fn address_secret(&self) -> Result<Option<AddressSecret>, StoreError> {
        self.secret_reads.fetch_add(1, Ordering::Relaxed);
        if *self.down.lock().expect("unpoisoned") {
            return Err(StoreError { action: "read".into(), source: "made to fail".into() });
        }
        Ok(Some(AddressSecret::new([3; 32])))
    }
}

/// Collects usage lines and warnings.
#[derive(Clone, Default)]
pub(super) struct Log {
    pub(super) lines: Arc<Mutex<Vec<String>>>,
    pub(super) warnings: Arc<Mutex<Vec<String>>>,
}

impl UsageSink for Log {
    fn usage(&self, line: String) {
        self.lines.lock().expect("unpoisoned").push(line);
    }

    fn warn(&self, message: String) {
        self.warnings.lock().expect("unpoisoned").push(message);
    }
}

/// One edge, its store, its log and its clock.
pub(super) struct Edge {
    pub(super) lookup: Lookup<&'static Table, Arc<Database>, Log>,
    pub(super) table: &'static Table,
    pub(super) log: Log,
    pub(super) now: Timestamp,
}

pub(super) fn sample() -> Arc<Database> {
    static SAMPLE: OnceLock<Arc<Database>> = OnceLock::new();
    let compile =
        || Database::from_bytes(ipgeo_geo::compile::sample().expect("it compiles")).expect("it opens");
    Arc::clone(SAMPLE.get_or_init(|| Arc::new(compile())))
}

pub(super) const NOW: &str = "2026-11-24T12:00:00Z";
pub(super) const CALLER: &str = "81.2.69.142";

pub(super) fn at(text: &str) -> Timestamp {
    text.parse().expect("a timestamp")
}

pub(super) fn limit(text: &str) -> Limit {
    text.parse().expect("a limit")
}

impl Edge {
    pub(super) fn new() -> Self {
        Self::with(|_| ())
    }

    pub(super) fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings {
            region: ipgeo_contract::RegionName::new("eu-central-1"),
            access_cache_s: 10,
            anonymous_limit: limit("5/day"),
            anonymous_site_limit: limit("8/day"),
            rates: ipgeo_contract::Rates::default(),
            quiet_permille: 0,
            unknown_key_status: 401,
            quota_status: 429,
            foreign_api_keys: false,
            web_page: true,
        };
        change(&mut settings);
        let table: &'static Table = Box::leak(Box::default());
        let log = Log::default();
        let lookup = Lookup::new(table, sample(), log.clone(), settings);
        Self { lookup, table, log, now: at(NOW) }
    }

    /// An API key with a record.
    pub(super) fn key(&self, change: impl FnOnce(&mut KeyRecord)) -> ApiKey {
        let count = self.table.keys.lock().expect("unpoisoned").len();
        let byte = u8::try_from(count).expect("few") + 1;
        let key = ApiKey::generate("ipg", |bytes| bytes.fill(byte)).expect("an API key");
        let mut record = KeyRecord::new(key.hint(), "acme", "startup", limit("100/month"), at(NOW));
        change(&mut record);
        self.table.keys.lock().expect("unpoisoned").insert(Identity::key(&key.hash()), record);
        key
    }

    pub(super) fn send(&self, event: &Event) -> Answer {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(self.lookup.handle(event, self.now))
    }

    pub(super) fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(&event("GET", path, headers))
    }

    pub(super) fn last_line(&self) -> UsageEvent {
        let lines = self.log.lines.lock().expect("unpoisoned");
        UsageEvent::parse(lines.last().expect("a line")).expect("a usage line")
    }

    pub(super) fn lines(&self) -> usize {
        self.log.lines.lock().expect("unpoisoned").len()
    }

    pub(super) fn reads(&self) -> usize {
        self.table.reads.load(Ordering::Relaxed)
    }
}

pub(super) fn event(method: &str, path_and_query: &str, headers: &[(&str, &str)]) -> Event {
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    let mut event = Event {
        raw_path: path.into(),
        raw_query_string: query.into(),
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        ..Event::default()
    };
    method.clone_into(&mut event.request_context.http.method);
    CALLER.clone_into(&mut event.request_context.http.source_ip);
    "r-1".clone_into(&mut event.request_context.request_id);
    event
}

pub(super) fn json(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", answer.body))
}

pub(super) fn charged(edge: &Edge) -> Vec<String> {
    let kind = |charge: &ipgeo_contract::Charge| {
        let pooled = if charge.identity.is_pooled() { "*" } else { "" };
        format!("{}{pooled}", charge.identity.kind().as_str())
    };
    edge.last_line().charges.iter().map(kind).collect()
}
