//! The artifacts to upload: the function's code and the geo database, each a reproducible zip named by its SHA-256.
//! `prepare` is the entry; what was zipped from what is in an index, so that nothing is zipped twice.

mod bootstrap;
mod bundle;
mod database;
mod elf;
mod index;
mod prepare;
mod toolchain;

pub(crate) use database::{database_zip, prepare_database, purge_artifacts, unzip_database};
pub(crate) use index::built_set;
pub(crate) use prepare::{Prepared, Sources, prepare};
