//! Folds ledger items into the rows of a report.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::hash::Hash;

use ipgeo_contract::{Identity, IdentityKind, KeyRecord, Month, Verdict};
use ipgeo_runtime::dynamo::LedgerItem;
use jiff::civil::Date;
use rustc_hash::FxHashMap;
use serde::Serialize;

/// How a report is grouped. The ledger has sums by day, by region and by verdict, but no combinations of them. Each can be
/// reported per identity or for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, clap::ValueEnum)]
pub enum GroupBy {
    /// API key, site or address.
    Key,
    /// Day, UTC.
    Day,
    /// Hour, UTC; from log lines, which are kept for a day.
    Hour,
    /// Region that answered.
    Region,
    /// Allowed, or refused and why.
    Verdict,
}

impl GroupBy {
    /// The name in rows and headings; identities have their own columns.
    pub fn word(self) -> &'static str {
        match self {
            Self::Key => TOTAL,
            Self::Day => "day",
            Self::Hour => "hour",
            Self::Region => "region",
            Self::Verdict => "verdict",
        }
    }
}

/// The days that a report covers, inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayRange {
    pub from: Date,
    pub to: Date,
}

impl DayRange {
    /// Whether the range covers whole months: requests are only counted by month.
    fn is_of_whole_months(self) -> bool {
        self.from.day() == 1 && self.to == self.to.last_of_month()
    }
}

/// A row of a report. Columns by which the report is not grouped are empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ReportRow {
    /// The kind of `part`: `day`, `hour`, `region`, `verdict`; `total` for rows without a part.
    pub by: &'static str,
    /// `key`, `site`, `addr`; empty for all together.
    pub kind: &'static str,
    /// An API key's hint, a site's host, the beginning of an address's tag, or `(pooled callers)`.
    pub name: String,
    /// Who the API key was created for.
    pub owner: String,
    /// The API key's tier.
    pub tier: String,
    /// Day, hour, region or verdict.
    pub part: String,
    /// Requests, answered or refused; `None` where the ledger does not have them: by day, by region, and for part of a
    /// month.
    pub requests: Option<u64>,
    /// Calls charged; `None` for verdicts.
    pub calls: Option<u64>,
    /// The API key's limit.
    pub limit: String,
}

/// The name of a row without a part.
const TOTAL: &str = "total";

/// The name of the row of all pooled anonymous callers of a kind.
const POOLED: &str = "(pooled callers)";

/// Who a row is about: kind, name, owner, tier, limit.
pub(super) type Who = (&'static str, String, String, String, String);

pub(super) fn who(identity: &Identity, keys: &HashMap<Identity, KeyRecord>) -> Who {
    let short = |text: &str| text.chars().take(12).collect::<String>();
    if identity.is_pooled() {
        let kind = identity.kind().as_str();
        return (kind, POOLED.to_owned(), String::new(), "anonymous".into(), String::new());
    }
    match identity.kind() {
        IdentityKind::Key => match keys.get(identity) {
            Some(record) => {
                let limit = record.limit.to_string();
                ("key", record.hint.clone(), record.owner.clone(), record.tier.clone(), limit)
            }
            None => ("key", short(identity.name()), "(deleted)".into(), String::new(), String::new()),
        },
        IdentityKind::Site => {
            ("site", identity.name().to_owned(), String::new(), "anonymous".into(), String::new())
        }
        IdentityKind::Address => {
            ("addr", short(identity.name()), String::new(), "anonymous".into(), String::new())
        }
    }
}

/// An identity for people: its kind, its name (an API key's hint) and its owner.
pub(crate) fn name_of(
    identity: &Identity,
    keys: &HashMap<Identity, KeyRecord>,
) -> (&'static str, String, String) {
    let (kind, name, owner, ..) = who(identity, keys);
    (kind, name, owner)
}

/// What a row counts, in a report that is grouped by one part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Cell {
    All,
    Day(Date),
    /// Its number.
    Region(u32),
    Verdict(Verdict),
}

/// The counts of a row.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    requests: Option<u64>,
    calls: Option<u64>,
}

impl Counts {
    fn of_calls(calls: u64) -> Self {
        Self { calls: Some(calls), requests: None }
    }

