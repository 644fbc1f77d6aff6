//! CloudFormation stacks: read, changed through a change set that is checked before it is executed, deleted.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::types::{
    Capability, ChangeSetStatus, ChangeSetType, OnStackFailure, Parameter, Replacement, Stack as CfnStack,
    StackEvent, StackResourceDriftStatus, Tag,
};
use jiff::Timestamp;

use super::refusal::Refusal;
use super::session::Session;
use crate::infra::cloud::{Done, NO_REASON, Progress, Report, StepError, check_deletion, check_stack};
use crate::infra::plan::{Before, ObservedStack, PROTECTED, StackChange, StackState};
use crate::infra::stacks::{Names, StackKind};
use crate::ui::format::duration;

/// Tolerance between this machine's clock and CloudFormation's when events are picked by time, s.
const CLOCK_SLACK_S: i64 = 2;

/// The service's stacks in a region.
pub(super) async fn read(
    client: &Client,
    names: &Names,
) -> Result<BTreeMap<StackKind, ObservedStack>, Refusal> {
    let mut found = BTreeMap::new();
    let mut pages = client.describe_stacks().into_paginator().items().send();
    while let Some(stack) = pages.next().await {
        let stack = stack?;
        let kind = StackKind::ALL.into_iter().find(|kind| stack.stack_name() == Some(&names.stack(*kind)));
        let Some(kind) = kind else { continue };
        found.insert(kind, with_template(client, &stack).await?);
    }
    Ok(found)
}

/// A stack and its template.
async fn with_template(client: &Client, stack: &CfnStack) -> Result<ObservedStack, Refusal> {
    let status = status_of(stack);
    let text = if status == "REVIEW_IN_PROGRESS" {
        String::new()
    } else {
        let template = client.get_template().set_stack_name(stack.stack_id.clone()).send().await?;
        template.template_body.unwrap_or_default()
    };
    Ok(observed(stack, status, text))
}

/// What is deployed under a stack's name.
async fn deployed(client: &Client, name: &str) -> Result<Option<ObservedStack>, Refusal> {
    match describe(client, name).await? {
        Some(stack) => with_template(client, &stack).await.map(Some),
        None => Ok(None),
    }
}

fn status_of(stack: &CfnStack) -> String {
    stack.stack_status().map(|status| status.as_str().to_owned()).unwrap_or_default()
}

fn observed(stack: &CfnStack, status: String, text: String) -> ObservedStack {
    let pair = |key: Option<&str>, value: Option<&str>| Some((key?.to_owned(), value?.to_owned()));
    ObservedStack {
        status,
        text,
        parameters: stack
            .parameters()
            .iter()
            .filter_map(|p| pair(p.parameter_key(), p.parameter_value()))
            .collect(),
        outputs: stack.outputs().iter().filter_map(|o| pair(o.output_key(), o.output_value())).collect(),
    }
}

/// Creates or updates a stack to match its template.
pub(super) async fn ensure(
    session: &Session,
    region: &str,
    service: &str,
    change: &StackChange,
    report: Report<'_>,
) -> Result<Done, StepError> {
    let client = session.cloudformation(region);
    if change.recreate {
        let found = deployed(&client, &change.name).await?;
        check_stack(change, found.as_ref())?;
        if found.is_some_and(|stack| stack.state() == StackState::NeverCreated) {
            let failed = Deletion { kind: change.kind, name: &change.name, before: None };
            delete(session, region, failed, report).await?;
        }
    }
    let work = Work { session, client: &client, change, report };
    let Some((set, stack)) = work.change_set(service).await? else { return Ok(Done::AlreadySo) };
    if let Err(error) = work.guard(&set).await {
        // A leftover change set does no harm; the refusal matters.
        let _ = client.delete_change_set().change_set_name(&set).send().await;
        return Err(error);
    }
    let began = Timestamp::now();
    client.execute_change_set().change_set_name(&set).send().await.map_err(Refusal::from)?;
    work.watch(&stack, began).await?;
    if change.kind == StackKind::Home {
        let protect = client.update_termination_protection().stack_name(&change.name);
        protect.enable_termination_protection(true).send().await.map_err(Refusal::from)?;
    }
    Ok(Done::Changed)
}

