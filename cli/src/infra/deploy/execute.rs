//! Executes waves one after the other: regions of a wave in parallel, steps of a region in order.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use ipgeo_contract::RegionName;
use tokio::sync::watch;
use tokio::time::Instant;

use super::event::{Event, Sink};
use super::outcome::{Failure, Run};
use crate::infra::cloud::{CloudWrite, Done, Progress, StepError, waits};
use crate::infra::plan::{Action, Plan, Step, Wave};

/// The first pause after AWS has throttled a step, s; each further one is twice as long.
const BACK_OFF_S: u64 = 2;
/// The longest such pause, s; after it the step has failed. The SDK has retried each call before.
const BACK_OFF_S_MAX: u64 = 64;

/// The pause before a step that failed for a temporary reason is retried once, s. IAM needs some seconds to make a new role
/// known everywhere.
const PASSING_PAUSE_S: u64 = 30;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExecuteOptions {
    /// Maximum number of regions to work on in parallel.
    pub concurrency: usize,
}

/// The operator's request to stop; it can't be taken back.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<watch::Sender<Urgency>>);

/// How soon to stop.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Urgency {
    /// Not at all.
    #[default]
    None,
    /// Once the steps in progress are finished.
    Soon,
    /// At once.
    Now,
}

impl Stop {
    /// Requests to stop once the steps in progress are finished.
    pub fn stop(&self) {
        self.request(Urgency::Soon);
    }

    /// Requests to stop at once: steps in progress are left to AWS.
    pub fn abandon(&self) {
        self.request(Urgency::Now);
    }

    fn request(&self, urgency: Urgency) {
        self.0.send_modify(|wanted| *wanted = urgency.max(*wanted));
    }

    /// Whether a stop was requested.
    pub fn is_wanted(&self) -> bool {
        *self.0.borrow() > Urgency::None
    }

    /// Resolves when a stop is requested.
    async fn wanted(&self) {
        self.reached(Urgency::Soon).await;
    }

    async fn reached(&self, urgency: Urgency) {
        // The sender lives as long as this does: the wait can't fail.
        let _ = self.0.subscribe().wait_for(|wanted| *wanted >= urgency).await;
    }
}

struct Execution<'a, W> {
    cloud: &'a W,
    sink: &'a dyn Sink,
    stop: &'a Stop,
    began: Instant,
}

enum StepEnd {
    Ended(Result<Done, StepError>),
    /// The operator stopped a wait, a probe or a watch: these change nothing.
    Cut,
    /// The operator stopped another step before its end.
    Abandoned,
}

/// The end of one step of a wave.
enum Ended {
    Done(usize, Done),
    Warned(usize, Failure),
    Failed(usize, Failure),
    Abandoned(usize),
}

/// Executes a plan. After a failure the wave's other regions finish, and the next wave does not start: stacks that are
/// being updated can't be abandoned without leaving them half done.
pub async fn execute<W: CloudWrite>(
    plan: &Plan,
    cloud: &W,
    options: ExecuteOptions,
    stop: &Stop,
    sink: &dyn Sink,
) -> Run {
    let execution = Execution { cloud, sink, stop, began: Instant::now() };
    let summary = plan.summary();
    execution.emit(&Event::Started {
        service: plan.service.clone(),
        steps: summary.steps,
        waves: summary.waves,
    });
    let mut run = Run::default();
    for (index, wave) in plan.waves.iter().enumerate() {
        if stop.is_wanted() {
            run.interrupted = true;
            break;
        }
        execution.wave(index, wave, options, &mut run).await;
        if !run.failures.is_empty() {
            break;
        }
    }
    run.interrupted |= stop.is_wanted() && run.left(plan) > 0;
    execution.emit(&Event::Finished {
        outcome: run.outcome().as_str(),
        done: run.done.len(),
        left: run.left(plan),
        took_ms: millis(execution.began.elapsed()),
    });
    run
}

