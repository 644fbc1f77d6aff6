//! Short rate limits: calls a second or a minute, beside the limit of a day or a month.
//!
//! Every environment keeps a token bucket for each identity that it serves, and each bucket has the whole rate. An environment
//! sees only its own calls, and a part of calls that are within a rate is within it too: so no caller within its rate is refused, wherever
//! its calls go. Dividing the rate by a number of environments would refuse such callers, because calls are not spread evenly:
//! DNS sends a caller to its nearest region, and there one environment serves calls that come one after the other.
//! Early counts can't divide it either: they are lower bounds, so the difference of two of them proves no calls. A caller whose calls
//! go to several environments gets at most its rate from each.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

use crate::Number;

/// The unit of time of a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RateUnit {
    /// A second.
    Second,
    /// A minute.
    Minute,
}

impl RateUnit {
    /// The name of the policy in headers and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
        }
    }

    /// Its length.
    pub fn seconds(self) -> u32 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
        }
    }
}

/// A number of calls per unit of time; written `10/s`, `600/min`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    calls: u32,
    unit: RateUnit,
}

/// Text that is not a rate, or a burst that is out of range.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    /// There is no `/` between calls and unit.
    #[error("`{0}` has no unit; write calls/unit, such as `10/s` or `600/min`")]
    NoUnit(String),
    /// The part before the `/` is not a [`Number`].
    #[error("`{0}` is not a number of calls; write digits, such as `10` or `1k`")]
    Calls(String),
    /// The number is zero, above [`Rate::PER_SECOND_MAX`] or not whole.
    #[error(
        "`{0}` calls is out of range; a rate must be a whole number from 1/s to {max}/s, or from 1/min to {minute}/min",
        max = Rate::PER_SECOND_MAX,
        minute = Rate::PER_SECOND_MAX * 60
    )]
    Range(String),
    /// The part after the `/` is not a unit.
    #[error(
        "`{0}` is not a unit of a rate; the units are `s` and `min`, and a limit counts by `day` or `month`"
    )]
    Unit(String),
    /// Not a whole number from 1 to [`RateLimit::BURST_MAX`].
    #[error("a burst of `{0}` calls is out of range; it must be a whole number from 1 to {max}", max = RateLimit::BURST_MAX)]
    Burst(String),
}

impl Rate {
    /// The highest rate: API Gateway's default for an account and region, which applies to all callers together.
    pub const PER_SECOND_MAX: u32 = 10_000;

    /// Calls in one unit of time; at least 1.
    pub fn calls(self) -> u32 {
        self.calls
    }

    /// The unit of time.
    pub fn unit(self) -> RateUnit {
        self.unit
    }

    /// Calls a second.
    pub fn per_second(self) -> f64 {
        f64::from(self.calls) / f64::from(self.unit.seconds())
    }
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let (calls, unit) = text.split_once('/').ok_or_else(|| RateError::NoUnit(text.to_owned()))?;
        let (calls, unit) = (calls.trim(), unit.trim());
        let number: Number = calls.parse().map_err(|_| RateError::Calls(calls.to_owned()))?;
        let unit = match unit {
            "s" => RateUnit::Second,
            "min" => RateUnit::Minute,
            other => return Err(RateError::Unit(other.to_owned())),
        };
        number
            .whole()
            .and_then(|number| u32::try_from(number).ok())
            .filter(|number| (1..=Self::PER_SECOND_MAX * unit.seconds()).contains(number))
            .map(|calls| Self { calls, unit })
            .ok_or_else(|| RateError::Range(calls.to_owned()))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            RateUnit::Second => "s",
            RateUnit::Minute => "min",
        };
        write!(f, "{}/{unit}", self.calls)
    }
}

/// A rate and its burst. Its text in records and environment variables is `10/s:20`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RateLimit {
    rate: Rate,
    burst: u32,
}

impl RateLimit {
    /// The largest burst.
    pub const BURST_MAX: u32 = 10_000;
    /// The smallest default burst. With a burst of one, a caller that sends exactly at its rate would be refused whenever a call
    /// travels faster than the one before.
    pub const BURST_DEFAULT_MIN: u32 = 2;

    /// Parses a burst as people write it: `20`, `1k`.
    pub fn parse_burst(text: &str) -> Result<u32, RateError> {
        let number = text.parse::<Number>().ok().and_then(Number::whole);
        let burst = number.and_then(|number| u32::try_from(number).ok());
        let sound = burst.filter(|burst| (1..=Self::BURST_MAX).contains(burst));
        sound.ok_or_else(|| RateError::Burst(text.to_owned()))
    }

    /// A rate with a burst; by default the calls of one second, at least [`Self::BURST_DEFAULT_MIN`].
    pub fn new(rate: Rate, burst: Option<u32>) -> Result<Self, RateError> {
        let second = rate.calls.div_ceil(rate.unit.seconds());
        let burst = burst.unwrap_or(second.max(Self::BURST_DEFAULT_MIN));
        let is_sound = (1..=Self::BURST_MAX).contains(&burst);
        is_sound.then_some(Self { rate, burst }).ok_or_else(|| RateError::Burst(burst.to_string()))
    }

    /// The rate.
    pub fn rate(self) -> Rate {
        self.rate
    }

    /// Calls that may come at the same time when none came before.
    pub fn burst(self) -> u32 {
        self.burst
    }

