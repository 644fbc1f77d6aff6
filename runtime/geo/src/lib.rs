//! The geo database: one standard `.mmdb` file whose records hold ready-made JSON, mapped into memory.
//!
//! [`Database`] reads what `compile` writes; both take the names in the file from one module. [`raw`] reads any file of
//! the MaxMind DB format (version 2.0), sources too. The Lambda is built without the feature `compile`.

#[cfg(feature = "compile")]
pub mod compile;
mod database;
mod format;
mod location;
mod map;
pub mod raw;
mod route;
mod starts;
pub mod trace;
mod utf8;
mod zones;

pub use database::{Database, DatabaseInfo, GeoError};
pub use format::DATABASE_TYPE;
#[cfg(all(test, feature = "compile"))]
use format::FORMAT_VERSION;
pub use location::Location;
pub use map::map_file;
pub use route::write_address;
