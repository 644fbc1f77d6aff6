//! Received files: verified, then put in place atomically; the old file becomes the previous copy.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use ipgeo_geo::compile::{BuildError, Skipped, other_kind};
use ipgeo_geo::map_file;
use ipgeo_geo::raw::{Layout, Step};
use serde::Serialize;
use tempfile::NamedTempFile;

use super::input::SourceForm;
use super::keep::keep_previous;
use super::{BYTES_MAX, FetchError};
use crate::config::GeoSource;
use crate::fs::{Replace, hash_file, persist};
use crate::ui::format::{counted, float, size};

/// How gzip's files begin: its mark and its only method. A database begins with the number of a node, which is not that large.
const GZIP: [u8; 3] = [0x1f, 0x8b, 8];
/// A new file smaller than this share of the old one counts as truncated.
const SHRINK_MAX: f64 = 0.5;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Fetched {
    pub source: String,
    pub file: PathBuf,
    pub bytes: u64,
    /// Hex.
    pub sha256: String,
    pub outcome: FetchOutcome,
    /// What was skipped in it, or why it was not fetched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

/// Whether a fetched file is new.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FetchOutcome {
    /// The old file is now `.previous`.
    Updated,
    New,
    #[default]
    Unchanged,
    /// Pinned, therefore not fetched.
    Pinned,
    /// Optional and not available; the previous file stays.
    Kept,
    /// Optional and never fetched.
    Missing,
}

pub(super) fn copied(from: &Path, folder: &Path) -> Result<NamedTempFile, FetchError> {
    let failed = |source| FetchError::Read { path: from.to_owned(), source };
    // Opening a pipe would block until it has a writer, and a device may never end.
    if !std::fs::metadata(from).map_err(failed)?.is_file() {
        return Err(failed(io::Error::other("it is not a file")));
    }
    let input = File::open(from).map_err(failed)?;
    let unwritten = |source| FetchError::Write { path: folder.to_owned(), source };
    let out = NamedTempFile::new_in(folder).map_err(unwritten)?;
    unpacked(input, out).map_err(|source| match source.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => unwritten(source),
        _ => failed(source),
    })
}

/// Copies a stream into a temporary file, unpacked if it is compressed with gzip; fails above `BYTES_MAX`. Names do not matter:
/// an error page may have the name of a `.gz`, and some servers compress whatever they send.
pub(super) fn received(from: impl io::Read, folder: &Path) -> Result<NamedTempFile, io::Error> {
    unpacked(from, NamedTempFile::new_in(folder)?)
}

fn unpacked(mut from: impl io::Read, mut out: NamedTempFile) -> Result<NamedTempFile, io::Error> {
    let mut start = Vec::new();
    from.by_ref().take(GZIP.len() as u64).read_to_end(&mut start)?;
    let is_packed = start == GZIP;
    let all = start.as_slice().chain(from);
    let bytes = if is_packed {
        // Parts that were compressed one by one are a valid file, too.
        io::copy(&mut MultiGzDecoder::new(all).take(BYTES_MAX + 1), out.as_file_mut())
            .map_err(unpack_error)?
    } else {
        io::copy(&mut all.take(BYTES_MAX + 1), out.as_file_mut())?
    };
    if bytes > BYTES_MAX {
        return Err(io::Error::other(format!("it is larger than {}", size(BYTES_MAX))));
    }
    Ok(out)
}

fn unpack_error(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::UnexpectedEof | ErrorKind::InvalidInput | ErrorKind::InvalidData => {
            io::Error::new(error.kind(), format!("its gzip data is truncated or damaged: {error}"))
        }
        _ => error,
    }
}

/// Rejects a file that is not what its source says, has no data, or is much smaller than the one it would replace. Returns
/// what is skipped in it.
pub(super) fn verify(file: &Path, target: &Path, source: &GeoSource) -> Result<Option<String>, FetchError> {
    let form = SourceForm::new(&target.to_string_lossy(), Some(source));
    let warning = match &form.ranges {
        None => verify_database(file, &source.name).map(|()| None)?,
        Some(format) => match form.read(file, format) {
            Ok(ranges) => passed_over(ranges.skipped()),
            Err(BuildError::Feed { fault, .. }) => {
                return Err(FetchError::Rejected { name: source.name.clone(), fault });
            }
            Err(error) => return Err(error.into()),
        },
    };
    refuse_shrunk(file, target, &source.name)?;
    Ok(warning)
}

