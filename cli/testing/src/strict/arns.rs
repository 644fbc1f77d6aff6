//! The names and ARNs of resources, and which of them each action of a handler is evaluated against.

use serde_json::Value;

use super::policy::Request;
use super::registry::registry;
use super::resolve::{GENERATED, Place, Resolved};

/// The property that holds a resource's name, or the name of what it belongs to.
const NAMED_BY: [(&str, &str); 16] = [
    ("AWS::ApiGatewayV2::DomainName", "DomainName"),
    ("AWS::ApiGatewayV2::Stage", "StageName"),
    ("AWS::CloudWatch::Alarm", "AlarmName"),
    ("AWS::DynamoDB::GlobalTable", "TableName"),
    ("AWS::DynamoDB::Table", "TableName"),
    ("AWS::IAM::Role", "RoleName"),
    ("AWS::Kinesis::Stream", "Name"),
    ("AWS::Lambda::Alias", "Name"),
    ("AWS::Lambda::Function", "FunctionName"),
    ("AWS::Lambda::LayerVersion", "LayerName"),
    ("AWS::Logs::Destination", "DestinationName"),
    ("AWS::Logs::LogGroup", "LogGroupName"),
    ("AWS::Logs::SubscriptionFilter", "LogGroupName"),
    ("AWS::S3::Bucket", "BucketName"),
    ("AWS::S3::BucketPolicy", "Bucket"),
    ("AWS::SNS::Topic", "TopicName"),
];

/// The name of a resource, or a stand-in for one that AWS generates.
pub(crate) fn physical_name(kind: &str, properties: &Value) -> String {
    let property = NAMED_BY.iter().find(|(known, _)| *known == kind).map(|(_, property)| *property);
    property.and_then(|property| properties[property].as_str()).unwrap_or(GENERATED).to_owned()
}

/// The last part of a function's name or ARN.
fn function_name(value: &Value) -> String {
    let text = value.as_str().unwrap_or(GENERATED);
    let name = text.split(":function:").nth(1).unwrap_or(text);
    name.split(':').next().unwrap_or(name).to_owned()
}

/// The ARN of a resource, of its kind's usual form.
pub(crate) fn arn(kind: &str, properties: &Value, place: &Place) -> String {
    let (region, account) = (&place.region, &place.account);
    let name = physical_name(kind, properties);
    let function = function_name(&properties["FunctionName"]);
    match kind {
        "AWS::ApiGatewayV2::DomainName" => format!("arn:aws:apigateway:{region}::/domainnames/{name}"),
        "AWS::CertificateManager::Certificate" => {
            format!("arn:aws:acm:{region}:{account}:certificate/{GENERATED}")
        }
        "AWS::CloudWatch::Alarm" => format!("arn:aws:cloudwatch:{region}:{account}:alarm:{name}"),
        "AWS::DynamoDB::GlobalTable" | "AWS::DynamoDB::Table" => {
            format!("arn:aws:dynamodb:{region}:{account}:table/{name}")
        }
        "AWS::IAM::Role" => format!("arn:aws:iam::{account}:role/{name}"),
        "AWS::Kinesis::Stream" => format!("arn:aws:kinesis:{region}:{account}:stream/{name}"),
        "AWS::Lambda::Alias" => format!("arn:aws:lambda:{region}:{account}:function:{function}:{name}"),
        "AWS::Lambda::EventSourceMapping" => {
            format!("arn:aws:lambda:{region}:{account}:event-source-mapping:{GENERATED}")
        }
        "AWS::Lambda::Function" | "AWS::Lambda::Permission" | "AWS::Lambda::EventInvokeConfig" => {
            format!("arn:aws:lambda:{region}:{account}:function:{function}")
        }
        "AWS::Lambda::LayerVersion" => format!("arn:aws:lambda:{region}:{account}:layer:{name}:1"),
        "AWS::Lambda::Version" => format!("arn:aws:lambda:{region}:{account}:function:{function}:1"),
        "AWS::Logs::Destination" => format!("arn:aws:logs:{region}:{account}:destination:{name}"),
        "AWS::Logs::LogGroup" | "AWS::Logs::SubscriptionFilter" => {
            format!("arn:aws:logs:{region}:{account}:log-group:{name}:*")
        }
        "AWS::S3::Bucket" | "AWS::S3::BucketPolicy" => format!("arn:aws:s3:::{name}"),
        "AWS::SNS::Topic" => format!("arn:aws:sns:{region}:{account}:{name}"),
        other => format!("arn:aws:apigateway:{region}::{}", api_path(other, properties, true)),
    }
}

