//! The sections of the page: each has a summary, a table with bars, and some have a drawing.

use std::fmt::Write as _;

use ipgeo_contract::Verdict;
use serde::Serialize;

use super::facts::{CountingLag, Headroom, PageFacts};
use super::map::{self, Map, map};
use crate::ui::drawing::Kind::{Bar as BarKind, Long, Number, Short};
use crate::ui::drawing::{Cell, Chart, Head, Table, bar, columns, head};
use crate::ui::format::{counted, date_and_time, duration_ms, grouped};

/// API keys that a table names; the others are one row.
const KEYS_SHOWN: usize = 15;
/// Days that a screen shows at once.
const DAYS_VISIBLE: usize = 7;

/// A section of the page.
#[derive(Default, Serialize)]
pub(super) struct Section {
    id: &'static str,
    title: &'static str,
    /// What there is to see, in a sentence.
    summary: String,
    /// What marks mean: the class of the mark and its text.
    legend: Vec<(&'static str, String)>,
    chart: Option<Chart>,
    /// For wide and for narrow screens.
    maps: Vec<Map>,
    table: Option<Table>,
}

/// All of them, in the page's order.
pub(super) fn sections(facts: &PageFacts) -> Vec<Section> {
    let mut sections = vec![by_day(facts)];
    sections.extend(callers(facts));
    sections.extend(by_tier(facts));
    sections.extend(by_region(facts));
    sections.push(by_key(facts));
    // Limits apply to the current period: a past month has no headroom.
    sections.extend((!facts.is_over).then(|| headroom(facts)));
    sections.extend(by_answer(facts));
    sections.extend(facts.lag.as_ref().map(lag));
    sections
}

pub(super) fn share(part: u64, whole: u64) -> String {
    let whole = u128::from(whole.max(1));
    let tenths = (u128::from(part) * 2_000 + whole) / (2 * whole);
    if part > 0 && tenths == 0 {
        return "<0.1 %".to_owned();
    }
    format!("{}.{} %", tenths / 10, tenths % 10)
}

fn sum(numbers: impl Iterator<Item = u64>) -> u64 {
    numbers.fold(0, u64::saturating_add)
}

fn table(heads: Vec<Head>, rows: Vec<Vec<Cell>>, noun: &'static str) -> Option<Table> {
    (!rows.is_empty()).then(|| Table { heads, rows, noun, ..Table::default() })
}

fn yet(facts: &PageFacts) -> &'static str {
    if facts.is_over { "" } else { " yet" }
}

fn by_day(facts: &PageFacts) -> Section {
    let busiest = facts.days.iter().max_by_key(|(_, n)| *n).filter(|(_, n)| *n > 0);
    let before = facts.before.as_ref().filter(|before| before.days.iter().any(|(_, n)| *n > 0));
    let days_before = before.map_or(&[][..], |before| &before.days);
    let silent = facts.days.iter().filter(|(_, n)| *n == 0).count();
    let mut summary = match busiest {
        None => format!("No call was counted{}.", yet(facts)),
        Some((day, n)) => format!("The busiest day was {day} with {}.", counted(*n, "call")),
    };
    if busiest.is_some() && silent > 0 {
        let _ = write!(summary, " {} without a call.", counted(silent as u64, "day"));
    }
    let mut heads = vec![head("Day, UTC", Short), head("Calls", Number)];
    heads.extend(before.map(|before| head(&before.name, Number)));
    let shown = |n: u64| if n == 0 { "–".to_owned() } else { grouped(n) };
    let rows = facts.days.iter().enumerate().rev().filter_map(|(index, (day, n))| {
        let then = days_before.get(index).map_or(0, |(_, n)| *n);
        (*n > 0 || then > 0).then(|| {
            let mut cells: Vec<Cell> = vec![day.clone().into(), shown(*n).into()];
            cells.extend(before.map(|_| shown(then).into()));
            cells
        })
    });
    let mut days = table(heads, rows.collect(), "days");
    if let Some(days) = &mut days {
        days.visible = (days.rows.len() > DAYS_VISIBLE + 1).then_some(DAYS_VISIBLE);
    }
    let legend = before.map(|before| {
        vec![("column", facts.period.clone()), ("before", format!("{}, day by day", before.name))]
    });
    let alt = format!("Columns: calls by day in {}. {summary}", facts.period);
    let is_empty = busiest.is_none() && before.is_none();
    Section {
        id: "days",
        title: "Calls by day",
        summary,
        legend: legend.unwrap_or_default(),
        chart: (!is_empty).then(|| columns(&facts.days, days_before, alt)),
        table: days,
        ..Section::default()
    }
}

