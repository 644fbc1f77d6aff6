//! What the page shows.

use std::collections::HashMap;

use ipgeo_contract::{Identity, IdentityKind, KeyRecord, Period};
use ipgeo_runtime::dynamo::LedgerItem;
use jiff::Timestamp;

use crate::usage::report::LagRow;

/// What a month has cost so far.
#[derive(Debug, Clone, PartialEq)]
pub struct CostSoFar {
    /// US dollars.
    pub so_far_usd: f64,
    /// What the figure is based on, for the footer.
    pub basis: String,
}

/// A region's calls.
#[derive(Debug, Clone, PartialEq)]
pub struct RegionCalls {
    pub region: String,
    /// The city that it is near; empty if unknown.
    pub city: String,
    /// Degrees north and east; `None` if unknown: not on the map.
    pub place: Option<(f64, f64)>,
    pub calls: u64,
}

/// An API key's calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyCalls {
    pub name: String,
    pub owner: String,
    pub tier: String,
    pub calls: u64,
}

/// How close an API key is to its limit in its current period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Headroom {
    pub name: String,
    pub owner: String,
    /// Calls used in the period.
    pub used: u64,
    /// Calls that its limit allows.
    pub limit: u64,
    /// The period: `2026-11-24` or `2026-11`.
    pub period: String,
}

impl Headroom {
    /// Percent of the limit, whole, rounded down.
    pub fn percent(&self) -> u64 {
        u64::try_from(u128::from(self.used) * 100 / u128::from(self.limit.max(1))).unwrap_or(u64::MAX)
    }
}

/// Everything that the page shows.
#[derive(Debug, Clone, PartialEq)]
pub struct PageFacts {
    /// Name of the service.
    pub service: String,
    /// The month, `2026-11`.
    pub month: String,
    /// When the page was created.
    pub made: Timestamp,
    /// Calls charged by day: every day of the month until now, in order.
    pub days: Vec<(String, u64)>,
    /// By region, the busiest first.
    pub regions: Vec<RegionCalls>,
    /// The busiest API keys.
    pub keys: Vec<KeyCalls>,
    /// Requests by verdict, allowed first.
    pub verdicts: Vec<(String, u64)>,
    /// API keys by how close they are to their limit, the closest first.
    pub headroom: Vec<Headroom>,
    /// Percentages of a limit from which a key is marked, ascending.
    pub thresholds: Vec<u8>,
    /// How far each region's calls are counted.
    pub lag: Vec<LagRow>,
    /// The cost of the month so far; `None` if unknown: not shown.
    pub bill: Option<CostSoFar>,
}

/// The API keys in use that are closest to their limits, by the exact counts of the ledger.
pub(crate) fn headroom(
    items: &[LedgerItem],
    keys: &HashMap<Identity, KeyRecord>,
    now: Timestamp,
    count: usize,
) -> Vec<Headroom> {
    let mut found: Vec<Headroom> = items
        .iter()
        .filter(|item| item.identity.kind() == IdentityKind::Key)
        .filter_map(|item| {
            let record = keys.get(&item.identity)?;
            let period = Period::new(record.limit.window, now);
            Some(Headroom {
                name: record.hint.clone(),
                owner: record.owner.clone(),
                used: item.used_in(period),
                limit: record.limit.calls,
                period: period.to_string(),
            })
        })
        .filter(|key| key.used > 0)
        .collect();
    // By the exact share, without a division: a/b > c/d if a·d > c·b.
    found.sort_by(|a, b| {
        let (left, right) =
            (u128::from(b.used) * u128::from(a.limit), u128::from(a.used) * u128::from(b.limit));
        left.cmp(&right).then_with(|| a.name.cmp(&b.name))
    });
    found.truncate(count);
    found
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn keys_closest_to_their_limit_come_first_by_their_own_period() {
        let record = |hint: &str, limit: &str| {
            KeyRecord::new(hint, "acme", "startup", limit.parse().expect("a limit"), Timestamp::UNIX_EPOCH)
        };
        let item = |id: &str, days: &[(i8, u64)]| LedgerItem {
            identity: id.parse().expect("an identity"),
            month: "2026-11".parse().expect("a month"),
            charged: days.iter().map(|(_, n)| n).sum(),
            days: days.iter().copied().collect(),
            regions: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            watermarks: BTreeMap::new(),
            before_gaps: BTreeMap::new(),
        };
        let keys = [("key#1", "a", "100/month"), ("key#2", "b", "10/day"), ("key#3", "c", "1000/month")]
            .map(|(id, hint, limit)| (id.parse().expect("an identity"), record(hint, limit)))
            .into();
        let items = [
            item("key#1", &[(1, 50), (24, 40)]),
            item("key#2", &[(23, 10), (24, 8)]),
            item("key#3", &[(24, 1_500)]),
            item("key#4", &[(24, 5)]),
            item("site#a.test", &[(24, 5)]),
        ];
        let now = "2026-11-24T12:00:00Z".parse().expect("a timestamp");
        let found: Vec<_> = headroom(&items, &keys, now, 5)
            .into_iter()
            .map(|key| format!("{} {} % in {}", key.name, key.percent(), key.period))
            .collect();
        assert_eq!(found, ["c 150 % in 2026-11", "a 90 % in 2026-11", "b 80 % in 2026-11-24"]);
    }
}
