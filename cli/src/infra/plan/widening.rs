//! Rights that a change grants and that were not granted before: an operator must see them at once.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use crate::infra::stacks::Resource;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Widening {
    /// Who or what for: `dynamodb:GetItem on …`.
    pub right: String,
}

/// Properties that hold policy documents, by type.
const POLICIES: &[(&str, &[&str])] = &[
    ("AWS::IAM::Role", &["AssumeRolePolicyDocument", "Policies", "ManagedPolicyArns"]),
    ("AWS::S3::BucketPolicy", &["PolicyDocument"]),
    ("AWS::Lambda::Permission", &["Principal"]),
    ("AWS::Logs::Destination", &["DestinationPolicy"]),
];

/// The rights that `new` gives and `old` did not.
pub(super) fn widened(old: Option<&Resource>, new: &Resource) -> Vec<Widening> {
    let before = old.map(rights).unwrap_or_default();
    let mut after = rights(new);
    let boundary = |resource: &Resource| resource.property("PermissionsBoundary").cloned();
    if let Some(lost) = old.and_then(boundary).filter(|lost| boundary(new).as_ref() != Some(lost)) {
        after.insert(format!("rights beyond the permissions boundary {lost}"));
    }
    after.difference(&before).map(|right| Widening { right: right.clone() }).collect()
}

fn rights(resource: &Resource) -> BTreeSet<String> {
    let mut rights = BTreeSet::new();
    let known = POLICIES.iter().find(|(kind, _)| *kind == resource.kind);
    for property in known.map_or(&[][..], |(_, properties)| properties) {
        match resource.property(property) {
            Some(Value::String(text)) => drop(rights.insert(text.clone())),
            // Managed policies, by name.
            Some(value) if *property == "ManagedPolicyArns" => rights.extend(list(Some(value))),
            Some(value) => collect(value, &mut rights),
            None => {}
        }
    }
    rights
}

/// Every `Allow` statement, split by action and resource. A `Deny` grants nothing.
fn collect(value: &Value, rights: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) if members.contains_key("Effect") => {
            if members["Effect"] != "Allow" {
                return;
            }
            let conditions = members.get("Condition").map(|c| format!(" if {c}")).unwrap_or_default();
            let targets = list(members.get("Resource").or_else(|| members.get("Principal")));
            for action in list(members.get("Action")) {
                for target in &targets {
                    rights.insert(format!("{action} on {target}{conditions}"));
                }
            }
        }
        // A policy as JSON text.
        Value::Object(members) if members.get("Fn::Sub").is_some_and(Value::is_string) => {
            let text = members["Fn::Sub"].as_str().unwrap_or_default();
            match serde_json::from_str(text) {
                Ok(policy @ Value::Object(_)) => collect(&policy, rights),
                _ => drop(rights.insert(text.to_owned())),
            }
        }
        Value::Object(members) => members.values().for_each(|member| collect(member, rights)),
        Value::Array(items) => items.iter().for_each(|item| collect(item, rights)),
        _ => {}
    }
}

fn list(value: Option<&Value>) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match value {
        Some(Value::Array(items)) => items.iter().map(text).collect(),
        Some(value) => vec![text(value)],
        None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(policy: &str) -> Resource {
        let text = format!(
            "{{Type: 'AWS::IAM::Role', Properties: {{Policies: [{{PolicyName: p, PolicyDocument: {{Statement: [{policy}]}}}}]}}}}"
        );
        serde_yaml::from_str(&text).expect("a resource")
    }

    #[test]
    fn only_new_permissions_are_reported() {
        let old = role("{Effect: Allow, Action: [a:Read, a:Write], Resource: x}");
        let table = [
            ("{Effect: Allow, Action: a:Read, Resource: x}", vec![]),
            ("{Effect: Allow, Action: a:Read, Resource: [x, y]}", vec!["a:Read on y"]),
            ("{Effect: Deny, Action: a:Read, Resource: z}", vec![]),
            ("{Effect: Deny, Action: a:Read, Resource: [{'Fn::GetAtt': [Bucket, Arn]}, z]}", vec![]),
            (
                "{Effect: Allow, Action: a:Read, Resource: x, Condition: {Bool: {c: 'true'}}}",
                vec![r#"a:Read on x if {"Bool":{"c":"true"}}"#],
            ),
        ];
        for (policy, expected) in table {
            let widened = widened(Some(&old), &role(policy));
            let found: Vec<&str> = widened.iter().map(|w| w.right.as_str()).collect();
            assert_eq!(found, expected, "{policy}");
        }
        assert_eq!(widened(None, &old).len(), 2);
    }

    #[test]
    fn a_role_that_loses_its_boundary_gets_more_rights() {
        let bounded = |boundary: &str| {
            let text =
                format!("{{Type: 'AWS::IAM::Role', Properties: {{PermissionsBoundary: '{boundary}'}}}}");
            serde_yaml::from_str::<Resource>(&text).expect("a resource")
        };
        let free = role("{Effect: Deny, Action: a, Resource: x}");
        assert!(
            widened(Some(&free), &bounded("b")).is_empty()
                && widened(Some(&bounded("b")), &bounded("b")).is_empty()
        );
        for new in [free, bounded("c")] {
            let widened = widened(Some(&bounded("b")), &new);
            assert_eq!(widened[0].right, "rights beyond the permissions boundary \"b\"");
        }
    }

    #[test]
    fn policies_of_every_form_are_read() {
        let table = [
            (
                r#"{Type: 'AWS::Logs::Destination', Properties: {DestinationPolicy: {'Fn::Sub': '{"Statement":[{"Effect":"Allow","Principal":"*","Action":"logs:Put"}]}'}}}"#,
                "logs:Put on *",
            ),
            ("{Type: 'AWS::IAM::Role', Properties: {ManagedPolicyArns: [x]}}", "x"),
            ("{Type: 'AWS::Lambda::Permission', Properties: {Principal: y}}", "y"),
        ];
        for (text, expected) in table {
            let resource: Resource = serde_yaml::from_str(text).expect("a resource");
            let found: Vec<String> = widened(None, &resource).into_iter().map(|w| w.right).collect();
            assert_eq!(found, [expected], "{text}");
        }
    }
}
