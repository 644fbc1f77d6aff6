//! Prints errors, and defines the exit status.

use std::io::{self, ErrorKind};

use ipgeo_contract::{error_chain, without_api_keys};

use super::print_note;

/// The exit status; documented in `docs/COMMANDS.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Done = 0,
    /// Any error without a status of its own.
    Failed = 1,
    /// Wrong usage; clap exits with it too.
    Usage = 2,
    /// `--check` found changes or drift.
    Changes = 3,
    /// The run failed in some regions and succeeded in others.
    SomeFailed = 4,
    /// A health gate halted a deploy.
    Halted = 5,
    /// `cost` found a bill above the budget.
    OverBudget = 6,
    /// Stopped by Ctrl-C.
    Interrupted = 130,
}

/// Wrong usage that clap cannot see: a region that regions.toml does not have, a missing `--yes`.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UsageError(pub String);

impl UsageError {
    /// `why` completes `error: `.
    pub(crate) fn new(why: impl std::fmt::Display) -> Self {
        Self(why.to_string())
    }
}

/// The operator stopped a verb where it waited.
#[derive(Debug, thiserror::Error)]
#[error("interrupted: {changed}\ncontinue with: {again}")]
pub(crate) struct Interrupted {
    pub changed: String,
    /// The command that continues.
    pub again: String,
}

impl Exit {
    pub fn from_error(error: &anyhow::Error) -> Self {
        match () {
            () if error.is::<UsageError>() => Self::Usage,
            () if error.is::<Interrupted>() => Self::Interrupted,
            () => Self::Failed,
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

pub(crate) fn report_error(error: &anyhow::Error) {
    // Ctrl-C is not an error.
    let prefix = if error.is::<Interrupted>() { "" } else { "error: " };
    print_note(&without_api_keys(&format!("{prefix}{}", chain(error))));
}

/// What to do about a file that can't be read or written.
fn file_help(error: &anyhow::Error) -> Option<&'static str> {
    let kind = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>())?.kind();
    match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            Some("free some space, then run the same command again")
        }
        ErrorKind::IsADirectory => Some("name a file, not a folder"),
        ErrorKind::ReadOnlyFilesystem => Some("use a folder that can be written to"),
        ErrorKind::PermissionDenied => Some("check the owner and the permissions of the file and its folder"),
        _ => None,
    }
}

/// An error, its causes and, last, what to do: the `help:` lines of an error come before its causes in the chain.
fn chain(error: &anyhow::Error) -> String {
    const BECAUSE: &str = "\n  because ";
    let chain = error_chain(error.as_ref(), BECAUSE);
    let (mut causes, mut help) = (Vec::new(), String::new());
    for cause in chain.split(BECAUSE) {
        let (cause, remedy) = cause.find("\nhelp: ").map_or((cause, ""), |at| cause.split_at(at));
        causes.push(cause);
        help.push_str(remedy);
    }
    if let (true, Some(remedy)) = (help.is_empty(), file_help(error)) {
        help = format!("\nhelp: {remedy}");
    }
    causes.join(BECAUSE) + &help
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn every_cause_is_printed_once() {
        let inner = std::io::Error::other("disk full");
        let error = Err::<(), _>(inner).context("write x").context("save").expect_err("an error");
        assert_eq!(chain(&error), "save\n  because write x\n  because disk full");
        let twice = Err::<(), _>(anyhow::anyhow!("no")).context("it: no").expect_err("an error");
        assert_eq!(chain(&twice), "it: no");
    }

    #[test]
    fn a_file_that_cannot_be_written_has_a_remedy() {
        let table = [
            (ErrorKind::StorageFull, Some("free some space")),
            (ErrorKind::ReadOnlyFilesystem, Some("a folder that can be written")),
            (ErrorKind::PermissionDenied, Some("the permissions")),
            (ErrorKind::IsADirectory, Some("name a file")),
            (ErrorKind::NotFound, None),
        ];
        for (kind, remedy) in table {
            // As `tempfile` wraps it: the same kind, with the path.
            let inner = io::Error::new(kind, "at path x");
            let error = Err::<(), _>(inner).context("cannot write x").expect_err("an error");
            let text = chain(&error);
            assert_eq!(text.contains("\nhelp: "), remedy.is_some(), "{text}");
            assert!(remedy.is_none_or(|remedy| text.contains(remedy)), "{text}");
        }
        let own = Err::<(), _>(io::Error::from(ErrorKind::StorageFull)).context("x\nhelp: own");
        assert!(chain(&own.expect_err("an error")).ends_with("\nhelp: own"));
    }

    #[test]
    fn help_comes_after_the_causes() {
        let inner = std::io::Error::other("no route");
        let error = Err::<(), _>(inner)
            .context("fetch x\nhelp: try again\nor later")
            .context("fetch")
            .expect_err("an error");
        assert_eq!(chain(&error), "fetch\n  because fetch x\n  because no route\nhelp: try again\nor later");
    }
}
