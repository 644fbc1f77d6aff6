//! The rooms that take foreign bytes, compiled from their own sources.
#![allow(missing_docs, reason = "said where they are")]

#[path = "../../src/lookup/mod.rs"]
pub mod lookup;
#[path = "../../src/store.rs"]
pub mod store;
#[path = "../../src/usage/mod.rs"]
pub mod usage;

#[path = "../../../cli/src/config/mod.rs"]
pub mod config;
