//! The sections of the page: each has a summary, its drawing for both widths, and the table that it is drawn from.

use serde::Serialize;

use super::chart::{self, Bar, Drawing, bars, columns};
use super::facts::{Headroom, PageFacts};
use super::map::{self, map};
use crate::ui::format::{counted, date_and_time, duration_ms, grouped};
use crate::ui::output::PageError;
use crate::usage::report::LagRow;

/// A section of the page.
#[derive(Serialize)]
pub(super) struct Section {
    id: &'static str,
    title: &'static str,
    /// What there is to see, in a sentence.
    summary: String,
    /// The drawings in words, for readers who do not see them.
    alt: String,
    drawings: Vec<Drawing>,
    table: Table,
}

#[derive(Serialize, Default)]
struct Table {
    heads: Vec<Head>,
    rows: Vec<Vec<String>>,
}

#[derive(Serialize)]
struct Head {
    text: &'static str,
    /// The class of its column's cells.
    kind: Kind,
}

/// What a column holds.
#[derive(Clone, Copy, Serialize)]
enum Kind {
    /// A short text, kept in one line.
    #[serde(rename = "")]
    Short,
    /// A text of any length.
    #[serde(rename = "long")]
    Long,
    /// A number.
    #[serde(rename = "number")]
    Number,
}

use Kind::{Long, Number, Short};

