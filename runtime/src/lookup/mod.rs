//! The lookup handler: answers an HTTP event and writes its usage line.
//!
//! `request`, `address` and `answer` are pure, `cache` is an environment's memory, and `handler` combines them.

mod accept;
mod address;
mod answer;
mod cache;
mod charge;
mod columns;
mod compose;
mod culture;
mod event;
mod explain;
mod fields;
mod geo;
mod handler;
mod offline;
mod own;
mod own_count;
mod problem;
mod request;
#[cfg(feature = "operator")]
mod rows;
mod settings;
mod special;
mod web;

pub use answer::Answer;
pub use cache::{Age, Memory};
pub use columns::{Column, column_names};
pub use event::{Event, Http, RequestContext};
pub use explain::Origins;
pub use fields::FIELDS;
pub use geo::Geo;
pub use handler::{Lookup, UsageSink};
pub use offline::Offline;
pub use request::BULK_MAX;
#[cfg(feature = "operator")]
pub use rows::{RecordRead, Rows, TooManyCells, push_answer};
pub use settings::{Settings, SettingsError};

/// Whether an address is public and so can have a location.
pub fn is_public(address: std::net::IpAddr) -> bool {
    address::public_address(&address.to_string()).is_ok()
}
