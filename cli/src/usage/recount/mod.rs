//! Counting the stream again: into the ledger, or into a generation, which is another ledger beside it, filled from
//! the stream or restored from a backup; comparing the two, and taking a generation's items over. And counting what
//! Lambda gave up, from the failure bucket.
//!
//! There is one counter, the runtime's. It is driven here by pages of the stream in place of Lambda's batches.

mod adopt;
mod compare;
#[cfg(test)]
mod memory;
mod recover;
mod run;

pub(crate) use adopt::{Adopted, adopt};
pub(crate) use compare::{Ahead, compared, differences};
pub(crate) use recover::{Recovered, recover};
pub(crate) use run::{Replayed, Span, Unpublished, replay};

use std::fmt;
use std::str::FromStr;

/// The name of a generation: 1 to 20 of `a-z 0-9 -`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Generation(String);

/// Why a text is no name of a generation.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no name of a generation; it is 1 to 20 of a-z, 0-9 and -")]
pub(crate) struct GenerationError(String);

impl Generation {
    /// The name of the table that it is in, beside a ledger's.
    pub(crate) fn table(&self, ledger: &str) -> String {
        format!("{ledger}-{}", self.0)
    }
}

impl FromStr for Generation {
    type Err = GenerationError;

    fn from_str(text: &str) -> Result<Self, GenerationError> {
        let sound = (1..=20).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if sound { Ok(Self(text.to_owned())) } else { Err(GenerationError(text.to_owned())) }
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
