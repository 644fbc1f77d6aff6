//! Draws a plot as an SVG of its own.

use tera::{Context, Tera};

use super::measured::Cell;
use crate::ui::curves::Axes;
use crate::ui::drawing::{Chart, Note, Shape, line, percent, rectangle};

/// Pixels.
const WIDTH: u32 = 720;
/// Percent of the height between the labels of two lines.
const LABEL_GAP: f64 = 8.0;

const TEMPLATES: [(&str, &str); 2] = [
    ("drawing.css", include_str!("../../../templates/pages/drawing.css")),
    // Tera escapes values if the name says that it is XML.
    ("picture.xml", include_str!("../../../templates/pages/picture.svg")),
];

/// Classes of lines, in order, and of their points and labels.
pub(super) const CURVES: [(&str, &str, &str); 3] = [
    ("curve", "band", "first"),
    ("curve second", "band second", "second"),
    ("curve third", "band third", "third"),
];

/// A chart with its texts.
#[derive(Debug)]
pub(super) struct Plot {
    pub(super) name: &'static str,
    /// What is good about it.
    pub(super) title: String,
    /// What is shown, with units and the spread.
    pub(super) subtitle: String,
    /// What the horizontal axis counts.
    pub(super) axis: &'static str,
    /// Pixels left and right of the axes.
    pub(super) margins: (u32, u32),
    pub(super) height: u32,
    /// Whether rows have names, and lines across are upright.
    pub(super) is_rows: bool,
    pub(super) chart: Chart,
}

pub(super) fn svg(plot: &Plot) -> String {
    let row = |tick: &crate::ui::drawing::Tick| {
        let from_below: f64 = tick.at.parse().expect("a percentage");
        (percent(100.0 - from_below), tick.label.clone())
    };
    let mut context = Context::new();
    context.insert("title", &plot.title);
    context.insert("subtitle", &plot.subtitle);
    context.insert("axis", plot.axis);
    context.insert("height", &plot.height);
    context.insert("left", &plot.margins.0);
    context.insert("width", &(WIDTH - plot.margins.0 - plot.margins.1));
    context.insert("vertical", &plot.is_rows);
    context.insert("rows", &plot.chart.y.iter().map(row).collect::<Vec<_>>());
    context.insert("chart", &plot.chart);
    let mut tera = Tera::new();
    tera.add_raw_templates(TEMPLATES).expect("templates");
    tera.render("picture.xml", &context).expect("a picture")
}

/// The area between the least and the greatest values.
pub(super) fn band(class: &'static str, axes: Axes, points: &[(f64, Cell)]) -> Shape {
    let above = points.iter().map(|(x, [.., most])| axes.place((*x, *most)));
    let below = points.iter().rev().map(|(x, [_, least, _])| axes.place((*x, *least)));
    Shape { class, path: line(above.chain(below)) + "z", title: String::new() }
}

/// A bar from the least to the greatest value, at this percentage from the top.
pub(super) fn range(class: &'static str, (from, to): (f64, f64), top: f64, thick: f64) -> Shape {
    let path = rectangle(from, to.max(from + 0.4), top - thick / 2.0, top + thick / 2.0);
    Shape { class, path, title: String::new() }
}

/// Labels at the ends of lines, moved apart where they would touch.
pub(super) fn ends(mut labels: Vec<Note>) -> Vec<Note> {
    let top = |note: &Note| note.top.parse::<f64>().expect("a percentage");
    labels.sort_by(|a, b| top(a).total_cmp(&top(b)));
    for at in 1..labels.len() {
        let nearest = top(&labels[at - 1]) + LABEL_GAP;
        if top(&labels[at]) < nearest {
            labels[at].top = percent(nearest);
        }
    }
    labels
}
