//! Compares the ledger with a shadow ledger. Pure.

use std::collections::{BTreeMap, BTreeSet};

use ipgeo_contract::{Identity, Month, Period};
use ipgeo_runtime::dynamo::LedgerItem;
use jiff::Timestamp;
use serde::Serialize;

/// Which of two items has counted further in the stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Ahead {
    /// Both are equally far.
    #[default]
    Neither,
    /// The ledger has counted events that the shadow ledger has not yet.
    Ledger,
    /// The shadow ledger has counted events that the ledger has not yet.
    #[serde(rename = "generation")]
    Shadow,
    /// Each has counted events of some shard that the other has not.
    Both,
}

/// A count that differs between the ledger and a shadow ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    pub identity: Identity,
    pub month: Month,
    /// `calls`, or a day, region or verdict.
    pub part: String,
    pub ledger: u64,
    pub shadow: u64,
    /// Which is further in the stream: the difference may be only a matter of time.
    pub ahead: Ahead,
}

/// Which of two items has counted further; a missing item counts as empty.
pub(crate) fn ahead(ledger: Option<&LedgerItem>, shadow: Option<&LedgerItem>) -> Ahead {
    let none = BTreeMap::new();
    let ours = ledger.map_or(&none, |item| &item.watermarks);
    let theirs = shadow.map_or(&none, |item| &item.watermarks);
    let further = |one: &BTreeMap<String, String>, other: &BTreeMap<String, String>| {
        one.iter().any(|(shard, at)| other.get(shard).is_none_or(|there| at > there))
    };
    match (further(ours, theirs), further(theirs, ours)) {
        (false, false) => Ahead::Neither,
        (true, false) => Ahead::Ledger,
        (false, true) => Ahead::Shadow,
        (true, true) => Ahead::Both,
    }
}

type Parts = BTreeMap<String, u64>;

/// The counts of an item that a shadow ledger, which counts from `since`, must have too: all if it has the whole month,
/// otherwise those of complete days.
fn parts(item: &LedgerItem, since: Option<Timestamp>) -> Parts {
    let whole = since.is_none_or(|since| since <= Period::Month(item.month).start());
    let day = |day: i8| item.month.first().with().day(day).build().ok();
    let mut parts: Parts = item
        .days
        .iter()
        .filter_map(|(number, n)| Some((day(*number)?, *n)))
        .filter(|(date, _)| since.is_none_or(|since| since <= Period::Day(*date).start()))
        .map(|(date, n)| (date.to_string(), n))
        .collect();
    if whole {
        parts.insert("calls".to_owned(), item.charged);
        parts.extend(item.regions.iter().map(|(region, n)| (region.clone(), *n)));
        parts.extend(item.verdicts.iter().map(|(verdict, n)| (verdict.to_string(), *n)));
    }
    parts
}

/// The number of counts that [`differences`] compares.
pub(crate) fn compared(ledger: &[LedgerItem], shadow: &[LedgerItem], since: Option<Timestamp>) -> u64 {
    let named = |item: &LedgerItem| {
        let who = (item.identity.clone(), item.month);
        parts(item, since).into_keys().map(move |part| (who.clone(), part)).collect::<Vec<_>>()
    };
    ledger.iter().chain(shadow).flat_map(named).collect::<BTreeSet<_>>().len() as u64
}

