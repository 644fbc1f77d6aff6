//! Writing a file whole or not at all: beside its place, then renamed.

use std::io::{self, Write as _};
use std::path::Path;

/// Whether a file that is there may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replace {
    /// It is replaced.
    Yes,
    /// It is kept, and the write fails with `AlreadyExists`.
    No,
}

/// The folder that a file stands in.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes `bytes` to a file of our own; folders above it are made.
pub fn write_private(path: &Path, bytes: &[u8], replace: Replace) -> io::Result<()> {
    std::fs::create_dir_all(folder_of(path))?;
    write_whole(path, bytes, replace)
}

/// Fails when there is no folder for a file that somebody has named.
pub fn in_a_folder(path: &Path) -> io::Result<()> {
    let folder = folder_of(path);
    if folder.is_dir() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::NotFound, format!("there is no folder {}", folder.display())))
}

/// Writes `bytes` to `path`, in a folder that is there: one that is not is most often a mistyped one.
pub fn write_whole(path: &Path, bytes: &[u8], replace: Replace) -> io::Result<()> {
    in_a_folder(path)?;
    let folder = folder_of(path);
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        // A file that people share, not a secret.
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(std::fs::Permissions::from_mode(0o644));
    }
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    match replace {
        Replace::Yes => file.persist(path),
        Replace::No => file.persist_noclobber(path),
    }
    .map(drop)
    .map_err(|error| error.error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_whole_and_kept_when_it_must_be() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a/b.txt");
        let missing = write_whole(&path, b"none", Replace::Yes).expect_err("refused");
        assert!(missing.to_string().starts_with("there is no folder "), "{missing}");
        assert!(!folder.path().join("a").exists(), "no folder is made");
        write_private(&path, b"none", Replace::No).expect("written");
        std::fs::remove_file(&path).expect("removed");
        write_whole(&path, b"one", Replace::No).expect("written");
        let refused = write_whole(&path, b"two", Replace::No).expect_err("refused");
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).expect("a file"), b"one");
        write_whole(&path, b"two", Replace::Yes).expect("written");
        assert_eq!(std::fs::read(&path).expect("a file"), b"two");
        let left = std::fs::read_dir(path.parent().expect("a folder")).expect("a folder").count();
        assert_eq!(left, 1, "nothing is left beside it");
    }
}
