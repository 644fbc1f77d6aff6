//! What API Gateway and Lambda let through to a region: requests a second with a burst, and so many at once. What is
//! more is refused before any handler sees it, and leaves no usage line: as on AWS.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode};

use crate::config::RuntimeSettings;

/// Executions at once that an account has when nothing is reserved.
const CONCURRENCY: u32 = 1_000;

/// The throttle of one region's stage and function.
#[derive(Debug)]
pub(crate) struct Throttle {
    per_second: f64,
    burst: f64,
    bucket: Mutex<Bucket>,
    concurrency: u32,
    running: AtomicU32,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled: Instant,
}

/// Why a request is not let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Too many a second.
    Rate,
    /// Too many at once.
    Concurrency,
}

/// A request that was let through; over when dropped.
#[derive(Debug)]
pub(crate) struct Passage<'a>(&'a AtomicU32);

impl Drop for Passage<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Throttle {
    /// What `runtime` says, with a full bucket at `now`.
    pub(crate) fn new(runtime: &RuntimeSettings, now: Instant) -> Self {
        let burst = f64::from(runtime.throttle_burst);
        Self {
            per_second: f64::from(runtime.throttle_rate),
            burst,
            bucket: Mutex::new(Bucket { tokens: burst, filled: now }),
            concurrency: runtime.reserved_concurrency.unwrap_or(CONCURRENCY),
            running: AtomicU32::new(0),
        }
    }

    /// Lets a request at `now` through, or not.
    pub(crate) fn pass(&self, now: Instant) -> Result<Passage<'_>, Refused> {
        if !self.take(now) {
            return Err(Refused::Rate);
        }
        let running = self.running.fetch_add(1, Ordering::Relaxed);
        let passage = Passage(&self.running);
        if running < self.concurrency { Ok(passage) } else { Err(Refused::Concurrency) }
    }

    fn take(&self, now: Instant) -> bool {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.checked_duration_since(bucket.filled).unwrap_or(Duration::ZERO);
        bucket.tokens = (bucket.tokens + passed.as_secs_f64() * self.per_second).min(self.burst);
        bucket.filled = bucket.filled.max(now);
        if bucket.tokens < 1.0 {
            return false;
        }
        bucket.tokens -= 1.0;
        true
    }
}

impl Refused {
    /// What API Gateway answers.
    pub(crate) fn response(self) -> Response<Body> {
        let (status, message) = match self {
            Self::Rate => (StatusCode::TOO_MANY_REQUESTS, r#"{"message":"Too Many Requests"}"#),
            Self::Concurrency => (StatusCode::SERVICE_UNAVAILABLE, r#"{"message":"Service Unavailable"}"#),
        };
        let mut response = Response::new(Body::from(message));
        *response.status_mut() = status;
        response.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn throttle(rate: u32, burst: u32, reserved: Option<u32>) -> (Throttle, Instant) {
        let text = format!(
            "[service]\nname = \"ipgeo\"\nhome = \"eu-central-1\"\n[runtime]\nthrottle_rate = {rate}\n\
             throttle_burst = {burst}\n[tiers.anonymous]\nlimit = \"1500/day\"\n\
             [tiers.startup]\nlimit = \"10/day\"\n[regions.eu-central-1]\n"
        );
        let config = crate::config::parse("regions.toml", &text).expect("a sound file");
        let runtime = RuntimeSettings { reserved_concurrency: reserved, ..config.regions[0].runtime.clone() };
        let now = Instant::now();
        (Throttle::new(&runtime, now), now)
    }

    #[test]
    fn a_burst_and_then_the_rate() {
        let (throttle, begun) = throttle(10, 3, None);
        let at = |ms| throttle.pass(begun + Duration::from_millis(ms)).map(drop);
        let table = [
            (0, Ok(())),
            (0, Ok(())),
            (0, Ok(())),
            (0, Err(Refused::Rate)),
            (99, Err(Refused::Rate)),
            (101, Ok(())),
            (101, Err(Refused::Rate)),
            // Time that goes back gives nothing, and takes nothing.
            (50, Err(Refused::Rate)),
            (201, Ok(())),
            // A long pause fills the bucket, and no more than that.
            (60_000, Ok(())),
            (60_000, Ok(())),
            (60_000, Ok(())),
            (60_000, Err(Refused::Rate)),
        ];
        for (step, (ms, expected)) in table.into_iter().enumerate() {
            assert_eq!(at(ms), expected, "step {step}");
        }
    }

    #[test]
    fn so_many_at_once() {
        let (throttle, begun) = throttle(1_000, 1_000, Some(2));
        let first = throttle.pass(begun).expect("the first");
        let _second = throttle.pass(begun).expect("the second");
        assert_eq!(throttle.pass(begun).map(drop), Err(Refused::Concurrency));
        drop(first);
        assert_eq!(throttle.pass(begun).map(drop), Ok(()));
    }

    #[test]
    fn what_a_refused_caller_is_told() {
        for (refused, status) in [(Refused::Rate, 429), (Refused::Concurrency, 503)] {
            assert_eq!(refused.response().status().as_u16(), status);
        }
    }
}
