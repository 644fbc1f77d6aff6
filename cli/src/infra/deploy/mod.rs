//! Executes plans: a fold over the waves. Every choice was made in the plan; what is left is to start steps, wait,
//! report events, and stop when something fails.

mod event;
mod execute;
mod outcome;
pub mod progress;
mod rollout;

pub use event::{Event, EventLine, SCHEMA, Sink};
pub use execute::{ExecuteOptions, Stop, execute};
pub use outcome::{DeployOutcome, Failure, Run};
pub use rollout::{DatabaseRollout, RolloutError, plan_rollout, served_digests};
