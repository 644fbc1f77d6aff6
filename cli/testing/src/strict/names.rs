//! Names that are taken: the emulator is asked, as AWS's early validation asks the services.

use std::io;

use serde_json::json;

use super::http::Call;
use super::resolve::{Place, Resolved};

/// The name of a resource if one of that name exists.
pub(crate) fn taken(upstream: &str, resource: &Resolved, place: &Place) -> io::Result<Option<String>> {
    let text = |property: &str| resource.properties[property].as_str().map(str::to_owned);
    let (name, call) = match resource.kind.as_str() {
        "AWS::IAM::Role" => {
            let Some(name) = text("RoleName") else { return Ok(None) };
            let body = format!("Action=GetRole&Version=2010-05-08&RoleName={name}");
            (name, Call::by_harness("iam", "us-east-1", "POST", "/", None, body))
        }
        "AWS::Lambda::Function" => {
            let Some(name) = text("FunctionName") else { return Ok(None) };
            let path = format!("/2015-03-31/functions/{name}");
            (name, Call::by_harness("lambda", &place.region, "GET", &path, None, String::new()))
        }
        "AWS::DynamoDB::GlobalTable" | "AWS::DynamoDB::Table" => {
            let Some(name) = text("TableName") else { return Ok(None) };
            let body = json!({ "TableName": name }).to_string();
            let target = Some("DynamoDB_20120810.DescribeTable");
            (name, Call::by_harness("dynamodb", &place.region, "POST", "/", target, body))
        }
        "AWS::S3::Bucket" => {
            let Some(name) = text("BucketName") else { return Ok(None) };
            let path = format!("/{name}");
            (name, Call::by_harness("s3", &place.region, "HEAD", &path, None, String::new()))
        }
        "AWS::Logs::LogGroup" => {
            let Some(name) = text("LogGroupName") else { return Ok(None) };
            let body = json!({ "logGroupNamePrefix": name }).to_string();
            let target = Some("Logs_20140328.DescribeLogGroups");
            let call = Call::by_harness("logs", &place.region, "POST", "/", target, body);
            let answer = call.send(upstream)?.json();
            let groups = answer["logGroups"].as_array().cloned().unwrap_or_default();
            let exists = groups.iter().any(|group| group["logGroupName"] == name.as_str());
            return Ok(exists.then_some(name));
        }
        _ => return Ok(None),
    };
    Ok((call.send(upstream)?.status < 300).then_some(name))
}
