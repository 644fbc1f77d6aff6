//! Folds ledger items into the rows of a report.

use std::collections::{BTreeMap, HashMap};

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
enum Cell<'a> {
    All,
    Day(Date),
    Region(&'a str),
    Verdict(Verdict),
}

impl Cell<'_> {
    fn text(self) -> String {
        match self {
            Self::All => String::new(),
            Self::Day(day) => day.to_string(),
            Self::Region(region) => region.to_owned(),
            Self::Verdict(verdict) => verdict.to_string(),
        }
    }
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

/// An item's counts by the cells of a report grouped by `part`, within the days of `span`. Sums by region and verdict cover
/// whole months.
fn count<'a>(
    item: &'a LedgerItem,
    part: Option<GroupBy>,
    span: DayRange,
    mut add: impl FnMut(Cell<'a>, Counts),
) {
    let days = || {
        let dated = item.days.iter().filter_map(|(day, n)| Some((date(item.month, *day)?, *n)));
        dated.filter(|(date, _)| (span.from..=span.to).contains(date))
    };
    match part {
        Some(GroupBy::Region) => {
            item.regions.iter().for_each(|(region, n)| add(Cell::Region(region), Counts::of_calls(*n)));
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
            if span.is_of_whole_months() && !item.verdicts.is_empty() {
                let requests = item.verdicts.values().fold(0, |sum: u64, n| sum.saturating_add(*n));
                add(Cell::All, Counts::of_requests(requests));
            }
        }
    }
}

fn date(month: Month, day: i8) -> Option<Date> {
    let first = month.first();
    Date::new(first.year(), first.month(), day).ok()
}

/// Sums counts by identity (if `by_identity`) and cell. Names are added afterwards: a row has one name, but its counts come from
/// many ledger items.
fn sums(
    items: &[LedgerItem],
    by_identity: bool,
    part: Option<GroupBy>,
    span: DayRange,
) -> FxHashMap<(Option<&Identity>, Cell<'_>), Counts> {
    let mut sums: FxHashMap<_, Counts> = FxHashMap::default();
    for item in items {
        let whose = by_identity.then_some(&item.identity);
        count(item, part, span, |cell, n| *sums.entry((whose, cell)).or_default() += n);
        if by_identity && part.is_none() && item.days.is_empty() && !item.verdicts.is_empty() {
            // Refused requests only: no calls, but it still gets a row.
            *sums.entry((whose, Cell::All)).or_default() += Counts::of_calls(0);
        }
    }
    sums
}

/// A report's rows, grouped by identity (if `by_identity`) and by `part`; without either, one row with the totals.
pub fn report(
    items: &[LedgerItem],
    keys: &HashMap<Identity, KeyRecord>,
    by_identity: bool,
    part: Option<GroupBy>,
    span: DayRange,
) -> Vec<ReportRow> {
    let mut named: BTreeMap<(Who, String), Counts> = BTreeMap::new();
    for ((identity, cell), counts) in sums(items, by_identity, part, span) {
        let whose = identity.map(|identity| who(identity, keys)).unwrap_or_default();
        *named.entry((whose, cell.text())).or_default() += counts;
    }
    let part_word = part.map_or(TOTAL, GroupBy::word);
    let row = |(((kind, name, owner, tier, limit), part), counts): ((Who, String), Counts)| ReportRow {
        by: part_word,
        kind,
        name,
        owner,
        tier,
        part,
        requests: counts.requests,
        calls: counts.calls,
        limit,
    };
    let mut rows: Vec<ReportRow> = named.into_iter().map(row).collect();
    if part.is_none() || part == Some(GroupBy::Region) {
        rows.sort_by_key(|row| std::cmp::Reverse(row.calls));
    }
    if part == Some(GroupBy::Verdict) {
        let order = |row: &ReportRow| Verdict::ALL.iter().position(|verdict| verdict.as_str() == row.part);
        rows.sort_by_key(|row| (row.name.clone(), order(row)));
    }
    rows
}

/// The busiest identities of a kind, without pooled anonymous callers.
pub(crate) fn top(
    items: &[LedgerItem],
    keys: &HashMap<Identity, KeyRecord>,
    kind: IdentityKind,
    count: usize,
    span: DayRange,
) -> Vec<ReportRow> {
    let is_one = |item: &&LedgerItem| item.identity.kind() == kind && !item.identity.is_pooled();
    let of_kind: Vec<LedgerItem> = items.iter().filter(is_one).cloned().collect();
    let mut rows = report(&of_kind, keys, true, None, span);
    rows.truncate(count);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

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
        report(&items(), &HashMap::new(), by_identity, part, span(from))
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
            let rows = report(&items(), &HashMap::new(), by_identity, part, span(from)).into_iter();
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
        let rows = top(&items(), &HashMap::new(), IdentityKind::Site, 1, span("2026-11-01"));
        assert_eq!(rows.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["b.test"]);
    }
}
