//! Requests to edges over HTTP, timed. `ipgeo probe` measures regions and draws the status page; a deploy's gates and
//! `ipgeo status` ask an edge whether it answers correctly.

mod client;
mod feed;
mod gate;
mod history;
mod incidents;
mod judge;
mod measure;
mod page;
mod summary;

pub use client::ProbeClient;
pub(crate) use gate::{Follow, Gated};
pub(crate) use history::{ProbeHistory, ProbeRun};
pub(crate) use incidents::{INCIDENTS, Incident, parse as parse_incidents};
pub use measure::{ProbedEdge, measure_all};
pub(crate) use page::StatusPage;
pub(crate) use summary::ProbeRow;
pub use summary::{ProbeState, summarise};
