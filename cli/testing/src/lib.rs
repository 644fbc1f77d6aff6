//! A cloud in memory for the tests and benches of `ipgeo`, and the harness that deploys to it.
//!
//! The cloud keeps state, does what AWS does and refuses what AWS refuses, by reading the templates that it is
//! given; each rule of AWS is written where it is enforced. Time is tokio's: with its clock paused, half an hour
//! of stacks passes in a moment. A step whose future is dropped goes on, because CloudFormation finishes by itself
//! what it has begun.
//!
//! [`strict`] is another AWS: rules that an emulator ignores, before it.
//!
//! It is a crate of its own so that nothing of it is part of the product. It depends on `ipgeo`, so only
//! integration tests and benches can use it: in `ipgeo`'s unit tests its types would be those of another copy.

#![expect(clippy::missing_panics_doc, reason = "a panic is a failed test")]

mod cloud;
mod data;
mod faults;
pub mod harness;
mod lock;
mod log;
mod operation;
mod picture;
mod records;
mod resources;
mod rules;
mod stacks;
mod state;
mod steps;
pub mod strict;
mod tables;
mod text;
mod values;
mod versions;

pub use cloud::MemoryCloud;
pub use faults::{FaultKind, InjectedFault};
pub use log::{Effect, Log};
pub use state::{ACCOUNT, Latency};
