//! Writes files atomically: to a temporary file, then renamed. It also sets permissions: requested output follows the
//! umask; `ipgeo`'s own state is readable by its owner only, from creation.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

/// Permissions before the umask.
const SHARED: u32 = 0o666;
const PRIVATE: u32 = 0o600;
const PRIVATE_FOLDER: u32 = 0o700;
/// Permission bits of group and others.
const OTHERS: u32 = 0o077;

/// Whether a file that is there may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replace {
    /// It is replaced.
    Yes,
    /// It is kept, and the write fails with `AlreadyExists`.
    No,
}

/// Fails if the folder of a requested file is missing.
pub fn require_folder(path: &Path) -> io::Result<()> {
    let folder = parent_folder(path);
    if folder.is_dir() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::NotFound, format!("there is no folder {}", folder.display())))
}

/// Writes requested output to `path`. The folder must exist: a missing one is usually a typo.
pub fn write_output(path: &Path, bytes: &[u8], replace: Replace) -> io::Result<()> {
    require_folder(path)?;
    write(temporary(parent_folder(path))?, path, bytes, replace)
}

/// The first bytes of every page that we write.
const PAGE: &[u8] = b"<!doctype html";

/// Writes an HTML page. It replaces only an earlier page: any other existing file was probably named by mistake.
pub fn write_page(path: &Path, page: &str) -> io::Result<()> {
    let mut head = [0; PAGE.len()];
    match File::open(path).and_then(|mut file| file.read(&mut head)) {
        Ok(read) if read > 0 && !head.eq_ignore_ascii_case(PAGE) => Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "the file exists and is not an HTML page; name another file, or remove it first",
        )),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => write_output(path, page.as_bytes(), Replace::Yes),
    }
}

/// Writes `bytes` to `path`, readable by the owner only; creates missing folders.
pub fn write_private(path: &Path, bytes: &[u8], replace: Replace) -> io::Result<()> {
    let folder = parent_folder(path);
    create_private_folder(folder)?;
    write(NamedTempFile::new_in(folder)?, path, bytes, replace)
}

fn write(mut file: NamedTempFile, path: &Path, bytes: &[u8], replace: Replace) -> io::Result<()> {
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    match replace {
        Replace::Yes => file.persist(path),
        Replace::No => file.persist_noclobber(path),
    }
    .map(drop)
    .map_err(|error| error.error)
}

/// A file's SHA-256 and size.
pub fn hash_file(path: &Path) -> io::Result<([u8; 32], u64)> {
    let (mut file, mut hasher, mut bytes) = (File::open(path)?, Sha256::new(), 0);
    let mut chunk = vec![0; 1 << 16];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok((hasher.finalize().into(), bytes)),
            count => {
                hasher.update(&chunk[..count]);
                bytes += count as u64;
            }
        }
    }
}

/// The folder of a file.
pub fn parent_folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A temporary file in a folder, for requested output; renamed once complete.
pub fn temporary(folder: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new().permissions(Permissions::from_mode(SHARED)).tempfile_in(folder)
}

/// Opens a file for appending; a new one is readable by the owner only.
pub fn append_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(PRIVATE).open(path)
}

/// Creates a folder and its parents, accessible by the owner only. An existing folder is not changed.
pub fn create_private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(PRIVATE_FOLDER).create(path)
}

/// Sets the umask so that all files this process creates, including those of libraries, are accessible by the owner only.
pub fn restrict_umask() {
    #[expect(unsafe_code, reason = "the system's call has no safe form in the standard library")]
    // SAFETY: it takes a number, touches no memory and can't fail.
    unsafe {
        libc::umask(0o077);
    }
}

/// Restricts a folder and everything in it to the owner.
pub fn restrict_tree(folder: &Path) -> io::Result<()> {
    narrow(folder)?;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            restrict_tree(&entry.path())?;
        } else if kind.is_file() {
            narrow(&entry.path())?;
        }
    }
    Ok(())
}

/// Removes the permissions of group and others from an existing file or folder.
pub fn narrow(path: &Path) -> io::Result<()> {
    let mode = std::fs::metadata(path)?.permissions().mode();
    if mode & OTHERS == 0 {
        Ok(())
    } else {
        std::fs::set_permissions(path, Permissions::from_mode(mode & !OTHERS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).expect("a file").permissions().mode() & 0o777
    }

    #[test]
    fn a_file_is_written_whole_and_kept_when_it_must_be() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a/b.txt");
        let missing = write_output(&path, b"none", Replace::Yes).expect_err("refused");
        assert!(missing.to_string().starts_with("there is no folder "), "{missing}");
        assert!(!folder.path().join("a").exists(), "no folder is made");
        write_private(&path, b"none", Replace::No).expect("written");
        std::fs::remove_file(&path).expect("removed");
        write_output(&path, b"one", Replace::No).expect("written");
        let refused = write_output(&path, b"two", Replace::No).expect_err("refused");
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).expect("a file"), b"one");
        write_output(&path, b"two", Replace::Yes).expect("written");
        assert_eq!(std::fs::read(&path).expect("a file"), b"two");
        let left = std::fs::read_dir(path.parent().expect("a folder")).expect("a folder").count();
        assert_eq!(left, 1, "nothing is left beside it");
    }

    #[test]
    fn a_page_replaces_a_page_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("usage.html");
        for page in ["<!doctype html><p>1", "<!DOCTYPE html><p>2"] {
            write_page(&path, page).expect("written");
            assert_eq!(std::fs::read_to_string(&path).expect("a file"), page);
        }
        for other in ["home = \"eu-central-1\"\n", "x", "{}"] {
            std::fs::write(&path, other).expect("written");
            let refused = write_page(&path, "<!doctype html>").expect_err("refused").to_string();
            assert!(refused.contains("not an HTML page"), "{refused}");
            assert_eq!(std::fs::read_to_string(&path).expect("a file"), other);
        }
        std::fs::write(&path, "").expect("emptied");
        write_page(&path, "<!doctype html>").expect("an empty file holds nothing");
        assert!(write_page(folder.path(), "<!doctype html>").is_err(), "a folder is no page");
    }

    #[test]
    fn what_is_kept_for_the_owner_is_the_owners_from_the_first_and_narrowed_when_it_was_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let (kept, written) = (folder.path().join("kept/log"), folder.path().join("written/key"));
        create_private_folder(kept.parent().expect("a folder")).expect("made");
        assert_eq!(mode(kept.parent().expect("a folder")), 0o700);
        append_private(&kept).expect("made").write_all(b"a").expect("written");
        write_private(&written, b"a", Replace::Yes).expect("written");
        assert_eq!((mode(&kept), mode(&written)), (0o600, 0o600));

        append_private(&kept).expect("opened").write_all(b"b").expect("written");
        assert_eq!(std::fs::read(&kept).expect("a file"), b"ab");

        for (path, wide) in [(&kept, 0o664), (&folder.path().to_owned(), 0o755)] {
            std::fs::set_permissions(path, Permissions::from_mode(wide)).expect("widened");
        }
        restrict_tree(folder.path()).expect("narrowed");
        assert_eq!((mode(&kept), mode(folder.path())), (0o600, 0o700));
    }
}
