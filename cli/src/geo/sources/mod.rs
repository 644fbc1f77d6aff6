//! Fetches source databases from files, URLs or npm packages: each is verified and locked, then replaces the old one
//! atomically. Also compiles them, and deletes copies whose licence's retention period has ended.

mod compile;
mod keep;
mod lock;
mod npm;
mod out;
mod place;
mod rollouts;
mod url;

use std::path::{Path, PathBuf};

use ipgeo_geo::compile::BuildError;
use ipgeo_geo::raw::{Layout, Value};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::config::{Config, GeoSource, Origin, names_of_files};
use crate::geo::licence::LicenceError;

pub use compile::compile;
pub(crate) use compile::write_sample;
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
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot write {path}")]
    Write {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot fetch {url}")]
    Download {
        url: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error(
        "`npm pack {package}` failed\nhelp: check that npm is installed, or use a `url` or `file` source"
    )]
    Npm {
        package: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("the npm package {package} does not contain `{file}`")]
    NotInPackage { package: String, file: String },
    #[error("the download of `{name}` is rejected: {fault}")]
    Rejected { name: String, fault: String },
    #[error(
        "the download of `{name}` does not match its pin: it is {found}\nhelp: to unpin, run `ipgeo geo pin {name} --release`"
    )]
    Pinned { name: String, found: String },
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Licence(#[from] LicenceError),
    #[error(transparent)]
    Out(#[from] OutError),
    #[error(transparent)]
    Build(#[from] BuildError),
}

fn folder(state: &Path, source: &GeoSource) -> PathBuf {
    state.join("geo").join("sources").join(&source.name)
}

/// The files of a source once fetched.
fn files(state: &Path, source: &GeoSource) -> Vec<PathBuf> {
    let folder = folder(state, source);
    match &source.origin {
        Origin::Npm { files, .. } => {
            // `config` refuses files whose names collide.
            names_of_files(files).unwrap_or_default().into_iter().map(|name| folder.join(name)).collect()
        }
        Origin::File(_) | Origin::Url(_) => vec![folder.join(format!("{}.mmdb", source.name))],
    }
}

/// The files of all sources, if all exist.
pub fn fetched(config: &Config, state: &Path) -> Option<Vec<PathBuf>> {
    let files: Vec<PathBuf> = config.geo.sources.iter().flat_map(|source| files(state, source)).collect();
    (!files.is_empty() && files.iter().all(|file| file.is_file())).then_some(files)
}

/// A source's origin for display, without passwords or keys of its URL.
fn origin_text(source: &GeoSource, base: &Path) -> String {
    match &source.origin {
        Origin::File(path) => format!("file {}", base.join(path).display()),
        Origin::Url(pattern) => format!("url {}", url::shown(pattern)),
        Origin::Npm { package, .. } => format!("npm {package}"),
    }
}

/// The folders and HTTP settings of a fetch.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    /// The folder that paths of `file` sources are relative to.
    pub base: &'a Path,
    pub state: &'a Path,
    /// The program to run for npm packages.
    pub npm: &'a Path,
    pub web: Web,
}

/// Fetches all sources and locks them. A pinned source is not fetched while its locked files exist.
pub fn fetch(
    config: &Config,
    places: Places<'_>,
    lock: &mut Lock,
    now: Timestamp,
) -> Result<Vec<Fetched>, FetchError> {
    if config.geo.sources.is_empty() {
        return Err(FetchError::NoSource);
    }
    let names: Vec<&str> = config.geo.sources.iter().map(|source| source.name.as_str()).collect();
    lock.retain(&names);
    let mut all = Vec::new();
    for source in &config.geo.sources {
        let fetched = match pinned_files(source, places, lock)? {
            Some(files) => files,
            None => fetch_one(source, places, lock, now)?,
        };
        let locked = fetched.iter().map(|file| LockedSource {
            name: source.name.clone(),
            file: file.file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            from: origin_text(source, Path::new("")),
            sha256: file.sha256.clone(),
            bytes: file.bytes,
            date: date_of(&file.file),
            licence: config.geo.licence.clone(),
        });
        lock.set_source(&source.name, locked.collect());
        all.extend(fetched);
    }
    lock.retain(&names);
    Ok(all)
}

/// A pinned source's files, if they exist and match the lock.
fn pinned_files(
    source: &GeoSource,
    places: Places<'_>,
    lock: &Lock,
) -> Result<Option<Vec<Fetched>>, FetchError> {
    if lock.pin(&source.name).is_none() || lock.files_of(&source.name).next().is_none() {
        return Ok(None);
    }
    let mut pinned = Vec::new();
    for file in files(places.state, source) {
        if !file.is_file() {
            return Ok(None);
        }
        let read = sha256_of(&file).map_err(|error| FetchError::Read { path: file.clone(), source: error });
        let (sha256, bytes) = read?;
        if lock.verify_source(&source.name, &file, &sha256).is_err() {
            return Ok(None);
        }
        pinned.push(Fetched {
            source: source.name.clone(),
            file,
            bytes,
            sha256,
            outcome: FetchOutcome::Pinned,
        });
    }
    Ok(Some(pinned))
}

fn fetch_one(
    source: &GeoSource,
    places: Places<'_>,
    lock: &Lock,
    now: Timestamp,
) -> Result<Vec<Fetched>, FetchError> {
    let folder = folder(places.state, source);
    std::fs::create_dir_all(&folder)
        .map_err(|error| FetchError::Write { path: folder.clone(), source: error })?;
    let targets = files(places.state, source);
    let pin = lock.pin(&source.name);
    let until = pin.and_then(|pin| pin.until);
    // All files of a source are fetched and verified before any is replaced.
    let received = match &source.origin {
        Origin::File(path) => vec![place::copied(&places.base.join(path), &folder)?],
        Origin::Url(pattern) => {
            let month = until.and_then(|date| TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok());
            vec![url::download(pattern, &folder, month.unwrap_or(now), places.web)?]
        }
        Origin::Npm { package, files } => npm::pack(places.npm, package, files, &folder)?,
    };
    for (file, target) in received.iter().zip(&targets) {
        place::verify(file.path(), target, &source.name)?;
        if let Some(pin) = pin {
            check_pin(pin, lock, file.path(), target)?;
        }
    }
    received
        .into_iter()
        .zip(targets)
        .map(|(file, target)| place::swap_in(file, &target, &source.name))
        .collect()
}

/// Checks a received file against a pin.
fn check_pin(pin: &Pin, lock: &Lock, received: &Path, target: &Path) -> Result<(), FetchError> {
    let pinned = |found: String| FetchError::Pinned { name: pin.source.clone(), found };
    let unread = |source| FetchError::Read { path: received.to_owned(), source };
    let locked = lock.files_of(&pin.source).next().is_some();
    if locked {
        let (sha256, _) = sha256_of(received).map_err(unread)?;
        return lock
            .verify_source(&pin.source, target, &sha256)
            .map_err(|_| pinned(format!("another file (SHA-256 {})", &sha256[..12])));
    }
    match (pin.until, date_of(received)) {
        (Some(until), Some(date)) if date > until => Err(pinned(format!("of {date}, after {until}"))),
        (Some(_), None) => Err(pinned("without a date".to_owned())),
        _ => Ok(()),
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

/// The digests of fetched sources, each checked against the lock.
pub fn verify(config: &Config, state: &Path, lock: &Lock) -> Result<Vec<String>, FetchError> {
    let mut digests = Vec::new();
    for source in &config.geo.sources {
        for file in files(state, source) {
            let read =
                sha256_of(&file).map_err(|error| FetchError::Read { path: file.clone(), source: error });
            let (sha256, _) = read?;
            lock.verify_source(&source.name, &file, &sha256)?;
            digests.push(sha256);
        }
    }
    Ok(digests)
}

/// When a database was made, as stated in its metadata.
fn made_at(file: &Path) -> Option<Timestamp> {
    let bytes = ipgeo_geo::map_file(file).ok()?;
    let (_, metadata) = Layout::read(&bytes).ok()?;
    let epoch = metadata.get("build_epoch").and_then(Value::uint)?;
    Timestamp::from_second(i64::try_from(epoch).ok()?).ok()
}

/// The date of a database, as stated in its metadata.
fn date_of(file: &Path) -> Option<Date> {
    made_at(file).map(|at| TimeZone::UTC.to_datetime(at).date())
}
