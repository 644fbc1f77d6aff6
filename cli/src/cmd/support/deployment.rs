//! How `plan` and `deploy` begin: configuration, artifacts, and what is deployed.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use futures_util::future::join_all;
use ipgeo_contract::RegionName;
use ipgeo_geo::Database;

use super::config::load_config;
use super::database::{database_to_deploy, remember_database, today};
use super::select::{ArtifactArgs, RegionArgs};
use super::usage_path::follow_spec;
use crate::args::{ProfileArgs, RoleArgs, Shared};
use crate::aws::Aws;
use crate::config::Config;
use crate::cost::{CostChange, TrafficModel, change};
use crate::fs::hash_file;
use crate::geo::sources::{Lock, LockedDatabase};
use crate::infra::artifacts::{Prepared, Sources, prepare};
use crate::infra::cloud::{Ask, CloudRead as _, StepError, observe};
use crate::infra::plan::{
    self, Drift, Drifts, Observed, Plan, PlanError, PlanFile, PlanOptions, PlannedFlags, PlannedFrom,
    ProbeSpec, Scope, keys_of, templates_after, templates_now,
};
use crate::infra::stacks::{ArtifactSet, Names, StackKind};
use crate::ui::output;
use crate::ui::progress::{Task, timed};

/// The address that probes look up: every database has it, and it is no person's.
const PROBE_ADDRESS: &str = "8.8.8.8";

#[derive(Debug, Clone, Args)]
pub(crate) struct PlanFlags {
    #[command(flatten)]
    pub(crate) regions: RegionArgs,
    #[command(flatten)]
    pub(crate) artifacts: ArtifactArgs,
    /// Allow replacing or removing these resources, by logical name (data may be lost)
    #[arg(long, value_name = "NAMES", value_delimiter = ',', hide_short_help = true)]
    allow_replace: Vec<String>,
    /// Delete and recreate stacks whose creation failed
    // The problem about such a stack names this flag.
    #[arg(long, hide_short_help = true)]
    recreate_failed: bool,
    #[command(flatten)]
    profile: ProfileArgs,
}

impl PlanFlags {
    /// The AWS profile, if a flag names it.
    pub(crate) fn profile(&self) -> Option<&str> {
        self.profile.name()
    }

    /// What a plan in a file remembers of the flags.
    pub(crate) fn planned(&self) -> PlannedFlags {
        PlannedFlags {
            regions: self.regions.regions.clone(),
            exclude_regions: self.regions.exclude_regions.clone(),
            allow_replace: self.allow_replace.clone(),
            recreate_failed: self.recreate_failed,
        }
    }

    /// These flags with those of a plan in a file.
    pub(crate) fn with_planned(&self, planned: &PlannedFlags) -> Self {
        let PlannedFlags { regions, exclude_regions, allow_replace, recreate_failed } = planned.clone();
        let regions = RegionArgs { regions, exclude_regions };
        Self { regions, allow_replace, recreate_failed, ..self.clone() }
    }
}

pub(crate) struct Deployment {
    pub(crate) config: Config,
    pub(crate) aws: Aws,
    prepared: Prepared,
    database: LockedDatabase,
    /// SHA-256 of `regions.toml`.
    config_digest: String,
    pub(crate) options: PlanOptions,
}

impl Deployment {
    /// Checks credentials, then builds what is missing.
    pub(crate) async fn prepare(flags: &PlanFlags, shared: &Shared) -> anyhow::Result<Self> {
        let (config, file) = load_config(shared)?;
        let config_digest = config_digest(&file)?;
        let scope = flags.regions.scope(&config)?;
        check_allowed(&flags.allow_replace)?;
        let aws = Aws::connect(&config, flags.profile.name()).await?.with_limits();
        aws.account().await?;
        let lock = Lock::path(&file);
        let (database, locked) =
            database_to_deploy(&shared.state, flags.artifacts.database.as_deref(), &lock)?;
        let sources = Sources {
            state: &shared.state,
            artifact: flags.artifacts.artifact.as_deref(),
            database: &database,
            project: project(&file),
            executable: std::env::current_exe().and_then(std::fs::canonicalize).ok(),
        };
        let prepared =
            tokio::task::block_in_place(|| prepare(&config, &sources, &|line| output::print_note(line)))?;
        let probe = probe_of(&config, &database)?;
        let options = PlanOptions {
            scope,
            allow_replace: flags.allow_replace.iter().cloned().collect(),
            recreate_failed: flags.recreate_failed,
            files: prepared.files.clone(),
            probe,
            follow: follow_spec(&config),
            today: today().to_string(),
        };
        Ok(Self { config, aws, prepared, database: locked, config_digest, options })
    }

    /// CloudFormation changes stacks with this role's rights, if one is given.
    pub(crate) async fn use_role(&mut self, role: &RoleArgs) -> anyhow::Result<()> {
        Ok(self.aws.use_role(role.arn()).await?)
    }

    pub(crate) fn artifacts(&self) -> &ArtifactSet {
        &self.prepared.set
    }

