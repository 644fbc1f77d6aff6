//! The rules of each resource type: what it needs, what it forbids, what must be unique.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use crate::log::Log;
use crate::rules::Rules;
use crate::state::{ACCOUNT, Contents, HeldResource, ResourceId, StackId};
use crate::tables;
use crate::versions::qualified;
use ipgeo::internals::infra::plan::replaces;
use ipgeo::internals::infra::stacks::Resource;

/// Seconds that a resolver may keep an answer.
const RESOLVERS_KEEP: Duration = Duration::from_mins(1);

/// Types whose resources a creation adopts when they are there and nobody's (`ImportExistingResources`).
const ADOPTED: &[&str] =
    &["AWS::DynamoDB::GlobalTable", "AWS::DynamoDB::Table", "AWS::Kinesis::Stream", "AWS::S3::Bucket"];

/// The property that names a resource of a type.
fn name_property(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "AWS::ApiGatewayV2::DomainName" => "DomainName",
        "AWS::CloudWatch::Alarm" => "AlarmName",
        "AWS::DynamoDB::GlobalTable" | "AWS::DynamoDB::Table" => "TableName",
        "AWS::IAM::Role" => "RoleName",
        "AWS::Kinesis::Stream" => "Name",
        "AWS::Lambda::Function" => "FunctionName",
        "AWS::Lambda::LayerVersion" => "LayerName",
        "AWS::Logs::Destination" => "DestinationName",
        "AWS::Logs::LogGroup" => "LogGroupName",
        "AWS::S3::Bucket" => "BucketName",
        "AWS::SNS::Topic" => "TopicName",
        _ => return None,
    })
}

fn text<'v>(value: &'v Value, path: &[&str]) -> &'v str {
    let found = path.iter().try_fold(value, |value, name| value.get(name));
    found.and_then(Value::as_str).unwrap_or_default()
}

fn id_of(stack: &StackId, logical: &str, kind: &str, properties: &Value) -> ResourceId {
    let scope = match kind {
        "AWS::IAM::Role" | "AWS::S3::Bucket" => "global",
        _ => &stack.0,
    };
    if kind == "AWS::Lambda::Alias" {
        let name = format!("{}:{}", text(properties, &["FunctionName"]), text(properties, &["Name"]));
        return ResourceId { scope: scope.to_owned(), kind: kind.to_owned(), name };
    }
    let name = match name_property(kind).map(|property| text(properties, &[property])) {
        Some(name) if !name.is_empty() => name.to_owned(),
        _ => format!("{}/{logical}", stack.1),
    };
    ResourceId { scope: scope.to_owned(), kind: kind.to_owned(), name }
}

/// Makes a resource, or adopts it.
pub(crate) fn create(
    contents: &mut Contents,
    log: &mut Log,
    rules: &Rules<'_>,
    stack: &StackId,
    logical: &str,
    resource: &Resource,
    properties: Value,
) -> Result<ResourceId, String> {
    if resource.kind == "AWS::Lambda::Version" {
        let (function, description) =
            (text(&properties, &["FunctionName"]), text(&properties, &["Description"]));
        let name = contents.publish(&stack.0, function, logical, description)?;
        let id = ResourceId { scope: stack.0.clone(), kind: resource.kind.clone(), name };
        insert(contents, &id, stack, properties);
        return Ok(id);
    }
    let id = id_of(stack, logical, &resource.kind, &properties);
    if let Some(there) = contents.resources.get(&id) {
        // CloudFormation adopts a resource named by a literal, not one named by a function.
        let named = name_property(&resource.kind).and_then(|property| resource.property(property));
        if !named.is_some_and(Value::is_string) {
            return Err(format!("{} already exists, and is not named by a literal", id.name));
        }
        if there.owner.is_some() || !ADOPTED.contains(&resource.kind.as_str()) {
            return Err(format!("{} already exists", id.name));
        }
        if resource.kind == "AWS::DynamoDB::GlobalTable" {
            tables::check_adopted(contents, log, &id.name, &properties)?;
        }
        // Adopting changes nothing of what is adopted.
        if let Some(there) = contents.resources.get_mut(&id) {
            there.owner = Some(stack.clone());
            there.properties = properties;
        }
        return Ok(id);
    }
    check(contents, rules, stack, &resource.kind, &properties)?;
    match resource.kind.as_str() {
        "AWS::DynamoDB::GlobalTable" => tables::create_global(contents, rules, stack, &properties)?,
        "AWS::DynamoDB::Table" => tables::create(contents, stack, &properties),
        "AWS::S3::Bucket" => drop(contents.objects.entry(id.name.clone()).or_default()),
        "AWS::Lambda::Alias" => switch(contents, &id, &properties)?,
        _ => {}
    }
    insert(contents, &id, stack, properties);
    Ok(id)
}

