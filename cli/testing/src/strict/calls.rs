//! A call of the program as IAM sees it: its action and its resource. An unknown call fails the test that makes it.

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::arns::log_group;
use super::http::{Call, Form, Scope};
use super::policy::Request;
use super::resolve::{GENERATED, Place};

/// What the proxy knows of earlier calls.
pub(crate) trait Memory {
    /// The stack of a change set, by the change set's ARN.
    fn stack_of(&self, change_set: &str) -> Option<String>;
    /// The stream that an iterator or a token was given for.
    fn stream(&self, region: &str) -> Option<String>;
}

/// The requests that a call needs permission for; empty: it needs none.
pub(crate) fn requests(
    call: &Call,
    scope: &Scope,
    account: &str,
    memory: &dyn Memory,
) -> Result<Vec<Request>, String> {
    let place = Place { region: scope.region.clone(), account: account.to_owned(), stack: String::new() };
    let found = match scope.service.as_str() {
        // "No permissions are required to perform this operation."
        "sts" if call.form().get("Action") == Some("GetCallerIdentity") => Some(Vec::new()),
        "cloudformation" => cloudformation(&call.form(), &place, memory),
        "dynamodb" => dynamodb(&operation(call), &call.json(), &place),
        "kinesis" => kinesis(&operation(call), &call.json(), &place, memory),
        "logs" => logs(&operation(call), &call.json(), &place),
        "s3" => s3(call),
        "route53" => route53(call),
        "lambda" => lambda(call, &place),
        "acm" => acm(&operation(call), &call.json()),
        "servicequotas" => Some(vec![Request::new(format!("servicequotas:{}", operation(call)), "*")]),
        "account" if call.path == "/getRegionOptStatus" => {
            let account = format!("arn:aws:account::{account}:account");
            Some(vec![Request::new("account:GetRegionOptStatus", account)])
        }
        "monitoring" => Some(vec![cloudwatch(call, &place)]),
        _ => None,
    };
    let mut found = found.ok_or_else(|| {
        let action = call.form().get("Action").unwrap_or_default().to_owned();
        format!("{} {} {}?{} {}{action}", scope.service, call.method, call.path, call.query, operation(call))
    })?;
    for request in &mut found {
        request.context.insert("aws:requestedregion".to_owned(), scope.region.clone());
        request.context.insert("aws:securetransport".to_owned(), "true".to_owned());
    }
    Ok(found)
}

/// The operation that a header names.
fn operation(call: &Call) -> String {
    let target = call.header("x-amz-target").unwrap_or_default();
    target.rsplit('.').next().unwrap_or_default().to_owned()
}

/// A stack's ARN, from its name or ARN.
fn stack_arn(stack: &str, place: &Place) -> String {
    if stack.starts_with("arn:") {
        return stack.to_owned();
    }
    format!("arn:aws:cloudformation:{}:{}:stack/{stack}/{GENERATED}", place.region, place.account)
}

fn cloudformation(form: &Form, place: &Place, memory: &dyn Memory) -> Option<Vec<Request>> {
    let action = form.get("Action")?;
    let named = form.get("StackName").map(str::to_owned);
    let stack = named.or_else(|| memory.stack_of(form.get("ChangeSetName")?));
    let resource = match (action, stack) {
        ("DescribeStackDriftDetectionStatus" | "ListStacks", _) | ("DescribeStacks", None) => "*".to_owned(),
        (_, stack) => stack_arn(&stack?, place),
    };
    let mut found = vec![Request::new(format!("cloudformation:{action}"), resource.clone())];
    if action == "CreateChangeSet" && form.all("Tags.member").next().is_some() {
        found.push(Request::new("cloudformation:TagResource", resource));
    }
    if let Some(role) = form.get("RoleARN") {
        found[0].context.insert("cloudformation:rolearn".to_owned(), role.to_owned());
        let pass = Request::new("iam:PassRole", role);
        found.push(pass.with("iam:PassedToService", "cloudformation.amazonaws.com"));
    }
    Some(found)
}

