//! Reading and changing the cloud, in our words: two traits that `aws` implements and tests implement in
//! memory. Whoever plans holds the first only, and so can't change anything.

mod explain;
mod observe;
mod probing;

pub use explain::{NO_REASON, Remedied, explain};
pub use observe::{Ask, observe};
pub use probing::{Probe, ProbeTarget, ProbeTargets};

use std::future::Future;

use serde::Serialize;

use crate::infra::plan::{AccessState, Action, KeptData, ObservedRegion, Step, Zone};

/// Why the cloud can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}\n  {remedy}")]
pub struct CloudError {
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

/// Reading the cloud.
pub trait CloudRead: Sync {
    /// The account's number.
    fn account(&self) -> impl Future<Output = Result<String, CloudError>> + Send;

    /// A region: its stacks, and which of these artifacts its bucket holds. What can't be read is told in
    /// the result.
    fn region(
        &self,
        region: &str,
        account: &str,
        artifacts: &[String],
    ) -> impl Future<Output = ObservedRegion> + Send;

    /// The access table at home, if it is there.
    fn access(&self) -> impl Future<Output = Result<Option<AccessState>, CloudError>> + Send;

    /// The service's data in the home region, whether a stack manages it or not.
    fn kept(&self, account: &str) -> impl Future<Output = Result<KeptData, CloudError>> + Send;

    /// The domain's public zone, if the account has it.
    fn zone(&self, zone: &str, domain: &str)
    -> impl Future<Output = Result<Option<Zone>, CloudError>> + Send;
}

/// How far a step is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// What is happening, in few words.
    pub phase: String,
    /// Parts that are done.
    pub done: usize,
    /// Parts in all; 0: not known.
    pub total: usize,
}

/// A step that is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Done {
    /// Something was changed.
    Changed,
    /// It was so already.
    AlreadySo,
}

/// Why a step failed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{}", self.told())]
pub struct StepError {
    /// AWS's code, when it was AWS that refused.
    pub code: Option<String>,
    /// The reason.
    pub message: String,
    /// The resource at the root of it, `LookupFunction (AWS::Lambda::Function)`.
    pub resource: Option<String>,
    /// What to do.
    pub remedy: Option<String>,
}

impl StepError {
    /// A reason alone.
    pub fn of(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    fn told(&self) -> String {
        let resource = self.resource.as_ref().map(|resource| format!("{resource}: ")).unwrap_or_default();
        let code = self.code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default();
        format!("{resource}{}{code}", self.message)
    }
}

/// Changing the cloud. Every step is "ensure": done twice, it is done once.
pub trait CloudWrite: Sync {
    /// Makes an action of a plan true in a region. `tell` is called as it goes on.
    fn ensure(
        &self,
        region: &str,
        action: &Action,
        tell: &(dyn Fn(Progress) + Sync),
    ) -> impl Future<Output = Result<Done, StepError>> + Send;
}

/// Whether a step waits for time alone: the executor does that itself.
pub(crate) fn waits(step: &Step) -> Option<u64> {
    match step.action {
        Action::Wait { seconds, .. } => Some(seconds),
        _ => None,
    }
}
