//! A deterministic simulation (a "world") of the whole service: the real handlers, the real code for the tables, the real counter
//! and the operators' code, over stores, a stream and log pipes in memory. There is one clock, which only advances when every task
//! waits, one order of tasks, and one seed for everything random: partitions, kills, restarts, slow stores, lost, repeated and
//! reordered messages, wrong clocks.
//!
//! [`run()`] runs a seed and returns its history and the promises that did not hold. The checker reads the history and the rows of
//! the tables with its own code.
//!
//! `turmoil` and `madsim` replace sockets; below the Lambda's HTTP clients, everything else would still have to be
//! written, and a world of sockets is slower by orders of magnitude. The seams are the service's own traits.

#![expect(missing_docs, reason = "no library for others: a doc comment that only repeats a name is left out")]
#![expect(clippy::missing_panics_doc, reason = "a panic is a failed test")]

mod check;
mod client;
mod edges;
mod expression;
mod history;
mod home;
mod operators;
mod pipe;
mod recount;
mod run;
mod scenario;
mod shared;
mod store;
mod weather;

pub use client::Client;
pub use edges::{Caller, Edges};
pub use history::{AccessRow, AccessWrite, Answered, History, Known, Operation};
pub use home::Home;
pub use operators::{Doing, Operators};
pub use pipe::{Pipes, Shard, Stream};
pub use recount::FailedBatch;
pub use run::{MakeOperators, Outcome, World, run};
pub use scenario::{Mood, Scenario};
pub use shared::{LEDGER, Shared};
pub use store::Table;
pub use weather::{Link, Spell, Trouble, Weather};
