//! Errors of a call.

use std::time::Duration;

use hyper::body::Bytes;

/// Why a call failed. The message includes all causes.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// No connection could be opened.
    #[error("no connection to {to}: {why}")]
    Unconnected { to: String, why: String },
    /// The connection failed during the call.
    #[error("the connection to {to} failed: {why}")]
    Broken { to: String, why: String },
    /// No answer in time.
    #[error("no answer from {to} within {} ms", within.as_millis())]
    Late { to: String, within: Duration },
    /// The service returned an error.
    #[error("{code}: {message}")]
    Refused { status: u16, code: String, message: String, body: Bytes },
    /// The call could not be signed or serialised, or its answer not parsed.
    #[error("{what}: {why}")]
    Unreadable { what: &'static str, why: String },
}

impl Fault {
    pub(super) fn unreadable(what: &'static str, why: &dyn std::fmt::Display) -> Self {
        Self::Unreadable { what, why: why.to_string() }
    }

    /// Whether the call itself is invalid, whenever it is made.
    pub(super) fn is_invalid(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code == "ValidationException")
    }

    /// Whether a retry may succeed.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Unconnected { .. } | Self::Broken { .. } | Self::Late { .. } => true,
            Self::Refused { status, code, .. } => *status == 429 || *status >= 500 || is_busy(code),
            Self::Unreadable { .. } => false,
        }
    }
}

/// Whether an error code means that the call was throttled.
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