    /// Remembers the database that the regions are given, so that `geo rollback` knows it.
    pub(crate) fn remember_database(&self, state: &Path) -> anyhow::Result<()> {
        let set = self.artifacts();
        remember_database(state, &set.geo, &set.geo_description, self.database.clone(), false)
    }

    pub(crate) async fn observe(&self) -> anyhow::Result<Observed> {
        read_deployed(&self.aws, &Ask::everywhere(&self.config, Some(self.artifacts()))).await
    }

    /// The plan, or what blocks it.
    pub(crate) fn plan(&self, observed: &Observed) -> Result<Plan, PlanError> {
        plan::plan(&self.config, self.artifacts(), observed, &self.options)
    }

    /// Adds the steps that set back what was changed outside CloudFormation.
    pub(crate) async fn with_repairs(
        &self,
        observed: &Observed,
        plan: Plan,
    ) -> anyhow::Result<Result<Plan, PlanError>> {
        let mut drifts = Drifts::new();
        for ((region, kind), found) in check_drift(&self.aws, observed, &self.options.scope).await {
            let found = found.with_context(|| format!("check the {kind} stack of {region} for drift"))?;
            drifts.insert((region, kind), found);
        }
        Ok(plan::repair_drift(plan, &drifts, &Names::new(&self.config), &self.options))
    }

    /// The file of a plan, for `deploy FILE`.
    pub(crate) fn plan_file(&self, plan: &Plan, observed: &Observed, flags: PlannedFlags) -> PlanFile {
        let from = PlannedFrom {
            account: observed.account.clone(),
            config: self.config_digest.clone(),
            artifacts: keys_of(self.artifacts()),
            flags,
        };
        PlanFile::new(plan, from, jiff::Timestamp::now())
    }

    /// How a plan changes the bill at this number of calls a month.
    pub(crate) fn cost(&self, observed: &Observed, plan: &Plan, calls: f64) -> anyhow::Result<CostChange> {
        let (before, after) = (templates_now(observed), templates_after(observed, plan));
        change(&self.config.service.home, &before, &after, &TrafficModel::typical(calls))
            .context("estimate the bill")
    }
}

/// Reads what is deployed, which takes seconds.
pub(crate) async fn read_deployed(aws: &Aws, ask: &Ask<'_>) -> anyhow::Result<Observed> {
    Ok(timed("reading what is deployed", observe(aws, ask)).await?)
}

/// Checks the stacks of the selected regions for drift, all at the same time.
pub(crate) async fn check_drift(
    aws: &Aws,
    observed: &Observed,
    scope: &Scope,
) -> Vec<((RegionName, StackKind), Result<Vec<Drift>, StepError>)> {
    let regions = observed.regions.iter().filter(|(name, _)| scope.whole || scope.regions.contains(*name));
    let stacks: Vec<_> =
        regions.flat_map(|(name, region)| region.stacks.keys().map(move |kind| (name, *kind))).collect();
    let task = Task::items("checking for drift", "stack", Some(stacks.len()));
    let checks = stacks.into_iter().map(async |(region, kind)| {
        let found = aws.drift(region, kind).await;
        task.add(1);
        ((region.clone(), kind), found)
    });
    let found = join_all(checks).await;
    task.done();
    found
}

/// The digest of a configuration's bytes, with comments: one may say why a plan must not run.
pub(crate) fn config_digest(file: &Path) -> anyhow::Result<String> {
    let (digest, _) = hash_file(file).with_context(|| format!("read {}", file.display()))?;
    Ok(hex::encode(digest))
}

fn check_allowed(names: &[String]) -> Result<(), output::UsageError> {
    let unknown = names.iter().find(|name| !plan::PROTECTED.contains(&name.as_str()));
    unknown.map_or(Ok(()), |name| {
        let known = plan::PROTECTED.join(", ");
        Err(output::UsageError(format!(
            "--allow-replace: `{name}` is not a protected resource; those are: {known}"
        )))
    })
}

/// The folder of ipgeo's own sources at or above `regions.toml`, or above this folder.
fn project(file: &Path) -> Option<PathBuf> {
    let current = std::env::current_dir().ok()?;
    let folder = current.join(file).parent()?.to_owned();
    let is_ours = |folder: &&Path| {
        let manifest = std::fs::read_to_string(folder.join("runtime").join("Cargo.toml"));
        manifest.is_ok_and(|text| text.contains("name = \"ipgeo-runtime\""))
    };
    folder.ancestors().chain(current.ancestors()).find(is_ours).map(Path::to_owned)
}

/// How edges are probed: by an address whose country the database names.
pub(crate) fn probe_of(config: &Config, database: &Path) -> anyhow::Result<ProbeSpec> {
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

/// How edges are probed if the database that they serve is not on this machine: any country is accepted.
pub(crate) fn quick_probe(config: &Config) -> ProbeSpec {
    let (address, domain) = (PROBE_ADDRESS.to_owned(), config.service.domain.clone());
    ProbeSpec { address, country_code: None, domain }
}

/// Stacks of these regions that somebody else is changing: `edge stack of eu-west-1 (…)`.
pub(crate) fn busy(observed: &Observed, regions: &BTreeSet<RegionName>) -> Vec<String> {
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
