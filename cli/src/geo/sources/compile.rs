//! Compiles the fetched sources, or the sample, into a database file. The compiler itself is `ipgeo-geo`.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use ipgeo_geo::compile::{self, BuildPhase, BuildProgress, BuildSource, DataDescription};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::input::open_overrides;
use super::out::refuse_source_overwrite;
use super::{FetchError, SourceFile, credits, made_at};
use crate::config::{Config, SourceFormat, SourceTerms};
use crate::fs::write_streamed;
use crate::geo::licence::{self, Terms};
use crate::ui::progress::Task;

/// Compiles sources into the database `out`. The same sources give the same bytes: the result has the date of the newest
/// source, or of `now` if none has a date. Data whose licence forbids serving it is not compiled.
pub fn compile(
    config: &Config,
    files: &[SourceFile],
    overrides: Option<&Path>,
    out: &Path,
    now: Timestamp,
    progress: &dyn BuildProgress,
) -> Result<(), FetchError> {
    let paths: Vec<PathBuf> =
        files.iter().map(|file| file.path.clone()).chain(overrides.map(Path::to_owned)).collect();
    refuse_source_overwrite(out, &paths)?;
    let mut description = describe(config, files, now)?;
    let (sources, dates) = open_all(files, overrides)?;
    description.source_dates = stated_dates(&sources, &dates);
    let compiled = compile::build(&sources, &description, progress)?;
    progress.begin(BuildPhase::Write, 1);
    write_database(out, |file| compiled.write(file))?;
    progress.done(1);
    Ok(())
}

/// The sources of a build, the most trusted first, and the date of each, if it states one.
pub(crate) fn open_all(
    files: &[SourceFile],
    overrides: Option<&Path>,
) -> Result<(Vec<BuildSource>, Vec<Option<Date>>), FetchError> {
    let mut sources: Vec<BuildSource> = overrides.map(open_overrides).transpose()?.into_iter().collect();
    let mut dates = vec![None; sources.len()];
    let task = Task::items("reading the sources", "source", Some(files.len()));
    for file in by_precedence(files) {
        sources.push(file.open()?);
        dates.push(made_at(&file.path).map(|at| TimeZone::UTC.to_datetime(at).date()));
        task.add(1);
    }
    task.done();
    Ok((sources, dates))
}

/// The date of each source that states one; of several files, the oldest, so that no value seems newer than it is.
fn stated_dates(sources: &[BuildSource], dates: &[Option<Date>]) -> BTreeMap<String, String> {
    let mut stated = BTreeMap::new();
    for (source, date) in sources.iter().zip(dates) {
        let Some(date) = date.map(|date| date.to_string()) else { continue };
        let known = stated.entry(source.name.clone()).or_insert_with(|| date.clone());
        *known = date.min(known.clone());
    }
    stated
}

/// Geofeeds come first, the newest before older ones, because networks state their own locations in them. The others keep
/// their order.
fn by_precedence(files: &[SourceFile]) -> Vec<&SourceFile> {
    let mut order: Vec<&SourceFile> = files.iter().collect();
    order.sort_by_key(|file| {
        let is_feed = file.form().format == SourceFormat::Geofeed;
        Reverse((is_feed, is_feed.then(|| made_at(&file.path)).flatten()))
    });
    order
}

fn terms(config: &Config, files: &[SourceFile]) -> Vec<SourceTerms> {
    let of = |file: &SourceFile| file.source.as_ref().and_then(|source| source.terms.clone());
    files.iter().map(|file| of(file).unwrap_or_else(|| config.geo.terms())).collect()
}

/// Whether the licences of all files allow passing on what is compiled from them.
pub(crate) fn all_redistributable(config: &Config, files: &[SourceFile]) -> bool {
    let main = Terms::new(&config.geo.licence, &config.geo.name).redistributable;
    main && credits::redistributable(&terms(config, files))
}

/// The terms with the shortest retention period among all sources.
pub(crate) fn strictest_terms(config: &Config) -> Terms {
    let main = Terms::new(&config.geo.licence, &config.geo.name);
    let own = config.geo.sources.iter().filter_map(|source| source.terms.as_ref());
    let all = std::iter::once(main).chain(own.map(|terms| Terms::new(&terms.licence, "")));
    all.filter(|terms| terms.retention_days.is_some())
        .min_by_key(|terms| terms.retention_days)
        .unwrap_or(main)
}

/// Describes a database of these files; fails if the licence of one forbids serving it.
fn describe(config: &Config, files: &[SourceFile], now: Timestamp) -> Result<DataDescription, FetchError> {
    let today = TimeZone::UTC.to_datetime(now).date();
    let (all, mut made, mut limited) = (terms(config, files), None, None);
    for (file, terms) in files.iter().zip(&all) {
        let name = match (&file.source, *terms == config.geo.terms()) {
            (Some(source), false) => source.name.clone(),
            _ => config.geo.name.clone(),
        };
        let at = made_at(&file.path);
        let date = at.map(|at| TimeZone::UTC.to_datetime(at).date());
        // Data without a date counts as new.
        credits::check(&name, terms, date.or(Some(today)), today)?;
        made = made.max(at);
        if Terms::new(&terms.licence, &name).retention_days.is_some() {
            limited = [limited, at].into_iter().flatten().min();
        }
    }
    // The retention period of the database is that of the source whose period ends first.
    let made = limited.or(made).unwrap_or(now);
    let credits = credits::join(config.geo.terms(), &all)?;
    let description = DataDescription {
        name: config.geo.name.clone(),
        date: TimeZone::UTC.to_datetime(made).date().to_string(),
        licence: credits.licence,
        attribution: credits.attribution,
        attribution_link: credits.attribution_link,
        build_epoch: u64::try_from(made.as_second()).unwrap_or(0),
        source_dates: BTreeMap::new(),
    };
    let data = licence::LicensedData {
        name: &description.name,
        licence: &description.licence,
        attribution: &description.attribution,
        date: &description.date,
    };
    licence::may_serve(data, today)?;
    Ok(description)
}

/// Compiles the sample database into the file `out`.
pub(crate) fn write_sample(out: &Path) -> Result<(), FetchError> {
    let bytes = compile::sample()?;
    write_database(out, |file| file.write_all(&bytes))
}

fn write_database(
    out: &Path,
    write: impl FnOnce(&mut BufWriter<&mut File>) -> io::Result<()>,
) -> Result<(), FetchError> {
    write_streamed(out, write).map_err(|source| FetchError::Write { path: out.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_replaced_atomically() {
        let folder = tempfile::tempdir().expect("a folder");
        let out = folder.path().join("geo/ipgeo.mmdb");
        write_sample(&out).expect("written");
        let before = std::fs::read(&out).expect("a file");
        assert_eq!(before, compile::sample().expect("it compiles"));
        let failed = write_database(&out, |file| {
            file.write_all(b"half a database")?;
            Err(io::Error::other("the disk is full"))
        });
        assert!(matches!(failed, Err(FetchError::Write { path, .. }) if path == out));
        assert_eq!(std::fs::read(&out).expect("a file"), before);
        assert_eq!(std::fs::read_dir(folder.path().join("geo")).expect("a folder").count(), 1);
    }
}
