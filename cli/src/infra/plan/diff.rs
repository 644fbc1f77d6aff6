//! What changes between two templates, resource by resource and property by property, and what follows from
//! it: who refers to something that is replaced changes too.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use super::replacement::replaces;
use super::widening::{Widening, widened};
use crate::infra::stacks::{ALIAS, FunctionKind, Resource, Template, VERSION};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Op {
    Add,
    /// It is changed in place.
    Modify,
    /// A new one is created and the old one removed.
    Replace,
    /// It is removed, or retained if its policy says so.
    Remove,
}

impl Op {
    /// Its sign in a printed plan.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Modify => "~",
            Self::Replace => "-/+",
            Self::Remove => "-",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ResourceChange {
    /// Its logical name.
    pub name: String,
    /// `AWS::Lambda::Function`.
    #[serde(rename = "type")]
    pub kind: String,
    pub op: Op,
    /// What changes in it, if it existed before.
    pub properties: Vec<PropertyChange>,
    /// Rights that it grants and did not grant before.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub widens: Vec<Widening>,
    /// Whether it is retained when it is no longer declared.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub kept: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PropertyChange {
    /// Where in the resource: `MemorySize`, `Environment.Variables.X`.
    pub path: String,
    /// Its value before; `None`: it was absent.
    pub before: Option<Value>,
    /// Its value after; `None`: it is absent.
    pub after: Option<Value>,
}

/// What changes from one template (`None`: there is no stack) to another.
pub fn compare(before: Option<&Template>, after: &Template) -> Vec<ResourceChange> {
    let none = BTreeMap::new();
    let old = before.map_or(&none, |template| &template.resources);
    let names: BTreeSet<&String> = old.keys().chain(after.resources.keys()).collect();
    let mut changes: Vec<ResourceChange> =
        names.into_iter().filter_map(|name| change(name, old.get(name), after.resources.get(name))).collect();
    follow(&mut changes, old, &after.resources);
    // The function's change says it: a version of it is published, and `live` moves there.
    for function in FunctionKind::ALL {
        if before.is_some_and(|before| before.version(function).is_some())
            && after.version(function).is_some()
        {
            let is_its = |name: &str| name.starts_with(function.version_prefix());
            changes.retain(|change| change.kind != VERSION || !is_its(&change.name));
            changes.retain(|change| change.kind != ALIAS || change.op != Op::Modify);
        }
    }
    changes.sort_by(|a, b| a.name.cmp(&b.name));
    changes
}

fn change(name: &str, old: Option<&Resource>, new: Option<&Resource>) -> Option<ResourceChange> {
    let (resource, op, properties) = match (old, new) {
        (None, Some(new)) => (new, Op::Add, Vec::new()),
        (Some(old), None) => (old, Op::Remove, Vec::new()),
        (Some(old), Some(new)) if old.kind != new.kind => (new, Op::Replace, Vec::new()),
        (Some(old), Some(new)) => {
            let mut properties = Vec::new();
            leaves("", Some(&old.properties), Some(&new.properties), &mut properties);
            if old.deletion_policy != new.deletion_policy {
                let text = |policy: &Option<String>| policy.clone().map(Value::String);
                properties.push(PropertyChange {
                    path: "(DeletionPolicy)".to_owned(),
                    before: text(&old.deletion_policy),
                    after: text(&new.deletion_policy),
                });
            }
            let is_new =
                |change: &PropertyChange| !change.path.starts_with('(') && replaces(&new.kind, &change.path);
            let op = if properties.iter().any(is_new) { Op::Replace } else { Op::Modify };
            (new, op, properties)
        }
        (None, None) => return None,
    };
    if op == Op::Modify && properties.is_empty() {
        return None;
    }
    let kept =
        op == Op::Remove && resource.deletion_policy.as_deref().is_some_and(|p| p.starts_with("Retain"));
    let widens = new.map(|new| widened(old, new)).unwrap_or_default();
    Some(ResourceChange { name: name.to_owned(), kind: resource.kind.clone(), op, properties, widens, kept })
}

/// Adds the resources that refer to a replaced one: its new name or ARN changes them, and may replace them in turn.
fn follow(
    changes: &mut Vec<ResourceChange>,
    old: &BTreeMap<String, Resource>,
    new: &BTreeMap<String, Resource>,
) {
    let mut replaced: Vec<String> =
        changes.iter().filter(|change| change.op == Op::Replace).map(|change| change.name.clone()).collect();
    while let Some(source) = replaced.pop() {
        for (name, resource) in new.iter().filter(|(name, _)| old.contains_key(*name)) {
            let Some(path) = path_of_reference(resource, &source) else { continue };
            let op = if replaces(&resource.kind, &path) { Op::Replace } else { Op::Modify };
            let known = changes.iter_mut().find(|change| change.name == *name);
            let detail = PropertyChange {
                path,
                before: None,
                after: Some(Value::String(format!("(the new {source})"))),
            };
            match known {
                Some(change) if change.properties.contains(&detail) => {}
                Some(change) => {
                    if op == Op::Replace && change.op == Op::Modify {
                        change.op = Op::Replace;
                        replaced.push(name.clone());
                    }
                    change.properties.push(detail);
                }
                None => {
                    changes.push(ResourceChange {
                        name: name.clone(),
                        kind: resource.kind.clone(),
                        op,
                        properties: vec![detail],
                        widens: Vec::new(),
                        kept: false,
                    });
                    if op == Op::Replace {
                        replaced.push(name.clone());
                    }
                }
            }
        }
    }
}

fn path_of_reference(resource: &Resource, to: &str) -> Option<String> {
    let properties = resource.properties.as_object()?;
    let refers = |value: &Value| crate::infra::stacks::references(value).iter().any(|name| name == to);
    properties.iter().find(|(_, value)| refers(value)).map(|(name, _)| name.clone())
}

/// The smallest parts that differ. Lists of named items are compared by name, other lists as a whole.
fn leaves(path: &str, old: Option<&Value>, new: Option<&Value>, out: &mut Vec<PropertyChange>) {
    if old == new {
        return;
    }
    match (old, new) {
        (Some(Value::Object(a)), Some(Value::Object(b))) if !is_function(a) && !is_function(b) => {
            let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for name in names {
                let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                leaves(&below, a.get(name), b.get(name), out);
            }
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => match (by_name(a), by_name(b)) {
            (Some(a), Some(b)) => {
                let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
                for name in names {
                    leaves(&format!("{path}[{name}]"), a.get(name).copied(), b.get(name).copied(), out);
                }
            }
            _ => out.push(leaf(path, old, new)),
        },
        _ => out.push(leaf(path, old, new)),
    }
}

fn leaf(path: &str, old: Option<&Value>, new: Option<&Value>) -> PropertyChange {
    PropertyChange { path: path.to_owned(), before: old.cloned(), after: new.cloned() }
}

/// `{"Ref": …}`, `{"Fn::…": …}`: one value, not a table.
fn is_function(members: &serde_json::Map<String, Value>) -> bool {
    members.len() == 1 && members.keys().all(|name| name == "Ref" || name.starts_with("Fn::"))
}

/// The items of a list by the name that each has, when each has one of its own.
fn by_name(items: &[Value]) -> Option<BTreeMap<String, &Value>> {
    let name = |item: &Value| {
        ["Region", "Sid", "PolicyName", "Id", "Key", "AttributeName", "Name"]
            .iter()
            .find_map(|field| item.get(field)?.as_str().map(str::to_owned))
    };
    let named: BTreeMap<String, &Value> =
        items.iter().map(|item| Some((name(item)?, item))).collect::<Option<_>>()?;
    (named.len() == items.len()).then_some(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &str) -> Template {
        Template::parse(text).expect("a template")
    }

    fn differences(before: &str, after: &str) -> Vec<String> {
        let changes = compare(Some(&template(before)), &template(after));
        changes
            .iter()
            .map(|change| {
                let paths: Vec<&str> = change.properties.iter().map(|p| p.path.as_str()).collect();
                format!("{} {} {}", change.op.sign(), change.name, paths.join(","))
            })
            .collect()
    }

    const BASE: &str = "
Resources:
  Layer: {Type: 'AWS::Lambda::LayerVersion', Properties: {Content: {S3Key: a}}}
  Role: {Type: 'AWS::IAM::Role', Properties: {RoleName: r}}
  Fn: {Type: 'AWS::Lambda::Function', Properties: {FunctionName: f, MemorySize: 1, Layers: [{Ref: Layer}], Role: {'Fn::GetAtt': [Role, Arn]}}}
  Permit: {Type: 'AWS::Lambda::Permission', Properties: {FunctionName: {Ref: Fn}}}
  Table: {Type: 'AWS::DynamoDB::GlobalTable', Properties: {Replicas: [{Region: a, P: 1}, {Region: b, P: 1}]}}
";

    #[test]
    fn changes_and_their_consequences_are_listed() {
        assert_eq!(differences(BASE, BASE), Vec::<String>::new());
        assert_eq!(differences(BASE, &BASE.replace("MemorySize: 1", "MemorySize: 2")), ["~ Fn MemorySize"]);
        assert_eq!(
            differences(BASE, &BASE.replace("S3Key: a", "S3Key: b")),
            ["~ Fn Layers", "-/+ Layer Content.S3Key"]
        );
        assert_eq!(
            differences(BASE, &BASE.replace("FunctionName: f", "FunctionName: g")),
            ["-/+ Fn FunctionName", "-/+ Permit FunctionName"]
        );
        assert_eq!(
            differences(BASE, &BASE.replace("{Region: b, P: 1}", "{Region: b, P: 2}, {Region: c}")),
            ["~ Table Replicas[b].P,Replicas[c]"]
        );
        assert_eq!(
            differences(BASE, &BASE.replace("  Role: {Type", "  Role2: {Type")),
            ["- Role ", "+ Role2 "]
        );
        let both = differences(BASE, &BASE.replace("RoleName: r", "RoleName: q"));
        assert_eq!(both, ["~ Fn Role", "-/+ Role RoleName"]);
    }

    #[test]
    fn a_missing_stack_gets_everything() {
        let changes = compare(None, &template(BASE));
        assert_eq!(changes.len(), 5);
        assert!(changes.iter().all(|change| change.op == Op::Add));
    }
}
