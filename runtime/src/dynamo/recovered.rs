//! Counts records that Lambda gave up. Later batches have moved past them, so the current watermarks can't tell whether
//! they were counted.
//!
//! Whether an item has an event of a gap follows from the watermark that it had before the gap, which its first write past
//! the gap saves (`g#<gap>#<shard>`). For an item that was not written since, its current watermark decides: such events
//! are counted as the counter would have, in shard order, and move the watermark. Each identity's events of a record are
//! added in one transaction with a marker row, so a repeated or interrupted run adds nothing twice. The counter may keep
//! running: the state that a decision was based on is a condition of the write.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Mutex, PoisonError};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use ipgeo_contract::Gap;
use jiff::Timestamp;

use super::values::{cause, transacted};
use crate::store::{Alert, Applied, LedgerUpdate, LedgerWrite, MonthTotals, ShardNote, StoreError};
use crate::tables::rows::month::{Unchanged, late_addition};
use crate::tables::{Calls, Cause, Change, LedgerItem, LedgerTable, failed, rows};

/// Maximum attempts when an item changes between read and write.
const ROUNDS_MAX: u32 = 12;

/// A client that makes several changes together.
pub trait Transact: Calls {
    /// Makes all changes or none; `false` if a condition did not hold or another transaction was faster.
    fn transact(&self, table: &str, changes: Vec<Change>)
    -> impl Future<Output = Result<bool, Cause>> + Send;
}

impl Transact for Client {
    async fn transact(&self, table: &str, changes: Vec<Change>) -> Result<bool, Cause> {
        let items: Result<Vec<_>, _> = changes.into_iter().map(|change| transacted(table, change)).collect();
        match self.transact_write_items().set_transact_items(Some(items?)).send().await {
            Ok(_) => Ok(true),
            Err(error) => match error.as_service_error() {
                Some(TransactWriteItemsError::TransactionCanceledException(canceled))
                    if canceled.cancellation_reasons().iter().all(|reason| is_passing(reason.code())) =>
                {
                    Ok(false)
                }
                _ => Err(cause(error)),
            },
        }
    }
}

/// A ledger that accepts events of records that Lambda gave up, one record at a time.
#[derive(Debug)]
pub struct RecoveringLedger<C = Client> {
    table: LedgerTable<C>,
    now: Timestamp,
    /// Whether nothing is written.
    preview: bool,
    notes: Mutex<HashMap<String, ShardNote>>,
}

/// Whether an item has the events of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Has {
    Yes,
    /// No, according to the watermark saved before this gap.
    NotBefore(u32, String),
    /// No, according to its current watermark.
    NotYet(Option<String>),
}

/// The counting position of an item in a shard, relative to a record.
fn has(item: Option<&LedgerItem>, gaps: &[Gap], shard: &str, sequence: &str) -> Has {
    let before = gaps.partition_point(|gap| gap.behind.as_str() <= sequence);
    let next_gap = u32::try_from(before + 1).unwrap_or(u32::MAX);
    let kept = item.and_then(|item| {
        let mut kept = item.before_gaps.range((shard.to_owned(), next_gap)..=(shard.to_owned(), u32::MAX));
        kept.next()
    });
    if let Some(((_, gap), before)) = kept {
        return if before.as_str() < sequence { Has::NotBefore(*gap, before.clone()) } else { Has::Yes };
    }
    let watermark = item.and_then(|item| item.watermarks.get(shard));
    if watermark.is_some_and(|watermark| watermark.as_str() >= sequence) {
        return Has::Yes;
    }
    Has::NotYet(watermark.cloned())
}

impl<C: Transact> RecoveringLedger<C> {
    /// Wraps a ledger; with `preview`, nothing is written.
    pub fn new(table: LedgerTable<C>, now: Timestamp, preview: bool) -> Self {
        Self { table, now, preview, notes: Mutex::default() }
    }

    /// A shard's counting position, gaps and latest lines. A gap recorded later comes after all records given up so far, so
    /// reading once is enough.
    async fn note(&self, shard: &str) -> Result<ShardNote, StoreError> {
        if let Some(known) = self.notes.lock().unwrap_or_else(PoisonError::into_inner).get(shard) {
            return Ok(known.clone());
        }
        let known = self.table.shard_note(shard).await?.unwrap_or_default();
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.insert(shard.to_owned(), known.clone());
        Ok(known)
    }

    /// Whether the counter passed a record, given by its padded sequence number, without recording a gap. Only counter
    /// versions before gaps did so. Whether they counted it is unknown, so it is treated as counted.
    pub async fn is_undecided(&self, shard: &str, sequence: &str) -> Result<bool, StoreError> {
        let ShardNote { sequence: counted, gaps, .. } = self.note(shard).await?;
        Ok(counted.as_str() > sequence && gaps.iter().all(|gap| gap.behind.as_str() <= sequence))
    }

