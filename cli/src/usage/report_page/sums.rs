//! Sums of ledger items for the page, added one item at a time: a ledger may be larger than memory.

use std::collections::{BTreeMap, HashMap, HashSet};

use ipgeo_contract::{Identity, IdentityKind, KeyRecord, Month, Verdict};
use ipgeo_runtime::dynamo::LedgerItem;
use jiff::Timestamp;

use super::facts::{CallerCalls, Headroom, headroom_of};
use crate::usage::report::{DayRange, GroupBy, Sums};

/// What the page needs of the ledger; bounded by API keys, days and regions.
pub(crate) struct PageSums {
    /// The period's month, and the month before it; `None`: only days.
    month: Option<Month>,
    now: Timestamp,
    /// Sums over all callers count a call by an address with a Referer once, for the address.
    pub(crate) days: Sums,
    pub(crate) regions: Sums,
    /// By API key.
    pub(crate) called: Sums,
    /// The days of the month before; `None` if it has no items.
    pub(crate) before: Option<Sums>,
    kinds: [(IdentityKind, Sums); 3],
    pub(crate) verdicts: BTreeMap<Verdict, u64>,
    /// Calls charged in the month: to all, and to API keys.
    pub(crate) charged: u64,
    pub(crate) keyed: u64,
    /// API keys with an item.
    pub(crate) keys: u32,
    /// API keys that can be used and were, unordered.
    pub(crate) headroom: Vec<(Identity, Headroom)>,
    /// API keys that end: they may have a successor.
    pub(crate) ending: HashSet<Identity>,
}

impl PageSums {
    pub(crate) fn new(month: Option<Month>, span: DayRange, now: Timestamp) -> Self {
        let of_kind = |kind| (kind, Sums::new(false, None, span));
        Self {
            month,
            now,
            days: Sums::new(false, Some(GroupBy::Day), span),
            regions: Sums::new(false, Some(GroupBy::Region), span),
            called: Sums::new(true, None, span),
            before: None,
            kinds: [IdentityKind::Key, IdentityKind::Address, IdentityKind::Site].map(of_kind),
            verdicts: BTreeMap::new(),
            charged: 0,
            keyed: 0,
            keys: 0,
            headroom: Vec::new(),
            ending: HashSet::new(),
        }
    }

    /// Whether there are no items but those of sites.
    pub(crate) fn is_empty(&self) -> bool {
        self.charged == 0 && self.keys == 0 && self.verdicts.is_empty()
    }

    pub(crate) fn add(&mut self, item: &LedgerItem, keys: &HashMap<Identity, KeyRecord>) {
        let kind = item.identity.kind();
        if self.month.is_some_and(|month| item.month < month) {
            if kind != IdentityKind::Site {
                let (from, to) = (item.month.first(), item.month.first().last_of_month());
                let empty = || Sums::new(false, Some(GroupBy::Day), DayRange { from, to });
                self.before.get_or_insert_with(empty).add(item);
            }
            return;
        }
        for (_, sums) in self.kinds.iter_mut().filter(|(of, _)| *of == kind) {
            sums.add(item);
        }
        if kind == IdentityKind::Key {
            self.called.add(item);
            self.keyed = self.keyed.saturating_add(item.charged);
            self.keys += 1;
            if let Some(record) = keys.get(&item.identity) {
                if record.expires.is_some() {
                    self.ending.insert(item.identity.clone());
                }
                let headroom = headroom_of(item, record, self.now);
                self.headroom.extend(headroom.map(|headroom| (item.identity.clone(), headroom)));
            }
        }
        if kind != IdentityKind::Site {
            self.days.add(item);
            self.regions.add(item);
            self.charged = self.charged.saturating_add(item.charged);
            for (verdict, n) in &item.verdicts {
                let sum = self.verdicts.entry(*verdict).or_default();
                *sum = sum.saturating_add(*n);
            }
        }
    }

    /// Calls by kind of caller.
    pub(crate) fn callers(&self) -> CallerCalls {
        let [keyed, anonymous, sites] = [0, 1, 2].map(|kind: usize| self.kinds[kind].1.calls());
        CallerCalls { keyed, anonymous, sites }
    }
}
