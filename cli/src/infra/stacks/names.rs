//! The names of all resources. They are the same in every region, except where a name must be unique in the account
//! (IAM roles) or in the world (S3 buckets): those contain the region or the account.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::config::Config;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StackKind {
    /// Every region's bucket of artifacts.
    Artifacts,
    /// Resources that exist once: tables, stream, counter.
    Home,
    /// A region's API, function and log pipe.
    Edge,
}

impl StackKind {
    /// All of them, in the order of deploying.
    pub const ALL: [Self; 3] = [Self::Artifacts, Self::Home, Self::Edge];

    /// `artifacts`, `home`, `edge`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Artifacts => "artifacts",
            Self::Home => "home",
            Self::Edge => "edge",
        }
    }
}

impl fmt::Display for StackKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The functions of a service, of which each has published versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FunctionKind {
    /// Home's.
    Counter,
    /// Every edge's, which answers lookups.
    Edge,
    /// An edge's second function, if its log pipe is a forwarder.
    Forwarder,
}

impl FunctionKind {
    pub const ALL: [Self; 3] = [Self::Counter, Self::Edge, Self::Forwarder];

    /// `counter`, `edge`, `forwarder`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Edge => "edge",
            Self::Forwarder => "forwarder",
        }
    }

    pub fn stack(self) -> StackKind {
        if self == Self::Counter { StackKind::Home } else { StackKind::Edge }
    }

    /// The stack's output with the number of its published version.
    pub fn version_output(self) -> &'static str {
        if self == Self::Forwarder { "ForwardVersion" } else { "Version" }
    }

    /// Prefix of the logical name of its published version; a hash follows.
    pub(crate) fn version_prefix(self) -> &'static str {
        match self {
            Self::Counter => "UsageVersion",
            Self::Edge => "LookupVersion",
            Self::Forwarder => "ForwardVersion",
        }
    }
}

impl fmt::Display for FunctionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The alias of every function: the version that serves.
pub(crate) const LIVE: &str = "live";

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Names {
    /// `<name>-<environment>`: the prefix of all names.
    pub service: String,
    pub access_table: String,
    pub ledger_table: String,
    pub stream: String,
    /// Home's function.
    pub usage_function: String,
    /// Every edge's function.
    pub lookup_function: String,
    /// The function that forwards an edge's usage lines, if its log pipe is a forwarder.
    pub forward_function: String,
    /// Every edge's layer with the geo database.
    pub geo_layer: String,
    /// Every edge's log destination.
    pub destination: String,
    /// The role by which logs enter the stream.
    pub log_pipe_role: String,
    /// The usage function's role.
    pub usage_role: String,
    /// Home's topic of quota alerts.
    pub alert_topic: String,
    /// Home's topic of alarms.
    pub alarm_topic: String,
    /// An edge's topic of alarms.
    pub alarm_topic_edge: String,
}

impl Names {
    pub fn new(config: &Config) -> Self {
        let service = config.service.full_name();
        let named = |what: &str| format!("{service}-{what}");
        Self {
            access_table: config.service.access_table(),
            ledger_table: config.service.ledger_table(),
            stream: named("usage"),
            usage_function: named("usage"),
            lookup_function: named("lookup"),
            forward_function: named("forward"),
            geo_layer: named("geo"),
            destination: named("usage"),
            log_pipe_role: named("log-pipe"),
            usage_role: named("usage"),
            alert_topic: named("quota-alerts"),
            alarm_topic: named("home-alarms"),
            alarm_topic_edge: named("edge-alarms"),
            service,
        }
    }

    /// A stack's name; the same in every region.
    pub fn stack(&self, kind: StackKind) -> String {
        format!("{}-{kind}", self.service)
    }

    pub fn function(&self, kind: FunctionKind) -> &str {
        match kind {
            FunctionKind::Counter => &self.usage_function,
            FunctionKind::Edge => &self.lookup_function,
            FunctionKind::Forwarder => &self.forward_function,
        }
    }

    pub fn lookup_role(&self, region: &str) -> String {
        format!("{}-lookup-{region}", self.service)
    }

    pub fn forward_role(&self, region: &str) -> String {
        format!("{}-forward-{region}", self.service)
    }

    pub(crate) fn functions(&self) -> [&String; 3] {
        [&self.usage_function, &self.lookup_function, &self.forward_function]
    }

    /// Patterns of all roles: exact where a name is not regional, so that no other role matches.
    pub(crate) fn roles(&self) -> [String; 4] {
        [self.usage_role.clone(), self.log_pipe_role.clone(), self.lookup_role("*"), self.forward_role("*")]
    }

    pub fn bucket(&self, account: &str, region: &str) -> String {
        format!("{}-{account}-{region}", self.service)
    }

    /// Home's bucket of batches that could not be counted.
    pub fn failure_bucket(&self, account: &str) -> String {
        format!("{}-failures-{account}", self.service)
    }
}

/// The record that lists drained regions, for a domain.
pub(crate) fn drained_record(domain: &str) -> String {
    format!("_ipgeo-drained.{domain}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PLACES;

    #[test]
    fn the_longest_names_fit_what_aws_takes() {
        let config = super::super::test_config();
        let mut names = Names::new(&config);
        names.service = format!("{}-{}", "n".repeat(20), "e".repeat(12));
        for place in PLACES {
            assert!(names.bucket("123456789012", place.name).len() <= 63, "{}", place.name);
            assert!(names.lookup_role(place.name).len() <= 64, "{}", place.name);
            assert!(names.forward_role(place.name).len() <= 64, "{}", place.name);
        }
        assert!(names.failure_bucket("123456789012").len() <= 63);
        assert!(names.stack(StackKind::Artifacts).len() <= 128);
    }
}
