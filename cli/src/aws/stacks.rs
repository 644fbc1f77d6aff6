//! CloudFormation stacks: read, changed through a change set that is checked before it is executed, deleted.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::types::{
    Capability, ChangeSetStatus, ChangeSetType, OnStackFailure, Parameter, Replacement, Stack as CfnStack,
    Tag,
};
use jiff::Timestamp;

use super::refusal::Refusal;
use super::session::Session;
use super::stack_events::{completed, events, newest, refused_set, root_cause};
use crate::infra::cloud::{Done, NO_REASON, Progress, Report, StepError, check_deletion, check_stack};
use crate::infra::plan::{Before, DriftCheck, ObservedStack, PROTECTED, StackChange, StackState};
use crate::infra::stacks::{Names, StackKind};
use crate::ui::format::duration;

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
        drift: stack.drift_information().map(|found| DriftCheck {
            status: found.stack_drift_status().map(|status| status.as_str().to_owned()).unwrap_or_default(),
            at_s: found.last_check_timestamp().map(aws_sdk_cloudformation::primitives::DateTime::secs),
        }),
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
    // CloudFormation itself refuses to execute a change set if the stack has changed after the change set was created, so
    // no change can come in between.
    if let Err(error) = check_stack(change, deployed(&client, &change.name).await?.as_ref()) {
        // A leftover change set does no harm; the refusal matters.
        let _ = client.delete_change_set().change_set_name(&set).send().await;
        return Err(error);
    }
    guard(&client, &set, &change.allow_replace, |name| PROTECTED.contains(&name)).await?;
    execute(session, &client, (&set, &stack), change.changes.len(), report).await?;
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
        let filled = await_set(self.session, self.client, &set).await?;
        Ok(filled.then_some((set, stack)))
    }

    /// Whether a stack exists that can be updated.
    async fn exists(&self) -> Result<bool, StepError> {
        let found = describe(self.client, &self.change.name).await?;
        Ok(found.is_some_and(|stack| status_of(&stack) != "REVIEW_IN_PROGRESS"))
    }
}

/// Waits until a change set is created; `false`: it was empty and has been deleted.
pub(super) async fn await_set(session: &Session, client: &Client, set: &str) -> Result<bool, StepError> {
    let began = std::time::Instant::now();
    loop {
        let seen = client.describe_change_set().change_set_name(set).send().await.map_err(Refusal::from)?;
        match seen.status() {
            Some(ChangeSetStatus::CreateComplete) => return Ok(true),
            Some(ChangeSetStatus::Failed) => {
                let reason = seen.status_reason().unwrap_or(NO_REASON);
                let empty = reason.contains("didn't contain changes")
                    || reason.contains("No updates are to be performed");
                let cause = if empty { None } else { Some(refused_set(client, set, reason).await) };
                // Nothing refers to it any more.
                let _ = client.delete_change_set().change_set_name(set).send().await;
                return cause.map_or(Ok(false), Err);
            }
            _ => pause(session, began, "the change set").await?,
        }
    }
}

/// Rejects a change set in which CloudFormation would replace or delete a resource that `guarded` names, unless it is
/// allowed; the change set is deleted then.
pub(super) async fn guard(
    client: &Client,
    set: &str,
    allowed: &BTreeSet<String>,
    guarded: fn(&str) -> bool,
) -> Result<(), StepError> {
    let mut token = None;
    loop {
        let call = client.describe_change_set().change_set_name(set).set_next_token(token);
        let page = call.send().await.map_err(Refusal::from)?;
        for change in page.changes().iter().filter_map(|change| change.resource_change()) {
            let name = change.logical_resource_id().unwrap_or_default();
            let lost = change.action().is_some_and(|action| action.as_str() == "Remove")
                || change.replacement() == Some(&Replacement::True);
            if lost && guarded(name) && !allowed.contains(name) {
                // A leftover change set does no harm; report the refusal.
                let _ = client.delete_change_set().change_set_name(set).send().await;
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

/// Executes a change set and waits for its end; `total` resources change.
pub(super) async fn execute(
    session: &Session,
    client: &Client,
    (set, stack): (&str, &str),
    total: usize,
    report: Report<'_>,
) -> Result<(), StepError> {
    let before = newest(client, stack).await?;
    client.execute_change_set().change_set_name(set).send().await.map_err(Refusal::from)?;
    let began = std::time::Instant::now();
    loop {
        let status = status(client, stack).await?;
        let events = events(client, stack, before.as_deref()).await?;
        if !status.ends_with("_IN_PROGRESS") {
            let done = ["CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"].contains(&status.as_str());
            return if done { Ok(()) } else { Err(root_cause(&events, &status)) };
        }
        report(Progress { phase: phase(&status).to_owned(), done: completed(&events), total });
        pause(session, began, "the stack").await?;
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
pub(super) async fn describe(client: &Client, stack: &str) -> Result<Option<CfnStack>, Refusal> {
    let described = client.describe_stacks().stack_name(stack).send().await.map_err(Refusal::from);
    Ok(Refusal::absent_as_none(described)?
        .and_then(|found| found.stacks.unwrap_or_default().into_iter().next()))
}

/// A stack's status by its ID; `DELETE_COMPLETE` if it does not exist.
async fn status(client: &Client, stack: &str) -> Result<String, StepError> {
    let found = describe(client, stack).await?;
    Ok(found.as_ref().map_or_else(|| "DELETE_COMPLETE".to_owned(), status_of))
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Deletion<'a> {
    pub(super) kind: StackKind,
    pub(super) name: &'a str,
    /// The stack as the plan saw it; `None`: it is deleted in any state.
    pub(super) before: Option<&'a Before>,
}

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
    let before = newest(&client, stack).await?;
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
            "DELETE_FAILED" => {
                return Err(root_cause(&events(&client, stack, before.as_deref()).await?, &now));
            }
            _ => {
                report(Progress { phase: "deleting".to_owned(), done: 0, total: 0 });
                pause(session, began, "the stack's deletion").await?;
            }
        }
    }
}
