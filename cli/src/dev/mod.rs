//! `ipgeo dev`: every region of `regions.toml` in one process on loopback, with the same handlers, DynamoDB adapter and
//! envelopes as on AWS. This module replaces only AWS's services: API Gateway, CloudWatch Logs, Kinesis, DynamoDB.

mod admission;
mod alerts;
mod connections;
mod copies;
mod counting;
mod database;
mod delivery;
mod early;
mod faults;
mod front;
mod future_publications;
mod nearest;
mod operations;
mod pipe;
mod ports;
mod replication;
mod screen;
mod serve;
mod state_owner;
mod store;
mod stream;
mod throttle;
mod tiers;
mod world;

pub(crate) use database::serve_database;
pub(crate) use screen::{Welcome, ready_json};
pub use world::{Options, World};

/// Whether an address is public and so can have a location.
pub(crate) fn has_location(address: std::net::IpAddr) -> bool {
    ipgeo_runtime::lookup::is_public(address)
}