fn dynamodb(operation: &str, body: &Value, place: &Place) -> Option<Vec<Request>> {
    let table = |action: &str, table: &str| {
        let arn = format!("arn:aws:dynamodb:{}:{}:table/{table}", place.region, place.account);
        Request::new(format!("dynamodb:{action}"), arn)
    };
    match operation {
        "DescribeLimits" | "ListTables" => Some(vec![Request::new(format!("dynamodb:{operation}"), "*")]),
        "TransactWriteItems" | "TransactGetItems" => {
            let mut found = Vec::new();
            for item in body["TransactItems"].as_array()? {
                let (kind, inner) = item.as_object()?.iter().next()?;
                let action = match kind.as_str() {
                    "ConditionCheck" => "ConditionCheckItem".to_owned(),
                    kind => format!("{kind}Item"),
                };
                found.push(table(&action, inner["TableName"].as_str()?));
            }
            Some(found)
        }
        operation => {
            if let Some(tables) = body["RequestItems"].as_object() {
                return Some(tables.keys().map(|name| table(operation, name)).collect());
            }
            Some(vec![table(operation, body["TableName"].as_str()?)])
        }
    }
}

fn kinesis(operation: &str, body: &Value, place: &Place, memory: &dyn Memory) -> Option<Vec<Request>> {
    // The clock of AWS is read from the answer to a call that names no operation.
    if operation.is_empty() {
        return Some(Vec::new());
    }
    let name = body["StreamName"].as_str().map(str::to_owned).or_else(|| memory.stream(&place.region))?;
    let arn = format!("arn:aws:kinesis:{}:{}:stream/{name}", place.region, place.account);
    Some(vec![Request::new(format!("kinesis:{operation}"), arn)])
}

fn logs(operation: &str, body: &Value, place: &Place) -> Option<Vec<Request>> {
    let action = format!("logs:{operation}");
    let resource = match operation {
        "DescribeLogGroups" | "DescribeDestinations" => "*".to_owned(),
        operation => log_group(operation, body["logGroupName"].as_str()?, place),
    };
    Some(vec![Request::new(action, resource)])
}

fn s3(call: &Call) -> Option<Vec<Request>> {
    let place = percent_decode_str(call.path.trim_matches('/')).decode_utf8_lossy().into_owned();
    let need =
        |action: &str, place: &str| Request::new(format!("s3:{action}"), format!("arn:aws:s3:::{place}"));
    let one = |action: &str| Some(vec![need(action, &place)]);
    let parameters = Form(form_urlencoded::parse(call.query.as_bytes()).into_owned().collect());
    let has = |name: &str| parameters.get(name).is_some();
    match (call.method.as_str(), place.contains('/')) {
        ("HEAD", false) => one("ListBucket"),
        ("GET", false) if has("versions") => one("ListBucketVersions"),
        ("GET", false) if has("list-type") => one("ListBucket"),
        ("DELETE", false) => one("DeleteBucket"),
        ("POST", false) if has("delete") => {
            let body = String::from_utf8_lossy(&call.body).into_owned();
            let action = if body.contains("<VersionId>") { "DeleteObjectVersion" } else { "DeleteObject" };
            Some(vec![need(action, &format!("{place}/{GENERATED}"))])
        }
        ("DELETE", true) if has("versionId") => one("DeleteObjectVersion"),
        ("DELETE", true) => one("DeleteObject"),
        ("HEAD" | "GET", true) => one("GetObject"),
        ("PUT", true) => {
            let source = call.header("x-amz-copy-source").map(|source| {
                need("GetObject", &percent_decode_str(source.trim_matches('/')).decode_utf8_lossy())
            });
            Some(source.into_iter().chain([need("PutObject", &place)]).collect())
        }
        _ => None,
    }
}

