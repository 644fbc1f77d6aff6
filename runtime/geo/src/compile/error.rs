//! Why a build fails.

use std::path::PathBuf;

use crate::raw::RawError;

/// Why a database was not compiled.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A source can't be opened.
    #[error("cannot open source database {path}")]
    Open {
        /// The source.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A source is not a database, or damaged.
    #[error("cannot read source database {path}; fetch it again with `ipgeo geo fetch`")]
    Source {
        /// The source.
        path: PathBuf,
        /// The cause.
        #[source]
        source: RawError,
    },
    /// A source's records have an unknown layout.
    #[error(
        "the records of source database {path} have an unknown layout; supported are ip-location-db (flat), MaxMind City \
         and ASN, and IPinfo Lite"
    )]
    Layout {
        /// The source.
        path: PathBuf,
    },
    /// A source's tree has shared or circular nodes: walking it might never end, or take far too long.
    #[error(
        "source database {path} has shared or circular nodes in its search tree; fetch it again with \
         `ipgeo geo fetch`, or leave it out"
    )]
    Tangled {
        /// The source.
        path: PathBuf,
    },
    /// A source that is not a database has an error.
    #[error("{path}: {fault}")]
    Feed {
        /// The source.
        path: PathBuf,
        /// What is wrong, with its place.
        fault: String,
    },
    /// A line of a text to compile is invalid.
    #[error("line {line} of the text: {fault}")]
    Text {
        /// The line, counted from 1.
        line: usize,
        /// What is wrong.
        fault: String,
    },
    /// The sources hold no location and no network.
    #[error("the sources hold no location")]
    Empty,
    /// The result is larger than the format can address; its size in bytes.
    #[error("the result is too large for a MaxMind DB file: {0} bytes")]
    TooLarge(u64),
}
