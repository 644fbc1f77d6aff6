//! The sections of the page: what each says, its drawing in both widths, and the table that it is drawn from.

use serde::Serialize;

use super::PageError;
use super::chart::{self, Bar, bars, columns};
use super::facts::{Facts, Headroom};
use super::map::{self, map};
use crate::ui::output::{grouped, instant};
use crate::usage::report::LagRow;

/// A drawing in both widths, and the table that it is drawn from.
#[derive(Serialize)]
pub(super) struct Section {
    id: &'static str,
    title: &'static str,
    /// What there is to see, in a sentence.
    says: String,
    drawings: Vec<String>,
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
pub(super) fn sections(facts: &Facts) -> Result<Vec<Section>, PageError> {
    let mut sections =
        vec![by_day(facts)?, by_region(facts), by_key(facts)?, headroom(facts)?, by_verdict(facts)?];
    // Of a month that is over nothing is under way.
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

/// An instant in a table; the page says that it is UTC.
pub(super) fn clock(time: jiff::Timestamp) -> String {
    instant(time).replace('T', " ").trim_end_matches('Z').to_owned()
}

pub(super) fn seconds(ms: i64) -> String {
    format!("{}.{} s", ms / 1_000, ms % 1_000 / 100)
}

fn by_day(facts: &Facts) -> Result<Section, PageError> {
    let busiest = facts.days.iter().max_by_key(|(_, n)| *n).filter(|(_, n)| *n > 0);
    let says = busiest.map_or_else(
        || "No call was counted yet.".to_owned(),
        |(day, n)| format!("The busiest day was {day} with {} calls.", grouped(*n)),
    );
    let name = format!("Columns: calls by day in {}. {says}", facts.month);
    let draw = |width| columns(&facts.days, width, &name);
    Ok(Section {
        id: "days",
        title: "Calls over time",
        drawings: vec![draw(chart::WIDE)?, draw(chart::NARROW)?],
        table: table(
            &[("Day, UTC", Short), ("Calls", Number)],
            facts.days.iter().rev().map(|(day, n)| vec![day.clone(), grouped(*n)]).collect(),
        ),
        says,
    })
}

fn by_region(facts: &Facts) -> Section {
    let all = facts.regions.iter().map(|region| region.calls).fold(0, u64::saturating_add);
    let says = match facts.regions.first().filter(|region| region.calls > 0) {
        None => "No region has counted a call yet.".to_owned(),
        Some(first) => {
            format!("{} leads with {} of all calls.", first.region, share(first.calls, all))
        }
    };
    let name = format!("Map of the world: calls by region. {says}");
    let row = |(index, region): (usize, &super::RegionCalls)| {
        let (number, calls) = ((index + 1).to_string(), grouped(region.calls));
        vec![number, region.region.clone(), region.city.clone(), calls, share(region.calls, all)]
    };
    Section {
        id: "regions",
        title: "Calls by region",
        drawings: [map::WIDE, map::NARROW].map(|scale| map(&facts.regions, scale, &name)).to_vec(),
        table: table(
            &[("No.", Number), ("Region", Short), ("Near", Long), ("Calls", Number), ("Share", Number)],
            facts.regions.iter().enumerate().map(row).collect(),
        ),
        says,
    }
}

/// A section of bars, a bar a row.
struct Bars<'a> {
    id: &'static str,
    title: &'static str,
    says: String,
    rows: Vec<Bar>,
    end: f64,
    lines: &'a [f64],
    table: Table,
}

impl Bars<'_> {
    fn section(self) -> Result<Section, PageError> {
        let name = format!("Bars: {}. {}", self.title, self.says);
        let draw = |width| bars(&self.rows, self.end, self.lines, width, &name);
        let drawings =
            if self.rows.is_empty() { Vec::new() } else { vec![draw(chart::WIDE)?, draw(chart::NARROW)?] };
        Ok(Section { id: self.id, title: self.title, says: self.says, drawings, table: self.table })
    }
}

#[expect(clippy::cast_precision_loss, reason = "a picture is not exact to the call")]
fn length(number: u64) -> f64 {
    number as f64
}

fn of(name: &str, owner: &str) -> String {
    if owner.is_empty() { name.to_owned() } else { format!("{name} · {owner}") }
}

fn by_key(facts: &Facts) -> Result<Section, PageError> {
    let rows: Vec<Bar> = facts
        .keys
        .iter()
        .map(|key| Bar {
            label: of(&key.name, &key.owner),
            value: grouped(key.calls),
            length: length(key.calls),
            warn: false,
        })
        .collect();
    let says = match facts.keys.first() {
        None => "No API key was used yet.".to_owned(),
        Some(first) => {
            format!("{} of {} leads with {} calls.", first.name, first.owner, grouped(first.calls))
        }
    };
    let cells = |key: &super::KeyCalls| {
        vec![key.name.clone(), key.owner.clone(), key.tier.clone(), grouped(key.calls)]
    };
    Bars {
        id: "keys",
        title: "Calls by API key",
        says,
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

pub(super) fn warns(key: &Headroom, facts: &Facts) -> bool {
    key.percent() >= u64::from(facts.thresholds.first().copied().unwrap_or(100))
}

/// In words, because a colour alone tells nothing to many.
fn state(key: &Headroom, facts: &Facts) -> &'static str {
    match key.percent() {
        100.. => "at its limit",
        _ if warns(key, facts) => "near its limit",
        _ => "",
    }
}

fn headroom(facts: &Facts) -> Result<Section, PageError> {
    let rows: Vec<Bar> = facts
        .headroom
        .iter()
        .map(|key| {
            let warn = warns(key, facts);
            let mark = if warn { "▲ " } else { "" };
            Bar {
                label: of(&key.name, &key.owner),
                value: format!("{mark}{} % {}", key.percent(), state(key, facts)).trim_end().to_owned(),
                length: length(key.percent()),
                warn,
            }
        })
        .collect();
    let says = match facts.headroom.iter().filter(|key| warns(key, facts)).count() {
        _ if rows.is_empty() => "No API key was used in its period of now.".to_owned(),
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
        says,
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

fn by_verdict(facts: &Facts) -> Result<Section, PageError> {
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
    let says = if all == 0 {
        "No request was counted yet.".to_owned()
    } else {
        format!("{} of {} requests were allowed.", share(allowed, all), grouped(all))
    };
    Bars {
        id: "verdicts",
        title: "Requests by verdict",
        says,
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

fn lag(facts: &Facts) -> Result<Section, PageError> {
    let known = facts.lag.iter().filter_map(|row| Some((row, row.took_ms?)));
    let rows: Vec<Bar> = known
        .clone()
        .map(|(row, ms)| Bar {
            label: row.region.clone(),
            value: seconds(ms),
            length: length(u64::try_from(ms).unwrap_or(0)),
            warn: false,
        })
        .collect();
    let says = match known.max_by_key(|(_, ms)| *ms) {
        None => "How far the counting is was not noted yet.".to_owned(),
        Some((row, ms)) => {
            format!("The newest calls were counted within {}; {} took longest.", seconds(ms), row.region)
        }
    };
    let told = |ms: Option<i64>| ms.map_or_else(|| "–".to_owned(), seconds);
    let cells = |row: &LagRow| {
        let newest =
            row.newest.as_deref().and_then(|text| text.parse().ok()).map_or("none".to_owned(), clock);
        vec![row.region.clone(), newest, told(row.took_ms)]
    };
    Bars {
        id: "lag",
        title: "Lag of the counting",
        says,
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