fn switch(contents: &mut Contents, alias: &ResourceId, properties: &Value) -> Result<(), String> {
    contents.switch(&alias.scope, &qualified(alias).0, text(properties, &["FunctionVersion"]))
}

fn insert(contents: &mut Contents, id: &ResourceId, stack: &StackId, properties: Value) {
    contents.next_id += 1;
    let thing = HeldResource { properties, owner: Some(stack.clone()), id: contents.next_id };
    contents.resources.insert(id.clone(), thing);
}

/// Changes a resource in place, or makes a new one.
#[expect(clippy::too_many_arguments, reason = "a resource before and after, where and by which rules")]
pub(crate) fn update(
    contents: &mut Contents,
    log: &mut Log,
    rules: &Rules<'_>,
    stack: &StackId,
    logical: &str,
    old: &ResourceId,
    resource: &Resource,
    properties: Value,
) -> Result<ResourceId, String> {
    let before = contents.resources.get(old).map(|thing| thing.properties.clone()).unwrap_or_default();
    if changed(&before, &properties).any(|property| replaces(&resource.kind, property)) {
        let id = id_of(stack, logical, &resource.kind, &properties);
        if id != *old {
            return create(contents, log, rules, stack, logical, resource, properties);
        }
        let named = name_property(&resource.kind).is_some() && resource.kind != "AWS::Lambda::LayerVersion";
        if named {
            return Err(format!("{} has a name of its own and can't be replaced by another", id.name));
        }
        check(contents, rules, stack, &resource.kind, &properties)?;
        insert(contents, &id, stack, properties);
        return Ok(id);
    }
    check(contents, rules, stack, &resource.kind, &properties)?;
    match resource.kind.as_str() {
        "AWS::DynamoDB::GlobalTable" => {
            tables::update_global(contents, log, rules, stack, &before, &properties)?;
        }
        "AWS::DynamoDB::Table" => tables::update(contents, stack, &properties),
        "AWS::Lambda::Alias" => switch(contents, old, &properties)?,
        _ => {}
    }
    if let Some(thing) = contents.resources.get_mut(old) {
        thing.properties = properties;
    }
    Ok(old.clone())
}

/// Names of properties that differ.
fn changed<'v>(before: &'v Value, after: &'v Value) -> impl Iterator<Item = &'v str> {
    let names = |value: &'v Value| value.as_object().into_iter().flat_map(|members| members.keys());
    let all: BTreeSet<&str> = names(before).chain(names(after)).map(String::as_str).collect();
    all.into_iter().filter(|name| before.get(name) != after.get(name))
}

/// What a resource needs that is not in its template.
fn check(
    contents: &Contents,
    rules: &Rules<'_>,
    stack: &StackId,
    kind: &str,
    properties: &Value,
) -> Result<(), String> {
    match kind {
        "AWS::Lambda::Function" => has_code(contents, rules, &stack.0, properties, "Code"),
        "AWS::ApiGatewayV2::Integration" => {
            let function = text(properties, &["IntegrationUri"]);
            let allows = |(id, thing): (&ResourceId, &HeldResource)| {
                id.scope == stack.0
                    && id.kind == "AWS::Lambda::Permission"
                    && function.ends_with(text(&thing.properties, &["FunctionName"]))
            };
            let allowed = contents.resources.iter().any(allows);
            allowed
                .then_some(())
                .ok_or_else(|| format!("calls would fail: no permission to invoke {function}"))
        }
        "AWS::Lambda::LayerVersion" => has_code(contents, rules, &stack.0, properties, "Content"),
        "AWS::Logs::SubscriptionFilter" => may_be_invoked(contents, &stack.0, properties),
        "AWS::Logs::Destination" => {
            let target = text(properties, &["TargetArn"]);
            let role = text(properties, &["RoleArn"]);
            let region = target.split(':').nth(3).unwrap_or_default();
            let there = |scope: &str, kind: &str, arn: &str| {
                let name = arn.rsplit('/').next().unwrap_or_default().to_owned();
                let id = ResourceId { scope: scope.to_owned(), kind: kind.to_owned(), name };
                contents.resources.contains_key(&id)
            };
            if there(region, "AWS::Kinesis::Stream", target) && there("global", "AWS::IAM::Role", role) {
                Ok(())
            } else {
                Err("Could not deliver test message to specified destination".to_owned())
            }
        }
        "AWS::CertificateManager::Certificate" => {
            let options = properties.get("DomainValidationOptions").and_then(|options| options.get(0));
            let zone = options.map(|option| text(option, &["HostedZoneId"])).unwrap_or_default();
            if rules.zones.iter().any(|known| known.id == zone) {
                Ok(())
            } else {
                Err(format!("no hosted zone {zone} to validate the domain in"))
            }
        }
        "AWS::S3::Bucket" if rules.taken_buckets.contains(text(properties, &["BucketName"])) => {
            Err("the requested bucket name is not available".to_owned())
        }
        _ => Ok(()),
    }
}

