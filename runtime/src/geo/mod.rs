//! The geo database: one standard `.mmdb` file whose records hold ready-made JSON, mapped into memory.
//!
//! `raw` reads any file of the MaxMind DB format (version 2.0 of its specification); `database` and
//! `location` read the files that `ipgeo geo build` compiles; `format` names what both agree on, `trace` counts what a
//! lookup reads.

mod checked;
mod database;
pub mod format;
mod location;
pub mod raw;
pub mod trace;
mod zones;

pub use database::{Database, GeoError, Info};
pub use location::Location;
