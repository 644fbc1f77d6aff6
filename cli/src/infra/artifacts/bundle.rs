//! Zips that are the same to the byte whenever their content is: sorted, with fixed times and modes.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::fs::{Replace, persist};

/// Bytes that are copied at a time.
const CHUNK_BYTES: usize = 1 << 16;

/// A file of a zip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name in the zip.
    pub name: &'static str,
    /// Its content.
    pub content: Content,
    /// Whether it is a program.
    pub executable: bool,
}

/// Where a file's content is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// In a file of this machine.
    File(PathBuf),
    /// Here.
    Text(String),
}

/// Why there is no zip.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A file can't be read or written.
    #[error("{path} can't be read or written")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The zip can't be made.
    #[error("zip {path}")]
    Zip {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: zip::result::ZipError,
    },
}

impl Entry {
    /// A file of this machine.
    pub fn file(name: &'static str, path: &Path, executable: bool) -> Self {
        Self { name, content: Content::File(path.to_owned()), executable }
    }

    /// A text.
    pub fn text(name: &'static str, text: String) -> Self {
        Self { name, content: Content::Text(text), executable: false }
    }
}

/// Zips `entries` into `folder`, as `<digest>.zip`; returns the digest and the file.
pub fn bundle(mut entries: Vec<Entry>, folder: &Path) -> Result<(String, PathBuf), BundleError> {
    entries.sort_by_key(|entry| entry.name);
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| BundleError::File { path, source }
    };
    std::fs::create_dir_all(folder).map_err(failed(folder))?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed(folder))?;
    write(&entries, file.as_file_mut(), folder)?;
    let digest = digest_of(file.path())?;
    let path = folder.join(format!("{digest}.zip"));
    persist(file, &path, Replace::Yes).map_err(failed(&path))?;
    Ok((digest, path))
}

fn write(entries: &[Entry], file: &mut File, folder: &Path) -> Result<(), BundleError> {
    let zipped = |source| BundleError::Zip { path: folder.to_owned(), source };
    let mut zip = ZipWriter::new(io::BufWriter::new(file));
    for entry in entries {
        // The default time is the format's first, 1980: none of the real ones may get in.
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .unix_permissions(if entry.executable { 0o755 } else { 0o644 });
        zip.start_file(entry.name, options).map_err(zipped)?;
        let copied = match &entry.content {
            Content::Text(text) => io::copy(&mut text.as_bytes(), &mut zip),
            Content::File(path) => {
                let opened = File::open(path);
                let mut source = opened.map_err(|source| BundleError::File { path: path.clone(), source })?;
                io::copy(&mut source, &mut zip)
            }
        };
        copied.map_err(|source| BundleError::File { path: PathBuf::from(entry.name), source })?;
    }
    zip.finish().map_err(zipped)?;
    Ok(())
}

/// SHA-256 of a file, 64 hex digits.
pub(super) fn digest_of(path: &Path) -> Result<String, BundleError> {
    let failed = |source| BundleError::File { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(failed)?;
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let count = file.read(&mut chunk).map_err(failed)?;
        if count == 0 {
            return Ok(hex::encode(hasher.finalize()));
        }
        hasher.update(&chunk[..count]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_content_gives_the_same_zip_whatever_its_time_and_order() {
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

    #[test]
    fn a_missing_file_leaves_nothing_behind() {
        let folder = tempfile::tempdir().expect("a folder");
        let told =
            bundle(vec![Entry::file("x", Path::new("/nowhere"), false)], folder.path()).expect_err("none");
        assert_eq!(told.to_string(), "/nowhere can't be read or written");
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }
}
