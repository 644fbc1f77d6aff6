//! Stores many new API keys: parallel writes, each retried while the store is busy. Each write puts one whole record and
//! never overwrites another, so an interrupted run is continued by running it again.

use std::time::Duration;

use futures_util::StreamExt as _;
use ipgeo_runtime::dynamo::KeyWriteError;
use ipgeo_runtime::store::StoreError;

use super::store::KeyStore;
use super::transfer::Imported;

/// Parallel writes. A new on-demand table takes 4,000 writes/s; 32 writers at 10 ms each make 3,200.
const AT_ONCE: usize = 32;
/// Attempts per write, in addition to the client's own retries.
const TRIES: u32 = 6;
/// Delay before the second attempt; doubles each time. A growing on-demand table accepts more after some seconds.
const PAUSE: Duration = Duration::from_millis(500);

/// A record that could not be stored.
#[derive(Debug, thiserror::Error)]
#[error("store the API key of line {line}; run the same command again to continue")]
pub struct StoringError {
    /// Its line in the file.
    pub line: u64,
    /// Why.
    #[source]
    pub source: StoreError,
}

/// Stores every record and calls `stored` for each. The first permanent failure ends the run.
pub async fn store_all<S: KeyStore>(
    store: &S,
    records: &[Imported],
    stored: impl Fn(),
) -> Result<(), StoringError> {
    let Some((first, rest)) = records.split_first() else { return Ok(()) };
    // Missing permission fails at once, without retries.
    put(store, first, 1).await?;
    stored();
    let mut writes =
        futures_util::stream::iter(rest).map(|record| put(store, record, TRIES)).buffer_unordered(AT_ONCE);
    while let Some(written) = writes.next().await {
        written?;
        stored();
    }
    Ok(())
}

async fn put<S: KeyStore>(store: &S, record: &Imported, tries: u32) -> Result<(), StoringError> {
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
    use std::collections::{BTreeMap, HashMap};
    use std::sync::{Mutex, MutexGuard};

    use ipgeo_contract::{Identity, KeyHash, KeyRecord, Status};
    use ipgeo_runtime::dynamo::KeyChange;
    use jiff::Timestamp;

    use super::super::transfer::plan_import;
    use super::*;

    /// A store that is busy, loses answers, or ends.
    #[derive(Default)]
    struct Fake(Mutex<State>);

    #[derive(Default)]
    struct State {
        items: BTreeMap<String, KeyRecord>,
        puts: u64,
        at_once: usize,
        most_at_once: usize,
        /// Every such put is refused.
        busy_every: u64,
        /// Every such put succeeds, but its response is lost.
        lost_every: u64,
        /// After this many puts, all are refused.
        ends_after: u64,
    }

    impl Fake {
        fn of(state: State) -> Self {
            Self(Mutex::new(state))
        }

        fn state(&self) -> MutexGuard<'_, State> {
            self.0.lock().expect("nobody panicked")
        }
    }

    fn failed(why: &str) -> KeyWriteError {
        StoreError { action: "write of the access table".into(), source: why.into() }.into()
    }

    impl KeyStore for Fake {
        async fn list(&self) -> Result<Vec<(Identity, KeyRecord)>, StoreError> {
            unreachable!("storing never lists API keys")
        }

        async fn put(&self, identity: &Identity, record: &KeyRecord) -> Result<(), KeyWriteError> {
            {
                let mut state = self.state();
                state.at_once += 1;
                state.most_at_once = state.most_at_once.max(state.at_once);
            }
            tokio::task::yield_now().await;
            let mut state = self.state();
            state.at_once -= 1;
            state.puts += 1;
            let is = |every: u64| every > 0 && state.puts.is_multiple_of(every);
            if is(state.busy_every) || (state.ends_after > 0 && state.puts > state.ends_after) {
                return Err(failed("throttled"));
            }
            let lost = is(state.lost_every);
            if state.items.contains_key(identity.as_str()) {
                return Err(KeyWriteError::Exists);
            }
            state.items.insert(identity.as_str().to_owned(), record.clone());
            if lost { Err(failed("the connection was closed")) } else { Ok(()) }
        }

        async fn change(&self, _: &Identity, _: &KeyChange) -> Result<KeyRecord, KeyWriteError> {
            unreachable!("storing changes nothing")
        }
    }

    fn records(count: u64) -> Vec<Imported> {
        let record = |line: u64| Imported {
            line,
            identity: Identity::key(&format!("{line:064x}").parse::<KeyHash>().expect("a hash")),
            record: KeyRecord {
                owner: format!("owner {line}"),
                tier: "startup".into(),
                limit: "5/day".parse().expect("a limit"),
                status: Status::Active,
                expires: None,
                sites: vec![],
                networks: vec![],
                hint: String::new(),
                created: Timestamp::UNIX_EPOCH,
                published: None,
            },
        };
        (1..=count).map(record).collect()
    }

    fn is_whole(fake: &Fake, records: &[Imported]) -> bool {
        let state = fake.state();
        let of = |record: &Imported| state.items.get(record.identity.as_str()) == Some(&record.record);
        state.items.len() == records.len() && records.iter().all(of)
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_store_and_lost_answers_delay_and_lose_nothing() {
        let records = records(1_000);
        let fake = Fake::of(State { busy_every: 10, lost_every: 7, ..State::default() });
        let stored = Cell::new(0);
        store_all(&fake, &records, || stored.set(stored.get() + 1)).await.expect("stored");
        assert_eq!(stored.get(), 1_000);
        assert!(is_whole(&fake, &records));
        let most = fake.state().most_at_once;
        assert!((2..=AT_ONCE).contains(&most), "{most} at once");
    }

    #[tokio::test]
    async fn a_store_that_refuses_the_first_is_not_tried_again() {
        let fake = Fake::of(State { busy_every: 1, ..State::default() });
        let error = store_all(&fake, &records(100), || {}).await.expect_err("refused");
        assert_eq!((error.line, fake.state().puts), (1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn an_import_that_ended_anywhere_is_gone_on_with_by_the_same_import() {
        let records = records(500);
        for ends_after in [1, 17, 250, 499] {
            let fake = Fake::of(State { ends_after, ..State::default() });
            let error = store_all(&fake, &records, || {}).await.expect_err("it ends");
            assert!((1..=500).contains(&error.line), "{error}");
            assert_eq!(fake.state().items.len() as u64, ends_after);
            fake.state().ends_after = 0;
            let known: HashMap<Identity, KeyRecord> = records
                .iter()
                .filter(|record| fake.state().items.contains_key(record.identity.as_str()))
                .map(|record| (record.identity.clone(), record.record.clone()))
                .collect();
            let plan = plan_import(records.clone(), &known).expect("the same again");
            assert_eq!((plan.new.len() as u64, plan.known), (500 - ends_after, ends_after));
            store_all(&fake, &plan.new, || {}).await.expect("stored");
            assert!(is_whole(&fake, &records));
        }
    }
}
