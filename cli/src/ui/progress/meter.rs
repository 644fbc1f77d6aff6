//! What a task has done, its rate and its time left, as texts. Pure: the clock is an argument.

use std::collections::VecDeque;

use super::super::format::{counted, duration, float, grouped, short, size, whole};
use super::super::output::{Paint, painted, printable};
use super::{LINE_EVERY_MS, QUIET_MS, Style};

/// The rate is measured over the latest part of this length.
const RATE_OVER_MS: u64 = 15_000;
/// The shortest time that a rate is measured over.
const RATE_AFTER_MS: u64 = 1_000;
const SAMPLE_EVERY_MS: u64 = 500;
/// Columns of a line with a bar: it fits a terminal of 80 columns, and the echo of Ctrl-C behind it does too.
const LINE_COLUMNS: usize = 76;
/// The shortest and the longest bar.
const BAR_COLUMNS: (usize, usize) = (8, 24);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Items with this name: `API key`.
    Items(&'static str),
    Bytes,
    /// A quantity without a unit that people know: only the percentage is shown.
    Share,
    /// Nothing: only the elapsed time is shown.
    Time,
}

/// A point in time: milliseconds since the start, amount done, share done.
type Sample = (u64, u64, f64);

#[derive(Debug)]
pub(super) struct Meter {
    label: String,
    unit: Unit,
    total: Option<u64>,
    done: u64,
    /// The share that is done, where it is not `done` of `total`.
    share: Option<f64>,
    samples: VecDeque<Sample>,
    style: Style,
    printed_ms: u64,
    is_visible: bool,
}

impl Meter {
    pub(super) fn new(style: Style, label: &str, unit: Unit, total: Option<u64>) -> Self {
        Self {
            label: printable(label),
            unit,
            total,
            done: 0,
            share: None,
            samples: VecDeque::from([(0, 0, 0.0)]),
            style,
            printed_ms: 0,
            is_visible: false,
        }
    }

    pub(super) fn add(&mut self, count: u64) {
        self.done = self.done.saturating_add(count);
    }

    pub(super) fn set(&mut self, done: u64) {
        self.done = done;
    }

    pub(super) fn set_share(&mut self, share: f64) {
        self.share = Some(share.clamp(0.0, 1.0));
    }

    pub(super) fn set_label(&mut self, label: &str) {
        self.label = printable(label);
    }

    /// Adds to the total, which may be unknown at first.
    pub(super) fn grow(&mut self, count: u64) {
        if count > 0 {
            self.total = Some(self.total.unwrap_or(0).saturating_add(count));
        }
    }

    pub(super) fn is_visible(&self) -> bool {
        self.is_visible
    }

    /// The line to draw or to print at this time, if any is due.
    pub(super) fn due(&mut self, now_ms: u64) -> Option<String> {
        self.sample(now_ms);
        let text = match self.style {
            Style::Bars if now_ms >= QUIET_MS => self.bar(now_ms),
            Style::Lines if now_ms >= self.printed_ms + LINE_EVERY_MS => {
                self.printed_ms = now_ms;
                self.line(now_ms)
            }
            _ => return None,
        };
        self.is_visible = true;
        Some(text)
    }

    /// The last line of a task that was not completed.
    pub(super) fn ending(&self, mark: &str) -> String {
        match self.amounts() {
            None => format!("{}: {mark}", self.label),
            Some(amounts) => format!("{}: {amounts}: {mark}", self.label),
        }
    }

    fn sample(&mut self, now_ms: u64) {
        if self.samples.back().is_none_or(|last| now_ms >= last.0 + SAMPLE_EVERY_MS) {
            self.samples.push_back((now_ms, self.done, self.done_share().unwrap_or(0.0)));
        }
        // One sample that old stays: the rate is measured from it.
        while self.samples.get(1).is_some_and(|second| second.0 + RATE_OVER_MS <= now_ms) {
            self.samples.pop_front();
        }
    }

    fn done_share(&self) -> Option<f64> {
        let of_total = || {
            let total = self.total.filter(|total| *total > 0)?;
            Some((float(self.done) / float(total)).min(1.0))
        };
        self.share.or_else(of_total)
    }

