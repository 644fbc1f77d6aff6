//! Parses what an operator types: tiers, quotas, durations, dates and times. Flags and CSV cells use the same parsers, so
//! a text means the same everywhere.

use ipgeo_contract::{Limit, Number, Rate, RateLimit};
use jiff::civil::{self, Date};
use jiff::{SignedDuration, Timestamp, ToSpan as _, tz::TimeZone};

use crate::config::{Tier, Tiers, suggestion};

/// The longest duration in days: a hundred years.
const DAYS_MAX: u64 = 36_500;
/// The last day whose end fits in a timestamp.
const LAST_DAY: &str = "9999-12-29";

/// The instant from which an API key is refused.
pub(crate) type Expiry = Timestamp;
/// How long the old API key stays valid after a rotation.
pub(crate) type Grace = SignedDuration;

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SpecError {
    #[error("unknown tier `{name}`; regions.toml has {known}{hint}")]
    Tier {
        name: String,
        /// The tiers in regions.toml.
        known: String,
        /// `; did you mean …?`, or nothing.
        hint: String,
    },
    #[error("callers of the tier `anonymous` have no API key; choose another tier")]
    Anonymous,
    #[error("`{0}` is not a valid time; use `90d`, `12h`, `2027-01-31` or `2027-01-31T12:00:00Z`")]
    Time(String),
    #[error("`{0}` is not a valid date")]
    Calendar(String),
    #[error(
        "`{0}` is too far in the future: the latest time is {LAST_DAY}; omit it for an API key that does not expire"
    )]
    TooLate(String),
    #[error("`{0}` is too long: the longest duration is {DAYS_MAX}d")]
    TooLong(String),
    #[error("`{0}` is in the future")]
    Future(String),
    #[error("`{0}` is not in the future")]
    Past(String),
    #[error("`{0}` is not a valid duration; use `7d`, `12h`, `30m`, or `0` for immediately")]
    Duration(String),
}

pub(crate) fn find_tier<'a>(name: &str, tiers: &'a Tiers) -> Result<&'a Tier, SpecError> {
    if name == "anonymous" {
        return Err(SpecError::Anonymous);
    }
    tiers.find(name).ok_or_else(|| {
        let names: Vec<&str> = tiers.paid.iter().map(|tier| tier.name.as_str()).collect();
        SpecError::Tier {
            name: name.to_owned(),
            known: names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
            hint: suggestion(name, names.iter().copied()),
        }
    })
}

/// Parses `90d`, `12h`, `30m` or `45s`; `None` if the text has another form.
fn duration(text: &str) -> Option<Result<SignedDuration, SpecError>> {
    let unit = text.chars().last().filter(|unit| "dhms".contains(*unit))?;
    let seconds: u64 = match unit {
        'd' => 86_400,
        'h' => 3_600,
        'm' => 60,
        _ => 1,
    };
    let number: Number = text[..text.len() - 1].parse().ok()?;
    let too_long = || SpecError::TooLong(text.to_owned());
    let total =
        number.whole().map(|number| number.checked_mul(seconds).filter(|s| *s <= DAYS_MAX * 86_400))?;
    let total = total.and_then(|seconds| i64::try_from(seconds).ok()).ok_or_else(too_long);
    Some(total.map(SignedDuration::from_secs))
}

/// Parses a date, `2027-01-31`; `None` if the text has another form.
fn day(text: &str) -> Option<Result<Date, SpecError>> {
    let shaped = text.len() == 10
        && text
            .bytes()
            .enumerate()
            .all(|(at, b)| if [4, 7].contains(&at) { b == b'-' } else { b.is_ascii_digit() });
    shaped.then(|| text.parse().map_err(|_| SpecError::Calendar(text.to_owned())))
}

/// Parses a timestamp, `2027-01-31T12:00:00Z`.
fn instant(text: &str) -> Result<Timestamp, SpecError> {
    text.parse().map_err(|_| match text.get(..10).and_then(day) {
        Some(Err(_)) => SpecError::Calendar(text.to_owned()),
        Some(Ok(date)) if date >= civil::date(9999, 12, 30) => SpecError::TooLate(text.to_owned()),
        _ => SpecError::Time(text.to_owned()),
    })
}

