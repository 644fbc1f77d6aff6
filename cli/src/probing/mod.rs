//! Asking edges over HTTP, as their callers do, and telling whether the answers are right.
//!
//! `http` makes one request, `judge` says what is wrong with an answer, `gate` lets a plan's probes ask.

mod gate;
mod http;
mod judge;

pub use gate::Gated;
pub use http::HttpProbe;
