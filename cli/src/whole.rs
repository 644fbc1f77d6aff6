//! Writing a file whole or not at all: beside its place, then renamed. And who may read it: what a person asked for is
//! made by the umask like every program's files; what `ipgeo` keeps for itself is its owner's alone, from the moment
//! that it is made.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use tempfile::NamedTempFile;

/// Rights before the umask takes its part.
const SHARED: u32 = 0o666;
const PRIVATE: u32 = 0o600;
const PRIVATE_FOLDER: u32 = 0o700;
/// The rights of everybody but the owner.
const OTHERS: u32 = 0o077;

/// Whether a file that is there may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replace {
    /// It is replaced.
    Yes,
    /// It is kept, and the write fails with `AlreadyExists`.
    No,
}

/// Writes `bytes` to `path`; folders above it are made. For what a person asked for.
pub fn write_whole(path: &Path, bytes: &[u8], replace: Replace) -> io::Result<()> {
    let folder = folder_of(path);
    std::fs::create_dir_all(folder)?;
    write(temporary(folder)?, path, bytes, replace)
}

/// Writes `bytes` to `path`, for its owner alone; folders above it are made.
pub fn write_private(path: &Path, bytes: &[u8], replace: Replace) -> io::Result<()> {
    let folder = folder_of(path);
    private_folder(folder)?;
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

/// The folder that a file stands in.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A file in a folder, to be renamed once it is whole; for what a person asked for.
pub fn temporary(folder: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new().permissions(Permissions::from_mode(SHARED)).tempfile_in(folder)
}

/// Opens a file to append to, for its owner alone; one that is there is narrowed to that.
pub fn private_file(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().create(true).append(true).mode(PRIVATE).open(path)?;
    let rights = file.metadata()?.permissions();
    if rights.mode() & OTHERS != 0 {
        file.set_permissions(Permissions::from_mode(rights.mode() & !OTHERS))?;
    }
    Ok(file)
}

/// Makes a folder, and those above it, for its owner alone. One that is there is left as it is.
pub fn private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(PRIVATE_FOLDER).create(path)
}

/// Takes the rights of everybody but the owner from a file or a folder that is there.
pub fn narrow(path: &Path) -> io::Result<()> {
    let mode = std::fs::metadata(path)?.permissions().mode();
    if mode & OTHERS == 0 { Ok(()) } else { std::fs::set_permissions(path, Permissions::from_mode(mode & !OTHERS)) }
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
        write_whole(&path, b"one", Replace::No).expect("written");
        let refused = write_whole(&path, b"two", Replace::No).expect_err("refused");
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).expect("a file"), b"one");
        write_whole(&path, b"two", Replace::Yes).expect("written");
        assert_eq!(std::fs::read(&path).expect("a file"), b"two");
        let left = std::fs::read_dir(path.parent().expect("a folder")).expect("a folder").count();
        assert_eq!(left, 1, "nothing is left beside it");
    }

    #[test]
    fn what_is_kept_for_the_owner_is_the_owners_from_the_first_and_narrowed_when_it_was_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let (kept, written) = (folder.path().join("kept/log"), folder.path().join("written/key"));
        private_folder(kept.parent().expect("a folder")).expect("made");
        assert_eq!(mode(kept.parent().expect("a folder")), 0o700);
        private_file(&kept).expect("made").write_all(b"a").expect("written");
        write_private(&written, b"a", Replace::Yes).expect("written");
        assert_eq!((mode(&kept), mode(&written)), (0o600, 0o600));

        std::fs::set_permissions(&kept, Permissions::from_mode(0o664)).expect("widened");
        private_file(&kept).expect("opened").write_all(b"b").expect("written");
        assert_eq!((mode(&kept), std::fs::read(&kept).expect("a file")), (0o600, b"ab".to_vec()));
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("widened");
        narrow(folder.path()).expect("narrowed");
        assert_eq!(mode(folder.path()), 0o700);
    }
}
