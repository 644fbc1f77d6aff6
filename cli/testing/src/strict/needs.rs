//! Which actions of a type's handlers CloudFormation calls for a resource with given properties, and on what.
//!
//! A schema lists every action that any property may need. Those that a property makes necessary which the resource
//! does not have are left out; all others count, also when the handler would get by without them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::arns::requests;
use super::policy::Request;
use super::registry::registry;
use super::resolve::{Place, Resolved};

/// What CloudFormation does with a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// It is new.
    Create,
    /// Properties change.
    Update,
    /// It is no longer declared.
    Delete,
}

impl Operation {
    /// The handlers that run; what was changed is read afterwards for the attributes of others.
    fn handlers(self) -> &'static [&'static str] {
        match self {
            Self::Create => &["create", "read"],
            Self::Update => &["update", "read"],
            Self::Delete => &["delete"],
        }
    }
}

/// Actions that only these properties make necessary, by type; `*` ends a beginning. Without properties: never, for
/// the reason beside it. A path's `*` is any item of a list.
type Conditional = (&'static str, &'static [&'static str], &'static [&'static str]);

const CONDITIONAL: &[Conditional] = &[
    ("ApiGatewayV2::Api", &["s3:*"], &["BodyS3Location"]),
    (
        "ApiGatewayV2::DomainName",
        &["apigateway:AddCertificateToDomain", "apigateway:RemoveCertificateFromDomain", "s3:*"],
        &["MutualTlsAuthentication"],
    ),
    ("ApiGatewayV2::Integration", &["iam:PassRole"], &["CredentialsArn"]),
    ("CertificateManager::Certificate", &["acm-pca:*"], &["CertificateAuthorityArn"]),
    ("CertificateManager::Certificate", &["route53:*"], &["DomainValidationOptions/*/HostedZoneId"]),
    (
        "CertificateManager::Certificate",
        &["acm:UpdateCertificateOptions"],
        &["CertificateTransparencyLoggingPreference"],
    ),
    (
        "DynamoDB::GlobalTable",
        &["application-autoscaling:*", "dynamodb:UpdateTableReplicaAutoScaling"],
        &["WriteProvisionedThroughputSettings"],
    ),
    ("DynamoDB::GlobalTable", &["kms:*"], &["Replicas/*/SSESpecification"]),
    ("DynamoDB::Table", &["kms:*"], &["SSESpecification"]),
    (
        "DynamoDB::GlobalTable",
        &["dynamodb:PutResourcePolicy", "dynamodb:DeleteResourcePolicy"],
        &["Replicas/*/ResourcePolicy"],
    ),
    (
        "DynamoDB::Table",
        &["dynamodb:PutResourcePolicy", "dynamodb:DeleteResourcePolicy"],
        &["ResourcePolicy"],
    ),
    (
        "DynamoDB::GlobalTable",
        &[
            "kinesis:*",
            "dynamodb:EnableKinesisStreamingDestination",
            "dynamodb:DisableKinesisStreamingDestination",
            "dynamodb:UpdateKinesisStreamingDestination",
        ],
        &["Replicas/*/KinesisStreamSpecification"],
    ),
    (
        "DynamoDB::Table",
        &[
            "kinesis:*",
            "dynamodb:EnableKinesisStreamingDestination",
            "dynamodb:DisableKinesisStreamingDestination",
            "dynamodb:UpdateKinesisStreamingDestination",
        ],
        &["KinesisStreamSpecification"],
    ),
    (
        "DynamoDB::GlobalTable",
        &["dynamodb:UpdateContributorInsights"],
        &["Replicas/*/ContributorInsightsSpecification"],
    ),
    ("DynamoDB::Table", &["dynamodb:UpdateContributorInsights"], &["ContributorInsightsSpecification"]),
    ("DynamoDB::GlobalTable", &["dynamodb:UpdateTimeToLive"], &["TimeToLiveSpecification"]),
    (
        "DynamoDB::Table",
        &["dynamodb:ImportTable", "dynamodb:DescribeImport", "logs:*", "s3:*"],
        &["ImportSourceSpecification"],
    ),
    // A table of several accounts.
    (
        "DynamoDB::Table",
        &[
            "dynamodb:AssociateTableReplica",
            "dynamodb:BatchWriteItem",
            "dynamodb:CreateTableReplica",
            "dynamodb:DeleteItem",
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "dynamodb:Query",
            "dynamodb:Scan",
            "dynamodb:UpdateItem",
            "iam:CreateServiceLinkedRole",
        ],
        &["GlobalTableSourceArn"],
    ),
    ("IAM::Role", &["iam:AttachRolePolicy", "iam:DetachRolePolicy"], &["ManagedPolicyArns"]),
    ("IAM::Role", &["iam:UpdateRole", "iam:UpdateRoleDescription"], &["Description", "MaxSessionDuration"]),
    (
        "IAM::Role",
        &["iam:PutRolePermissionsBoundary", "iam:DeleteRolePermissionsBoundary"],
        &["PermissionsBoundary"],
    ),
    (
        "Kinesis::Stream",
        &["kinesis:EnableEnhancedMonitoring", "kinesis:DisableEnhancedMonitoring"],
        &["DesiredShardLevelMetrics"],
    ),
    ("Kinesis::Stream", &["kinesis:UpdateMaxRecordSize"], &["MaxRecordSizeInKiB"]),
    ("Kinesis::Stream", &["kinesis:UpdateStreamWarmThroughput"], &["WarmThroughputMiBps"]),
    (
        "Lambda::Alias",
        &["lambda:PutProvisionedConcurrencyConfig", "lambda:DeleteProvisionedConcurrencyConfig"],
        &["ProvisionedConcurrencyConfig"],
    ),
    // Only with CodeDeploy in the resource's UpdatePolicy.
    ("Lambda::Alias", &["codedeploy:*"], &[]),
    ("Lambda::EventSourceMapping", &["kms:*"], &["KmsKeyArn"]),
    ("Lambda::Function", &["ec2:*"], &["VpcConfig"]),
    ("Lambda::Function", &["elasticfilesystem:*", "s3files:*"], &["FileSystemConfigs"]),
    ("Lambda::Function", &["kms:*"], &["KmsKeyArn", "Code/SourceKMSKeyArn"]),
    (
        "Lambda::Function",
        &[
            "lambda:GetCodeSigningConfig",
            "lambda:PutFunctionCodeSigningConfig",
            "lambda:DeleteFunctionCodeSigningConfig",
        ],
        &["CodeSigningConfigArn"],
    ),
    ("Lambda::Function", &["lambda:GetLayerVersion"], &["Layers"]),
    (
        "Lambda::Function",
        &["lambda:PassCapacityProvider", "lambda:PutFunctionScalingConfig"],
        &["CapacityProviderConfig", "FunctionScalingConfig"],
    ),
    ("Lambda::Function", &["lambda:PublishVersion"], &["PublishToLatestPublished"]),
    (
        "Lambda::Function",
        &["lambda:PutFunctionConcurrency", "lambda:DeleteFunctionConcurrency"],
        &["ReservedConcurrentExecutions"],
    ),
    ("Lambda::Function", &["lambda:PutFunctionRecursionConfig"], &["RecursiveLoop"]),
    ("Lambda::Function", &["lambda:PutRuntimeManagementConfig"], &["RuntimeManagementConfig"]),
    ("Lambda::Version", &["lambda:PutFunctionScalingConfig"], &["FunctionScalingConfig"]),
    ("Lambda::Version", &["lambda:PutProvisionedConcurrencyConfig"], &["ProvisionedConcurrencyConfig"]),
    ("Lambda::Version", &["lambda:PutRuntimeManagementConfig"], &["RuntimePolicy"]),
    ("Logs::Destination", &["logs:PutDestinationPolicy"], &["DestinationPolicy"]),
    (
        "Logs::LogGroup",
        &[
            "firehose:*",
            "logs:CreateLogDelivery",
            "logs:DeleteDataProtectionPolicy",
            "logs:PutDataProtectionPolicy",
            "s3:*",
        ],
        &["DataProtectionPolicy"],
    ),
    ("Logs::LogGroup", &["logs:AssociateKmsKey", "logs:DisassociateKmsKey"], &["KmsKeyId"]),
    ("Logs::LogGroup", &["logs:PutBearerTokenAuthentication"], &["BearerTokenAuthenticationEnabled"]),
    ("Logs::LogGroup", &["logs:PutIndexPolicy", "logs:DeleteIndexPolicy"], &["FieldIndexPolicies"]),
    ("Logs::LogGroup", &["logs:PutLogGroupDeletionProtection"], &["DeletionProtectionEnabled"]),
    ("Logs::LogGroup", &["logs:PutResourcePolicy", "logs:DeleteResourcePolicy"], &["ResourcePolicyDocument"]),
    ("Logs::LogGroup", &["logs:PutRetentionPolicy", "logs:DeleteRetentionPolicy"], &["RetentionInDays"]),
    ("Logs::SubscriptionFilter", &["iam:PassRole"], &["RoleArn"]),
    (
        "S3::Bucket",
        &["iam:PassRole", "s3:DeleteObject", "s3:PutReplicationConfiguration"],
        &["ReplicationConfiguration"],
    ),
    ("S3::Bucket", &["s3:GetBucketAcl", "s3:PutBucketAcl", "s3:PutObjectAcl"], &["AccessControl"]),
    ("S3::Bucket", &["s3:PutAccelerateConfiguration"], &["AccelerateConfiguration"]),
    ("S3::Bucket", &["s3:PutAnalyticsConfiguration"], &["AnalyticsConfigurations"]),
    ("S3::Bucket", &["s3:PutBucketAbac"], &["AbacStatus"]),
    ("S3::Bucket", &["s3:PutBucketCORS"], &["CorsConfiguration"]),
    ("S3::Bucket", &["s3:PutBucketLogging"], &["LoggingConfiguration"]),
    ("S3::Bucket", &["s3:PutBucketNotification"], &["NotificationConfiguration"]),
    (
        "S3::Bucket",
        &["s3:PutBucketObjectLockConfiguration"],
        &["ObjectLockConfiguration", "ObjectLockEnabled"],
    ),
    ("S3::Bucket", &["s3:PutBucketWebsite", "s3:DeleteBucketWebsite"], &["WebsiteConfiguration"]),
    ("S3::Bucket", &["s3:PutIntelligentTieringConfiguration"], &["IntelligentTieringConfigurations"]),
    ("S3::Bucket", &["s3:PutInventoryConfiguration"], &["InventoryConfigurations"]),
    ("S3::Bucket", &["s3:PutMetricsConfiguration"], &["MetricsConfigurations"]),
    (
        "S3::Bucket",
        &[
            "s3:CreateBucketMetadataTableConfiguration",
            "s3:DeleteBucketMetadataTableConfiguration",
            "s3:UpdateBucketMetadata*",
            "s3tables:*",
        ],
        &["MetadataConfiguration", "MetadataTableConfiguration"],
    ),
    ("SNS::Topic", &["iam:*"], &["DeliveryStatusLogging"]),
    ("SNS::Topic", &["sns:PutDataProtectionPolicy"], &["DataProtectionPolicy"]),
    ("SNS::Topic", &["sns:Subscribe", "sns:Unsubscribe"], &["Subscription"]),
];

/// What `dynamodb:Describe*` of a global table's handlers stands for.
const DESCRIBE_TABLE: [&str; 6] = [
    "dynamodb:DescribeContinuousBackups",
    "dynamodb:DescribeContributorInsights",
    "dynamodb:DescribeKinesisStreamingDestination",
    "dynamodb:DescribeLimits",
    "dynamodb:DescribeTable",
    "dynamodb:DescribeTimeToLive",
];

/// Actions that schemas leave out and AWS needs: the first regional domain of an account creates a role.
const MISSING: &[(&str, Operation, &str)] =
    &[("AWS::ApiGatewayV2::DomainName", Operation::Create, "iam:CreateServiceLinkedRole")];

/// A resource's change, with all that it needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ResourceNeed {
    /// The logical name.
    pub resource: String,
    /// The resource type.
    pub kind: String,
    /// What is done with it.
    pub operation: Operation,
    /// What is asked of IAM.
    pub requests: Vec<Request>,
}

/// What changes between two templates need; without `before`, a new stack; without `after`, its deletion.
pub fn needs(
    before: &BTreeMap<String, Resolved>,
    after: &BTreeMap<String, Resolved>,
    place: &Place,
) -> Vec<ResourceNeed> {
    let mut found = Vec::new();
    let mut add = |name: &str, operation, old: Option<&Resolved>, resource: &Resolved| {
        found.push(ResourceNeed {
            resource: name.to_owned(),
            kind: resource.kind.clone(),
            operation,
            requests: resource_needs(operation, old, resource, place),
        });
    };
    for (name, resource) in after {
        match before.get(name) {
            None => add(name, Operation::Create, None, resource),
            Some(old) if old.properties == resource.properties => {}
            Some(old) if replaces(old, resource) => {
                add(name, Operation::Create, None, resource);
                add(name, Operation::Delete, None, old);
            }
            Some(old) => add(name, Operation::Update, Some(old), resource),
        }
    }
    for (name, old) in before {
        if !after.contains_key(name) && !old.retained {
            add(name, Operation::Delete, None, old);
        }
    }
    found
}

/// Whether an update replaces a resource.
pub(crate) fn replaces(old: &Resolved, new: &Resolved) -> bool {
    let create_only = &schema(&new.kind).create_only;
    create_only.iter().any(|name| old.properties.get(name) != new.properties.get(name))
}

/// The schema of a type.
pub(crate) fn schema(kind: &str) -> &'static super::registry::ResourceType {
    registry().types.get(kind).unwrap_or_else(|| panic!("{kind} is not in the registry table"))
}

fn resource_needs(
    operation: Operation,
    old: Option<&Resolved>,
    resource: &Resolved,
    place: &Place,
) -> Vec<Request> {
    let handlers = &schema(&resource.kind).handlers;
    let listed = operation.handlers().iter().filter_map(|name| handlers.get(*name)).flatten();
    let mut actions: Vec<&str> = listed.map(String::as_str).collect();
    let missing = MISSING.iter().filter(|(kind, when, _)| *kind == resource.kind && *when == operation);
    actions.extend(missing.map(|(_, _, action)| *action));
    if actions.contains(&"dynamodb:Describe*") {
        actions.extend(DESCRIBE_TABLE);
    }
    actions.retain(|action| !action.contains('*') && is_needed(action, old, resource));
    actions.sort_unstable();
    actions.dedup();
    let mut found: Vec<Request> =
        actions.into_iter().flat_map(|action| requests(action, resource, place)).collect();
    for request in &mut found {
        let context = &mut request.context;
        context.entry("aws:requestedregion".to_owned()).or_insert_with(|| place.region.clone());
        context.insert("aws:calledvia".to_owned(), "cloudformation.amazonaws.com".to_owned());
        if let Some(boundary) = resource.properties["PermissionsBoundary"].as_str() {
            context.insert("iam:permissionsboundary".to_owned(), boundary.to_owned());
        }
    }
    found
}

fn is_needed(action: &str, old: Option<&Resolved>, resource: &Resolved) -> bool {
    let kind = resource.kind.trim_start_matches("AWS::");
    let mut rules = CONDITIONAL.iter().filter(|(known, actions, _)| {
        *known == kind && actions.iter().any(|pattern| super::policy::matches(pattern, action))
    });
    rules.all(|(_, _, properties)| {
        let given = |resource: &Resolved| properties.iter().any(|path| has(&resource.properties, path));
        given(resource) || old.is_some_and(given)
    })
}

/// Whether there is something at a path.
fn has(value: &Value, path: &str) -> bool {
    let Some((first, rest)) = path.split_once('/') else { return value.get(path).is_some() };
    match first {
        "*" => value.as_array().is_some_and(|items| items.iter().any(|item| has(item, rest))),
        name => value.get(name).is_some_and(|inner| has(inner, rest)),
    }
}
