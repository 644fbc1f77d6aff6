//! Which properties CloudFormation can't change in place: a change of one makes a new resource and removes
//! the old one. Source: `createOnlyProperties` of each type's schema in the CloudFormation registry; held
//! against those schemas by a test.

/// Resource types, each with the properties whose change replaces the resource.
pub const CREATE_ONLY: &[(&str, &[&str])] = &[
    ("AWS::ApiGatewayV2::Api", &["ProtocolType"]),
    ("AWS::ApiGatewayV2::ApiMapping", &["DomainName"]),
    ("AWS::ApiGatewayV2::DomainName", &["DomainName"]),
    ("AWS::ApiGatewayV2::Integration", &["ApiId"]),
    ("AWS::ApiGatewayV2::Route", &["ApiId"]),
    ("AWS::ApiGatewayV2::Stage", &["ApiId", "StageName"]),
    ("AWS::CertificateManager::Certificate", &["DomainName", "DomainValidationOptions"]),
    ("AWS::CloudWatch::Alarm", &["AlarmName"]),
    ("AWS::DynamoDB::GlobalTable", &["KeySchema", "TableName"]),
    ("AWS::DynamoDB::Table", &["KeySchema", "TableName"]),
    ("AWS::IAM::Role", &["RoleName"]),
    ("AWS::Kinesis::Stream", &["Name"]),
    ("AWS::Lambda::Alias", &["FunctionName", "Name"]),
    ("AWS::Lambda::EventInvokeConfig", &["FunctionName", "Qualifier"]),
    ("AWS::Lambda::EventSourceMapping", &["EventSourceArn", "StartingPosition"]),
    ("AWS::Lambda::Function", &["FunctionName"]),
    (
        "AWS::Lambda::LayerVersion",
        &["CompatibleArchitectures", "CompatibleRuntimes", "Content", "Description", "LayerName"],
    ),
    ("AWS::Lambda::Permission", &["Action", "FunctionName", "Principal", "SourceAccount", "SourceArn"]),
    ("AWS::Lambda::Version", &["Description", "FunctionName"]),
    ("AWS::Logs::Destination", &["DestinationName"]),
    ("AWS::Logs::LogGroup", &["LogGroupName"]),
    ("AWS::Logs::SubscriptionFilter", &["LogGroupName"]),
    ("AWS::S3::Bucket", &["BucketName"]),
    ("AWS::S3::BucketPolicy", &["Bucket"]),
    ("AWS::SNS::Topic", &["TopicName"]),
];

/// Whether a change of a property (a path such as `Content.S3Key`) replaces a resource of a type. An unknown
/// type counts as replaced: a false alarm is better than a missed one.
pub fn replaces(kind: &str, path: &str) -> bool {
    let top = path.split(['.', '[']).next().unwrap_or(path);
    match CREATE_ONLY.iter().find(|(known, _)| *known == kind) {
        Some((_, properties)) => properties.contains(&top),
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_judged_by_its_first_part() {
        for (kind, path, expected) in [
            ("AWS::Lambda::Function", "MemorySize", false),
            ("AWS::Lambda::Function", "FunctionName", true),
            ("AWS::Lambda::LayerVersion", "Content.S3Key", true),
            ("AWS::Nope::Thing", "Any", true),
        ] {
            assert_eq!(replaces(kind, path), expected, "{kind} {path}");
        }
    }
}