    fn of_requests(requests: u64) -> Self {
        Self { calls: None, requests: Some(requests) }
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        let sum = |a: Option<u64>, b: Option<u64>| match (a, b) {
            (Some(a), Some(b)) => Some(a.saturating_add(b)),
            (one, None) | (None, one) => one,
        };
        *self = Self { requests: sum(self.requests, other.requests), calls: sum(self.calls, other.calls) };
    }
}

fn date(month: Month, day: i8) -> Option<Date> {
    let first = month.first();
    Date::new(first.year(), first.month(), day).ok()
}

/// Numbers for values, so that a sum's key is small.
#[derive(Debug)]
struct Numbers<T>(FxHashMap<T, u32>);

impl<T: Clone + Eq + Hash + Default> Numbers<T> {
    fn of(&mut self, value: &T) -> u32 {
        if let Some(number) = self.0.get(value) {
            return *number;
        }
        let number = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0.insert(value.clone(), number);
        number
    }

    /// The values by their numbers, each changed by `change`.
    fn values<U: Default + Clone>(self, change: impl Fn(T) -> U) -> Vec<U> {
        let mut values = vec![U::default(); self.0.len()];
        for (value, number) in self.0 {
            values[number as usize] = change(value);
        }
        values
    }
}

/// The sums of one table, grouped by identity (if `by_identity`) and by `part`; without either, of one row with the totals.
/// Ledger items are added one at a time, so that memory is bounded by the rows, however many items a ledger has.
#[derive(Debug)]
pub struct Sums {
    by_identity: bool,
    part: Option<GroupBy>,
    span: DayRange,
    identities: Numbers<Option<Identity>>,
    regions: Numbers<String>,
    counts: FxHashMap<(u32, Cell), Counts>,
}

impl Sums {
    /// Without any item.
    pub fn new(by_identity: bool, part: Option<GroupBy>, span: DayRange) -> Self {
        let (identities, regions) = (Numbers(FxHashMap::default()), Numbers(FxHashMap::default()));
        Self { by_identity, part, span, identities, regions, counts: FxHashMap::default() }
    }

    /// Adds an item's counts within the days of the report. Sums by region and verdict cover whole months.
    pub fn add(&mut self, item: &LedgerItem) {
        let whose = self.identities.of(&self.by_identity.then(|| item.identity.clone()));
        let mut add = |cell, counts| *self.counts.entry((whose, cell)).or_default() += counts;
        let days = || {
            let dated = item.days.iter().filter_map(|(day, n)| Some((date(item.month, *day)?, *n)));
            dated.filter(|(date, _)| (self.span.from..=self.span.to).contains(date))
        };
        match self.part {
            Some(GroupBy::Region) => {
                for (region, n) in &item.regions {
                    add(Cell::Region(self.regions.of(region)), Counts::of_calls(*n));
                }
            }
            Some(GroupBy::Verdict) => {
                let verdicts = item.verdicts.iter();
                verdicts.for_each(|(verdict, n)| add(Cell::Verdict(*verdict), Counts::of_requests(*n)));
            }
            // The ledger has no hours; see `hours`.
            Some(GroupBy::Hour) => {}
            Some(GroupBy::Day) => days().for_each(|(date, n)| add(Cell::Day(date), Counts::of_calls(n))),
            Some(GroupBy::Key) | None => {
                if let Some(calls) = days().map(|(_, n)| n).reduce(u64::saturating_add) {
                    add(Cell::All, Counts::of_calls(calls));
                }
                if self.span.is_of_whole_months() && !item.verdicts.is_empty() {
                    let requests = item.verdicts.values().fold(0, |sum: u64, n| sum.saturating_add(*n));
                    add(Cell::All, Counts::of_requests(requests));
                }
            }
        }
        if self.by_identity && self.part.is_none() && item.days.is_empty() && !item.verdicts.is_empty() {
            // Refused requests only: no calls, but it still gets a row.
            add(Cell::All, Counts::of_calls(0));
        }
    }

    /// The sum of all calls.
    pub fn calls(&self) -> u64 {
        self.counts.values().filter_map(|counts| counts.calls).fold(0, u64::saturating_add)
    }