/// The path of a part of an API.
fn api_path(kind: &str, properties: &Value, item: bool) -> String {
    let collection = match kind {
        "AWS::ApiGatewayV2::Api" => "/apis".to_owned(),
        "AWS::ApiGatewayV2::Integration" => format!("/apis/{GENERATED}/integrations"),
        "AWS::ApiGatewayV2::Route" => format!("/apis/{GENERATED}/routes"),
        "AWS::ApiGatewayV2::Stage" => format!("/apis/{GENERATED}/stages"),
        "AWS::ApiGatewayV2::DomainName" => "/domainnames".to_owned(),
        "AWS::ApiGatewayV2::ApiMapping" => {
            let domain = properties["DomainName"].as_str().unwrap_or(GENERATED);
            format!("/domainnames/{domain}/apimappings")
        }
        other => panic!("the type {other} is not known here"),
    };
    if item { format!("{collection}/{}", physical_name(kind, properties)) } else { collection }
}

/// Requests of API Gateway: its actions are the methods of HTTP, its resources paths.
fn api_request(action: &str, resource: &Resolved, place: &Place) -> Request {
    let kind = resource.kind.as_str();
    let at = |path: String| Request::new(action, format!("arn:aws:apigateway:{}::{path}", place.region));
    let tagged = ["AWS::ApiGatewayV2::Api", "AWS::ApiGatewayV2::DomainName"].contains(&kind);
    match action {
        "apigateway:POST" => at(api_path(kind, &resource.properties, false)),
        // Tags have a path of their own, with the resource's ARN in it.
        "apigateway:PUT" if tagged => at(format!("/tags/{GENERATED}")),
        _ => at(api_path(kind, &resource.properties, true)),
    }
}

/// What a handler's action is evaluated against: nothing for an action that IAM does not know.
pub(crate) fn requests(action: &str, resource: &Resolved, place: &Place) -> Vec<Request> {
    let (service, name) = action.split_once(':').expect("service:Action");
    if service == "apigateway" {
        return vec![api_request(action, resource, place)];
    }
    let takes = match registry().actions.get(action) {
        Some(Some(formats)) => formats,
        Some(None) => return Vec::new(),
        None => panic!("{action} is not in the registry table"),
    };
    if takes.is_empty() {
        return vec![unscoped(action, resource, place)];
    }
    let properties = &resource.properties;
    let own = arn(&resource.kind, properties, place);
    match (service, name) {
        ("iam", "PassRole") => pass_role(action, resource),
        ("iam", "CreateServiceLinkedRole") => service_linked_role(action, resource, place),
        ("route53", _) => zones(action, properties),
        ("s3", "GetObject" | "GetObjectVersion") => {
            let code = if resource.kind.ends_with("Function") { "Code" } else { "Content" };
            let part = |name: &str| properties[code][name].as_str().unwrap_or(GENERATED).to_owned();
            vec![Request::new(action, format!("arn:aws:s3:::{}/{}", part("S3Bucket"), part("S3Key")))]
        }
        ("lambda", "GetLayerVersion") if resource.kind == "AWS::Lambda::Function" => {
            let layers = properties["Layers"].as_array().into_iter().flatten().filter_map(Value::as_str);
            layers.map(|layer| Request::new(action, layer)).collect()
        }
        ("lambda", "PublishLayerVersion") => vec![Request::new(action, own.trim_end_matches(":1"))],
        ("lambda", "DeleteFunction") => vec![Request::new(action, own)],
        // Only the calls with a qualifier are evaluated against a version or an alias.
        ("lambda", name) if !name.contains("ProvisionedConcurrency") && is_qualified(&resource.kind) => {
            vec![Request::new(action, function_arn(properties, place))]
        }
        ("cloudwatch", "DescribeAlarms") => {
            vec![Request::new(
                action,
                format!("arn:aws:cloudwatch:{}:{}:alarm:*", place.region, place.account),
            )]
        }
        ("dynamodb", _) => tables(action, resource, place),
        ("logs", "PutSubscriptionFilter") => {
            // A function permits the log service itself; only log destinations are a resource of this action.
            let destination = properties["DestinationArn"].as_str().filter(|arn| !arn.contains(":function:"));
            let group = group(action, resource, place);
            [group.as_str()].into_iter().chain(destination).map(|arn| Request::new(action, arn)).collect()
        }
        ("logs", _) if own.contains(":log-group:") => {
            vec![Request::new(action, group(action, resource, place))]
        }
        _ => vec![Request::new(action, own)],
    }
}