struct Work<'a> {
    session: &'a Session,
    client: &'a Client,
    change: &'a StackChange,
    report: Report<'a>,
}

impl Work<'_> {
    /// Creates a change set; returns its and the stack's IDs, `None` if it is empty.
    async fn change_set(&self, service: &str) -> Result<Option<(String, String)>, StepError> {
        (self.report)(Progress { phase: "change set".to_owned(), done: 0, total: 0 });
        let kind = if self.exists().await? { ChangeSetType::Update } else { ChangeSetType::Create };
        let creates = kind == ChangeSetType::Create;
        let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
        let parameters = self
            .change
            .parameters
            .iter()
            .map(|(key, value)| Parameter::builder().parameter_key(key).parameter_value(value).build());
        let name = format!("ipgeo-{}", Timestamp::now().as_millisecond());
        let call = self
            .client
            .create_change_set()
            .stack_name(&self.change.name)
            .change_set_name(name)
            .change_set_type(kind)
            .template_body(&self.change.text)
            .capabilities(Capability::CapabilityNamedIam)
            .set_role_arn(self.session.role.clone())
            .set_parameters(Some(parameters.collect()))
            .tags(tag("ipgeo:service", service))
            .tags(tag("ipgeo:stack", self.change.kind.as_str()))
            // A stack whose creation failed can't be updated; retained data of an earlier stack is imported.
            .set_on_stack_failure(creates.then_some(OnStackFailure::Delete))
            .set_import_existing_resources(creates.then_some(true));
        let made = call.send().await.map_err(Refusal::from)?;
        let (set, stack) = (made.id.unwrap_or_default(), made.stack_id.unwrap_or_default());
        let began = std::time::Instant::now();
        loop {
            let seen = self.client.describe_change_set().change_set_name(&set).send().await;
            let seen = seen.map_err(Refusal::from)?;
            match seen.status() {
                Some(ChangeSetStatus::CreateComplete) => return Ok(Some((set, stack))),
                Some(ChangeSetStatus::Failed) => {
                    let reason = seen.status_reason().unwrap_or(NO_REASON).to_owned();
                    // Nothing refers to it any more; its failure is reported below.
                    let _ = self.client.delete_change_set().change_set_name(&set).send().await;
                    let empty = reason.contains("didn't contain changes")
                        || reason.contains("No updates are to be performed");
                    return if empty { Ok(None) } else { Err(StepError::new(reason)) };
                }
                _ => self.wait(began, "the change set").await?,
            }
        }
    }

    /// Whether a stack exists that can be updated.
    async fn exists(&self) -> Result<bool, StepError> {
        let found = describe(self.client, &self.change.name).await?;
        Ok(found.is_some_and(|stack| status_of(&stack) != "REVIEW_IN_PROGRESS"))
    }

    /// Rejects a change set in which CloudFormation would replace or delete a protected resource, or for a stack that is
    /// not as the plan has seen it. CloudFormation itself refuses to execute a change set if the stack has changed after
    /// the change set was created, so no change can come in between.
    async fn guard(&self, set: &str) -> Result<(), StepError> {
        check_stack(self.change, deployed(self.client, &self.change.name).await?.as_ref())?;
        let mut token = None;
        loop {
            let call = self.client.describe_change_set().change_set_name(set).set_next_token(token);
            let page = call.send().await.map_err(Refusal::from)?;
            for change in page.changes().iter().filter_map(|change| change.resource_change()) {
                let name = change.logical_resource_id().unwrap_or_default();
                let lost = change.action().is_some_and(|action| action.as_str() == "Remove")
                    || change.replacement() == Some(&Replacement::True);
                if lost && PROTECTED.contains(&name) && !self.change.allow_replace.contains(name) {
                    return Err(StepError {
                        resource: Some(format!("{name} ({})", change.resource_type().unwrap_or_default())),
                        remedy: Some(format!("pass --allow-replace {name} if you accept its loss")),
                        ..StepError::new("CloudFormation would replace or delete it; nothing was changed")
                    });
                }
            }
            token = page.next_token().map(str::to_owned);
            if token.is_none() {
                return Ok(());
            }
        }
    }

    /// Waits for the operation to end and reports its progress.
    async fn watch(&self, stack: &str, since: Timestamp) -> Result<(), StepError> {
        let began = std::time::Instant::now();
        loop {
            let status = status(self.client, stack).await?;
            let events = events(self.client, stack, since).await?;
            if !status.ends_with("_IN_PROGRESS") {
                return if matches!(status.as_str(), "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "IMPORT_COMPLETE")
                {
                    Ok(())
                } else {
                    Err(root_cause(&events, &status))
                };
            }
            (self.report)(Progress {
                phase: phase(&status).to_owned(),
                done: completed(&events),
                total: self.change.changes.len(),
            });
            self.wait(began, "the stack").await?;
        }
    }

    async fn wait(&self, began: std::time::Instant, what: &str) -> Result<(), StepError> {
        pause(self.session, began, what).await
    }
}