/// Parses an expiry: a duration from now, a day (its end, UTC), or an instant.
pub(crate) fn parse_expiry(text: &str, now: Timestamp) -> Result<Expiry, SpecError> {
    let late = || SpecError::TooLate(text.to_owned());
    let expiry = if let Some(duration) = duration(text) {
        now.checked_add(duration?).map_err(|_| late())?
    } else if let Some(date) = day(text) {
        let next = date?.checked_add(1.day()).map_err(|_| late())?;
        TimeZone::UTC.to_timestamp(next.at(0, 0, 0, 0)).map_err(|_| late())?
    } else {
        instant(text)?
    };
    if expiry > now { Ok(expiry) } else { Err(SpecError::Past(text.to_owned())) }
}

/// Parses a start time: a duration before now, a day (its start, UTC), or an instant; not in the future.
pub(crate) fn parse_since(text: &str, now: Timestamp) -> Result<Timestamp, SpecError> {
    let bad = || SpecError::Time(text.to_owned());
    let since = if let Some(duration) = duration(text) {
        now.checked_sub(duration?).map_err(|_| bad())?
    } else if let Some(date) = day(text) {
        // A day beyond the last timestamp is in the future.
        TimeZone::UTC.to_timestamp(date?.at(0, 0, 0, 0)).unwrap_or(Timestamp::MAX)
    } else {
        instant(text)?
    };
    if since <= now { Ok(since) } else { Err(SpecError::Future(text.to_owned())) }
}

pub(crate) fn parse_grace(text: &str) -> Result<Grace, SpecError> {
    if text == "0" {
        return Ok(SignedDuration::ZERO);
    }
    duration(text).unwrap_or_else(|| Err(SpecError::Duration(text.to_owned())))
}

pub(crate) fn parse_quota(text: &str) -> Result<Limit, String> {
    text.parse::<Limit>().map_err(|error| error.to_string())
}

