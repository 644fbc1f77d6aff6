//! Rolling out a geo database: a deploy that changes nothing else.

use std::collections::{BTreeMap, BTreeSet};

use ipgeo_contract::RegionName;

use crate::config::Config;
use crate::infra::cloud::{Ask, CloudRead, observe};
use crate::infra::plan::{
    self, ArtifactFile, Observed, ObservedRegion, Plan, PlanError, PlanOptions, ProbeSpec, Problem, Scope,
    beside_database,
};
use crate::infra::stacks::{ArtifactRef, ArtifactSet, FunctionKind, StackKind};

#[derive(Debug, Clone)]
pub struct DatabaseRollout {
    pub artifact: ArtifactRef,
    /// Name and date, for people.
    pub description: String,
    /// Artifacts on this machine.
    pub files: Vec<ArtifactFile>,
    /// The expected answers of edges that serve it.
    pub probe: ProbeSpec,
    /// Today, UTC: `2026-12-01`.
    pub today: String,
}

#[derive(Debug, thiserror::Error)]
pub enum RolloutError {
    #[error(transparent)]
    Unreadable(#[from] Problem),
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A rollout leaves the code as it is, so there must be one code to leave.
    #[error("regions run different code; run `ipgeo deploy` first")]
    MixedCode,
    #[error(
        "{0} was rolled back to version {1}, and a rollout would serve its stack's newer code again; run `ipgeo deploy` first"
    )]
    RolledBack(RegionName, u64),
    #[error("{0} has no edge yet; `ipgeo deploy` creates it")]
    NoEdge(RegionName),
    #[error("more than the database would change: {0}; see `ipgeo plan`, then run `ipgeo deploy`")]
    MoreChanges(String),
}

/// Digests of the databases that the regions serve, or their first characters: after `ipgeo rollback`, a region's version
/// has another database than its stack, and a version's description has only the beginning of a digest.
pub async fn served_digests<C: CloudRead>(cloud: &C, config: &Config, account: &str) -> BTreeSet<String> {
    let reads = config.regions.iter().map(|region| cloud.region(&region.name, account, &[]));
    let regions = futures_util::future::join_all(reads).await;
    let served = |region: &ObservedRegion| {
        let deployed = region.stacks.get(&StackKind::Edge)?.outputs.get("Geo").cloned();
        let live = region.functions.get(&FunctionKind::Edge).and_then(|function| {
            let release = function.release(function.live?);
            release.database.map(str::to_owned)
        });
        match (live, deployed) {
            (Some(live), Some(deployed)) if deployed.starts_with(&live) => Some(deployed),
            (live, deployed) => live.or(deployed),
        }
    };
    regions.iter().filter_map(served).collect()
}

/// The code that the regions run, by architecture: a rollout leaves it as it is.
fn running_code(
    config: &Config,
    observed: &Observed,
) -> Result<BTreeMap<&'static str, ArtifactRef>, RolloutError> {
    let mut code: BTreeMap<&'static str, ArtifactRef> = BTreeMap::new();
    for region in &config.regions {
        let edge = observed.regions.get(&region.name).and_then(|region| region.stacks.get(&StackKind::Edge));
        let Some(digest) = edge.and_then(|edge| edge.outputs.get("Code")) else { continue };
        let live = observed.function(&region.name, FunctionKind::Edge).and_then(|function| {
            let version = function.live?;
            Some((version, function.release(version).code?))
        });
        if let Some((version, _)) = live.filter(|(_, code)| !digest.starts_with(code)) {
            return Err(RolloutError::RolledBack(region.name.clone(), version));
        }
        let running = ArtifactRef::new("code", digest);
        let known = code.entry(region.runtime.architecture.as_str()).or_insert_with(|| running.clone());
        if *known != running {
            return Err(RolloutError::MixedCode);
        }
    }
    let missing =
        config.regions.iter().find(|region| !code.contains_key(region.runtime.architecture.as_str()));
    match missing {
        Some(region) => Err(RolloutError::NoEdge(region.name.clone())),
        None => Ok(code),
    }
}

/// The plan that rolls a database out; an error if anything but the database would change.
pub async fn plan_rollout<C: CloudRead>(
    cloud: &C,
    config: &Config,
    wanted: DatabaseRollout,
    scope: Scope,
) -> Result<Plan, RolloutError> {
    let first = observe(cloud, &Ask::everywhere(config, None)).await?;
    let set = ArtifactSet {
        code: running_code(config, &first)?,
        geo: wanted.artifact,
        geo_description: wanted.description,
    };
    let observed = observe(cloud, &Ask::everywhere(config, Some(&set))).await?;
    let options = PlanOptions {
        scope,
        allow_replace: BTreeSet::new(),
        recreate_failed: false,
        files: wanted.files,
        probe: wanted.probe,
        follow: None,
        today: wanted.today,
    };
    let plan = plan::plan(config, &set, &observed, &options)?;
    let beside = beside_database(&plan);
    if beside.is_empty() { Ok(plan) } else { Err(RolloutError::MoreChanges(beside.join(", "))) }
}
