//! What the page shows.

use std::collections::{BTreeMap, HashSet};

use ipgeo_contract::{Identity, KeyRecord, Period, Status, Verdict};
use ipgeo_runtime::dynamo::LedgerItem;
use jiff::Timestamp;

use crate::usage::report::LagRow;

/// What the month costs.
#[derive(Debug, Clone, PartialEq)]
pub struct MonthCost {
    /// US dollars until now.
    pub so_far_usd: f64,
    /// At the end of the month, if calls go on like this; `None`: the month is over, or too young.
    pub month_usd: Option<f64>,
    /// What the month may cost.
    pub budget_usd: Option<f64>,
    /// What the figures are based on, for the footer.
    pub basis: String,
}

/// The month before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonthBefore {
    /// `2026-10`.
    pub name: String,
    /// Calls charged on each of its days, in order.
    pub days: Vec<(String, u64)>,
}

/// Calls by kind of caller.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CallerCalls {
    /// With an API key.
    pub keyed: u64,
    /// Without one, those of `sites` included.
    pub anonymous: u64,
    /// Without an API key, from a site (Referer).
    pub sites: u64,
}

/// A tier's calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TierCalls {
    pub tier: String,
    /// API keys that called.
    pub keys: u64,
    pub calls: u64,
}

/// How far counting is behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountingLag {
    pub rows: Vec<LagRow>,
    /// Milliseconds from a call to its count that are more than usual.
    pub late_ms: i64,
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
    /// Whose page it is; `None`: the operator's. A customer's page has nothing about others, costs or the service's inside.
    pub owner: Option<String>,
    /// The month, `2026-11`, or the days, `2026-11-17 to 2026-11-24`.
    pub period: String,
    /// Whether `period` is a month: regions and verdicts are counted by month only.
    pub is_month: bool,
    /// Whether the period is over: nothing can be added, and limits apply to later periods.
    pub is_over: bool,
    /// When the page was created.
    pub made: Timestamp,
    /// Calls charged by day: every day of the period until now, in order.
    pub days: Vec<(String, u64)>,
    /// Calls at the end of the month, if they go on like this.
    pub projection: Option<Projection>,
    pub before: Option<MonthBefore>,
    /// By region, the busiest first; those without calls, too.
    pub regions: Vec<RegionCalls>,
    pub callers: Option<CallerCalls>,
    /// By tier, the busiest first.
    pub tiers: Vec<TierCalls>,
    /// API keys that called, the busiest first.
    pub keys: Vec<KeyCalls>,
    /// Requests by verdict.
    pub verdicts: Vec<(Verdict, u64)>,
    /// The HTTP statuses of an unknown API key and of an exceeded limit, which `[compat]` sets.
    pub statuses: (u16, u16),
    /// API keys in use by how close they are to their limit, the closest first.
    pub headroom: Vec<Headroom>,
    /// API keys that called and have a successor: `headroom` is without them.
    pub rotated: usize,
    /// Percentages of a limit from which a key is marked, ascending.
    pub thresholds: Vec<u8>,
    /// `None` in a period that is over.
    pub lag: Option<CountingLag>,
    /// `None` if unknown: not shown.
    pub cost: Option<MonthCost>,
}

/// Complete days that a projection is based on.
const PROJECTION_DAYS: usize = 7;

/// Calls at the end of a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Projection {
    pub calls: u64,
    /// The complete days that it is based on, at most seven.
    pub days: usize,
    /// Whether the days before the first call are left out.
    pub since_first_call: bool,
}

