//! Detects drift and repairs it with a drift-aware change set.

use std::collections::BTreeSet;

use aws_sdk_cloudformation::types::{
    Capability, ChangeSetType, DeploymentMode, Parameter, StackResourceDriftStatus,
};
use jiff::Timestamp;

use super::refusal::Refusal;
use super::session::Session;
use super::stacks::{await_set, describe, execute, guard, pause};
use crate::infra::cloud::{Done, NO_REASON, Progress, Report, StepError};
use crate::infra::plan::Drift;

/// Reverts a stack's resources to its deployed template. A drift-aware change set compares the template with the actual
/// resources. It may also list resources that have not changed (cloudformation-coverage-roadmap#2505), so it must replace
/// nothing, and drift is detected again at the end.
pub(super) async fn repair(
    session: &Session,
    region: &str,
    name: &str,
    total: usize,
    allowed: &BTreeSet<String>,
    report: Report<'_>,
) -> Result<Done, StepError> {
    report(Progress { phase: "change set".to_owned(), done: 0, total: 0 });
    let client = session.cloudformation(region);
    let found =
        describe(&client, name).await?.ok_or_else(|| StepError::new(format!("the stack {name} is gone")))?;
    let keys = found.parameters().iter().filter_map(|parameter| parameter.parameter_key());
    let parameters = keys.map(|key| Parameter::builder().parameter_key(key).use_previous_value(true).build());
    let made = client
        .create_change_set()
        .stack_name(name)
        .change_set_name(format!("ipgeo-repair-{}", Timestamp::now().as_millisecond()))
        .change_set_type(ChangeSetType::Update)
        .use_previous_template(true)
        .set_role_arn(session.role.clone())
        .set_parameters(Some(parameters.collect()))
        .capabilities(Capability::CapabilityNamedIam)
        .deployment_mode(DeploymentMode::RevertDrift)
        .send()
        .await
        .map_err(Refusal::from)?;
    let (set, stack) = (made.id.unwrap_or_default(), made.stack_id.unwrap_or_default());
    let filled = await_set(session, &client, &set).await?;
    if filled {
        guard(&client, &set, allowed, |_| true).await?;
        execute(session, &client, (&set, &stack), total, report).await?;
    }
    report(Progress { phase: "checking".to_owned(), done: 0, total: 0 });
    let mut left = drifts(session, region, name).await?;
    left.retain(|drift| !drift.is_switched());
    match left.as_slice() {
        [] if filled => Ok(Done::Changed),
        [] => Ok(Done::AlreadySo),
        [first, ..] => Err(StepError {
            resource: Some(format!("{} ({})", first.name, first.kind)),
            remedy: Some("CloudFormation can't repair it: set it to the template's value by hand".to_owned()),
            ..StepError::new(format!("it still differs from the template: {}", first.properties.join("; ")))
        }),
    }
}

/// Runs CloudFormation's drift detection on a stack: each drifted resource, how it drifted, and the properties.
pub(super) async fn drifts(session: &Session, region: &str, name: &str) -> Result<Vec<Drift>, StepError> {
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
            let status = drift.stack_resource_drift_status().map(|s| s.as_str()).unwrap_or_default();
            let properties = drift.property_differences().iter().map(|difference| {
                format!(
                    "{} {} → {}",
                    difference.property_path().unwrap_or_default().trim_start_matches('/'),
                    difference.expected_value().unwrap_or_default(),
                    difference.actual_value().unwrap_or_default()
                )
            });
            found.push(Drift {
                name: drift.logical_resource_id().unwrap_or_default().to_owned(),
                kind: drift.resource_type().unwrap_or_default().to_owned(),
                status: status.to_owned(),
                properties: properties.collect(),
            });
        }
        token = page.next_token().map(str::to_owned);
        if token.is_none() {
            return Ok(found);
        }
    }
}
