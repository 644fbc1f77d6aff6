//! Whether everything is well: facts are read through a trait, judged without looking again, and told with
//! what to do about each.
//!
//! `facts` is what can be known, `judge` what follows from it, `path` follows marked calls from the edges to
//! the ledger, `check` is a finding and how findings are shown.

mod check;
mod facts;
mod judge;
mod path;

pub use check::{Check, Mark, fold, text};
pub use facts::{
    Certificate, Concurrency, CopyFacts, EdgeFacts, Examine, Facts, HomeFacts, Read, Subscription, examine,
};
pub use judge::judge;
pub use path::{Pace, Traced, UsagePath, judge_path, trace};