/// Calls at the end of a month of `length` days, if its remaining days are like the mean of the last seven complete ones.
/// `days` are its days until today. Unless there were calls in the month before, the days before the first call are not
/// counted. `None` on the first day, and when nothing remains.
pub(crate) fn projection(days: &[(String, u64)], length: usize, called_before: bool) -> Option<Projection> {
    let (today, complete) = days.split_last()?;
    let first_call = days.iter().position(|(_, n)| *n > 0).filter(|_| !called_before).unwrap_or(0);
    let last_week = complete.len().saturating_sub(PROJECTION_DAYS);
    let since_first_call = first_call > last_week;
    let week = &complete[first_call.max(last_week)..];
    let remaining = u64::try_from(length.checked_sub(days.len())?).ok()?;
    let sum = |days: &[(String, u64)]| days.iter().fold(0, |sum: u64, (_, n)| sum.saturating_add(*n));
    let mean = sum(week).checked_div(u64::try_from(week.len()).ok()?)?;
    let rest = mean.max(today.1).saturating_add(mean.saturating_mul(remaining));
    let calls = sum(complete).saturating_add(rest);
    Some(Projection { calls, days: week.len(), since_first_call })
}

/// Calls by tier of API keys that are in `rows`.
pub(crate) fn by_tier(rows: &[KeyCalls]) -> Vec<TierCalls> {
    let mut tiers: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for row in rows {
        let (keys, calls) = tiers.entry(&row.tier).or_default();
        *keys += 1;
        *calls = calls.saturating_add(row.calls);
    }
    let named = |tier: &str| if tier.is_empty() { "(deleted)".to_owned() } else { tier.to_owned() };
    let mut tiers: Vec<TierCalls> =
        tiers.into_iter().map(|(tier, (keys, calls))| TierCalls { tier: named(tier), keys, calls }).collect();
    tiers.sort_by_key(|tier| std::cmp::Reverse(tier.calls));
    tiers
}

/// How close an API key is to its limit, by the exact counts of the ledger, if it can be used and was in the current period.
pub(crate) fn headroom_of(item: &LedgerItem, record: &KeyRecord, now: Timestamp) -> Option<Headroom> {
    let works = record.status == Status::Active && record.expires.is_none_or(|expires| expires > now);
    let period = Period::new(record.limit.window, now);
    let used = item.used_in(period);
    (works && used > 0).then(|| Headroom {
        name: record.hint.clone(),
        owner: record.owner.clone(),
        used,
        limit: record.limit.calls,
        period: period.to_string(),
    })
}

