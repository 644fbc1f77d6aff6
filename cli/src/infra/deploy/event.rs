//! What is told while a plan is carried out. Bars, lines, JSON and the report are readers of this one stream.

use serde::Serialize;

use crate::infra::cloud::{Done, Progress, StepError};
use crate::infra::plan::{Fault, WaveKind};

/// Version of the JSON form.
pub const SCHEMA: u32 = 1;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A plan is begun.
    Started {
        /// `ipgeo-prod`.
        service: String,
        /// Steps in all.
        steps: usize,
        /// Waves in all.
        waves: usize,
    },
    /// A wave is begun.
    Wave {
        /// Which.
        wave: WaveKind,
        /// Regions in it.
        regions: Vec<String>,
    },
    /// A step is begun.
    Step {
        /// Where.
        region: String,
        /// What.
        step: String,
    },
    /// A step goes on.
    Progress {
        /// Where.
        region: String,
        /// What.
        step: String,
        /// How far.
        #[serde(flatten)]
        progress: Progress,
    },
    /// A step is done.
    StepDone {
        /// Where.
        region: String,
        /// What.
        step: String,
        /// Whether anything was changed.
        done: Done,
        /// How long it took, ms.
        took_ms: u64,
    },
    /// A step has failed.
    StepFailed {
        /// Where.
        region: String,
        /// What.
        step: String,
        /// Why.
        #[serde(flatten)]
        error: StepError,
    },
    /// The plan is blocked; nothing was started.
    Refused {
        /// The faults, each with its remedy.
        faults: Vec<Fault>,
    },
    /// The operator wants to stop; what is under way is finished.
    Stopping,
    /// All is done that will be.
    Finished {
        /// `done`, `failed`, `halted` or `interrupted`.
        outcome: &'static str,
        /// Steps that were done.
        done: usize,
        /// Steps that were not begun.
        left: usize,
        /// How long it took, ms.
        took_ms: u64,
    },
}

/// An event as it is told in JSON.
#[derive(Debug, Serialize)]
pub struct Told<'a> {
    /// Version of this form.
    pub schema: u32,
    /// Since the beginning, ms.
    pub at_ms: u64,
    /// What.
    #[serde(flatten)]
    pub event: &'a Event,
}

/// Who is told.
pub trait Sink: Sync {
    /// Takes an event; `at_ms` since the beginning.
    fn tell(&self, at_ms: u64, event: &Event);
}
