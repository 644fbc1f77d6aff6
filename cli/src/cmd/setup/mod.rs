//! Verbs of the first steps.

pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod init;
pub(crate) mod man;
pub(crate) mod schema;
pub(crate) mod validate;
