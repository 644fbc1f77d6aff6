use std::collections::BTreeSet;

use super::*;

/// Calls whose permissions differ from their name.
const RENAMED: &[(&str, &[&str])] = &[
    // Used only by edges, with their own role.
    ("dynamodb:BatchGetItem", &[]),
    ("dynamodb:TransactWriteItems", &["dynamodb:PutItem", "dynamodb:UpdateItem"]),
    ("s3:CopyObject", &["s3:GetObject", "s3:PutObject"]),
    ("s3:DeleteObjects", &["s3:DeleteObject", "s3:DeleteObjectVersion"]),
    ("s3:HeadBucket", &["s3:ListBucket"]),
    ("s3:HeadObject", &["s3:GetObject"]),
    ("s3:ListObjectVersions", &["s3:ListBucketVersions"]),
    ("s3:ListObjectsV2", &["s3:ListBucket"]),
];

/// `service:Operation` of every call that the adapter's sources make through a client of the SDK.
fn calls() -> BTreeSet<String> {
    let sources = [
        ("cloudformation", include_str!("../../aws/stacks.rs")),
        ("route53", include_str!("../../aws/dns.rs")),
        ("dynamodb", include_str!("../../aws/tables.rs")),
        ("dynamodb", include_str!("../../../../runtime/src/dynamo/access.rs")),
        ("dynamodb", include_str!("../../../../runtime/src/dynamo/shadow.rs")),
        ("dynamodb", include_str!("../../../../runtime/src/dynamo/ledger.rs")),
        ("dynamodb", include_str!("../../../../runtime/src/dynamo/values.rs")),
        ("dynamodb", include_str!("../../../../runtime/src/dynamo/recovered.rs")),
        ("sts", include_str!("../../aws/cloud.rs")),
    ];
    let mut found = BTreeSet::new();
    for (service, source) in sources {
        let code = source.split("#[cfg(test)]").next().unwrap_or_default();
        // The SDK client implements a trait itself there.
        let code =
            code.split_whitespace().collect::<String>().replace("self.update_item(", "client.update_item(");
        let code = code.replace("self.get_item(", "client.get_item(");
        for client in
            ["client.", "client().", &format!("{service}().")[..], &format!("{service}(self.region).")[..]]
        {
            for (at, _) in code.match_indices(client) {
                let method: String = code[at + client.len()..]
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                if !["clone", "config", ""].contains(&method.as_str()) {
                    let operation: String = method.split('_').map(capital).collect();
                    found.insert(format!("{service}:{operation}"));
                }
            }
        }
    }
    found.extend(signed_calls());
    found
}

/// The same for calls that the adapter signs itself.
fn signed_calls() -> BTreeSet<String> {
    let services = [
        ("Service::Acm", "acm"),
        ("Service::Kinesis", "kinesis"),
        ("Service::Logs", "logs"),
        ("Service::Quotas", "servicequotas"),
    ];
    let mut found =
        BTreeSet::from(["lambda:GetAccountSettings", "lambda:ListEventSourceMappings"].map(str::to_owned));
    for source in [include_str!("../../aws/logs.rs"), include_str!("../../aws/vitals.rs")] {
        let code: String = source.split_whitespace().collect();
        for (word, service) in services {
            let call = format!("signed.json({word},region,\"");
            for (at, _) in code.match_indices(&call) {
                let operation = code[at + call.len()..].split('"').next().unwrap_or_default();
                found.insert(format!("{service}:{operation}"));
            }
        }
    }
    let named = [
        ("s3", "Operation::", include_str!("../../aws/buckets.rs")),
        ("kinesis", "self.call(\"", include_str!("../../aws/stream.rs")),
    ];
    for (service, before, source) in named {
        let code = source.split("#[cfg(test)]").next().unwrap_or_default();
        for (at, _) in code.match_indices(before) {
            let operation: String =
                code[at + before.len()..].chars().take_while(char::is_ascii_alphanumeric).collect();
            found.insert(format!("{service}:{operation}"));
        }
    }
    found
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[test]
fn every_call_of_the_adapter_is_allowed() {
    let mut config = crate::infra::stacks::test_config();
    config.service.domain = Some("api.example.com".to_owned());
    let policy = deployer_policy(&config, "*");
    let calls = calls();
    for known in [
        "cloudformation:CreateChangeSet",
        "logs:FilterLogEvents",
        "servicequotas:GetServiceQuota",
        "route53:ChangeResourceRecordSets",
        "kinesis:GetRecords",
        "s3:PutObject",
        "s3:ListObjectsV2",
        "dynamodb:TransactWriteItems",
        "sts:GetCallerIdentity",
        "dynamodb:DescribeTable",
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
    ] {
        assert!(calls.contains(known), "the scan misses {known}: {calls:?}");
    }
    let missing: Vec<&str> = calls
        .iter()
        .flat_map(|call| {
            let other = RENAMED.iter().find(|(name, _)| name == call);
            other.map_or(vec![call.as_str()], |(_, needed)| needed.to_vec())
        })
        .filter(|action| !policy.allows(action))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn nothing_is_allowed_beyond_the_service() {
    let policy = deployer_policy(&crate::infra::stacks::test_config(), "123456789012");
    // Statements that AWS can't limit to a resource.
    let wide = ["AskLimits", "FindStacks", "SourceMappings", "WhoAmI"];
    for statement in &policy.statement {
        let narrow = statement.resource.iter().all(|resource| {
            resource.contains("ipgeo-prod")
                || resource.contains("::/")
                || resource.contains("aws-service-role")
        });
        assert!(narrow || wide.contains(&statement.sid), "{statement:?}");
        assert!(!statement.action.contains(&"*"));
    }
    assert!(!policy.allows("route53:ChangeResourceRecordSets"), "without a domain there are no records");
    let bytes = serde_json::to_string(&policy).expect("JSON").len();
    // A managed policy has at most 6,144 characters without white space (IAM quotas).
    assert!(bytes <= 6_144, "{bytes}");
}
