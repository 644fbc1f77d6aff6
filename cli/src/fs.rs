//! Writes files atomically: to a temporary file, which is renamed once it is complete. It also sets permissions: requested
//! output follows the umask; `ipgeo`'s own state is accessible by its owner only, from creation.

use std::fs::{DirBuilder, DirEntry, File, OpenOptions, Permissions};
use std::io::{self, BufWriter, Read as _, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

/// Permissions before the umask.
const SHARED: u32 = 0o666;
const PRIVATE: u32 = 0o600;
const PRIVATE_FOLDER: u32 = 0o700;
/// Permission bits of group and others.
const OTHERS: u32 = 0o077;
/// Buffer of [`write_streamed`]: databases are large.
const BUFFER_BYTES: usize = 1 << 20;

/// Whether an existing file may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replace {
    Yes,
    /// The write fails with `AlreadyExists`.
    No,
}

/// Fails if the folder of a requested file is missing, which is usually a typo.
pub(crate) fn require_folder(path: &Path) -> io::Result<()> {
    let folder = parent_folder(path);
    if folder.is_dir() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::NotFound, format!("there is no folder {}", folder.display())))
}

/// Writes requested output to `path`. The folder must exist.
pub(crate) fn write_output(path: &Path, bytes: &[u8], replace: Replace) -> io::Result<()> {
    require_folder(path)?;
    let path = destination(path)?;
    let mut file = shared_temporary(&path)?;
    file.write_all(bytes)?;
    persist(file, &path, replace)
}

/// Replaces `path` by requested output that `write` streams; creates missing folders. If `write` fails, the old file remains.
pub(crate) fn write_streamed<T, E: From<io::Error>>(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&mut File>) -> Result<T, E>,
) -> Result<T, E> {
    std::fs::create_dir_all(parent_folder(path))?;
    let path = destination(path)?;
    let mut file = shared_temporary(&path)?;
    let mut writer = BufWriter::with_capacity(BUFFER_BYTES, file.as_file_mut());
    let written = write(&mut writer)?;
    writer.flush()?;
    drop(writer);
    persist(file, &path, Replace::Yes)?;
    Ok(written)
}

/// Length of `<!doctype html` and of `<?xml version=`, the first bytes of what we write.
const PAGE_HEAD: usize = 14;

/// Writes an HTML page or an XML feed. It replaces only a file of the same kind: any other existing file was probably named by
/// mistake.
pub(crate) fn write_page(path: &Path, page: &str) -> io::Result<()> {
    // Reading the first bytes of a pipe would wait for ever.
    destination(path)?;
    let kind = page.as_bytes().get(..PAGE_HEAD).unwrap_or_default();
    let mut head = [0; PAGE_HEAD];
    match File::open(path).and_then(|mut file| file.read(&mut head)) {
        Ok(read) if read > 0 && !head.eq_ignore_ascii_case(kind) => Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            if page.starts_with("<?xml") {
                "the file exists and is not an XML feed; name another file, or remove it first"
            } else {
                "the file exists and is not an HTML page; name another file, or remove it first"
            },
        )),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => write_output(path, page.as_bytes(), Replace::Yes),
    }
}

/// Writes `bytes` to `path`, accessible by the owner only; creates missing folders.
pub(crate) fn write_private(path: &Path, bytes: &[u8], replace: Replace) -> io::Result<()> {
    let folder = parent_folder(path);
    create_private_folder(folder)?;
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    persist(file, path, replace)
}

/// Gives a complete temporary file its name. Its content is on the disk first, so that a crash leaves no empty file.
pub(crate) fn persist(file: NamedTempFile, path: &Path, replace: Replace) -> io::Result<()> {
    file.as_file().sync_all()?;
    match replace {
        Replace::Yes => file.persist(path),
        Replace::No => file.persist_noclobber(path),
    }
    .map(drop)
    .map_err(|error| error.error)
}

pub(crate) fn hash_file(path: &Path) -> io::Result<([u8; 32], u64)> {
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

pub(crate) fn parent_folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The file that requested output replaces or creates. A symbolic link is followed. A device or a pipe is refused, because
/// the rename would replace it.
fn destination(path: &Path) -> io::Result<PathBuf> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(found) if !found.is_file() => {
            Err(io::Error::other("it is not a regular file; to write to a device or a pipe, use `> FILE`"))
        }
        Ok(_) => std::fs::canonicalize(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(path.to_owned()),
        Err(error) => Err(error),
    }
}

/// A temporary file beside `path`, with the permissions of the file that it will replace, if any.
fn shared_temporary(path: &Path) -> io::Result<NamedTempFile> {
    let file = tempfile::Builder::new()
        .permissions(Permissions::from_mode(SHARED))
        .tempfile_in(parent_folder(path))?;
    if let Ok(old) = std::fs::metadata(path) {
        file.as_file().set_permissions(old.permissions())?;
    }
    Ok(file)
}

/// Opens a file for appending; a new one is accessible by the owner only.
pub(crate) fn append_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(PRIVATE).open(path)
}

/// Opens a file for reading and writing; a new one is accessible by the owner only.
pub(crate) fn open_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(PRIVATE).open(path)
}

/// Creates a folder and its parents, accessible by the owner only. An existing folder is not changed.
pub(crate) fn create_private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(PRIVATE_FOLDER).create(path)
}

/// Sets the umask so that all files this process creates, including those of libraries, are accessible by the owner only.
pub(crate) fn restrict_umask() {
    rustix::process::umask(Mode::from_raw_mode(OTHERS));
}

