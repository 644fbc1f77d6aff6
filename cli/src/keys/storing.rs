//! Stores many new API keys: parallel writes, each retried while the store is busy. Each write puts one whole record and
//! never overwrites another, so an interrupted run is continued by running it again.

use std::time::Duration;

use futures_util::StreamExt as _;
use ipgeo_runtime::dynamo::KeyWriteError;
use ipgeo_runtime::store::StoreError;

use super::store::KeyStore;
use super::transfer::ImportedKey;

/// Parallel writes. A new on-demand table takes 4,000 writes/s; 32 writers at 10 ms each make 3,200.
const PARALLEL_PUTS: usize = 32;
/// Attempts per write, in addition to the client's own retries.
const TRIES: u32 = 6;
/// Delay before the second attempt; doubles each time. A growing on-demand table accepts more after some seconds.
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Debug, thiserror::Error)]
#[error("store the API key of line {line}; run the same command again to continue")]
pub(crate) struct StoringError {
    pub line: u64,
    pub source: StoreError,
}

/// Stores every record and calls `stored` for each. The first permanent failure ends the run.
pub(crate) async fn store_all<S: KeyStore>(
    store: &S,
    records: &[ImportedKey],
    stored: impl Fn(),
) -> Result<(), StoringError> {
    let Some((first, rest)) = records.split_first() else { return Ok(()) };
    // Missing permission fails at once, without retries.
    put(store, first, 1).await?;
    stored();
    let mut writes = futures_util::stream::iter(rest)
        .map(|record| put(store, record, TRIES))
        .buffer_unordered(PARALLEL_PUTS);
    while let Some(written) = writes.next().await {
        written?;
        stored();
    }
    Ok(())
}

async fn put<S: KeyStore>(store: &S, record: &ImportedKey, tries: u32) -> Result<(), StoringError> {
    let mut pause = PAUSE;
    for _try in 1..tries {
        if written(store.put(&record.identity, &record.record).await).is_ok() {
            return Ok(());
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    let written = written(store.put(&record.identity, &record.record).await);
    written.map_err(|source| StoringError { line: record.line, source })
}

/// An existing record counts as stored: an earlier attempt stored it and its response was lost, or another writer stored
/// it, and the next run compares the two.
fn written(written: Result<(), KeyWriteError>) -> Result<(), StoreError> {
    match written {
        Ok(()) | Err(KeyWriteError::Exists | KeyWriteError::Missing) => Ok(()),
        Err(KeyWriteError::Store(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::HashMap;

    use ipgeo_contract::{Identity, KeyHash, KeyRecord};

    use super::super::testing::{MemoryKeyStore, StoreState, key_record};
    use super::super::transfer::plan_import;
    use super::*;

    fn records(count: u64) -> Vec<ImportedKey> {
        let record = |line: u64| ImportedKey {
            line,
            identity: Identity::key(&format!("{line:064x}").parse::<KeyHash>().expect("a hash")),
            record: KeyRecord { owner: format!("owner {line}"), ..key_record("5/day") },
        };
        (1..=count).map(record).collect()
    }

    fn is_complete(store: &MemoryKeyStore, records: &[ImportedKey]) -> bool {
        let state = store.state();
        let is_stored = |record: &ImportedKey| state.items.get(&record.identity) == Some(&record.record);
        state.items.len() == records.len() && records.iter().all(is_stored)
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_store_and_lost_responses_lose_nothing() {
        let records = records(1_000);
        let store =
            MemoryKeyStore::new(StoreState { busy_every: 10, lost_every: 7, ..StoreState::default() });
        let stored = Cell::new(0);
        store_all(&store, &records, || stored.set(stored.get() + 1)).await.expect("stored");
        assert_eq!(stored.get(), 1_000);
        assert!(is_complete(&store, &records));
        let most = store.state().parallel_puts_max;
        assert!((2..=PARALLEL_PUTS).contains(&most), "{most} parallel puts");
    }

    #[tokio::test]
    async fn a_store_that_refuses_the_first_put_is_not_retried() {
        let store = MemoryKeyStore::new(StoreState { busy_every: 1, ..StoreState::default() });
        let error = store_all(&store, &records(100), || {}).await.expect_err("refused");
        assert_eq!((error.line, store.state().puts), (1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn repeating_an_interrupted_import_completes_it() {
        let records = records(500);
        for stops_after in [1, 17, 250, 499] {
            let store = MemoryKeyStore::new(StoreState { stops_after, ..StoreState::default() });
            let error = store_all(&store, &records, || {}).await.expect_err("it stops");
            assert!((1..=500).contains(&error.line), "{error}");
            assert_eq!(store.state().items.len() as u64, stops_after);
            store.state().stops_after = 0;
            let known: HashMap<Identity, KeyRecord> = records
                .iter()
                .filter(|record| store.state().items.contains_key(&record.identity))
                .map(|record| (record.identity.clone(), record.record.clone()))
                .collect();
            let plan = plan_import(records.clone(), &known).expect("no problems");
            assert_eq!((plan.new.len() as u64, plan.known), (500 - stops_after, stops_after));
            store_all(&store, &plan.new, || {}).await.expect("stored");
            assert!(is_complete(&store, &records));
        }
    }
}