/// Pauses between two polls; fails at the timeout.
pub(super) async fn pause(session: &Session, began: std::time::Instant, what: &str) -> Result<(), StepError> {
    if began.elapsed() > session.patience {
        let waited = duration(session.patience.as_secs());
        return Err(StepError::new(format!("{what} is not ready after {waited}; AWS may still complete it")));
    }
    // Jitter, so that regions that started together do not poll together.
    let jitter = fastrand::f64() * 0.4 + 0.8;
    tokio::time::sleep(session.poll.mul_f64(jitter)).await;
    Ok(())
}

fn phase(status: &str) -> &'static str {
    match status {
        "CREATE_IN_PROGRESS" => "creating",
        "DELETE_IN_PROGRESS" => "deleting",
        status if status.contains("ROLLBACK") => "rolling back",
        status if status.contains("CLEANUP") => "cleaning up",
        _ => "updating",
    }
}

/// A stack by its name or ID; `None` if it does not exist.
async fn describe(client: &Client, stack: &str) -> Result<Option<CfnStack>, Refusal> {
    let described = client.describe_stacks().stack_name(stack).send().await.map_err(Refusal::from);
    Ok(Refusal::absent_as_none(described)?
        .and_then(|found| found.stacks.unwrap_or_default().into_iter().next()))
}

/// A stack's status by its ID; `DELETE_COMPLETE` if it does not exist.
async fn status(client: &Client, stack: &str) -> Result<String, StepError> {
    let found = describe(client, stack).await?;
    Ok(found.as_ref().map_or_else(|| "DELETE_COMPLETE".to_owned(), status_of))
}

/// A stack's events since an instant, newest first.
async fn events(client: &Client, stack: &str, since: Timestamp) -> Result<Vec<StackEvent>, StepError> {
    let since = since.as_second() - CLOCK_SLACK_S;
    let mut found = Vec::new();
    let mut pages = client.describe_stack_events().stack_name(stack).into_paginator().items().send();
    while let Some(event) = pages.next().await {
        match event.map_err(Refusal::from) {
            Ok(event) if event.timestamp().is_some_and(|time| time.secs() < since) => break,
            Ok(event) => found.push(event),
            Err(refusal) if refusal.is_absent() => break,
            Err(refusal) => return Err(refusal.into()),
        }
    }
    Ok(found)
}

fn completed(events: &[StackEvent]) -> usize {
    let is_done = |event: &&StackEvent| {
        event.resource_status().is_some_and(|status| status.as_str().ends_with("_COMPLETE"))
            && event.physical_resource_id() != event.stack_id()
    };
    let names: BTreeSet<&str> =
        events.iter().filter(is_done).filter_map(|event| event.logical_resource_id()).collect();
    names.len()
}

