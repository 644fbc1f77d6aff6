//! The permissions that a deployer needs: one policy, as narrow as resource names allow. Pure.
//!
//! CloudFormation changes stacks with the deployer's own permissions, so the policy includes what CloudFormation does.
//! Actions that AWS can't limit to a resource, and resources with generated names (API Gateway), are limited by kind.

use serde::Serialize;

use crate::config::Config;
use crate::infra::stacks::{Names, StackKind, role_arn_pattern};

/// A policy document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Policy {
    version: &'static str,
    pub statement: Vec<Statement>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Statement {
    pub sid: &'static str,
    effect: &'static str,
    /// `service:Action`, perhaps with `*` at the end.
    pub action: Vec<&'static str>,
    /// Patterns of ARNs.
    pub resource: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<serde_json::Value>,
}

fn allow(sid: &'static str, action: &[&'static str], resource: Vec<String>) -> Statement {
    Statement { sid, effect: "Allow", action: action.to_vec(), resource, condition: None }
}

/// The policy of a service's deployer; `account` is its number, or `*`.
pub(crate) fn deployer_policy(config: &Config, account: &str) -> Policy {
    let names = Names::new(config);
    let mut statement = vec![
        allow("WhoAmI", &["sts:GetCallerIdentity"], vec!["*".to_owned()]),
        stacks(&names, account),
        // Listing and drift detection support no narrower resource.
        allow(
            "FindStacks",
            &["cloudformation:DescribeStacks", "cloudformation:DescribeStackDriftDetectionStatus"],
            vec!["*".to_owned()],
        ),
        buckets(&names, account),
        tables(&names, account),
        replication(account),
        stream(&names, account),
        functions(&names, account),
        source_mappings(),
        limits(),
        roles(&names),
        pass_roles(&names),
        logs(&names, account),
        apis(),
        alarms(&names, account),
    ];
    if config.service.domain.is_some() {
        statement.extend(domain());
    }
    Policy { version: "2012-10-17", statement }
}

fn stacks(names: &Names, account: &str) -> Statement {
    let of = |kind| format!("arn:aws:cloudformation:*:{account}:stack/{}/*", names.stack(kind));
    allow(
        "ChangeStacks",
        &[
            "cloudformation:CreateChangeSet",
            "cloudformation:DeleteChangeSet",
            "cloudformation:DeleteStack",
            "cloudformation:DescribeChangeSet",
            "cloudformation:DescribeStackEvents",
            "cloudformation:DescribeStackResourceDrifts",
            "cloudformation:DescribeStacks",
            "cloudformation:DetectStackDrift",
            "cloudformation:DetectStackResourceDrift",
            "cloudformation:ExecuteChangeSet",
            "cloudformation:GetTemplate",
            "cloudformation:TagResource",
            "cloudformation:UpdateTerminationProtection",
        ],
        StackKind::ALL.map(of).to_vec(),
    )
}

fn buckets(names: &Names, account: &str) -> Statement {
    let pattern = |bucket: String| [format!("arn:aws:s3:::{bucket}"), format!("arn:aws:s3:::{bucket}/*")];
    let artifacts = pattern(names.bucket(account, "*"));
    let failures = pattern(names.failure_bucket(account));
    allow(
        "Buckets",
        &[
            "s3:CreateBucket",
            "s3:DeleteBucket",
            "s3:DeleteBucketPolicy",
            "s3:DeleteObject",
            "s3:DeleteObjectVersion",
            "s3:Get*",
            "s3:ListBucket",
            "s3:ListBucketVersions",
            "s3:PutBucket*",
            "s3:PutEncryptionConfiguration",
            "s3:PutLifecycleConfiguration",
            "s3:PutObject",
            "s3:TagResource",
        ],
        artifacts.into_iter().chain(failures).collect(),
    )
}

