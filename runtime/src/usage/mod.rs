//! The usage handler: counts the stream's records exactly in the ledger, adds up the early counts of environments, and
//! publishes usage to the edges.
//!
//! `decode` and `totals` are pure; `flush` has the effects. Unreadable records are skipped and counted; the stream redelivers
//! records whose write failed.

mod alerts;
mod decode;
mod early;
#[cfg(test)]
mod early_model;
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
pub use early::EarlyOutcome;
pub(crate) use envelope::log_stream;
pub use envelope::{KinesisEvent, KinesisRecord, LogEvent, envelope};
pub use flush::Flushed;
pub use handler::{BatchResponse, Report, UsageHandler, WRITES_AT_ONCE};
pub use message::AlertMessage;
pub use totals::{CountedEvent, IdentityMonth, Totals};
