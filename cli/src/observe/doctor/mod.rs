//! The checks of `ipgeo doctor`. Facts are read through a trait, then judged without reading anything more; every finding
//! that is not `ok` has a remedy. With `--online`, marked calls are followed from the edges to the ledger.

mod check;
mod database;
mod facts;
mod home;
mod judge;
mod path;
mod rates;

pub(crate) use check::{Check, Mark, fold, text};
pub(crate) use facts::{
    Certificate, Concurrency, DatabaseFacts, EdgeFacts, Examine, Fact, HomeFacts, Subscription, examine,
};
pub(crate) use judge::judge;
pub(crate) use path::{TracePace, TracedCall, UsagePath, judge_path, trace};
