//! Which geo database `dev` serves: the one named, else the one that was built, else one that is built
//! from sources that were fetched, else the sample.

use std::path::{Path, PathBuf};

use ipgeo_geo::Database;
use ipgeo_geo::compile::{self, BuildProgress};
use jiff::tz::TimeZone;

use crate::config::Config;
use crate::geo::licence::{Copy, may_serve};
use crate::geo::sources;

/// The database that is served, and what to say of it.
#[derive(Debug)]
pub struct Served {
    /// Opened.
    pub database: Database,
    /// The file.
    pub path: PathBuf,
    /// Whether it is the sample.
    pub is_sample: bool,
}

/// Where the compiled database is kept, below the state folder.
pub(super) fn compiled_path(state: &Path) -> PathBuf {
    state.join("geo").join("ipgeo.mmdb")
}

/// Finds or makes the database to serve; one whose licence has ended is refused.
pub fn serve_database(
    config: &Config,
    state: &Path,
    named: Option<&Path>,
    now: jiff::Timestamp,
    progress: &dyn BuildProgress,
) -> anyhow::Result<Served> {
    let open = |path: PathBuf, is_sample| -> anyhow::Result<Served> {
        let database = Database::open(&path)?;
        let info = database.info();
        let copy = Copy {
            name: &info.name,
            licence: &info.licence,
            attribution: &info.attribution,
            date: &info.date,
        };
        may_serve(copy, TimeZone::UTC.to_datetime(now).date())?;
        Ok(Served { database, path, is_sample })
    };
    if let Some(named) = named {
        return open(named.to_owned(), false);
    }
    let compiled = compiled_path(state);
    if compiled.is_file() {
        return open(compiled, false);
    }
    if let Some(sources) = sources::fetched(config, state) {
        crate::ui::output::print_note("compiling the geo database, once");
        sources::compile(config, &sources, &compiled, now, progress)?;
        return open(compiled, false);
    }
    let sample = state.join("geo").join("sample.mmdb");
    // A full disk is no reason not to start with the one that is there.
    if std::fs::read(&sample).ok() != Some(compile::sample()?) {
        sources::write_sample(&sample)?;
    }
    open(sample, true)
}
