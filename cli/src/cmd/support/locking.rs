//! The service's lock: checked before the confirmation prompt, and taken before anything is changed.

use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use super::select::ExecuteArgs;
use crate::args::Shared;
use crate::aws::Aws;
use crate::fs::{create_private_folder, open_private};
use crate::infra::deploy::{Event, progress};
use crate::infra::lock::{Claim, Lock, LockError, LockStore as _};
use crate::ui::output::{self, Format};

/// How long an interrupted attempt to take the lock tries to delete it again.
const UNDO: Duration = Duration::from_secs(5);

/// Fails if another run has the lock, then asks for confirmation by `confirm`, then takes the lock.
pub(crate) async fn confirm_and_lock<'a>(
    aws: &'a Aws,
    args: &ExecuteArgs,
    shared: &Shared,
    confirm: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<Lock<'a, Aws>> {
    let mut claim = Claim {
        token: format!("{:032x}", fastrand::u128(..)),
        owner: owner(),
        operation: operation(std::env::args().skip(1)),
        by_force: args.break_lock,
        gone: None,
    };
    // Without the file, the lock of a killed run lasts until it expires.
    let mut file = None;
    if let Some((opened, gone)) = LocalRun::open(&shared.state) {
        (file, claim.gone) = (Some(opened), gone);
    }
    Lock::check(aws, &claim, Timestamp::now()).await.map_err(|error| conflict(error, shared))?;
    confirm()?;
    let mut signals = shared.interrupts.hand_over();
    let token = claim.token.clone();
    let lock = tokio::select! {
        taken = Lock::take(aws, claim, &Timestamp::now, &output::print_note) => taken,
        () = signals.next() => {
            // It may have been taken. If this fails, it expires.
            let _ = tokio::time::timeout(UNDO, aws.delete(&token)).await;
            return Err(shared.interrupts.error().into());
        }
    };
    let lock = lock.map_err(|error| conflict(error, shared))?;
    if let Some(file) = file {
        file.write(&token);
    }
    Ok(lock)
}

/// Another run's lock is an event, too, with JSON output.
fn conflict(error: LockError, shared: &Shared) -> LockError {
    if let (Some(problem), true) = (error.problem(), shared.format() != Format::Table) {
        progress::sink(true).emit(0, &Event::Refused { faults: vec![problem] });
    }
    error
}

/// Releases the lock. Ctrl-C ends this, and the lock expires.
pub(crate) async fn release(lock: Lock<'_, Aws>, shared: &Shared) {
    let mut signals = shared.interrupts.hand_over();
    tokio::select! {
        () = lock.release() => {}
        () = signals.next() => {}
    }
}

/// A file in the state folder with the token of the last run from it. The run holds the file's lock until its process ends,
/// however it ends, so whoever gets that lock knows that the run is gone.
struct LocalRun(&'static std::fs::File);

impl LocalRun {
    /// The file, locked by this process, and the token of the run before; `None`: another process has it, or it can't be used.
    fn open(state: &Path) -> Option<(Self, Option<String>)> {
        create_private_folder(state).ok()?;
        let mut file = open_private(&state.join("run.lock")).ok()?;
        file.try_lock().ok()?;
        let mut token = String::new();
        file.read_to_string(&mut token).ok()?;
        // Never closed: the lock is for the whole life of the process.
        Some((Self(Box::leak(Box::new(file))), (!token.is_empty()).then_some(token)))
    }

    fn write(&self, token: &str) {
        let mut file = self.0;
        // A failure has the same effect as a missing file.
        let _ = file.rewind().and_then(|()| file.set_len(0)).and_then(|()| file.write_all(token.as_bytes()));
    }
}

/// Who runs this: the CI job, or the user and machine.
fn owner() -> String {
    let of = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    if let (Some(repository), Some(run)) = (of("GITHUB_REPOSITORY"), of("GITHUB_RUN_ID")) {
        let actor = of("GITHUB_ACTOR").unwrap_or_else(|| "github".to_owned());
        return format!("{actor} in github.com/{repository}/actions/runs/{run}");
    }
    if let Some(job) = of("CI_JOB_URL") {
        return job;
    }
    let user = of("USER").or_else(|| of("LOGNAME")).unwrap_or_else(|| "somebody".to_owned());
    let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{user}@{machine}")
}

/// The words of a command line before its first flag or value: `traffic drain`, `deploy`.
fn operation(words: impl Iterator<Item = String>) -> String {
    let nested = ["geo", "traffic"];
    let words: Vec<String> = words.filter(|word| !word.starts_with('-')).take(2).collect();
    match words.as_slice() {
        [group, verb] if nested.contains(&group.as_str()) => format!("{group} {verb}"),
        [verb, ..] => verb.clone(),
        [] => "deploy".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_names_the_verb() {
        let table = [
            ("deploy --yes", "deploy"),
            ("traffic drain us-east-1", "traffic drain"),
            ("--json geo rollout", "geo rollout"),
            ("destroy ipgeo-prod", "destroy"),
        ];
        for (line, expected) in table {
            assert_eq!(operation(line.split(' ').map(str::to_owned)), expected);
        }
    }
}