/// Describes the skipped parts of a file.
fn passed_over(skipped: &Skipped) -> Option<String> {
    let mut parts = Vec::new();
    if skipped.reserved > 0 {
        parts.push(format!("{} without public addresses", counted(skipped.reserved, "network")));
    }
    if let Some(first) = &skipped.first_invalid {
        let lines = counted(skipped.invalid, "invalid line");
        let first_of = if skipped.invalid == 1 { "" } else { "the first is " };
        parts.push(format!("{lines}, {first_of}{first}"));
    }
    (!parts.is_empty()).then(|| format!("skipped {}", parts.join(" and ")))
}

/// Rejects a file that is not a database, or has no data.
fn verify_database(file: &Path, name: &str) -> Result<(), FetchError> {
    let rejected = |fault: String| FetchError::Rejected { name: name.to_owned(), fault };
    let bytes = map_file(file).map_err(|error| rejected(format!("it can't be read: {error}")))?;
    let kind_or = |error: String| rejected(other_kind(&bytes).unwrap_or(error));
    let (layout, _) = Layout::read(&bytes).map_err(|error| kind_or(error.to_string()))?;
    // A file with a gap in the middle has nodes that point to invalid data.
    let nodes = layout.node_count;
    let some = (0..nodes).step_by((nodes as usize / 1_000).max(1));
    let mut found = 0_u32;
    for node in some {
        for bit in [0, 1] {
            if let Step::Data(offset) = layout.step(layout.record(&bytes, node, bit)) {
                layout.data(&bytes).value(offset).map_err(|error| rejected(error.to_string()))?;
                found += 1;
            }
        }
    }
    if found == 0 && nodes > 1_000 {
        return Err(rejected("it has no locations".to_owned()));
    }
    Ok(())
}

fn refuse_shrunk(file: &Path, target: &Path, name: &str) -> Result<(), FetchError> {
    let [Ok(new), Ok(old)] = [file, target].map(std::fs::metadata) else { return Ok(()) };
    let ratio = float(new.len()) / float(old.len().max(1));
    if ratio >= SHRINK_MAX {
        return Ok(());
    }
    let fault = format!(
        "it has {}, the one in use {}; if that is correct, delete {}",
        size(new.len()),
        size(old.len()),
        target.display()
    );
    Err(FetchError::Rejected { name: name.to_owned(), fault })
}

/// A file that is unchanged on its server.
pub(super) fn unchanged(file: &Path, name: &str) -> Result<Fetched, FetchError> {
    let read = sha256_of(file).map_err(|source| FetchError::Read { path: file.to_owned(), source });
    let (sha256, bytes) = read?;
    let (source, file, outcome) = (name.to_owned(), file.to_owned(), FetchOutcome::Unchanged);
    Ok(Fetched { source, file, bytes, sha256, outcome, warning: None })
}

pub fn sha256_of(path: &Path) -> io::Result<(String, u64)> {
    let (hash, bytes) = hash_file(path)?;
    Ok((hex::encode(hash), bytes))
}

/// Moves a verified file into place; the old one becomes `<file>.previous`.
pub(super) fn swap_in(file: NamedTempFile, target: &Path, name: &str) -> Result<Fetched, FetchError> {
    let failed = |source| FetchError::Write { path: target.to_owned(), source };
    let (new, bytes) = sha256_of(file.path()).map_err(failed)?;
    let fetched = |outcome| Fetched {
        source: name.to_owned(),
        file: target.to_owned(),
        bytes,
        sha256: new.clone(),
        outcome,
        warning: None,
    };
    let outcome = match sha256_of(target) {
        Ok((old, _)) if old == new => return Ok(fetched(FetchOutcome::Unchanged)),
        Ok(_) => FetchOutcome::Updated,
        Err(_) => FetchOutcome::New,
    };
    if outcome == FetchOutcome::Updated {
        keep_previous(target).map_err(failed)?;
    }
    persist(file, target, Replace::Yes).map_err(failed)?;
    Ok(fetched(outcome))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_that_cannot_be_written_names_its_folder_and_not_the_source() {
        let folder = tempfile::tempdir().expect("a folder");
        let from = folder.path().join("x.csv");
        std::fs::write(&from, "1.1.1.1").expect("written");
        let error = copied(&from, &folder.path().join("missing")).expect_err("no folder");
        assert!(matches!(&error, FetchError::Write { path, .. } if path.ends_with("missing")), "{error}");
        let error = copied(&folder.path().join("missing.csv"), folder.path()).expect_err("no source");
        assert!(matches!(&error, FetchError::Read { path, .. } if path.ends_with("missing.csv")), "{error}");
    }
}