    /// Adds events with their marker; `false` if the item or the marker changed in the meantime.
    async fn add(&self, update: &LedgerUpdate, has: &Has) -> Result<bool, StoreError> {
        let seen = match has {
            Has::Yes => return Ok(true),
            Has::NotBefore(gap, before) => Unchanged::BeforeGap(*gap, before),
            Has::NotYet(seen) => Unchanged::Watermark(seen.as_deref()),
        };
        let changes = vec![rows::recovered::mark(update, self.now), late_addition(update, &seen)];
        let written = self.table.client().transact(self.table.name(), changes).await;
        written.map_err(|error| failed(self.table.write_action(), error))
    }
}

/// Whether a cancelled transaction can succeed after reading the item again.
fn is_passing(code: Option<&str>) -> bool {
    matches!(code, None | Some("None" | "ConditionalCheckFailed" | "TransactionConflict"))
}

fn totals(item: Option<LedgerItem>) -> MonthTotals {
    item.map(|item| item.totals()).unwrap_or_default()
}

impl<C: Transact> LedgerWrite for RecoveringLedger<C> {
    async fn apply(&self, update: &LedgerUpdate) -> Result<Applied, StoreError> {
        if update.first != update.last {
            let why = "records that Lambda gave up must be counted one at a time";
            return Err(StoreError { action: self.table.write_action(), source: why.into() });
        }
        let ShardNote { gaps, .. } = self.note(&update.shard).await?;
        for _round in 0..ROUNDS_MAX {
            let item = self.table.item(&update.identity, update.month).await?;
            let has = has(item.as_ref(), &gaps, &update.shard, &update.last);
            if has == Has::Yes || self.table.is_recovered(update).await? {
                let totals = totals(item);
                return Ok(Applied::Behind { watermark: update.last.clone(), totals });
            }
            if self.preview {
                return Ok(Applied::Added(totals(item)));
            }
            if self.add(update, &has).await? {
                return Ok(Applied::Added(totals(self.table.item(&update.identity, update.month).await?)));
            }
        }
        Err(StoreError {
            action: self.table.write_action(),
            source: format!("the item changed {ROUNDS_MAX} times before it could be written").into(),
        })
    }

    async fn record_alert(&self, alert: &Alert) -> Result<bool, StoreError> {
        if self.preview { Ok(false) } else { self.table.record_alert(alert).await }
    }

    /// With the lines that the counter has counted: a line given up may repeat one of them, or be repeated by one.
    async fn shard_note(&self, shard: &str) -> Result<Option<ShardNote>, StoreError> {
        self.note(shard).await.map(Some)
    }
}

#[cfg(test)]
#[path = "recovered_model.rs"]
mod model;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_watermark_saved_before_a_gap_decides_what_an_item_has_of_it() {
        let gap = |behind: &str| Gap { behind: behind.into(), found: Timestamp::UNIX_EPOCH };
        // Records 05 and 06 were given up, and so were 15 and 16.
        let gaps = [gap("07"), gap("17")];
        let item = |watermark: Option<&str>, before: &[(u32, &str)]| LedgerItem {
            identity: "site#a.test".parse().expect("an identity"),
            month: "2026-11".parse().expect("a month"),
            charged: 0,
            days: BTreeMap::new(),
            regions: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            watermarks: watermark.map(|at| ("s".to_owned(), at.to_owned())).into_iter().collect(),
            before_gaps: before.iter().map(|(gap, at)| (("s".to_owned(), *gap), (*at).to_owned())).collect(),
        };
        let not_yet = |seen: Option<&str>| Has::NotYet(seen.map(str::to_owned));
        let not_before = |gap, before: &str| Has::NotBefore(gap, before.to_owned());
        let table = [
            (None, "05", not_yet(None)),
            (Some(item(None, &[])), "05", not_yet(None)),
            // It was not written after the gap.
            (Some(item(Some("04"), &[])), "05", not_yet(Some("04"))),
            (Some(item(Some("05"), &[])), "05", Has::Yes),
            (Some(item(Some("05"), &[])), "06", not_yet(Some("05"))),
            (Some(item(Some("04"), &[])), "15", not_yet(Some("04"))),
            (Some(item(Some("09"), &[(1, "04")])), "15", not_yet(Some("09"))),
            // It was written after the gap: with 5 counted, or not.
            (Some(item(Some("09"), &[(1, "05")])), "05", Has::Yes),
            (Some(item(Some("09"), &[(1, "05")])), "06", not_before(1, "05")),
            (Some(item(Some("09"), &[(1, "00")])), "05", not_before(1, "00")),
            // It was only written after the second gap.
            (Some(item(Some("09"), &[(2, "04")])), "05", not_before(2, "04")),
            // Before the second gap it had passed the first.
            (Some(item(Some("09"), &[(1, "04"), (2, "08")])), "06", not_before(1, "04")),
            (Some(item(Some("09"), &[(1, "04"), (2, "08")])), "08", Has::Yes),
        ];
        for (item, sequence, expected) in table {
            assert_eq!(has(item.as_ref(), &gaps, "s", sequence), expected, "{item:?} {sequence}");
        }
    }
}
