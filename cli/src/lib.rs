//! The operator's side of ipgeo: from one `regions.toml` to a worldwide, metered IP-geolocation API.

// The SDK's futures are nested deeper than the compiler's default patience.
#![recursion_limit = "256"]
#![expect(missing_docs, reason = "a doc comment that only repeats the name and type is left out")]

pub mod args;
pub mod aws;
pub mod cli;
pub mod cmd;
pub mod completion;
pub mod config;
pub mod cost;
pub mod dev;
pub mod fs;
pub mod geo;
pub mod infra;
pub mod keys;
pub mod observe;
pub mod quota;
pub mod simulate;
pub mod ui;
pub mod usage;
pub mod world;
