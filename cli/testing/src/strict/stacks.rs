//! What the proxy remembers of CloudFormation: change sets as they were asked for, stacks as they are, and the
//! failures that it answers with in the emulator's place.
//!
//! A change that AWS would refuse never reaches the emulator: to the caller it began, failed and was rolled back.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ipgeo::internals::infra::stacks::Template;

use super::http::{Answer, Form};
use super::refusal::escape;
use super::resolve::{Place, Resolved, resolve};
use super::rules::Failure;

/// A change set.
#[derive(Debug, Clone)]
pub(crate) struct ChangeSet {
    pub(crate) place: Place,
    pub(crate) creates: bool,
    pub(crate) stack_id: String,
    pub(crate) resources: BTreeMap<String, Resolved>,
    pub(crate) role: Option<String>,
    /// What early validation found.
    pub(crate) invalid: Vec<(&'static str, Failure)>,
}

/// A failure that is told of a stack.
#[derive(Debug, Clone)]
pub(crate) struct Failed {
    pub(crate) stack_id: String,
    pub(crate) status: &'static str,
    pub(crate) resource_status: &'static str,
    pub(crate) failure: Failure,
    at: String,
}

impl Failed {
    pub(crate) fn new(stack_id: &str, status: &'static str, failure: Failure) -> Self {
        let resource_status = match status {
            "UPDATE_ROLLBACK_COMPLETE" => "UPDATE_FAILED",
            "DELETE_FAILED" => "DELETE_FAILED",
            _ => "CREATE_FAILED",
        };
        Self { stack_id: stack_id.to_owned(), status, resource_status, failure, at: now() }
    }
}

/// This moment as CloudFormation writes it.
fn now() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}

/// The resources of a request with a template.
pub(crate) fn resources_of(form: &Form, place: &Place) -> Result<BTreeMap<String, Resolved>, String> {
    let text = form.get("TemplateBody").ok_or("a change set without a template")?;
    let template = Template::parse(text).map_err(|error| error.to_string())?;
    let mut parameters = BTreeMap::new();
    for (name, key) in &form.0 {
        if let Some(at) = name.strip_suffix(".ParameterKey")
            && let Some(value) = form.get(&format!("{at}.ParameterValue"))
        {
            parameters.insert(key.clone(), value.to_owned());
        }
    }
    Ok(resolve(&template, &parameters, place))
}

/// The text of an element.
pub(crate) fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let rest = xml.split_once(&format!("<{name}>"))?.1;
    Some(rest.split_once(&format!("</{name}>"))?.0)
}

fn xml(body: String) -> Answer {
    Answer::new(200, &[("content-type", "text/xml")], body)
}

/// The answer to an `ExecuteChangeSet` or `DeleteStack` that went on to fail.
pub(crate) fn accepted(action: &str) -> Answer {
    xml(format!("<{action}Response><{action}Result/></{action}Response>"))
}

/// A change set that early validation refuses: its reason names no resource.
pub(crate) fn describe_failed(id: &str, set: &ChangeSet) -> Answer {
    let hook = set.invalid.first().map_or("ResourceExistenceCheck", |(hook, _)| hook);
    xml(format!(
        "<DescribeChangeSetResponse><DescribeChangeSetResult><ChangeSetId>{id}</ChangeSetId>\
         <StackId>{}</StackId><StackName>{}</StackName><Status>FAILED</Status>\
         <ExecutionStatus>UNAVAILABLE</ExecutionStatus><StatusReason>The following hook(s)/validation failed: \
         [AWS::EarlyValidation::{hook}]. To troubleshoot Early Validation errors, use the DescribeEvents API for \
         detailed failure information.</StatusReason><Changes/></DescribeChangeSetResult>\
         </DescribeChangeSetResponse>",
        set.stack_id, set.place.stack
    ))
}

/// What `DescribeEvents` says of such a change set.
pub(crate) fn validation_events(set: &ChangeSet) -> Answer {
    let mut events = String::new();
    for (index, (hook, failure)) in set.invalid.iter().enumerate() {
        let name =
            if *hook == "PropertyValidation" { "PROPERTY_VALIDATION" } else { "NAME_CONFLICT_VALIDATION" };
        let _ = write!(
            events,
            "<member><EventId>{index}</EventId><StackId>{}</StackId><OperationType>CREATE_CHANGESET</OperationType>\
             <EventType>VALIDATION_ERROR</EventType><LogicalResourceId>{resource}</LogicalResourceId>\
             <PhysicalResourceId>{}</PhysicalResourceId><ResourceType>{}</ResourceType><Timestamp>{}</Timestamp>\
             <ValidationFailureMode>FAIL</ValidationFailureMode><ValidationName>{name}</ValidationName>\
             <ValidationStatus>FAILED</ValidationStatus><ValidationStatusReason>{}</ValidationStatusReason>\
             <ValidationPath>/Resources/{resource}</ValidationPath></member>",
            set.stack_id,
            escape(&failure.physical),
            failure.kind,
            now(),
            escape(&failure.reason),
            resource = failure.resource,
        );
    }
    xml(format!(
        "<DescribeEventsResponse><DescribeEventsResult><OperationEvents>{events}</OperationEvents>\
         </DescribeEventsResult></DescribeEventsResponse>"
    ))
}

/// The events of a stack whose operation failed, newest first.
pub(crate) fn failure_events(failed: &Failed, stack: &str) -> Answer {
    let event = |number: u32, resource: &str, physical: &str, kind: &str, status: &str, reason: &str| {
        format!(
            "<member><EventId>strict-{number}</EventId><StackId>{id}</StackId><StackName>{stack}</StackName>\
             <LogicalResourceId>{resource}</LogicalResourceId><PhysicalResourceId>{physical}</PhysicalResourceId>\
             <ResourceType>{kind}</ResourceType><ResourceStatus>{status}</ResourceStatus>\
             <ResourceStatusReason>{reason}</ResourceStatusReason><Timestamp>{at}</Timestamp></member>",
            id = failed.stack_id,
            at = failed.at,
        )
    };
    let Failure { resource, kind, reason, .. } = &failed.failure;
    let own = "AWS::CloudFormation::Stack";
    let events = [
        event(3, stack, &failed.stack_id, own, failed.status, ""),
        event(2, resource, "", kind, failed.resource_status, &escape(reason)),
        event(1, stack, &failed.stack_id, own, "UPDATE_IN_PROGRESS", "User Initiated"),
    ];
    xml(format!(
        "<DescribeStackEventsResponse><DescribeStackEventsResult><StackEvents>{}</StackEvents>\
         </DescribeStackEventsResult></DescribeStackEventsResponse>",
        events.concat()
    ))
}

/// The emulator's description of stacks with the states that their failures leave.
pub(crate) fn with_states<'a>(answer: Answer, failures: impl Iterator<Item = &'a Failed>) -> Answer {
    let mut text = answer.text();
    for failed in failures {
        let Some(at) = text.find(&format!("<StackId>{}</StackId>", failed.stack_id)) else { continue };
        let from = text[..at].rfind("<member>").unwrap_or(0);
        let to = text[at..].find("</member>").map_or(text.len(), |end| at + end);
        let Some(status) = element(&text[from..to], "StackStatus") else { continue };
        let changed = text[from..to].replace(&format!(">{status}<"), &format!(">{}<", failed.status));
        text.replace_range(from..to, &changed);
    }
    answer.with_text(text)
}
