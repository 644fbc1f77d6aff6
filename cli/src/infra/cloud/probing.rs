//! Probing an edge the way its callers use it.

use std::future::Future;

use ipgeo_contract::{ApiKey, RegionName};

use super::StepError;
use crate::infra::plan::ProbeSpec;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeTarget {
    pub region: RegionName,
    /// The host of the request: the domain, or the API's own endpoint.
    pub host: String,
    /// Connect to this `name:port` instead of resolving the host.
    pub connect: Option<String>,
    /// Whether it speaks TLS; an emulator does not.
    pub tls: bool,
    pub api_key: Option<ApiKey>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// It can't be reached: its name has no address, or nobody answers there. A new regional domain needs minutes.
    #[error("{0}")]
    NotReady(String),
    #[error("{0}")]
    Wrong(String),
}

pub trait Probe: Sync {
    /// Requests `/health`, an address and an address with the API key. Returns the time of the last, ms, or what is wrong.
    fn probe(
        &self,
        target: &ProbeTarget,
        spec: &ProbeSpec,
    ) -> impl Future<Output = Result<f64, ProbeError>> + Send;
}

pub trait ProbeTargets: Sync {
    /// How to reach a region's edge now, for a domain or at its own endpoint.
    fn target(
        &self,
        region: &RegionName,
        domain: Option<&str>,
    ) -> impl Future<Output = Result<ProbeTarget, StepError>> + Send;
}
