//! Charts and tables of the HTML pages, as data; `templates/pages/parts.html` draws them. Pure.
//!
//! A chart is an SVG of shapes that stretches to its place, and HTML labels at percentages of it: so one drawing fits every
//! screen and paper, and its texts keep their size.

use std::fmt::Write as _;

use serde::Serialize;

use super::format::{float, short};

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Tick {
    /// Percent of the axis.
    pub(crate) at: String,
    pub(crate) label: String,
    /// Whether a narrow screen leaves it out.
    pub(crate) minor: bool,
}

/// A shape of a chart: a path in percent of the width and the height, from the top left.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Shape {
    pub(crate) class: &'static str,
    pub(crate) path: String,
    /// What a pointer shows.
    pub(crate) title: String,
}

/// A text within a chart.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Note {
    pub(crate) class: &'static str,
    /// Percent from the left and from the top.
    pub(crate) left: String,
    pub(crate) top: String,
    pub(crate) text: String,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Chart {
    /// What it shows, for readers who do not see it.
    pub(crate) alt: String,
    pub(crate) x: Vec<Tick>,
    pub(crate) y: Vec<Tick>,
    pub(crate) shapes: Vec<Shape>,
    pub(crate) notes: Vec<Note>,
}

/// A figure at the head of a page.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Tile {
    pub(crate) name: &'static str,
    pub(crate) figure: String,
    pub(crate) note: String,
    /// Whether it needs attention; its note says why.
    pub(crate) warn: bool,
}

pub(crate) fn tile(name: &'static str, figure: String, note: String) -> Tile {
    Tile { name, figure, note, warn: false }
}

