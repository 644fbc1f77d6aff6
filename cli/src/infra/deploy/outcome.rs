//! What became of a plan, and what the operator is told about it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde::Serialize;

use crate::infra::cloud::StepError;
use crate::infra::plan::{Plan, WaveKind, counted};

/// A step that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// In which wave.
    pub wave: WaveKind,
    /// Where.
    pub region: String,
    /// What.
    pub step: String,
    /// Why.
    #[serde(flatten)]
    pub error: StepError,
}

/// How a plan ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// All of it was done.
    Done,
    /// Some regions failed.
    Failed,
    /// A health gate has halted it.
    Halted,
    /// The operator has stopped it.
    Interrupted,
}

/// What became of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Run {
    /// Finished steps: wave index and step index.
    pub done: BTreeSet<(usize, usize)>,
    /// Finished steps that have changed something.
    pub changed: BTreeSet<(usize, usize)>,
    /// Failed steps: wave index and step index.
    pub failed: BTreeSet<(usize, usize)>,
    /// Why they failed, by region.
    pub failures: Vec<Failure>,
    /// Whether the operator has stopped it before its end.
    pub interrupted: bool,
}

impl Outcome {
    /// Its name in texts.
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
    /// How it ended.
    pub fn outcome(&self) -> Outcome {
        if self.failures.iter().any(|failure| failure.wave.is_gate()) {
            Outcome::Halted
        } else if !self.failures.is_empty() {
            Outcome::Failed
        } else if self.interrupted {
            Outcome::Interrupted
        } else {
            Outcome::Done
        }
    }

    /// Steps that were neither done nor failed.
    pub fn left(&self, plan: &Plan) -> usize {
        plan.summary().steps.saturating_sub(self.done.len() + self.failures.len())
    }

    /// The report for people; `again` is the command that continues.
    pub fn report(&self, plan: &Plan, again: &str) -> String {
        let mut text = String::new();
        for failure in &self.failures {
            let _ = writeln!(text, "{}: {} failed\n  {}", failure.region, failure.step, failure.error);
            if let Some(remedy) = &failure.error.remedy {
                let _ = writeln!(text, "  {remedy}");
            }
        }
        let (done, left) = (counted(self.done.len(), "step"), self.left(plan));
        match self.outcome() {
            Outcome::Done => {
                let _ = write!(text, "done: {done}, {} of them changed something", self.changed.len());
            }
            Outcome::Failed | Outcome::Halted => {
                let regions: BTreeSet<&str> = self.failures.iter().map(|f| f.region.as_str()).collect();
                let verb =
                    if self.outcome() == Outcome::Halted { "did not pass the probe" } else { "failed" };
                let _ = write!(
                    text,
                    "{} {verb}; {done} done, {left} not begun\ncontinue with: {again}",
                    regions.into_iter().collect::<Vec<_>>().join(", "),
                );
            }
            Outcome::Interrupted => {
                let _ = write!(
                    text,
                    "stopped: {done} done, {left} not begun; nothing is half done\ncontinue with: {again}"
                );
            }
        }
        text
    }
}