fn tables(names: &Names, account: &str) -> Statement {
    let of = |table: &str| format!("arn:aws:dynamodb:*:{account}:table/{table}");
    allow(
        "Tables",
        &[
            "dynamodb:BatchGetItem",
            "dynamodb:BatchWriteItem",
            "dynamodb:CreateGlobalTable",
            "dynamodb:CreateTable",
            "dynamodb:CreateTableReplica",
            "dynamodb:DeleteItem",
            "dynamodb:DeleteTable",
            "dynamodb:DeleteTableReplica",
            "dynamodb:Describe*",
            "dynamodb:GetItem",
            "dynamodb:GetResourcePolicy",
            "dynamodb:ListTagsOfResource",
            "dynamodb:PutItem",
            "dynamodb:Query",
            "dynamodb:Scan",
            "dynamodb:TagResource",
            "dynamodb:UntagResource",
            "dynamodb:UpdateContinuousBackups",
            "dynamodb:UpdateItem",
            "dynamodb:UpdateTable",
            "dynamodb:UpdateTimeToLive",
        ],
        vec![of(&names.access_table), of(&names.ledger_table)],
    )
}

/// DynamoDB replicates with a service-linked role, which the first global table of an account creates.
fn replication(account: &str) -> Statement {
    let role = format!("arn:aws:iam::{account}:role/aws-service-role/replication.dynamodb.amazonaws.com/*");
    allow("ReplicationRole", &["iam:CreateServiceLinkedRole"], vec![role])
}

fn stream(names: &Names, account: &str) -> Statement {
    allow(
        "Stream",
        &[
            "kinesis:AddTagsToStream",
            "kinesis:CreateStream",
            "kinesis:DecreaseStreamRetentionPeriod",
            "kinesis:DeleteStream",
            "kinesis:Describe*",
            "kinesis:GetRecords",
            "kinesis:GetShardIterator",
            "kinesis:IncreaseStreamRetentionPeriod",
            "kinesis:List*",
            "kinesis:StartStreamEncryption",
            "kinesis:StopStreamEncryption",
            "kinesis:TagResource",
            "kinesis:UpdateShardCount",
        ],
        vec![format!("arn:aws:kinesis:*:{account}:stream/{}", names.stream)],
    )
}

fn functions(names: &Names, account: &str) -> Statement {
    let function = |name: &str| format!("arn:aws:lambda:*:{account}:function:{name}");
    let layer = format!("arn:aws:lambda:*:{account}:layer:{}", names.geo_layer);
    allow(
        "Functions",
        &[
            "lambda:AddPermission",
            "lambda:CreateAlias",
            "lambda:CreateFunction",
            "lambda:Delete*",
            "lambda:Get*",
            "lambda:List*",
            "lambda:Publish*",
            "lambda:PutFunction*",
            "lambda:RemovePermission",
            "lambda:TagResource",
            "lambda:Update*",
        ],
        vec![
            function(&names.usage_function),
            function(&format!("{}:*", names.usage_function)),
            function(&names.lookup_function),
            function(&format!("{}:*", names.lookup_function)),
            function(&names.forward_function),
            layer.clone(),
            format!("{layer}:*"),
        ],
    )
}

/// Lambda generates a mapping's ID.
fn source_mappings() -> Statement {
    allow(
        "SourceMappings",
        &[
            "lambda:CreateEventSourceMapping",
            "lambda:DeleteEventSourceMapping",
            "lambda:GetEventSourceMapping",
            "lambda:ListEventSourceMappings",
            "lambda:UpdateEventSourceMapping",
        ],
        vec!["*".to_owned()],
    )
}

/// Account limits, for `ipgeo doctor`.
fn limits() -> Statement {
    allow(
        "AskLimits",
        &[
            "lambda:GetAccountSettings",
            "servicequotas:GetAWSDefaultServiceQuota",
            "servicequotas:GetServiceQuota",
        ],
        vec!["*".to_owned()],
    )
}

fn roles(names: &Names) -> Statement {
    allow(
        "Roles",
        &[
            "iam:CreateRole",
            "iam:DeleteRole",
            "iam:DeleteRolePolicy",
            "iam:GetRole",
            "iam:GetRolePolicy",
            "iam:ListAttachedRolePolicies",
            "iam:ListRolePolicies",
            "iam:PutRolePolicy",
            "iam:TagRole",
            "iam:UntagRole",
            "iam:UpdateAssumeRolePolicy",
        ],
        vec![role_arn_pattern(&names.service)],
    )
}

