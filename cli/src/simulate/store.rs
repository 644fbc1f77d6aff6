//! Home's two tables in memory, and what each region's replica shows of them when.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipgeo_contract::{Identity, Limit, Month, Period, Published};
use ipgeo_runtime::store::{Applied, LedgerUpdate, LedgerWrite, MonthTotals, PublishWrite, StoreError};
use jiff::Timestamp;

/// An identity's month.
#[derive(Debug, Default)]
struct Item {
    totals: MonthTotals,
    watermarks: HashMap<String, String>,
}

/// A publication and when replicas show it, milliseconds from the start.
type Shown = (u64, Published);

#[derive(Debug, Default)]
struct Tables {
    ledger: HashMap<(Identity, Month), Item>,
    published: HashMap<Identity, Vec<Shown>>,
}

impl Tables {
    /// Publishes unless at least as much is already published.
    fn show(&mut self, identity: &Identity, published: Published, shown_at: u64) {
        let history = self.published.entry(identity.clone()).or_default();
        let newer = history.last().is_none_or(|(_, last)| {
            last.period < published.period || (last.period == published.period && last.used < published.used)
        });
        if newer {
            history.push((shown_at, published));
        }
    }
}

/// The tables; clones are the same ones.
#[derive(Debug, Clone, Default)]
pub(super) struct Store {
    tables: Arc<Mutex<Tables>>,
    counts: Arc<Counts>,
}

/// What was written, failed conditions included: they are billed too.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) ledger_writes: AtomicU64,
    pub(super) behind: AtomicU64,
    pub(super) publications: AtomicU64,
    /// When replicas show what is published now, milliseconds from the start.
    shown_at: AtomicU64,
}

impl Store {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// From now on replicas show what is published at this moment.
    pub(super) fn show_at(&self, ms: u64) {
        self.counts.shown_at.store(ms, Ordering::Relaxed);
    }

    /// What a replica shows of an API key at a moment.
    pub(super) fn shown(&self, identity: &Identity, at_ms: u64) -> Option<Published> {
        let tables = self.tables();
        let history = tables.published.get(identity)?;
        history.iter().rev().find(|(shown_at, _)| *shown_at <= at_ms).map(|(_, published)| *published)
    }

    /// Writes a new limit with an identity's exact usage in the period of an instant, like a change of an API key.
    pub(super) fn publish_exactly(&self, identity: &Identity, limit: Limit, now: Timestamp, shown_at: u64) {
        let mut tables = self.tables();
        let Some(item) = tables.ledger.get(&(identity.clone(), Month::from_time(now))) else { return };
        let period = Period::new(limit.window, now);
        let published = Published { period, used: item.totals.used_in(period), as_of: now };
        tables.show(identity, published, shown_at);
        self.counts.publications.fetch_add(1, Ordering::Relaxed);
    }

    /// Calls charged to an identity in all months.
    pub(super) fn charged(&self, identity: &Identity) -> u64 {
        let tables = self.tables();
        tables.ledger.iter().filter(|((id, _), _)| id == identity).map(|(_, item)| item.totals.charged).sum()
    }
}

impl LedgerWrite for Store {
    async fn apply(&self, update: &LedgerUpdate) -> Result<Applied, StoreError> {
        self.counts.ledger_writes.fetch_add(1, Ordering::Relaxed);
        let mut tables = self.tables();
        let item = tables.ledger.entry((update.identity.clone(), update.month)).or_default();
        if let Some(watermark) = item.watermarks.get(&update.shard)
            && *watermark >= update.first
        {
            self.counts.behind.fetch_add(1, Ordering::Relaxed);
            return Ok(Applied::Behind { watermark: watermark.clone(), totals: item.totals.clone() });
        }
        item.totals.charged += update.charged;
        for (day, calls) in &update.days {
            *item.totals.days.entry(*day).or_default() += calls;
        }
        item.watermarks.insert(update.shard.clone(), update.last.clone());
        Ok(Applied::Added(item.totals.clone()))
    }
}

impl PublishWrite for Store {
    async fn publish(
        &self,
        identity: &Identity,
        _: Limit,
        published: Published,
    ) -> Result<Option<Limit>, StoreError> {
        self.counts.publications.fetch_add(1, Ordering::Relaxed);
        let shown_at = self.counts.shown_at.load(Ordering::Relaxed);
        self.tables().show(identity, published, shown_at);
        Ok(None)
    }
}
