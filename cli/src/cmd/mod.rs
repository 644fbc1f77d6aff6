//! The verbs, in the groups of `ipgeo --help`: each verb's arguments beside its `run`. Verbs do not use one another: what
//! several of them need is in `support`.

pub(crate) mod cost;
pub(crate) mod deploy;
pub(crate) mod geo;
pub(crate) mod groups;
pub(crate) mod keys;
pub(crate) mod local;
pub(crate) mod observe;
pub(crate) mod setup;
pub(crate) mod support;
pub(crate) mod usage;
