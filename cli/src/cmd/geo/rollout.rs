//! `ipgeo geo rollout` and `rollback`: deploy a database, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, bail};
use clap::Args;

use crate::args::{ProfileArgs, Shared};
use crate::aws::Aws;
use crate::cmd::support::numbers::percent;
use crate::cmd::support::{
    ExecuteArgs, RegionArgs, carry_out, checked_database, command_line, confirm_plan, exit_of, load_config,
    probe_of, purge_databases, refused, remember_database, served_database, shown, today,
};
use crate::config::Config;
use crate::geo::licence::may_serve;
use crate::geo::sources::{self, Lock, Rollout, Rollouts};
use crate::infra::artifacts::{database_zip, prepare_database, unzip_database};
use crate::infra::cloud::{Ask, CloudRead, observe};
use crate::infra::deploy::Outcome;
use crate::infra::plan::{
    self, ArtifactFile, Fault, Observed, Plan, PlanOptions, ProbeSpec, Scope, beside_database,
};
use crate::infra::stacks::{ArtifactRef, ArtifactSet, StackKind};
use crate::ui::output::{self, Exit};

/// Flags that a rollout and a rollback share.
#[derive(Debug, Args)]
pub(super) struct Flags {
    #[command(flatten)]
    regions: RegionArgs,
    #[command(flatten)]
    execute: ExecuteArgs,
    #[command(flatten)]
    profile: ProfileArgs,
}

/// Flags of `ipgeo geo rollout`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Deploys in waves like `ipgeo deploy`: one region first, then the others once it answers.
Refuses if regions.toml has changed, too: use `ipgeo deploy` for that.

Examples:
  ipgeo geo rollout
  ipgeo geo rollout --yes --max-change 5     for cron: refuse above 5 % changed")]
pub struct RolloutArgs {
    #[command(flatten)]
    flags: Flags,
    /// Refuse if more than this share changed country since the previous database
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    max_change: Option<f64>,
}

/// Flags of `ipgeo geo rollback`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  ipgeo geo rollback
  ipgeo geo rollback --yes --json")]
pub struct RollbackArgs {
    #[command(flatten)]
    flags: Flags,
}

/// Number of addresses that --max-change compares.
const GATE_SAMPLES: u32 = 100_000;

/// A database, ready for the regions.
struct Wanted {
    artifact: ArtifactRef,
    description: String,
    files: Vec<ArtifactFile>,
    probe: ProbeSpec,
}

/// Deploys the compiled database.
pub(crate) async fn rollout(args: RolloutArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let (config, file) = load_config(shared)?;
    let database = served_database(&shared.state);
    let locked = checked_database(&database, &Lock::read(&Lock::path(&file))?.unwrap_or_default())?;
    if let Some(most) = args.max_change {
        gate(&database, most)?;
    }
    let made = tokio::task::block_in_place(|| {
        prepare_database(&config, &shared.state, &database, &|line| output::say(line))
    })?;
    let artifact = made.file.artifact.clone();
    let wanted = Wanted {
        artifact: artifact.clone(),
        description: made.description.clone(),
        files: vec![made.file],
        probe: probe_of(&config, &database)?,
    };
    let begin = || remember_database(&shared.state, &artifact, &made.description, locked);
    let done = deploy_database(&config, wanted, &args.flags, shared, begin).await?;
    purge_databases(&config, shared)?;
    Ok(done)
}

/// Restores the previous database in the regions and on this machine.
pub(crate) async fn rollback(args: RollbackArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let (config, file) = load_config(shared)?;
    let aws = Aws::of(&config, args.flags.profile.name()).await?;
    let account = aws.account().await?;
    let served = served_digests(&aws, &config, &account).await;
    let known = Rollouts::read(&shared.state);
    let digests: Vec<&str> = served.iter().map(String::as_str).collect();
    let Some(before) = known.before(&digests).cloned() else {
        bail!("roll back: no earlier database is recorded in the state folder")
    };
    may_serve(before.database.copy(), today())?;
    output::say(&format!("rolling back to {}", before.description));
    let artifact = ArtifactRef::new("geo", &before.digest);
    let zip = database_zip(&shared.state, &before.digest);
    let files = zip.iter().map(|file| ArtifactFile {
        artifact: artifact.clone(),
        file: file.clone(),
        bytes: std::fs::metadata(file).map_or(0, |metadata| metadata.len()),
    });
    let address = served_database(&shared.state);
    let probe = ProbeSpec { country_code: None, ..probe_of(&config, &address).unwrap_or_default() };
    let probe =
        if probe.address.is_empty() { ProbeSpec { address: "8.8.8.8".into(), ..probe } } else { probe };
    let wanted = Wanted {
        artifact: artifact.clone(),
        description: before.description.clone(),
        files: files.collect(),
        probe: ProbeSpec { domain: config.service.domain.clone(), ..probe },
    };
    let begin = || {
        restore(zip.as_deref(), &before, &served_database(&shared.state), &Lock::path(&file))?;
        remember_database(&shared.state, &artifact, &before.description, before.database.clone())
    };
    deploy_database(&config, wanted, &args.flags, shared, begin).await
}

/// Makes a previous database the served and locked one; the one that was served is kept beside it.
fn restore(zip: Option<&Path>, before: &Rollout, served: &Path, lock_path: &Path) -> anyhow::Result<()> {
    let Some(zip) = zip else {
        output::say(
            "warning: the previous database is not on this machine, so the next `ipgeo deploy` deploys the newer one again",
        );
        return Ok(());
    };
    if served.is_file() {
        sources::keep_previous(served).with_context(|| format!("keep {}", served.display()))?;
    }
    unzip_database(zip, served).with_context(|| format!("extract the database from {}", zip.display()))?;
    let mut lock = Lock::read(lock_path)?.unwrap_or_default();
    lock.database = Some(before.database.clone());
    Ok(lock.write(lock_path)?)
}

