//! The result of a simulation, and its presentation as a table.

use serde::Serialize;

use super::arrivals::rounded;
use super::scenario::{Outage, Scenario};
use crate::ui::format::decimal;

/// Mean and maximum of a figure over all limit crossings.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub(crate) struct Spread {
    pub(crate) mean: f64,
    pub(crate) worst: f64,
}

impl Spread {
    pub(super) fn new(values: &[f64]) -> Self {
        let count = u32::try_from(values.len()).map_or(1.0, f64::from).max(1.0);
        // `sum` of an empty slice is -0.0.
        Self {
            mean: values.iter().fold(0.0, |sum, value| sum + value) / count,
            worst: values.iter().copied().fold(0.0, f64::max),
        }
    }
}

/// One API key that reached its limit on one day.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Crossing {
    /// The rank of the API key, from 1.
    pub(crate) key: usize,
    /// The daily limit.
    pub(crate) limit: u64,
    /// Calls a second in all regions together.
    pub(crate) rate: f64,
    /// Calls allowed beyond the limit.
    pub(crate) overshoot: u64,
    /// Seconds from the call that reached the limit to the last allowed call.
    pub(crate) enforced_s: f64,
    /// The bound: calls received within the lag after the limit was reached.
    pub(crate) bound: u64,
    /// The expected bound: rate × lag.
    pub(crate) expected: f64,
}

/// How limits hold if home learns of calls from the ledger only.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct LedgerPathOnly {
    pub(crate) overshoot: Spread,
    pub(crate) overshoot_percent: Spread,
    pub(crate) enforced_s: Spread,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct SimulationReport {
    pub(crate) scenario: Scenario,
    /// Seconds of calls that were decided together.
    pub(crate) tick_s: f64,
    /// Calls with an API key: all, and how they were decided.
    #[serde(rename = "asked")]
    pub(crate) requested: u64,
    pub(crate) allowed: u64,
    pub(crate) refused: u64,
    /// Calls charged to the pooled anonymous callers.
    #[serde(rename = "crowd")]
    pub(crate) pooled: u64,
    /// How often an API key reached its daily limit.
    pub(crate) crossings: usize,
    pub(crate) overshoot: Spread,
    /// The same in percent of the limit.
    pub(crate) overshoot_percent: Spread,
    /// Seconds from the call that reached the limit to the last allowed call.
    pub(crate) enforced_s: Spread,
    /// The lag that the bound is computed with, seconds.
    pub(crate) lag_s: f64,
    /// The largest share of the bound that was used, 0 to 1.
    pub(crate) bound_used: f64,
    /// Whether no API key exceeded the bound, in calls or in time.
    pub(crate) bound_holds: bool,
    /// The lag with early counts, seconds; null without them.
    pub(crate) early_lag_s: Option<f64>,
    /// Reports of early counts a month at this rate.
    pub(crate) early_reports_a_month: f64,
    /// Calls refused although they were within their limit; not counted if limits change.
    pub(crate) wrongly_refused: u64,
    /// The same traffic without early counts; null if it was not simulated.
    pub(crate) without_early_counts: Option<LedgerPathOnly>,
    /// Whether the ledger has exactly the allowed calls.
    pub(crate) counted_exactly: bool,
    pub(crate) records: u64,
    pub(crate) repeated_records: u64,
    /// Batches counted, redelivered ones included.
    pub(crate) batches: u64,
    /// Ledger writes a month at this rate, failed conditions included.
    pub(crate) ledger_writes_a_month: f64,
    /// Ledger writes whose condition failed because of a redelivery.
    pub(crate) behind: u64,
    /// Replicated writes a month at this rate, in all regions.
    pub(crate) replicated_writes_a_month: f64,
    /// Reads of access tables a month at this rate.
    pub(crate) reads_a_month: f64,
    /// Shards needed in the busiest second.
    pub(crate) shards_needed: u32,
    /// Monthly bill in USD as `ipgeo cost` estimates it: with the tiers of regions.toml and no failures.
    pub(crate) bill: f64,
    /// Replicated writes in that bill.
    pub(crate) billed_replicated_writes: f64,
    /// All limit crossings.
    #[serde(skip)]
    pub(crate) each: Vec<Crossing>,
}

/// Calls beyond a limit, and in percent of it.
fn spread(calls: f64, places: usize, percent: f64) -> String {
    format!("{} calls, {} %", decimal(calls, places), decimal(percent, 3))
}

fn seconds(seconds: f64) -> String {
    format!("{} s", decimal(seconds, 0))
}

