//! Counts the usage stream again, into the ledger or into a shadow ledger: a second ledger table that is filled from the
//! stream or restored from a backup. Compares the two and adopts the shadow ledger's items. Also recovers batches that Lambda
//! gave up, of the counter and of forwarders.
//!
//! The counter is always the runtime's; here it receives pages of the stream instead of Lambda's batches.

mod adopt;
mod compare;
mod forwarded;
#[cfg(test)]
mod memory;
mod recover;
mod run;

pub(crate) use adopt::{Adopted, adopt};
pub(crate) use compare::{Ahead, compared, differences};
pub(crate) use recover::{Recovered, Recovery};
pub(crate) use run::{ReplaySpan, Replayed, Unpublished, replay};

use std::fmt;
use std::str::FromStr;

/// The name of a shadow ledger: 1 to 20 of `a-z 0-9 -`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShadowName(String);

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a valid shadow ledger name: use 1 to 20 of a-z, 0-9 and -")]
pub(crate) struct ShadowNameError(String);

impl ShadowName {
    /// The name of its table, from the ledger's.
    pub(crate) fn table(&self, ledger: &str) -> String {
        format!("{ledger}-{}", self.0)
    }
}

impl FromStr for ShadowName {
    type Err = ShadowNameError;

    fn from_str(text: &str) -> Result<Self, ShadowNameError> {
        let sound = (1..=20).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if sound { Ok(Self(text.to_owned())) } else { Err(ShadowNameError(text.to_owned())) }
    }
}

impl fmt::Display for ShadowName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
