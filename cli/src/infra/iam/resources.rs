//! The ARNs that rights are limited to: patterns over regions, from the names of the service's resources.

use super::Request;
use crate::infra::stacks::{Names, StackKind};

/// What a right is limited to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum On {
    /// For actions that AWS can't limit to a resource.
    Any,
    Account,
    Stacks,
    /// Change sets that the tool names.
    ChangeSets,
    Buckets,
    ArtifactObjects,
    FailureObjects,
    Tables,
    Stream,
    /// Any key: the stream has the one that AWS manages, whose ID differs by account.
    Keys,
    /// The functions, their versions and aliases.
    Functions,
    Layer,
    LayerVersions,
    /// Lambda generates their IDs.
    SourceMappings,
    Roles,
    /// The role that CloudFormation works with, in the deployer's policy.
    ServiceRole,
    /// The role that a service creates for itself in an account.
    LinkedRole(&'static str),
    LogGroups,
    LogStreams,
    Destination,
    /// API Gateway generates their IDs.
    Apis,
    DomainNames,
    NewDomainNames,
    Alarms,
    /// CloudWatch checks a listing against all alarms.
    EveryAlarm,
    Topics,
    /// Route 53 and ACM generate the IDs of zones, changes and certificates.
    Zones,
    RecordChanges,
    Certificates,
}

/// The role that `deploy --role-arn` passes to CloudFormation, unless another is named. Not one of the service's own
/// names, so that it can't change itself.
fn default_service_role(account: &str) -> String {
    format!("arn:aws:iam::{account}:role/ipgeo-cloudformation")
}

impl On {
    pub(super) fn arns(self, names: &Names, request: &Request<'_>) -> Vec<String> {
        let account = request.account;
        let all = |arns: &[String]| arns.to_vec();
        let each = |kind: &str, found: &[&String]| -> Vec<String> {
            found.iter().map(|name| format!("arn:aws:{kind}{name}").replace("ACCOUNT", account)).collect()
        };
        let with_parts = |arns: Vec<String>| -> Vec<String> {
            arns.into_iter().flat_map(|arn| [arn.clone(), format!("{arn}:*")]).collect()
        };
        let (artifacts, failures) = (names.bucket(account, "*"), names.failure_bucket(account));
        match self {
            Self::Any => all(&["*".to_owned()]),
            Self::Account => all(&[format!("arn:aws:account::{account}:account")]),
            Self::Stacks => StackKind::ALL
                .map(|kind| format!("arn:aws:cloudformation:*:{account}:stack/{}/*", names.stack(kind)))
                .to_vec(),
            Self::ChangeSets => all(&[format!("arn:aws:cloudformation:*:{account}:changeSet/ipgeo-*/*")]),
            Self::Buckets => each("s3:::", &[&artifacts, &failures]),
            Self::ArtifactObjects => all(&[format!("arn:aws:s3:::{artifacts}/*")]),
            Self::FailureObjects => all(&[format!("arn:aws:s3:::{failures}/*")]),
            Self::Tables => each("dynamodb:*:ACCOUNT:table/", &[&names.access_table, &names.ledger_table]),
            Self::Stream => each("kinesis:*:ACCOUNT:stream/", &[&names.stream]),
            Self::Keys => all(&[format!("arn:aws:kms:*:{account}:key/*")]),
            Self::Functions => with_parts(each("lambda:*:ACCOUNT:function:", &names.functions())),
            Self::Layer => each("lambda:*:ACCOUNT:layer:", &[&names.geo_layer]),
            Self::LayerVersions => all(&[format!("arn:aws:lambda:*:{account}:layer:{}:*", names.geo_layer)]),
            Self::SourceMappings => all(&[format!("arn:aws:lambda:*:{account}:event-source-mapping:*")]),
            Self::Roles => {
                let roles = names.roles();
                each("iam::ACCOUNT:role/", &roles.iter().collect::<Vec<_>>())
            }
            Self::ServiceRole => {
                all(&[request.role_arn.map_or_else(|| default_service_role(account), str::to_owned)])
            }
            Self::LinkedRole(service) => {
                all(&[format!("arn:aws:iam::{account}:role/aws-service-role/{service}/*")])
            }
            Self::LogGroups => with_parts(each("logs:*:ACCOUNT:log-group:/aws/lambda/", &names.functions())),
            Self::LogStreams => {
                Self::LogGroups.arns(names, request).into_iter().filter(|arn| arn.ends_with(":*")).collect()
            }
            Self::Destination => each("logs:*:ACCOUNT:destination:", &[&names.destination]),
            Self::Apis => {
                ["apis", "apis/*", "tags/*"].map(|path| format!("arn:aws:apigateway:*::/{path}")).to_vec()
            }
            Self::DomainNames => all(&["arn:aws:apigateway:*::/domainnames/*".to_owned()]),
            Self::NewDomainNames => all(&["arn:aws:apigateway:*::/domainnames".to_owned()]),
            Self::Alarms => all(&[format!("arn:aws:cloudwatch:*:{account}:alarm:{}-*", names.service)]),
            Self::EveryAlarm => all(&[format!("arn:aws:cloudwatch:*:{account}:alarm:*")]),
            Self::Topics => {
                each("sns:*:ACCOUNT:", &[&names.alert_topic, &names.alarm_topic, &names.alarm_topic_edge])
            }
            Self::Zones => all(&["arn:aws:route53:::hostedzone/*".to_owned()]),
            Self::RecordChanges => all(&["arn:aws:route53:::change/*".to_owned()]),
            Self::Certificates => all(&[format!("arn:aws:acm:*:{account}:certificate/*")]),
        }
    }
}
