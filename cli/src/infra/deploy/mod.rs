//! Doing what a plan says: a fold over its waves. Every choice was made in the plan; what is left is to
//! start, to wait, to tell, and to stop when something fails.

mod event;
mod execute;
mod outcome;
mod rollout;

pub use event::{Event, SCHEMA, Sink, Told};
pub use execute::{ExecuteOptions, Stop, execute};
pub use outcome::{Failure, Outcome, Run};
pub use rollout::{DatabaseRollout, plan_rollout, served_digests};
