//! What forbids a deploy, found before anything is changed: each with its place and its remedy.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use super::diff::{Op, ResourceChange};
use super::observed::{ObservedStack, StackState};
use crate::infra::stacks::StackKind;

/// What is never replaced or removed unless the operator names it: data, and what the log pipe rests on. If
/// stream or role vanish, CloudWatch Logs skips usage lines for up to ten minutes.
pub const PROTECTED: &[&str] = &[
    "AccessTable",
    "Certificate",
    "Domain",
    "FailureBucket",
    "Ledger",
    "LogPipeRole",
    "UsageDestination",
    "UsageStream",
];

/// What forbids a deploy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Where.
    pub region: String,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\n  {}", self.region, self.what, self.remedy)
    }
}

impl Fault {
    pub(super) fn new(region: &str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { region: region.to_owned(), what: what.into(), remedy: remedy.into() }
    }
}

/// Why a stack can't be updated, if so.
pub(super) fn of_state(
    region: &str,
    kind: StackKind,
    name: &str,
    stack: &ObservedStack,
    recreate_failed: bool,
) -> Option<Fault> {
    let status = &stack.status;
    match stack.state() {
        StackState::Settled | StackState::Hollow => None,
        StackState::NeverCreated if recreate_failed => None,
        StackState::NeverCreated => Some(Fault::new(
            region,
            format!("the {kind} stack never came up ({status}); it holds nothing"),
            "remove it and make it anew with --recreate-failed",
        )),
        StackState::Busy => Some(Fault::new(
            region,
            format!("the {kind} stack is being changed ({status})"),
            "wait until that is done; `ipgeo deploy` does",
        )),
        StackState::Stuck => {
            let command = if status == "UPDATE_ROLLBACK_FAILED" {
                "aws cloudformation continue-update-rollback"
            } else {
                "aws cloudformation delete-stack"
            };
            Some(Fault::new(
                region,
                format!("the {kind} stack is stuck ({status})"),
                format!("look at its events, then: {command} --stack-name {name} --region {region}"),
            ))
        }
    }
}

/// Changes that would lose what must not be lost.
pub(super) fn of_changes(region: &str, changes: &[ResourceChange], allowed: &BTreeSet<String>) -> Vec<Fault> {
    let dangerous = |change: &&ResourceChange| {
        matches!(change.op, Op::Replace | Op::Remove)
            && PROTECTED.contains(&change.name.as_str())
            && !allowed.contains(&change.name)
    };
    changes
        .iter()
        .filter(dangerous)
        .map(|change| {
            let verb = if change.op == Op::Replace { "replaced" } else { "removed" };
            let why: Vec<&str> = change.properties.iter().map(|property| property.path.as_str()).collect();
            let why = if why.is_empty() { String::new() } else { format!(" for a new {}", why.join(", ")) };
            Fault::new(
                region,
                format!("{} ({}) would be {verb}{why}", change.name, change.kind),
                format!("undo that change, or say --allow-replace {} if its loss is meant", change.name),
            )
        })
        .collect()
}
