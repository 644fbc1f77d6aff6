//! Selects the geo database that `ipgeo dev` serves: the given file, otherwise the compiled database, otherwise one compiled
//! from fetched sources, otherwise the sample.

use std::path::{Path, PathBuf};

use ipgeo_geo::Database;
use ipgeo_geo::compile::{self, BuildProgress};
use jiff::tz::TimeZone;

use crate::config::Config;
use crate::geo::licence::{LicensedData, may_serve};
use crate::geo::sources;

/// The served database.
#[derive(Debug)]
pub(crate) struct Served {
    /// The open database.
    pub database: Database,
    /// Whether it is the sample.
    pub is_sample: bool,
}

/// The path of the compiled database in the state folder.
pub(super) fn compiled_path(state: &Path) -> PathBuf {
    state.join("geo").join("ipgeo.mmdb")
}

/// Finds or compiles the database to serve; `base` is the folder of `regions.toml`. Fails if its licence's retention period has ended.
pub(crate) fn serve_database(
    config: &Config,
    base: &Path,
    state: &Path,
    path: Option<&Path>,
    now: jiff::Timestamp,
    progress: &dyn BuildProgress,
) -> anyhow::Result<Served> {
    let open = |path: PathBuf, is_sample| -> anyhow::Result<Served> {
        let database = Database::open(&path)?;
        let info = database.info();
        let copy = LicensedData {
            name: &info.name,
            licence: &info.licence,
            attribution: &info.attribution,
            date: &info.date,
        };
        may_serve(copy, TimeZone::UTC.to_datetime(now).date())?;
        Ok(Served { database, is_sample })
    };
    if let Some(path) = path {
        return open(path.to_owned(), false);
    }
    let compiled = compiled_path(state);
    if compiled.is_file() {
        return open(compiled, false);
    }
    if let Some(sources) = sources::fetched(config, state) {
        crate::ui::output::print_note("compiling the geo database, once");
        let overrides = sources::overrides_path(config, base);
        sources::compile(config, &sources, overrides.as_deref(), &compiled, now, progress)?;
        return open(compiled, false);
    }
    let sample = state.join("geo").join("sample.mmdb");
    // Write only if different: with a full disk, `dev` still starts with an existing sample.
    if std::fs::read(&sample).ok() != Some(compile::sample()?) {
        sources::write_sample(&sample)?;
    }
    open(sample, true)
}