fn pass_roles(names: &Names) -> Statement {
    let services = serde_json::json!({
        "StringEquals": { "iam:PassedToService": ["lambda.amazonaws.com", "logs.amazonaws.com"] },
    });
    Statement {
        condition: Some(services),
        ..allow("HandRolesOn", &["iam:PassRole"], vec![role_arn_pattern(&names.service)])
    }
}

fn logs(names: &Names, account: &str) -> Statement {
    let group = |function: &str| format!("arn:aws:logs:*:{account}:log-group:/aws/lambda/{function}");
    let (usage, lookup) = (group(&names.usage_function), group(&names.lookup_function));
    let forward = group(&names.forward_function);
    allow(
        "Logs",
        &[
            "logs:CreateLogGroup",
            "logs:DeleteDestination",
            "logs:DeleteLogGroup",
            "logs:DeleteRetentionPolicy",
            "logs:DeleteSubscriptionFilter",
            "logs:Describe*",
            "logs:FilterLogEvents",
            "logs:ListTagsForResource",
            "logs:PutDestination",
            "logs:PutDestinationPolicy",
            "logs:PutRetentionPolicy",
            "logs:PutSubscriptionFilter",
            "logs:TagResource",
        ],
        vec![
            usage.clone(),
            format!("{usage}:*"),
            lookup.clone(),
            format!("{lookup}:*"),
            forward.clone(),
            format!("{forward}:*"),
            format!("arn:aws:logs:*:{account}:destination:{}", names.destination),
        ],
    )
}

/// API Gateway generates an API's ID.
fn apis() -> Statement {
    allow(
        "Apis",
        &[
            "apigateway:DELETE",
            "apigateway:GET",
            "apigateway:PATCH",
            "apigateway:POST",
            "apigateway:PUT",
            "apigateway:TagResource",
        ],
        ["apis", "apis/*", "domainnames", "domainnames/*", "tags/*"]
            .map(|path| format!("arn:aws:apigateway:*::/{path}"))
            .to_vec(),
    )
}

fn alarms(names: &Names, account: &str) -> Statement {
    allow(
        "Alarms",
        &[
            "cloudwatch:DeleteAlarms",
            "cloudwatch:DescribeAlarms",
            "cloudwatch:PutMetricAlarm",
            "cloudwatch:TagResource",
            "sns:CreateTopic",
            "sns:DeleteTopic",
            "sns:GetTopicAttributes",
            "sns:ListSubscriptionsByTopic",
            "sns:ListTagsForResource",
            "sns:SetTopicAttributes",
            "sns:Subscribe",
            "sns:TagResource",
            "sns:Unsubscribe",
        ],
        vec![
            format!("arn:aws:cloudwatch:*:{account}:alarm:{}-*", names.service),
            format!("arn:aws:sns:*:{account}:{}-*", names.service),
        ],
    )
}

/// IDs of zones and certificates are generated.
fn domain() -> Vec<Statement> {
    vec![
        allow("FindZone", &["route53:ListHostedZonesByName"], vec!["*".to_owned()]),
        allow(
            "Records",
            &["route53:ChangeResourceRecordSets", "route53:GetHostedZone", "route53:ListResourceRecordSets"],
            vec!["arn:aws:route53:::hostedzone/*".to_owned()],
        ),
        allow("RecordChanges", &["route53:GetChange"], vec!["arn:aws:route53:::change/*".to_owned()]),
        allow(
            "Certificates",
            &[
                "acm:AddTagsToCertificate",
                "acm:DeleteCertificate",
                "acm:DescribeCertificate",
                "acm:ListCertificates",
                "acm:ListTagsForCertificate",
                "acm:RequestCertificate",
            ],
            vec!["*".to_owned()],
        ),
    ]
}

#[cfg(test)]
impl Policy {
    /// Whether an action is allowed on any resource.
    pub(crate) fn allows(&self, action: &str) -> bool {
        self.statement.iter().flat_map(|statement| &statement.action).any(|allowed| {
            allowed.strip_suffix('*').map_or(*allowed == action, |beginning| action.starts_with(beginning))
        })
    }
}

#[cfg(test)]
mod tests;
