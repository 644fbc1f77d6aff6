//! A template's values with `Ref`, `Fn::GetAtt` and `Fn::Sub` resolved.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::state::{ACCOUNT, Contents, ResourceId};
use crate::versions::qualified;

/// What names in a template mean.
pub(crate) struct Meaning<'a> {
    pub(crate) contents: &'a Contents,
    pub(crate) region: &'a str,
    pub(crate) parameters: &'a BTreeMap<String, String>,
    pub(crate) resources: &'a BTreeMap<String, ResourceId>,
}

impl Meaning<'_> {
    /// A value without functions; an error names what can't be resolved.
    pub(crate) fn resolve(&self, value: &Value) -> Result<Value, String> {
        match value {
            Value::Object(members) => match members.iter().next() {
                Some((name, Value::String(to))) if members.len() == 1 && name == "Ref" => {
                    self.reference(to).map(Value::from)
                }
                Some((name, Value::Array(parts))) if members.len() == 1 && name == "Fn::GetAtt" => {
                    let part = |at: usize| parts.get(at).and_then(Value::as_str).unwrap_or_default();
                    self.attribute(part(0), part(1)).map(Value::from)
                }
                Some((name, Value::String(text))) if members.len() == 1 && name == "Fn::Sub" => {
                    self.substitute(text).map(Value::from)
                }
                _ => members
                    .iter()
                    .map(|(name, member)| Ok((name.clone(), self.resolve(member)?)))
                    .collect::<Result<Map<_, _>, String>>()
                    .map(Value::Object),
            },
            Value::Array(items) => {
                items.iter().map(|item| self.resolve(item)).collect::<Result<_, _>>().map(Value::Array)
            }
            other => Ok(other.clone()),
        }
    }

    fn reference(&self, name: &str) -> Result<String, String> {
        match name {
            "AWS::AccountId" => Ok(ACCOUNT.to_owned()),
            "AWS::Region" => Ok(self.region.to_owned()),
            "AWS::Partition" => Ok("aws".to_owned()),
            _ => match (self.parameters.get(name), self.resources.get(name)) {
                (Some(value), _) => Ok(value.clone()),
                (None, Some(id)) => Ok(match id.kind.as_str() {
                    "AWS::Lambda::Alias" => arn(id, self.region),
                    // Each layer version has an ARN of its own.
                    "AWS::Lambda::LayerVersion" => {
                        format!("{}:{}", id.name, self.contents.resources.get(id).map_or(0, |thing| thing.id))
                    }
                    _ => id.name.clone(),
                }),
                (None, None) => Err(format!("{name} is not there")),
            },
        }
    }

    fn attribute(&self, name: &str, attribute: &str) -> Result<String, String> {
        let id = self.resources.get(name).ok_or_else(|| format!("{name} is not there"))?;
        let made_up = self.contents.resources.get(id).map_or(0, |thing| thing.id);
        Ok(match attribute {
            "Arn" => arn(id, self.region),
            "Version" => qualified(id).1.to_owned(),
            "ApiEndpoint" => format!("https://a{made_up}.execute-api.{}.amazonaws.com", self.region),
            "RegionalDomainName" => format!("d-{made_up}.execute-api.{}.amazonaws.com", self.region),
            "RegionalHostedZoneId" => format!("Z{}", self.region.to_uppercase().replace('-', "")),
            other => return Err(format!("{name} has no {other}")),
        })
    }

    fn substitute(&self, text: &str) -> Result<String, String> {
        let mut parts = text.split("${");
        let mut out = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (name, rest) = part.split_once('}').ok_or("an open `${`")?;
            match name.split_once('.') {
                Some((name, attribute)) => out.push_str(&self.attribute(name, attribute)?),
                None => out.push_str(&self.reference(name)?),
            }
            out.push_str(rest);
        }
        Ok(out)
    }
}

fn arn(id: &ResourceId, region: &str) -> String {
    let name = &id.name;
    match id.kind.as_str() {
        "AWS::IAM::Role" => format!("arn:aws:iam::{ACCOUNT}:role/{name}"),
        "AWS::Kinesis::Stream" => format!("arn:aws:kinesis:{region}:{ACCOUNT}:stream/{name}"),
        "AWS::Lambda::Function" | "AWS::Lambda::Alias" => {
            format!("arn:aws:lambda:{region}:{ACCOUNT}:function:{name}")
        }
        "AWS::Logs::Destination" => format!("arn:aws:logs:{region}:{ACCOUNT}:destination:{name}"),
        "AWS::S3::Bucket" => format!("arn:aws:s3:::{name}"),
        kind => format!("arn:aws:{}:{region}:{ACCOUNT}:{name}", kind.replace("::", "-").to_lowercase()),
    }
}
