//! Compiles the fetched sources, or the sample, into a database file. The compiler itself is `ipgeo-geo`.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use ipgeo_geo::compile::{self, BuildError, BuildPhase, BuildProgress, BuildSource, DataDescription, Source};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::out::refuse_source_overwrite;
use super::{FetchError, made_at};
use crate::config::Config;
use crate::fs::write_streamed;
use crate::geo::licence;

/// Compiles sources into the database `out`. The same sources give the same bytes: the result has the date of the newest
/// source, or of `now` if none has a date. Data whose licence forbids serving it is not compiled.
pub fn compile(
    config: &Config,
    files: &[PathBuf],
    out: &Path,
    now: Timestamp,
    progress: &dyn BuildProgress,
) -> Result<(), FetchError> {
    refuse_source_overwrite(out, files)?;
    let sources: Vec<BuildSource> =
        files.iter().map(|file| Ok(Source::open(file)?.into())).collect::<Result<_, BuildError>>()?;
    let made = files.iter().filter_map(|file| made_at(file)).max().unwrap_or(now);
    let description = DataDescription {
        name: config.geo.name.clone(),
        date: TimeZone::UTC.to_datetime(made).date().to_string(),
        licence: config.geo.licence.clone(),
        attribution: config.geo.attribution.clone(),
        attribution_link: config.geo.attribution_link.clone(),
        build_epoch: u64::try_from(made.as_second()).unwrap_or(0),
    };
    let data = licence::LicensedData {
        name: &description.name,
        licence: &description.licence,
        attribution: &description.attribution,
        date: &description.date,
    };
    licence::may_serve(data, TimeZone::UTC.to_datetime(now).date())?;
    let compiled = compile::build(&sources, &description, progress)?;
    progress.begin(BuildPhase::Write, 1);
    write_database(out, |file| compiled.write(file))?;
    progress.done(1);
    Ok(())
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
