//! Test fixtures: an API key's record, and a key store in memory that can be busy, lose responses or stop.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use ipgeo_contract::{Identity, KeyRecord};
use ipgeo_runtime::dynamo::{KeyChange, KeyWriteError};
use ipgeo_runtime::store::StoreError;

use super::store::KeyStore;

/// An active API key of the tier `startup`, without restrictions.
pub(crate) fn key_record(limit: &str) -> KeyRecord {
    KeyRecord::new(
        "ipg_…x3Kq",
        "acme",
        "startup",
        limit.parse().expect("a limit"),
        jiff::Timestamp::UNIX_EPOCH,
    )
}

#[derive(Default)]
pub(super) struct MemoryKeyStore(Mutex<StoreState>);

#[derive(Default)]
pub(super) struct StoreState {
    pub(super) items: BTreeMap<Identity, KeyRecord>,
    pub(super) puts: u64,
    pub(super) parallel_puts: usize,
    pub(super) parallel_puts_max: usize,
    /// Every such put is refused.
    pub(super) busy_every: u64,
    /// Every such put succeeds, but its response is lost.
    pub(super) lost_every: u64,
    /// After this many puts, all are refused.
    pub(super) stops_after: u64,
}

impl MemoryKeyStore {
    pub(super) fn new(state: StoreState) -> Self {
        Self(Mutex::new(state))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, StoreState> {
        self.0.lock().expect("unpoisoned")
    }
}

fn failed(why: &str) -> KeyWriteError {
    StoreError { action: "write of the access table".into(), source: why.into() }.into()
}

impl KeyStore for MemoryKeyStore {
    async fn list(&self) -> Result<Vec<(Identity, KeyRecord)>, StoreError> {
        Ok(self.state().items.clone().into_iter().collect())
    }

    async fn put(&self, identity: &Identity, record: &KeyRecord) -> Result<(), KeyWriteError> {
        {
            let mut state = self.state();
            state.parallel_puts += 1;
            state.parallel_puts_max = state.parallel_puts_max.max(state.parallel_puts);
        }
        tokio::task::yield_now().await;
        let mut state = self.state();
        state.parallel_puts -= 1;
        state.puts += 1;
        let is = |every: u64| every > 0 && state.puts.is_multiple_of(every);
        if is(state.busy_every) || (state.stops_after > 0 && state.puts > state.stops_after) {
            return Err(failed("throttled"));
        }
        let lost = is(state.lost_every);
        if state.items.contains_key(identity) {
            return Err(KeyWriteError::Exists);
        }
        state.items.insert(identity.clone(), record.clone());
        if lost { Err(failed("the connection was closed")) } else { Ok(()) }
    }

    async fn change(&self, identity: &Identity, change: &KeyChange) -> Result<KeyRecord, KeyWriteError> {
        let mut state = self.state();
        let record = state.items.get_mut(identity).ok_or(KeyWriteError::Missing)?;
        record.limit = change.limit.unwrap_or(record.limit);
        Ok(record.clone())
    }
}