fn is_qualified(kind: &str) -> bool {
    ["AWS::Lambda::Version", "AWS::Lambda::Alias"].contains(&kind)
}

fn function_arn(properties: &Value, place: &Place) -> String {
    let function = function_name(&properties["FunctionName"]);
    format!("arn:aws:lambda:{}:{}:function:{function}", place.region, place.account)
}

fn unscoped(action: &str, resource: &Resolved, place: &Place) -> Request {
    let request = Request::new(action, "*");
    if action == "lambda:CreateEventSourceMapping" {
        return request.with("lambda:FunctionArn", function_arn(&resource.properties, place));
    }
    request
}

fn pass_role(action: &str, resource: &Resolved) -> Vec<Request> {
    let properties = &resource.properties;
    let role = properties["Role"].as_str().or_else(|| properties["RoleArn"].as_str());
    let service = match resource.kind.split("::").nth(1) {
        Some("Lambda") => "lambda.amazonaws.com",
        Some("Logs") => "logs.amazonaws.com",
        other => panic!("no service of {other:?} takes a role here"),
    };
    vec![Request::new(action, role.unwrap_or(GENERATED)).with("iam:PassedToService", service)]
}

fn service_linked_role(action: &str, resource: &Resolved, place: &Place) -> Vec<Request> {
    let (service, role) = match resource.kind.as_str() {
        "AWS::ApiGatewayV2::DomainName" => ("ops.apigateway.amazonaws.com", "AWSServiceRoleForAPIGateway"),
        _ => ("replication.dynamodb.amazonaws.com", "AWSServiceRoleForDynamoDBReplication"),
    };
    let arn = format!("arn:aws:iam::{}:role/aws-service-role/{service}/{role}", place.account);
    vec![Request::new(action, arn).with("iam:AWSServiceName", service)]
}

fn zones(action: &str, properties: &Value) -> Vec<Request> {
    let options = properties["DomainValidationOptions"].as_array().into_iter().flatten();
    let zones = options.filter_map(|option| option["HostedZoneId"].as_str());
    zones.map(|zone| Request::new(action, format!("arn:aws:route53:::hostedzone/{zone}"))).collect()
}

/// A table's ARN: of a global table, in every region of its replicas.
fn tables(action: &str, resource: &Resolved, place: &Place) -> Vec<Request> {
    let replicas = resource.properties["Replicas"].as_array().into_iter().flatten();
    let mut regions: Vec<&str> = replicas.filter_map(|replica| replica["Region"].as_str()).collect();
    if regions.is_empty() {
        regions.push(&place.region);
    }
    let at = |region: &str| {
        let there = Place { region: region.to_owned(), ..place.clone() };
        Request::new(action, arn(&resource.kind, &resource.properties, &there))
            .with("aws:RequestedRegion", region)
    };
    regions.into_iter().map(at).collect()
}

/// A log group's ARN as CloudWatch Logs evaluates it: its error messages end in `:log-stream:`, but tags are of the
/// group alone.
pub(crate) fn log_group(action: &str, name: &str, place: &Place) -> String {
    let stream = if action.contains("Tag") { "" } else { ":log-stream:" };
    format!("arn:aws:logs:{}:{}:log-group:{name}{stream}", place.region, place.account)
}

fn group(action: &str, resource: &Resolved, place: &Place) -> String {
    let name = resource.properties["LogGroupName"].as_str().unwrap_or(GENERATED);
    log_group(action, name, place)
}
