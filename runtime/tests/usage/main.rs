//! Counting: what reaches the ledger, whatever the stream, the store and the network do.

#[path = "../../../cli/tests/support/npm.rs"]
mod npm;
#[path = "../../../cli/tests/support/python.rs"]
mod python;
#[path = "../support/mod.rs"]
mod support;

mod counts;
mod early;
mod faults;
mod home_gone;
mod notes;
mod other_databases;
mod recovered;
mod tables;