/// A row with a share: its texts, its number, the share, and a bar.
fn share_row(texts: Vec<Cell>, class: &'static str, n: u64, all: u64) -> Vec<Cell> {
    let figures = [grouped(n).into(), share(n, all).into(), Cell::Bar(bar(class, n, all))];
    texts.into_iter().chain(figures).collect()
}

fn callers(facts: &PageFacts) -> Option<Section> {
    let callers = facts.callers.filter(|callers| callers.keyed > 0 || callers.anonymous > 0)?;
    let all = callers.keyed.saturating_add(callers.anonymous);
    let rows = [
        ("with an API key", callers.keyed),
        ("without, from a site", callers.sites.min(callers.anonymous)),
        ("without, others", callers.anonymous.saturating_sub(callers.sites)),
    ];
    let heads =
        vec![head("Callers", Short), head("Calls", Number), head("Share", Number), head("", BarKind).extra()];
    let rows = rows.into_iter().filter(|(_, n)| *n > 0);
    Some(Section {
        id: "callers",
        title: "Who called",
        summary: format!("{} of the calls had an API key.", share(callers.keyed, all)),
        table: table(
            heads,
            rows.map(|(who, n)| share_row(vec![who.into()], "fill", n, all)).collect(),
            "callers",
        ),
        ..Section::default()
    })
}

fn by_tier(facts: &PageFacts) -> Option<Section> {
    let all = sum(facts.tiers.iter().map(|tier| tier.calls));
    let first = facts.tiers.first()?;
    let heads = vec![
        head("Tier", Long),
        head("API keys", Number),
        head("Calls", Number),
        head("Share", Number),
        head("", BarKind).extra(),
    ];
    let rows = facts.tiers.iter().map(|tier| {
        share_row(vec![tier.tier.clone().into(), grouped(tier.keys).into()], "fill", tier.calls, all)
    });
    Some(Section {
        id: "tiers",
        title: "Calls by tier",
        summary: format!("{} made {} of the calls with an API key.", first.tier, share(first.calls, all)),
        table: table(heads, rows.collect(), "tiers"),
        ..Section::default()
    })
}

fn by_region(facts: &PageFacts) -> Option<Section> {
    let all = sum(facts.regions.iter().map(|region| region.calls));
    let first = facts.regions.first().filter(|region| region.calls > 0)?;
    let idle: Vec<&str> = facts
        .regions
        .iter()
        .filter(|region| region.calls == 0)
        .map(|region| region.region.as_str())
        .collect();
    let mut summary = format!("{} answered {} of all calls.", first.region, share(first.calls, all));
    if !idle.is_empty() {
        let _ = write!(summary, " No calls in {}.", idle.join(", "));
    }
    let heads = vec![
        head("No.", Number),
        head("Region", Short),
        head("Near", Long).extra(),
        head("Calls", Number),
        head("Share", Number),
    ];
    let rows = facts.regions.iter().enumerate().filter(|(_, region)| region.calls > 0);
    let cells = |(index, region): (usize, &super::RegionCalls)| -> Vec<Cell> {
        let (number, calls) = ((index + 1).to_string(), grouped(region.calls));
        let share = share(region.calls, all);
        vec![
            number.into(),
            region.region.clone().into(),
            region.city.clone().into(),
            calls.into(),
            share.into(),
        ]
    };
    Some(Section {
        id: "regions",
        title: "Calls by region",
        maps: vec![map(&facts.regions, map::WIDE), map(&facts.regions, map::NARROW)],
        table: table(heads, rows.map(cells).collect(), "regions"),
        summary,
        ..Section::default()
    })
}

