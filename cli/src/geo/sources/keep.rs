//! Previous copies of databases: stored for a rollback, deleted once their licence's retention period has ended.

use std::io;
use std::path::{Path, PathBuf};

use jiff::civil::Date;

use super::date_of;
use crate::fs::files_below;
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
    let is_previous = |file: &PathBuf| file.extension().is_some_and(|extension| extension == "previous");
    let mut files = files_below(&state.join("geo"))?;
    files.retain(|file| is_previous(file) && terms.has_ended(date_of(file), today));
    files.sort();
    files.iter().try_for_each(std::fs::remove_file)?;
    Ok(files)
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
