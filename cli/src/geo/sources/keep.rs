//! Copies of before: kept for a way back, and removed when their licence lets nobody keep them.

use std::io;
use std::path::{Path, PathBuf};

use jiff::civil::Date;

use super::date_of;
use crate::geo::licence::Terms;

/// What a copy of before is called.
pub fn previous_of(file: &Path) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".previous");
    file.with_file_name(name)
}

/// Keeps a file as its previous copy, in place of the one before; the file itself stays where it is.
pub fn keep_previous(file: &Path) -> io::Result<()> {
    let previous = previous_of(file);
    let _removed_or_none = std::fs::remove_file(&previous);
    // A hard link: whoever replaces the file by a rename takes the first name only.
    std::fs::hard_link(file, previous)
}

/// Removes the previous copies below a state folder whose time is over; returns them. One without a date is
/// removed too: nobody can say that it may be kept.
pub fn purge(state: &Path, terms: Terms, today: Date) -> io::Result<Vec<PathBuf>> {
    if terms.keep_days.is_none() {
        return Ok(Vec::new());
    }
    let mut removed = Vec::new();
    for file in previous_below(&state.join("geo"))? {
        let over = date_of(&file).and_then(|date| terms.last_day(date)).is_none_or(|last| today > last);
        if over {
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
    use super::*;
    use crate::geo::{About, sample_of};

    #[test]
    fn only_previous_copies_whose_time_is_over_go() {
        let state = tempfile::tempdir().expect("a folder");
        let folder = state.path().join("geo/sources/city");
        std::fs::create_dir_all(&folder).expect("a folder");
        let of = |date: &str| {
            let at: jiff::Timestamp = format!("{date}T00:00:00Z").parse().expect("a time");
            let about =
                About { build_epoch: u64::try_from(at.as_second()).expect("after 1970"), ..About::default() };
            sample_of("8.8.8.0/24 | US | | | | | | | |", &about).expect("it compiles")
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
        let free = purge(state.path(), Terms::of("CC BY 4.0", ""), today).expect("looked");
        assert!(free.is_empty());
        let removed = purge(state.path(), Terms::of("GeoLite", ""), today).expect("looked");
        assert_eq!(names(removed), ["broken.mmdb.previous", "old.mmdb.previous"]);
        assert!(folder.join("old.mmdb").is_file() && folder.join("new.mmdb.previous").is_file());
        assert_eq!(previous_of(Path::new("a/ipgeo.mmdb")), Path::new("a/ipgeo.mmdb.previous"));
    }
}
