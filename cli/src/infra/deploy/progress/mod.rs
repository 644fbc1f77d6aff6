//! Shows the events of a deploy: bars on a terminal, otherwise lines, or JSON for programs.

mod bars;
mod json;
mod lines;

use super::{Event, Sink};
use crate::ui::progress::Style;

/// The sink for a style; `None`: bars on a terminal, otherwise lines. With `json`, events are printed on standard output
/// instead, whatever the style.
pub(crate) fn sink(style: Option<Style>, json: bool) -> Box<dyn Sink + Send> {
    if json {
        return Box::new(json::Json);
    }
    match Style::or_default(style) {
        Style::Bars => Box::new(bars::Bars::default()),
        Style::Lines => Box::new(lines::Lines::default()),
        Style::None => Box::new(Silent),
    }
}

struct Silent;

impl Sink for Silent {
    fn emit(&self, _: u64, _: &Event) {}
}

fn clock(ms: u64) -> String {
    crate::ui::format::duration(ms / 1_000)
}
