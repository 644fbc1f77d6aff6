//! What is simulated.

use ipgeo_contract::RegionName;
use serde::Serialize;

use crate::config::Config;
use crate::quota::Pipeline;

/// A time in which something is away.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Outage {
    /// Seconds from the start until it is away.
    pub from_s: f64,
    /// Seconds until it is back.
    pub for_s: f64,
}

impl Outage {
    /// Whether it is away at an instant, seconds from the start.
    pub(crate) fn holds(&self, at_s: f64) -> bool {
        (self.from_s..self.from_s + self.for_s).contains(&at_s)
    }

    /// When it is back.
    pub(crate) fn end_s(&self) -> f64 {
        self.from_s + self.for_s
    }
}

/// When and how every API key's limit changes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LimitChange {
    /// Seconds from the start.
    pub at_s: f64,
    /// The new limit as a fraction of the old one.
    pub share: f64,
}

/// What is simulated.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scenario {
    /// Calls a month.
    pub calls: f64,
    /// The share of them with an API key, 0 to 1; the others are of the crowd.
    pub keyed_share: f64,
    /// API keys; their calls follow Zipf's law with exponent 1, evenly over the regions.
    pub keys: u32,
    /// The share of API keys that ask for more than their limit, 0 to 1: every so manieth.
    pub over_share: f64,
    /// Hours that are simulated; whole days are best, because limits are by day.
    pub hours: f64,
    /// The way of a count; the log's lag is drawn between a tenth of it and all of it.
    pub pipeline: Pipeline,
    /// Regions, home first.
    pub regions: Vec<RegionName>,
    /// The share of the stream's records that are in it twice, 0 to 1.
    pub duplicates: f64,
    /// The share of batches that are delivered again after they were counted, 0 to 1.
    pub redelivered: f64,
    /// A region beside home that answers nobody; its callers go to the next one.
    pub region_loss: Option<Outage>,
    /// Home counts nothing; every region goes on answering.
    pub home_loss: Option<Outage>,
    /// A change of every limit.
    pub limit_change: Option<LimitChange>,
    /// Shards of the stream.
    pub shards: u32,
    /// The seed.
    pub seed: u64,
    /// Decisions of a run at most; more calls are decided together.
    pub decisions_max: f64,
}

impl Scenario {
    /// A usual day of a configuration.
    pub fn of(config: &Config, calls: f64) -> Self {
        let home = &config.service.home;
        let mut regions: Vec<RegionName> = config.regions.iter().map(|region| region.name.clone()).collect();
        regions.sort_by_key(|name| name != home);
        Self {
            calls,
            keyed_share: 0.8,
            keys: 500,
            over_share: 0.1,
            hours: 24.0,
            pipeline: Pipeline::of(config),
            regions,
            duplicates: 0.001,
            redelivered: 0.01,
            region_loss: None,
            home_loss: None,
            limit_change: None,
            shards: 1,
            seed: 1,
            decisions_max: DECISIONS_MAX,
        }
    }

    /// What a scenario can't be.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.regions.is_empty() || self.keys == 0 {
            return Err("a simulation needs a region and an API key");
        }
        if !(self.hours > 0.0 && self.hours <= 24.0 * 62.0) {
            return Err("a simulation is longer than nothing, and of 62 days at most");
        }
        if self.region_loss.is_some() && self.regions.len() < 2 {
            return Err("a region beside home is needed to lose one");
        }
        if [self.region_loss, self.home_loss].into_iter().flatten().any(|away| away.end_s() > self.end_s()) {
            return Err("what is lost a quarter into the simulation must be back before its end");
        }
        Ok(())
    }

    pub(crate) fn end_s(&self) -> f64 {
        self.hours * 3_600.0
    }

    /// Seconds of calls that one region decides together for one API key: one, unless that would be too
    /// many decisions.
    pub fn tick_s(&self) -> f64 {
        let pairs = f64::from(self.keys) * self.places();
        let asked = (self.calls * self.keyed_share / 720.0 * self.hours).min(pairs * self.end_s());
        if asked <= self.decisions_max {
            1.0
        } else {
            (pairs * self.end_s() / self.decisions_max).ceil().max(1.0)
        }
    }

    /// Seconds of a region's lines that leave together.
    pub fn send_s(&self) -> f64 {
        self.tick_s().max(SEND_S)
    }

    pub(crate) fn places(&self) -> f64 {
        u32::try_from(self.regions.len()).map_or(1.0, f64::from)
    }

    /// Seconds from the call that reaches a limit to the last edge's refusing: the way of a count, the time
    /// that its line is gathered for, and what is away.
    pub fn lag_s(&self) -> f64 {
        let away = [self.home_loss, self.region_loss].into_iter().flatten().map(|outage| outage.for_s);
        self.pipeline.lag_s() + self.send_s() + away.sum::<f64>()
    }
}

/// Seconds of a region's lines that leave together, at least.
const SEND_S: f64 = 10.0;
/// Decisions of a usual run at most: what takes less than a minute.
const DECISIONS_MAX: f64 = 3e6;
