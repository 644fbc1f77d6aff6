//! `regions.toml`: what it may contain, its checks and its JSON Schema. `parse` turns text into a [`Config`] that is
//! valid by construction, or into all faults of the file at once, each with line and column. `init` writes a first file.
//! Only `load` reads from disk. A new field needs one description, in `model`; everything else is derived from it.

mod check;
mod geo;
mod geo_check;
pub(crate) mod init;
mod load;
mod model;
mod parse;
mod places;
mod problems;
mod rules;
mod schema;
mod select;
mod settings;
mod sources;
mod suggest;
#[cfg(test)]
mod tests;

pub(crate) use geo::{GeoSource, Origin, Registry, SourceFormat, SourcePart, SourceTerms};
pub(crate) use load::{FILE_NAME, LoadError, STATE_NAME, find, load, load_settings, state_folder};
pub use model::Config;
pub(crate) use model::{Anonymous, Architecture, Emulator, LogPipe, Region, RuntimeSettings, Tier, Tiers};
pub(crate) use parse::ANONYMOUS;
pub use parse::parse;
pub use places::{PLACES, is_opt_in};
pub(crate) use problems::{Collector, Problems};
pub(crate) use rules::{is_below, is_invisible, is_zone_id};
pub(crate) use schema::schema_json;
pub(crate) use select::select;
pub(crate) use settings::Setting;
pub(crate) use sources::{is_pypi_package, is_registry_package, names_of_files};
pub(crate) use suggest::suggestion;