fn by_key(facts: &PageFacts) -> Section {
    let all = sum(facts.keys.iter().map(|key| key.calls));
    let most = facts.keys.first().map_or(0, |key| key.calls);
    let summary = match facts.keys.first() {
        None => format!("No API key was used{}.", yet(facts)),
        Some(first) => format!(
            "{} in use; the busiest, {} of {}, made {} of their calls.",
            counted(facts.keys.len() as u64, "API key"),
            first.name,
            first.owner,
            share(first.calls, all)
        ),
    };
    let heads = vec![
        head("API key", Short),
        head("Owner", Long),
        head("Tier", Short).extra(),
        head("Calls", Number),
        head("Share", Number).extra(),
        head("", BarKind).extra(),
    ];
    let cells = |key: &super::KeyCalls| -> Vec<Cell> {
        let texts = [key.name.clone().into(), key.owner.clone().into(), key.tier.clone().into()];
        let figures = [grouped(key.calls).into(), share(key.calls, all).into()];
        texts.into_iter().chain(figures).chain([Cell::Bar(bar("fill", key.calls, most))]).collect()
    };
    let (shown, rest) = facts.keys.split_at(facts.keys.len().min(KEYS_SHOWN));
    let rest_calls = sum(rest.iter().map(|key| key.calls));
    let mut keys = table(heads, shown.iter().map(cells).collect(), "API keys");
    if let Some(keys) = keys.as_mut().filter(|_| !rest.is_empty()) {
        let more = format!("and {} more", grouped(rest.len() as u64));
        let figures = [grouped(rest_calls).into(), share(rest_calls, all).into(), "".into()];
        keys.foot = Some([more.into(), "".into(), "".into()].into_iter().chain(figures).collect());
    }
    Section { id: "keys", title: "Calls by API key", summary, table: keys, ..Section::default() }
}

pub(super) fn warns(key: &Headroom, facts: &PageFacts) -> bool {
    key.percent() >= u64::from(facts.thresholds.first().copied().unwrap_or(100))
}

/// In words: colour alone is not readable for everyone.
fn state(key: &Headroom, facts: &PageFacts) -> &'static str {
    match key.percent() {
        101.. => "over its limit",
        100 => "at its limit",
        _ if warns(key, facts) => "near its limit",
        _ => "",
    }
}

fn headroom(facts: &PageFacts) -> Section {
    let mut summary = match facts.headroom.iter().filter(|key| warns(key, facts)).count() {
        _ if facts.headroom.is_empty() => "No API key in use was called in its current period.".to_owned(),
        0 => "No API key is near its limit.".to_owned(),
        1 => "One API key is near its limit or at it.".to_owned(),
        near => format!("{} API keys are near their limits or at them.", grouped(near as u64)),
    };
    if facts.rotated > 0 {
        let rotated = counted(facts.rotated as u64, "rotated API key");
        let _ = write!(summary, " Without {rotated}: calls move to the new ones.");
    }
    let heads = vec![
        head("API key", Short),
        head("Owner", Long),
        head("Period", Short).extra(),
        head("Left", Number).extra(),
        head("Used", Number),
        head("", BarKind).extra(),
        head("", Short),
    ];
    let marks: Vec<u8> = facts.thresholds.iter().copied().filter(|percent| *percent < 100).collect();
    let cells = |key: &Headroom| -> Vec<Cell> {
        let mut bar = bar(if warns(key, facts) { "warn" } else { "fill" }, key.used, key.limit);
        bar.marks.clone_from(&marks);
        let left = grouped(key.limit.saturating_sub(key.used));
        let texts = [key.name.clone(), key.owner.clone(), key.period.clone(), left];
        let used = format!("{} %", grouped(key.percent()));
        let texts = texts.map(Cell::from).into_iter().chain([used.into(), Cell::Bar(bar)]);
        texts.chain([state(key, facts).into()]).collect()
    };
    let (shown, rest) = facts.headroom.split_at(facts.headroom.len().min(KEYS_SHOWN));
    let mut legend = Vec::new();
    if !marks.is_empty() && !shown.is_empty() {
        let others: Vec<String> = marks.iter().map(|percent| format!("{percent} %")).collect();
        legend.push(("mark", format!("{} of the limit: an alert is sent", others.join(", "))));
    }
    if shown.iter().any(|key| key.percent() > 100) {
        legend.push(("over", "over the limit".to_owned()));
    }
    let mut keys = table(heads, shown.iter().map(cells).collect(), "API keys");
    if let (Some(keys), Some(next)) = (&mut keys, rest.first()) {
        let more = format!("and {} more", grouped(rest.len() as u64));
        let at_most = format!("≤ {} %", grouped(next.percent()));
        let cells = [more.as_str(), "", "", "", at_most.as_str(), "", ""];
        keys.foot = Some(cells.map(Cell::from).into());
    }
    Section { id: "headroom", title: "Quota headroom", summary, legend, table: keys, ..Section::default() }
}

