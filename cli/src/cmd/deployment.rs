//! What `plan`, `deploy` and their kin begin with: the file, the artifacts, what there is.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use ipgeo_geo::Database;

use super::cloud_args::{ArtifactArgs, RegionArgs};
use super::geo_rollout::{for_deploy, remember};
use super::load_config;
use crate::aws::Aws;
use crate::cli::Shared;
use crate::config::Config;
use crate::cost::{CostChange, TrafficModel, change};
use crate::geo::sources::{Lock, LockedDatabase};
use crate::infra::artifacts::{Prepared, Sources, prepare};
use crate::infra::cloud::{Ask, CloudRead as _, observe};
use crate::infra::plan::{
    self, Observed, Plan, PlanError, PlanOptions, ProbeSpec, templates_after, templates_now,
};
use crate::infra::stacks::ArtifactSet;
use crate::ui::output;

/// The address that edges are asked for: in every database, and nobody's.
const PROBE_ADDRESS: &str = "8.8.8.8";

/// Flags of whatever makes a plan.
#[derive(Debug, Clone, Args)]
pub struct PlanFlags {
    #[command(flatten)]
    pub(super) regions: RegionArgs,
    #[command(flatten)]
    pub(super) artifacts: ArtifactArgs,
    /// Let these be replaced or removed, by their logical names: data or pipe may be lost
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    allow_replace: Vec<String>,
    /// Remove stacks whose creation has failed, and make them anew
    #[arg(long)]
    recreate_failed: bool,
    /// The AWS profile to use
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
}

/// A configuration, its artifacts, and a hand on the cloud.
pub(super) struct Deployment {
    pub(super) config: Config,
    pub(super) aws: Aws,
    prepared: Prepared,
    database: LockedDatabase,
    pub(super) options: PlanOptions,
}

impl Deployment {
    /// Checks credentials, then builds what is missing.
    pub(super) async fn prepare(flags: &PlanFlags, shared: &Shared) -> anyhow::Result<Self> {
        let (config, file) = load_config(shared)?;
        let scope = flags.regions.scope(&config)?;
        check_allowed(&flags.allow_replace)?;
        let aws = Aws::of(&config, flags.profile.as_deref()).await?.with_limits();
        aws.account().await?;
        let lock = Lock::path(&file);
        let (database, locked) = for_deploy(&shared.state, flags.artifacts.database.as_deref(), &lock)?;
        let sources = Sources {
            state: &shared.state,
            artifact: flags.artifacts.artifact.as_deref(),
            database: &database,
            project: project(&file),
            executable: std::env::current_exe().and_then(std::fs::canonicalize).ok(),
        };
        let prepared = tokio::task::block_in_place(|| prepare(&config, &sources, &|line| output::say(line)))?;
        let probe = probe_of(&config, &database)?;
        let options = PlanOptions {
            scope,
            allow_replace: flags.allow_replace.iter().cloned().collect(),
            recreate_failed: flags.recreate_failed,
            files: prepared.files.clone(),
            probe,
        };
        Ok(Self { config, aws, prepared, database: locked, options })
    }

    /// The artifacts that stacks name.
    pub(super) fn artifacts(&self) -> &ArtifactSet {
        &self.prepared.set
    }

    /// Remembers the database that the regions are given, so that `geo rollback` knows it.
    pub(super) fn remember_database(&self, state: &Path) -> anyhow::Result<()> {
        let set = self.artifacts();
        remember(state, &set.geo, &set.geo_description, self.database.clone())
    }

    /// Reads what there is.
    pub(super) async fn observe(&self) -> anyhow::Result<Observed> {
        Ok(observe(&self.aws, &Ask::everywhere(&self.config, Some(self.artifacts()))).await?)
    }

    /// The plan, or what blocks it.
    pub(super) fn plan(&self, observed: &Observed) -> Result<Plan, PlanError> {
        plan::plan(&self.config, self.artifacts(), observed, &self.options)
    }
}

impl Deployment {
    /// What a plan does to the bill of so many calls a month.
    pub(super) fn cost(&self, observed: &Observed, plan: &Plan, calls: f64) -> anyhow::Result<CostChange> {
        let (before, after) = (templates_now(observed), templates_after(observed, plan));
        change(&self.config.service.home, &before, &after, &TrafficModel::typical(calls))
            .context("reckon the bill")
    }
}

fn check_allowed(names: &[String]) -> Result<(), output::UsageError> {
    let unknown = names.iter().find(|name| !plan::PROTECTED.contains(&name.as_str()));
    unknown.map_or(Ok(()), |name| {
        let known = plan::PROTECTED.join(", ");
        Err(output::UsageError(format!("--allow-replace: `{name}` is not protected; those are: {known}")))
    })
}

/// The folder of ipgeo's own sources at or above `regions.toml`, or above this folder.
fn project(file: &Path) -> Option<PathBuf> {
    let here = std::env::current_dir().ok()?;
    let folder = here.join(file).parent()?.to_owned();
    let is_ours = |folder: &&Path| {
        let manifest = std::fs::read_to_string(folder.join("runtime").join("Cargo.toml"));
        manifest.is_ok_and(|text| text.contains("name = \"ipgeo-runtime\""))
    };
    folder.ancestors().chain(here.ancestors()).find(is_ours).map(Path::to_owned)
}

/// How edges are asked: for an address whose country the database itself tells.
pub(super) fn probe_of(config: &Config, database: &Path) -> anyhow::Result<ProbeSpec> {
    let opened = Database::open(database).with_context(|| format!("open {}", database.display()))?;
    let address: IpAddr = PROBE_ADDRESS.parse()?;
    let mut members = String::new();
    if let Some(location) = opened.lookup(address) {
        location.write_static(&mut members);
    }
    let known: serde_json::Value = serde_json::from_str(&format!("{{{members}}}")).unwrap_or_default();
    Ok(ProbeSpec {
        address: PROBE_ADDRESS.to_owned(),
        country_code: known["country_code"].as_str().map(str::to_owned),
        domain: config.service.domain.clone(),
    })
}

/// Stacks of these regions that are being changed by somebody: `edge stack of eu-west-1 (…)`.
pub(super) fn busy(observed: &Observed, regions: &BTreeSet<String>) -> Vec<String> {
    let mut found = Vec::new();
    for (name, region) in observed.regions.iter().filter(|(name, _)| regions.contains(*name)) {
        for (kind, stack) in &region.stacks {
            if stack.state() == plan::StackState::Busy {
                found.push(format!("{kind} stack of {name} ({})", stack.status));
            }
        }
    }
    found
}
