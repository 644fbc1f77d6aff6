//! The formula: rate × lag.

use serde::Serialize;

use crate::config::Config;
use crate::infra::stacks::batch_window_s;

/// Seconds until CloudWatch Logs has handed a line on: AWS says "usually less than three minutes".
const LOG_LAG_S: f64 = 180.0;
/// Seconds that counting a batch may take, its publications included.
const COUNT_S: f64 = 5.0;
/// Seconds until a write is in every replica: AWS says "typically within a second".
const REPLICATION_S: f64 = 1.0;

/// The way of a count from the edge that lets a call through to all edges: the longest time of each part,
/// seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Pipeline {
    /// From the line to the stream.
    pub log_s: f64,
    /// Gathering a batch at home.
    pub window_s: f64,
    /// Counting it.
    pub count_s: f64,
    /// To every region's replica.
    pub replication_s: f64,
    /// Until an edge asks again.
    pub cache_s: f64,
}

impl Pipeline {
    /// As a configuration says.
    pub fn of(config: &Config) -> Self {
        let cache_s = config.regions.iter().map(|region| region.runtime.access_cache_s).max().unwrap_or(0);
        Self {
            log_s: LOG_LAG_S,
            window_s: f64::from(batch_window_s(config)),
            count_s: COUNT_S,
            replication_s: REPLICATION_S,
            cache_s: f64::from(cache_s),
        }
    }

    /// Seconds from the call that reaches a limit to the last edge's knowing it.
    pub fn lag_s(&self) -> f64 {
        self.log_s + self.window_s + self.count_s + self.replication_s + self.cache_s
    }
}

/// Calls that may be let through beyond a limit, by a caller that makes `rate` calls a second in all regions
/// together.
///
/// The call that reaches the limit is counted at home, crosses the step of 100 % and is published; every edge
/// knows it `lag_s` later at the latest, and refuses. Until then edges let through what they don't know of
/// each other: no more than is asked for, which is the rate times the lag. An edge's own calls count at once
/// (but for those whose lines a later line has overtaken), so that a caller of one edge is hardly beyond it.
pub fn overshoot(rate: f64, lag_s: f64) -> f64 {
    (rate * lag_s).ceil()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infra::stacks::test_config;

    #[test]
    fn a_limit_holds_after_the_whole_way() {
        let mut config = test_config();
        let pipeline = Pipeline::of(&config);
        assert!((pipeline.lag_s() - 496.0).abs() < 1e-9, "{pipeline:?}");
        config.usage.window_s = 60;
        config.regions[3].runtime.access_cache_s = 30;
        assert!((Pipeline::of(&config).lag_s() - 276.0).abs() < 1e-9);
        for (rate, calls) in [(0.0, 0.0), (0.001, 1.0), (1.0, 276.0), (10.0, 2_760.0)] {
            assert!((overshoot(rate, 276.0) - calls).abs() < 1e-9, "{rate}");
        }
    }
}
