//! What came of a simulation.

use serde::Serialize;

use super::scenario::{Outage, Scenario};

/// The mean and the worst of something.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Spread {
    /// Over all that it happened to.
    pub mean: f64,
    /// The largest.
    pub worst: f64,
}

impl Spread {
    pub(super) fn of(values: &[f64]) -> Self {
        let count = u32::try_from(values.len()).map_or(1.0, f64::from).max(1.0);
        // A sum of nothing is -0.0 by itself.
        Self {
            mean: values.iter().fold(0.0, |sum, value| sum + value) / count,
            worst: values.iter().copied().fold(0.0, f64::max),
        }
    }
}

/// What came of one API key that asked for more than its limit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Crossing {
    /// Its rank, from 1.
    pub key: usize,
    /// Its limit a day.
    pub limit: u64,
    /// Calls a second that it asks for, all regions together.
    pub rate: f64,
    /// Calls let through beyond the limit.
    pub overshoot: u64,
    /// Seconds from the call that reached the limit to the last that was let through.
    pub enforced_s: f64,
    /// What the formula allows: calls that were asked for within the lag after the limit was reached.
    pub bound: u64,
    /// The formula before the fact: rate × lag.
    pub expected: f64,
}

/// What came of a simulation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// What was simulated.
    pub scenario: Scenario,
    /// Seconds of calls that were decided together.
    pub tick_s: f64,
    /// Calls asked for with an API key, let through, refused.
    pub asked: u64,
    /// See above.
    pub allowed: u64,
    /// See above.
    pub refused: u64,
    /// Calls of the crowd.
    pub crowd: u64,
    /// Times that an API key reached its limit on a day.
    pub crossings: usize,
    /// Calls beyond the limit.
    pub overshoot: Spread,
    /// The same in percent of the limit.
    pub overshoot_percent: Spread,
    /// Seconds from the call that reached the limit to the last that was let through.
    pub enforced_s: Spread,
    /// The formula's lag, seconds.
    pub lag_s: f64,
    /// The largest share of what the formula allows that was let through, 0 to 1.
    pub bound_used: f64,
    /// Whether nobody got more than the formula allows, nor later.
    pub bound_holds: bool,
    /// Whether the ledger has exactly the calls that were let through.
    pub counted_exactly: bool,
    /// Records that came into the stream, and those that were in it twice.
    pub records: u64,
    /// See above.
    pub repeated_records: u64,
    /// Batches counted, those that came again included.
    pub batches: u64,
    /// Ledger writes a month at this rate, failed conditions included.
    pub ledger_writes_a_month: f64,
    /// Failed conditions of the simulated time: what redelivery costs.
    pub behind: u64,
    /// Replicated writes a month at this rate, in all regions.
    pub replicated_writes_a_month: f64,
    /// Reads of access tables a month at this rate.
    pub reads_a_month: f64,
    /// Shards that the busiest second needs.
    pub shards_needed: u32,
    /// A month's bill as `ipgeo cost` reckons it, USD: by the file's tiers, and nothing goes wrong in it.
    pub bill: f64,
    /// Replicated writes that this bill has.
    pub billed_replicated_writes: f64,
    /// Every time that a limit was reached.
    #[serde(skip)]
    pub each: Vec<Crossing>,
}

impl Outcome {
    /// Rows for people: what, and how much.
    pub fn rows(&self) -> Vec<(&'static str, String)> {
        let count = crate::ui::output::grouped;
        let whole = |number: f64| count(super::run::whole(number));
        let mut rows = vec![
            ("calls with an API key", count(self.asked)),
            ("  let through", count(self.allowed)),
            ("  refused", count(self.refused)),
            ("calls of the crowd", count(self.crowd)),
            ("limits reached", count(self.crossings as u64)),
            (
                "beyond the limit, mean",
                format!("{:.1} calls, {:.3} %", self.overshoot.mean, self.overshoot_percent.mean),
            ),
            (
                "beyond the limit, worst",
                format!("{:.0} calls, {:.3} %", self.overshoot.worst, self.overshoot_percent.worst),
            ),
            ("refused everywhere after, mean", format!("{:.0} s", self.enforced_s.mean)),
            (
                "refused everywhere after, worst",
                format!("{:.0} s of {:.0} s", self.enforced_s.worst, self.lag_s),
            ),
            ("of what rate x lag allows, worst", format!("{:.0} %", 100.0 * self.bound_used)),
            (
                "the formula holds",
                if self.crossings == 0 { "no limit was reached".to_owned() } else { yes(self.bound_holds) },
            ),
            ("counted exactly", yes(self.counted_exactly)),
            (
                "records in the stream",
                format!("{}, {} of them twice", count(self.records), count(self.repeated_records)),
            ),
            ("batches", count(self.batches)),
            ("ledger writes a month", whole(self.ledger_writes_a_month)),
            ("replicated writes a month", whole(self.replicated_writes_a_month)),
            ("table reads a month", whole(self.reads_a_month)),
            ("shards needed", count(u64::from(self.shards_needed))),
            ("bill by ipgeo cost, $ a month", format!("{:.2}", self.bill)),
        ];
        let scenario = &self.scenario;
        for (what, outage) in [("region lost", scenario.region_loss), ("home lost", scenario.home_loss)] {
            let told = |outage: Outage| format!("for {:.0} s, after {:.0} s", outage.for_s, outage.from_s);
            rows.extend(outage.map(|outage| (what, told(outage))));
        }
        rows.extend(scenario.limit_change.map(|change| {
            let told = format!("to {:.1} %, after {:.0} s", 100.0 * change.share, change.at_s);
            ("limits changed", told)
        }));
        rows
    }

    /// What is not as in the world, for people.
    pub fn approximated(&self) -> Vec<String> {
        let mut told = vec![
            "each region is one environment, and the stream one shard; anonymous callers are one crowd; calls are even over \
             the day"
                .to_owned(),
            format!(
                "limits are by day and made for the simulation, so that more is replicated than the bill has: {} writes",
                crate::ui::output::grouped(super::run::whole(self.billed_replicated_writes))
            ),
        ];
        if self.tick_s > 1.0 {
            told.push(format!(
                "an API key that calls a region more than once in {:.0} s has {:.0} s of its calls decided at once; the \
                 lag counts that time too",
                self.tick_s, self.tick_s
            ));
        } else {
            told.push(format!(
                "a region's lines leave together every {:.0} s; the lag counts that time too",
                self.scenario.send_s()
            ));
        }
        told
    }
}

fn yes(holds: bool) -> String {
    if holds { "yes" } else { "NO" }.to_owned()
}
