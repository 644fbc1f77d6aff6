//! Requests to edges over HTTP, timed. `ipgeo probe` measures regions and draws the status page; a deploy's gates and
//! `ipgeo status` ask an edge whether it answers correctly.

mod client;
mod gate;
mod history;
mod judge;
mod measure;
mod page;
mod summary;

pub use client::{PhaseTimes, ProbeClient, ProbeReply};
pub use gate::Gated;
pub use history::{ProbeHistory, ProbeRun};
pub use measure::{Attribution, Health, ProbeSample, ProbedEdge, measure_all};
pub use page::StatusPage;
pub use summary::{ProbeRow, ProbeState, Quantiles, summarise};
