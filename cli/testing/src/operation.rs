//! What goes on in the cloud and ends at its time, and the refusals that come of it.

use std::sync::Arc;
use std::time::Duration;

use ipgeo::internals::infra::cloud::StepError;
use ipgeo::internals::infra::plan::{Action, StackChange};
use ipgeo::internals::infra::stacks::Template;

use crate::faults::FaultKind;

/// Something that goes on and ends at its time, whoever waits for it.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub(crate) id: u64,
    pub(crate) region: String,
    pub(crate) ends: Duration,
    pub(crate) work: Work,
    pub(crate) fault: Option<FaultKind>,
    pub(crate) loses_answer: bool,
}

/// What is done at the end of an operation.
#[derive(Debug, Clone)]
pub(crate) enum Work {
    Nothing,
    Stack(Box<StackWork>),
    /// The stack of this name goes.
    Deletion(String),
    Other(Action),
}

/// A stack's creation or update.
#[derive(Debug, Clone)]
pub(crate) struct StackWork {
    pub(crate) change: StackChange,
    pub(crate) template: Arc<Template>,
    pub(crate) creates: bool,
    /// Why it will fail: what it needs was not there when it began.
    pub(crate) doomed: Option<Failure>,
}

/// A resource that could not be made, changed or removed.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) reason: String,
}

impl From<Failure> for StepError {
    fn from(failure: Failure) -> Self {
        let resource = Some(format!("{} ({})", failure.name, failure.kind));
        Self { resource, ..Self::new(failure.reason) }
    }
}

pub(crate) fn refused(code: &str, message: impl Into<String>) -> StepError {
    StepError { code: Some(code.to_owned()), ..StepError::new(message) }
}
