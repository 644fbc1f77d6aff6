//! The artifacts to upload: the function's code and the geo database, each a reproducible zip named by its SHA-256.
//! `prepare` is the entry; what was zipped from what is in an index, so that nothing is zipped twice.

mod bootstrap;
mod bundle;
mod database;
mod elf;
mod index;
mod prepare;
mod toolchain;

pub use bootstrap::{NoBootstrap, OtherRelease};
pub use bundle::{BundleError, Entry, bundle};
pub use database::{DatabaseArtifact, database_zip, prepare_database, purge_artifacts, unzip_database};
pub use elf::{ElfError, check_bootstrap};
pub use index::{Built, Index, IndexError, built_set};
pub use prepare::{PrepareError, Prepared, Sources, UNPACKED_BYTES_MAX, prepare};
pub use toolchain::{BuildCommand, GLIBC, ToolchainError, ToolchainFacts, build_command};
