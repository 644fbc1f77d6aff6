//! The operator's side of ipgeo: from one `regions.toml` to a worldwide, metered IP-geolocation API.

// The SDK's futures are nested deeper than the compiler's default patience.
#![recursion_limit = "256"]

pub mod artifacts;
pub mod aws;
pub mod cli;
pub mod cloud;
pub mod cmd;
pub mod complete;
pub mod config;
pub mod cost;
pub mod deploy;
pub mod dev;
pub mod doctor;
pub mod fetch;
pub mod geo;
pub mod iam;
pub mod keys;
pub mod latency;
pub mod licence;
pub mod logs;
pub mod output;
pub mod page;
pub mod plan;
pub mod probing;
pub mod progress;
pub mod quota;
pub mod replay;
pub mod report;
pub mod simulate;
pub mod stacks;
pub mod standing;
pub mod stream;
pub mod whole;
pub mod world;