fn route53(call: &Call) -> Option<Vec<Request>> {
    let parts: Vec<&str> = call.path.trim_matches('/').split('/').skip(1).collect();
    let zone = |zone: &str| format!("arn:aws:route53:::hostedzone/{zone}");
    let (operation, resource) = match (call.method.as_str(), &parts[..]) {
        ("GET", ["hostedzonesbyname"]) => ("ListHostedZonesByName", "*".to_owned()),
        ("GET", ["hostedzone"]) => ("ListHostedZones", "*".to_owned()),
        ("GET", ["hostedzone", id]) => ("GetHostedZone", zone(id)),
        ("GET", ["hostedzone", id, "rrset"]) => ("ListResourceRecordSets", zone(id)),
        ("POST", ["hostedzone", id, "rrset"]) => ("ChangeResourceRecordSets", zone(id)),
        ("GET", ["change", id]) => ("GetChange", format!("arn:aws:route53:::change/{id}")),
        _ => return None,
    };
    Some(vec![Request::new(format!("route53:{operation}"), resource)])
}

fn lambda(call: &Call, place: &Place) -> Option<Vec<Request>> {
    let parts: Vec<&str> = call.path.trim_matches('/').split('/').skip(1).collect();
    let function = |name: &str| {
        let name = percent_decode_str(name).decode_utf8_lossy().into_owned();
        let arn = format!("arn:aws:lambda:{}:{}:function:{name}", place.region, place.account);
        if name.starts_with("arn:") { name } else { arn }
    };
    let layer = |name: &str| format!("arn:aws:lambda:{}:{}:layer:{name}", place.region, place.account);
    let (operation, resource) = match (call.method.as_str(), &parts[..]) {
        ("GET", ["account-settings"]) => ("GetAccountSettings", "*".to_owned()),
        ("GET", ["event-source-mappings"]) => ("ListEventSourceMappings", "*".to_owned()),
        ("GET", ["functions", name]) => ("GetFunction", function(name)),
        ("DELETE", ["functions", name]) => ("DeleteFunction", function(name)),
        ("GET", ["functions", name, "configuration"]) => ("GetFunctionConfiguration", function(name)),
        ("GET", ["functions", name, "versions"]) => ("ListVersionsByFunction", function(name)),
        ("POST", ["functions", name, "versions"]) => ("PublishVersion", function(name)),
        ("GET", ["functions", name, "aliases"]) => ("ListAliases", function(name)),
        ("POST", ["functions", name, "aliases"]) => ("CreateAlias", function(name)),
        ("GET", ["functions", name, "aliases", _]) => ("GetAlias", function(name)),
        ("PUT", ["functions", name, "aliases", _]) => ("UpdateAlias", function(name)),
        ("POST", ["functions", name, "invocations"]) => ("InvokeFunction", function(name)),
        ("GET", ["layers", name, "versions"]) => ("ListLayerVersions", layer(name)),
        ("DELETE", ["layers", name, "versions", version]) => {
            ("DeleteLayerVersion", format!("{}:{version}", layer(name)))
        }
        _ => return None,
    };
    Some(vec![Request::new(format!("lambda:{operation}"), resource)])
}

fn acm(operation: &str, body: &Value) -> Option<Vec<Request>> {
    let resource = match operation {
        "ListCertificates" | "RequestCertificate" => "*",
        _ => body["CertificateArn"].as_str()?,
    };
    Some(vec![Request::new(format!("acm:{operation}"), resource)])
}

fn cloudwatch(call: &Call, place: &Place) -> Request {
    let form = call.form();
    let operation = match form.get("Action") {
        Some(action) => action.to_owned(),
        None => operation(call),
    };
    let resource = match operation.as_str() {
        "DescribeAlarms" => format!("arn:aws:cloudwatch:{}:{}:alarm:*", place.region, place.account),
        _ => "*".to_owned(),
    };
    Request::new(format!("cloudwatch:{operation}"), resource)
}
