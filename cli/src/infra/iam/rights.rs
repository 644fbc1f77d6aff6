//! All permissions, one per row: who needs it, on what, which actions. No action is listed twice for one resource, so every
//! row is needed by some step. Tests compare the rows with CloudFormation's resource schemas, AWS's reference of actions,
//! and the calls of `cli/src/aws`.

use super::resources::On;

/// Who makes the calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Tool,
    /// CloudFormation's handlers, with the deployer's rights or with the role that it was given.
    Handlers,
    /// Both. CloudFormation detects drift with the caller's permissions, so both need to read.
    Both,
    /// The service's own roles: together, the permissions boundary.
    Service,
}

/// When a statement is printed, or under which condition it allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum If {
    Always,
    /// Only services with a domain need it.
    Domain,
    /// The role may be passed to these services only.
    PassedTo(&'static [&'static str]),
    /// The role must have the permissions boundary of the file, if it names one.
    Bounded,
    /// Only if the file names a permissions boundary, and for that one.
    Boundary,
}

/// A row: a name, who needs it, on what, `service:Action Action …`, and when.
pub(super) type Right = (&'static str, By, &'static [On], &'static str, If);

#[rustfmt::skip]
pub(super) const RIGHTS: &[Right] = &[
    // Stacks. Without a stack's name, DescribeStacks also needs ListStacks.
    ("FindStacks", By::Tool, &[On::Any], "cloudformation:DescribeStackDriftDetectionStatus DescribeStacks ListStacks", If::Always),
    ("ChangeStacks", By::Tool, &[On::Stacks, On::ChangeSets],
        "cloudformation:CreateChangeSet DeleteChangeSet DeleteStack DescribeChangeSet DescribeEvents DescribeStackEvents \
         DescribeStackResourceDrifts DetectStackDrift DetectStackResourceDrift ExecuteChangeSet GetTemplate TagResource \
         UpdateTerminationProtection", If::Always),
    ("PassServiceRole", By::Tool, &[On::ServiceRole], "iam:PassRole", If::PassedTo(&["cloudformation.amazonaws.com"])),
    // Buckets of artifacts, and home's of batches that could not be counted.
    ("ReadObjects", By::Both, &[On::ArtifactObjects, On::FailureObjects], "s3:GetObject GetObjectVersion", If::Always),
    ("UploadArtifacts", By::Tool, &[On::ArtifactObjects], "s3:PutObject", If::Always),
    ("DeleteObjects", By::Tool, &[On::ArtifactObjects, On::FailureObjects], "s3:DeleteObject DeleteObjectVersion", If::Always),
    ("ReadBuckets", By::Both, &[On::Buckets],
        "s3:GetAccelerateConfiguration GetAnalyticsConfiguration GetBucket* GetEncryptionConfiguration \
         GetIntelligentTieringConfiguration GetInventoryConfiguration GetLifecycleConfiguration GetMetricsConfiguration \
         GetReplicationConfiguration ListBucket ListBucketVersions ListTagsForResource", If::Always),
    ("DeleteBuckets", By::Both, &[On::Buckets], "s3:DeleteBucket", If::Always),
    ("Buckets", By::Handlers, &[On::Buckets],
        "s3:CreateBucket DeleteBucketPolicy PutBucketOwnershipControls PutBucketPolicy PutBucketPublicAccessBlock \
         PutBucketTagging PutBucketVersioning PutEncryptionConfiguration PutLifecycleConfiguration TagResource \
         UntagResource", If::Always),
    // Tables. DynamoDB copies rows to a new replica with the rights of whoever adds it.
    ("Rows", By::Both, &[On::Tables],
        "dynamodb:BatchGetItem BatchWriteItem DeleteItem GetItem PutItem Query Scan UpdateItem", If::Always),
    ("ReadTables", By::Both, &[On::Tables], "dynamodb:Describe* GetResourcePolicy ListTagsOfResource", If::Always),
    ("ChangeTables", By::Both, &[On::Tables], "dynamodb:DeleteTable DeleteTableReplica UpdateTable", If::Always),
    ("CreateTables", By::Handlers, &[On::Tables],
        "dynamodb:CreateTable CreateTableReplica TagResource UntagResource UpdateContinuousBackups UpdateTimeToLive", If::Always),
    ("TableLimits", By::Handlers, &[On::Any], "dynamodb:DescribeLimits", If::Always),
    // The handler of global tables publishes metrics about itself.
    ("HandlerMetrics", By::Both, &[On::Any], "cloudwatch:PutMetricData", If::Always),
    // An account's first replica creates this role.
    ("ReplicationRole", By::Handlers, &[On::LinkedRole("replication.dynamodb.amazonaws.com")], "iam:CreateServiceLinkedRole", If::Always),
    // The usage stream.
    ("ReadStream", By::Both, &[On::Stream], "kinesis:DescribeStreamSummary ListTagsForResource ListTagsForStream", If::Always),
    ("UsageRecords", By::Tool, &[On::Stream], "kinesis:GetRecords GetShardIterator ListShards PutRecord", If::Always),
    ("DeleteStream", By::Both, &[On::Stream], "kinesis:DeleteStream", If::Always),
    ("Stream", By::Handlers, &[On::Stream],
        "kinesis:AddTagsToStream CreateStream DecreaseStreamRetentionPeriod IncreaseStreamRetentionPeriod \
         RemoveTagsFromStream TagResource UntagResource", If::Always),
    ("EncryptStream", By::Handlers, &[On::Stream, On::Keys], "kinesis:StartStreamEncryption StopStreamEncryption", If::Always),
    ("ResizeStream", By::Handlers, &[On::Any], "kinesis:UpdateShardCount UpdateStreamMode", If::Always),
    // Functions, their versions and aliases, layers, and what starts the counter.
    ("ReadFunctions", By::Both, &[On::Functions, On::LayerVersions], "lambda:Get* ListTags ListVersionsByFunction", If::Always),
    // A rollback moves the alias; a deploy deletes old versions.
    ("Releases", By::Both, &[On::Functions], "lambda:DeleteFunction UpdateAlias", If::Always),
    ("Functions", By::Handlers, &[On::Functions],
        "lambda:AddPermission CreateAlias CreateFunction DeleteAlias DeleteFunctionConcurrency \
         DeleteFunctionEventInvokeConfig PublishVersion PutFunctionConcurrency PutFunctionEventInvokeConfig \
         RemovePermission TagResource UntagResource UpdateFunctionCode UpdateFunctionConfiguration \
         UpdateFunctionEventInvokeConfig", If::Always),
    ("Layers", By::Handlers, &[On::Layer, On::LayerVersions], "lambda:DeleteLayerVersion PublishLayerVersion", If::Always),
    ("FunctionLimits", By::Tool, &[On::Any], "lambda:GetAccountSettings ListEventSourceMappings", If::Always),
    ("Quotas", By::Tool, &[On::Any], "servicequotas:GetAWSDefaultServiceQuota GetServiceQuota", If::Always),
    ("Metrics", By::Tool, &[On::Any], "cloudwatch:GetMetricData", If::Always),
    ("RegionOptIn", By::Tool, &[On::Account], "account:GetRegionOptStatus", If::Always),
    ("CreateMappings", By::Handlers, &[On::Any], "lambda:CreateEventSourceMapping", If::Always),
    ("ReadMappings", By::Both, &[On::SourceMappings], "lambda:GetEventSourceMapping ListTags", If::Always),
    ("Mappings", By::Handlers, &[On::SourceMappings],
        "lambda:DeleteEventSourceMapping TagResource UntagResource UpdateEventSourceMapping", If::Always),
    // Roles. Whoever may create a role and pass it to a function has every right of the account, unless a permissions
    // boundary is required: docs/SECURITY.md.
    ("ReadRoles", By::Both, &[On::Roles],
        "iam:GetRole GetRolePolicy ListAttachedRolePolicies ListRolePolicies ListRoleTags", If::Always),
    ("CreateRoles", By::Handlers, &[On::Roles], "iam:CreateRole PutRolePolicy", If::Bounded),
    ("BoundRoles", By::Handlers, &[On::Roles], "iam:PutRolePermissionsBoundary", If::Boundary),
    ("Roles", By::Handlers, &[On::Roles],
        "iam:DeleteRole DeleteRolePolicy TagRole UntagRole UpdateAssumeRolePolicy", If::Always),
    ("PassRoles", By::Handlers, &[On::Roles], "iam:PassRole", If::PassedTo(&["lambda.amazonaws.com", "logs.amazonaws.com"])),
    // Logs and the pipe.
    ("FindLogs", By::Both, &[On::Any],
        "logs:DescribeDestinations DescribeIndexPolicies DescribeLogGroups DescribeResourcePolicies", If::Always),
    ("ReadLogs", By::Both, &[On::LogGroups, On::Destination],
        "logs:DescribeSubscriptionFilters GetDataProtectionPolicy ListTagsForResource", If::Always),
    ("SearchLogs", By::Tool, &[On::LogGroups], "logs:FilterLogEvents", If::Always),
    ("Logs", By::Handlers, &[On::LogGroups, On::Destination],
        "logs:CreateLogGroup DeleteDataProtectionPolicy DeleteDestination DeleteLogGroup DeleteRetentionPolicy \
         DeleteSubscriptionFilter PutDestination PutDestinationPolicy PutRetentionPolicy PutSubscriptionFilter \
         TagResource UntagResource", If::Always),
    // APIs.
    ("ReadApis", By::Both, &[On::Apis], "apigateway:GET", If::Always),
    ("Apis", By::Handlers, &[On::Apis], "apigateway:DELETE PATCH POST PUT TagResource UntagResource", If::Always),
    // Alarms and topics.
    ("FindAlarms", By::Both, &[On::EveryAlarm], "cloudwatch:DescribeAlarms", If::Always),
    ("ReadAlarms", By::Both, &[On::Alarms], "cloudwatch:ListTagsForResource", If::Always),
    ("Alarms", By::Handlers, &[On::Alarms], "cloudwatch:DeleteAlarms PutMetricAlarm TagResource UntagResource", If::Always),
    ("ReadTopics", By::Both, &[On::Topics],
        "sns:GetDataProtectionPolicy GetTopicAttributes ListSubscriptionsByTopic ListTagsForResource", If::Always),
    ("Topics", By::Handlers, &[On::Topics],
        "sns:CreateTopic DeleteTopic SetTopicAttributes Subscribe TagResource UntagResource", If::Always),
    ("Unsubscribe", By::Handlers, &[On::Any], "sns:Unsubscribe", If::Always),
    // A domain: its records, certificates and custom names.
    ("FindZones", By::Tool, &[On::Any], "route53:ListHostedZonesByName", If::Domain),
    ("ReadZones", By::Tool, &[On::Zones], "route53:GetHostedZone ListResourceRecordSets", If::Domain),
    ("Records", By::Both, &[On::Zones], "route53:ChangeResourceRecordSets", If::Domain),
    ("RecordChanges", By::Tool, &[On::RecordChanges], "route53:GetChange", If::Domain),
    ("FindCertificates", By::Tool, &[On::Any], "acm:ListCertificates", If::Domain),
    ("ReadCertificates", By::Both, &[On::Certificates], "acm:DescribeCertificate ListTagsForCertificate", If::Domain),
    ("RequestCertificates", By::Handlers, &[On::Any], "acm:RequestCertificate", If::Domain),
    ("Certificates", By::Handlers, &[On::Certificates],
        "acm:AddTagsToCertificate DeleteCertificate RemoveTagsFromCertificate", If::Domain),
    ("ReadDomains", By::Both, &[On::DomainNames], "apigateway:GET", If::Domain),
    ("Domains", By::Handlers, &[On::DomainNames, On::NewDomainNames],
        "apigateway:AddCertificateToDomain DELETE PATCH POST PUT RemoveCertificateFromDomain", If::Domain),
    // An account's first custom domain in a region creates this role.
    ("DomainRole", By::Handlers, &[On::LinkedRole("ops.apigateway.amazonaws.com")], "iam:CreateServiceLinkedRole", If::Domain),
    // What the service's own roles may do at most.
    ("WriteLogs", By::Service, &[On::LogStreams], "logs:CreateLogStream PutLogEvents", If::Always),
    ("UseTables", By::Service, &[On::Tables], "dynamodb:BatchGetItem GetItem UpdateItem", If::Always),
    ("UseStream", By::Service, &[On::Stream],
        "kinesis:DescribeStream DescribeStreamSummary GetRecords GetShardIterator ListShards PutRecord PutRecords", If::Always),
    // Failed batches: the counter's into home's bucket, the forwarder's into its region's.
    ("KeepFailures", By::Service, &[On::Buckets, On::ArtifactObjects, On::FailureObjects], "s3:ListBucket PutObject", If::Always),
    // Early counts: each region's lookup function calls home's counter.
    ("ReportCounts", By::Service, &[On::Functions], "lambda:InvokeFunction", If::Always),
    ("SendAlerts", By::Service, &[On::Topics], "sns:Publish", If::Always),
];
