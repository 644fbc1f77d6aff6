//! Every plot: its figures, and what it says about them.

use super::draw::{CURVES, Plot, band, ends, range};
use super::measured::{Cell, Measured};
use crate::config::{Config, parse};
use crate::cost::{Allowances, Prices, TrafficModel, curve};
use crate::ui::curves::{Axes, LogAxis};
use crate::ui::drawing::{Chart, Note, Shape, Tick, axis, line, percent, tick};
use crate::ui::format::short;

/// The bill that the design must stay below, US dollars a month, and its calls.
const TARGET: (f64, f64) = (25e6, 50.0);
/// Target for the time from start to first lookup, as a fraction of Python's with boto3.
const START_PART: f64 = 100.0;
const HEIGHT: u32 = 380;

pub(super) fn plots() -> Vec<Plot> {
    vec![cost(), overshoot(), readers(), start(), answers(), lookup(), planning(), report(), flush()]
}

fn config() -> Config {
    parse("regions.toml", include_str!("../../../regions.toml")).expect("the shipped file")
}

/// A duration in its best unit, from nanoseconds.
fn time(ns: f64) -> String {
    let units = [(1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns")];
    let (size, unit) = units.into_iter().find(|(size, _)| ns >= *size * 0.999).unwrap_or((1.0, "ns"));
    let value = ns / size;
    let digits = usize::from(value < 9.95 && value.fract() > 0.04);
    format!("{value:.digits$} {unit}")
}

fn ms(value: f64) -> String {
    time(value * 1e6)
}

fn money(usd: f64) -> String {
    format!("${}", short(usd))
}

/// Lines with bands and their names at their ends, both axes logarithmic.
fn lines(measured: &Measured, label: fn(f64) -> String) -> Chart {
    let columns: Vec<Vec<(f64, Cell)>> = (0..measured.names.len()).map(|at| measured.column(at)).collect();
    let axes =
        Axes { x: LogAxis::over(columns[0].iter().map(|(size, _)| *size)), y: LogAxis::over(measured.all()) };
    let (mut shapes, mut notes, mut names) = (Vec::new(), Vec::new(), Vec::new());
    for ((column, name), (stroke, area, class)) in columns.iter().zip(&measured.names).zip(CURVES) {
        shapes.insert(0, band(area, axes, column));
        shapes.push(axes.curve(stroke, column.iter().map(|(x, [median, ..])| (*x, *median))));
        notes.extend(column.iter().map(|(x, [median, ..])| axes.note(class, (*x, *median), "")));
        let (x, [median, ..]) = column.last().expect("a row");
        names.push(axes.note(end(class), (*x, *median), format!("{name}: {}", label(*median))));
    }
    notes.extend(ends(names));
    Chart { alt: String::new(), x: axes.x.ticks(short), y: axes.y.ticks(label), shapes, notes }
}

fn shape(class: &'static str, path: String) -> Shape {
    Shape { class, path, title: String::new() }
}

/// A text, or a point without one, at percentages from the left and from the top.
fn note(class: &'static str, (left, top): (f64, f64), text: impl Into<String>) -> Note {
    Note { class, left: percent(left), top: percent(top), text: text.into() }
}

fn end(class: &str) -> &'static str {
    match class {
        "first" => "end first",
        "second" => "end second",
        "third" => "end third",
        _ => "end soft-note",
    }
}

/// A bar for each row and column from the least to the greatest value, with its median; the axis is logarithmic.
fn ranges(measured: &Measured, label: fn(f64) -> String, target: Option<(f64, String)>) -> Chart {
    let x = LogAxis::over(measured.all());
    let count = f64::from(u32::try_from(measured.rows.len()).expect("a few"));
    let (mut shapes, mut notes, mut y) = (Vec::new(), Vec::new(), Vec::new());
    let mut top = 50.0 / count;
    for (row, (name, cells)) in measured.rows.iter().enumerate() {
        y.push(tick(100.0 - top, name.clone(), false));
        for (at, ([median, least, most], (_, area, class))) in cells.iter().zip(CURVES).enumerate() {
            shapes.push(range(area, (x.at(*least), x.at(*most)), top, 34.0 / count));
            notes.push(note(class, (x.at(*median), top), ""));
            // The first row names the columns, if there are two.
            let column =
                if row == 0 && cells.len() > 1 { format!("{}: ", measured.names[at]) } else { String::new() };
            let beside = if at == 0 { "over" } else { "under" };
            notes.push(note(beside, (x.at(*median), top), column + &label(*median)));
        }
        top += 100.0 / count;
    }
    if let Some((at, text)) = target {
        shapes.push(shape("target", line([(x.at(at), 0.0), (x.at(at), 100.0)])));
        notes.push(note("target-note", (x.at(at), 100.0), text));
    }
    Chart { alt: String::new(), x: x.ticks(label), y, shapes, notes }
}

fn plot(
    name: &'static str,
    title: String,
    subtitle: impl Into<String>,
    axis: &'static str,
    chart: Chart,
) -> Plot {
    let subtitle = subtitle.into();
    Plot { name, title, subtitle, axis, margins: (64, 196), height: HEIGHT, is_rows: false, chart }
}

fn rows(name: &'static str, title: String, subtitle: impl Into<String>, chart: Chart) -> Plot {
    let height = 134 + 58 * u32::try_from(chart.y.len()).expect("a few");
    Plot { margins: (206, 50), height, is_rows: true, ..plot(name, title, subtitle, "", chart) }
}

fn cost() -> Plot {
    let (config, listed) = (config(), Prices::committed().expect("prices"));
    let points =
        |prices: &Prices| curve(&config, TrafficModel::typical, prices, Allowances::All).expect("a curve").0;
    let bill = |prices: &Prices| {
        crate::cost::priced(&config, &TrafficModel::typical(TARGET.0), prices, Allowances::All)
            .expect("a bill")
            .total()
    };
    let base = listed.clone().at_base();
    let (ours, elsewhere) = (points(&base), points(&listed));
    let axes = Axes {
        x: LogAxis::over(ours.iter().map(|point| point.calls)),
        y: LogAxis::over(ours.iter().chain(&elsewhere).flat_map(|point| [point.usd, point.usd_2018])),
    };
    let spread: Vec<(f64, Cell)> =
        ours.iter().zip(&elsewhere).map(|(low, high)| (low.calls, [low.usd, low.usd, high.usd])).collect();
    let last = ours.last().expect("a point");
    let (low, high) = (bill(&base), bill(&listed));
    assert!(low < TARGET.1, "the title says so");
    let shapes = vec![
        band("band", axes, &spread),
        axes.curve("target", [(1.0, TARGET.1), (f64::MAX, TARGET.1)].into_iter()),
        axes.curve("reference", ours.iter().map(|point| (point.calls, point.usd_2018))),
        axes.curve("curve", ours.iter().map(|point| (point.calls, point.usd))),
    ];
    let mut notes = ends(vec![
        axes.note(
            "end soft-note",
            (last.calls, last.usd_2018),
            format!("2018 design {}", money(last.usd_2018)),
        ),
        axes.note("end first", (last.calls, last.usd), format!("this design {}", money(last.usd))),
    ]);
    let target = format!("target ${} at {} calls", TARGET.1, short(TARGET.0));
    notes.push(axes.note("target-note", (1e8, TARGET.1), target));
    notes.push(axes.note("first", (TARGET.0, low), ""));
    notes.push(axes.note("beside first", (TARGET.0, low), format!("${low:.2}")));
    let chart = Chart { alt: String::new(), x: axes.x.ticks(short), y: axes.y.ticks(money), shapes, notes };
    let title =
        format!("{} calls cost ${low:.2} a month, below the target of ${}", short(TARGET.0), TARGET.1);
    let subtitle = format!(
        "US dollars a month at {}'s prices; band: up to our estimates of other regions' prices (${high:.2})",
        listed.base_region
    );
    Plot { margins: (64, 176), ..plot("cost", title, subtitle, "calls a month", chart) }
}

/// Seconds from the call that reaches a limit to the last allowed one, by the lag of log lines.
fn overshoot() -> Plot {
    let measured = Measured::read("overshoot");
    let columns: Vec<Vec<(f64, Cell)>> = (0..2).map(|at| measured.column(at)).collect();
    let x = LogAxis::over(columns[0].iter().map(|(lag, _)| *lag));
    let (most, y) = axis(measured.all().fold(0.0, f64::max));
    // The vertical axis is linear, for it has a zero.
    let place = |(lag, seconds): (f64, f64)| (x.at(lag), 100.0 - seconds / most * 100.0);
    let (mut shapes, mut notes) = (Vec::new(), Vec::new());
    for ((column, name), (stroke, area, class)) in columns.iter().zip(&measured.names).zip(CURVES) {
        let upper = column.iter().map(|(lag, [.., worst])| place((*lag, *worst)));
        let lower = column.iter().rev().map(|(lag, [_, least, _])| place((*lag, *least)));
        let path = line(upper.chain(lower)) + "z";
        shapes.insert(0, shape(area, path));
        let path = line(column.iter().map(|(lag, [mean, ..])| place((*lag, *mean))));
        shapes.push(shape(stroke, path));
        let (lag, [mean, _, worst]) = column.last().expect("a row");
        notes.push(note(end(class), place((*lag, mean.max(most / 25.0))), format!("{name}: {mean:.0} s")));
        if worst > mean {
            notes.push(note("end soft-note", place((*lag, *worst)), format!("worst: {worst:.0} s")));
        }
    }
    let lags = columns[0].iter().map(|(lag, _)| {
        let label = if *lag < 60.0 { format!("{lag} s") } else { format!("{} min", lag / 60.0) };
        tick(x.at(*lag), label, false)
    });
    let y = y.into_iter().map(|tick| Tick { label: format!("{} s", tick.label), ..tick }).collect();
    let chart = Chart { alt: String::new(), x: lags.collect(), y, shapes, notes };
    let worst = columns[0].iter().map(|(_, [.., worst])| *worst).fold(0.0, f64::max);
    assert!(worst == 0.0, "the title says so");
    plot(
        "overshoot",
        "Early counts stop callers at their limit, however late log lines are".to_owned(),
        "from the call that reaches a limit to the last allowed call, simulated; mean, band: up to the worst",
        "lag of log lines",
        chart,
    )
}

fn readers() -> Plot {
    let measured = Measured::read("readers");
    let [random, frequent] = [0, 1].map(|at| measured.rows[0].1[at][0]);
    let best = [0, 1].map(|at| {
        let others = measured.rows[1..].iter().map(|(_, cells)| cells[at][0]);
        others.fold(f64::INFINITY, f64::min) / measured.rows[0].1[at][0]
    });
    let title = format!(
        "A lookup takes {} to {}, the next reader {:.1} to {:.1} times that",
        time(frequent),
        time(random),
        best[0],
        best[1]
    );
    rows(
        "readers",
        title,
        "processor time of a lookup with its answer as JSON; median, bar: minimum to maximum",
        ranges(&measured, time, None),
    )
}

fn start() -> Plot {
    let measured = Measured::read("start");
    let (ours, target) = (measured.rows[0].1[0][0], measured.last(0) / START_PART);
    assert!(ours < target, "the title says so");
    let note = format!("target {}", ms(target));
    rows(
        "start",
        format!("From start to the first answer in {}; the target is {}", ms(ours), ms(target)),
        "a lookup with an API key, right after the start; median, bar: minimum to maximum; target: 1/100 of boto3",
        ranges(&measured, ms, Some((target, note))),
    )
}

fn answers() -> Plot {
    let measured = Measured::read("answers");
    let y = LogAxis::over(measured.all());
    let steps = f64::from(u32::try_from(measured.rows.len() - 1).expect("a few"));
    let (mut shapes, mut notes, mut names, mut x) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let left = |row: usize| f64::from(u32::try_from(row).expect("a few")) / steps * 100.0;
    for (at, (name, (stroke, _, class))) in measured.names.iter().zip(CURVES).enumerate() {
        let points: Vec<(f64, f64)> = measured
            .rows
            .iter()
            .enumerate()
            .map(|(row, (_, cells))| (left(row), 100.0 - y.at(cells[at][0])))
            .collect();
        let path = line(points.iter().copied());
        shapes.push(shape(stroke, path));
        notes.extend(points.iter().map(|point| note(class, *point, "")));
        let last = points.last().expect("a row");
        names.push(note(end(class), *last, format!("{name}: {}", ms(measured.last(at)))));
    }
    x.extend(measured.rows.iter().enumerate().map(|(row, (label, _))| tick(left(row), label.clone(), false)));
    notes.extend(ends(names));
    let [full, light] = [0, 1].map(|at| measured.rows[1].1[at][0]);
    plot(
        "answers",
        format!("99 of 100 answers arrive within {}, within {} at full load", ms(light), ms(full)),
        "of ipgeo dev with its callers on two cores, at 250 and at 40,361 (full load) requests a second",
        "share of the requests",
        Chart { alt: String::new(), x, y: y.ticks(ms), shapes, notes },
    )
}

fn lookup() -> Plot {
    let measured = Measured::read("lookup");
    let (first, last) = (measured.column(0)[0], *measured.column(0).last().expect("a row"));
    let title = format!(
        "{} times the networks, {:.0} times the time: a lookup stays below {}",
        short(last.0 / first.0),
        last.1[0] / first.1[0],
        time(1_000.0)
    );
    plot(
        "lookup",
        title,
        "processor time of a lookup with its answer; median, band: minimum to maximum",
        "networks",
        lines(&measured, time),
    )
}

fn planning() -> Plot {
    let measured = Measured::read("plan");
    let worst = measured.all().fold(0.0, f64::max);
    plot(
        "plan",
        format!("A plan for {} regions takes at most {}", measured.rows.last().expect("a row").0, ms(worst)),
        "from the text of regions.toml to the plan, without AWS's response times; medians",
        "regions",
        lines(&measured, ms),
    )
}

fn report() -> Plot {
    let measured = Measured::read("report");
    let rows = &measured.rows;
    let at = rows.len() - 2;
    plot(
        "report",
        format!(
            "A report of {} API keys takes {}",
            short(rows[at].0.parse().expect("a size")),
            ms(rows[at].1[0][0])
        ),
        "ipgeo usage report: callers, days, regions and verdicts, without reading the ledger; medians",
        "ledger items",
        lines(&measured, ms),
    )
}

fn flush() -> Plot {
    let measured = Measured::read("flush");
    let rows = &measured.rows;
    plot(
        "flush",
        format!(
            "A million events of {} callers are counted in {}",
            short(rows[2].0.parse().expect("a size")),
            ms(rows[2].1[0][0])
        ),
        "a batch through the counter's handler, to a store that answers at once; medians",
        "identities in the batch",
        lines(&measured, ms),
    )
}
