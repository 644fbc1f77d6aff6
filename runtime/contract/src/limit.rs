//! Limits: a number of calls per window.

use std::fmt;
use std::str::FromStr;

use crate::Number;

/// The calendar window that a limit counts in, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Window {
    /// From midnight to midnight, UTC.
    Day,
    /// From the first of the month, UTC.
    Month,
}

impl Window {
    /// The text in limits, headers, items and usage lines: `day` or `month`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Window {
    type Err = LimitError;

    fn from_str(text: &str) -> Result<Self, LimitError> {
        match text {
            "day" => Ok(Self::Day),
            "month" => Ok(Self::Month),
            other => Err(LimitError::Window(other.to_owned())),
        }
    }
}

/// A number of calls per window; written `1500/day`, `100_000/month`, `50k/day`, `2.5M/month`, `1B/month`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limit {
    /// Calls allowed in one window; 1 to [`Limit::CALLS_MAX`].
    pub calls: u64,
    /// The window that the calls are counted in.
    pub window: Window,
}

impl Limit {
    /// The largest limit. A DynamoDB number and a JSON double represent it exactly, and so its product with 100.
    pub const CALLS_MAX: u64 = 1_000_000_000_000;
}

/// Text that is not a limit.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// There is no `/` between calls and window.
    #[error("`{0}` has no window; write calls/window, such as `1500/day` or `100_000/month`")]
    NoWindow(String),
    /// The part before the `/` is not a [`Number`].
    #[error("`{0}` is not a number of calls; write digits, such as `1_500`, or `50k`, `2.5M`, `1B`")]
    Calls(String),
    /// The number is zero, above [`Limit::CALLS_MAX`] or not whole.
    #[error("`{0}` calls is out of range; a limit must be a whole number from 1 to {max}", max = Limit::CALLS_MAX)]
    Range(String),
    /// The part after the `/` is not a window.
    #[error("`{0}` is not a window; the windows are `day` and `month`")]
    Window(String),
}

impl FromStr for Limit {
    type Err = LimitError;

    fn from_str(text: &str) -> Result<Self, LimitError> {
        let (calls, window) = text.split_once('/').ok_or_else(|| LimitError::NoWindow(text.to_owned()))?;
        Ok(Self { calls: parse_calls(calls.trim())?, window: window.trim().parse()? })
    }
}

fn parse_calls(text: &str) -> Result<u64, LimitError> {
    let number: Number = text.parse().map_err(|_| LimitError::Calls(text.to_owned()))?;
    number
        .whole()
        .filter(|calls| (1..=Limit::CALLS_MAX).contains(calls))
        .ok_or_else(|| LimitError::Range(text.to_owned()))
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.calls, self.window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_read_as_written() {
        let table = [
            ("1500/day", Ok((1_500, Window::Day))),
            ("100_000/month", Ok((100_000, Window::Month))),
            ("50k/day", Ok((50_000, Window::Day))),
            ("25M/month", Ok((25_000_000, Window::Month))),
            ("2.5M/month", Ok((2_500_000, Window::Month))),
            ("1B/month", Ok((1_000_000_000, Window::Month))),
            ("1.5/day", Err(LimitError::Range("1.5".into()))),
            ("1__0/day", Err(LimitError::Calls("1__0".into()))),
            (" 10 / day ", Ok((10, Window::Day))),
            ("1500", Err(LimitError::NoWindow("1500".into()))),
            ("/day", Err(LimitError::Calls(String::new()))),
            ("k/day", Err(LimitError::Calls("k".into()))),
            ("-5/day", Err(LimitError::Calls("-5".into()))),
            ("1e5/day", Err(LimitError::Calls("1e5".into()))),
            ("0/day", Err(LimitError::Range("0".into()))),
            ("1000000000001/day", Err(LimitError::Range("1000000000001".into()))),
            ("99999999999999999999M/day", Err(LimitError::Range("99999999999999999999M".into()))),
            ("5/week", Err(LimitError::Window("week".into()))),
        ];
        for (text, expected) in table {
            let expected = expected.map(|(calls, window)| Limit { calls, window });
            assert_eq!(text.parse::<Limit>(), expected, "{text}");
        }
    }

    #[test]
    fn a_limit_is_parsed_from_its_own_text() {
        for text in ["1/day", "1500/day", "1000000000000/month"] {
            assert_eq!(text.parse::<Limit>().map(|l| l.to_string()), Ok(text.to_owned()));
        }
    }
}
