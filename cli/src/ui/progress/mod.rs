//! Progress of long tasks on standard error: a bar on a terminal, a line every five seconds elsewhere, nothing with
//! `--progress none`. Every verb uses this module, so all bars share one screen, notes are printed above them, and Ctrl-C
//! leaves none behind. A task that ends within [`QUIET_MS`] shows nothing.

mod meter;
mod screen;
mod task;

use std::sync::OnceLock;

use super::output;
pub(super) use screen::above_bars;
pub(crate) use screen::{Row, erase_echo, leave, print_above};
pub(crate) use task::{Task, Ticker, timed};

/// Time before a bar appears, so that nothing flickers.
pub(crate) const QUIET_MS: u64 = 200;
const LINE_EVERY_MS: u64 = 5_000;

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Style {
    /// Bars, redrawn in place
    Bars,
    /// A line for each event, or every five seconds
    Lines,
    /// No progress
    None,
}

/// The style of this run, if a flag or the environment has set it.
static CHOSEN: OnceLock<Style> = OnceLock::new();

impl Style {
    /// Sets this for the whole program.
    pub(crate) fn apply(self) {
        // The flags are read once.
        let _set_before = CHOSEN.set(self);
    }

    /// The style that a flag or the environment has set.
    pub(crate) fn chosen() -> Option<Self> {
        CHOSEN.get().copied()
    }

    /// The chosen style, by default bars on a terminal and otherwise lines.
    pub(crate) fn current() -> Self {
        let default = || if output::stderr_is_terminal() { Self::Bars } else { Self::Lines };
        Self::chosen().unwrap_or_else(default)
    }
}
