//! Drawing what is told while a plan is carried out: bars on a terminal, lines elsewhere, JSON for programs.

mod bars;
mod json;
mod lines;
mod tally;

use crate::infra::deploy::Sink;
use crate::ui::output;
pub use tally::Tally;

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Style {
    /// A line for each region, redrawn
    Bars,
    /// A line for each thing that happens
    Lines,
    /// Nothing
    None,
}

/// The sink for a style (none: bars on a terminal, else lines); `json` has event lines on standard output
/// in place of it.
pub fn sink(style: Option<Style>, json: bool) -> Box<dyn Sink + Send> {
    if json {
        return Box::new(json::Json);
    }
    match style.unwrap_or_else(fitting) {
        Style::Bars => Box::new(bars::Bars::default()),
        Style::Lines => Box::new(lines::Lines::default()),
        Style::None => Box::new(Silent),
    }
}

fn fitting() -> Style {
    if output::stderr_is_terminal() { Style::Bars } else { Style::Lines }
}

struct Silent;

impl Sink for Silent {
    fn emit(&self, _: u64, _: &crate::infra::deploy::Event) {}
}

/// `1m 05s`: a time for people.
fn clock(ms: u64) -> String {
    let seconds = ms / 1_000;
    if seconds < 60 { format!("{seconds}s") } else { format!("{}m {:02}s", seconds / 60, seconds % 60) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn times_are_short() {
        for (ms, expected) in [(0, "0s"), (59_999, "59s"), (65_000, "1m 05s"), (3_600_000, "60m 00s")] {
            assert_eq!(super::clock(ms), expected);
        }
    }
}