/// The HTTP status that a verdict is answered with, and the reason in words.
fn answer(verdict: Verdict, (unknown_key, over_quota): (u16, u16)) -> (u16, &'static str) {
    match verdict {
        Verdict::Allowed => (200, "answered"),
        Verdict::BadRequest => (400, "invalid request"),
        Verdict::OverQuota => (over_quota, "over the limit"),
        Verdict::OverRate => (429, "over the short rate"),
        Verdict::MalformedKey => (unknown_key, "malformed API key"),
        Verdict::UnknownKey => (unknown_key, "unknown API key"),
        Verdict::Disabled => (403, "disabled API key"),
        Verdict::Revoked => (403, "revoked API key"),
        Verdict::Expired => (403, "expired API key"),
        Verdict::SiteDenied => (403, "site not allowed"),
        Verdict::NetworkDenied => (403, "network not allowed"),
    }
}

fn by_answer(facts: &PageFacts) -> Option<Section> {
    let counted = facts.verdicts.iter().filter(|(_, n)| *n > 0);
    let mut found: Vec<(u16, &str, u64)> = counted
        .map(|(verdict, n)| {
            let (status, reason) = answer(*verdict, facts.statuses);
            (status, reason, *n)
        })
        .collect();
    found.sort_by_key(|(status, _, n)| (*status, std::cmp::Reverse(*n)));
    let all = sum(found.iter().map(|(.., n)| *n));
    let of_status =
        |wanted: u16| sum(found.iter().filter(|(status, ..)| *status == wanted).map(|(.., n)| *n));
    let mut others: Vec<u16> =
        found.iter().map(|(status, ..)| *status).filter(|status| *status != 200).collect();
    others.dedup();
    let others: Vec<String> =
        others.into_iter().map(|status| format!("{} with {status}", grouped(of_status(status)))).collect();
    let refused = if others.is_empty() { String::new() } else { format!("; {}", others.join(", ")) };
    found.first()?;
    let heads = vec![
        head("Status", Short),
        head("Reason", Long),
        head("Requests", Number),
        head("Share", Number),
        head("", BarKind).extra(),
    ];
    let rows = found.iter().map(|(status, reason, n)| {
        let class = if *status == 200 { "fill" } else { "warn" };
        share_row(vec![status.to_string().into(), (*reason).into()], class, *n, all)
    });
    Some(Section {
        id: "answers",
        title: "Answers and refusals",
        summary: format!(
            "{} of {} requests were answered{refused}.",
            share(of_status(200), all),
            grouped(all)
        ),
        table: table(heads, rows.collect(), "reasons"),
        ..Section::default()
    })
}

/// One sentence, until something is late.
fn lag(lag: &CountingLag) -> Section {
    let known = || lag.rows.iter().filter_map(|row| Some((row, row.took_ms?)));
    let late: Vec<_> = known().filter(|(_, ms)| *ms > lag.late_ms).collect();
    let summary = match known().max_by_key(|(_, ms)| *ms) {
        None => "No region has reported its lag yet.".to_owned(),
        Some((row, ms)) if late.is_empty() => {
            format!("Every region's newest calls were counted within {} ({}).", duration_ms(ms), row.region)
        }
        Some(_) => format!(
            "Late: {} took longer than {} to count.",
            late.iter().map(|(row, _)| row.region.as_str()).collect::<Vec<_>>().join(", "),
            duration_ms(lag.late_ms)
        ),
    };
    let heads = vec![head("Region", Short), head("Newest call", Short), head("Counted after", Number)];
    let rows = late.into_iter().map(|(row, ms)| {
        let newest = row.newest.as_deref().and_then(|text| text.parse().ok());
        let newest = newest.map_or("none".to_owned(), date_and_time);
        vec![row.region.to_string().into(), newest.into(), duration_ms(ms).into()]
    });
    let table = table(heads, rows.collect(), "regions");
    Section { id: "lag", title: "Counting lag", summary, table, ..Section::default() }
}