/// The ARNs that a region's subscriptions lead to.
pub(crate) fn subscriptions(contents: &Contents, region: &str) -> Vec<String> {
    let filters = contents
        .resources
        .iter()
        .filter(|(id, _)| id.scope == region && id.kind == "AWS::Logs::SubscriptionFilter");
    filters.map(|(_, thing)| text(&thing.properties, &["DestinationArn"]).to_owned()).collect()
}

/// Whether what has this ARN exists and can put lines into the stream.
pub(crate) fn takes_lines(contents: &Contents, arn: &str) -> bool {
    let region = arn.split(':').nth(3).unwrap_or_default();
    let (kind, name) = match arn.split_once(":function:") {
        Some((_, alias)) => ("AWS::Lambda::Alias", alias),
        None => ("AWS::Logs::Destination", arn.rsplit(':').next().unwrap_or_default()),
    };
    let id = ResourceId { scope: region.to_owned(), kind: kind.to_owned(), name: name.to_owned() };
    contents.resources.contains_key(&id)
        && may_be_invoked(contents, region, &serde_json::json!({ "DestinationArn": arn })).is_ok()
}

/// CloudWatch Logs invokes a subscription's function to see whether it may.
fn may_be_invoked(contents: &Contents, region: &str, properties: &Value) -> Result<(), String> {
    let arn = text(properties, &["DestinationArn"]);
    let Some((_, alias)) = arn.split_once(":function:") else { return Ok(()) };
    let permits = |(id, thing): (&ResourceId, &HeldResource)| {
        id.scope == region
            && id.kind == "AWS::Lambda::Permission"
            // A permission of the function does not permit calls of its alias.
            && text(&thing.properties, &["FunctionName"]).split_once(":function:").is_some_and(|(_, its)| its == alias)
            && text(&thing.properties, &["Principal"]) == "logs.amazonaws.com"
    };
    if contents.resources.iter().any(permits) {
        Ok(())
    } else {
        Err("Could not execute the lambda function. Make sure you have given CloudWatch Logs permission to execute your function.".to_owned())
    }
}

fn has_code(
    contents: &Contents,
    rules: &Rules<'_>,
    region: &str,
    properties: &Value,
    where_to: &str,
) -> Result<(), String> {
    let (bucket, key) = (text(properties, &[where_to, "S3Bucket"]), text(properties, &[where_to, "S3Key"]));
    if bucket != rules.names.bucket(ACCOUNT, region) {
        return Err(format!("{bucket} is not in {region}"));
    }
    if contents.objects.get(bucket).is_some_and(|held| held.contains_key(key)) {
        Ok(())
    } else {
        Err(format!("Error occurred while GetObject. S3 Error Code: NoSuchKey ({key})"))
    }
}

/// Removes a resource.
pub(crate) fn delete(
    contents: &mut Contents,
    log: &mut Log,
    rules: &Rules<'_>,
    id: &ResourceId,
) -> Result<(), String> {
    match id.kind.as_str() {
        "AWS::S3::Bucket" => {
            if contents.objects.get(&id.name).is_some_and(|held| !held.is_empty()) {
                return Err("The bucket you tried to delete is not empty".to_owned());
            }
            contents.objects.remove(&id.name);
        }
        "AWS::DynamoDB::GlobalTable" | "AWS::DynamoDB::Table" => tables::delete(contents, &id.name)?,
        "AWS::Kinesis::Stream" | "AWS::IAM::Role" => {
            let needs = |thing: &HeldResource| {
                let ends = |name: &str| text(&thing.properties, &[name]).ends_with(&format!("/{}", id.name));
                ends("TargetArn") || ends("RoleArn")
            };
            for (other, _) in contents
                .resources
                .iter()
                .filter(|(other, thing)| other.kind == "AWS::Logs::Destination" && needs(thing))
            {
                log.harm.push(format!("{} goes while logs of {} flow into it", id.name, other.scope));
            }
        }
        "AWS::ApiGatewayV2::DomainName" => check_forgotten(contents, log, rules, id),
        "AWS::Lambda::Function" => contents.forget_function(id),
        _ => {}
    }
    contents.resources.remove(id);
    Ok(())
}

/// A domain's endpoint must not go while callers may be led to it.
fn check_forgotten(contents: &Contents, log: &mut Log, rules: &Rules<'_>, id: &ResourceId) {
    let Some(thing) = contents.resources.get(id) else { return };
    let target = format!("d-{}.execute-api.{}.amazonaws.com", thing.id, id.scope);
    for zone in rules.zones {
        let leads = zone.records.iter().any(|(_, record)| record.alias.domain == target);
        let led = zone.led_until.get(&target).is_some_and(|until| *until + RESOLVERS_KEEP > rules.now);
        if leads || led {
            log.harm.push(format!("the edge of {} goes while callers are led to it", id.scope));
        }
    }
}
