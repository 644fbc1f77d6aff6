//! Direct calls to the emulator's services, so that results are checked independently of the program's own client.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use ureq::Agent;

/// A client without retries, redirects or status checks.
pub(crate) fn agent() -> Agent {
    Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(30)))
        .http_status_as_error(false)
        .max_redirects(0)
        .build()
        .new_agent()
}

/// Every service of an emulator.
#[derive(Debug, Clone)]
pub(crate) struct Raw {
    endpoint: String,
    agent: Agent,
}

/// An answer.
type Answer = Result<String, String>;

impl Raw {
    pub(crate) fn new(endpoint: &str) -> Self {
        Self { endpoint: endpoint.to_owned(), agent: agent() }
    }

    /// A call; `headers` in addition to the one with caller, service and region.
    fn call(
        &self,
        (service, region): (&str, &str),
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let scope = format!("harness/20260101/{region}/{service}/aws4_request");
        let mut request =
            ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.endpoint)).header(
                "authorization",
                format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"),
            );
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.to_owned()).map_err(|error| error.to_string())?;
        let mut answer = self.agent.run(request).map_err(|error| error.to_string())?;
        let text = answer.body_mut().read_to_string().map_err(|error| error.to_string())?;
        if answer.status().is_success() { Ok(text) } else { Err(format!("{}: {text}", answer.status())) }
    }

    /// A call of a service with JSON bodies and the operation in a header.
    pub(crate) fn json(
        &self,
        region: &str,
        service: &str,
        target: &str,
        body: &Value,
    ) -> Result<Value, String> {
        let headers = [("x-amz-target", target), ("content-type", "application/x-amz-json-1.1")];
        let text = self.call((service, region), "POST", "/", &headers, &body.to_string())?;
        if text.is_empty() {
            Ok(Value::Null)
        } else {
            serde_json::from_str(&text).map_err(|error| error.to_string())
        }
    }

    /// A call of a service that takes a form.
    pub(crate) fn form(&self, region: &str, service: &str, form: &str) -> Answer {
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        self.call((service, region), "POST", "/", &headers, form)
    }

    /// A call of a service whose operations are paths.
    pub(crate) fn rest(&self, region: &str, service: &str, method: &str, path: &str, body: &str) -> Answer {
        self.call((service, region), method, path, &[("content-type", "application/json")], body)
    }

    /// A service's resources, regional and global: `region kind name`.
    pub(crate) fn census<'a>(
        &self,
        service: &str,
        regions: impl IntoIterator<Item = &'a str>,
    ) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut add = |region: &str, kind: &str, names: Vec<String>| {
            let ours = names.into_iter().filter(|name| name.contains(service));
            found.extend(ours.map(|name| format!("{region} {kind} {name}")));
        };
        for region in regions {
            for (kind, names) in self.of_region(region) {
                add(region, kind, names);
            }
        }
        let roles = self.form("us-east-1", "iam", "Action=ListRoles&Version=2010-05-08").expect("roles");
        add("-", "role", texts(&roles, "RoleName"));
        let buckets = self.rest("us-east-1", "s3", "GET", "/", "").expect("buckets");
        add("-", "bucket", texts(&buckets, "Name"));
        found
    }

    fn of_region(&self, region: &str) -> Vec<(&'static str, Vec<String>)> {
        let ask = |service: &str, target: &str, list: &str, name: &str| {
            let answer = self.json(region, service, target, &json!({})).expect("a list");
            names(&answer[list], name)
        };
        let rest = |service: &str, path: &str, list: &str, name: &str| {
            let answer = self.rest(region, service, "GET", path, "").expect("a list");
            names(&serde_json::from_str::<Value>(&answer).expect("JSON")[list], name)
        };
        let stacks =
            self.form(region, "cloudformation", "Action=DescribeStacks&Version=2010-05-15").expect("stacks");
        let alarms =
            self.form(region, "monitoring", "Action=DescribeAlarms&Version=2010-08-01").expect("alarms");
        vec![
            ("stack", texts(&stacks, "StackName")),
            ("alarm", texts(&alarms, "AlarmName")),
            ("table", ask("dynamodb", "DynamoDB_20120810.ListTables", "TableNames", "")),
            ("stream", ask("kinesis", "Kinesis_20131202.ListStreams", "StreamNames", "")),
            ("log group", ask("logs", "Logs_20140328.DescribeLogGroups", "logGroups", "logGroupName")),
            ("function", rest("lambda", "/2015-03-31/functions", "Functions", "FunctionName")),
            ("layer", rest("lambda", "/2018-10-31/layers", "Layers", "LayerName")),
            (
                "mapping",
                rest("lambda", "/2015-03-31/event-source-mappings", "EventSourceMappings", "FunctionArn"),
            ),
            ("api", rest("apigateway", "/v2/apis", "items", "name")),
            ("domain", rest("apigateway", "/v2/domainnames", "items", "domainName")),
            (
                "certificate",
                ask("acm", "CertificateManager.ListCertificates", "CertificateSummaryList", "DomainName"),
            ),
        ]
    }
}

/// The names in a list: of texts, or of objects with a member that is one.
fn names(list: &Value, member: &str) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    let name = |item: &Value| item.as_str().or_else(|| item[member].as_str()).map(str::to_owned);
    items.filter_map(name).collect()
}

/// The texts of an element, anywhere in the document.
pub(crate) fn texts(xml: &str, element: &str) -> Vec<String> {
    let (open, close) = (format!("<{element}>"), format!("</{element}>"));
    xml.split(&open).skip(1).filter_map(|rest| rest.split(&close).next()).map(str::to_owned).collect()
}
