//! Events of a plan's execution. Progress bars, lines, JSON and the report all read this one stream.

use ipgeo_contract::RegionName;
use serde::Serialize;

use crate::infra::cloud::{Done, Progress, StepError};
use crate::infra::plan::{Problem, WaveKind};

/// Version of the JSON form.
pub const SCHEMA: u32 = 1;

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// Execution starts.
    Started {
        /// `ipgeo-prod`.
        service: String,
        /// Total number of steps.
        steps: usize,
        /// Total number of waves.
        waves: usize,
    },
    /// A wave starts.
    Wave {
        wave: WaveKind,
        /// Its regions.
        regions: Vec<RegionName>,
    },
    /// A step starts.
    Step {
        /// The region.
        region: RegionName,
        step: String,
    },
    /// A step makes progress.
    Progress {
        /// The region.
        region: RegionName,
        step: String,
        #[serde(flatten)]
        progress: Progress,
    },
    /// A step has succeeded.
    StepDone {
        /// The region.
        region: RegionName,
        step: String,
        /// Whether anything was changed.
        done: Done,
        /// How long it took, ms.
        took_ms: u64,
    },
    /// A step has failed for a temporary reason, and is retried once.
    StepRetried {
        /// The region.
        region: RegionName,
        step: String,
        #[serde(flatten)]
        error: StepError,
        /// The pause before, s.
        pause_s: u64,
    },
    /// A step has failed.
    StepFailed {
        /// The region.
        region: RegionName,
        step: String,
        #[serde(flatten)]
        error: StepError,
    },
    /// A check has failed that does not stop the run.
    StepWarned {
        /// The region.
        region: RegionName,
        step: String,
        #[serde(flatten)]
        error: StepError,
    },
    /// The plan is blocked; nothing was started.
    Refused {
        /// The problems, each with its remedy.
        faults: Vec<Problem>,
    },
    /// The operator wants to stop; steps in progress are finished.
    Stopping,
    /// Execution ends.
    Finished {
        /// `done`, `failed`, `halted` or `interrupted`.
        outcome: &'static str,
        /// Steps that succeeded.
        done: usize,
        /// Steps that were not started.
        left: usize,
        /// How long it took, ms.
        took_ms: u64,
    },
}

/// An event as a line of JSON.
#[derive(Debug, Serialize)]
pub struct EventLine<'a> {
    /// Version of this form.
    pub schema: u32,
    /// Since the start, ms.
    pub at_ms: u64,
    #[serde(flatten)]
    pub event: &'a Event,
}

/// A reader of events.
pub trait Sink: Sync {
    /// Takes an event; `at_ms` since the start.
    fn emit(&self, at_ms: u64, event: &Event);
}
