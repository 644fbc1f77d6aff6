//! Reading and changing the cloud: two traits, which `aws` implements for AWS and `ipgeo-cli-testing` in memory. Planning
//! gets the reading one only, so it can't change anything.

mod explain;
mod observe;
mod probing;
mod stale;

pub use explain::explain;
pub(crate) use explain::{NO_CREDENTIALS, NO_REASON};
pub use observe::{Ask, observe};
pub use probing::{Probe, ProbeError, ProbeTarget, ProbeTargets};
pub use stale::{check_deletion, check_records, check_stack};

pub use crate::infra::plan::Problem;

use std::future::Future;

use ipgeo_contract::RegionName;
use serde::Serialize;

use crate::infra::plan::{AccessState, Action, KeptData, ObservedRegion, Step, Zone};

pub trait CloudRead: Sync {
    fn account(&self) -> impl Future<Output = Result<String, Problem>> + Send;

    /// A region: its stacks, and which of these artifacts its bucket holds. A failure is part of the result, so that one
    /// unreachable region does not hide the others.
    fn region(
        &self,
        region: &RegionName,
        account: &str,
        artifacts: &[String],
    ) -> impl Future<Output = ObservedRegion> + Send;

    /// The access table at home, if it exists.
    fn access(&self) -> impl Future<Output = Result<Option<AccessState>, Problem>> + Send;

    /// The service's data in the home region, whether a stack manages it or not.
    fn kept(&self, account: &str) -> impl Future<Output = Result<KeptData, Problem>> + Send;

    /// The domain's public zone, if the account has it.
    fn zone(&self, zone: &str, domain: &str) -> impl Future<Output = Result<Option<Zone>, Problem>> + Send;
}

/// How far a step is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// What is happening, in a few words.
    pub phase: String,
    /// Parts that are done.
    pub done: usize,
    /// Total number of parts; 0: unknown.
    pub total: usize,
}

/// Receives the progress of a running step.
pub type Report<'a> = &'a (dyn Fn(Progress) + Sync);

/// The effect of a step that succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Done {
    Changed,
    AlreadySo,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{}", self.text())]
pub struct StepError {
    /// AWS's error code, if AWS refused.
    pub code: Option<String>,
    pub message: String,
    /// The resource that failed first, `LookupFunction (AWS::Lambda::Function)`.
    pub resource: Option<String>,
    pub remedy: Option<String>,
    /// Whether the step found a state other than in its plan, and changed nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stale: bool,
}

impl StepError {
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    fn text(&self) -> String {
        let resource = self.resource.as_ref().map(|resource| format!("{resource}: ")).unwrap_or_default();
        let code = self.code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default();
        format!("{resource}{}{code}", self.message)
    }
}

/// Changing the cloud. Every step is idempotent: repeating it changes nothing.
pub trait CloudWrite: Sync {
    /// Ensures an action of a plan in a region.
    fn ensure(
        &self,
        region: &RegionName,
        action: &Action,
        report: Report<'_>,
    ) -> impl Future<Output = Result<Done, StepError>> + Send;
}

/// The seconds of a step that only waits: the executor does that itself.
pub(crate) fn waits(step: &Step) -> Option<u64> {
    match step.action {
        Action::Wait { seconds, .. } => Some(seconds),
        _ => None,
    }
}
