//! What all parts of a world share: the clock, the random numbers, the tables, the weather and the history.

use std::collections::BTreeMap;
use std::future::Future;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::history::{History, Operation};
use crate::scenario::Scenario;
use crate::store::{RowKey, Table};
use crate::weather::{Fate, Link, Weather};

/// The name of home's ledger.
pub const LEDGER: &str = "ledger";
/// Home's region: the first.
pub(crate) const HOME: usize = 0;

/// The name of a region's access table.
pub(crate) fn access_table(region: usize) -> String {
    format!("access-{region}")
}

/// A lock that a panic elsewhere does not poison: the panic is reported by itself.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Shared by all parts of a world.
#[derive(Debug)]
pub struct Shared {
    pub scenario: Scenario,
    began: Instant,
    random: Mutex<Rng>,
    pub(crate) tables: Mutex<BTreeMap<String, Table>>,
    pub(crate) weather: Mutex<Weather>,
    pub(crate) history: Mutex<History>,
    /// Numbers the changes of home's access table, and the last one that each replica has of a row.
    versions: AtomicU64,
    copies: Mutex<BTreeMap<(usize, RowKey), u64>>,
    /// Tasks that must end before the world is at rest.
    running: AtomicUsize,
    /// Callers and operators do nothing new.
    is_closing: AtomicBool,
}

/// Counts a task while it runs, however it ends.
struct Running(Arc<Shared>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
        if std::thread::panicking() {
            self.0.wrong("a task panicked");
        }
    }
}

impl Shared {
    pub(crate) fn new(scenario: Scenario, mut random: Rng, weather: Weather) -> Arc<Self> {
        let tables = (0..scenario.regions).map(access_table).chain([LEDGER.to_owned()]);
        Arc::new(Self {
            began: Instant::now(),
            tables: Mutex::new(tables.map(|name| (name, Table::default())).collect()),
            weather: Mutex::new(weather),
            history: Mutex::default(),
            random: Mutex::new(random.fork()),
            scenario,
            versions: AtomicU64::new(0),
            copies: Mutex::default(),
            running: AtomicUsize::new(0),
            is_closing: AtomicBool::new(false),
        })
    }

    /// Milliseconds from the start.
    pub fn ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The time by a clock that is wrong by so much.
    pub fn clock(&self, wrong_ms: i64) -> Timestamp {
        let since = SignedDuration::from_millis(i64::try_from(self.ms()).unwrap_or(i64::MAX) + wrong_ms);
        self.scenario.start + since
    }

    pub(crate) fn random<T>(&self, draw: impl FnOnce(&mut Rng) -> T) -> T {
        draw(&mut lock(&self.random))
    }

    /// A number of a range.
    pub fn between(&self, range: RangeInclusive<u64>) -> u64 {
        self.random(|random| random.u64(range))
    }

    /// Whether something happens that has a chance of so many thousandths.
    pub fn chance(&self, permille: u64) -> bool {
        self.between(1..=1_000) <= permille
    }

    /// As `chance`, but never in a calm run or when the run ends.
    pub fn mishap(&self, permille: u64) -> bool {
        self.chance(permille) && self.scenario.mood.is_rough() && !self.is_closing()
    }

    pub async fn sleep_ms(&self, ms: u64) {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    /// Starts a task that the world waits for at its end.
    pub fn spawn<F>(self: &Arc<Self>, task: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.running.fetch_add(1, Ordering::Relaxed);
        let running = Running(Arc::clone(self));
        tokio::spawn(async move {
            let _running = running;
            task.await
        })
    }

    pub(crate) fn is_at_rest(&self) -> bool {
        self.running.load(Ordering::Relaxed) == 0
    }

    /// Callers and operators stop, and nothing is wrong from now on.
    pub(crate) fn close(&self) {
        self.is_closing.store(true, Ordering::Relaxed);
        lock(&self.weather).clear(self.ms());
    }

    /// Whether callers and operators stop.
    pub fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Relaxed)
    }

    pub(crate) fn weather(&self) -> Weather {
        lock(&self.weather).clone()
    }

    pub(crate) fn fate(&self, link: Link, usual_ms: u64) -> Fate {
        let weather = lock(&self.weather);
        self.random(|random| weather.fate(link, self.ms(), usual_ms, random))
    }

    /// Records what must not happen.
    pub fn wrong(&self, what: &str) {
        let ms = self.ms();
        lock(&self.history).wrong.push(format!("{ms} ms: {what}"));
    }

    /// Records what an operator does.
    pub fn operation(&self, what: String) {
        let ms = self.ms();
        lock(&self.history).operations.push(Operation { ms, what });
    }

    pub(crate) fn next_version(&self) -> u64 {
        self.versions.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Whether a replica has no later copy of a row; then it has this one now.
    pub(crate) fn is_newest_copy(&self, region: usize, key: RowKey, version: u64) -> bool {
        let mut copies = lock(&self.copies);
        let held = copies.entry((region, key)).or_default();
        let is_newest = version > *held;
        *held = version.max(*held);
        is_newest
    }

    /// All rows of a table whose partition key begins so.
    pub(crate) fn rows(&self, table: &str, begins: &str) -> Vec<ipgeo_runtime::tables::Item> {
        let tables = lock(&self.tables);
        let rows = tables.get(table).into_iter().flat_map(|table| &table.rows);
        rows.filter(|((id, _), _)| id.starts_with(begins)).map(|(_, item)| item.clone()).collect()
    }
}
