//! A downloaded file's HTTP validators (`ETag`, `Last-Modified`), so that the next fetch does not download an unchanged file
//! again. They are stored beside the file, in `<file>.http`.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::place::sha256_of;
use crate::fs::{Replace, write_output};

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Validators {
    /// SHA-256 of the URL, which may hold a key.
    url: String,
    /// SHA-256 of the file that is stored.
    sha256: String,
    pub etag: Option<String>,
    pub last_modified: Option<String>,
}

fn path(file: &Path) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".http");
    file.with_file_name(name)
}

fn hash(url: &str) -> String {
    hex::encode(Sha256::digest(url.as_bytes()))
}

impl Validators {
    pub(super) fn new(url: &str, etag: Option<String>, last_modified: Option<String>) -> Self {
        Self { url: hash(url), sha256: String::new(), etag, last_modified }
    }

    fn read(file: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(path(file)).ok()?).ok()
    }

    /// Those of an intact file that was downloaded from this URL.
    pub(super) fn of(file: &Path, url: &str) -> Option<Self> {
        let found = Self::read(file).filter(|found| found.url == hash(url))?;
        (sha256_of(file).ok()?.0 == found.sha256).then_some(found)
    }

    /// The day when the file was published.
    pub(super) fn published(&self) -> Option<Date> {
        self.time().map(|at| TimeZone::UTC.to_datetime(at).date())
    }

    fn time(&self) -> Option<Timestamp> {
        let text = self.last_modified.as_ref()?;
        jiff::fmt::rfc2822::parse(text).ok().map(|time| time.timestamp())
    }

    /// Stores them beside the file, whose digest is `sha256`.
    pub(super) fn write(self, file: &Path, sha256: &str) -> std::io::Result<()> {
        let text = serde_json::to_vec(&Self { sha256: sha256.to_owned(), ..self })?;
        write_output(&path(file), &text, Replace::Yes)
    }
}

/// When a downloaded file was published, by its server.
pub(super) fn published_at(file: &Path) -> Option<Timestamp> {
    Validators::read(file)?.time()
}
