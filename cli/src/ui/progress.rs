//! Progress of long tasks: how it is shown, and a counter for lists and files.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::format::{grouped, size};
use super::output;

/// Interval between progress lines; shorter tasks print none.
const LINE_EVERY: Duration = Duration::from_secs(2);

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Style {
    /// A line for each region, redrawn in place
    Bars,
    /// A line for each event
    Lines,
    /// Nothing
    None,
}

impl Style {
    /// `style`, by default bars on a terminal and otherwise lines.
    pub(crate) fn or_default(style: Option<Self>) -> Self {
        let default = || if output::stderr_is_terminal() { Self::Bars } else { Self::Lines };
        style.unwrap_or_else(default)
    }
}

/// Counts finished items of a list: a bar on a terminal, otherwise a line every few seconds. Dropping it removes the bar.
#[derive(Debug)]
pub(crate) struct Tally(Shown);

#[derive(Debug)]
enum Shown {
    Bar(ProgressBar),
    Lines { what: String, total: Option<u64>, unit: fn(u64) -> String, done: Mutex<(u64, Instant)> },
    Nothing,
}

impl Tally {
    /// For `total` items, called `what` in the output.
    pub(crate) fn new(style: Option<Style>, what: &str, total: usize) -> Self {
        let template = "{msg} [{bar:40}] {human_pos}/{human_len} {eta}";
        Self::with(style, what, Some(total as u64), grouped, template)
    }

    /// For a file of `total` bytes; `None` if the size is unknown.
    pub(crate) fn of_bytes(style: Option<Style>, what: &str, total: Option<u64>) -> Self {
        let template = match total {
            Some(_) => "{msg} [{bar:40}] {decimal_bytes}/{decimal_total_bytes} {eta}",
            None => "{msg} {decimal_bytes}",
        };
        Self::with(style, what, total, size, template)
    }

    fn with(
        style: Option<Style>,
        what: &str,
        total: Option<u64>,
        unit: fn(u64) -> String,
        template: &str,
    ) -> Self {
        Self(match Style::or_default(style) {
            Style::Bars => {
                let bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new);
                if let Ok(style) = ProgressStyle::with_template(template) {
                    bar.set_style(style);
                }
                Shown::Bar(bar.with_message(what.to_owned()))
            }
            Style::Lines => {
                Shown::Lines { what: what.to_owned(), total, unit, done: Mutex::new((0, Instant::now())) }
            }
            Style::None => Shown::Nothing,
        })
    }

    /// Adds finished items or bytes.
    pub(crate) fn add(&self, count: usize) {
        match &self.0 {
            Shown::Bar(bar) => bar.inc(count as u64),
            Shown::Lines { what, total, unit, done } => {
                let mut done = done.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                done.0 += count as u64;
                if done.1.elapsed() >= LINE_EVERY {
                    done.1 = Instant::now();
                    let total = total.map(|total| format!("/{}", unit(total))).unwrap_or_default();
                    output::print_note(&format!("{what}: {}{total}", unit(done.0)));
                }
            }
            Shown::Nothing => {}
        }
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        if let Shown::Bar(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
