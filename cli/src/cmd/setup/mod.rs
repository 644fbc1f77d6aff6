//! Verbs of the first steps.

pub mod completions;
pub mod init;
pub mod man;
pub mod schema;
