//! What the handlers ask of a store, and how it may fail. The `tables` room implements these over
//! a trait of a few calls, which the Lambda's own client (`wire`) and the SDK (`dynamo`) make; tests implement them in memory.

use std::collections::BTreeMap;
use std::future::Future;

use ipgeo_contract::{
    AddressSecret, Gap, Identity, KeyRecord, Limit, Month, Period, Published, RegionName, Verdict,
};
use jiff::Timestamp;

/// A read or write that did not succeed. Whether a write was applied all the same is not known.
#[derive(Debug, thiserror::Error)]
#[error("{action} failed")]
pub struct StoreError {
    /// What was tried, such as `read of access table ipgeo-prod-access`.
    pub action: String,
    /// Why it failed.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// Reading the access table of the caller's own region.
pub trait AccessRead: Send + Sync {
    /// The record of an API key; `None` when there is none.
    fn key(&self, identity: &Identity) -> impl Future<Output = Result<Option<KeyRecord>, StoreError>> + Send;

    /// Published usage of addresses and sites, in the order asked for; one round trip.
    fn published(
        &self,
        identities: &[Identity],
    ) -> impl Future<Output = Result<Vec<Option<Published>>, StoreError>> + Send;

    /// The secret that addresses are hidden with; `None` when it was not made yet.
    fn address_secret(&self) -> impl Future<Output = Result<Option<AddressSecret>, StoreError>> + Send;
}

/// What one batch adds to one identity's month, from one shard.
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

/// What became of a [`LedgerUpdate`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It was added; the totals now.
    Added(MonthTotals),
    /// Nothing was added: the item has already counted up to `watermark` of this shard. Fold the
    /// events after it again and retry with those.
    Behind {
        /// Padded sequence number.
        watermark: String,
        /// The totals as found.
        totals: MonthTotals,
    },
}

/// An API key's usage reached a threshold of its limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Whose.
    pub identity: Identity,
    /// In which period.
    pub period: Period,
    /// The threshold, percent of the limit.
    pub percent: u8,
    /// The limit that held.
    pub limit: Limit,
    /// Calls used in the period when it was noticed.
    pub used: u64,
    /// The latest usage event among them.
    pub as_of: Timestamp,
}

/// How far one shard is counted: the newest usage event of each region in a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Newest {
    /// The shard.
    pub shard: String,
    /// Padded sequence number of the last record of the batch.
    pub sequence: String,
    /// The newest usage event, by region.
    pub regions: BTreeMap<RegionName, Timestamp>,
    /// Fingerprints of the log lines counted last, as one string.
    pub fingerprints: String,
}

/// A shard's row in the ledger, read before each of its batches is counted.
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

/// Writing the ledger, at home.
pub trait LedgerWrite: Send + Sync {
    /// Adds `update` if the item's watermark for the shard is below `update.first`, else tells how far it is.
    fn apply(&self, update: &LedgerUpdate) -> impl Future<Output = Result<Applied, StoreError>> + Send;

    /// Records an alert unless it is already recorded for the same limit; returns whether it is new. The default is for
    /// stores without alerts.
    fn record_alert(&self, _alert: &Alert) -> impl Future<Output = Result<bool, StoreError>> + Send {
        async { Ok(false) }
    }

    /// A shard's row; `None` if there is none, and by default for stores without such rows.
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

    /// Notes how far a shard is counted, and when; an earlier batch never takes a later one's place. A
    /// store without such notes keeps none.
    fn note_newest(
        &self,
        _newest: &Newest,
        _counted: Timestamp,
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        async { Ok(()) }
    }
}

/// Publishing usage to the access table, at home.
pub trait PublishWrite: Send + Sync {
    /// Sets an identity's published usage, unless a later period or a higher count is there already. An
    /// API key's item must exist and have the window of `limit`; otherwise nothing is written. Returns the limit
    /// that an API key's item now holds, whether written or not; `None` if unknown.
    fn publish(
        &self,
        identity: &Identity,
        limit: Limit,
        published: Published,
    ) -> impl Future<Output = Result<Option<Limit>, StoreError>> + Send;
}
