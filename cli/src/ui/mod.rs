//! What people and scripts see: tables, CSV and JSON, colours, exit codes, numbers in texts, and progress. It uses no other
//! district, so that all of them can use it.

pub mod format;
pub mod output;
pub mod progress;