/// A number of a style attribute or a path.
pub(crate) fn percent(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

pub(crate) fn tick(at: f64, label: impl Into<String>, minor: bool) -> Tick {
    Tick { at: percent(at), label: label.into(), minor }
}

/// The upright rectangle from `left` to `right` with its top at `top` and its foot at `bottom`.
pub(crate) fn rectangle(left: f64, right: f64, top: f64, bottom: f64) -> String {
    format!("M{} {}H{}V{}H{}z", percent(left), percent(bottom), percent(right), percent(top), percent(left))
}

pub(crate) fn line(points: impl IntoIterator<Item = (f64, f64)>) -> String {
    let mut path = String::new();
    for (x, y) in points {
        let command = if path.is_empty() { 'M' } else { 'L' };
        let _ = write!(path, "{command}{} {}", percent(x), percent(y));
    }
    path
}

/// A linear axis from 0 to a round number, at least `most`: its end, and three to five marks.
pub(crate) fn axis(most: f64) -> (f64, Vec<Tick>) {
    let most = most.max(4.0);
    let power = 10_f64.powf((most / 4.0).log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0].map(|step| step * power);
    // Counts have no halves.
    let fits = |step: &f64| most <= step * 4.0 && (*step >= 10.0 || step.fract() == 0.0);
    let step = steps.into_iter().find(fits).unwrap_or(most / 4.0);
    let count = (most / step).ceil();
    let marks = (0_u32..=4).map(f64::from).take_while(|mark| *mark <= count);
    (count * step, marks.map(|mark| tick(mark / count * 100.0, short(mark * step), false)).collect())
}

/// A column for each day, and a line for the month before, both from the left.
#[expect(clippy::cast_precision_loss, reason = "a drawing is not exact to the call")]
pub(crate) fn columns(days: &[(String, u64)], before: &[(String, u64)], alt: String) -> Chart {
    let most = days.iter().chain(before).map(|(_, n)| *n).max().unwrap_or(0);
    let (end, y) = axis(most as f64);
    let count = days.len().max(before.len()).max(1);
    let x = |index: usize, within: f64| (index as f64 + within) / count as f64 * 100.0;
    let top = |n: u64| 100.0 - n as f64 / end * 100.0;
    let mut shapes: Vec<Shape> = days
        .iter()
        .enumerate()
        .filter(|(_, (_, n))| *n > 0)
        .map(|(index, (day, n))| Shape {
            class: "column",
            // The smallest number is visible, too.
            path: rectangle(x(index, 0.14), x(index, 0.86), top(*n).min(99.3), 100.0),
            title: format!("{day}: {}", super::format::counted(*n, "call")),
        })
        .collect();
    if before.iter().any(|(_, n)| *n > 0) {
        let steps = before.iter().enumerate();
        let points = steps.flat_map(|(index, (_, n))| [(x(index, 0.0), top(*n)), (x(index, 1.0), top(*n))]);
        shapes.push(Shape { class: "before", path: line(points), title: String::new() });
    }
    let dates = if days.len() >= before.len() { days } else { before };
    Chart { alt, x: day_ticks(dates, x), y, shapes, notes: Vec::new() }
}

/// Days of the month; for longer spans, month and day of some.
fn day_ticks(days: &[(String, u64)], x: impl Fn(usize, f64) -> f64) -> Vec<Tick> {
    let one_month = days.len() <= 31 && days.first().is_some_and(|(day, _)| day.ends_with("-01"));
    let every = if one_month { 1 } else { days.len().div_ceil(10).max(1) };
    days.iter()
        .enumerate()
        .step_by(every)
        .map(|(index, (day, _))| {
            let text = day.get(if one_month { 8.. } else { 5.. }).unwrap_or(day);
            let minor = if one_month { index > 0 && (index + 1) % 5 != 0 } else { index / every % 3 != 0 };
            tick(x(index, 0.5), text.trim_start_matches('0'), minor)
        })
        .collect()
}

/// What a column of a table holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// A short text, kept in one line.
    Short,
    /// A text of any length and script.
    Long,
    Number,
    Bar,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Head {
    pub(crate) text: String,
    pub(crate) kind: Kind,
    /// Whether a narrow screen leaves the column out.
    pub(crate) extra: bool,
}

pub(crate) fn head(text: impl Into<String>, kind: Kind) -> Head {
    Head { text: text.into(), kind, extra: false }
}

impl Head {
    pub(crate) fn extra(self) -> Self {
        Self { extra: true, ..self }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Bar {
    /// Its parts from the left: the class that paints each, and percent of the column.
    pub(crate) parts: Vec<(&'static str, String)>,
    /// Lines across, percent.
    pub(crate) marks: Vec<u8>,
    /// Whether it ends in a marker: it is longer than the column.
    pub(crate) over: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Cell {
    Text(String),
    Bar(Bar),
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::Text(text.into())
    }
}

pub(crate) fn bar(class: &'static str, part: u64, whole: u64) -> Bar {
    let width = (float(part) / float(whole.max(1)) * 100.0).min(100.0);
    Bar { parts: vec![(class, percent(width))], marks: Vec::new(), over: part > whole }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Table {
    pub(crate) heads: Vec<Head>,
    pub(crate) rows: Vec<Vec<Cell>>,
    /// The sum of rows that are left out, or of all.
    pub(crate) foot: Option<Vec<Cell>>,
    /// How many rows a screen shows at once; more are scrolled to.
    pub(crate) visible: Option<usize>,
    /// What the rows are: `days`.
    pub(crate) noun: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        for (most, marks) in [
            (0.0, "0 1 2 3 4"),
            (4.0, "0 1 2 3 4"),
            (7.0, "0 2 4 6 8"),
            (9.0, "0 5 10"),
            (11.0, "0 5 10 15"),
            (1_234.0, "0 500 1k 1.5k"),
            (99_000.0, "0 25k 50k 75k 100k"),
            (45e6, "0 20M 40M 60M"),
        ] {
            let (end, ticks) = axis(most);
            let found: Vec<&str> = ticks.iter().map(|tick| tick.label.as_str()).collect();
            assert_eq!(found.join(" "), marks, "{most}");
            assert!(end >= most && ticks.last().is_some_and(|tick| tick.at == "100"), "{most}: {end}");
        }
    }

    #[test]
    fn a_chart_has_a_column_for_each_day_with_calls_and_a_line_for_the_month_before() {
        let day = |day: u32, n| (format!("2026-11-{day:02}"), n);
        let days = [day(1, 5), day(2, 0), day(3, 4)];
        let chart = columns(&days, &[("2026-10-01".into(), 8)], "calls".into());
        let classes: Vec<&str> = chart.shapes.iter().map(|shape| shape.class).collect();
        assert_eq!(classes, ["column", "column", "before"]);
        assert_eq!(chart.shapes[0].path, "M4.67 100H28.67V37.5H4.67z");
        assert_eq!(chart.shapes[2].path, "M0 0L33.33 0");
        let labels: Vec<&str> = chart.x.iter().map(|tick| tick.label.as_str()).collect();
        assert_eq!(labels, ["1", "2", "3"]);
        let long: Vec<_> =
            (0..100).map(|n| (format!("2026-{:02}-{:02}", 1 + n / 28, 1 + n % 28), 1)).collect();
        let labels: Vec<String> =
            columns(&long, &[], String::new()).x.into_iter().map(|tick| tick.label).collect();
        assert_eq!(labels[..2], ["1-01", "1-11"]);
        assert_eq!(labels.len(), 10);
        assert!(columns(&[], &[], String::new()).shapes.is_empty());
    }

    #[test]
    fn bars_end_at_their_column() {
        assert_eq!(bar("fill", 1, 3).parts, [("fill", "33.33".to_owned())]);
        assert_eq!((bar("fill", 0, 0).over, bar("fill", 7, 5).over), (false, true));
        assert_eq!(bar("fill", 7, 5).parts, [("fill", "100".to_owned())]);
    }
}
