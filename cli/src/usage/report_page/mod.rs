//! The usage page: one HTML file with charts and the tables they are drawn from. It needs no network, script or font of
//! its own, and is readable in light and dark, on a phone and on paper. Pure: facts in, text out.

mod chart;
mod facts;
mod html;
mod map;
mod paint;
mod sections;

pub(crate) use facts::headroom;
pub use facts::{CostSoFar, Headroom, KeyCalls, PageFacts, RegionCalls};
pub use html::page;