/// The first failure that was not caused by another.
fn root_cause(events: &[StackEvent], status: &str) -> StepError {
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

/// A stack to delete.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deletion<'a> {
    pub(super) kind: StackKind,
    pub(super) name: &'a str,
    /// What the plan has seen; `None`: it is deleted whatever it holds.
    pub(super) before: Option<&'a Before>,
}

/// Deletes a stack.
pub(super) async fn delete(
    session: &Session,
    region: &str,
    Deletion { kind, name, before }: Deletion<'_>,
    report: Report<'_>,
) -> Result<Done, StepError> {
    let client = session.cloudformation(region);
    let Some(found) = describe(&client, name).await? else { return Ok(Done::AlreadySo) };
    let Some(stack) = found.stack_id() else { return Ok(Done::AlreadySo) };
    check_deletion(kind, before, Some(&with_template(&client, &found).await?))?;
    if kind == StackKind::Home {
        let protect = client.update_termination_protection().stack_name(name);
        protect.enable_termination_protection(false).send().await.map_err(Refusal::from)?;
    }
    let since = Timestamp::now();
    client
        .delete_stack()
        .stack_name(stack)
        .set_role_arn(session.role.clone())
        .send()
        .await
        .map_err(Refusal::from)?;
    let began = std::time::Instant::now();
    loop {
        let now = status(&client, stack).await?;
        match now.as_str() {
            "DELETE_COMPLETE" => return Ok(Done::Changed),
            "DELETE_FAILED" => return Err(root_cause(&events(&client, stack, since).await?, &now)),
            _ => {
                report(Progress { phase: "deleting".to_owned(), done: 0, total: 0 });
                pause(session, began, "the stack's deletion").await?;
            }
        }
    }
}

/// Runs CloudFormation's drift detection on a stack: each drifted resource, how it drifted, and the properties.
pub(super) async fn drifts(
    session: &Session,
    region: &str,
    name: &str,
) -> Result<Vec<(String, String, Vec<String>)>, StepError> {
    let client = session.cloudformation(region);
    let begun = client.detect_stack_drift().stack_name(name).send().await.map_err(Refusal::from)?;
    let id = begun.stack_drift_detection_id.unwrap_or_default();
    let began = std::time::Instant::now();
    loop {
        let seen = client.describe_stack_drift_detection_status().stack_drift_detection_id(&id).send().await;
        let seen = seen.map_err(Refusal::from)?;
        match seen.detection_status().map(|status| status.as_str()) {
            Some("DETECTION_IN_PROGRESS") => pause(session, began, "the drift detection").await?,
            Some("DETECTION_FAILED") => {
                let reason = seen.detection_status_reason().unwrap_or(NO_REASON);
                // Some resource types are not supported; the others are reported.
                if seen.drifted_stack_resource_count().is_none() {
                    return Err(StepError::new(reason));
                }
                break;
            }
            _ => break,
        }
    }
    let mut found = Vec::new();
    let mut token = None;
    loop {
        let call = client
            .describe_stack_resource_drifts()
            .stack_name(name)
            .stack_resource_drift_status_filters(StackResourceDriftStatus::Modified)
            .stack_resource_drift_status_filters(StackResourceDriftStatus::Deleted)
            .set_next_token(token);
        let page = call.send().await.map_err(Refusal::from)?;
        for drift in page.stack_resource_drifts() {
            let resource = format!(
                "{} ({})",
                drift.logical_resource_id().unwrap_or_default(),
                drift.resource_type().unwrap_or_default()
            );
            let status = drift.stack_resource_drift_status().map(|s| s.as_str()).unwrap_or_default();
            let properties = drift.property_differences().iter().map(|difference| {
                format!(
                    "{} {} → {}",
                    difference.property_path().unwrap_or_default().trim_start_matches('/'),
                    difference.expected_value().unwrap_or_default(),
                    difference.actual_value().unwrap_or_default()
                )
            });
            found.push((resource, status.to_owned(), properties.collect()));
        }
        token = page.next_token().map(str::to_owned);
        if token.is_none() {
            return Ok(found);
        }
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
}
