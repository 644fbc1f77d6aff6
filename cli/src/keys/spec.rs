//! What an operator writes about an API key: tiers, quotas, dates.

use ipgeo_contract::Limit;
use jiff::{SignedDuration, Timestamp, ToSpan as _, civil::Date, tz::TimeZone};

use crate::config::{Tier, Tiers};

/// A moment of expiry.
pub type Expiry = Timestamp;
/// How long the old API key lives on after a rotation.
pub type Grace = SignedDuration;

/// Why a text is not what was asked for.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// No such tier.
    #[error("there is no tier `{name}` in regions.toml; there are {known}{hint}")]
    Tier {
        /// What was written.
        name: String,
        /// The tiers that there are.
        known: String,
        /// `; did you mean …?`, or nothing.
        hint: String,
    },
    /// The anonymous tier has no API keys.
    #[error("callers of the tier `anonymous` have no API key; name another tier")]
    Anonymous,
    /// Not a duration or date.
    #[error("`{0}` is not a time; write `90d`, `12h`, `2027-01-31` or `2027-01-31T12:00:00Z`")]
    Time(String),
    /// A moment that is not yet.
    #[error("`{0}` is in the future")]
    Future(String),
    /// A moment that is over.
    #[error("`{0}` is in the past")]
    Past(String),
    /// Not a duration.
    #[error("`{0}` is not a duration; write `7d`, `12h`, `30m`, or `0` for at once")]
    Duration(String),
}

/// The limit of a tier by name.
pub fn tier_of<'a>(name: &str, tiers: &'a Tiers) -> Result<&'a Tier, SpecError> {
    if name == "anonymous" {
        return Err(SpecError::Anonymous);
    }
    tiers.find(name).ok_or_else(|| {
        let names: Vec<&str> = tiers.paid.iter().map(|tier| tier.name.as_str()).collect();
        let alike = names
            .iter()
            .max_by(|a, b| strsim::jaro_winkler(name, a).total_cmp(&strsim::jaro_winkler(name, b)));
        let alike = alike.filter(|alike| strsim::jaro_winkler(name, alike) > 0.7);
        SpecError::Tier {
            name: name.to_owned(),
            known: names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
            hint: alike.map(|alike| format!("; did you mean `{alike}`?")).unwrap_or_default(),
        }
    })
}

/// `90d`, `12h`, `30m`, `45s`.
fn duration(text: &str) -> Option<SignedDuration> {
    let unit = text.chars().last()?;
    let number: i64 =
        text[..text.len() - unit.len_utf8()].parse().ok().filter(|n| (0..=36_500).contains(n))?;
    match unit {
        'd' => Some(SignedDuration::from_hours(number * 24)),
        'h' => Some(SignedDuration::from_hours(number)),
        'm' => Some(SignedDuration::from_mins(number)),
        's' => Some(SignedDuration::from_secs(number)),
        _ => None,
    }
}

/// From when on an API key is refused: a duration from now, a day (its end, UTC), or an instant.
pub fn parse_expiry(text: &str, now: Timestamp) -> Result<Expiry, SpecError> {
    let bad = || SpecError::Time(text.to_owned());
    let expiry = if let Some(duration) = duration(text) {
        now.checked_add(duration).map_err(|_| bad())?
    } else if text.len() == 10
        && let Ok(date) = text.parse::<Date>()
    {
        let next = date.checked_add(1.day()).map_err(|_| bad())?;
        TimeZone::UTC.to_timestamp(next.at(0, 0, 0, 0)).map_err(|_| bad())?
    } else {
        text.parse().map_err(|_| bad())?
    };
    if expiry > now { Ok(expiry) } else { Err(SpecError::Past(text.to_owned())) }
}

/// Since when: a duration before now, a day (its beginning, UTC), or an instant; never in the future.
pub fn parse_since(text: &str, now: Timestamp) -> Result<Timestamp, SpecError> {
    let bad = || SpecError::Time(text.to_owned());
    let since = if let Some(duration) = duration(text) {
        now.checked_sub(duration).map_err(|_| bad())?
    } else if text.len() == 10
        && let Ok(date) = text.parse::<Date>()
    {
        TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).map_err(|_| bad())?
    } else {
        text.parse().map_err(|_| bad())?
    };
    if since <= now { Ok(since) } else { Err(SpecError::Future(text.to_owned())) }
}

/// How long the old API key lives on.
pub fn parse_grace(text: &str) -> Result<Grace, SpecError> {
    if text == "0" {
        return Ok(SignedDuration::ZERO);
    }
    duration(text).ok_or_else(|| SpecError::Duration(text.to_owned()))
}

/// A limit as an operator writes it; kept here so that every verb reads it alike.
pub(crate) fn parse_quota(text: &str) -> Result<Limit, String> {
    text.parse::<Limit>().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
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
            ("99999999d", Err(SpecError::Time("99999999d".into()))),
        ];
        for (text, expected) in table {
            assert_eq!(parse_expiry(text, now).map(|t| t.to_string()), expected.map(str::to_owned), "{text}");
        }
        for (text, expected) in [
            ("2h", Ok("2026-11-24T10:00:00Z")),
            ("2026-11-24", Ok("2026-11-24T00:00:00Z")),
            ("2026-11-24T12:00:00Z", Ok("2026-11-24T12:00:00Z")),
            ("2026-11-25", Err(SpecError::Future("2026-11-25".into()))),
            ("yesterday", Err(SpecError::Time("yesterday".into()))),
        ] {
            assert_eq!(parse_since(text, now).map(|t| t.to_string()), expected.map(str::to_owned), "{text}");
        }
        assert_eq!(parse_grace("0"), Ok(SignedDuration::ZERO));
        assert_eq!(parse_grace("7d"), Ok(SignedDuration::from_hours(168)));
        assert_eq!(parse_grace("7"), Err(SpecError::Duration("7".into())));
    }

    #[test]
    fn a_tier_must_be_one_of_the_file() {
        let limit: Limit = "5/day".parse().expect("a limit");
        let tiers = Tiers {
            anonymous: crate::config::Anonymous { limit, site_limit: limit },
            paid: vec![Tier { name: "startup".into(), limit }],
        };
        assert_eq!(tier_of("startup", &tiers).map(|tier| tier.limit), Ok(limit));
        assert_eq!(tier_of("anonymous", &tiers), Err(SpecError::Anonymous));
        let told = tier_of("statrup", &tiers).expect_err("unknown").to_string();
        assert_eq!(
            told,
            "there is no tier `statrup` in regions.toml; there are `startup`; did you mean `startup`?"
        );
    }
}
