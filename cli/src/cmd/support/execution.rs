//! Executing a plan on a terminal: progress, Ctrl-C, the exit status.

use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

use anyhow::Context;
use jiff::Timestamp;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::edges::PROBE_TIMEOUT;
use super::plan_output::{print_plan, report_faults};
use super::select::ExecuteArgs;
use super::usage_path::Follower;
use crate::args::Shared;
use crate::aws::Aws;
use crate::fs::{create_private_folder, open_private};
use crate::infra::deploy::progress;
use crate::infra::deploy::{DeployOutcome, Event, ExecuteOptions, Run, Stop, execute};
use crate::infra::lock::{Claim, Lock, LockError};
use crate::infra::plan::{Plan, Problem};
use crate::observe::probe::{Gated, ProbeClient};
use crate::ui::output::{self, Exit, Format};

/// Takes the service's lock, executes a plan and releases the lock.
pub(crate) async fn carry_out(
    plan: &Plan,
    aws: &Aws,
    args: &ExecuteArgs,
    shared: &Shared,
) -> anyhow::Result<Run> {
    let mut lock = take_lock(aws, args, shared).await?;
    let run = carry_out_locked(plan, aws, &mut lock, args, shared).await;
    lock.release().await;
    run
}

/// Takes the service's lock.
pub(crate) async fn take_lock<'a>(
    aws: &'a Aws,
    args: &ExecuteArgs,
    shared: &Shared,
) -> Result<Lock<'a, Aws>, LockError> {
    let claim = Claim {
        token: format!("{:032x}", fastrand::u128(..)),
        owner: owner(),
        operation: operation(std::env::args().skip(1)),
        by_force: args.break_lock,
        gone: None,
    };
    // Without the file, the lock of a killed run lasts until it expires.
    let Some((file, gone)) = LocalRun::open(&shared.state) else {
        return Lock::take(aws, claim, &Timestamp::now, &output::print_note).await;
    };
    let token = claim.token.clone();
    let lock = Lock::take(aws, Claim { gone, ..claim }, &Timestamp::now, &output::print_note).await?;
    file.write(&token);
    Ok(lock)
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

/// Executes a plan while the lock is held. Ctrl-C finishes the steps in flight; a second one stops at once. So does the loss
/// of the lock.
pub(crate) async fn carry_out_locked(
    plan: &Plan,
    aws: &Aws,
    lock: &mut Lock<'_, Aws>,
    args: &ExecuteArgs,
    shared: &Shared,
) -> anyhow::Result<Run> {
    let sink = progress::sink(args.progress, shared.format() != Format::Table);
    let options = ExecuteOptions { concurrency: usize::from(args.concurrency) };
    let client = ProbeClient::with_native_roots(PROBE_TIMEOUT)?;
    let follower = Follower { aws, client: &client };
    let (stop, cloud) = (Stop::default(), Gated::new(aws, &client, &follower));
    let listen = |kind| signal(kind).context("listen for Ctrl-C");
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    let began = std::time::Instant::now();
    let work = execute(plan, &cloud, options, &stop, &*sink);
    let keeping = lock.keep();
    tokio::pin!(work, keeping);
    let mut lost = false;
    loop {
        tokio::select! {
            run = &mut work => return Ok(run),
            why = &mut keeping, if !lost => {
                lost = true;
                output::print_note(&format!("{why}; steps in progress are finished"));
                stop.stop();
            }
            () = signalled(&mut interrupt, &mut terminate) => {
                if stop.is_wanted() {
                    return Ok(Run { interrupted: true, ..Run::default() });
                }
                stop.stop();
                let at_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                sink.emit(at_ms, &Event::Stopping);
            }
        }
    }
}

/// Reports why a plan is blocked: on standard error, and as an event with JSON output.
pub(crate) fn refused(faults: Vec<Problem>, shared: &Shared) -> Exit {
    let exit = report_faults(&faults);
    if shared.format() != Format::Table {
        progress::sink(None, true).emit(0, &Event::Refused { faults });
    }
    exit
}

/// Prints the plan before the confirmation prompt; with JSON output, an empty plan prints the events of a run without
/// steps. Returns whether there is anything to do.
pub(crate) fn shown(plan: &Plan, verbose: bool, shared: &Shared) -> anyhow::Result<bool> {
    if shared.format() == Format::Table {
        print_plan(plan, verbose)?;
    } else if plan.is_empty() {
        for note in &plan.notes {
            output::print_note(&format!("note: {note}"));
        }
        let sink = progress::sink(None, true);
        sink.emit(0, &Event::Started { service: plan.service.clone(), steps: 0, waves: 0 });
        let outcome = DeployOutcome::Done.as_str();
        sink.emit(0, &Event::Finished { outcome, done: 0, left: 0, took_ms: 0 });
    }
    Ok(!plan.is_empty())
}

async fn signalled(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// The exit status of a run in this number of regions.
pub(crate) fn exit_of(run: &Run, regions: usize) -> Exit {
    let failed: std::collections::BTreeSet<&str> = run.failures.iter().map(|f| f.region.as_str()).collect();
    match run.outcome() {
        DeployOutcome::Done => Exit::Done,
        DeployOutcome::Halted => Exit::Halted,
        DeployOutcome::Interrupted => Exit::Interrupted,
        DeployOutcome::Failed if failed.len() < regions => Exit::SomeFailed,
        DeployOutcome::Failed => Exit::Failed,
    }
}

/// This command line, quoted for a shell.
pub(crate) fn command_line() -> String {
    let quoted = |word: String| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./,:=*@%+".contains(c);
        if !word.is_empty() && word.chars().all(plain) {
            word
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    };
    let words = std::env::args_os().skip(1).map(|word| quoted(word.to_string_lossy().into_owned()));
    std::iter::once("ipgeo".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use ipgeo_contract::RegionName;

    use super::*;
    use crate::infra::cloud::StepError;
    use crate::infra::deploy::Failure;
    use crate::infra::plan::WaveKind;

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

    #[test]
    fn how_a_run_ended_is_the_exit_status() {
        let failed = |wave, regions: &[&str]| Run {
            failures: regions
                .iter()
                .map(|region| Failure {
                    wave,
                    region: RegionName::new(*region),
                    step: "x".into(),
                    error: StepError::new("no"),
                })
                .collect(),
            ..Run::default()
        };
        let table = [
            (Run::default(), Exit::Done),
            (Run { interrupted: true, ..Run::default() }, Exit::Interrupted),
            (failed(WaveKind::Edges, &["a"]), Exit::SomeFailed),
            (failed(WaveKind::Edges, &["a", "b"]), Exit::Failed),
            (failed(WaveKind::CanaryProbe, &["a"]), Exit::Halted),
        ];
        for (run, expected) in table {
            assert_eq!(exit_of(&run, 2), expected);
        }
    }
}
