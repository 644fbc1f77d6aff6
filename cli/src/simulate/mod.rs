//! Simulates days of traffic with the code that runs on AWS: the edges' decision and memory, early counts, the ledger's totals
//! and watermarks, publication. Only time, traffic, log lag and failures are generated, from a seed, so a run is repeatable.
//! Used to check the overshoot bound (`crate::quota`) and the bill's write counts (`crate::cost`).

mod arrivals;
mod edges;
mod pipe;
mod report;
mod run;
mod scenario;
mod store;
#[cfg(test)]
mod tests;

pub(crate) use report::SimulationReport;
pub(crate) use run::run;
pub(crate) use scenario::{CallSpread, LimitChange, Outage, Scenario};