    /// `12,000 of 50,000`.
    fn amount(&self) -> Option<String> {
        let number = match self.unit {
            Unit::Bytes => size,
            _ => grouped,
        };
        match (self.unit, self.total) {
            (Unit::Share | Unit::Time, _) => None,
            (_, Some(total)) => Some(format!("{} of {}", number(self.done), number(total))),
            (Unit::Items(noun), None) => Some(counted(self.done, noun)),
            // Nothing is known yet.
            (Unit::Bytes, None) if self.done == 0 => None,
            (Unit::Bytes, None) => Some(size(self.done)),
        }
    }

    fn percent(&self) -> Option<String> {
        self.done_share().map(|share| format!("{} %", whole(share * 100.0)))
    }

    /// `12,000 of 50,000 (24 %)`.
    fn amounts(&self) -> Option<String> {
        match (self.amount(), self.percent()) {
            (Some(amount), Some(percent)) => Some(format!("{amount} ({percent})")),
            (amount, percent) => amount.or(percent),
        }
    }

    /// Calls a second and the time left, as far as they are known.
    fn pace(&self, now_ms: u64) -> Vec<String> {
        let Some((at_ms, done, share)) = self.samples.front().copied() else { return Vec::new() };
        let elapsed_ms = now_ms.saturating_sub(at_ms);
        if elapsed_ms < RATE_AFTER_MS {
            return Vec::new();
        }
        let seconds = float(elapsed_ms) / 1e3;
        let rate = float(self.done.saturating_sub(done)) / seconds;
        let rate = match self.unit {
            Unit::Items(_) if rate >= 10.0 => Some(format!("{}/s", grouped(whole(rate)))),
            Unit::Items(_) if rate > 0.0 => Some(format!("{}/s", short(rate))),
            Unit::Bytes if rate >= 1.0 => Some(format!("{}/s", size(whole(rate)))),
            _ => None,
        };
        let left = self.done_share().and_then(|now| {
            let growth = (now - share) / seconds;
            (growth > 0.0).then(|| format!("{} left", duration(whole(((1.0 - now) / growth).round()))))
        });
        let elapsed = self.amounts().is_none().then(|| duration(now_ms / 1_000));
        rate.into_iter().chain(left).chain(elapsed).collect()
    }

    fn line(&self, now_ms: u64) -> String {
        let texts: Vec<String> = self.amounts().into_iter().chain(self.pace(now_ms)).collect();
        format!("{}: {}", self.label, texts.join(", "))
    }

