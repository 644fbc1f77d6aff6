//! Counting: what reaches the ledger, whatever the stream, the store and the network do.

mod counts;
mod early;
mod faults;
mod home_gone;
mod notes;
mod other_databases;
mod recovered;
mod tables;
