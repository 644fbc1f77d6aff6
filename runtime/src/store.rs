//! The store as the handlers see it, and its errors. `tables` implements these traits over any client of its few calls
//! (`wire` in the Lambda, the SDK in `dynamo`); tests implement them in memory.

use std::collections::BTreeMap;
use std::future::Future;

use ipgeo_contract::{
    AddressSecret, EarlyCell, Gap, Identity, KeyRecord, Limit, Month, Period, Published, RegionName, Verdict,
};
use jiff::Timestamp;

/// A failed read or write. A failed write may have been applied.
#[derive(Debug, thiserror::Error)]
#[error("{action} failed")]
pub struct StoreError {
    /// The attempted action, such as `read of access table ipgeo-prod-access`.
    pub action: String,
    /// Why it failed.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl StoreError {
    /// Whether the store refused a write as invalid, so that a repetition would fail too.
    pub fn is_invalid(&self) -> bool {
        self.source.is::<InvalidWrite>()
    }
}

/// A write that the store refuses whenever it is made, such as one of an item that is too large.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidWrite(pub String);

/// Reads of the access table in the edge's own region.
pub trait AccessRead: Send + Sync {
    /// The record of an API key; `None` if it is unknown.
    fn key(&self, identity: &Identity) -> impl Future<Output = Result<Option<KeyRecord>, StoreError>> + Send;

    /// Published usage of addresses and sites, in the given order; `None` for those without. One round trip.
    fn published(
        &self,
        identities: &[Identity],
    ) -> impl Future<Output = Result<Vec<Option<Published>>, StoreError>> + Send;

    /// The secret that addresses are hidden with; `None` if it is not created yet.
    fn address_secret(&self) -> impl Future<Output = Result<Option<AddressSecret>, StoreError>> + Send;
}

/// One batch's additions to one identity's month, from one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerUpdate {
    /// Who is charged.
    pub identity: Identity,
    /// The ledger's sort key.
    pub month: Month,
    /// The shard that the events came from.
    pub shard: String,
    /// Padded sequence number of the first record that this adds.
    pub first: String,
    /// Padded sequence number of the last record that this adds: the new watermark.
    pub last: String,
    /// Calls to add to the month.
    pub charged: u64,
    /// Calls to add, by day of the month.
    pub days: BTreeMap<i8, u64>,
    /// Calls to add, by region.
    pub regions: BTreeMap<String, u64>,
    /// Requests to add, by verdict.
    pub verdicts: BTreeMap<Verdict, u64>,
    /// The number of the gap before the events, if events of the month may be in it: the item then saves the watermark that it
    /// had before the gap. And the shard's last gap: the item may already hold events after it.
    pub gap: Option<(u32, u32)>,
}

/// An identity's month after an update, or as it was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MonthTotals {
    /// Calls charged in the month.
    pub charged: u64,
    /// Calls charged, by day of the month.
    pub days: BTreeMap<i8, u64>,
    /// Whether they include events that are not in the update's shard, or are after it: their times are unknown.
    pub includes_others: bool,
}

impl MonthTotals {
    /// Calls charged in a period of this month.
    pub fn used_in(&self, period: Period) -> u64 {
        match period {
            Period::Month(_) => self.charged,
            Period::Day(date) => self.days.get(&date.day()).copied().unwrap_or(0),
        }
    }
}

/// The result of a [`LedgerUpdate`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It is added. The new totals.
    Added(MonthTotals),
    /// Nothing was added: the item has already counted up to `watermark` of this shard. Retry with the events after it.
    Behind {
        /// Padded sequence number.
        watermark: String,
        /// The current totals.
        totals: MonthTotals,
    },
}

/// An API key's usage reached a threshold of its limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// The API key.
    pub identity: Identity,
    /// The period of the limit.
    pub period: Period,
    /// The threshold in percent of the limit.
    pub percent: u8,
    /// The limit that applied.
    pub limit: Limit,
    /// Calls used in the period when this was detected.
    pub used: u64,
    /// The time of the latest counted usage event.
    pub as_of: Timestamp,
}

