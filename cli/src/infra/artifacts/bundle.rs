//! Reproducible zips: entries are sorted, with fixed times and modes.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::fs::{Replace, hash_file, persist};
use crate::ui::progress::{Style, Task};

/// A file of a zip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub name: &'static str,
    pub content: Content,
    pub executable: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    File(PathBuf),
    Text(String),
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum BundleError {
    #[error("cannot read or write {path}")]
    File { path: PathBuf, source: io::Error },
    #[error(
        "the disk is full: cannot write a zip to {0}\nhelp: free some space (the state folder is set by --state), then run \
         the same command again"
    )]
    Full(PathBuf),
    #[error("cannot create a zip in {path}")]
    Zip { path: PathBuf, source: zip::result::ZipError },
}

impl BundleError {
    /// A file or folder that can't be read or written.
    pub(super) fn file(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            return Self::Full(path);
        }
        Self::File { path, source }
    }
}

impl Entry {
    pub(crate) fn file(name: &'static str, path: &Path, executable: bool) -> Self {
        Self { name, content: Content::File(path.to_owned()), executable }
    }

    pub(crate) fn text(name: &'static str, text: String) -> Self {
        Self { name, content: Content::Text(text), executable: false }
    }
}

/// Zips `entries` into `folder`, as `<digest>.zip`; returns the digest and the path. Atomic.
pub(crate) fn bundle(mut entries: Vec<Entry>, folder: &Path) -> Result<(String, PathBuf), BundleError> {
    entries.sort_by_key(|entry| entry.name);
    let failed = |source| BundleError::file(folder, source);
    std::fs::create_dir_all(folder).map_err(failed)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    write(&entries, file.as_file_mut(), folder)?;
    let digest = digest_of(file.path())?;
    let path = folder.join(format!("{digest}.zip"));
    persist(file, &path, Replace::Yes).map_err(failed)?;
    Ok((digest, path))
}

fn write(entries: &[Entry], file: impl Write + Seek, folder: &Path) -> Result<(), BundleError> {
    let zipped = |source| BundleError::Zip { path: folder.to_owned(), source };
    let mut output = Output { file, at: 0, end: 0, failed: None };
    let mut zip = ZipWriter::new(io::BufWriter::new(&mut output));
    let length = |entry: &Entry| match &entry.content {
        Content::File(path) => std::fs::metadata(path).map_or(0, |metadata| metadata.len()),
        Content::Text(_) => 0,
    };
    let task = Task::bytes(Style::current(), "zipping", Some(entries.iter().map(length).sum()));
    for entry in entries {
        // The default time is 1980-01-01: real times would make the zip irreproducible.
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .unix_permissions(if entry.executable { 0o755 } else { 0o644 });
        zip.start_file(entry.name, options).map_err(zipped)?;
        let (copied, source) = match &entry.content {
            Content::Text(text) => (io::copy(&mut text.as_bytes(), &mut zip), Path::new(entry.name)),
            Content::File(path) => {
                let copied =
                    File::open(path).and_then(|source| io::copy(&mut task.reading(source), &mut zip));
                (copied, path.as_path())
            }
        };
        copied.map_err(|error| BundleError::file(source, error))?;
    }
    task.done();
    let buffer = zip.finish().map_err(zipped)?;
    // Dropping the buffer would hide that its last bytes did not fit.
    buffer.into_inner().map_err(|error| BundleError::file(folder, error.into_error()))?;
    output.failed.map_or(Ok(()), |error| Err(BundleError::file(folder, error)))
}

/// A file that hides its first failed write until the end: `ZipWriter` prints a second message when it is dropped after one.
struct Output<W> {
    file: W,
    at: u64,
    end: u64,
    failed: Option<io::Error>,
}

impl<W: Write + Seek> Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.failed.is_none() {
            self.failed = self.file.write_all(bytes).err();
        }
        self.at += bytes.len() as u64;
        self.end = self.end.max(self.at);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.failed.is_none() {
            self.failed = self.file.flush().err();
        }
        Ok(())
    }
}

impl<W: Write + Seek> Seek for Output<W> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = match to {
            SeekFrom::Start(at) => at,
            SeekFrom::Current(by) => self.at.saturating_add_signed(by),
            SeekFrom::End(by) => self.end.saturating_add_signed(by),
        };
        if self.failed.is_none() {
            self.failed = self.file.seek(SeekFrom::Start(self.at)).err();
        }
        Ok(self.at)
    }
}

pub(super) fn digest_of(path: &Path) -> Result<String, BundleError> {
    let hashed = hash_file(path).map_err(|source| BundleError::File { path: path.to_owned(), source });
    Ok(hex::encode(hashed?.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zips_do_not_depend_on_time_or_order() {
        let folder = tempfile::tempdir().expect("a folder");
        let program = folder.path().join("program");
        std::fs::write(&program, "#!/bin/sh\n").expect("a file");
        let entries = || vec![Entry::file("bootstrap", &program, true), Entry::text("about.txt", "x".into())];
        let first = bundle(entries(), &folder.path().join("a")).expect("a zip");
        std::fs::File::open(&program)
            .and_then(|file| file.set_modified(std::time::SystemTime::UNIX_EPOCH))
            .expect("another time");
        let mut reversed = entries();
        reversed.reverse();
        let second = bundle(reversed, &folder.path().join("b")).expect("a zip");
        assert_eq!(first.0, second.0);
        let mut zip = zip::ZipArchive::new(File::open(&second.1).expect("the zip")).expect("readable");
        let names: Vec<String> = zip.file_names().map(|name| name.expect("UTF-8").into_owned()).collect();
        assert_eq!(names, ["about.txt", "bootstrap"]);
        assert_eq!(
            zip.by_name("bootstrap").expect("the program").unix_mode().map(|mode| mode & 0o777),
            Some(0o755)
        );
        std::fs::write(&program, "#!/bin/bash\n").expect("a file");
        assert_ne!(bundle(entries(), folder.path()).expect("a zip").0, first.0);
    }

    /// A disk with room for so many bytes.
    struct SmallDisk(u64, io::Cursor<Vec<u8>>);

    impl io::Write for SmallDisk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.1.position() + bytes.len() as u64 > self.0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.1.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl io::Seek for SmallDisk {
        fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
            self.1.seek(to)
        }
    }

    #[test]
    fn a_full_disk_is_one_sentence_wherever_it_fills() {
        let number = |n: u64| n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_string();
        let random = (0..60_000).fold(String::new(), |text, n| text + &number(n));
        let entries = [Entry::text("about.txt", "x".into()), Entry::text("big", random)];
        let disk = |bytes| SmallDisk(bytes, io::Cursor::default());
        let mut full = 0;
        for bytes in (0..1_000).step_by(97).chain((1_000..2_000_000).step_by(9_973)) {
            match write(&entries, disk(bytes), Path::new("state/artifacts")) {
                Ok(()) => break,
                Err(BundleError::Full(path)) => assert_eq!(path, Path::new("state/artifacts")),
                Err(error) => panic!("{bytes}: {error:?}"),
            }
            full += 1;
        }
        assert!((20..200).contains(&full), "{full}");
    }

    #[test]
    fn a_missing_file_leaves_no_partial_zip() {
        let folder = tempfile::tempdir().expect("a folder");
        let error =
            bundle(vec![Entry::file("x", Path::new("/nowhere"), false)], folder.path()).expect_err("none");
        assert_eq!(error.to_string(), "cannot read or write /nowhere");
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }
}
