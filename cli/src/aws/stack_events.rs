//! Reads CloudFormation's events of an operation: its progress, and why it failed.

use std::collections::BTreeSet;

use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::types::{EventFilter, OperationEvent, StackEvent};

use super::refusal::Refusal;
use crate::infra::cloud::{NO_REASON, StepError};

/// The ID of a stack's newest event. Events are distinguished by ID, not by time: this machine's clock may be off.
pub(super) async fn newest(client: &Client, stack: &str) -> Result<Option<String>, Refusal> {
    let page = client.describe_stack_events().stack_name(stack).send().await.map_err(Refusal::from);
    let page = Refusal::absent_as_none(page)?;
    Ok(page.and_then(|page| page.stack_events().first()?.event_id().map(str::to_owned)))
}

/// A stack's events after one of them, newest first.
pub(super) async fn events(
    client: &Client,
    stack: &str,
    after: Option<&str>,
) -> Result<Vec<StackEvent>, StepError> {
    let mut found = Vec::new();
    let mut pages = client.describe_stack_events().stack_name(stack).into_paginator().items().send();
    while let Some(event) = pages.next().await {
        match event.map_err(Refusal::from) {
            Ok(event) if after.is_some() && event.event_id() == after => break,
            Ok(event) => found.push(event),
            Err(refusal) if refusal.is_absent() => break,
            Err(refusal) => return Err(refusal.into()),
        }
    }
    Ok(found)
}

pub(super) fn completed(events: &[StackEvent]) -> usize {
    let is_done = |event: &&StackEvent| {
        event.resource_status().is_some_and(|status| status.as_str().ends_with("_COMPLETE"))
            && event.physical_resource_id() != event.stack_id()
    };
    let names: BTreeSet<&str> =
        events.iter().filter(is_done).filter_map(|event| event.logical_resource_id()).collect();
    names.len()
}

/// The first failure that was not caused by another.
pub(super) fn root_cause(events: &[StackEvent], status: &str) -> StepError {
    let failed = |event: &&StackEvent| {
        event.resource_status().is_some_and(|status| status.as_str().ends_with("_FAILED"))
            && !event.resource_status_reason().unwrap_or_default().contains("cancelled")
    };
    match events.iter().rev().find(failed) {
        Some(event) => StepError {
            resource: Some(format!(
                "{} ({})",
                event.logical_resource_id().unwrap_or_default(),
                event.resource_type().unwrap_or_default()
            )),
            ..StepError::new(event.resource_status_reason().unwrap_or(NO_REASON))
        },
        None => StepError::new(format!("the stack is {status}: CloudFormation reported no failed resource")),
    }
}

/// Why a change set was refused. The reason of one that failed CloudFormation's early validation names no resource; the
/// change set's events do.
pub(super) async fn refused_set(client: &Client, set: &str, reason: &str) -> StepError {
    let filter = EventFilter::builder().failed_events(true).build();
    let mut pages =
        client.describe_events().change_set_name(set).filters(filter).into_paginator().items().send();
    let mut found = Vec::new();
    while let Some(event) = pages.next().await {
        match event.map_err(Refusal::from) {
            Ok(event) => found.push(event),
            Err(refusal) => {
                // An emulator does not support the call: use the reason alone.
                let denied = refusal.code.as_deref().is_some_and(|code| code.starts_with("AccessDenied"));
                let remedy = "allow cloudformation:DescribeEvents (see `ipgeo iam policy`), then run the same command again: the cause will be named";
                return StepError { remedy: denied.then(|| remedy.to_owned()), ..StepError::new(reason) };
            }
        }
    }
    validation_cause(&found, reason)
}

/// The failed validations of a change set, the first as the cause and the others after it.
fn validation_cause(events: &[OperationEvent], reason: &str) -> StepError {
    let mut failures: Vec<(String, String)> = Vec::new();
    for event in events.iter().rev() {
        let why = event
            .validation_status_reason()
            .or(event.hook_status_reason())
            .or(event.resource_status_reason());
        let (Some(why), Some(name)) = (why, event.logical_resource_id()) else { continue };
        let place = event.validation_path().map(|path| format!(" at {path}")).unwrap_or_default();
        let resource = format!("{name} ({})", event.resource_type().unwrap_or_default());
        let failure = (resource, format!("{why}{place}"));
        if !failures.contains(&failure) {
            failures.push(failure);
        }
    }
    let Some(((resource, first), others)) = failures.split_first() else { return StepError::new(reason) };
    let mut message = first.clone();
    for (resource, why) in others {
        message.extend(["; ", resource, ": ", why]);
    }
    let taken = failures.iter().any(|(_, why)| why.contains("already exists"));
    let remedy = "nothing was changed in this stack; delete what has the name if it is a leftover, or choose another `name` or `environment` in regions.toml";
    StepError {
        resource: Some(resource.clone()),
        remedy: taken.then(|| remedy.to_owned()),
        ..StepError::new(message)
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_cloudformation::primitives::DateTime;
    use aws_sdk_cloudformation::types::ResourceStatus;

    use super::*;

    fn event(second: i64, name: &str, status: ResourceStatus, reason: &str) -> StackEvent {
        StackEvent::builder()
            .timestamp(DateTime::from_secs(second))
            .logical_resource_id(name)
            .physical_resource_id(name)
            .resource_type("AWS::X::Y")
            .resource_status(status)
            .resource_status_reason(reason)
            .build()
    }

    #[test]
    fn the_first_failure_without_a_cause_is_the_root() {
        let events = [
            event(4, "Stack", ResourceStatus::RollbackInProgress, "failed"),
            event(3, "Other", ResourceStatus::CreateFailed, "Resource creation cancelled"),
            event(2, "Function", ResourceStatus::CreateFailed, "no such key"),
            event(1, "Role", ResourceStatus::CreateComplete, ""),
        ];
        let cause = root_cause(&events, "ROLLBACK_COMPLETE");
        assert_eq!(cause.to_string(), "Function (AWS::X::Y): no such key");
        assert_eq!(completed(&events), 1);
        assert!(root_cause(&[], "ROLLBACK_COMPLETE").to_string().contains("ROLLBACK_COMPLETE"));
    }

    #[test]
    fn a_refused_change_set_names_resources_and_reasons() {
        let validation = |name: &str, why: &str, path: Option<&str>| {
            OperationEvent::builder()
                .logical_resource_id(name)
                .resource_type("AWS::Logs::LogGroup")
                .validation_status_reason(why)
                .set_validation_path(path.map(str::to_owned))
                .build()
        };
        let exists = "Resource of type 'AWS::Logs::LogGroup' with identifier '/aws/lambda/a' already exists.";
        let general = "The following hook(s)/validation failed: [AWS::EarlyValidation::ResourceExistenceCheck]. \
                       To troubleshoot Early Validation errors, use the DescribeEvents API.";
        let stack = OperationEvent::builder().logical_resource_id("stack").build();
        // Newest first, as AWS lists them.
        let missing =
            validation("Other", "Required property [A] not found", Some("/Resources/Other/Properties"));
        let cause = validation_cause(&[stack.clone(), missing, validation("Logs", exists, None)], general);
        assert_eq!(
            cause.to_string(),
            format!(
                "Logs (AWS::Logs::LogGroup): {exists}; Other (AWS::Logs::LogGroup): Required property [A] not found at /Resources/Other/Properties"
            )
        );
        assert!(cause.remedy.is_some_and(|remedy| remedy.contains("choose another `name`")));
        assert_eq!(validation_cause(&[stack], general), StepError::new(general));
    }
}
