//! Executes plans. The plan contains every decision; execution starts steps, waits, emits events, and stops at a failure.

mod event;
mod execute;
mod outcome;
pub(crate) mod progress;
mod rollout;

pub use event::{Event, EventLine, SCHEMA, Sink};
pub use execute::{ExecuteOptions, Stop, execute};
#[cfg(test)]
pub(crate) use outcome::Failure;
pub use outcome::{DeployOutcome, Run};
pub use rollout::{DatabaseRollout, RolloutError, plan_rollout, served_digests};
