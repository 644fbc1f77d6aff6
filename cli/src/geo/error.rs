//! What can go wrong when a database is compiled.

use std::path::{Path, PathBuf};

use ipgeo_runtime::geo::raw::RawError;

/// Why a database was not compiled. Nothing was overwritten.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A source can't be opened.
    #[error("source database {path} can't be opened")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A source is not a database, or damaged.
    #[error("source database {path} can't be read; fetch it again with `ipgeo geo fetch`")]
    Source {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: RawError,
    },
    /// A source's records are of no layout that is known.
    #[error(
        "source database {path} has records of no known layout; known are ip-location-db (flat), MaxMind City and \
         ASN, and IPinfo Lite"
    )]
    Layout {
        /// The file.
        path: PathBuf,
    },
    /// A source's tree has shared or circular nodes: walking it might never end.
    #[error(
        "source database {path} has shared or circular nodes in its search tree; fetch it again with \
         `ipgeo geo fetch`, or leave it out"
    )]
    Tangled {
        /// The file.
        path: PathBuf,
    },
    /// A line of a sample's text is wrong.
    #[error("line {line} of the sample: {fault}")]
    Sample {
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        fault: String,
    },
    /// There is nothing to compile.
    #[error("no source has a single location")]
    Empty,
    /// The result is larger than the format can address.
    #[error("the result is too large: {0} is more than a MaxMind DB file can address")]
    TooLarge(u64),
    /// The result can't be written.
    #[error("{path} can't be written")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl BuildError {
    pub(super) fn write(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Write { path, source }
    }
}
