//! How far every region is from here: one cold request after the other, its phases measured apart.
//!
//! `measure` asks, `http` reads answers, `summary` folds samples into quantiles, `history` keeps what was
//! found for later, `page` draws the status page.

mod history;
mod http;
mod measure;
mod page;
mod summary;

pub use history::{History, Run};
pub use http::{Attribution, Reply, ReplyError, read_reply};
pub use measure::{Edge, Measurer, Phases, Sample, measure_all};
pub use page::{About, page};
pub use summary::{Quantiles, Row, State, summarise};
