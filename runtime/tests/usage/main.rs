//! Counting: what reaches the ledger, whatever the stream, the store and the network do.

#[path = "../support/mod.rs"]
mod support;

mod counts;
mod early;
mod faults;
mod home_gone;
mod notes;
mod recovered;
mod tables;
