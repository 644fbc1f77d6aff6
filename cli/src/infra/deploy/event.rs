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
    Started {
        /// `ipgeo-prod`.
        service: String,
        steps: usize,
        waves: usize,
    },
    Wave {
        wave: WaveKind,
        regions: Vec<RegionName>,
    },
    Step {
        region: RegionName,
        step: String,
    },
    Progress {
        region: RegionName,
        step: String,
        #[serde(flatten)]
        progress: Progress,
    },
    StepDone {
        region: RegionName,
        step: String,
        /// Whether anything was changed.
        done: Done,
        took_ms: u64,
    },
    /// A step has failed for a temporary reason, and is retried once.
    StepRetried {
        region: RegionName,
        step: String,
        #[serde(flatten)]
        error: StepError,
        /// The pause before, s.
        pause_s: u64,
    },
    StepFailed {
        region: RegionName,
        step: String,
        #[serde(flatten)]
        error: StepError,
    },
    /// A check has failed that does not stop the run.
    StepWarned {
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
    Finished {
        /// `done`, `failed`, `halted` or `interrupted`.
        outcome: &'static str,
        /// Steps that succeeded.
        done: usize,
        left: usize,
        took_ms: u64,
    },
}

#[derive(Debug, Serialize)]
pub struct EventLine<'a> {
    /// Version of this form.
    pub schema: u32,
    /// Since the start, ms.
    pub at_ms: u64,
    #[serde(flatten)]
    pub event: &'a Event,
}

pub trait Sink: Sync {
    /// Takes an event; `at_ms` since the start.
    fn emit(&self, at_ms: u64, event: &Event);
}