impl<W: CloudWrite> Execution<'_, W> {
    fn emit(&self, event: &Event) {
        self.sink.emit(millis(self.began.elapsed()), event);
    }

    fn progress(&self, step: &Step, title: &str, progress: Progress) {
        let (region, step) = (step.region.clone(), title.to_owned());
        self.emit(&Event::Progress { region, step, progress });
    }

    async fn wave(&self, index: usize, wave: &Wave, options: ExecuteOptions, run: &mut Run) {
        let groups = by_region(&wave.steps);
        self.emit(&Event::Wave {
            wave: wave.wave,
            regions: groups.iter().map(|(region, _)| (*region).clone()).collect(),
        });
        let ended: Vec<Vec<Ended>> = stream::iter(groups)
            .map(|(region, steps)| self.region(wave, region, steps))
            .buffer_unordered(options.concurrency.max(1))
            .collect()
            .await;
        for step in ended.into_iter().flatten() {
            match step {
                Ended::Done(step, done) => {
                    run.done.insert((index, step));
                    if done == Done::Changed {
                        run.changed.insert((index, step));
                    }
                }
                Ended::Warned(step, warning) => {
                    run.done.insert((index, step));
                    run.warnings.push(warning);
                }
                Ended::Failed(step, failure) => {
                    // A stale step has changed nothing, so there is nothing of it to roll back.
                    if !failure.error.stale {
                        run.failed.insert((index, step));
                    }
                    run.failures.push(failure);
                }
                Ended::Abandoned(step) => {
                    run.abandoned.insert((index, step));
                }
            }
        }
        run.failures.sort_by(|a, b| a.region.cmp(&b.region));
        run.warnings.sort_by(|a, b| a.region.cmp(&b.region));
    }

    /// A region's steps, until one fails or the operator wants to stop.
    async fn region(&self, wave: &Wave, region: &RegionName, steps: Vec<(usize, &Step)>) -> Vec<Ended> {
        let mut ended = Vec::new();
        for (index, step) in steps {
            if self.stop.is_wanted() {
                break;
            }
            let title = step.title();
            self.emit(&Event::Step { region: region.to_owned(), step: title.clone() });
            let began = Instant::now();
            let end = tokio::select! {
                biased;
                end = self.step(step, &title) => end,
                () = self.stop.reached(Urgency::Now) => StepEnd::Abandoned,
            };
            match end {
                StepEnd::Ended(Ok(done)) => {
                    let took_ms = millis(began.elapsed());
                    self.emit(&Event::StepDone { region: region.to_owned(), step: title, done, took_ms });
                    ended.push(Ended::Done(index, done));
                }
                StepEnd::Ended(Err(error)) if is_advice(step) => {
                    let (region, step) = (region.clone(), title);
                    self.emit(&Event::StepWarned {
                        region: region.clone(),
                        step: step.clone(),
                        error: error.clone(),
                    });
                    ended.push(Ended::Warned(index, Failure { wave: wave.wave, region, step, error }));
                }
                StepEnd::Ended(Err(error)) => {
                    self.emit(&Event::StepFailed {
                        region: region.to_owned(),
                        step: title.clone(),
                        error: error.clone(),
                    });
                    let region = region.clone();
                    let failure = Failure { wave: wave.wave, region, step: title, error };
                    ended.push(Ended::Failed(index, failure));
                    break;
                }
                StepEnd::Cut => break,
                StepEnd::Abandoned => {
                    ended.push(Ended::Abandoned(index));
                    break;
                }
            }
        }
        ended
    }

    async fn step(&self, step: &Step, title: &str) -> StepEnd {
        if let Some(seconds) = waits(step) {
            return tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(seconds)) => StepEnd::Ended(Ok(Done::Changed)),
                () = self.stop.wanted() => StepEnd::Cut,
            };
        }
        if let Action::Probe(_) | Action::Bake(_) | Action::Follow(_) = step.action {
            return tokio::select! {
                Some(ended) = self.patient(step, title) => StepEnd::Ended(ended),
                () = self.stop.wanted() => StepEnd::Cut,
            };
        }
        let Some(ended) = self.patient(step, title).await else { return StepEnd::Abandoned };
        let Some(error) = ended.as_ref().err().filter(|error| is_passing(error)) else {
            return StepEnd::Ended(ended);
        };
        let (region, error) = (step.region.clone(), error.clone());
        self.emit(&Event::StepRetried { region, step: title.to_owned(), error, pause_s: PASSING_PAUSE_S });
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(PASSING_PAUSE_S)) => {}
            () = self.stop.wanted() => return StepEnd::Abandoned,
        }
        self.patient(step, title).await.map_or(StepEnd::Abandoned, StepEnd::Ended)
    }

    /// Runs one step, and retries while AWS throttles it; `None`: the operator has stopped it between two attempts.
    async fn patient(&self, step: &Step, title: &str) -> Option<Result<Done, StepError>> {
        let report = |progress: Progress| self.progress(step, title, progress);
        let mut pause_s = BACK_OFF_S;
        loop {
            let ended = self.cloud.ensure(&step.region, &step.action, &report).await;
            let throttled = ended.as_ref().is_err_and(is_throttled);
            if !throttled || pause_s > BACK_OFF_S_MAX {
                return Some(ended);
            }
            report(Progress { phase: format!("throttled, again in {pause_s} s"), done: 0, total: 0 });
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(pause_s)) => pause_s *= 2,
                () = self.stop.wanted() => return None,
            }
        }
    }
}

/// Whether a failure is temporary: a new resource is not yet known everywhere in AWS, or another change of the zone is in
/// progress.
fn is_passing(error: &StepError) -> bool {
    const REASONS: [&str; 6] = [
        // Lambda's functions and event source mappings, and the log pipe, with a role that is seconds old.
        "cannot be assumed by Lambda",
        "Please ensure the role can perform",
        "Could not deliver test message",
        "permission to assume the provided role",
        // A policy that names it.
        "Invalid principal in policy",
        // Route 53: certificates of several regions write their records at once.
        "PriorRequestNotComplete",
    ];
    REASONS.iter().any(|reason| error.message.contains(reason))
}

/// Whether a step's failure is a warning.
fn is_advice(step: &Step) -> bool {
    matches!(&step.action, Action::Follow(spec) if !spec.required)
}

/// Whether AWS has throttled the step: it is idempotent, so it may be repeated.
fn is_throttled(error: &StepError) -> bool {
    let codes = [
        "PriorRequestNotComplete",
        "RequestLimitExceeded",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    ];
    error.code.as_deref().is_some_and(|code| codes.contains(&code)) || error.message.contains("Rate exceeded")
}

fn by_region(steps: &[Step]) -> Vec<(&RegionName, Vec<(usize, &Step)>)> {
    let mut groups: Vec<(&RegionName, Vec<(usize, &Step)>)> = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        match groups.iter_mut().find(|(region, _)| **region == step.region) {
            Some((_, group)) => group.push((index, step)),
            None => groups.push((&step.region, vec![(index, step)])),
        }
    }
    groups
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
