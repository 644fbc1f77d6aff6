//! How the execution of a plan ended, and the report for the operator.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use ipgeo_contract::RegionName;
use serde::Serialize;

use crate::infra::cloud::StepError;
use crate::infra::plan::{Action, Plan, WaveKind};
use crate::infra::stacks::{FunctionKind, StackKind};
use crate::ui::format::counted;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    pub wave: WaveKind,
    pub region: RegionName,
    pub step: String,
    #[serde(flatten)]
    pub error: StepError,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DeployOutcome {
    Done,
    /// Some regions failed.
    Failed,
    /// An edge failed its probe.
    Halted,
    /// The operator stopped it.
    Interrupted,
}

/// The result of an execution.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Run {
    /// Steps that succeeded: wave index and step index.
    pub done: BTreeSet<(usize, usize)>,
    /// Those of them that changed something.
    pub changed: BTreeSet<(usize, usize)>,
    /// Failed steps that may have changed something: wave index and step index.
    pub failed: BTreeSet<(usize, usize)>,
    pub failures: Vec<Failure>,
    /// Checks that failed and did not stop it, by region.
    pub warnings: Vec<Failure>,
    /// Whether the operator stopped it before its end.
    pub interrupted: bool,
    /// Steps that the operator stopped before their end: AWS may complete them.
    pub abandoned: BTreeSet<(usize, usize)>,
}

impl DeployOutcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Halted => "halted",
            Self::Interrupted => "interrupted",
        }
    }
}

impl Run {
    pub fn outcome(&self) -> DeployOutcome {
        if !self.abandoned.is_empty() {
            // Nothing more is begun, not even a rollback.
            DeployOutcome::Interrupted
        } else if self.failures.iter().any(|failure| failure.wave.is_gate()) {
            DeployOutcome::Halted
        } else if !self.failures.is_empty() {
            DeployOutcome::Failed
        } else if self.interrupted {
            DeployOutcome::Interrupted
        } else {
            DeployOutcome::Done
        }
    }

    pub fn left(&self, plan: &Plan) -> usize {
        let begun = self.done.len() + self.failures.len() + self.abandoned.len();
        plan.summary().steps.saturating_sub(begun)
    }

    /// Regions whose edge serves a new version that has not passed its gate.
    fn ungated<'p>(&self, plan: &'p Plan) -> BTreeSet<&'p str> {
        let step = |(wave, step): &(usize, usize)| plan.waves.get(*wave)?.steps.get(*step);
        let passed = |region: &RegionName, after: usize| {
            plan.waves.iter().enumerate().skip(after).filter(|(_, wave)| wave.wave.is_gate()).all(
                |(at, wave)| {
                    let mut gates = wave.steps.iter().enumerate().filter(|(_, step)| step.region == *region);
                    gates.all(|(index, _)| self.done.contains(&(at, index)))
                },
            )
        };
        let moved = self.changed.iter().chain(&self.abandoned).filter_map(|at| Some((at.0, step(at)?)));
        let moved = moved.filter(|(_, step)| match &step.action {
            Action::Stack(change) => change.kind == StackKind::Edge && !change.served_before.is_empty(),
            Action::Switch(switch) => switch.kind == FunctionKind::Edge,
            _ => false,
        });
        moved
            .filter(|(wave, step)| !passed(&step.region, *wave))
            .map(|(_, step)| step.region.as_str())
            .collect()
    }

    /// What an interrupted run leaves to AWS.
    fn half_done(&self, plan: &Plan) -> String {
        let step = |(wave, step): &(usize, usize)| plan.waves.get(*wave)?.steps.get(*step);
        let steps = self.abandoned.iter().filter_map(step);
        let steps: Vec<String> = steps.map(|step| format!("{} {}", step.region, step.title())).collect();
        if steps.is_empty() {
            return "nothing is half done".to_owned();
        }
        format!("not finished, and perhaps completed by AWS: {}", steps.join(", "))
    }

    /// The report for people; `again` is the command that continues.
    pub fn report(&self, plan: &Plan, again: &str) -> String {
        let mut text = String::new();
        let found = self.failures.iter().map(|failure| ("", failure));
        for (mark, failure) in self.warnings.iter().map(|warning| ("warning: ", warning)).chain(found) {
            let (region, step) = (&failure.region, &failure.step);
            let _ = writeln!(text, "{mark}{region}: {step} failed\n  {}", failure.error);
            if let Some(remedy) = &failure.error.remedy {
                let _ = writeln!(text, "  {remedy}");
            }
        }
        let (done, left) = (counted(self.done.len(), "step"), self.left(plan));
        match self.outcome() {
            DeployOutcome::Done => {
                let _ = write!(text, "done: {done}, {} of them changed something", self.changed.len());
            }
            DeployOutcome::Failed | DeployOutcome::Halted => {
                let regions: BTreeSet<&str> = self.failures.iter().map(|f| f.region.as_str()).collect();
                let verb = if self.outcome() == DeployOutcome::Halted { "did not pass" } else { "failed" };
                let _ = write!(
                    text,
                    "{} {verb}; {done} done, {left} not begun\ncontinue with: {again}",
                    regions.into_iter().collect::<Vec<_>>().join(", "),
                );
            }
            DeployOutcome::Interrupted => {
                let _ = write!(
                    text,
                    "interrupted: {done} done, {} of them changed something, {left} not begun; {}\ncontinue with: {again}",
                    self.changed.len(),
                    self.half_done(plan)
                );
                let ungated = self.ungated(plan);
                if !ungated.is_empty() {
                    let regions = ungated.into_iter().collect::<Vec<_>>().join(",");
                    let _ = write!(
                        text,
                        "\nor return to the version before, whose successor serves without having passed its \
                         probe: ipgeo rollback --regions {regions}"
                    );
                }
            }
        }
        text
    }
}
