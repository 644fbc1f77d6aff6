//! What CloudFormation would refuse, or do and should not: found before anything is changed.

use std::collections::BTreeSet;

use ipgeo_contract::RegionName;

use super::diff::{Op, ResourceChange};
use super::observed::{ObservedStack, StackState};
use super::problem::Problem;
use crate::infra::stacks::StackKind;

/// What is never replaced or removed unless the operator names it: data, and what the log pipe rests on. If
/// stream or role vanish, CloudWatch Logs drops usage lines for up to ten minutes; a removed forwarder's queue is lost.
pub const PROTECTED: &[&str] = &[
    "AccessTable",
    "Certificate",
    "Domain",
    "FailureBucket",
    "ForwardFunction",
    "Ledger",
    "LogPipeRole",
    "UsageDestination",
    "UsageStream",
];

/// Why a stack can't be updated in its present state, if so.
pub(super) fn stack_not_updatable(
    region: &RegionName,
    kind: StackKind,
    name: &str,
    stack: &ObservedStack,
    recreate_failed: bool,
) -> Option<Problem> {
    let status = &stack.status;
    let problem = match stack.state() {
        StackState::Settled | StackState::Hollow => return None,
        StackState::NeverCreated if recreate_failed => return None,
        StackState::NeverCreated => Problem::new(
            format!("the {kind} stack was never created ({status}); it holds nothing"),
            "delete and create it again with --recreate-failed",
        ),
        StackState::Busy => stack_busy(kind, stack),
        StackState::Stuck => {
            let command = if status == "UPDATE_ROLLBACK_FAILED" {
                "aws cloudformation continue-update-rollback"
            } else {
                "aws cloudformation delete-stack"
            };
            Problem::new(
                format!("the {kind} stack is stuck ({status})"),
                format!("look at its events, then: {command} --stack-name {name} --region {region}"),
            )
        }
    };
    Some(problem.in_region(region))
}

/// Another operation on a stack is under way.
pub(super) fn stack_busy(kind: StackKind, stack: &ObservedStack) -> Problem {
    Problem::new(
        format!("the {kind} stack is being changed ({})", stack.status),
        "wait until that is done; `ipgeo deploy` does",
    )
}

/// The template of home's stack is not one of ours, so nothing in it can be edited.
pub(super) fn home_template_unreadable(home: &RegionName) -> Problem {
    Problem::new("the home stack's template can't be read", "update it first: ipgeo deploy").in_region(home)
}

/// Changes that would lose what must not be lost.
pub(super) fn losses(
    region: &RegionName,
    changes: &[ResourceChange],
    allowed: &BTreeSet<String>,
) -> Vec<Problem> {
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
            let paths: Vec<&str> = change.properties.iter().map(|property| property.path.as_str()).collect();
            let why =
                if paths.is_empty() { String::new() } else { format!(" for a new {}", paths.join(", ")) };
            Problem::new(
                format!("{} ({}) would be {verb}{why}", change.name, change.kind),
                format!("undo that change, or pass --allow-replace {} to accept its loss", change.name),
            )
            .in_region(region)
        })
        .collect()
}