/// Refuses a database that differs too much from the one before; without one there is nothing to hold it against.
fn gate(database: &Path, most: f64) -> anyhow::Result<()> {
    let before = sources::previous_of(database);
    if !before.is_file() {
        output::say("no database was compiled before this one, so --max-change has nothing to compare with");
        return Ok(());
    }
    let found = crate::geo::diff(&before, database, GATE_SAMPLES, 1)?;
    let share = found.country_percent_max();
    if share > most {
        bail!(
            "{share:.2} % changed country since the previous database, more than {most} %\nhelp: `ipgeo geo diff` shows the changes"
        );
    }
    output::say(&format!("{share:.2} % changed country since the previous database"));
    Ok(())
}

/// Digests of the databases that regions have.
async fn served_digests<C: CloudRead>(cloud: &C, config: &Config, account: &str) -> BTreeSet<String> {
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
            bail!("regions run different code\nhelp: run `ipgeo deploy` first");
        }
    }
    let missing =
        config.regions.iter().find(|region| !code.contains_key(region.runtime.architecture.as_str()));
    match missing {
        Some(region) => bail!("{} has no edge yet\nhelp: run `ipgeo deploy` first", region.name),
        None => Ok(code),
    }
}

/// The plan that rolls a database out, or what blocks it; an error if anything but the database would change.
async fn planned<C: CloudRead>(
    cloud: &C,
    config: &Config,
    wanted: Wanted,
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
            "more than the database would change: {}\nhelp: review it with `ipgeo plan`, then run `ipgeo deploy`",
            beside.join(", ")
        );
    }
    Ok(Ok(plan))
}

/// Plans, asks for confirmation, calls `begin` and executes the plan.
async fn deploy_database(
    config: &Config,
    wanted: Wanted,
    flags: &Flags,
    shared: &Shared,
    begin: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<Exit> {
    let scope = flags.regions.scope(config)?;
    let regions = scope.regions.len();
    let aws = Aws::of(config, flags.profile.name()).await?;
    let plan = match planned(&aws, config, wanted, scope).await? {
        Ok(plan) => plan,
        Err(faults) => return Ok(refused(faults, shared)),
    };
    if !shown(&plan, false, shared)? {
        return Ok(Exit::Done);
    }
    confirm_plan("make these changes?", &flags.execute)?;
    begin()?;
    let run = carry_out(&plan, &aws, &flags.execute, shared).await?;
    output::say(&run.report(&plan, &command_line()));
    if run.outcome() == Outcome::Halted {
        output::say("help: `ipgeo geo rollback` restores the previous database");
    }
    Ok(exit_of(&run, regions))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infra::cloud::memory::{ACCOUNT, Memory};
    use crate::infra::deploy::tests::harness::{FOUR, File, deployed, finish, options};
    use crate::infra::stacks::test_artifacts;

    /// The plan that rolls the database with this digest out to every region of a file.
    async fn given(cloud: &Memory, file: &File, digest: &str) -> anyhow::Result<Plan> {
        let config = file.config();
        let artifact = ArtifactRef::new("geo", digest);
        let files = vec![ArtifactFile { artifact: artifact.clone(), file: "x.zip".into(), bytes: 1 }];
        let description = format!("database {digest:.8}");
        let options = options(&config, &test_artifacts());
        let wanted = Wanted { artifact, description, files, probe: options.probe };
        Ok(planned(cloud, &config, wanted, options.scope).await?.expect("nothing forbids it"))
    }

    async fn served(cloud: &Memory, file: &File) -> Vec<String> {
        served_digests(cloud, &file.config(), ACCOUNT).await.into_iter().collect()
    }

    /// Templates are rendered for the deployed account: a rollout and its rollback find nothing to replace, and afterwards
    /// every region has the database.
    #[tokio::test(start_paused = true)]
    async fn a_deployed_service_gets_a_database_and_the_one_before_again() {
        for has_domain in [true, false] {
            let file = File::of(&FOUR).with(|file| file.has_domain = has_domain);
            let cloud = deployed(&file).await;
            let before = served(&cloud, &file).await;
            let newer = "7".repeat(64);
            let plan = given(&cloud, &file, &newer).await.expect("a plan");
            finish(&cloud, &plan).await;
            assert_eq!(served(&cloud, &file).await, [newer.as_str()]);
            assert!(given(&cloud, &file, &newer).await.expect("a plan").is_empty(), "twice is once");
            // The way back: the file's own database again, which the buckets still hold.
            let back = given(&cloud, &file, &before[0]).await.expect("a plan");
            assert!(!back.steps().any(|(_, step)| step.title().starts_with("upload")), "{back:?}");
            finish(&cloud, &back).await;
            assert_eq!(served(&cloud, &file).await, before);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_changed_file_is_for_a_deploy() {
        let file = File::of(&FOUR);
        let cloud = deployed(&file).await;
        let changed = file.with(|file| file.memory_mb = 512);
        let refused = given(&cloud, &changed, &"7".repeat(64)).await.expect_err("more would change");
        assert!(refused.to_string().contains("edge LookupFunction"), "{refused:#}");
        let nowhere = Memory::new(&file.config());
        let refused = given(&nowhere, &file, &"7".repeat(64)).await.expect_err("nothing is deployed");
        assert!(refused.to_string().contains("has no edge yet"), "{refused:#}");
    }
}
