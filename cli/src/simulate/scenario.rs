//! The input of a simulation.

use ipgeo_contract::RegionName;
use serde::Serialize;

use crate::config::Config;
use crate::cost::TrafficModel;
use crate::quota::Pipeline;

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Outage {
    /// Start, seconds from the start of the simulation.
    pub(crate) from_s: f64,
    pub(crate) for_s: f64,
}

impl Outage {
    pub(crate) fn contains(&self, at_s: f64) -> bool {
        (self.from_s..self.from_s + self.for_s).contains(&at_s)
    }

    pub(crate) fn end_s(&self) -> f64 {
        self.from_s + self.for_s
    }
}

/// A change of every API key's limit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct LimitChange {
    /// Time, seconds from the start.
    pub(crate) at_s: f64,
    /// The new limit as a fraction of the old one.
    pub(crate) share: f64,
}

/// How an API key's calls spread over the regions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CallSpread {
    /// Evenly over all regions.
    Even,
    /// All to one region, the next one every second.
    Hopping,
}

/// The traffic, the pipeline and the failures to simulate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Scenario {
    /// Calls a month.
    pub(crate) calls: f64,
    /// The share of calls with an API key, 0 to 1; the others are charged to the pooled anonymous callers.
    pub(crate) keyed_share: f64,
    /// API keys; their calls follow Zipf's law with exponent 1, evenly over the regions.
    pub(crate) keys: u32,
    /// The share of API keys that call more than their limit, 0 to 1; spread evenly over the ranks.
    pub(crate) over_share: f64,
    /// Simulated hours; use full days, because limits are daily.
    pub(crate) hours: f64,
    /// Delays from an edge to home and back; the log lag is drawn between a tenth of its maximum and the maximum.
    pub(crate) pipeline: Pipeline,
    /// Region names, home first.
    pub(crate) regions: Vec<RegionName>,
    /// The share of stream records that are duplicated, 0 to 1.
    pub(crate) duplicates: f64,
    /// The share of batches that are delivered again after they were counted, 0 to 1.
    pub(crate) redelivered: f64,
    /// An outage of a region other than home; its callers use the next region.
    pub(crate) region_loss: Option<Outage>,
    /// An outage of counting at home; every region continues to answer.
    pub(crate) home_loss: Option<Outage>,
    /// Whether environments report early counts to home.
    pub(crate) early_counts: bool,
    /// How an API key's calls spread over the regions.
    pub(crate) spread: CallSpread,
    /// The seconds of calls of which an exceeded limit is a share: a day, or less for a burst.
    pub(crate) limit_s: f64,
    /// Minimum seconds of calls of one API key in one region that are decided together.
    pub(crate) tick_min_s: f64,
    pub(crate) limit_change: Option<LimitChange>,
    pub(crate) shards: u32,
    pub(crate) seed: u64,
    /// Maximum number of decisions in a run; with more calls, several are decided together.
    pub(crate) decisions_max: f64,
}

impl Scenario {
    /// A typical day of a configuration.
    pub(crate) fn typical(config: &Config, calls: f64) -> Self {
        let home = &config.service.home;
        let mut regions: Vec<RegionName> = config.region_names().cloned().collect();
        regions.sort_by_key(|name| name != home);
        Self {
            calls,
            keyed_share: 0.8,
            keys: 500,
            over_share: 0.1,
            hours: 24.0,
            pipeline: Pipeline::from_config(config),
            regions,
            duplicates: 0.001,
            redelivered: 0.01,
            region_loss: None,
            home_loss: None,
            early_counts: true,
            spread: CallSpread::Even,
            limit_s: DAY_S,
            tick_min_s: 1.0,
            limit_change: None,
            shards: 1,
            seed: 1,
            decisions_max: DECISIONS_MAX,
        }
    }

    pub(crate) fn traffic(&self) -> TrafficModel {
        TrafficModel { keyed_share: self.keyed_share, keys: self.keys, ..TrafficModel::typical(self.calls) }
    }

    /// Rejects scenarios that can't be simulated.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if self.regions.is_empty() || self.keys == 0 {
            return Err("at least one region and one API key are required");
        }
        if !(self.hours > 0.0 && self.hours <= 24.0 * 62.0) {
            return Err("the simulated span must be longer than 0 and at most 62 days");
        }
        if self.region_loss.is_some() && self.regions.len() < 2 {
            return Err("losing a region requires a region besides home");
        }
        if [self.region_loss, self.home_loss]
            .into_iter()
            .flatten()
            .any(|outage| outage.end_s() > self.end_s())
        {
            return Err("outages start a quarter into the span and must end before the span does");
        }
        Ok(())
    }

    pub(crate) fn end_s(&self) -> f64 {
        self.hours * 3_600.0
    }

    /// Seconds of one API key's calls in one region that are decided together: 1, or more to stay within
    /// `decisions_max`.
    pub(crate) fn tick_s(&self) -> f64 {
        let pairs = f64::from(self.keys) * self.region_count();
        let decisions =
            (self.calls * self.keyed_share / 720.0 * self.hours).min(pairs * self.end_s() / self.tick_min_s);
        if decisions <= self.decisions_max {
            self.tick_min_s
        } else {
            (pairs * self.end_s() / self.decisions_max).ceil().max(self.tick_min_s)
        }
    }

    /// Seconds of a region's usage lines that are sent together.
    pub(crate) fn send_s(&self) -> f64 {
        self.tick_s().max(SEND_S)
    }

    pub(crate) fn region_count(&self) -> f64 {
        u32::try_from(self.regions.len()).map_or(1.0, f64::from)
    }

    /// Seconds from the call that reaches a limit until every edge refuses: the pipeline's delays, the time that
    /// lines are gathered for, and all outages.
    pub(crate) fn lag_s(&self) -> f64 {
        let outages = [self.home_loss, self.region_loss].into_iter().flatten().map(|outage| outage.for_s);
        self.pipeline.lag_s() + self.send_s() + outages.sum::<f64>()
    }

    /// The same with early counts; calls that are decided together are reported together.
    pub(crate) fn early_lag_s(&self) -> f64 {
        self.pipeline.early_lag_s() + 2.0 * self.tick_s()
    }
}

const DAY_S: f64 = 86_400.0;
/// Minimum for [`Scenario::send_s`].
const SEND_S: f64 = 10.0;
/// A run of this size takes less than a minute.
const DECISIONS_MAX: f64 = 3e6;
