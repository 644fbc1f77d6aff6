//! Asking an edge, as its callers do.

use std::future::Future;

use ipgeo_contract::ApiKey;

use super::StepError;
use crate::infra::plan::ProbeSpec;

/// Where an edge is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeTarget {
    /// Its region.
    pub region: String,
    /// The host that is asked for: the domain, or the API's own endpoint.
    pub host: String,
    /// Where to connect to, when the host's name must not be looked up: `name:port`.
    pub connect: Option<String>,
    /// Whether it speaks TLS; an emulator does not.
    pub tls: bool,
    /// The API key of probes.
    pub api_key: Option<ApiKey>,
}

/// Asking edges.
pub trait Probe: Sync {
    /// Asks `/health`, an address and an API key; returns how long the last took, ms, or what was wrong.
    fn probe(
        &self,
        target: &ProbeTarget,
        spec: &ProbeSpec,
    ) -> impl Future<Output = Result<f64, String>> + Send;
}

/// Knowing where edges are reached.
pub trait ProbeTargets: Sync {
    /// Where a region's edge is reached now, for a domain or at its own endpoint.
    fn target(
        &self,
        region: &str,
        domain: Option<&str>,
    ) -> impl Future<Output = Result<ProbeTarget, StepError>> + Send;
}
