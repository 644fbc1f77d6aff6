//! Shows the events of a deploy: bars on a terminal, otherwise lines, or JSON for programs.

mod bars;
mod json;
mod lines;

use super::{Event, Sink};
use crate::infra::cloud::Progress;
use crate::ui::progress::Style;

/// The sink for the chosen style. With `json`, events are printed on standard output instead, whatever the style.
pub(crate) fn sink(json: bool) -> Box<dyn Sink + Send> {
    if json {
        return Box::new(json::Json);
    }
    match Style::current() {
        Style::Bars => Box::new(bars::Bars::default()),
        Style::Lines => Box::new(lines::Lines::default()),
        Style::None => Box::new(Silent),
    }
}

struct Silent;

impl Sink for Silent {
    fn emit(&self, _: u64, _: &Event) {}
}

/// ` 3/14`, or nothing if nobody counts.
fn counts(progress: &Progress) -> String {
    match progress.total {
        0 => String::new(),
        total => format!(" {}/{total}", progress.done),
    }
}

fn clock(ms: u64) -> String {
    crate::ui::format::duration(ms / 1_000)
}