    fn bar(&self, now_ms: u64) -> String {
        // The bar itself shows the share.
        let amount = self.amount().or_else(|| self.percent());
        let texts = amount.into_iter().chain(self.pace(now_ms)).collect::<Vec<_>>().join("  ");
        let Some(share) = self.done_share() else { return format!("{}  {texts}", self.label) };
        let used = self.label.chars().count() + texts.chars().count() + 4;
        let columns = LINE_COLUMNS.saturating_sub(used).clamp(BAR_COLUMNS.0, BAR_COLUMNS.1);
        let filled = usize::try_from(whole(share * float(columns as u64))).unwrap_or(0).min(columns);
        let (done, rest) = ("━".repeat(filled), "─".repeat(columns - filled));
        format!("{}  {}{rest}  {texts}", self.label, painted(Paint::Add, &done))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    /// Feeds a meter with amounts at times, and returns what it shows.
    fn shown(mut meter: Meter, steps: &[(u64, u64)]) -> Vec<(u64, String)> {
        let step = |&(now_ms, done): &(u64, u64)| {
            meter.set(done);
            Some((now_ms, plain(&meter.due(now_ms)?)))
        };
        steps.iter().filter_map(step).collect()
    }

    #[test]
    fn elsewhere_than_on_a_terminal_there_is_a_line_every_five_seconds() {
        let steps: Vec<(u64, u64)> = (0..=120).map(|tick| (tick * 100, tick * 120)).collect();
        let meter = Meter::new(Style::Lines, "storing API keys", Unit::Items("API key"), Some(50_000));
        let lines = [
            (5_000, "storing API keys: 6,000 of 50,000 (12 %), 1,200/s, 37s left"),
            (10_000, "storing API keys: 12,000 of 50,000 (24 %), 1,200/s, 32s left"),
        ];
        assert_eq!(shown(meter, &steps), lines.map(|(at_ms, line)| (at_ms, line.to_owned())));
    }

    #[test]
    fn nothing_is_shown_of_a_short_task_or_without_progress() {
        let steps: Vec<(u64, u64)> = (0..2).map(|tick| (tick * 100, tick)).collect();
        let meter = |style| Meter::new(style, "probing", Unit::Items("request"), Some(2));
        assert_eq!(shown(meter(Style::Bars), &steps), []);
        assert_eq!(shown(meter(Style::Lines), &[(0, 0), (4_999, 1)]), []);
        assert_eq!(shown(meter(Style::None), &[(0, 0), (60_000, 1)]), []);
        assert_eq!(shown(meter(Style::Bars), &[(QUIET_MS, 1)]).len(), 1);
    }

    #[test]
    fn every_unit_has_its_texts() {
        let items = Unit::Items("record");
        let table: [(Unit, Option<u64>, u64, u64, &str); 10] = [
            (items, Some(10), 500, 0, "x  ────────────────────────  0 of 10"),
            (items, Some(10), 4_000, 2, "x  ━━━━────────────────────  2 of 10  0.5/s  16s left"),
            (items, Some(10), 4_000, 10, "x  ━━━━━━━━━━━━━━━━━━━━━━━━  10 of 10  2.5/s  0s left"),
            (items, None, 4_000, 1, "x  1 record  0.2/s"),
            (items, Some(0), 4_000, 0, "x  0 of 0"),
            (
                Unit::Bytes,
                Some(80_000_000),
                4_000,
                20_000_000,
                "x  ━━━━━━──────────────────  20.0 MB of 80.0 MB  5.0 MB/s  12s left",
            ),
            (Unit::Bytes, None, 4_000, 20_000_000, "x  20.0 MB  5.0 MB/s"),
            (Unit::Bytes, None, 4_000, 0, "x  4s"),
            (Unit::Share, Some(200), 60_000, 50, "x  ━━━━━━──────────────────  25 %  3m 0s left"),
            (Unit::Time, None, 75_000, 0, "x  1m 15s"),
        ];
        for (unit, total, now_ms, done, expected) in table {
            let shown = shown(Meter::new(Style::Bars, "x", unit, total), &[(now_ms, done)]);
            assert_eq!(shown, [(now_ms, expected.to_owned())], "{unit:?}");
        }
    }

    #[test]
    fn a_bar_fits_a_terminal_of_80_columns() {
        for (done, now_ms) in [(0, 200), (1, 5_000), (999_999, 5_000), (999_999, 86_400_000)] {
            let items = Unit::Items("API key");
            let mut meter = Meter::new(Style::Bars, "copying API keys", items, Some(1_000_000));
            meter.set(done);
            let text = plain(&meter.due(now_ms).expect("a bar"));
            assert!(text.chars().count() <= LINE_COLUMNS, "{text}");
        }
    }

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        // A hundred a second at first, ten a second since 60 s.
        let done = |at_s: u64| if at_s <= 60 { at_s * 100 } else { 6_000 + (at_s - 60) * 10 };
        let steps: Vec<(u64, u64)> = (0..=90).map(|at_s| (at_s * 1_000, done(at_s))).collect();
        let meter = Meter::new(Style::Lines, "x", Unit::Items("item"), Some(7_300));
        let last = shown(meter, &steps).pop();
        assert_eq!(last, Some((90_000, "x: 6,300 of 7,300 (86 %), 10/s, 1m 40s left".to_owned())));
    }

    #[test]
    fn a_share_can_be_known_without_a_total_and_the_total_may_grow() {
        let mut meter = Meter::new(Style::Lines, "reading", Unit::Items("record"), None);
        meter.set(500);
        meter.set_share(0.25);
        assert_eq!(meter.due(5_000).as_deref(), Some("reading: 500 records (25 %), 100/s, 15s left"));
        let mut meter = Meter::new(Style::Lines, "fetching", Unit::Bytes, None);
        meter.grow(3_000_000);
        meter.grow(1_000_000);
        meter.add(1_000_000);
        assert_eq!(
            meter.due(5_000).as_deref(),
            Some("fetching: 1.0 MB of 4.0 MB (25 %), 200 kB/s, 15s left")
        );
        assert_eq!(meter.ending("FAILED"), "fetching: 1.0 MB of 4.0 MB (25 %): FAILED");
    }
}
