//! How long a limit takes to be enforced everywhere, and how many calls beyond it callers can make meanwhile. Pure.
//!
//! `crate::simulate` checks the bound against the production code; `ipgeo quota explain` prints it.

mod bound;
mod explain;

pub(crate) use bound::{Pipeline, overshoot};
pub(crate) use explain::{Explanation, KeyUsage, LimitSubject, explain};
