//! Progress of long tasks: how it is shown, and a counter for lists.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::format::grouped;
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
    Lines { what: String, total: usize, done: Mutex<(usize, Instant)> },
    Nothing,
}

impl Tally {
    /// For `total` items, called `what` in the output.
    pub(crate) fn new(style: Option<Style>, what: &str, total: usize) -> Self {
        Self(match Style::or_default(style) {
            Style::Bars => {
                let bar = ProgressBar::new(total as u64).with_message(what.to_owned());
                if let Ok(style) =
                    ProgressStyle::with_template("{msg} [{bar:40}] {human_pos}/{human_len} {eta}")
                {
                    bar.set_style(style);
                }
                Shown::Bar(bar)
            }
            Style::Lines => {
                Shown::Lines { what: what.to_owned(), total, done: Mutex::new((0, Instant::now())) }
            }
            Style::None => Shown::Nothing,
        })
    }

    /// Adds finished items.
    pub(crate) fn add(&self, count: usize) {
        match &self.0 {
            Shown::Bar(bar) => bar.inc(count as u64),
            Shown::Lines { what, total, done } => {
                let mut done = done.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                done.0 += count;
                if done.1.elapsed() >= LINE_EVERY {
                    done.1 = Instant::now();
                    output::print_note(&format!(
                        "{what}: {}/{}",
                        grouped(done.0 as u64),
                        grouped(*total as u64)
                    ));
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