/// Every count that differs between the ledger and a shadow ledger, by identity and month.
pub(crate) fn differences(
    ledger: &[LedgerItem],
    shadow: &[LedgerItem],
    since: Option<Timestamp>,
) -> Vec<Difference> {
    let by_key = |items: &'_ [LedgerItem]| -> BTreeMap<(Identity, Month), LedgerItem> {
        items.iter().map(|item| ((item.identity.clone(), item.month), item.clone())).collect()
    };
    let (ours, theirs) = (by_key(ledger), by_key(shadow));
    let keys: BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
    let mut found = Vec::new();
    for key in keys {
        let (one, other) = (ours.get(key), theirs.get(key));
        let counts = |item: Option<&LedgerItem>| item.map(|item| parts(item, since)).unwrap_or_default();
        let (left, right) = (counts(one), counts(other));
        let names: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
        for name in names {
            let count = |parts: &Parts| parts.get(name).copied().unwrap_or(0);
            let (ledger, shadow) = (count(&left), count(&right));
            if ledger != shadow {
                let (identity, month) = key.clone();
                let ahead = ahead(one, other);
                found.push(Difference { identity, month, part: name.clone(), ledger, shadow, ahead });
            }
        }
    }
    found
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An item of one day's calls in one region, counted up to a sequence number of shard `s`.
    pub(crate) fn item(who: &str, month: &str, days: &[(i8, u64)], counted_to: u64) -> LedgerItem {
        let charged = days.iter().map(|(_, n)| n).sum();
        LedgerItem {
            identity: who.parse().expect("an identity"),
            month: month.parse().expect("a month"),
            charged,
            days: days.iter().copied().collect(),
            regions: [("us-east-1".to_owned(), charged)].into(),
            verdicts: [(ipgeo_contract::Verdict::Allowed, charged)].into(),
            watermarks: [("s".to_owned(), format!("{counted_to:064}"))].into(),
            before_gaps: BTreeMap::new(),
        }
    }

    fn summary(ledger: &[LedgerItem], shadow: &[LedgerItem], since: Option<&str>) -> Vec<String> {
        let since = since.map(|text| text.parse().expect("a timestamp"));
        differences(ledger, shadow, since)
            .into_iter()
            .map(|d| format!("{} {} {} {}≠{} {:?}", d.identity, d.month, d.part, d.ledger, d.shadow, d.ahead))
            .collect()
    }

    #[test]
    fn the_same_counts_do_not_differ() {
        let items = [item("site#a.test", "2026-11", &[(3, 5)], 9), item("key#1", "2026-11", &[(4, 1)], 9)];
        let mut turned = items.clone();
        turned.reverse();
        assert!(differences(&items, &turned, None).is_empty());
    }

    #[test]
    fn each_count_that_differs_is_named() {
        let one = [item("site#a.test", "2026-11", &[(3, 5), (4, 1)], 9)];
        let other = [item("site#a.test", "2026-11", &[(3, 7), (4, 1)], 9)];
        assert_eq!(
            summary(&one, &other, None),
            [
                "site#a.test 2026-11 2026-11-03 5≠7 Neither",
                "site#a.test 2026-11 allowed 6≠8 Neither",
                "site#a.test 2026-11 calls 6≠8 Neither",
                "site#a.test 2026-11 us-east-1 6≠8 Neither",
            ]
        );
        assert_eq!(summary(&one, &[], None).len(), 5);
    }

    #[test]
    fn a_shadow_ledger_is_compared_by_complete_days() {
        let ledger = [item("site#a.test", "2026-11", &[(3, 5), (4, 2), (5, 1)], 9)];
        let young = [item("site#a.test", "2026-11", &[(4, 1), (5, 1)], 8)];
        let counts = |since: &str| compared(&ledger, &young, Some(since.parse().expect("a timestamp")));
        // It has part of the fourth and all of the fifth.
        assert_eq!(counts("2026-11-04T10:00:00Z"), 1);
        assert_eq!(counts("2026-11-05T10:00:00Z"), 0, "no day is complete");
        assert_eq!(compared(&ledger, &young, None), 6);
        assert!(summary(&ledger, &young, Some("2026-11-04T10:00:00Z")).is_empty());
        assert_eq!(
            summary(&ledger, &young, Some("2026-11-04T00:00:00Z")),
            ["site#a.test 2026-11 2026-11-04 2≠1 Ledger"]
        );
        assert_eq!(summary(&ledger, &young, Some("2026-10-01T00:00:00Z")).len(), 5);
    }

    #[test]
    fn ahead_follows_the_watermarks() {
        let at = |to| item("site#a.test", "2026-11", &[(3, 1)], to);
        let mut other_shard = at(5);
        other_shard.watermarks.insert("t".into(), "1".into());
        assert_eq!(ahead(Some(&at(5)), Some(&at(5))), Ahead::Neither);
        assert_eq!(ahead(Some(&at(6)), Some(&at(5))), Ahead::Ledger);
        assert_eq!(ahead(None, Some(&at(5))), Ahead::Shadow);
        assert_eq!(ahead(Some(&at(5)), Some(&other_shard)), Ahead::Shadow);
        assert_eq!(ahead(Some(&at(6)), Some(&other_shard)), Ahead::Both);
    }
}
