//! Rolling out a geo database: a deploy that changes nothing else.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;

use crate::config::Config;
use crate::infra::cloud::{Ask, CloudRead, observe};
use crate::infra::plan::{
    self, ArtifactFile, Fault, Observed, Plan, PlanOptions, ProbeSpec, Scope, beside_database,
};
use crate::infra::stacks::{ArtifactRef, ArtifactSet, StackKind};

/// A database to give to regions.
#[derive(Debug, Clone)]
pub struct DatabaseRollout {
    /// The zipped database.
    pub artifact: ArtifactRef,
    /// Name and date, for people.
    pub description: String,
    /// Artifacts on this machine.
    pub files: Vec<ArtifactFile>,
    /// What edges must answer with it.
    pub probe: ProbeSpec,
}

/// Digests of the databases that the regions serve.
pub async fn served_digests<C: CloudRead>(cloud: &C, config: &Config, account: &str) -> BTreeSet<String> {
    let reads = config.regions.iter().map(|region| cloud.region(&region.name, account, &[]));
    let regions = futures_util::future::join_all(reads).await;
    regions
        .iter()
        .filter_map(|region| region.stacks.get(&StackKind::Edge)?.outputs.get("Geo").cloned())
        .collect()
}

/// The code that the regions run, by architecture: a rollout leaves it as it is.
fn running_code(config: &Config, observed: &Observed) -> anyhow::Result<BTreeMap<&'static str, ArtifactRef>> {
    let mut code: BTreeMap<&'static str, ArtifactRef> = BTreeMap::new();
    for region in &config.regions {
        let edge = observed.regions.get(&region.name).and_then(|region| region.stacks.get(&StackKind::Edge));
        let Some(digest) = edge.and_then(|edge| edge.outputs.get("Code")) else { continue };
        let running = ArtifactRef::new("code", digest);
        let known = code.entry(region.runtime.architecture.as_str()).or_insert_with(|| running.clone());
        if *known != running {
            bail!("regions run different code; `ipgeo deploy` makes them alike first");
        }
    }
    let missing =
        config.regions.iter().find(|region| !code.contains_key(region.runtime.architecture.as_str()));
    match missing {
        Some(region) => bail!("{} has no edge yet; `ipgeo deploy` makes it", region.name),
        None => Ok(code),
    }
}

/// The plan that rolls a database out, or what blocks it; an error if anything but the database would change.
pub async fn plan_rollout<C: CloudRead>(
    cloud: &C,
    config: &Config,
    wanted: DatabaseRollout,
    scope: Scope,
) -> anyhow::Result<Result<Plan, Vec<Fault>>> {
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
    };
    let plan = match plan::plan(config, &set, &observed, &options)? {
        Ok(plan) => plan,
        Err(faults) => return Ok(Err(faults)),
    };
    let beside = beside_database(&plan);
    if !beside.is_empty() {
        bail!(
            "more than the database would change: {}; `ipgeo plan` shows it, `ipgeo deploy` does it",
            beside.join(", ")
        );
    }
    Ok(Ok(plan))
}
