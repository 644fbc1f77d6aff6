//! A parsed CloudFormation template, as values that can be compared.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::names::FunctionKind;

pub(crate) const ALIAS: &str = "AWS::Lambda::Alias";
pub(crate) const VERSION: &str = "AWS::Lambda::Version";

/// Characters of a version's hash in its logical name.
const VERSION_HASH_CHARS: usize = 10;

/// The largest template that a call takes inline (CloudFormation quotas).
pub(crate) const INLINE_BYTES_MAX: usize = 51_200;

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Template {
    /// By logical name.
    pub resources: BTreeMap<String, Resource>,
    #[serde(default)]
    pub outputs: BTreeMap<String, Value>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Resource {
    /// `AWS::Lambda::Function`.
    #[serde(rename = "Type")]
    pub kind: String,
    /// Its properties, with `Ref` and `Fn::…` in their long form.
    #[serde(default)]
    pub properties: Value,
    /// The policy for when it is no longer declared.
    #[serde(default)]
    pub deletion_policy: Option<String>,
    /// Logical names of resources that are created or changed before it.
    #[serde(default)]
    pub depends_on: Vec<String>,
}

/// Why a text is not a valid template.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    #[error("not a CloudFormation template")]
    Shape(#[from] serde_yaml::Error),
    #[error("the template has {bytes} bytes; CloudFormation allows {INLINE_BYTES_MAX}")]
    Large { bytes: usize },
    #[error("`{from}` refers to `{to}`, which is not declared")]
    Dangling { from: String, to: String },
}

impl Template {
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        Ok(serde_yaml::from_str(text)?)
    }

    /// Checks what CloudFormation would refuse, as far as is known without asking it: the size, and references to
    /// undeclared resources.
    pub fn check(&self, text: &str) -> Result<(), TemplateError> {
        if text.len() > INLINE_BYTES_MAX {
            return Err(TemplateError::Large { bytes: text.len() });
        }
        for (name, resource) in &self.resources {
            for to in resource.refers_to().into_iter().chain(resource.depends_on.iter().cloned()) {
                let is_parameter = to == "HostedZoneId";
                if !is_parameter && !to.starts_with("AWS::") && !self.resources.contains_key(&to) {
                    return Err(TemplateError::Dangling { from: name.clone(), to });
                }
            }
        }
        Ok(())
    }

    /// A hash of what a function's published version contains: the function's properties and its layers' content; `None`
    /// without a version. Lambda refuses to publish a version if nothing of this has changed, so what belongs to the
    /// function as a whole is left out.
    pub(super) fn version_hash(&self, kind: FunctionKind) -> Option<String> {
        let function = self.resources.get(self.version(kind)?)?.refers_to().into_iter().next()?;
        let mut function = self.resources.get(&function)?.clone();
        if let Some(members) = function.properties.as_object_mut() {
            members.remove("ReservedConcurrentExecutions");
        }
        let mut sha = Sha256::new();
        sha.update(function.properties.to_string());
        let referred = function.refers_to();
        let referred = referred.iter().filter_map(|name| self.resources.get(name));
        for layer in referred.filter(|resource| resource.kind == "AWS::Lambda::LayerVersion") {
            sha.update(layer.properties.to_string());
        }
        Some(hex::encode(sha.finalize())[..VERSION_HASH_CHARS].to_owned())
    }

    /// The logical name of the published version that a function's alias serves.
    pub fn version(&self, kind: FunctionKind) -> Option<&str> {
        let mut versions = self.resources.iter().filter(|(_, resource)| resource.kind == VERSION);
        let found = versions.find(|(name, _)| name.starts_with(kind.version_prefix()));
        found.map(|(name, _)| name.as_str())
    }

    /// An output's value, if it is plain text.
    pub fn output(&self, name: &str) -> Option<&str> {
        self.outputs.get(name)?.get("Value")?.as_str()
    }
}

impl Resource {
    /// Logical names that its properties refer to.
    pub fn refers_to(&self) -> Vec<String> {
        references(&self.properties)
    }

    /// Whether any of its properties refers to a resource.
    pub fn points_to(&self, name: &str) -> bool {
        self.refers_to().iter().any(|found| found == name)
    }

    pub fn property(&self, name: &str) -> Option<&Value> {
        self.properties.get(name)
    }
}

/// Logical names that a value refers to by `Ref`, `Fn::GetAtt` or `Fn::Sub`.
pub(crate) fn references(value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    collect(value, &mut found);
    found
}

fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match (name.as_str(), member) {
                    ("Ref", Value::String(to)) => found.push(to.clone()),
                    ("Fn::GetAtt", Value::Array(parts)) => {
                        found.extend(parts.first().and_then(Value::as_str).map(str::to_owned));
                    }
                    ("Fn::Sub", Value::String(text)) => found.extend(names_in(text)),
                    _ => collect(member, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        _ => {}
    }
}

/// The logical names in `${Name}` and `${Name.Attribute}` of a text.
fn names_in(text: &str) -> impl Iterator<Item = String> {
    text.split("${").skip(1).filter_map(|rest| {
        let name = rest.split('}').next()?;
        Some(name.split('.').next().unwrap_or(name).to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_of_every_form_are_found() {
        let value = serde_json::json!({
            "a": {"Ref": "One"},
            "b": [{"Fn::GetAtt": ["Two", "Arn"]}, {"Fn::Sub": "x-${Three}/${Four.Arn}-${AWS::Region}"}],
        });
        assert_eq!(references(&value), ["One", "Two", "Three", "Four", "AWS::Region"]);
    }

    #[test]
    fn a_template_is_checked_before_it_is_sent() {
        let text = "Resources:\n  A:\n    Type: T\n    Properties: {X: {Ref: B}}\n";
        let template = Template::parse(text).expect("a template");
        let error = template.check(text).expect_err("dangling").to_string();
        assert_eq!(error, "`A` refers to `B`, which is not declared");
        let large = format!("{text}# {}", "x".repeat(INLINE_BYTES_MAX));
        assert!(matches!(template.check(&large), Err(TemplateError::Large { .. })));
        assert!(matches!(Template::parse("a: [b"), Err(TemplateError::Shape(_))));
        assert!(matches!(Template::parse("Resources: 3"), Err(TemplateError::Shape(_))));
    }
}
