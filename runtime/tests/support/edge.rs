//! An edge in memory: its replica of the access table, which can fail; a geo database with one location; a collected log.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use ipgeo_contract::{AddressSecret, ApiKey, Identity, KeyRecord, Published};
use ipgeo_runtime::lookup::{Answer, Event, Geo, Lookup, Origins, Settings, UsageSink};
use ipgeo_runtime::store::{AccessRead, StoreError};
use jiff::Timestamp;

/// A region's replica of the access table.
#[derive(Debug, Default)]
pub struct Replica {
    pub keys: Mutex<BTreeMap<Identity, KeyRecord>>,
    pub published: Mutex<BTreeMap<Identity, Published>>,
    pub gone: Mutex<bool>,
}

impl Replica {
    fn read(&self) -> Result<(), StoreError> {
        if *self.gone.lock().unwrap() {
            return Err(StoreError { action: "read".into(), source: "made to fail".into() });
        }
        Ok(())
    }

    /// Receives what home has published.
    pub fn replicate(&self, home: &BTreeMap<Identity, Vec<Published>>) {
        for (identity, history) in home {
            let Some(last) = history.last() else { continue };
            match self.keys.lock().unwrap().get_mut(identity) {
                Some(record) => record.published = Some(*last),
                None => drop(self.published.lock().unwrap().insert(identity.clone(), *last)),
            }
        }
    }
}

impl AccessRead for &'static Replica {
    async fn key(&self, identity: &Identity) -> Result<Option<KeyRecord>, StoreError> {
        self.read()?;
        Ok(self.keys.lock().unwrap().get(identity).cloned())
    }

    async fn published(&self, identities: &[Identity]) -> Result<Vec<Option<Published>>, StoreError> {
        self.read()?;
        let published = self.published.lock().unwrap();
        Ok(identities.iter().map(|identity| published.get(identity).copied()).collect())
    }

    async fn address_secret(&self) -> Result<Option<AddressSecret>, StoreError> {
        self.read()?;
        Ok(Some(AddressSecret::new([3; 32])))
    }
}

/// A geo database with one location for all addresses, and all odd network numbers.
#[derive(Clone, Copy, Debug)]
pub struct OnePlace;

impl Geo for OnePlace {
    fn write_location(&self, _address: IpAddr, _now: Timestamp, out: &mut String) -> Option<&str> {
        out.push_str(r#""city":"London","latitude":51.5"#);
        Some("")
    }

    fn asn(&self, number: u32) -> Option<String> {
        (number % 2 == 1).then(|| format!(r#"{{"asn":"AS{number}"}}"#))
    }

    fn origins(&self, _address: IpAddr) -> Option<Origins<'_>> {
        None
    }

    fn date(&self) -> &'static str {
        "2026-11-24"
    }

    fn attribution(&self) -> Option<(&str, &str)> {
        None
    }
}

/// Everything that an edge has logged.
#[derive(Clone, Debug, Default)]
pub struct Log {
    pub lines: Arc<Mutex<Vec<String>>>,
    pub warnings: Arc<Mutex<Vec<String>>>,
}

impl UsageSink for Log {
    fn usage(&self, line: String) {
        self.lines.lock().unwrap().push(line);
    }

    fn warn(&self, message: String) {
        self.warnings.lock().unwrap().push(message);
    }
}

/// One environment of a region.
pub struct Edge<G = OnePlace> {
    pub lookup: Lookup<&'static Replica, G, Log>,
    pub replica: &'static Replica,
    pub log: Log,
}

impl Edge {
    /// An edge with an empty memory and its own replica.
    pub fn new(region: &str) -> Self {
        Self::over(region, OnePlace)
    }
}

impl<G: Geo> Edge<G> {
    /// An edge with another geo database.
    pub fn over(region: &str, geo: G) -> Self {
        Self::with(region, geo, |_| ())
    }

    /// An edge with other settings.
    pub fn with(region: &str, geo: G, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings {
            region: ipgeo_contract::RegionName::new(region),
            access_cache_s: 10,
            anonymous_limit: "1500/day".parse().expect("a limit"),
            anonymous_site_limit: "50000/day".parse().expect("a limit"),
            rates: ipgeo_contract::Rates::default(),
            quiet_permille: 4,
            unknown_key_status: 401,
            quota_status: 429,
            foreign_api_keys: false,
            web_page: true,
        };
        change(&mut settings);
        let (replica, log): (&'static Replica, _) = (Box::leak(Box::default()), Log::default());
        Self { lookup: Lookup::new(replica, geo, log.clone(), settings), replica, log }
    }

    /// Adds an API key.
    pub fn knows(&self, key: &ApiKey, record: KeyRecord) {
        self.replica.keys.lock().unwrap().insert(Identity::key(&key.hash()), record);
    }

    pub async fn get(&self, key: Option<&ApiKey>, caller: &str, now: Timestamp) -> Answer {
        let mut event = Event { raw_path: "/8.8.8.8".into(), ..Event::default() };
        event.request_context.http.method = "GET".into();
        event.request_context.http.source_ip = caller.into();
        if let Some(key) = key {
            event.headers.insert("x-api-key".into(), key.expose().into());
        }
        self.lookup.handle(&event, now).await
    }
}

/// A valid record of an API key.
pub fn key_record(key: &ApiKey, limit: &str) -> KeyRecord {
    KeyRecord::new(key.hint(), "acme", "startup", limit.parse().expect("a limit"), Timestamp::UNIX_EPOCH)
}
