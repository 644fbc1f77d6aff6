//! `regions.toml`: read once into types that can't be wrong, all faults told together.
//!
//! `reader` walks the file and collects faults with their places, `parse` and `rules` know what belongs
//! where, `model` is the result, `schema` tells editors the same, `places` lists the regions there are, `select`
//! picks some of the file's.
//! Only `load` touches a disk.

mod load;
mod model;
mod parse;
mod places;
mod problems;
mod reader;
#[cfg(test)]
mod refused;
mod rules;
mod schema;
mod select;
mod sources;

pub use load::{FILE_NAME, LoadError, STATE_NAME, find, load, state_folder};
pub use model::{
    Alarms, Alerts, Anonymous, Architecture, Compat, Config, Emulator, Geo, GeoSource, Origin, Region,
    RuntimeSettings, Service, Tier, Tiers, Usage,
};
pub(crate) use parse::ANONYMOUS;
pub use parse::parse;
pub use places::{PLACES, Place, other_partition};
pub use problems::{Problem, Problems};
pub(crate) use reader::{did_you_mean, suggestion};
pub(crate) use rules::is_invisible;
pub use schema::schema_json;
pub use select::{SelectError, Selection, select};
pub use sources::{is_registry_package, names_of_files};
