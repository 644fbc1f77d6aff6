//! How late a limit holds, and how far beyond it callers may come meanwhile. Pure.
//!
//! `bound` is the formula, which the simulation is held against; `explain` tells one limit in plain words.

mod bound;
mod explain;

pub use bound::{Pipeline, overshoot};
pub use explain::{Counted, Excess, Explanation, Subject, explain};