/// The entries of a folder; a missing one has none.
pub(crate) fn entries(folder: &Path) -> io::Result<Vec<DirEntry>> {
    match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries?.collect(),
    }
}

/// All files below a folder. Symbolic links to folders, which may be circular, are not followed.
pub(crate) fn files_below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in entries(folder)? {
        if entry.file_type()?.is_dir() {
            files.extend(files_below(&entry.path())?);
        } else {
            files.push(entry.path());
        }
    }
    Ok(files)
}

/// Restricts a folder and everything in it to the owner.
pub(crate) fn restrict_tree(folder: &Path) -> io::Result<()> {
    restrict(folder)?;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            restrict_tree(&entry.path())?;
        } else if kind.is_file() {
            restrict(&entry.path())?;
        }
    }
    Ok(())
}

/// Removes the permissions of group and others from an existing file or folder.
pub(crate) fn restrict(path: &Path) -> io::Result<()> {
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
    fn files_are_written_atomically_and_replaced_only_on_request() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a/b.txt");
        let missing = write_output(&path, b"none", Replace::Yes).expect_err("refused");
        assert!(missing.to_string().starts_with("there is no folder "), "{missing}");
        assert!(!folder.path().join("a").exists(), "no folder is created");
        write_private(&path, b"none", Replace::No).expect("written");
        std::fs::remove_file(&path).expect("removed");
        write_output(&path, b"one", Replace::No).expect("written");
        let refused = write_output(&path, b"two", Replace::No).expect_err("refused");
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).expect("a file"), b"one");
        write_output(&path, b"two", Replace::Yes).expect("written");
        assert_eq!(std::fs::read(&path).expect("a file"), b"two");
        let left = std::fs::read_dir(path.parent().expect("a folder")).expect("a folder").count();
        assert_eq!(left, 1, "no temporary file is left");
    }

    #[test]
    fn output_follows_links_retains_permissions_and_replaces_no_device() {
        let folder = tempfile::tempdir().expect("a folder");
        let [file, link, pipe] = ["file", "link", "pipe"].map(|name| folder.path().join(name));
        std::fs::write(&file, b"old").expect("written");
        std::fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("set");
        std::os::unix::fs::symlink(&file, &link).expect("linked");
        write_output(&link, b"new", Replace::Yes).expect("written");
        assert!(std::fs::symlink_metadata(&link).expect("a link").is_symlink());
        assert_eq!((std::fs::read(&file).expect("a file"), mode(&file)), (b"new".to_vec(), 0o600));
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, Mode::RUSR | Mode::WUSR).expect("a pipe");
        let written = write_streamed(&pipe, |out| out.write_all(b"x"));
        let refused = written.expect_err("refused").to_string();
        assert!(refused.starts_with("it is not a regular file"), "{refused}");
        let refused = write_page(&pipe, "<!doctype html>").expect_err("refused").to_string();
        assert!(refused.starts_with("it is not a regular file"), "{refused}");
        let refused = write_output(folder.path(), b"x", Replace::Yes).expect_err("refused");
        assert_eq!(refused.kind(), io::ErrorKind::IsADirectory);
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 3, "nothing else is left");
    }

    #[test]
    fn a_page_replaces_only_a_page() {
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
        write_page(&path, "<!doctype html>").expect("an empty file can be replaced");
        assert!(write_page(folder.path(), "<!doctype html>").is_err(), "a folder is not a page");
    }

    #[test]
    fn private_files_are_private_from_creation_and_wider_permissions_are_restricted() {
        let folder = tempfile::tempdir().expect("a folder");
        let (kept, written) = (folder.path().join("kept/log"), folder.path().join("written/key"));
        create_private_folder(kept.parent().expect("a folder")).expect("created");
        assert_eq!(mode(kept.parent().expect("a folder")), 0o700);
        append_private(&kept).expect("created").write_all(b"a").expect("written");
        write_private(&written, b"a", Replace::Yes).expect("written");
        assert_eq!((mode(&kept), mode(&written)), (0o600, 0o600));

        append_private(&kept).expect("opened").write_all(b"b").expect("written");
        assert_eq!(std::fs::read(&kept).expect("a file"), b"ab");

        for (path, wide) in [(&kept, 0o664), (&folder.path().to_owned(), 0o755)] {
            std::fs::set_permissions(path, Permissions::from_mode(wide)).expect("widened");
        }
        let opened = folder.path().join("opened");
        open_private(&opened).expect("created").write_all(b"ab").expect("written");
        assert_eq!(mode(&opened), 0o600);
        let mut text = String::new();
        open_private(&opened).expect("opened").read_to_string(&mut text).expect("read");
        assert_eq!(text, "ab", "it is not truncated");

        restrict_tree(folder.path()).expect("restricted");
        assert_eq!((mode(&kept), mode(folder.path())), (0o600, 0o700));
    }

    #[test]
    fn a_failed_stream_leaves_the_old_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a/b.mmdb");
        write_streamed(&path, |file| file.write_all(b"one")).expect("written");
        let failed: io::Result<()> = write_streamed(&path, |file| {
            file.write_all(b"two")?;
            Err(io::Error::other("no"))
        });
        assert_eq!(failed.expect_err("failed").to_string(), "no");
        assert_eq!(std::fs::read(&path).expect("a file"), b"one");
        let left = std::fs::read_dir(parent_folder(&path)).expect("a folder").count();
        assert_eq!(left, 1, "no temporary file is left");
    }
}
