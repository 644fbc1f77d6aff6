//! The bound on overshoot: rate × lag.

use ipgeo_contract::Limit;
use serde::Serialize;

use crate::config::Config;
use crate::infra::stacks::batch_window_s;

/// Seconds until CloudWatch Logs has delivered a line: AWS says "usually less than three minutes".
const LOG_LAG_S: f64 = 180.0;
/// Maximum seconds to count a batch, publications included.
const COUNT_S: f64 = 5.0;
/// Seconds until a write is in every replica: AWS says "typically within a second".
const REPLICATION_S: f64 = 1.0;

/// Seconds until Lambda has delivered an early count to home from the farthest region.
const REPORT_S: f64 = 0.3;
/// Maximum seconds to add an early count and to publish the sum.
const EARLY_COUNT_S: f64 = 0.1;
/// Seconds until an edge reads the record of a caller near its limit, or in a burst, again.
const REREAD_S: f64 = 1.0;
/// Minimum seconds between two reports of one environment.
const REPORT_GAP_S: f64 = 0.1;

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
    /// An early count's way home.
    pub(crate) report_s: f64,
    /// Adding an early count at home.
    pub(crate) early_count_s: f64,
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
            report_s: REPORT_S,
            early_count_s: EARLY_COUNT_S,
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

    /// The same with early counts.
    pub(crate) fn early_lag_s(&self) -> f64 {
        Self::gap_s() + self.report_s + self.early_count_s + self.replication_s + self.reread_s()
    }

    /// Until an environment reports a call that is due.
    pub(crate) fn gap_s() -> f64 {
        REPORT_GAP_S
    }

    /// Until an edge reads the record of a caller near its limit again.
    pub(crate) fn reread_s(&self) -> f64 {
        self.cache_s.min(REREAD_S)
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

/// The most calls beyond a limit with early counts, apart from one for each environment: those of the time until every edge
/// knows, and what environments may have left unreported, which is less than the distance between two publications.
pub(crate) fn early_overshoot(rate: f64, pipeline: &Pipeline, limit: Limit) -> f64 {
    let percent = u32::try_from(limit.calls / 100).map_or(f64::from(u32::MAX), f64::from);
    (rate * pipeline.early_lag_s()).ceil() + percent
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