    /// The rows in their order. A row has one name, but its counts may come from several identities.
    pub fn rows(self, keys: &HashMap<Identity, KeyRecord>) -> Vec<ReportRow> {
        let whose = self.identities.values(|identity| identity.map(|id| who(&id, keys)).unwrap_or_default());
        let regions = self.regions.values(|region| region);
        let by = self.part.map_or(TOTAL, GroupBy::word);
        let row = |((number, cell), counts): ((u32, Cell), Counts)| {
            let (kind, name, owner, tier, limit) = whose[number as usize].clone();
            let part = match cell {
                Cell::All => String::new(),
                Cell::Day(day) => day.to_string(),
                Cell::Region(number) => regions[number as usize].clone(),
                Cell::Verdict(verdict) => verdict.to_string(),
            };
            let Counts { requests, calls } = counts;
            ReportRow { by, kind, name, owner, tier, part, requests, calls, limit }
        };
        let mut rows: Vec<ReportRow> = self.counts.into_iter().map(row).collect();
        rows.sort_unstable_by(|a, b| a.identity().cmp(&b.identity()));
        rows.dedup_by(|later, earlier| {
            let is_same = later.identity() == earlier.identity();
            if is_same {
                let mut sum = earlier.counts();
                sum += later.counts();
                (earlier.requests, earlier.calls) = (sum.requests, sum.calls);
            }
            is_same
        });
        if self.part.is_none() || self.part == Some(GroupBy::Region) {
            rows.sort_by_key(|row| Reverse(row.calls));
        }
        if self.part == Some(GroupBy::Verdict) {
            let order =
                |row: &ReportRow| Verdict::ALL.iter().position(|verdict| verdict.as_str() == row.part);
            rows.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| order(a).cmp(&order(b))));
        }
        rows
    }
}

impl ReportRow {
    /// What distinguishes rows of a table, in their order.
    fn identity(&self) -> [&str; 6] {
        [self.kind, &self.name, &self.owner, &self.tier, &self.limit, &self.part]
    }

