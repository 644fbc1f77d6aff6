//! What people and scripts see: tables, CSV and JSON, colours, exit codes, and the progress of a deploy.

pub mod output;
pub mod progress;
