//! The whole world on a laptop: every region of `regions.toml` in one process on loopback, with the same
//! handlers, the same adapter and the same envelopes as on AWS.

mod admission;
mod alerts;
mod copies;
mod database;
mod delivery;
mod faults;
mod front;
mod nearest;
mod operations;
mod pipe;
mod replication;
mod screen;
mod serve;
mod store;
mod throttle;
mod world;

pub use database::{Served, serve_database};
pub use screen::{ready_json, welcome};
pub use world::{Options, StartError, World};
