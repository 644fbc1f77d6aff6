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
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(us: i64) -> Timestamp {
        Timestamp::from_microsecond(us).expect("in range")
    }

    fn limit(text: &str) -> RateLimit {
        text.parse().expect("a rate")
    }

    /// Takes a request if it is allowed.
    fn ask(bucket: &mut RateBucket, limit: RateLimit, calls: u64, now: Timestamp) -> bool {
        let allowed = bucket.state(limit, calls, now).retry_after_s == 0;
        if allowed {
            bucket.take(limit, calls, now);
        }
        allowed
    }

    #[test]
    fn rates_read_as_written() {
        let table = [
            ("10/s", Ok("10/s:10")),
            (" 600 / min ", Ok("600/min:10")),
            ("30/min", Ok("30/min:2")),
            ("1/s", Ok("1/s:2")),
            ("30/min:1", Ok("30/min:1")),
            ("1k/s", Ok("1000/s:1000")),
            ("10000/s", Ok("10000/s:10000")),
            ("600k/min", Ok("600000/min:10000")),
            ("10/s:25", Ok("10/s:25")),
            ("10", Err(RateError::NoUnit("10".into()))),
            ("", Err(RateError::NoUnit(String::new()))),
            ("/s", Err(RateError::Calls(String::new()))),
            ("NaN/s", Err(RateError::Calls("NaN".into()))),
            ("inf/s", Err(RateError::Calls("inf".into()))),
            ("-1/s", Err(RateError::Calls("-1".into()))),
            ("1e3/s", Err(RateError::Calls("1e3".into()))),
            ("0/s", Err(RateError::Range("0".into()))),
            ("0.5/s", Err(RateError::Range("0.5".into()))),
            ("10001/s", Err(RateError::Range("10001".into()))),
            ("600001/min", Err(RateError::Range("600001".into()))),
            ("99999999999999999999/s", Err(RateError::Range("99999999999999999999".into()))),
            ("10/h", Err(RateError::Unit("h".into()))),
            ("10/day", Err(RateError::Unit("day".into()))),
            ("10/s:0", Err(RateError::Burst("0".into()))),
            ("10/s:10001", Err(RateError::Burst("10001".into()))),
            ("10/s:-1", Err(RateError::Burst("-1".into()))),
        ];
        for (text, expected) in table {
            let read = text.parse::<RateLimit>().map(|limit| limit.to_string());
            assert_eq!(read, expected.map(str::to_owned), "{text}");
        }
        assert_eq!(limit("600/min:20").words(), "600/min, burst 20");
    }

    #[test]
    fn bursts_are_read_as_other_numbers() {
        for (text, burst) in [("1", 1), ("1k", 1_000), ("10_000", 10_000), (" 5 ", 5), ("2.5k", 2_500)] {
            assert_eq!(RateLimit::parse_burst(text), Ok(burst), "{text}");
        }
        for text in ["", "0", "-1", "1.5", "10001", "1e3", "٣", "99999999999999999999"] {
            assert_eq!(RateLimit::parse_burst(text), Err(RateError::Burst(text.into())), "{text}");
        }
    }

    /// The arrival of a call varies by its time in the network.
    #[test]
    fn calls_in_the_rhythm_of_a_slow_rate_may_arrive_early() {
        for (text, pause_us) in [("60/min", 1_000_000), ("1/s", 1_000_000), ("2/min", 30_000_000)] {
            let (limit, mut bucket) = (limit(text), RateBucket::default());
            for call in 0..100 {
                let early_us = (call * 7_919) % 200_000;
                let now = at(10_000_000 + call * pause_us - early_us);
                assert!(ask(&mut bucket, limit, 1, now), "{text}, call {call}");
            }
        }
    }

    #[test]
    fn rates_of_all_callers_survive_their_text() {
        for text in ["", "addr=10/s:10", "addr=10/s:10 site=50/s:99 tier.a-1=600/min:10 tier.addr=1/s:1"] {
            assert_eq!(text.parse::<Rates>().map(|rates| rates.to_string()), Ok(text.to_owned()));
        }
        for text in ["10/s", "tier=1/s", "name=1/s"] {
            assert!(matches!(text.parse::<Rates>(), Err(RatesError::Name(_))), "{text}");
        }
        assert!(matches!("addr=1/h".parse::<Rates>(), Err(RatesError::Rate(_))));
    }

    #[test]
    fn a_refusal_says_when_to_try_again() {
        let mut bucket = RateBucket::default();
        // (rate, µs, calls, left before, wait in s)
        let table = [
            ("2/s:3", 0, 1, 3, 0),
            ("2/s:3", 0, 2, 2, 0),
            ("2/s:3", 0, 1, 0, 1),
            ("2/s:3", 0, 3, 0, 2),
            ("2/s:3", 499_999, 1, 0, 1),
            ("2/s:3", 500_000, 1, 1, 0),
            // A request larger than the burst waits until the bucket is full.
            ("2/s:3", 1_000_000, 7, 1, 1),
            ("2/s:3", 2_000_000, 7, 3, 0),
            ("2/s:3", 2_000_000, 1, 0, 3),
            ("2/s:3", 4_499_999, 1, 0, 1),
            ("2/s:3", 4_500_000, 1, 1, 0),
        ];
        for (rate, us, calls, left, wait_s) in table {
            let state = bucket.state(limit(rate), calls, at(us));
            assert_eq!((state.left, state.retry_after_s), (left, wait_s), "{us} {calls}");
            ask(&mut bucket, limit(rate), calls, at(us));
        }
        let state = bucket.state(limit("1/min:2"), 1, at(4_500_000));
        assert_eq!((state.left, state.retry_after_s, state.full_in_s), (0, 120, 180));
    }

    #[test]
    fn a_clock_that_goes_back_gives_no_calls_and_does_not_block_for_long() {
        let slow = limit("1/s:1");
        let hour = 3_600_000_000;
        for back_us in [1, 500_000, 1_000_000, hour, 1_000 * hour] {
            let mut bucket = RateBucket::default();
            assert!(ask(&mut bucket, slow, 1, at(hour)));
            let state = bucket.state(slow, 1, at(hour - back_us));
            assert!(state.left == 0 && (1..=2).contains(&state.retry_after_s), "{back_us} {state:?}");
            assert!(ask(&mut bucket, slow, 1, at(hour - back_us + 2_000_000)), "{back_us}");
        }
        // A small step back and forth is no time that has passed.
        let mut bucket = RateBucket::default();
        assert!(ask(&mut bucket, slow, 1, at(hour)));
        for step in 0..100 {
            let wobble = if step % 2 == 0 { -900_000 } else { 0 };
            assert!(!ask(&mut bucket, slow, 1, at(hour + wobble)));
        }
    }

    fn any_limit() -> impl Strategy<Value = RateLimit> {
        let unit = prop_oneof![Just("s"), Just("min")];
        (1_u32..200, unit, 1_u32..50)
            .prop_map(|(calls, unit, burst)| limit(&format!("{calls}/{unit}:{burst}")))
    }

    proptest! {
        #[test]
        fn no_window_has_more_calls_than_burst_and_rate_allow(
            limit in any_limit(), steps in prop::collection::vec((0_i64..400_000, 1_u64..8), 1..300),
        ) {
            let (mut bucket, mut us, mut allowed) = (RateBucket::default(), 0, Vec::new());
            for (step, calls) in steps {
                us += step;
                if ask(&mut bucket, limit, calls, at(us)) {
                    allowed.push((us, calls));
                }
            }
            let most = u128::from(limit.burst().max(7));
            for (from, (start, _)) in allowed.iter().enumerate() {
                let mut calls = 0_u128;
                for (end, more) in &allowed[from..] {
                    calls += u128::from(*more);
                    let refill = u128::from(RateBucket::parts_per_us(limit)) * u128::from((end - start).unsigned_abs());
                    prop_assert!(calls * u128::from(PARTS) <= most * u128::from(PARTS) + refill);
                }
            }
        }

        /// A caller within its rate, whose calls are served by any of several environments, is never refused.
        #[test]
        fn a_caller_within_its_rate_is_never_refused(
            limit in any_limit(), steps in prop::collection::vec((0_i64..2_000_000, 0_usize..3), 1..300),
        ) {
            let (mut caller, mut environments, mut us) = (RateBucket::default(), [RateBucket::default(); 3], 0);
            for (step, environment) in steps {
                us += step;
                // The caller paces itself by all of its calls.
                if ask(&mut caller, limit, 1, at(us)) {
                    prop_assert!(ask(&mut environments[environment], limit, 1, at(us)));
                }
            }
        }

        /// Calls that come in the rhythm of the rate need no burst.
        #[test]
        fn a_rhythm_needs_no_burst(calls in 1_u32..=1_000, minute: bool) {
            let unit = if minute { "min" } else { "s" };
            let limit = limit(&format!("{calls}/{unit}:1"));
            let unit_us: i64 = if minute { 60_000_000 } else { 1_000_000 };
            let mut bucket = RateBucket::default();
            // Rounded up: without a burst, a caller must wait at least that long.
            let pause_us = (unit_us + i64::from(calls) - 1) / i64::from(calls);
            for call in 0..2 * i64::from(calls) {
                prop_assert!(ask(&mut bucket, limit, 1, at(call * pause_us)), "call {}", call);
            }
        }

        /// Whatever the clock does, only time that passes refills the bucket, and no wait is longer than the refill and a second.
        #[test]
        fn an_erratic_clock_gives_only_what_passes(
            limit in any_limit(), steps in prop::collection::vec(-3_000_000_i64..3_000_000, 1..200),
        ) {
            let (mut bucket, mut us, mut passed, mut taken) = (RateBucket::default(), 1_000_000_000_i64, 0_u64, 0_u128);
            for step in steps {
                us += step;
                passed += u64::try_from(step).unwrap_or(0);
                if ask(&mut bucket, limit, 1, at(us)) {
                    taken += u128::from(PARTS);
                }
                let state = bucket.state(limit, 1, at(us));
                let full_s = f64::from(limit.burst()) / limit.rate().per_second();
                #[expect(clippy::cast_precision_loss, reason = "small")]
                let waits_s = state.full_in_s as f64;
                prop_assert!(waits_s <= full_s + 2.0);
            }
            let refill = u128::from(RateBucket::parts_per_us(limit)) * u128::from(passed);
            prop_assert!(taken <= u128::from(limit.burst()) * u128::from(PARTS) + refill);
        }
    }
}
