//! Errors as people read them, and the exit status.

use ipgeo_contract::without_api_keys;

use super::say;

/// The exit status; documented in `docs/COMMANDS.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Failed.
    Failed = 1,
    /// Wrong usage.
    Usage = 2,
    /// Changes or drift found, and `--check` was asked for.
    Changes = 3,
    /// Some regions failed.
    SomeFailed = 4,
    /// A health gate has halted a deploy.
    Halted = 5,
    /// Over budget.
    OverBudget = 6,
    /// Interrupted.
    Interrupted = 130,
}

/// Wrong usage that only shows once files are read: a region that the file does not have, a missing `--yes`.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

impl UsageError {
    /// A reason that an argument is wrong.
    pub fn of(why: impl std::fmt::Display) -> Self {
        Self(why.to_string())
    }
}

impl Exit {
    /// The status of a program that ends with an error.
    pub fn of(error: &anyhow::Error) -> Self {
        if error.is::<UsageError>() { Self::Usage } else { Self::Failed }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Prints an error with its causes, none of them twice.
pub fn report_error(error: &anyhow::Error) {
    say(&without_api_keys(&format!("error: {}", chain(error))));
}

fn chain(error: &anyhow::Error) -> String {
    let mut told = String::new();
    for cause in error.chain() {
        let text = cause.to_string();
        if told.ends_with(&text) {
            continue;
        }
        if !told.is_empty() {
            told.push_str("\n  because ");
        }
        told.push_str(&text);
    }
    told
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn causes_are_told_once_each() {
        let inner = std::io::Error::other("disk full");
        let error = Err::<(), _>(inner).context("write x").context("save").expect_err("an error");
        assert_eq!(chain(&error), "save\n  because write x\n  because disk full");
        let twice = Err::<(), _>(anyhow::anyhow!("no")).context("it: no").expect_err("an error");
        assert_eq!(chain(&twice), "it: no");
    }
}