/// The API keys, except those of `rotated`, by how close they are to their limits.
pub(crate) fn headroom(keys: Vec<(Identity, Headroom)>, rotated: &HashSet<Identity>) -> Vec<Headroom> {
    let keys = keys.into_iter().filter(|(identity, _)| !rotated.contains(identity));
    let mut found: Vec<Headroom> = keys.map(|(_, headroom)| headroom).collect();
    // By the exact share, without a division: a/b > c/d if a·d > c·b.
    found.sort_by(|a, b| {
        let (left, right) =
            (u128::from(b.used) * u128::from(a.limit), u128::from(a.used) * u128::from(b.limit));
        left.cmp(&right).then_with(|| a.name.cmp(&b.name))
    });
    found
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use super::super::PageSums;
    use super::*;
    use crate::usage::report::DayRange;

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
        let mut keys: HashMap<Identity, KeyRecord> = [
            ("key#1", "a", "100/month"),
            ("key#2", "b", "10/day"),
            ("key#3", "c", "1000/month"),
            ("key#5", "revoked", "10/month"),
            ("key#6", "expired", "10/month"),
            ("key#7", "rotated", "10/month"),
        ]
        .map(|(id, hint, limit)| (id.parse().expect("an identity"), record(hint, limit)))
        .into();
        for record in keys.values_mut() {
            match record.hint.as_str() {
                "revoked" => record.status = Status::Revoked,
                "expired" => record.expires = Some(Timestamp::UNIX_EPOCH),
                _ => {}
            }
        }
        let rotated = ["key#7".parse().expect("an identity")].into();
        let items = [
            item("key#1", &[(1, 50), (24, 40)]),
            item("key#2", &[(23, 10), (24, 8)]),
            item("key#3", &[(24, 1_500)]),
            item("key#4", &[(24, 5)]),
            item("key#5", &[(24, 9)]),
            item("key#6", &[(24, 9)]),
            item("key#7", &[(24, 9)]),
            item("site#a.test", &[(24, 5)]),
        ];
        let now = "2026-11-24T12:00:00Z".parse().expect("a timestamp");
        let day = jiff::civil::date(2026, 11, 24);
        let mut sums = PageSums::new(None, DayRange { from: day, to: day }, now);
        for item in &items {
            sums.add(item, &keys);
        }
        let found: Vec<_> = headroom(sums.headroom, &rotated)
            .into_iter()
            .map(|key| format!("{} {} % in {}", key.name, key.percent(), key.period))
            .collect();
        assert_eq!(found, ["c 150 % in 2026-11", "a 90 % in 2026-11", "b 80 % in 2026-11-24"]);
    }

    #[test]
    fn a_projection_goes_on_like_the_last_seven_complete_days() {
        let days = |calls: &[u64]| -> Vec<(String, u64)> {
            calls.iter().map(|calls| (String::new(), *calls)).collect()
        };
        let table: [(&[u64], usize, Option<u64>); 6] = [
            (&[], 30, None),
            (&[5], 30, None),
            // Today is at least a usual day.
            (&[10, 2], 4, Some(10 + 10 + 2 * 10)),
            (&[10, 25], 4, Some(10 + 25 + 2 * 10)),
            (&[900, 1, 1, 1, 1, 1, 1, 1, 0], 10, Some(907 + 1 + 1)),
            (&[1, 2, 3], 2, None),
        ];
        for (calls, length, expected) in table {
            let found = projection(&days(calls), length, true).map(|found| found.calls);
            assert_eq!(found, expected, "{calls:?}");
        }
        let found = projection(&days(&[u64::MAX, u64::MAX]), 30, false).map(|found| found.calls);
        assert_eq!(found, Some(u64::MAX));
    }

    #[test]
    fn a_projection_leaves_out_the_days_before_the_first_call() {
        // The calls of each day, whether there were calls before; calls at the end of 30 days, complete days, from the first.
        type Row<'a> = (&'a [u64], bool, Option<(u64, usize, bool)>);
        let quiet = [0; 10];
        let table: [Row<'_>; 8] = [
            (&[&quiet[..], &[70, 90, 10]].concat(), false, Some((160 + 80 + 17 * 80, 2, true))),
            (&[&quiet[..], &[70, 90, 10]].concat(), true, Some((160 + 22 + 17 * 22, 7, false))),
            // Days without a call after the first count.
            (&[&quiet[..], &[70, 0, 0]].concat(), false, Some((70 + 35 + 17 * 35, 2, true))),
            (&[&quiet[..], &[7; 9]].concat(), false, Some((19 * 7 + 11 * 7 - 10 * 7, 7, false))),
            (&[0, 8, 8], false, Some((16 + 27 * 8, 1, true))),
            (&[8, 8, 8], false, Some((24 + 27 * 8, 2, false))),
            // The first call was today.
            (&[&quiet[..], &[70]].concat(), false, None),
            (&quiet, false, Some((0, 7, false))),
        ];
        for (calls, called_before, expected) in table {
            let days: Vec<_> = calls.iter().map(|calls| (String::new(), *calls)).collect();
            let found = projection(&days, 30, called_before);
            let found = found.map(|found| (found.calls, found.days, found.since_first_call));
            assert_eq!(found, expected, "{calls:?}");
        }
    }

    #[test]
    fn tiers_are_sums_of_their_api_keys() {
        let key = |tier: &str, calls| KeyCalls {
            name: "ipg_…x3Kq".into(),
            owner: "acme".into(),
            tier: tier.into(),
            calls,
        };
        let tiers = by_tier(&[key("startup", 5), key("business", 9), key("startup", 6), key("", 1)]);
        let found: Vec<_> =
            tiers.iter().map(|row| format!("{} {} {}", row.tier, row.keys, row.calls)).collect();
        assert_eq!(found, ["startup 2 11", "business 1 9", "(deleted) 1 1"]);
    }
}
