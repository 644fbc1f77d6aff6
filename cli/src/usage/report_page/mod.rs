//! The usage page: one HTML file with charts and the tables they are drawn from. It needs no network, script or font of
//! its own, and is readable in light and dark, on a phone and on paper. Pure: facts in, text out.

mod facts;
mod html;
mod map;
mod sections;
mod sums;

pub use facts::{
    CallerCalls, CountingLag, Headroom, KeyCalls, MonthBefore, MonthCost, PageFacts, Projection, RegionCalls,
    TierCalls,
};
pub(crate) use facts::{by_tier, headroom, projection};
pub use html::page;
pub(crate) use sums::PageSums;