impl LedgerPathOnly {
    fn rows(self) -> [(&'static str, String); 3] {
        let spread = |calls: f64, percent: f64| spread(calls, 1, percent);
        [
            (
                "without early counts: beyond the limit, mean",
                spread(self.overshoot.mean, self.overshoot_percent.mean),
            ),
            (
                "without early counts: beyond the limit, worst",
                spread(self.overshoot.worst, self.overshoot_percent.worst),
            ),
            ("without early counts: enforced after, worst", seconds(self.enforced_s.worst)),
        ]
    }
}

impl SimulationReport {
    /// What the report of the same traffic with early counts shows of this one.
    pub(crate) fn ledger_path_only(&self) -> LedgerPathOnly {
        LedgerPathOnly {
            overshoot: self.overshoot,
            overshoot_percent: self.overshoot_percent,
            enforced_s: self.enforced_s,
        }
    }

    /// Rows of the printed table: name and value.
    pub(crate) fn rows(&self) -> Vec<(&'static str, String)> {
        let count = crate::ui::output::grouped;
        let monthly = |number: f64| count(rounded(number));
        let mut rows = vec![
            ("calls with an API key", count(self.requested)),
            ("  allowed", count(self.allowed)),
            ("  refused", count(self.refused)),
            ("pooled anonymous calls", count(self.pooled)),
            ("limits reached", count(self.crossings as u64)),
            ("beyond the limit, mean", spread(self.overshoot.mean, 1, self.overshoot_percent.mean)),
            ("beyond the limit, worst", spread(self.overshoot.worst, 0, self.overshoot_percent.worst)),
            ("enforced everywhere after, mean", seconds(self.enforced_s.mean)),
            (
                "enforced everywhere after, worst",
                format!("{} of {}", seconds(self.enforced_s.worst), seconds(self.lag_s)),
            ),
            ("early counts a month", monthly(self.early_reports_a_month)),
            ("refused within the limit", count(self.wrongly_refused)),
            ("share of the bound used, worst", format!("{:.0} %", 100.0 * self.bound_used)),
            (
                "within the bound (rate x lag)",
                if self.crossings == 0 {
                    "no limit was reached".to_owned()
                } else {
                    yes_or_no(self.bound_holds)
                },
            ),
            ("counted exactly", yes_or_no(self.counted_exactly)),
            (
                "records in the stream",
                format!("{}, {} duplicated", count(self.records), count(self.repeated_records)),
            ),
            ("batches", count(self.batches)),
            ("ledger writes a month", monthly(self.ledger_writes_a_month)),
            ("replicated writes a month", monthly(self.replicated_writes_a_month)),
            ("table reads a month", monthly(self.reads_a_month)),
            ("shards needed", count(u64::from(self.shards_needed))),
            ("bill by ipgeo cost, $ a month", decimal(self.bill, 2)),
        ];
        rows.extend(self.without_early_counts.into_iter().flat_map(LedgerPathOnly::rows));
        let scenario = &self.scenario;
        for (what, outage) in
            [("region outage", scenario.region_loss), ("counting outage", scenario.home_loss)]
        {
            let text =
                |outage: Outage| format!("{}, after {}", seconds(outage.for_s), seconds(outage.from_s));
            rows.extend(outage.map(|outage| (what, text(outage))));
        }
        rows.extend(scenario.limit_change.map(|change| {
            ("limits changed", format!("to {:.1} %, after {}", 100.0 * change.share, seconds(change.at_s)))
        }));
        rows
    }

    /// How the simulation simplifies reality.
    pub(crate) fn approximated(&self) -> Vec<String> {
        let mut notes = vec![
            "each region has one environment, the stream one shard; all anonymous calls are pooled; traffic is constant over \
             the day; short rates are not simulated"
                .to_owned(),
            format!(
                "limits are daily and generated for the simulation, so there are more replicated writes than in the bill ({})",
                crate::ui::output::grouped(rounded(self.billed_replicated_writes))
            ),
        ];
        if self.tick_s > 1.0 {
            notes.push(format!(
                "calls of an API key that calls a region more than once in {:.0} s are decided together, {:.0} s at a \
                 time; the lag includes that time",
                self.tick_s, self.tick_s
            ));
        } else {
            notes.push(format!(
                "usage lines are sent every {:.0} s; the lag includes that time",
                self.scenario.send_s()
            ));
        }
        notes
    }
}

fn yes_or_no(holds: bool) -> String {
    if holds { "yes" } else { "NO" }.to_owned()
}
