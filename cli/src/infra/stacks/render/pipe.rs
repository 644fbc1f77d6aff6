//! An edge's log pipe: the resources that carry its usage lines to home's stream, and their permissions.

use std::collections::BTreeSet;

use ipgeo_contract::{RegionName, USAGE_LINE_VERSION, env};
use tera::Context;

use super::{ArtifactRef, Renderer, Replica, Variable, describe, endpoint_variable};
use crate::config::{LogPipe, Region, is_opt_in};
use crate::infra::stacks::Template;

/// Memory of the forwarder, MB: Lambda's least. It copies a batch of lines.
const FORWARD_MEMORY_MB: u32 = 128;
/// Timeout of the forwarder, s: above the twenty seconds of its retries.
const FORWARD_TIMEOUT_S: u32 = 30;

/// The log pipes that an edge has. The subscription points to one of them. The other stays deployed: lines may still be on
/// their way through it, it costs nothing, and switching back changes one property.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct PipeParts {
    pub destination: bool,
    pub forwarder: bool,
}

impl PipeParts {
    pub(crate) fn deployed(edge: &Template) -> Self {
        let has = |name| edge.resources.contains_key(name);
        Self { destination: has(USAGE_DESTINATION), forwarder: has(FORWARD_FUNCTION) }
    }
}

/// Logical name of an edge's log destination.
pub(crate) const USAGE_DESTINATION: &str = "UsageDestination";
/// Logical name of an edge's forwarder.
pub(crate) const FORWARD_FUNCTION: &str = "ForwardFunction";

/// Logical name of the alias through which an edge's forwarder is invoked.
pub(crate) const FORWARD_ALIAS: &str = "ForwardAlias";

/// CloudWatch Logs, in regions that are enabled by default.
pub(crate) const LOGS_SERVICE: &str = "logs.amazonaws.com";

/// CloudWatch Logs, in a region that must be enabled first.
pub(crate) fn regional_logs_service(region: &str) -> String {
    format!("logs.{region}.amazonaws.com")
}

/// Key prefix in the region's bucket under which Lambda stores batches that a forwarder could not put (defined by AWS).
pub(crate) const FORWARD_FAILURES: &str = "aws/lambda/async/";

impl Renderer<'_> {
    /// The names of CloudWatch Logs in the regions that it writes from: those of the file, and those that still have an
    /// edge, whose replicas are protected until the edge is gone. In cross-region calls, a service of a region that must be
    /// enabled first appears as `service.region.amazonaws.com` (IAM user guide, "AWS service principals").
    pub(super) fn log_services(&self, replicas: &[Replica]) -> serde_json::Value {
        let deployed = replicas.iter().filter(|replica| replica.protected).map(|replica| &replica.region);
        let regions = self.config.regions.iter().map(|region| &region.name).chain(deployed);
        let names: BTreeSet<&RegionName> = regions.filter(|region| is_opt_in(region)).collect();
        if names.is_empty() {
            return LOGS_SERVICE.into();
        }
        let regional = names.into_iter().map(|region| regional_logs_service(region));
        std::iter::once(LOGS_SERVICE.to_owned()).chain(regional).collect()
    }

    pub(super) fn insert_log_pipe(&self, context: &mut Context, pipes: PipeParts) {
        let (names, home) = (&self.names, &self.config.service.home);
        let role = format!("arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:role/{}", names.log_pipe_role);
        let stream =
            format!("arn:${{AWS::Partition}}:kinesis:{home}:${{AWS::AccountId}}:stream/{}", names.stream);
        let policy = serde_json::json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Principal": {"AWS": "${AWS::AccountId}"},
                "Action": "logs:PutSubscriptionFilter",
                "Resource": format!(
                    "arn:${{AWS::Partition}}:logs:${{AWS::Region}}:${{AWS::AccountId}}:destination:{}",
                    names.destination
                ),
            }],
        });
        let wanted = self.config.emulator.as_ref().is_none_or(|emulator| emulator.log_pipe);
        let pipe = self.config.usage.pipe;
        let has = |kind, deployed| wanted && (pipe == kind || deployed);
        context.insert("log_pipe", &wanted);
        context.insert("pipe_destination", &has(LogPipe::Destination, pipes.destination));
        context.insert("pipe_forwarder", &has(LogPipe::Forwarder, pipes.forwarder));
        let target = match pipe {
            LogPipe::Destination => serde_json::json!({ "Fn::GetAtt": [USAGE_DESTINATION, "Arn"] }),
            LogPipe::Forwarder => serde_json::json!({ "Ref": FORWARD_ALIAS }),
        };
        context.insert("pipe_target", &target);
        context.insert("log_pipe_role_arn", &role);
        context.insert("stream_arn", &stream);
        context.insert("destination_policy", &policy.to_string());
        context.insert("filter_pattern", &format!("{{ $.ipgeo = {USAGE_LINE_VERSION} }}"));
    }

    pub(super) fn insert_forwarder(&self, context: &mut Context, region: &Region, code: &ArtifactRef) {
        let names = &self.names;
        let bucket = names.bucket("${AWS::AccountId}", "${AWS::Region}");
        let arn = format!("arn:${{AWS::Partition}}:s3:::{bucket}");
        let mut variables = vec![
            Variable { name: env::HANDLER, value: env::HANDLER_FORWARD.to_owned() },
            Variable { name: env::STREAM, value: names.stream.clone() },
            Variable { name: env::STREAM_REGION, value: self.config.service.home.to_string() },
        ];
        variables.extend(self.emulator().map(endpoint_variable));
        context.insert("bucket_arn", &arn);
        context.insert("forward_failures", &format!("{arn}/{FORWARD_FAILURES}*"));
        context.insert("forward_role", &names.forward_role(&region.name));
        context.insert("forward_log_group", &format!("/aws/lambda/{}", names.forward_function));
        context.insert("forward_environment", &variables);
        context.insert("forward_memory_mb", &FORWARD_MEMORY_MB);
        context.insert("forward_timeout_s", &FORWARD_TIMEOUT_S);
        context.insert("forward_description", &describe(code, None, None));
    }
}
