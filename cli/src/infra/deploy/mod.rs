//! Executes plans. The plan contains every decision; execution starts steps, waits, emits events, and stops at a failure.

mod event;
mod execute;
mod outcome;
pub mod progress;
mod rollout;

pub use event::{Event, EventLine, SCHEMA, Sink};
pub use execute::{ExecuteOptions, Stop, execute};
pub use outcome::{DeployOutcome, Failure, Run};
pub use rollout::{DatabaseRollout, RolloutError, plan_rollout, served_digests};
