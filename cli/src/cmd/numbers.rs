//! What flags take: numbers that are finite and within what makes sense, months and times. What is wrong is wrong
//! usage, told with the flag.

use ipgeo_contract::Month;
use jiff::Timestamp;

use crate::keys::parse_since;

fn within(text: &str, what: &str, least: f64, most: f64) -> Result<f64, String> {
    let number = text.trim().replace('_', "").parse::<f64>().ok();
    // NaN is within nothing.
    number
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| format!("`{text}` is not {what}, {least} to {most}"))
}

/// Percent, 0 to 100.
pub(super) fn percent(text: &str) -> Result<f64, String> {
    within(text, "a percentage", 0.0, 100.0)
}

/// Percent of a limit, which may be raised too.
pub(super) fn percent_of_limit(text: &str) -> Result<f64, String> {
    within(text, "a percentage", 0.001, 100_000.0)
}

/// US dollars.
pub(super) fn usd(text: &str) -> Result<f64, String> {
    within(text, "an amount of US dollars", 0.0, 1e12)
}

/// Milliseconds of a request: a function runs for fifteen minutes at most.
pub(super) fn milliseconds(text: &str) -> Result<f64, String> {
    within(text, "a number of milliseconds", 0.0, 900_000.0)
}

/// Bytes of an answer: a function answers 6 MB at most.
pub(super) fn bytes(text: &str) -> Result<f64, String> {
    within(text, "a number of bytes", 0.0, 6e6)
}

/// A month.
pub(super) fn month(text: &str) -> Result<Month, String> {
    text.parse().map_err(|_| format!("`{text}` is not a month; write it as `2026-11`"))
}

/// A time that has passed.
pub(super) fn since(text: &str) -> Result<Timestamp, String> {
    parse_since(text, Timestamp::now()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_finite_and_within_what_makes_sense() {
        for (text, number) in [("0", 0.0), ("80", 80.0), ("100", 100.0), ("12.5", 12.5)] {
            assert_eq!(percent(text), Ok(number));
        }
        for junk in ["NaN", "inf", "-1", "101", "", "many", "1e300"] {
            assert!(percent(junk).is_err(), "{junk}");
            assert!(junk == "101" || usd(junk).is_err(), "{junk}");
            assert!(junk == "101" || milliseconds(junk).is_err(), "{junk}");
            assert!(junk == "101" || bytes(junk).is_err(), "{junk}");
        }
        assert!(month("2026-11").is_ok());
        for junk in ["2026-13", "2026-11-24", "november"] {
            assert!(month(junk).is_err_and(|told| told.contains("2026-11")), "{junk}");
        }
        assert!(since("2h").is_ok() && since("foo").is_err());
    }
}
