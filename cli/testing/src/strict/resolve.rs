//! A template's properties with `Ref` and `Fn::…` replaced, as far as values are known before AWS generates IDs.

use std::collections::BTreeMap;

use ipgeo::internals::infra::stacks::Template;
use serde_json::{Map, Value};

use super::arns::{arn, physical_name};

/// Stands for an ID that AWS generates.
pub(crate) const GENERATED: &str = "generated";

/// Where a stack is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The region.
    pub region: String,
    /// The account's number.
    pub account: String,
    /// The stack's name.
    pub stack: String,
}

/// A resource of a template with its values filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// `AWS::Lambda::Function`.
    pub kind: String,
    /// Its properties.
    pub properties: Value,
    /// Whether it stays when it is no longer declared.
    pub retained: bool,
}

/// Every resource of a template, by logical name.
pub fn resolve(
    template: &Template,
    parameters: &BTreeMap<String, String>,
    place: &Place,
) -> BTreeMap<String, Resolved> {
    let scope = Scope { template, parameters, place };
    let resolved = |resource: &ipgeo::internals::infra::stacks::Resource| Resolved {
        kind: resource.kind.clone(),
        properties: scope.value(&resource.properties),
        retained: resource.deletion_policy.as_deref().is_some_and(|policy| policy.starts_with("Retain")),
    };
    template.resources.iter().map(|(name, resource)| (name.clone(), resolved(resource))).collect()
}

struct Scope<'a> {
    template: &'a Template,
    parameters: &'a BTreeMap<String, String>,
    place: &'a Place,
}

impl Scope<'_> {
    fn value(&self, value: &Value) -> Value {
        match value {
            Value::Object(object) => match object.iter().next() {
                Some((name, inner)) if object.len() == 1 && (name == "Ref" || name.starts_with("Fn::")) => {
                    Value::String(self.function(name, inner))
                }
                _ => Value::Object(
                    object
                        .iter()
                        .map(|(name, inner)| (name.clone(), self.value(inner)))
                        .collect::<Map<_, _>>(),
                ),
            },
            Value::Array(items) => Value::Array(items.iter().map(|item| self.value(item)).collect()),
            other => other.clone(),
        }
    }

    fn function(&self, name: &str, inner: &Value) -> String {
        let text = |value: &Value| value.as_str().expect("the text of a function").to_owned();
        match name {
            "Ref" => self.reference(&text(inner)),
            "Fn::GetAtt" => self.attribute(&text(&inner[0]), &text(&inner[1])),
            "Fn::Sub" => self.substitute(&text(inner)),
            other => panic!("the function {other} is not known here"),
        }
    }

    fn reference(&self, name: &str) -> String {
        if let Some(value) = self.parameters.get(name) {
            return value.clone();
        }
        match name {
            "AWS::AccountId" => return self.place.account.clone(),
            "AWS::Partition" => return "aws".to_owned(),
            "AWS::Region" => return self.place.region.clone(),
            "AWS::StackName" => return self.place.stack.clone(),
            "AWS::URLSuffix" => return "amazonaws.com".to_owned(),
            _ => {}
        }
        let Some(resource) = self.template.resources.get(name) else {
            // A parameter without a value, which a request need not give again.
            return GENERATED.to_owned();
        };
        let properties = self.value(&resource.properties);
        // What `Ref` returns is the ARN of these types, and the name of others.
        let by_arn = ["Version", "Alias", "LayerVersion", "Certificate", "Topic"];
        if by_arn.iter().any(|kind| resource.kind.ends_with(&format!("::{kind}"))) {
            return arn(&resource.kind, &properties, self.place);
        }
        physical_name(&resource.kind, &properties)
    }

    fn attribute(&self, name: &str, attribute: &str) -> String {
        let resource = self.template.resources.get(name).unwrap_or_else(|| panic!("no resource {name}"));
        if attribute.ends_with("Arn") {
            arn(&resource.kind, &self.value(&resource.properties), self.place)
        } else {
            GENERATED.to_owned()
        }
    }

    fn substitute(&self, text: &str) -> String {
        let mut parts = text.split("${");
        let mut found = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (name, rest) = part.split_once('}').expect("a closed variable");
            found += &match name.split_once('.') {
                Some((resource, attribute)) => self.attribute(resource, attribute),
                None => self.reference(name),
            };
            found += rest;
        }
        found
    }
}
