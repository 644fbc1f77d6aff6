//! Value parsers of flags: numbers in [`Number`]'s syntax and within a range, months and times. An invalid value is a usage
//! error that clap reports with the flag.

use ipgeo_contract::{Month, Number, NumberError};
use jiff::Timestamp;

use crate::keys::{parse_expiry, parse_since, to_millisecond};
use crate::ui::format::{float, grouped};
use crate::ui::output::UsageError;

fn within(text: &str, unit: &str, least: f64, most: u64) -> Result<f64, String> {
    let number: Number = text.parse().map_err(|error: NumberError| error.to_string())?;
    let number = number.to_f64();
    let sound = (least..=float(most)).contains(&number);
    sound.then_some(number).ok_or_else(|| format!("must be between {least} and {} {unit}", grouped(most)))
}

fn integer(text: &str, most: u32) -> Result<u32, String> {
    let number: Number = text.parse().map_err(|error: NumberError| error.to_string())?;
    let number = number.whole().and_then(|number| u32::try_from(number).ok());
    number
        .filter(|number| (1..=most).contains(number))
        .ok_or_else(|| format!("must be a whole number between 1 and {}", grouped(u64::from(most))))
}

/// Calls a month: `25M`, `1.5B`, `800_000`.
pub(crate) fn calls(text: &str) -> Result<f64, String> {
    within(text, "calls a month", 1.0, 10_000_000_000_000)
}

/// Calls a second.
pub(crate) fn rate(text: &str) -> Result<f64, String> {
    within(text, "calls/s", 0.0, 1_000_000_000)
}

pub(crate) fn api_keys(text: &str) -> Result<u32, String> {
    integer(text, 1_000_000)
}

pub(crate) fn addresses(text: &str) -> Result<u32, String> {
    integer(text, 10_000_000)
}

pub(crate) fn rows(text: &str) -> Result<u32, String> {
    integer(text, u32::MAX)
}

/// Percent, 0 to 100.
pub(crate) fn percent(text: &str) -> Result<f64, String> {
    within(text, "percent", 0.0, 100)
}

/// Percentage of a limit; above 100 it raises the limit.
pub(crate) fn percent_of_limit(text: &str) -> Result<f64, String> {
    within(text, "percent", 0.001, 100_000)
}

pub(crate) fn usd(text: &str) -> Result<f64, String> {
    within(text, "US dollars", 0.0, 1_000_000_000_000)
}

/// Milliseconds of a request: a function runs for fifteen minutes at most.
pub(crate) fn milliseconds(text: &str) -> Result<f64, String> {
    within(text, "ms", 0.0, 900_000)
}

/// Bytes of an answer: a function answers 6 MB at most.
pub(crate) fn bytes(text: &str) -> Result<f64, String> {
    within(text, "bytes", 0.0, 6_000_000)
}

pub(crate) fn month(text: &str) -> Result<Month, String> {
    text.parse().map_err(|_| format!("`{text}` is not a month; write it as `2026-11`"))
}

/// A past time, to the millisecond as stored times.
pub(crate) fn since(text: &str) -> Result<Timestamp, String> {
    parse_since(text, Timestamp::now()).map(to_millisecond).map_err(|error| error.to_string())
}

pub(crate) fn expires(text: Option<&str>, now: Timestamp) -> Result<Option<Timestamp>, UsageError> {
    let parsed = text.map(|text| parse_expiry(text, now)).transpose();
    parsed.map_err(|error| UsageError(format!("--expires: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every flag that takes a number accepts the same syntax.
    #[test]
    fn every_flag_reads_numbers_alike() {
        type Parser = fn(&str) -> Result<f64, String>;
        fn float(parsed: Result<u32, String>) -> Result<f64, String> {
            parsed.map(f64::from)
        }
        let parsers: [(&str, f64, Parser); 10] = [
            ("percent", 100.0, percent),
            ("usd", 1e12, usd),
            ("milliseconds", 900_000.0, milliseconds),
            ("bytes", 6e6, bytes),
            ("calls", 1e13, calls),
            ("rate", 1e9, rate),
            ("api_keys", 1e6, |text| float(api_keys(text))),
            ("addresses", 1e7, |text| float(addresses(text))),
            ("rows", f64::from(u32::MAX), |text| float(rows(text))),
            ("limit", 1e12, |text| {
                let limit = format!("{text}/day").parse::<ipgeo_contract::Limit>();
                let calls = limit.map_err(|error| error.to_string())?.calls.to_string();
                calls.parse::<f64>().map_err(|error| error.to_string())
            }),
        ];
        let numbers = [
            ("80", 80.0),
            ("1_000", 1e3),
            ("5k", 5e3),
            ("5K", 5e3),
            ("2.5M", 2.5e6),
            ("1B", 1e9),
            ("0.001M", 1e3),
        ];
        for (name, most, parse) in parsers {
            for (text, number) in numbers {
                match parse(text) {
                    Ok(read) => assert!((read - number).abs() < 1e-9 && number <= most, "{name}: {text}"),
                    // A number that is too large is reported as out of range, not as malformed.
                    Err(error) => {
                        assert!(number > most && !error.contains("write digits"), "{name}: {text}: {error}");
                    }
                }
            }
            for junk in ["NaN", "inf", "-1", "+1", "", "many", "1e3", "1__0", "5kk", "2,5", "0x10"] {
                assert!(parse(junk).is_err_and(|error| error.contains("write digits")), "{name}: {junk}");
            }
        }
        assert_eq!((percent("12.5"), calls("1.5B")), (Ok(12.5), Ok(1.5e9)));
        for (refused, message) in [
            (percent("101").err(), "must be between 0 and 100 percent"),
            (calls("0").err(), "must be between 1 and 10,000,000,000,000 calls a month"),
            (api_keys("0.5").err(), "must be a whole number between 1 and 1,000,000"),
        ] {
            assert_eq!(refused.as_deref(), Some(message));
        }
    }

    #[test]
    fn months_and_times_are_parsed_or_refused() {
        assert!(month("2026-11").is_ok());
        for junk in ["2026-13", "2026-11-24", "november"] {
            assert!(month(junk).is_err_and(|error| error.contains("2026-11")), "{junk}");
        }
        assert!(since("2h").is_ok_and(|time| time.subsec_nanosecond() % 1_000_000 == 0));
        assert!(since("foo").is_err());
    }
}
