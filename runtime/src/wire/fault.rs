//! How a call fails.

use std::time::Duration;

use hyper::body::Bytes;

/// Why a call failed. Each prints whole, in one fragment.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// There is no connection.
    #[error("no connection to {to}: {why}")]
    Unconnected { to: String, why: String },
    /// The connection failed in the middle.
    #[error("the connection to {to} failed: {why}")]
    Broken { to: String, why: String },
    /// No answer in time.
    #[error("no answer from {to} within {} ms", within.as_millis())]
    Late { to: String, within: Duration },
    /// The service said no.
    #[error("{code}: {message}")]
    Refused { status: u16, code: String, message: String, body: Bytes },
    /// The call can't be signed, or its answer not be read.
    #[error("{what}: {why}")]
    Unreadable { what: &'static str, why: String },
}

impl Fault {
    pub(super) fn unreadable(what: &'static str, why: &dyn std::fmt::Display) -> Self {
        Self::Unreadable { what, why: why.to_string() }
    }

    /// Whether another try may do better.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Unconnected { .. } | Self::Broken { .. } | Self::Late { .. } => true,
            Self::Refused { status, code, .. } => *status == 429 || *status >= 500 || is_busy(code),
            Self::Unreadable { .. } => false,
        }
    }
}

/// Whether a code says that there are too many calls at the moment.
fn is_busy(code: &str) -> bool {
    code.contains("Throttl")
        || matches!(
            code,
            "ProvisionedThroughputExceededException"
                | "RequestLimitExceeded"
                | "LimitExceededException"
                | "TransactionInProgressException"
                | "ReplicatedWriteConflictException"
        )
}
