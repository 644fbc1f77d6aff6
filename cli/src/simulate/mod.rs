//! A simulated span of days: the decision, the memory of the edges, the totals, the watermarks and the
//! publication are the very code that runs on AWS; time, traffic, the log's lag and what goes wrong are made up
//! from a seed, so that a run is the same each time.
//!
//! `scenario` is what is asked, `arrivals` makes calls, `edges` decides them, `pipe` carries usage events, `store`
//! is home's tables and their replicas, `run` drives all of it, `outcome` is what came of it.

mod arrivals;
mod edges;
mod outcome;
mod pipe;
mod run;
mod scenario;
mod store;
#[cfg(test)]
mod tests;

pub use outcome::{Outcome, Spread};
pub use run::{SimulateError, run};
pub use scenario::{LimitChange, Outage, Scenario};
