//! The usage handler: stream records in, exact counts in the ledger, decisions published to the edges.
//!
//! `decode` and `totals` are pure; `flush` has the effects. A record that can't be read is counted and
//! skipped; a write that fails is retried by the stream.

mod alerts;
mod decode;
mod envelope;
mod flush;
mod handler;
mod message;
#[cfg(test)]
mod model;
mod newest;
mod repeats;
mod shards;
mod totals;

pub use decode::{Decoded, EventRecord, decode};
pub use envelope::{KinesisEvent, KinesisRecord, LogEvent, envelope};
pub use flush::Flushed;
pub use handler::{BatchResponse, Report, UsageHandler, WRITES_AT_ONCE};
pub use message::AlertMessage;
pub use totals::{CountedEvent, IdentityMonth, Totals};
