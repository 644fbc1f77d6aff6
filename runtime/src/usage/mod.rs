//! The usage handler: counts the stream's records exactly in the ledger, and publishes usage to the edges.
//!
//! `decode` and `totals` are pure; `flush` has the effects. Unreadable records are skipped and counted; the stream redelivers
//! records whose write failed.

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
pub(crate) use envelope::log_stream;
pub use envelope::{KinesisEvent, KinesisRecord, LogEvent, envelope};
pub use flush::Flushed;
pub use handler::{BatchResponse, Report, UsageHandler, WRITES_AT_ONCE};
pub use message::AlertMessage;
pub use totals::{CountedEvent, IdentityMonth, Totals};
