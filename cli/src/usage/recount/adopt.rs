//! Adopts a shadow ledger's items into the ledger while the counter is running.
//!
//! An item is replaced as a whole, with its watermarks, and only if two things hold: the shadow ledger has counted every
//! event of it that the ledger has, and the ledger's item has not changed since it was read (a condition of the write).
//! So no event is lost or counted twice, even if adopting is interrupted or repeated. Items that the shadow ledger does not
//! have stay unchanged.

use std::collections::HashMap;

use ipgeo_contract::Period;
use ipgeo_runtime::dynamo::{LedgerItem, LedgerTable, Replaced};
use ipgeo_runtime::store::StoreError;
use jiff::Timestamp;
use serde::Serialize;

use super::compare::{Ahead, ahead};

/// What to do with one item of a shadow ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    Same,
    /// Replace the ledger's item with it.
    Take(Box<LedgerItem>),
    /// Skip it: the ledger has counted events of it that the shadow ledger has not.
    LedgerAhead,
    /// Skip it: the shadow ledger does not have the whole month.
    Partial,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Adopted {
    pub taken: u64,
    pub same: u64,
    /// Skipped, because the ledger is ahead or was written to at that moment: replay into the shadow ledger and adopt again.
    pub ahead: u64,
    /// Skipped, because the shadow ledger does not have the whole month.
    pub partial: u64,
}

pub(crate) fn decide(ledger: Option<&LedgerItem>, shadow: &LedgerItem, since: Option<Timestamp>) -> Decision {
    if since.is_some_and(|since| since > Period::Month(shadow.month).start()) {
        return Decision::Partial;
    }
    let counts =
        |item: &LedgerItem| (item.charged, item.days.clone(), item.regions.clone(), item.verdicts.clone());
    if ledger.is_some_and(|ledger| counts(ledger) == counts(shadow)) {
        return Decision::Same;
    }
    match ahead(ledger, Some(shadow)) {
        Ahead::Ledger | Ahead::Both => Decision::LedgerAhead,
        Ahead::Neither | Ahead::Shadow => Decision::Take(Box::new(shadow.clone())),
    }
}

pub(crate) async fn adopt(ledger: &LedgerTable, shadow: &LedgerTable) -> Result<Adopted, StoreError> {
    let since = shadow.since().await?;
    let theirs = shadow.everything().await?;
    let ours: HashMap<_, LedgerItem> = ledger
        .everything()
        .await?
        .into_iter()
        .map(|item| ((item.identity.clone(), item.month), item))
        .collect();
    let mut done = Adopted::default();
    for item in &theirs {
        let seen = ours.get(&(item.identity.clone(), item.month));
        match decide(seen, item, since) {
            Decision::Same => done.same += 1,
            Decision::LedgerAhead => done.ahead += 1,
            Decision::Partial => done.partial += 1,
            Decision::Take(new) => match ledger.replace(seen, &new).await? {
                Replaced::Done => done.taken += 1,
                Replaced::Changed => done.ahead += 1,
            },
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::super::compare::tests::item;
    use super::*;

    #[test]
    fn an_item_is_adopted_only_if_no_count_is_lost() {
        let of = |n, to| item("site#a.test", "2026-11", &[(3, n)], to);
        let take = |item: LedgerItem| Decision::Take(Box::new(item));
        // (the ledger's item, the shadow ledger's, since, the decision)
        let table = [
            (Some(of(5, 9)), of(5, 9), None, Decision::Same),
            (Some(of(5, 9)), of(7, 9), None, take(of(7, 9))),
            (Some(of(5, 9)), of(7, 12), None, take(of(7, 12))),
            (None, of(7, 9), None, take(of(7, 9))),
            (Some(of(5, 10)), of(7, 9), None, Decision::LedgerAhead),
            (Some(of(5, 9)), of(7, 9), Some("2026-11-01T00:00:00Z"), take(of(7, 9))),
            (Some(of(5, 9)), of(7, 9), Some("2026-11-01T00:00:01Z"), Decision::Partial),
        ];
        for (row, (ledger, shadow, since, expected)) in table.into_iter().enumerate() {
            let since = since.map(|text| text.parse().expect("a timestamp"));
            assert_eq!(decide(ledger.as_ref(), &shadow, since), expected, "row {row}");
        }
    }
}
