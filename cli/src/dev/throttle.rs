//! Throttles a region as API Gateway and Lambda do: a rate with a burst, and a maximum concurrency. As on AWS, refused
//! requests reach no handler and leave no usage line.

use std::num::NonZeroU32;

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode};
use governor::clock::{Clock, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::front::refusal;
use crate::config::RuntimeSettings;

/// An account's default concurrency on AWS, which applies without a reservation.
const CONCURRENCY: u32 = 1_000;

type Limiter<C> = RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// The throttle of one region's stage and function.
#[derive(Debug)]
pub(crate) struct Throttle<C: Clock = MonotonicClock> {
    rate: Limiter<C>,
    concurrency: Semaphore,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Too many requests per second.
    Rate,
    /// Too many concurrent requests.
    Concurrency,
}

impl Throttle {
    pub(crate) fn new(runtime: &RuntimeSettings) -> Self {
        Self::with_clock(runtime, MonotonicClock)
    }
}

impl<C: Clock> Throttle<C> {
    fn with_clock(runtime: &RuntimeSettings, clock: C) -> Self {
        // The configuration does not allow 0 here.
        let number = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        let quota =
            Quota::per_second(number(runtime.throttle_rate)).allow_burst(number(runtime.throttle_burst));
        let concurrency = runtime.reserved_concurrency.unwrap_or(CONCURRENCY);
        Self {
            rate: RateLimiter::direct_with_clock(quota, clock),
            concurrency: Semaphore::new(concurrency.try_into().unwrap_or(Semaphore::MAX_PERMITS)),
        }
    }

    /// Admits or refuses a request; it ends when its permit is dropped.
    pub(crate) fn pass(&self) -> Result<SemaphorePermit<'_>, Refused> {
        self.rate.check().map_err(|_until| Refused::Rate)?;
        self.concurrency.try_acquire().map_err(|_none_left| Refused::Concurrency)
    }
}

impl Refused {
    /// API Gateway's response, with `Retry-After` of one second.
    pub(crate) fn response(self) -> Response<Body> {
        let mut response = match self {
            Self::Rate => refusal(StatusCode::TOO_MANY_REQUESTS, r#"{"message":"Too Many Requests"}"#),
            Self::Concurrency => {
                refusal(StatusCode::SERVICE_UNAVAILABLE, r#"{"message":"Service Unavailable"}"#)
            }
        };
        response.headers_mut().insert("retry-after", HeaderValue::from_static("1"));
        response
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use governor::clock::FakeRelativeClock;

    use super::*;

    fn throttle(
        rate: u32,
        burst: u32,
        reserved: Option<u32>,
    ) -> (Throttle<FakeRelativeClock>, FakeRelativeClock) {
        let config = include_str!("../../../regions.toml");
        let config = crate::config::parse("regions.toml", config).expect("the shipped file is sound");
        let runtime = RuntimeSettings {
            throttle_rate: rate,
            throttle_burst: burst,
            reserved_concurrency: reserved,
            ..config.regions[0].runtime.clone()
        };
        let clock = FakeRelativeClock::default();
        (Throttle::with_clock(&runtime, clock.clone()), clock)
    }

    #[test]
    fn a_burst_and_then_the_rate() {
        let (throttle, clock) = throttle(10, 3, None);
        // Milliseconds that pass before the request, and whether it is let through.
        let table = [
            (0, Ok(())),
            (0, Ok(())),
            (0, Ok(())),
            (0, Err(Refused::Rate)),
            (99, Err(Refused::Rate)),
            (2, Ok(())),
            (0, Err(Refused::Rate)),
            (100, Ok(())),
            // A long pause fills the burst, and no more than that.
            (60_000, Ok(())),
            (0, Ok(())),
            (0, Ok(())),
            (0, Err(Refused::Rate)),
        ];
        for (step, (ms, expected)) in table.into_iter().enumerate() {
            clock.advance(Duration::from_millis(ms));
            assert_eq!(throttle.pass().map(drop), expected, "step {step}");
        }
    }

    #[test]
    fn concurrency_is_limited() {
        let (throttle, _clock) = throttle(1_000, 1_000, Some(2));
        let first = throttle.pass().expect("the first");
        let _second = throttle.pass().expect("the second");
        assert_eq!(throttle.pass().map(drop), Err(Refused::Concurrency));
        drop(first);
        assert_eq!(throttle.pass().map(drop), Ok(()));
    }

    #[test]
    fn refusals_have_status_and_headers_for_any_origin() {
        for (refused, status) in [(Refused::Rate, 429), (Refused::Concurrency, 503)] {
            let response = refused.response();
            assert_eq!(response.status().as_u16(), status);
            assert_eq!(response.headers()["access-control-allow-origin"], "*");
            assert_eq!(response.headers()["access-control-expose-headers"], "Retry-After");
            assert_eq!(response.headers()["retry-after"], "1");
        }
    }
}
