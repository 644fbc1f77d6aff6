//! The thresholds for a region whose version has changed.

use serde::{Deserialize, Serialize};

/// Failed or throttled calls that a region may have, percent of its calls.
pub(crate) const FAILED_PERCENT_MAX: f64 = 1.0;
/// With fewer failures than this, the share is not significant.
const FAILED_MIN: f64 = 3.0;
/// Time of a call within which 99 % must end, ms: thirty times the usual.
pub(crate) const P99_MS_MAX: f64 = 1_000.0;
/// With fewer calls than this, the p99 reflects a few cold starts.
const P99_CALLS_MIN: f64 = 100.0;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BakeSpec {
    pub function: String,
    pub seconds: u64,
}

/// Metrics of a function's alias since a time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Vitals {
    /// Calls that ran.
    pub calls: f64,
    /// Those of them that failed.
    pub errors: f64,
    pub throttles: f64,
    pub p99_ms: f64,
}

impl Vitals {
    /// The exceeded threshold; `None`: within all of them.
    pub(crate) fn problem(&self) -> Option<String> {
        let asked = self.calls + self.throttles;
        let too_many = |count: f64| count >= FAILED_MIN && count * 100.0 > asked * FAILED_PERCENT_MAX;
        if too_many(self.errors) {
            return Some(format!(
                "{} of {asked} calls failed, more than {FAILED_PERCENT_MAX} %",
                self.errors
            ));
        }
        if too_many(self.throttles) {
            return Some(format!(
                "{} of {asked} calls were throttled, more than {FAILED_PERCENT_MAX} %",
                self.throttles
            ));
        }
        let slow = self.calls >= P99_CALLS_MIN && self.p99_ms > P99_MS_MAX;
        slow.then(|| format!("one call of a hundred takes {:.0} ms, more than {P99_MS_MAX}", self.p99_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much() {
        let vitals = |calls, errors, throttles, p99_ms| Vitals { calls, errors, throttles, p99_ms };
        let table = [
            (vitals(0.0, 0.0, 0.0, 0.0), None),
            (vitals(9.0, 2.0, 0.0, 5_000.0), None),
            (vitals(9.0, 3.0, 0.0, 30.0), Some("3 of 9 calls failed, more than 1 %")),
            (vitals(300.0, 3.0, 0.0, 30.0), None),
            (vitals(299.0, 3.0, 0.0, 30.0), Some("3 of 299 calls failed, more than 1 %")),
            (vitals(0.0, 0.0, 3.0, 0.0), Some("3 of 3 calls were throttled, more than 1 %")),
            (vitals(100.0, 0.0, 0.0, 1_000.0), None),
            (vitals(100.0, 0.0, 0.0, 1_001.0), Some("one call of a hundred takes 1001 ms, more than 1000")),
        ];
        for (vitals, expected) in table {
            assert_eq!(vitals.problem().as_deref(), expected, "{vitals:?}");
        }
    }
}
