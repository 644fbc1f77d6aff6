//! The geo database's zip alone: created, unpacked for a rollback, and deleted when its licence requires it.

use std::fs::{DirEntry, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use zip::ZipArchive;

use super::index::Index;
use super::prepare::{DATABASE_NAME, NOTE_NAME, PrepareError, file_of, geo_zip, is_intact};
use crate::config::Config;
use crate::fs::{entries, write_streamed};
use crate::geo::licence::Terms;
use crate::infra::plan::ArtifactFile;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DatabaseArtifact {
    pub file: ArtifactFile,
    /// The layer's description.
    pub description: String,
}

/// Zips a compiled database unless its zip exists.
pub(crate) fn prepare_database(
    config: &Config,
    state: &Path,
    database: &Path,
    report: &dyn Fn(&str),
) -> Result<DatabaseArtifact, PrepareError> {
    let mut index = Index::read(state);
    let folder = Index::folder(state);
    let geo = geo_zip(config, database, index.geo.take(), &folder, report)?;
    let made = DatabaseArtifact { file: file_of("geo", &geo, &folder), description: geo.description.clone() };
    index.geo = Some(geo);
    index.write(state)?;
    Ok(made)
}

/// The zip with this digest, if it exists undamaged on this machine.
pub(crate) fn database_zip(state: &Path, digest: &str) -> Option<PathBuf> {
    let file = Index::folder(state).join(format!("{digest}.zip"));
    is_intact(&file, digest).filter(|intact| *intact).map(|_| file)
}

pub(crate) fn unzip_database(zip: &Path, out: &Path) -> io::Result<()> {
    let mut archive = ZipArchive::new(File::open(zip)?).map_err(io::Error::other)?;
    let mut entry = archive.by_name(DATABASE_NAME).map_err(io::Error::other)?;
    write_streamed(out, |file| io::copy(&mut entry, file).map(drop))
}

/// The terms and the date in a zip's note; `None`: not a database zip.
fn note(zip: &Path) -> Option<(Terms, Option<Date>)> {
    let mut archive = ZipArchive::new(File::open(zip).ok()?).ok()?;
    let mut text = String::new();
    archive.by_name(NOTE_NAME).ok()?.take(10_000).read_to_string(&mut text).ok()?;
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    let terms = Terms::new(field("licence: "), text.lines().next().unwrap_or_default());
    Some((terms, field("date: ").parse().ok()))
}

/// Deletes zips of databases whose licence's retention period has ended; returns them.
pub(crate) fn purge_artifacts(state: &Path, today: Date) -> io::Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = entries(&Index::folder(state))?.iter().map(DirEntry::path).collect();
    files.retain(|file| note(file).is_some_and(|(terms, date)| terms.has_ended(date, today)));
    files.sort();
    files.iter().try_for_each(std::fs::remove_file)?;
    Ok(files)
}

#[cfg(test)]
mod tests {
    use ipgeo_geo::compile::{DataDescription, compile_text};

    use super::*;
    use crate::infra::stacks::test_config;

    fn database(folder: &Path, date: &str) -> PathBuf {
        let path = folder.join(format!("{date}.mmdb"));
        let description =
            DataDescription { name: "x".into(), date: date.into(), ..DataDescription::default() };
        let bytes = compile_text("8.8.8.0/24 | US | | | | | | | |", &description).expect("it compiles");
        std::fs::write(&path, bytes).expect("written");
        path
    }

    #[test]
    fn zips_are_created_unpacked_and_deleted_when_expired() {
        let state = tempfile::tempdir().expect("a folder");
        let mut config = test_config();
        let out = state.path().join("out.mmdb");
        let today = "2026-11-25".parse().expect("a date");
        for (name, old_goes) in [("DB-IP City Lite", false), ("GeoLite City", true)] {
            config.geo.name = name.into();
            let zip = |date: &str| {
                let made = prepare_database(&config, state.path(), &database(state.path(), date), &|_| ());
                made.expect("zipped").file
            };
            let (old, new) = (zip("2026-09-01"), zip("2026-11-01"));
            assert_eq!(database_zip(state.path(), &new.artifact.digest).as_deref(), Some(new.file.as_path()));
            // A damaged zip is created again, and until then it counts as missing.
            let content = std::fs::read(&new.file).expect("a zip");
            std::fs::write(&new.file, &content[..content.len() / 2]).expect("torn");
            assert_eq!(database_zip(state.path(), &new.artifact.digest), None);
            let notes = std::sync::Mutex::new(Vec::new());
            let note = |line: &str| notes.lock().expect("unpoisoned").push(line.to_owned());
            let database = database(state.path(), "2026-11-01");
            prepare_database(&config, state.path(), &database, &note).expect("zipped");
            assert_eq!(std::fs::read(&new.file).expect("a zip"), content);
            assert!(notes.lock().expect("unpoisoned")[0].ends_with("is damaged; creating it again"));
            unzip_database(&old.file, &out).expect("unzipped");
            assert_eq!(
                std::fs::read(&out).expect("a file"),
                std::fs::read(state.path().join("2026-09-01.mmdb")).expect("a file")
            );
            let removed = purge_artifacts(state.path(), today).expect("looked");
            let expected = if old_goes { vec![old.file.clone()] } else { Vec::new() };
            assert_eq!(removed, expected, "{name}");
            assert!(new.file.is_file());
        }
    }
}
