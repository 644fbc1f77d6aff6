//! Previous copies of databases: stored for a rollback, deleted once their licence's retention period has ended.

use std::io;
use std::path::{Path, PathBuf};

use jiff::civil::Date;

use super::date_of;
use crate::geo::licence::Terms;

pub(crate) fn previous_path(file: &Path) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".previous");
    file.with_file_name(name)
}

/// Stores a file as its previous copy, replacing the last one; the file itself stays.
pub(crate) fn keep_previous(file: &Path) -> io::Result<()> {
    let previous = previous_path(file);
    let _removed_or_none = std::fs::remove_file(&previous);
    // A hard link: a rename over the file replaces only the original name.
    std::fs::hard_link(file, previous)
}

/// Deletes the previous copies below a state folder whose retention period has ended, or that have no date; returns them.
pub(crate) fn purge(state: &Path, terms: Terms, today: Date) -> io::Result<Vec<PathBuf>> {
    if terms.retention_days.is_none() {
        return Ok(Vec::new());
    }
    let mut removed = Vec::new();
    for file in previous_below(&state.join("geo"))? {
        let expired = date_of(&file).and_then(|date| terms.last_day(date)).is_none_or(|last| today > last);
        if expired {
            std::fs::remove_file(&file)?;
            removed.push(file);
        }
    }
    removed.sort();
    Ok(removed)
}

fn previous_below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            found.extend(previous_below(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "previous") {
            found.push(path);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use ipgeo_geo::compile::{DataDescription, compile_text};

    use super::*;

    #[test]
    fn only_expired_previous_copies_are_deleted() {
        let state = tempfile::tempdir().expect("a folder");
        let folder = state.path().join("geo/sources/city");
        std::fs::create_dir_all(&folder).expect("a folder");
        let of = |date: &str| {
            let at: jiff::Timestamp = format!("{date}T00:00:00Z").parse().expect("a time");
            let description = DataDescription {
                build_epoch: u64::try_from(at.as_second()).expect("after 1970"),
                ..DataDescription::default()
            };
            compile_text("8.8.8.0/24 | US | | | | | | | |", &description).expect("it compiles")
        };
        let write = |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes).expect("written");
        write("old.mmdb", &of("2026-09-01"));
        write("old.mmdb.previous", &of("2026-09-01"));
        write("new.mmdb.previous", &of("2026-11-01"));
        write("broken.mmdb.previous", b"no database");
        let today = "2026-11-25".parse().expect("a date");
        let names = |removed: Vec<PathBuf>| -> Vec<String> {
            removed.iter().map(|p| p.file_name().expect("a name").to_string_lossy().into_owned()).collect()
        };
        let free = purge(state.path(), Terms::new("CC BY 4.0", ""), today).expect("looked");
        assert!(free.is_empty());
        let removed = purge(state.path(), Terms::new("GeoLite", ""), today).expect("looked");
        assert_eq!(names(removed), ["broken.mmdb.previous", "old.mmdb.previous"]);
        assert!(folder.join("old.mmdb").is_file() && folder.join("new.mmdb.previous").is_file());
        assert_eq!(previous_path(Path::new("a/ipgeo.mmdb")), Path::new("a/ipgeo.mmdb.previous"));
    }
}
