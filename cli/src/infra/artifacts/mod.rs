//! What is uploaded: the function's code and the geo database, each a zip named by its SHA-256.
//!
//! `toolchain` decides how the code is built, `elf` reads what came out, `bundle` zips it reproducibly,
//! `index` remembers what was zipped from what, `prepare` brings it together, `database` is the geo
//! database's zip alone.

mod bundle;
mod database;
mod elf;
mod index;
mod prepare;
mod toolchain;

pub use bundle::{BundleError, Entry, bundle};
pub use database::{DatabaseArtifact, database_zip, prepare_database, purge_artifacts, unzip_database};
pub use elf::{ElfError, check_bootstrap};
pub use index::{Built, Index, IndexError, built_set};
pub use prepare::{PrepareError, Prepared, Sources, UNPACKED_BYTES_MAX, prepare};
pub use toolchain::{BuildCommand, GLIBC, ToolchainError, ToolchainFacts, build_command};
