use std::collections::BTreeSet;

use super::*;

/// Calls whose permissions differ from their name.
const RENAMED: &[(&str, &[&str])] = &[
    // Needs no permission.
    ("sts:GetCallerIdentity", &[]),
    ("dynamodb:TransactWriteItems", &["dynamodb:PutItem", "dynamodb:UpdateItem"]),
    ("s3:CopyObject", &["s3:GetObject", "s3:PutObject"]),
    ("s3:DeleteObjects", &["s3:DeleteObject", "s3:DeleteObjectVersion"]),
    ("s3:HeadBucket", &["s3:ListBucket"]),
    ("s3:HeadObject", &["s3:GetObject"]),
    ("s3:ListObjectVersions", &["s3:ListBucketVersions"]),
    ("s3:ListObjectsV2", &["s3:ListBucket"]),
];

/// Calls of a REST service, whose operations are not in the sources by name.
const REST_CALLS: [&str; 7] = [
    "account:GetRegionOptStatus",
    "lambda:DeleteFunction",
    "lambda:GetAccountSettings",
    "lambda:GetAlias",
    "lambda:ListEventSourceMappings",
    "lambda:ListVersionsByFunction",
    "lambda:UpdateAlias",
];

/// `service:Operation` of every call that the adapter's sources make through a client of the SDK.
fn calls() -> BTreeSet<String> {
    let sources = [
        ("cloudformation", include_str!("../../aws/drift.rs")),
        ("cloudformation", include_str!("../../aws/stack_events.rs")),
        ("cloudformation", include_str!("../../aws/stacks.rs")),
        ("route53", include_str!("../../aws/dns.rs")),
        ("route53", include_str!("../../aws/zones.rs")),
        ("dynamodb", include_str!("../../aws/tables.rs")),
        ("dynamodb", include_str!("../../../../runtime/src/dynamo/access.rs")),
        ("dynamodb", include_str!("../../../../runtime/src/dynamo/shadow.rs")),
        ("dynamodb", include_str!("../../../../runtime/src/dynamo/ledger.rs")),
        ("dynamodb", include_str!("../../../../runtime/src/dynamo/values.rs")),
        ("dynamodb", include_str!("../../../../runtime/src/dynamo/recovered.rs")),
        ("sts", include_str!("../../aws/session.rs")),
    ];
    let mut found = BTreeSet::new();
    for (service, source) in sources {
        let code = source.split("#[cfg(test)]").next().unwrap_or_default();
        let mut code: String = code.split_whitespace().collect();
        // There, traits are implemented for the SDK's client itself, which has these methods.
        for method in ["update_item", "get_item", "transact_write_items"] {
            code = code.replace(&format!("self.{method}("), &format!("client.{method}("));
        }
        for client in
            ["client.", "client().", &format!("{service}().")[..], &format!("{service}(self.region).")[..]]
        {
            for (at, _) in code.match_indices(client) {
                let method: String = code[at + client.len()..]
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                if !["clone", "config", "transact", ""].contains(&method.as_str()) {
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
        ("Service::CloudWatch", "cloudwatch"),
        ("Service::Kinesis", "kinesis"),
        ("Service::Logs", "logs"),
        ("Service::Quotas", "servicequotas"),
    ];
    let mut found = BTreeSet::from(REST_CALLS.map(str::to_owned));
    let sources = [
        include_str!("../../aws/bake.rs"),
        include_str!("../../aws/logs.rs"),
        include_str!("../../aws/vitals.rs"),
    ];
    for source in sources {
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

fn policies(config: &Config, audience: Option<Audience>) -> Vec<Document> {
    documents(&Request { config, account: "123456789012", audience, role_arn: None })
}

fn statements_of(documents: &[Document]) -> impl Iterator<Item = &Statement> {
    documents.iter().flat_map(|document| &document.document.statement)
}

/// Whether an action is allowed on any resource.
fn allows(documents: &[Document], action: &str) -> bool {
    statements_of(documents).flat_map(|statement| &statement.action).any(|allowed| {
        allowed.strip_suffix('*').map_or(allowed == action, |beginning| action.starts_with(beginning))
    })
}

/// A domain, a boundary, and the longest names.
fn longest() -> Config {
    let mut config = crate::infra::stacks::test_config();
    config.service.name = "n".repeat(20);
    config.service.environment = "e".repeat(12);
    config.service.domain = Some("api.example.com".to_owned());
    config.service.permissions_boundary =
        Some(format!("arn:aws:iam::123456789012:policy/{}", "b".repeat(128)));
    config
}

const AUDIENCES: [Option<Audience>; 4] =
    [None, Some(Audience::Deployer), Some(Audience::Cloudformation), Some(Audience::Boundary)];

#[test]
fn every_call_of_the_adapter_is_allowed() {
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
    for audience in [None, Some(Audience::Deployer)] {
        let documents = policies(&longest(), audience);
        let missing: Vec<&str> = calls
            .iter()
            .flat_map(|call| {
                let other = RENAMED.iter().find(|(name, _)| name == call);
                other.map_or(vec![call.as_str()], |(_, needed)| needed.to_vec())
            })
            .filter(|action| !allows(&documents, action))
            .collect();
        assert!(missing.is_empty(), "{audience:?}: {missing:?}");
    }
}

#[test]
fn every_document_fits_a_managed_policy_with_the_longest_names() {
    for audience in AUDIENCES {
        let documents = policies(&longest(), audience);
        // A role takes ten managed policies.
        assert!(documents.len() <= 5, "{audience:?}: {}", documents.len());
        for document in &documents {
            let text = serde_json::to_string(&document.document).expect("JSON");
            assert!(text.chars().count() <= POLICY_CHARS_MAX, "{audience:?}: {}", text.len());
            assert!(!text.contains(char::is_whitespace), "IAM counts no white space");
            assert!(document.name.len() <= 128);
        }
        let sids: Vec<&str> = statements_of(&documents).map(|statement| statement.sid).collect();
        assert_eq!(sids.iter().collect::<BTreeSet<_>>().len(), sids.len(), "{sids:?}");
    }
}

#[test]
fn no_right_is_in_two_statements() {
    for audience in AUDIENCES {
        let documents = policies(&longest(), audience);
        let mut seen = BTreeSet::new();
        for statement in statements_of(&documents) {
            for action in &statement.action {
                for resource in &statement.resource {
                    assert!(seen.insert((action, resource)), "twice in {audience:?}: {action} {resource}");
                }
            }
        }
    }
}

#[test]
fn nothing_is_allowed_beyond_the_service() {
    let documents = policies(&crate::infra::stacks::test_config(), None);
    // Generated IDs, and what AWS can't limit to a resource.
    let generated = [
        ":alarm:*",
        "::/apis",
        "::/tags/",
        "arn:aws:account::",
        "changeSet/ipgeo-*/*",
        ":event-source-mapping:*",
        "kms:*:123456789012:key/*",
        "role/aws-service-role/replication.dynamodb.amazonaws.com/*",
    ];
    for statement in statements_of(&documents) {
        for resource in &statement.resource {
            let narrow = resource.contains("ipgeo-prod")
                || resource == "*"
                || generated.iter().any(|part| resource.contains(part));
            assert!(narrow, "{}: {resource}", statement.sid);
        }
        assert!(statement.action.iter().all(|action| !action.ends_with(":*")), "{}", statement.sid);
    }
    assert!(!allows(&documents, "route53:ChangeResourceRecordSets"), "without a domain there are no records");
}

#[test]
fn a_deployer_with_a_service_role_can_pass_it_and_change_nothing_by_himself() {
    let request = Request {
        config: &longest(),
        account: "123456789012",
        audience: Some(Audience::Deployer),
        role_arn: Some("arn:aws:iam::123456789012:role/cf"),
    };
    let documents = documents(&request);
    let passing: Vec<_> =
        statements_of(&documents).filter(|s| s.action.iter().any(|a| a == "iam:PassRole")).collect();
    let [passing] = passing[..] else { panic!("{passing:?}") };
    assert_eq!(passing.resource, ["arn:aws:iam::123456789012:role/cf"]);
    let to =
        serde_json::json!({ "StringEquals": { "iam:PassedToService": ["cloudformation.amazonaws.com"] } });
    assert_eq!(passing.condition, Some(to));
    for handlers in ["iam:CreateRole", "lambda:CreateFunction", "apigateway:POST", "logs:CreateLogGroup"] {
        assert!(!allows(&documents, handlers), "{handlers}");
        assert!(allows(&policies(&longest(), Some(Audience::Cloudformation)), handlers), "{handlers}");
    }
}

#[test]
fn a_permissions_boundary_is_required_of_every_role() {
    let mut config = longest();
    let boundary = config.service.permissions_boundary.clone().expect("a boundary");
    let documents = policies(&config, None);
    let required = serde_json::json!({ "StringEquals": { "iam:PermissionsBoundary": boundary } });
    for action in ["iam:CreateRole", "iam:PutRolePolicy", "iam:PutRolePermissionsBoundary"] {
        for statement in statements_of(&documents).filter(|s| s.action.iter().any(|a| a == action)) {
            assert_eq!(statement.condition.as_ref(), Some(&required), "{action}");
        }
        assert!(allows(&documents, action), "{action}");
    }
    for never in ["iam:AttachRolePolicy", "iam:CreatePolicyVersion", "iam:DeleteRolePermissionsBoundary"] {
        assert!(!allows(&documents, never), "{never}");
    }
    config.service.permissions_boundary = None;
    assert!(!allows(&policies(&config, None), "iam:PutRolePermissionsBoundary"));
}

#[test]
fn cloudformations_role_trusts_cloudformation_alone() {
    let documents = policies(&longest(), Some(Audience::Cloudformation));
    assert_eq!(documents[0].kind, Kind::Trust);
    let trust = serde_json::to_value(&documents[0].document).expect("JSON");
    assert_eq!(trust["Statement"][0]["Principal"]["Service"], "cloudformation.amazonaws.com");
    assert_eq!(trust["Statement"][0].get("Resource"), None);
    assert!(documents[1..].iter().all(|document| document.kind == Kind::Policy));
}