/// A rate and its burst, from a command or a file.
pub(crate) fn own_rate(rate: Option<Rate>, burst: Option<u32>) -> Result<Option<RateLimit>, String> {
    match (rate, burst) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err("a burst needs a rate, such as `10/s`".to_owned()),
        (Some(rate), burst) => RateLimit::new(rate, burst).map(Some).map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_parsed_in_every_form() {
        let now: Timestamp = "2026-11-24T12:00:00Z".parse().expect("a timestamp");
        let table = [
            ("90d", Ok("2027-02-22T12:00:00Z")),
            ("2h", Ok("2026-11-24T14:00:00Z")),
            ("2026-11-24", Ok("2026-11-25T00:00:00Z")),
            ("2027-01-31T12:00:00Z", Ok("2027-01-31T12:00:00Z")),
            ("2027-01-31T12:00:00+02:00", Ok("2027-01-31T10:00:00Z")),
            ("2026-11-23", Err(SpecError::Past("2026-11-23".into()))),
            ("0d", Err(SpecError::Past("0d".into()))),
            ("soon", Err(SpecError::Time("soon".into()))),
            ("", Err(SpecError::Time(String::new()))),
            ("é", Err(SpecError::Time("é".into()))),
            ("-5d", Err(SpecError::Time("-5d".into()))),
            ("+5d", Err(SpecError::Time("+5d".into()))),
            ("5", Err(SpecError::Time("5".into()))),
            ("1_000d", Ok("2029-08-20T12:00:00Z")),
            ("99999999d", Err(SpecError::TooLong("99999999d".into()))),
            ("36501d", Err(SpecError::TooLong("36501d".into()))),
            ("99999999999999999999h", Err(SpecError::Time("99999999999999999999h".into()))),
            // The last valid days, and the first invalid ones.
            ("9999-12-29", Ok("9999-12-30T00:00:00Z")),
            ("9999-12-30", Err(SpecError::TooLate("9999-12-30".into()))),
            ("9999-12-31", Err(SpecError::TooLate("9999-12-31".into()))),
            ("9999-12-31T23:59:59Z", Err(SpecError::TooLate("9999-12-31T23:59:59Z".into()))),
            ("2027-02-29", Err(SpecError::Calendar("2027-02-29".into()))),
            ("2028-02-29", Ok("2028-03-01T00:00:00Z")),
            ("2027-13-01", Err(SpecError::Calendar("2027-13-01".into()))),
            ("2027-02-29T12:00:00Z", Err(SpecError::Calendar("2027-02-29T12:00:00Z".into()))),
            ("0000-00-00", Err(SpecError::Calendar("0000-00-00".into()))),
            ("0000-01-01", Err(SpecError::Past("0000-01-01".into()))),
            ("2027-1-31", Err(SpecError::Time("2027-1-31".into()))),
            ("2027-01-31T12:00", Err(SpecError::Time("2027-01-31T12:00".into()))),
            ("31.01.2027", Err(SpecError::Time("31.01.2027".into()))),
            ("2027/01/31", Err(SpecError::Time("2027/01/31".into()))),
            ("never", Err(SpecError::Time("never".into()))),
        ];
        for (text, expected) in table {
            assert_eq!(parse_expiry(text, now).map(|t| t.to_string()), expected.map(str::to_owned), "{text}");
        }
        for (text, expected) in [
            ("2h", Ok("2026-11-24T10:00:00Z")),
            ("2026-11-24", Ok("2026-11-24T00:00:00Z")),
            ("2026-11-24T12:00:00Z", Ok("2026-11-24T12:00:00Z")),
            ("2026-11-25", Err(SpecError::Future("2026-11-25".into()))),
            ("9999-12-31", Err(SpecError::Future("9999-12-31".into()))),
            ("2026-11-31", Err(SpecError::Calendar("2026-11-31".into()))),
            ("0001-01-01", Ok("0001-01-01T00:00:00Z")),
            ("36501d", Err(SpecError::TooLong("36501d".into()))),
            ("yesterday", Err(SpecError::Time("yesterday".into()))),
        ] {
            assert_eq!(parse_since(text, now).map(|t| t.to_string()), expected.map(str::to_owned), "{text}");
        }
        assert_eq!(parse_grace("0"), Ok(SignedDuration::ZERO));
        assert_eq!(parse_grace("7d"), Ok(SignedDuration::from_hours(168)));
        assert_eq!(parse_grace("7"), Err(SpecError::Duration("7".into())));
    }

    #[test]
    fn a_time_too_far_in_the_future_is_refused() {
        let now: Timestamp = "2026-11-24T12:00:00Z".parse().expect("a timestamp");
        let error = parse_expiry("9999-12-31", now).expect_err("too late").to_string();
        assert_eq!(
            error,
            "`9999-12-31` is too far in the future: the latest time is 9999-12-29; omit it for an API key that does not expire"
        );
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,25}|[0-9TZ:+.dhms-]{0,25}|[09]{4}-[0-9]{2}-[0-9]{2}") {
            let now = Timestamp::UNIX_EPOCH;
            let _results = (parse_expiry(&text, now), parse_since(&text, now), parse_grace(&text));
        }
    }

    #[test]
    fn a_tier_must_be_in_regions_toml() {
        let limit: Limit = "5/day".parse().expect("a limit");
        let tiers = Tiers {
            anonymous: crate::config::Anonymous::new(limit, limit),
            paid: vec![Tier::new("startup", limit)],
        };
        assert_eq!(find_tier("startup", &tiers).map(|tier| tier.limit), Ok(limit));
        assert_eq!(find_tier("anonymous", &tiers), Err(SpecError::Anonymous));
        let error = find_tier("statrup", &tiers).expect_err("unknown").to_string();
        assert_eq!(error, "unknown tier `statrup`; regions.toml has `startup`; did you mean `startup`?");
    }
}
