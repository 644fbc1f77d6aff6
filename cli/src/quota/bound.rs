//! The bound on overshoot: rate × lag.

use serde::Serialize;

use crate::config::Config;
use crate::infra::stacks::batch_window_s;

/// Seconds until CloudWatch Logs has delivered a line: AWS says "usually less than three minutes".
const LOG_LAG_S: f64 = 180.0;
/// Maximum seconds to count a batch, publications included.
const COUNT_S: f64 = 5.0;
/// Seconds until a write is in every replica: AWS says "typically within a second".
const REPLICATION_S: f64 = 1.0;

/// The steps of a count from the edge that allowed a call to all edges, with the maximum time of each, seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Pipeline {
    /// From the usage line to the stream.
    pub(crate) log_s: f64,
    /// Gathering a batch at home.
    pub(crate) window_s: f64,
    /// Counting the batch.
    pub(crate) count_s: f64,
    /// Replication to every region.
    pub(crate) replication_s: f64,
    /// Until an edge reads the record again.
    pub(crate) cache_s: f64,
}

impl Pipeline {
    pub(crate) fn from_config(config: &Config) -> Self {
        let cache_s = config.regions.iter().map(|region| region.runtime.access_cache_s).max().unwrap_or(0);
        Self {
            log_s: LOG_LAG_S,
            window_s: f64::from(batch_window_s(config)),
            count_s: COUNT_S,
            replication_s: REPLICATION_S,
            cache_s: f64::from(cache_s),
        }
    }

    /// Seconds from a call until the ledger has counted it.
    pub(crate) fn counting_s(&self) -> f64 {
        self.log_s + self.window_s + self.count_s
    }

    /// Seconds from the call that reaches a limit until every edge knows.
    pub(crate) fn lag_s(&self) -> f64 {
        self.counting_s() + self.replication_s + self.cache_s
    }
}

/// The most calls that a caller can make beyond a limit, at `rate` calls a second in all regions together.
///
/// The call that reaches the limit is counted at home, crosses the 100 % step and is published. After `lag_s` at most, every
/// edge knows and refuses. Until then edges don't know of each other's calls and can allow all of them: rate × lag. An edge
/// counts its own calls immediately (except those whose lines were overtaken by later ones), so a caller that uses a single
/// edge hardly exceeds its limit.
pub(crate) fn overshoot(rate: f64, lag_s: f64) -> f64 {
    (rate * lag_s).ceil()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infra::stacks::test_config;

    #[test]
    fn a_limit_is_enforced_after_all_steps_of_the_pipeline() {
        let mut config = test_config();
        let pipeline = Pipeline::from_config(&config);
        assert!((pipeline.lag_s() - 496.0).abs() < 1e-9, "{pipeline:?}");
        config.usage.window_s = 60;
        config.regions[3].runtime.access_cache_s = 30;
        assert!((Pipeline::from_config(&config).lag_s() - 276.0).abs() < 1e-9);
        for (rate, calls) in [(0.0, 0.0), (0.001, 1.0), (1.0, 276.0), (10.0, 2_760.0)] {
            assert!((overshoot(rate, 276.0) - calls).abs() < 1e-9, "{rate}");
        }
    }
}
