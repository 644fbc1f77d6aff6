//! Files that came: verified, compared, swapped in whole; what was there is kept beside.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use ipgeo_geo::map_file;
use ipgeo_geo::raw::{Layout, Step};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::keep::keep_previous;
use super::{BYTES_MAX, FetchError};
use crate::fs::{Replace, persist};
use crate::ui::format::size;

/// A new file may be this much smaller than the old one before it is taken for a cut one.
const SHRINK_MAX: f64 = 0.5;

/// What became of a source's file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Fetched {
    /// The source.
    pub source: String,
    /// Where the file is.
    pub file: PathBuf,
    /// Its bytes.
    pub bytes: u64,
    /// Its SHA-256, hex.
    pub sha256: String,
    /// Whether it is new.
    pub outcome: Outcome,
}

/// Whether a fetched file is new.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It replaced another, which is kept as `.previous`.
    Updated,
    /// It is the first.
    New,
    /// It is the same as before.
    #[default]
    Unchanged,
    /// It is pinned, and was not asked for.
    Pinned,
}

/// Copies a file of this machine.
pub(super) fn copied(from: &Path, folder: &Path) -> Result<NamedTempFile, FetchError> {
    let failed = |source| FetchError::Read { path: from.to_owned(), source };
    // Opening a pipe would block until it has a writer, and a device may never end.
    if !std::fs::metadata(from).map_err(failed)?.is_file() {
        return Err(failed(io::Error::other("it is not a file")));
    }
    let input = File::open(from).map_err(failed)?;
    received(input, folder).map_err(failed)
}

/// Copies a stream into a temporary file, up to the largest size that is sane.
pub(super) fn received(mut from: impl io::Read, folder: &Path) -> Result<NamedTempFile, io::Error> {
    let mut out = NamedTempFile::new_in(folder)?;
    let bytes = io::copy(&mut io::Read::take(&mut from, BYTES_MAX + 1), out.as_file_mut())?;
    if bytes > BYTES_MAX {
        return Err(io::Error::other(format!("it is larger than {}", size(BYTES_MAX))));
    }
    Ok(out)
}

/// Refuses what is no database, is empty, or is much smaller than what it would replace.
pub(super) fn verify(file: &Path, target: &Path, name: &str) -> Result<(), FetchError> {
    let unsound = |fault: String| FetchError::Unsound { name: name.to_owned(), fault };
    let bytes = map_file(file).map_err(|error| unsound(format!("it can't be read: {error}")))?;
    let (layout, _) = Layout::read(&bytes).map_err(|error| unsound(error.to_string()))?;
    // A file cut in the middle and mended at the end would have nodes and no data behind them.
    let nodes = layout.node_count;
    let some = (0..nodes).step_by((nodes as usize / 1_000).max(1));
    let mut found = 0_u32;
    for node in some {
        for bit in [0, 1] {
            if let Step::Data(offset) = layout.step(layout.record(&bytes, node, bit)) {
                layout.data(&bytes).value(offset).map_err(|error| unsound(error.to_string()))?;
                found += 1;
            }
        }
    }
    if found == 0 && nodes > 1_000 {
        return Err(unsound("it has no locations".to_owned()));
    }
    if let Ok(old) = std::fs::metadata(target) {
        #[expect(clippy::cast_precision_loss, reason = "a ratio of file sizes")]
        let ratio = bytes.len() as f64 / old.len().max(1) as f64;
        if ratio < SHRINK_MAX {
            return Err(unsound(format!(
                "it has {} and the one in use {}; remove {} if that is right",
                size(bytes.len() as u64),
                size(old.len()),
                target.display()
            )));
        }
    }
    Ok(())
}

/// A file's SHA-256, hex, and its bytes.
pub fn sha256_of(path: &Path) -> io::Result<(String, u64)> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let bytes = io::copy(&mut file, &mut HashWriter(&mut hasher))?;
    Ok((hex::encode(hasher.finalize()), bytes))
}

struct HashWriter<'a>(&'a mut Sha256);

impl io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Puts a verified file where it belongs; the old one becomes `<file>.previous`.
pub(super) fn swap_in(file: NamedTempFile, target: &Path, name: &str) -> Result<Fetched, FetchError> {
    let failed = |source| FetchError::Write { path: target.to_owned(), source };
    let (new, bytes) = sha256_of(file.path()).map_err(failed)?;
    let fetched = |outcome| Fetched {
        source: name.to_owned(),
        file: target.to_owned(),
        bytes,
        sha256: new.clone(),
        outcome,
    };
    let outcome = match sha256_of(target) {
        Ok((old, _)) if old == new => return Ok(fetched(Outcome::Unchanged)),
        Ok(_) => Outcome::Updated,
        Err(_) => Outcome::New,
    };
    if outcome == Outcome::Updated {
        keep_previous(target).map_err(failed)?;
    }
    persist(file, target, Replace::Yes).map_err(failed)?;
    Ok(fetched(outcome))
}
