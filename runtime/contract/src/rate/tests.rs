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
        assert_eq!(bucket.take(limit, calls, now).retry_after_s, 0);
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
    for (text, calls, unit, per_second) in [("600/min", 600, "minute", 10.0), ("7/s", 7, "second", 7.0)] {
        let rate = limit(text).rate();
        assert_eq!((rate.calls(), rate.unit().as_str()), (calls, unit));
        assert!((rate.per_second() - per_second).abs() < f64::EPSILON, "{text}");
    }
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
    (1_u32..200, unit, 1_u32..50).prop_map(|(calls, unit, burst)| limit(&format!("{calls}/{unit}:{burst}")))
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
