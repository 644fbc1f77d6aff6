//! Early counts at home: adds what environments report to a row for each identity and period, and publishes the sum when it
//! crosses a step and is more than what is published. See `ipgeo_contract`'s module on early counts for the protocol.
//!
//! The decisions are pure ([`first`], [`next`], [`publication`]); the model of the protocol calls them too.

use ipgeo_contract::{
    EarlyCell, EarlyCount, EarlyReport, Published, is_early_publication_due, slot_is_open, slot_is_over,
};
use jiff::Timestamp;
use serde::Serialize;

use super::handler::UsageHandler;
use crate::store::{EarlyApplied, EarlyRow, EarlyUpdate, LedgerWrite, PublishWrite, StoreError};

/// Maximum attempts to add a count: each refusal means that a report of the same environment was faster.
const ROUNDS_MAX: usize = 4;
/// Number of cells of old slots that are removed together.
const REMOVED_TOGETHER: usize = 8;

/// The result of a report, logged as one line if anything is unusual.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EarlyOutcome {
    /// Counts that added calls.
    pub added: u64,
    /// Counts that home had already.
    pub repeated: u64,
    /// Counts that are not accepted: of an old slot, or of an environment too many.
    pub ignored: u64,
    /// Publications written.
    pub publications: u64,
    /// Causes of failed writes. They are not repeated: the ledger has the calls too.
    pub failures: Vec<String>,
}

/// What to do with a count after its update was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The row has this count or a later one.
    Repeated,
    /// The row has no room for another cell.
    Full,
    /// Try this.
    Retry(EarlyUpdate),
}

/// The update that is right if home has all of the environment's earlier reports of the slot.
pub(super) fn first(report: &EarlyReport, count: &EarlyCount) -> EarlyUpdate {
    update(report, count, count.before)
}

fn update(report: &EarlyReport, count: &EarlyCount, seen: Option<EarlyCell>) -> EarlyUpdate {
    EarlyUpdate {
        identity: count.identity.clone(),
        period: count.period,
        cell: format!("{}#{}", report.environment, report.slot),
        seen,
        new: EarlyCell { calls: count.calls, at: report.at },
        calls: count.calls.saturating_sub(seen.map_or(0, |cell| cell.calls)),
    }
}

/// The next attempt, given the row that refused `tried`: the larger count wins.
pub(super) fn next(report: &EarlyReport, count: &EarlyCount, tried: &EarlyUpdate, row: &EarlyRow) -> Next {
    match row.cells.get(&tried.cell).copied() {
        Some(cell) if cell.calls >= count.calls => Next::Repeated,
        None if tried.seen.is_none() => Next::Full,
        seen => Next::Retry(update(report, count, seen)),
    }
}

/// What to publish after a count has added `added` calls to a row, or was there already. A repeated count may mean that the
/// publication was lost, so it is decided anew.
pub(super) fn publication(count: &EarlyCount, row: &EarlyRow, added: u64) -> Option<Published> {
    let before = if added == 0 { 0 } else { row.sum.saturating_sub(added) };
    // No call in the sum is later than the latest report: an edge adds its own calls after that.
    let as_of = row.cells.values().map(|cell| cell.at).max()?;
    let is_due = is_early_publication_due(count.identity.kind(), before, row.sum, count.limit);
    is_due.then_some(Published { period: count.period, used: row.sum, as_of })
}

/// The cells whose slot has ended.
fn old_cells(row: &EarlyRow, now: Timestamp) -> Vec<String> {
    let is_old = |name: &&String| {
        let slot = name.rsplit_once('#').and_then(|(_, slot)| slot.parse().ok());
        slot.is_some_and(|slot| slot_is_over(slot, now))
    };
    row.cells.keys().filter(is_old).cloned().collect()
}

impl<L, P> UsageHandler<L, P>
where
    L: LedgerWrite + 'static,
    P: PublishWrite + 'static,
{
    /// Adds a report that arrives at `now`. The ledger is not touched.
    pub async fn count_early(&self, report: &EarlyReport, now: Timestamp) -> EarlyOutcome {
        let mut outcome = EarlyOutcome::default();
        if !slot_is_open(report.slot, now) {
            outcome.ignored = report.counts.len() as u64;
            return outcome;
        }
        for count in &report.counts {
            if let Err(error) = self.add_early(report, count, now, &mut outcome).await {
                outcome.failures.push(ipgeo_contract::error_chain(&error, ": "));
            }
        }
        outcome
    }

    async fn add_early(
        &self,
        report: &EarlyReport,
        count: &EarlyCount,
        now: Timestamp,
        outcome: &mut EarlyOutcome,
    ) -> Result<(), StoreError> {
        let mut tried = first(report, count);
        for _round in 0..ROUNDS_MAX {
            let (row, added) = match self.ledger().add_early(&tried).await? {
                EarlyApplied::Added(row) => (row, tried.calls),
                EarlyApplied::Refused(row) => match next(report, count, &tried, &row) {
                    Next::Retry(update) => {
                        tried = update;
                        continue;
                    }
                    Next::Full => break,
                    Next::Repeated => (row, 0),
                },
            };
            outcome.added += u64::from(added > 0);
            outcome.repeated += u64::from(added == 0);
            if let Some(published) = publication(count, &row, added) {
                self.publish().publish(&count.identity, count.limit, published).await?;
                outcome.publications += 1;
            }
            let old = old_cells(&row, now);
            if old.len() >= REMOVED_TOGETHER {
                self.ledger().remove_early(&count.identity, count.period, &old).await?;
            }
            return Ok(());
        }
        outcome.ignored += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_count_wins_and_a_full_row_is_not_tried_again() {
        let at = Timestamp::UNIX_EPOCH;
        let report = EarlyReport { environment: "e".into(), slot: 5, at, counts: Vec::new() };
        let count = EarlyCount {
            identity: "key#00ff".parse().expect("an identity"),
            limit: "10/day".parse().expect("a limit"),
            period: "2026-11-24".parse().expect("a period"),
            calls: 7,
            before: None,
        };
        let cell = |calls| EarlyCell { calls, at };
        let attempt = |seen: Option<u64>| update(&report, &count, seen.map(cell));
        // (calls in the cell that was expected, in the cell of the row, what follows)
        let table = [
            (None, None, Next::Full),
            (Some(3), None, Next::Retry(attempt(None))),
            (None, Some(3), Next::Retry(attempt(Some(3)))),
            (Some(3), Some(7), Next::Repeated),
            (Some(3), Some(8), Next::Repeated),
        ];
        for (expected, found, follows) in table {
            let tried = attempt(expected);
            let cells = found.map(|calls| (tried.cell.clone(), cell(calls))).into_iter().collect();
            let row = EarlyRow { cells, ..EarlyRow::default() };
            assert_eq!(next(&report, &count, &tried, &row), follows, "{expected:?} {found:?}");
        }
    }
}
