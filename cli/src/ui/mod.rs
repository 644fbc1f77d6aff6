//! What people and scripts see: tables, CSV and JSON, colours, exit codes, numbers in texts, and progress. It uses no other
//! district, so that all of them can use it.

pub(crate) mod curves;
pub(crate) mod drawing;
pub(crate) mod format;
pub(crate) mod output;
pub(crate) mod progress;