fn table(heads: &[(&'static str, Kind)], rows: Vec<Vec<String>>) -> Table {
    Table { heads: heads.iter().map(|(text, kind)| Head { text, kind: *kind }).collect(), rows }
}

/// All of them, in the page's order.
pub(super) fn sections(facts: &PageFacts) -> Result<Vec<Section>, PageError> {
    let mut sections =
        vec![by_day(facts)?, by_region(facts), by_key(facts)?, headroom(facts)?, by_verdict(facts)?];
    // Nothing lags in a month that is over.
    if !facts.lag.is_empty() {
        sections.push(lag(facts)?);
    }
    Ok(sections)
}

pub(super) fn share(part: u64, whole: u64) -> String {
    let whole = u128::from(whole.max(1));
    let tenths = (u128::from(part) * 2_000 + whole) / (2 * whole);
    if part > 0 && tenths == 0 {
        return "<0.1 %".to_owned();
    }
    format!("{}.{} %", tenths / 10, tenths % 10)
}

fn by_day(facts: &PageFacts) -> Result<Section, PageError> {
    let busiest = facts.days.iter().max_by_key(|(_, n)| *n).filter(|(_, n)| *n > 0);
    let summary = busiest.map_or_else(
        || "No call was counted yet.".to_owned(),
        |(day, n)| format!("The busiest day was {day} with {}.", counted(*n, "call")),
    );
    let draw = |width| columns(&facts.days, width);
    Ok(Section {
        id: "days",
        title: "Calls over time",
        alt: format!("Columns: calls by day in {}. {summary}", facts.month),
        drawings: vec![draw(chart::WIDE)?, draw(chart::NARROW)?],
        table: table(
            &[("Day, UTC", Short), ("Calls", Number)],
            facts.days.iter().rev().map(|(day, n)| vec![day.clone(), grouped(*n)]).collect(),
        ),
        summary,
    })
}

fn by_region(facts: &PageFacts) -> Section {
    let all = facts.regions.iter().map(|region| region.calls).fold(0, u64::saturating_add);
    let summary = match facts.regions.first().filter(|region| region.calls > 0) {
        None => "No region has counted a call yet.".to_owned(),
        Some(first) => {
            format!("{} leads with {} of all calls.", first.region, share(first.calls, all))
        }
    };
    let row = |(index, region): (usize, &super::RegionCalls)| {
        let (number, calls) = ((index + 1).to_string(), grouped(region.calls));
        vec![number, region.region.clone(), region.city.clone(), calls, share(region.calls, all)]
    };
    Section {
        id: "regions",
        title: "Calls by region",
        alt: format!("World map: calls by region. {summary}"),
        drawings: vec![map(&facts.regions, map::WIDE), map(&facts.regions, map::NARROW)],
        table: table(
            &[("No.", Number), ("Region", Short), ("Near", Long), ("Calls", Number), ("Share", Number)],
            facts.regions.iter().enumerate().map(row).collect(),
        ),
        summary,
    }
}

/// A section of bars, one for each row.
struct Bars<'a> {
    id: &'static str,
    title: &'static str,
    summary: String,
    rows: Vec<Bar>,
    end: f64,
    lines: &'a [f64],
    table: Table,
}

impl Bars<'_> {
    fn section(self) -> Result<Section, PageError> {
        let alt = format!("Bars: {}. {}", self.title, self.summary);
        let draw = |width| bars(&self.rows, self.end, self.lines, width);
        let drawings =
            if self.rows.is_empty() { Vec::new() } else { vec![draw(chart::WIDE)?, draw(chart::NARROW)?] };
        Ok(Section {
            id: self.id,
            title: self.title,
            summary: self.summary,
            alt,
            drawings,
            table: self.table,
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "a drawing is not exact to the call")]
fn length(number: u64) -> f64 {
    number as f64
}

fn key_label(name: &str, owner: &str) -> String {
    if owner.is_empty() { name.to_owned() } else { format!("{name} · {owner}") }
}

fn by_key(facts: &PageFacts) -> Result<Section, PageError> {
    let rows: Vec<Bar> = facts
        .keys
        .iter()
        .map(|key| Bar {
            label: key_label(&key.name, &key.owner),
            value: grouped(key.calls),
            length: length(key.calls),
            warn: false,
        })
        .collect();
    let summary = match facts.keys.first() {
        None => "No API key was used yet.".to_owned(),
        Some(first) => {
            format!("{} of {} leads with {}.", first.name, first.owner, counted(first.calls, "call"))
        }
    };
    let cells = |key: &super::KeyCalls| {
        vec![key.name.clone(), key.owner.clone(), key.tier.clone(), grouped(key.calls)]
    };
    Bars {
        id: "keys",
        title: "Calls by API key",
        summary,
        end: rows.iter().map(|row| row.length).fold(0.0, f64::max),
        rows,
        lines: &[],
        table: table(
            &[("API key", Short), ("Owner", Long), ("Tier", Short), ("Calls", Number)],
            facts.keys.iter().map(cells).collect(),
        ),
    }
    .section()
}

pub(super) fn warns(key: &Headroom, facts: &PageFacts) -> bool {
    key.percent() >= u64::from(facts.thresholds.first().copied().unwrap_or(100))
}

/// In words: colour alone is not readable for everyone.
fn state(key: &Headroom, facts: &PageFacts) -> &'static str {
    match key.percent() {
        100.. => "at its limit",
        _ if warns(key, facts) => "near its limit",
        _ => "",
    }
}

fn headroom(facts: &PageFacts) -> Result<Section, PageError> {
    let rows: Vec<Bar> = facts
        .headroom
        .iter()
        .map(|key| {
            let warn = warns(key, facts);
            let mark = if warn { "▲ " } else { "" };
            Bar {
                label: key_label(&key.name, &key.owner),
                value: format!("{mark}{} % {}", key.percent(), state(key, facts)).trim_end().to_owned(),
                length: length(key.percent()),
                warn,
            }
        })
        .collect();
    let summary = match facts.headroom.iter().filter(|key| warns(key, facts)).count() {
        _ if rows.is_empty() => "No API key was used in its current period.".to_owned(),
        0 => "No API key is near its limit.".to_owned(),
        1 => "One API key is near its limit or at it.".to_owned(),
        near => format!("{near} API keys are near their limits or at them."),
    };
    let lines: Vec<f64> = facts.thresholds.iter().map(|percent| f64::from(*percent)).collect();
    let cells = |key: &Headroom| {
        let left = key.limit.saturating_sub(key.used);
        let share = format!("{} % {}", key.percent(), state(key, facts)).trim_end().to_owned();
        vec![key.name.clone(), key.period.clone(), grouped(left), share]
    };
    Bars {
        id: "headroom",
        title: "Quota headroom",
        summary,
        rows,
        end: 100.0,
        lines: &lines,
        table: table(
            &[("API key", Short), ("Period", Short), ("Left", Number), ("Of its limit", Long)],
            facts.headroom.iter().map(cells).collect(),
        ),
    }
    .section()
}

fn by_verdict(facts: &PageFacts) -> Result<Section, PageError> {
    let all = facts.verdicts.iter().fold(0, |sum: u64, (_, n)| sum.saturating_add(*n));
    let words = |verdict: &str| verdict.replace('_', " ");
    let rows: Vec<Bar> = facts
        .verdicts
        .iter()
        .map(|(verdict, n)| Bar {
            label: words(verdict),
            value: format!("{} · {}", grouped(*n), share(*n, all)),
            length: length(*n),
            warn: verdict != "allowed",
        })
        .collect();
    let allowed = facts.verdicts.iter().find(|(verdict, _)| verdict == "allowed").map_or(0, |(_, n)| *n);
    let summary = if all == 0 {
        "No request was counted yet.".to_owned()
    } else {
        format!("{} of {} requests were allowed.", share(allowed, all), grouped(all))
    };
    Bars {
        id: "verdicts",
        title: "Requests by verdict",
        summary,
        rows,
        end: length(all),
        lines: &[],
        table: table(
            &[("Verdict", Short), ("Requests", Number), ("Share", Number)],
            facts
                .verdicts
                .iter()
                .map(|(verdict, n)| vec![words(verdict), grouped(*n), share(*n, all)])
                .collect(),
        ),
    }
    .section()
}

fn lag(facts: &PageFacts) -> Result<Section, PageError> {
    let known = facts.lag.iter().filter_map(|row| Some((row, row.took_ms?)));
    let rows: Vec<Bar> = known
        .clone()
        .map(|(row, ms)| Bar {
            label: row.region.to_string(),
            value: duration_ms(ms),
            length: length(u64::try_from(ms).unwrap_or(0)),
            warn: false,
        })
        .collect();
    let summary = match known.max_by_key(|(_, ms)| *ms) {
        None => "No region has reported its lag yet.".to_owned(),
        Some((row, ms)) => {
            format!("The newest calls were counted within {}; {} took longest.", duration_ms(ms), row.region)
        }
    };
    let after = |ms: Option<i64>| ms.map_or_else(|| "–".to_owned(), duration_ms);
    let cells = |row: &LagRow| {
        let newest =
            row.newest.as_deref().and_then(|text| text.parse().ok()).map_or("none".to_owned(), date_and_time);
        vec![row.region.to_string(), newest, after(row.took_ms)]
    };
    Bars {
        id: "lag",
        title: "Counting lag",
        summary,
        end: rows.iter().map(|row| row.length).fold(0.0, f64::max),
        rows,
        lines: &[],
        table: table(
            &[("Region", Short), ("Newest call", Short), ("Counted after", Number)],
            facts.lag.iter().map(cells).collect(),
        ),
    }
    .section()
}