    fn counts(&self) -> Counts {
        Counts { requests: self.requests, calls: self.calls }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn report(
        items: &[LedgerItem],
        by_identity: bool,
        part: Option<GroupBy>,
        span: DayRange,
    ) -> Vec<ReportRow> {
        let mut sums = Sums::new(by_identity, part, span);
        for item in items {
            sums.add(item);
        }
        sums.rows(&HashMap::new())
    }

    fn item(identity: &str, days: &[(i8, u64)], regions: &[(&str, u64)], refused: u64) -> LedgerItem {
        let charged = days.iter().map(|(_, n)| n).sum();
        LedgerItem {
            identity: identity.parse().expect("an identity"),
            month: "2026-11".parse().expect("a month"),
            charged,
            days: days.iter().copied().collect(),
            regions: regions.iter().map(|(region, n)| ((*region).to_owned(), *n)).collect(),
            verdicts: [(Verdict::Allowed, charged), (Verdict::OverQuota, refused)]
                .into_iter()
                .filter(|(_, n)| *n > 0)
                .collect(),
            watermarks: BTreeMap::new(),
            before_gaps: BTreeMap::new(),
        }
    }

    fn items() -> Vec<LedgerItem> {
        vec![
            item("site#a.test", &[(23, 5), (24, 1)], &[("us-east-1", 6)], 0),
            item("site#b.test", &[(24, 9)], &[("us-east-1", 2), ("sa-east-1", 7)], 3),
            item("addr#00112233445566778899aabbccddeeff", &[], &[], 4),
        ]
    }

    fn span(from: &str) -> DayRange {
        DayRange { from: from.parse().expect("a date"), to: "2026-11-30".parse().expect("a date") }
    }

    fn summary(by_identity: bool, part: Option<GroupBy>, from: &str) -> Vec<String> {
        report(&items(), by_identity, part, span(from))
            .into_iter()
            .map(|row| {
                let count = row.calls.or(row.requests).expect("a count");
                format!("{} {} {} {count}", row.kind, row.name, row.part)
            })
            .collect()
    }

    #[test]
    fn reports_by_each_part() {
        assert_eq!(
            summary(true, None, "2026-11-01"),
            ["site b.test  9", "site a.test  6", "addr 001122334455  0"]
        );
        assert_eq!(
            summary(true, None, "2026-11-24"),
            ["site b.test  9", "site a.test  1", "addr 001122334455  0"]
        );
        assert_eq!(summary(false, None, "2026-11-01"), ["   15"]);
        assert_eq!(summary(false, Some(GroupBy::Day), "2026-11-01"), ["  2026-11-23 5", "  2026-11-24 10"]);
        assert_eq!(summary(false, Some(GroupBy::Region), "2026-11-01"), ["  us-east-1 8", "  sa-east-1 7"]);
        assert_eq!(summary(false, Some(GroupBy::Verdict), "2026-11-01"), ["  allowed 15", "  over_quota 7"]);
        assert_eq!(
            summary(true, Some(GroupBy::Day), "2026-11-24"),
            ["site a.test 2026-11-24 1", "site b.test 2026-11-24 9"]
        );
    }

    #[test]
    fn requests_are_not_calls_and_are_reported_where_the_ledger_has_them() {
        let counts = |by_identity, part, from| -> Vec<(Option<u64>, Option<u64>)> {
            let rows = report(&items(), by_identity, part, span(from)).into_iter();
            rows.map(|row| (row.requests, row.calls)).collect()
        };
        // 12 requests of which 9 were charged, 6 of which all were, and 4 that were refused.
        let of_all = [(Some(12), Some(9)), (Some(6), Some(6)), (Some(4), Some(0))];
        assert_eq!(counts(true, None, "2026-11-01"), of_all);
        assert_eq!(counts(false, None, "2026-11-01"), [(Some(22), Some(15))]);
        // Requests are not known for part of a month.
        assert_eq!(counts(false, None, "2026-11-24"), [(None, Some(10))]);
        assert_eq!(counts(false, Some(GroupBy::Verdict), "2026-11-01"), [(Some(15), None), (Some(7), None)]);
        assert_eq!(counts(false, Some(GroupBy::Region), "2026-11-01"), [(None, Some(8)), (None, Some(7))]);
    }

    #[test]
    fn every_count_has_a_row_of_its_own() {
        let rows = super::super::export_rows(&items()[1..]);
        let shown: Vec<String> = rows
            .into_iter()
            .map(|row| format!("{} {} {} {} {}", row.identity, row.month, row.part, row.name, row.count))
            .collect();
        assert_eq!(
            shown,
            [
                "site#b.test 2026-11 calls  9",
                "site#b.test 2026-11 day 2026-11-24 9",
                "site#b.test 2026-11 region sa-east-1 7",
                "site#b.test 2026-11 region us-east-1 2",
                "site#b.test 2026-11 verdict allowed 9",
                "site#b.test 2026-11 verdict over_quota 3",
                "addr#00112233445566778899aabbccddeeff 2026-11 calls  0",
                "addr#00112233445566778899aabbccddeeff 2026-11 verdict over_quota 4",
            ]
        );
    }

    #[test]
    fn the_busiest_come_first() {
        let rows = report(&items(), true, None, span("2026-11-01"));
        let names: Vec<_> = rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["b.test", "a.test", "001122334455"]);
    }

    #[test]
    fn identities_with_the_same_name_are_one_row_and_hold_one_number_each() {
        let days = |n| [(24, n)];
        let items: Vec<LedgerItem> = (0..3)
            .flat_map(|last| {
                let address = format!("addr#00112233445566778899aabbccddee{last:02}");
                [item(&address, &days(1), &[], 0), item(&address, &days(2), &[], 1)]
            })
            .collect();
        let mut sums = Sums::new(true, None, span("2026-11-01"));
        for item in &items {
            sums.add(item);
        }
        assert_eq!((sums.calls(), sums.counts.len()), (9, 3));
        let rows = sums.rows(&HashMap::new());
        let [row] = &rows[..] else { panic!("{rows:?}") };
        assert_eq!((row.name.as_str(), row.calls, row.requests), ("001122334455", Some(9), Some(12)));
    }
}
