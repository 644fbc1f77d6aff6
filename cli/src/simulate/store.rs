//! Home's two tables in memory, and when the regions' replicas see each publication.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipgeo_contract::{Identity, Limit, Month, Period, Published};
use ipgeo_runtime::store::{
    Applied, EarlyApplied, EarlyRow, EarlyUpdate, LedgerUpdate, LedgerWrite, MonthTotals, PublishWrite,
    StoreError,
};
use jiff::Timestamp;

#[derive(Debug, Default)]
struct LedgerMonth {
    totals: MonthTotals,
    watermarks: HashMap<String, String>,
}

/// When replicas see a publication, milliseconds from the start, and the publication.
type Visible = (u64, Published);

#[derive(Debug, Default)]
struct Tables {
    ledger: HashMap<(Identity, Month), LedgerMonth>,
    published: HashMap<Identity, Vec<Visible>>,
    early: HashMap<(Identity, Period), EarlyRow>,
}

impl Tables {
    /// Publishes, unless at least as much usage is published already, or edges refuse calls; returns whether it did.
    fn publish_newer(
        &mut self,
        identity: &Identity,
        limit: Limit,
        published: Published,
        visible_at: u64,
    ) -> bool {
        let history = self.published.entry(identity.clone()).or_default();
        let newer = history.last().is_none_or(|(_, last)| {
            last.period < published.period
                || (last.period == published.period && last.used < published.used && last.used < limit.calls)
        });
        if newer {
            history.push((visible_at, published));
        }
        newer
    }
}

/// The tables; clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct SimulatedStore {
    tables: Arc<Mutex<Tables>>,
    counts: Arc<WriteCounts>,
}

/// Numbers of writes; failed conditions are included, because AWS bills them.
#[derive(Debug, Default)]
pub(super) struct WriteCounts {
    pub(super) ledger_writes: AtomicU64,
    pub(super) behind: AtomicU64,
    pub(super) publications: AtomicU64,
    pub(super) early_writes: AtomicU64,
    /// When replicas see what is published next, milliseconds from the start.
    visible_at: AtomicU64,
}

impl SimulatedStore {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn counts(&self) -> &WriteCounts {
        &self.counts
    }

    pub(super) fn set_visible_at(&self, ms: u64) {
        self.counts.visible_at.store(ms, Ordering::Relaxed);
    }

    /// The usage of an API key that a replica has at a time.
    pub(super) fn visible(&self, identity: &Identity, at_ms: u64) -> Option<Published> {
        let tables = self.tables();
        let history = tables.published.get(identity)?;
        history.iter().rev().find(|(visible_at, _)| *visible_at <= at_ms).map(|(_, published)| *published)
    }

    /// Publishes exact usage with a new limit, as a change of an API key does.
    pub(super) fn publish_exactly(&self, identity: &Identity, limit: Limit, now: Timestamp, visible_at: u64) {
        let mut tables = self.tables();
        let Some(item) = tables.ledger.get(&(identity.clone(), Month::from_time(now))) else { return };
        let period = Period::new(limit.window, now);
        let published = Published { period, used: item.totals.used_in(period), as_of: now };
        tables.publish_newer(identity, limit, published, visible_at);
        self.counts.publications.fetch_add(1, Ordering::Relaxed);
    }

    /// Calls charged to an identity, in all months.
    pub(super) fn charged(&self, identity: &Identity) -> u64 {
        let tables = self.tables();
        tables.ledger.iter().filter(|((id, _), _)| id == identity).map(|(_, item)| item.totals.charged).sum()
    }
}

impl LedgerWrite for SimulatedStore {
    async fn apply(&self, update: &LedgerUpdate) -> Result<Applied, StoreError> {
        self.counts.ledger_writes.fetch_add(1, Ordering::Relaxed);
        let mut tables = self.tables();
        let item = tables.ledger.entry((update.identity.clone(), update.month)).or_default();
        if let Some(watermark) = item.watermarks.get(&update.shard)
            && *watermark >= update.first
        {
            self.counts.behind.fetch_add(1, Ordering::Relaxed);
            let includes_others = *watermark > update.last || item.watermarks.len() > 1;
            let totals = MonthTotals { includes_others, ..item.totals.clone() };
            return Ok(Applied::Behind { watermark: watermark.clone(), totals });
        }
        item.totals.charged += update.charged;
        for (day, calls) in &update.days {
            *item.totals.days.entry(*day).or_default() += calls;
        }
        item.watermarks.insert(update.shard.clone(), update.last.clone());
        let includes_others = item.watermarks.len() > 1;
        Ok(Applied::Added(MonthTotals { includes_others, ..item.totals.clone() }))
    }

    async fn add_early(&self, update: &EarlyUpdate) -> Result<EarlyApplied, StoreError> {
        self.counts.early_writes.fetch_add(1, Ordering::Relaxed);
        let mut tables = self.tables();
        let row = tables.early.entry((update.identity.clone(), update.period)).or_default();
        if row.cells.get(&update.cell).copied() != update.seen {
            return Ok(EarlyApplied::Refused(row.clone()));
        }
        row.cells.insert(update.cell.clone(), update.new);
        row.sum += update.calls;
        Ok(EarlyApplied::Added(row.clone()))
    }

    async fn remove_early(
        &self,
        identity: &Identity,
        period: Period,
        cells: &[String],
    ) -> Result<(), StoreError> {
        if let Some(row) = self.tables().early.get_mut(&(identity.clone(), period)) {
            row.cells.retain(|name, _| !cells.contains(name));
        }
        Ok(())
    }
}

impl PublishWrite for SimulatedStore {
    async fn publish(
        &self,
        identity: &Identity,
        limit: Limit,
        published: Published,
    ) -> Result<Option<Limit>, StoreError> {
        let visible_at = self.counts.visible_at.load(Ordering::Relaxed);
        // A refused write is billed at home, but not replicated.
        if self.tables().publish_newer(identity, limit, published, visible_at) {
            self.counts.publications.fetch_add(1, Ordering::Relaxed);
        }
        Ok(None)
    }
}
