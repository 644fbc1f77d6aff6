//! Taking a generation's items over into the ledger, while the counter goes on.
//!
//! It is safe because an item is taken over whole, with its watermarks, and only when two things hold: the
//! generation has counted everything of it that the ledger has, and the ledger's item is still the one that was
//! seen (a condition of the write). So no event is lost and none counted twice, whenever it stops and however often
//! it is done again. Items that are not in the generation stay as they are.

use std::collections::HashMap;

use ipgeo_contract::Period;
use ipgeo_runtime::dynamo::{LedgerItem, LedgerTable, Replaced};
use ipgeo_runtime::store::StoreError;
use jiff::Timestamp;
use serde::Serialize;

use super::compare::{Ahead, ahead};

/// What is to become of one item of a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// The counts are the same.
    Same,
    /// It is to be put in the ledger's place.
    Take(Box<LedgerItem>),
    /// The ledger has counted events of it that the generation has not.
    LedgerAhead,
    /// The generation counts only since the middle of its month.
    Partial,
}

/// What became of a generation's items.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Adopted {
    /// Taken over.
    pub taken: u64,
    /// The same already.
    pub same: u64,
    /// Left, because the ledger is ahead or was written to just then: replay into the generation, and adopt again.
    pub ahead: u64,
    /// Left, because the generation has not the whole month.
    pub partial: u64,
}

/// Decides about one item.
pub(crate) fn decide(
    ledger: Option<&LedgerItem>,
    generation: &LedgerItem,
    since: Option<Timestamp>,
) -> Decision {
    if since.is_some_and(|since| since > Period::Month(generation.month).start()) {
        return Decision::Partial;
    }
    let counts =
        |item: &LedgerItem| (item.charged, item.days.clone(), item.regions.clone(), item.verdicts.clone());
    if ledger.is_some_and(|ledger| counts(ledger) == counts(generation)) {
        return Decision::Same;
    }
    match ahead(ledger, Some(generation)) {
        Ahead::Ledger | Ahead::Both => Decision::LedgerAhead,
        Ahead::Neither | Ahead::Generation => Decision::Take(Box::new(generation.clone())),
    }
}

/// Takes a generation's items over.
pub(crate) async fn adopt(ledger: &LedgerTable, generation: &LedgerTable) -> Result<Adopted, StoreError> {
    let since = generation.since().await?;
    let theirs = generation.everything().await?;
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
    fn an_item_is_taken_over_only_when_nothing_is_lost_by_it() {
        let of = |n, to| item("site#a.test", "2026-11", &[(3, n)], to);
        let take = |item: LedgerItem| Decision::Take(Box::new(item));
        // (the ledger's, the generation's, since, what becomes of it)
        let table = [
            (Some(of(5, 9)), of(5, 9), None, Decision::Same),
            (Some(of(5, 9)), of(7, 9), None, take(of(7, 9))),
            (Some(of(5, 9)), of(7, 12), None, take(of(7, 12))),
            (None, of(7, 9), None, take(of(7, 9))),
            (Some(of(5, 10)), of(7, 9), None, Decision::LedgerAhead),
            (Some(of(5, 9)), of(7, 9), Some("2026-11-01T00:00:00Z"), take(of(7, 9))),
            (Some(of(5, 9)), of(7, 9), Some("2026-11-01T00:00:01Z"), Decision::Partial),
        ];
        for (row, (ledger, generation, since, expected)) in table.into_iter().enumerate() {
            let since = since.map(|text| text.parse().expect("a timestamp"));
            assert_eq!(decide(ledger.as_ref(), &generation, since), expected, "row {row}");
        }
    }
}
