//! Periods: concrete windows of time, in UTC.

use std::fmt;
use std::str::FromStr;

use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};

use crate::Window;

/// A concrete window: a day (`2026-11-24`) or a month (`2026-11`). Orders by time within a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Period {
    /// A day, UTC.
    Day(Date),
    /// A month, UTC.
    Month(Month),
}

/// A calendar month, `2026-11`: the ledger's sort key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Month {
    /// Always the first of the month.
    first: Date,
}

/// Text that is not a period.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a period; write a day as `2026-11-24`, a month as `2026-11`")]
pub struct PeriodError(String);

fn utc_date(time: Timestamp) -> Date {
    TimeZone::UTC.to_datetime(time).date()
}

/// Midnight UTC at the start of `date`, or the latest representable time if that is out of range.
fn midnight(date: Date) -> Timestamp {
    TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).unwrap_or(Timestamp::MAX)
}

impl Month {
    /// The month that contains `time`, UTC.
    pub fn from_time(time: Timestamp) -> Self {
        Self::from_date(utc_date(time))
    }

    /// The month that contains a date.
    pub fn from_date(date: Date) -> Self {
        Self { first: date.first_of_month() }
    }

    /// The first day of this month.
    pub fn first(self) -> Date {
        self.first
    }

    /// The month after this one; this one again at the end of representable time.
    #[must_use]
    pub fn next(self) -> Self {
        self.first.checked_add(1.month()).map_or(self, Self::from_date)
    }

    /// The first instant of this month.
    pub fn begin(self) -> Timestamp {
        midnight(self.first)
    }

    /// The first instant after this month.
    pub fn end(self) -> Timestamp {
        midnight(self.next().first)
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.first.year(), self.first.month())
    }
}

impl fmt::Debug for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Month {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, PeriodError> {
        let shaped = text.len() == 7 && text.as_bytes()[4] == b'-';
        shaped
            .then(|| format!("{text}-01"))
            .and_then(|day| day.parse::<Date>().ok())
            .map(Self::from_date)
            .ok_or_else(|| PeriodError(text.to_owned()))
    }
}

impl Period {
    /// The period of `window` that contains `time`, UTC.
    pub fn new(window: Window, time: Timestamp) -> Self {
        match window {
            Window::Day => Self::Day(utc_date(time)),
            Window::Month => Self::Month(Month::from_time(time)),
        }
    }

    /// The first instant of this period.
    pub fn start(self) -> Timestamp {
        match self {
            Self::Day(date) => midnight(date),
            Self::Month(month) => midnight(month.first),
        }
    }

    /// The first instant after this period: when its count resets.
    pub fn end(self) -> Timestamp {
        match self {
            Self::Day(date) => date.checked_add(1.day()).map_or(Timestamp::MAX, midnight),
            Self::Month(month) => month.end(),
        }
    }

    /// Whole seconds from `now` until this period ends, rounded up; 0 when it has ended.
    pub fn seconds_left(self, now: Timestamp) -> u64 {
        let left_ms = self.end().as_millisecond() - now.as_millisecond();
        u64::try_from(left_ms).unwrap_or(0).div_ceil(1_000)
    }

    /// The length of this period in seconds.
    pub fn seconds(self) -> u64 {
        u64::try_from(self.end().as_second() - self.start().as_second()).unwrap_or(0)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Day(date) => write!(f, "{date}"),
            Self::Month(month) => write!(f, "{month}"),
        }
    }
}

impl FromStr for Period {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, PeriodError> {
        match text.len() {
            7 => text.parse().map(Self::Month),
            10 => text.parse::<Date>().map(Self::Day).map_err(|_| PeriodError(text.to_owned())),
            _ => Err(PeriodError(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a timestamp")
    }

    #[test]
    fn an_instant_falls_in_its_utc_period() {
        // (instant, window, period, seconds left, seconds in all)
        let table = [
            ("2026-11-24T00:00:00Z", Window::Day, "2026-11-24", 86_400, 86_400),
            ("2026-11-24T23:59:59.001Z", Window::Day, "2026-11-24", 1, 86_400),
            ("2026-11-24T23:30:00-01:00", Window::Day, "2026-11-25", 84_600, 86_400),
            ("2026-11-30T23:59:59Z", Window::Month, "2026-11", 1, 30 * 86_400),
            ("2028-02-29T12:00:00Z", Window::Month, "2028-02", 43_200, 29 * 86_400),
            ("2026-12-31T23:59:59Z", Window::Month, "2026-12", 1, 31 * 86_400),
        ];
        for (instant, window, text, left, length) in table {
            let period = Period::new(window, at(instant));
            assert_eq!(period.to_string(), text, "{instant}");
            assert_eq!(period.seconds_left(at(instant)), left, "{instant}");
            assert_eq!(period.seconds(), length, "{instant}");
            assert_eq!(text.parse::<Period>(), Ok(period), "{instant}");
        }
    }

    #[test]
    fn a_period_ends_where_the_next_begins() {
        let day = Period::new(Window::Day, at("2026-12-31T08:00:00Z"));
        assert_eq!(Period::new(Window::Day, day.end()).start(), day.end());
        assert_eq!(day.seconds_left(day.end()), 0);
        let month = Month::from_time(at("2026-12-31T08:00:00Z"));
        assert_eq!(
            (month.first().to_string(), month.begin()),
            ("2026-12-01".into(), at("2026-12-01T00:00:00Z"))
        );
        assert_eq!((month.end(), format!("{month:?}")), (month.next().begin(), "2026-12".into()));
    }

    #[test]
    fn malformed_text_is_not_a_period() {
        for text in ["", "2026", "2026-13", "2026-1", "2026-11-31", "2026/11", "äää-aa", "2026-11-24T00"] {
            assert_eq!(text.parse::<Period>(), Err(PeriodError(text.to_owned())));
            assert_eq!(text.parse::<Month>(), Err(PeriodError(text.to_owned())));
        }
    }
}