    /// The text for people: `10/s, burst 20`.
    pub fn words(self) -> String {
        format!("{}, burst {}", self.rate, self.burst)
    }
}

impl FromStr for RateLimit {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let Some((rate, burst)) = text.split_once(':') else { return Self::new(text.parse()?, None) };
        let burst = burst.parse().map_err(|_| RateError::Burst(burst.to_owned()))?;
        Self::new(rate.parse()?, Some(burst))
    }
}

impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.rate, self.burst)
    }
}

/// The rates of all callers that have none of their own. The text, for the edges' environment, is
/// `addr=10/s:10 site=50/s:50 tier.startup=20/s:20`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Of an anonymous caller's address.
    pub address: Option<RateLimit>,
    /// Of a site.
    pub site: Option<RateLimit>,
    /// Of each API key of a tier, by the tier's name.
    pub tiers: BTreeMap<String, RateLimit>,
}

/// Text that is not [`Rates`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RatesError {
    /// A rate that can't be parsed.
    #[error(transparent)]
    Rate(#[from] RateError),
    /// Not `addr=`, `site=` or `tier.NAME=`.
    #[error("`{0}` is not the rate of an address, a site or a tier")]
    Name(String),
}

impl FromStr for Rates {
    type Err = RatesError;

    fn from_str(text: &str) -> Result<Self, RatesError> {
        let mut rates = Self::default();
        for part in text.split_whitespace() {
            let (name, rate) = part.split_once('=').ok_or_else(|| RatesError::Name(part.to_owned()))?;
            let rate = rate.parse()?;
            match (name, name.strip_prefix("tier.")) {
                ("addr", _) => rates.address = Some(rate),
                ("site", _) => rates.site = Some(rate),
                (_, Some(tier)) => drop(rates.tiers.insert(tier.to_owned(), rate)),
                _ => return Err(RatesError::Name(part.to_owned())),
            }
        }
        Ok(rates)
    }
}

impl fmt::Display for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |name: &str, rate: Option<RateLimit>| rate.map(|rate| format!("{name}={rate}"));
        let tiers = self.tiers.iter().map(|(tier, rate)| format!("tier.{tier}={rate}"));
        let callers = [named("addr", self.address), named("site", self.site)].into_iter().flatten();
        f.write_str(&callers.chain(tiers).collect::<Vec<_>>().join(" "))
    }
}

/// Parts of a call in a bucket. A microsecond refills a whole number of them at any rate, so nothing is rounded.
const PARTS: u64 = 60_000_000;
/// A clock that steps back further than this starts the bucket's time again: otherwise it would be blocked until the clock
/// has caught up.
const CLOCK_BACK_US: i64 = 1_000_000;

/// The token bucket of one identity in one environment. A new one is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateBucket {
    /// What is taken, in parts. A request larger than the burst takes more than there is.
    taken: u64,
    /// When that was so, Unix microseconds.
    at_us: i64,
}

/// What a bucket allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateState {
    /// The rate.
    pub limit: RateLimit,
    /// Whole calls that are left.
    pub left: u64,
    /// Seconds until the bucket is full, rounded up.
    pub full_in_s: u64,
    /// Seconds until the request would be allowed, rounded up; 0: it is allowed now.
    pub retry_after_s: u64,
}

impl RateBucket {
    /// Parts that a microsecond refills.
    fn parts_per_us(limit: RateLimit) -> u64 {
        u64::from(limit.rate.calls) * u64::from(60 / limit.rate.unit.seconds())
    }

    /// The bucket as it is at `now`.
    fn at(self, limit: RateLimit, now: Timestamp) -> Self {
        let now_us = now.as_microsecond();
        let at_us = self.at_us.min(now_us.saturating_add(CLOCK_BACK_US));
        let passed_us = u64::try_from(now_us.saturating_sub(at_us)).unwrap_or(0);
        let refilled = passed_us.saturating_mul(Self::parts_per_us(limit));
        Self { taken: self.taken.saturating_sub(refilled), at_us: at_us.max(now_us) }
    }

    /// What it says at `now` of a request of `calls` calls. A request larger than the burst is allowed if the bucket is full.
    pub fn state(&mut self, limit: RateLimit, calls: u64, now: Timestamp) -> RateState {
        *self = self.at(limit, now);
        let all = u64::from(limit.burst) * PARTS;
        let ahead_us = u64::try_from(self.at_us - now.as_microsecond()).unwrap_or(0);
        let seconds_until = |taken: u64| {
            let excess = self.taken.saturating_sub(taken);
            let wait_us = excess.div_ceil(Self::parts_per_us(limit)).saturating_add(ahead_us);
            if excess == 0 { 0 } else { wait_us.div_ceil(1_000_000) }
        };
        RateState {
            limit,
            left: all.saturating_sub(self.taken) / PARTS,
            full_in_s: seconds_until(0),
            retry_after_s: seconds_until(all.saturating_sub(calls.saturating_mul(PARTS))),
        }
    }

    /// Takes an allowed request of `calls` calls, and returns what is left.
    pub fn take(&mut self, limit: RateLimit, calls: u64, now: Timestamp) -> RateState {
        *self = self.at(limit, now);
        self.taken = self.taken.saturating_add(calls.saturating_mul(PARTS));
        RateState { retry_after_s: 0, ..self.state(limit, 0, now) }
    }
}

#[cfg(test)]
mod tests;
