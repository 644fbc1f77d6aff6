//! Executing a plan on a terminal: progress, Ctrl-C, the exit status.

use super::edges::PROBE_TIMEOUT;
use super::locking::release;
use super::plan_output::{print_plan, report_faults};
use super::select::ExecuteArgs;
use super::usage_path::Follower;
use crate::args::Shared;
use crate::aws::Aws;
use crate::infra::deploy::progress;
use crate::infra::deploy::{DeployOutcome, Event, ExecuteOptions, Run, Stop, execute};
use crate::infra::lock::Lock;
use crate::infra::plan::{Plan, Problem};
use crate::observe::probe::{Gated, ProbeClient};
use crate::ui::output::{self, Exit, Format};

/// Executes a plan and releases the lock.
pub(crate) async fn carry_out(
    plan: &Plan,
    aws: &Aws,
    mut lock: Lock<'_, Aws>,
    args: &ExecuteArgs,
    shared: &Shared,
) -> anyhow::Result<Run> {
    let run = carry_out_locked(plan, aws, &mut lock, args, shared).await;
    release(lock, shared).await;
    run
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
    let sink = progress::sink(shared.format() != Format::Table);
    let options = ExecuteOptions { concurrency: usize::from(args.concurrency) };
    let client = ProbeClient::with_native_roots(PROBE_TIMEOUT)?;
    let follower = Follower { aws, client: &client };
    let (stop, cloud) = (Stop::default(), Gated::new(aws, &client, &follower));
    let mut signals = shared.interrupts.hand_over();
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
            () = signals.next() => {
                if stop.is_wanted() {
                    stop.abandon();
                    continue;
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
        progress::sink(true).emit(0, &Event::Refused { faults });
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
        let sink = progress::sink(true);
        sink.emit(0, &Event::Started { service: plan.service.clone(), steps: 0, waves: 0 });
        let outcome = DeployOutcome::Done.as_str();
        sink.emit(0, &Event::Finished { outcome, done: 0, left: 0, took_ms: 0 });
    }
    Ok(!plan.is_empty())
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
    let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    shell_line(std::iter::once("ipgeo".to_owned()).chain(words))
}

/// Words as a line for a shell, quoted where necessary.
pub(crate) fn shell_line(words: impl IntoIterator<Item = String>) -> String {
    let quoted = |word: String| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./,:=*@%+".contains(c);
        if !word.is_empty() && word.chars().all(plain) {
            word
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    };
    words.into_iter().map(quoted).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use ipgeo_contract::RegionName;

    use super::*;
    use crate::infra::cloud::StepError;
    use crate::infra::deploy::Failure;
    use crate::infra::plan::WaveKind;

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
