//! The usage page: one HTML file with charts and the tables they are drawn from. It needs no network, no script and no
//! font of its own, reads in light and dark, on a phone and on paper. Pure: facts in, text out.
//!
//! `facts` says what is shown, `chart` draws bars and columns by the plotting crate, `map` the world, `paint` gives both
//! their colours by CSS variables, `sections` says what each chart and
//! its table hold, `html` puts them together.

mod chart;
mod facts;
mod html;
mod map;
mod paint;
mod sections;

pub use facts::{Bill, Facts, Headroom, KeyCalls, RegionCalls, headroom};
pub use html::page;

/// Why a page can't be drawn; a fault of this program.
#[derive(Debug, thiserror::Error)]
#[error("the page can't be drawn: {0}")]
pub struct PageError(String);
