//! The verbs, in the groups of `ipgeo --help`: each verb's arguments beside its `run`. Verbs do not use one another: what
//! several of them need is in `support`.

pub mod cost;
pub mod deploy;
pub mod geo;
pub(crate) mod groups;
pub mod keys;
pub mod local;
pub mod observe;
pub mod setup;
pub mod support;
pub mod usage;