/// Counting progress of one shard after a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Newest {
    /// The shard.
    pub shard: String,
    /// Padded sequence number of the last record of the batch.
    pub sequence: String,
    /// The time of the newest usage event in the batch, by region.
    pub regions: BTreeMap<RegionName, Timestamp>,
    /// Fingerprints of the log lines counted last, as one string.
    pub fingerprints: String,
}

/// Saved counting progress of a shard, read before each of its batches is counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardNote {
    /// Padded sequence number of the last record of the last completely counted batch.
    pub sequence: String,
    /// The time of the newest counted usage event, or the time it was counted if that is earlier.
    pub newest: Option<Timestamp>,
    /// Fingerprints of the log lines counted last, as one string.
    pub fingerprints: String,
    /// The gaps of the shard, in order: the first has number 1.
    pub gaps: Vec<Gap>,
}

/// The addition of one environment's early count to an identity's row of a period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlyUpdate {
    /// Who is charged.
    pub identity: Identity,
    /// The period of the calls.
    pub period: Period,
    /// The cell's name: the environment and the slot.
    pub cell: String,
    /// What the cell must hold; `None`: it must not exist.
    pub seen: Option<EarlyCell>,
    /// What the cell holds then.
    pub new: EarlyCell,
    /// Calls to add to the sum.
    pub calls: u64,
}

/// The early counts of an identity in a period.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EarlyRow {
    /// All calls reported, those of removed cells included.
    pub sum: u64,
    /// What each environment has reported in recent slots, by cell name.
    pub cells: BTreeMap<String, EarlyCell>,
}

/// The result of an [`EarlyUpdate`]: the row as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EarlyApplied {
    /// It is added.
    Added(EarlyRow),
    /// Nothing was added: the cell holds something else, or the row has too many cells for a new one.
    Refused(EarlyRow),
}

/// Writes to the ledger, at home.
pub trait LedgerWrite: Send + Sync {
    /// Adds `update` if the item's watermark for the shard is below `update.first`; otherwise returns the watermark.
    fn apply(&self, update: &LedgerUpdate) -> impl Future<Output = Result<Applied, StoreError>> + Send;

    /// Records an alert unless it is already recorded for the same limit; returns whether it is new. The default is for stores
    /// that do not support alerts.
    fn record_alert(&self, _alert: &Alert) -> impl Future<Output = Result<bool, StoreError>> + Send {
        async { Ok(false) }
    }

    /// The saved progress of a shard; `None` before its first batch. The default is for stores that do not save it.
    fn shard_note(&self, _shard: &str) -> impl Future<Output = Result<Option<ShardNote>, StoreError>> + Send {
        async { Ok(None) }
    }

    /// Records a gap of a shard under its number, unless a different one has that number; returns whether it is recorded.
    fn note_gap(
        &self,
        _shard: &str,
        _number: u32,
        _gap: &Gap,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send {
        async { Ok(true) }
    }

    /// Adds an early count if its cell is as expected. The default is for stores that do not support early counts.
    fn add_early(
        &self,
        _update: &EarlyUpdate,
    ) -> impl Future<Output = Result<EarlyApplied, StoreError>> + Send {
        async { Ok(EarlyApplied::Added(EarlyRow::default())) }
    }

    /// Removes cells of an early row, if all of them exist. Their calls remain in the sum.
    fn remove_early(
        &self,
        _identity: &Identity,
        _period: Period,
        _cells: &[String],
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        async { Ok(()) }
    }

    /// Saves the progress of a shard, counted at the time `counted`, unless a later batch is already saved. The default is for
    /// stores that do not save it.
    fn note_newest(
        &self,
        _newest: &Newest,
        _counted: Timestamp,
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        async { Ok(()) }
    }
}

/// Publication of usage to the access table, at home.
pub trait PublishWrite: Send + Sync {
    /// Sets an identity's published usage, unless a later period or a higher count is already stored. An
    /// API key's item must exist and have the window of `limit`; otherwise nothing is written. Returns the limit
    /// that an API key's item now holds, whether written or not; `None` if unknown.
    fn publish(
        &self,
        identity: &Identity,
        limit: Limit,
        published: Published,
    ) -> impl Future<Output = Result<Option<Limit>, StoreError>> + Send;
}
