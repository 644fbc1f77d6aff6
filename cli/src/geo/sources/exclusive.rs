//! One fetch, build or rollback at a time changes the geo data of a state folder, or the same output. The next one deletes
//! the temporary files of one that was killed.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::time::Duration;

use super::FetchError;

/// A younger temporary file may be another command's, which writes a small file without the lock.
const LEFTOVER_AGE: Duration = Duration::from_mins(1);

/// A lock on a folder or file. It ends when this is dropped, and with the process, however that ends.
#[derive(Debug)]
#[must_use]
pub struct PathLock {
    /// `None`: the file system has no locks, so nothing is locked.
    file: Option<File>,
}

impl PathLock {
    /// Locks an existing folder or file; fails if another process has it.
    pub fn take(path: &Path) -> Result<Self, FetchError> {
        let file = File::open(path).map_err(|source| FetchError::Read { path: path.to_owned(), source })?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file: Some(file) }),
            Err(TryLockError::WouldBlock) => Err(FetchError::Busy { path: path.to_owned() }),
            Err(TryLockError::Error(_)) => Ok(Self { file: None }),
        }
    }

    /// Locks the geo data of a state folder, and deletes what a killed run left there.
    pub fn of_state(state: &Path) -> Result<Self, FetchError> {
        let folder = state.join("geo");
        let failed = |source| FetchError::Write { path: folder.clone(), source };
        std::fs::create_dir_all(&folder).map_err(failed)?;
        let lock = Self::take(&folder)?;
        if lock.file.is_some() {
            delete_leftovers(&folder).map_err(failed)?;
            for source in folders(&folder.join("sources")).map_err(failed)? {
                delete_leftovers(&source).map_err(failed)?;
            }
        }
        Ok(lock)
    }
}

fn folders(folder: &Path) -> io::Result<Vec<std::path::PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries = std::fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    let is_folder = |entry: &std::fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    Ok(entries.into_iter().filter(is_folder).map(|entry| entry.path()).collect())
}

/// Deletes old temporary files and folders, which have the names that `tempfile` gives them.
fn delete_leftovers(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let random = name.to_str().and_then(|name| name.strip_prefix(".tmp")).unwrap_or_default();
        let is_temporary = random.len() == 6 && random.bytes().all(|byte| byte.is_ascii_alphanumeric());
        // One that vanishes in between is its owner's.
        let Some(found) = entry.metadata().ok().filter(|_| is_temporary) else { continue };
        let age = found.modified()?.elapsed().unwrap_or_default();
        if age < LEFTOVER_AGE {
            continue;
        }
        if found.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        } else {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_old_temporary_files_are_deleted_and_only_with_the_lock() {
        let state = tempfile::tempdir().expect("a folder");
        let source = state.path().join("geo/sources/city");
        std::fs::create_dir_all(source.join(".tmpAb3dE6")).expect("a folder");
        std::fs::write(source.join(".tmpAb3dE6/pkg.tgz"), "half").expect("written");
        let names =
            [".tmpXyZ019", ".tmpnew012", "city.csv", ".tmp", ".tmpA b3dE", ".tmpAb3dE6x", "x.tmpAb3dE6"];
        for name in names {
            std::fs::write(source.join(name), "x").expect("written");
        }
        std::fs::write(state.path().join("geo/.tmpBuild1"), "half a database").expect("written");
        let entries = |folder: &Path| -> Vec<String> {
            let entries = std::fs::read_dir(folder).expect("a folder");
            let mut names: Vec<_> = entries
                .map(|entry| entry.expect("an entry").file_name().into_string().expect("text"))
                .collect();
            names.sort();
            names
        };
        let age = |path: &Path| {
            let old = std::time::SystemTime::now() - 2 * LEFTOVER_AGE;
            File::open(path).and_then(|file| file.set_modified(old)).expect("aged");
        };
        for name in entries(&source).iter().filter(|name| *name != ".tmpnew012") {
            age(&source.join(name));
        }
        age(&state.path().join("geo/.tmpBuild1"));
        // Another run has the lock: its files stay.
        let other = PathLock::take(&state.path().join("geo")).expect("locked");
        let before = entries(&source);
        let busy = PathLock::of_state(state.path()).expect_err("locked").to_string();
        assert!(busy.contains("another `ipgeo geo fetch`") && busy.contains("help: wait"), "{busy}");
        assert_eq!(entries(&source), before);
        drop(other);
        let _lock = PathLock::of_state(state.path()).expect("free");
        let mut kept = names.to_vec();
        kept.retain(|name| *name != ".tmpXyZ019");
        kept.sort_unstable();
        assert_eq!(entries(&source), kept);
        assert_eq!(entries(&state.path().join("geo")), ["sources"]);
    }
}
