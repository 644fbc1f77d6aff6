//! Selects the geo database that `ipgeo dev` serves: the given file, otherwise the compiled database, otherwise one compiled
//! from fetched sources, otherwise the sample.

use std::path::{Path, PathBuf};

use ipgeo_geo::Database;
use ipgeo_geo::compile::{self, BuildProgress};
use jiff::tz::TimeZone;

use crate::config::Config;
use crate::geo::licence::may_serve;
use crate::geo::sources;

#[derive(Debug)]
pub(crate) struct Served {
    pub database: Database,
    pub is_sample: bool,
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
        may_serve(database.info().into(), TimeZone::UTC.to_datetime(now).date())?;
        Ok(Served { database, is_sample })
    };
    if let Some(path) = path {
        return open(path.to_owned(), false);
    }
    let compiled = sources::served_database(state);
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
