//! `ipgeo geo rollout` and `rollback`: the regions get a database, and nothing else.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use ipgeo_geo::Database;
use jiff::Timestamp;

use super::cloud_args::{ExecuteArgs, RegionArgs, again, agreed};
use super::deployment::probe_of;
use super::execution::{carry_out, exit_of, refused, shown};
use super::{geo, load_config};
use crate::aws::Aws;
use crate::cli::Shared;
use crate::config::Config;
use crate::geo::licence::may_serve;
use crate::geo::sources::{self, Lock, LockedDatabase, Rollout, Rollouts};
use crate::infra::artifacts::{database_zip, prepare_database, unzip_database};
use crate::infra::cloud::CloudRead as _;
use crate::infra::deploy::{DatabaseRollout, DeployOutcome, RolloutError, plan_rollout, served_digests};
use crate::infra::plan::{ArtifactFile, ProbeSpec};
use crate::infra::stacks::ArtifactRef;
use crate::ui::output::{self, Exit};

/// Flags that a rollout and a rollback share.
#[derive(Debug, Args)]
pub struct Flags {
    #[command(flatten)]
    regions: RegionArgs,
    #[command(flatten)]
    execute: ExecuteArgs,
    /// The AWS profile to use
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
}

/// Flags of `ipgeo geo rollout`.
#[derive(Debug, Args)]
#[command(after_help = "\
Goes in the waves of a deploy: one region first, asked whether it answers, then the others.
It refuses when regions.toml has changed too: that is for `ipgeo deploy`.

Examples:
  ipgeo geo rollout
  ipgeo geo rollout --yes --max-change 5     for cron: not when over 5 % changed country")]
pub struct RolloutArgs {
    #[command(flatten)]
    flags: Flags,
    /// Refuse when more than this share has another country than in the database before
    #[arg(long, value_name = "PERCENT", value_parser = super::numbers::percent)]
    max_change: Option<f64>,
}

/// Flags of `ipgeo geo rollback`.
#[derive(Debug, Args)]
pub struct RollbackArgs {
    #[command(flatten)]
    flags: Flags,
}

/// Addresses that a gate draws.
const GATE_SAMPLES: u32 = 100_000;

/// Gives the regions the compiled database.
pub(crate) async fn rollout(args: RolloutArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let (config, file) = load_config(shared)?;
    let database = geo::served(&shared.state);
    let locked = checked(&database, &Lock::read(&Lock::path(&file))?.unwrap_or_default())?;
    if let Some(most) = args.max_change {
        gate(&database, most)?;
    }
    let made = tokio::task::block_in_place(|| {
        prepare_database(&config, &shared.state, &database, &|line| output::print_note(line))
    })?;
    let artifact = made.file.artifact.clone();
    let wanted = DatabaseRollout {
        artifact: artifact.clone(),
        description: made.description.clone(),
        files: vec![made.file],
        probe: probe_of(&config, &database)?,
    };
    let begin = || remember(&shared.state, &artifact, &made.description, locked);
    let done = give(&config, wanted, &args.flags, shared, begin).await?;
    geo::purge(&config, shared)?;
    Ok(done)
}

/// Gives the regions what they had before, and makes it the served database here.
pub(crate) async fn rollback(args: RollbackArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let (config, file) = load_config(shared)?;
    let aws = Aws::of(&config, args.flags.profile.as_deref()).await?;
    let account = aws.account().await?;
    let served = served_digests(&aws, &config, &account).await;
    let known = Rollouts::read(&shared.state);
    let digests: Vec<&str> = served.iter().map(String::as_str).collect();
    let Some(before) = known.before(&digests).cloned() else {
        bail!("no database is remembered that was given to the regions before the one that they have")
    };
    may_serve(before.database.copy(), geo::today())?;
    output::print_note(&format!("back to {}", before.description));
    let artifact = ArtifactRef::new("geo", &before.digest);
    let zip = database_zip(&shared.state, &before.digest);
    let files = zip.iter().map(|file| ArtifactFile {
        artifact: artifact.clone(),
        file: file.clone(),
        bytes: std::fs::metadata(file).map_or(0, |metadata| metadata.len()),
    });
    let address = geo::served(&shared.state);
    let probe = ProbeSpec { country_code: None, ..probe_of(&config, &address).unwrap_or_default() };
    let probe =
        if probe.address.is_empty() { ProbeSpec { address: "8.8.8.8".into(), ..probe } } else { probe };
    let wanted = DatabaseRollout {
        artifact: artifact.clone(),
        description: before.description.clone(),
        files: files.collect(),
        probe: ProbeSpec { domain: config.service.domain.clone(), ..probe },
    };
    let begin = || {
        restore(zip.as_deref(), &before, &geo::served(&shared.state), &Lock::path(&file))?;
        remember(&shared.state, &artifact, &before.description, before.database.clone())
    };
    give(&config, wanted, &args.flags, shared, begin).await
}

/// Makes a database of before the served one, and the locked one; the one that was served is kept beside.
fn restore(zip: Option<&Path>, before: &Rollout, served: &Path, lock_path: &Path) -> anyhow::Result<()> {
    let Some(zip) = zip else {
        output::print_note(
            "the database of before is not on this machine: the next `ipgeo deploy` would give the newer one again",
        );
        return Ok(());
    };
    if served.is_file() {
        sources::keep_previous(served).with_context(|| format!("keep {}", served.display()))?;
    }
    unzip_database(zip, served).with_context(|| format!("take the database out of {}", zip.display()))?;
    let mut lock = Lock::read(lock_path)?.unwrap_or_default();
    lock.database = Some(before.database.clone());
    Ok(lock.write(lock_path)?)
}

/// A compiled database that may be given to the regions: its licence is kept, and the lock names it.
fn checked(database: &Path, lock: &Lock) -> anyhow::Result<LockedDatabase> {
    if !database.is_file() {
        bail!("no geo database is built; do so first: ipgeo geo fetch && ipgeo geo build");
    }
    let info = Database::open(database)?.info().clone();
    may_serve(geo::copy_of(&info), geo::today())?;
    let digest = sources::sha256_of(database).with_context(|| format!("read {}", database.display()))?;
    lock.verify_database(database, &digest.0)?;
    Ok(lock.database.clone().unwrap_or_else(|| LockedDatabase::of(&info, digest, Vec::new())))
}

/// Refuses a database that differs too much from the one before; without one there is nothing to hold it against.
fn gate(database: &Path, most: f64) -> anyhow::Result<()> {
    let before = sources::previous_of(database);
    if !before.is_file() {
        output::print_note(
            "no database was compiled before this one: --max-change has nothing to compare with",
        );
        return Ok(());
    }
    let found = ipgeo_geo::compile::diff(&before, database, GATE_SAMPLES, 1)?;
    let share = found.country_percent_max();
    if share > most {
        bail!(
            "{share:.2} % have another country than in the database before, more than {most} %; `ipgeo geo diff` shows more"
        );
    }
    output::print_note(&format!("{share:.2} % have another country than in the database before"));
    Ok(())
}

/// Plans, asks for confirmation, calls `begin` and executes the plan.
async fn give(
    config: &Config,
    wanted: DatabaseRollout,
    flags: &Flags,
    shared: &Shared,
    begin: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<Exit> {
    let scope = flags.regions.scope(config)?;
    let regions = scope.regions.len();
    let aws = Aws::of(config, flags.profile.as_deref()).await?;
    let plan = match plan_rollout(&aws, config, wanted, scope).await {
        Ok(plan) => plan,
        Err(RolloutError::Plan(error)) => return Ok(refused(error.into_problems()?, shared)),
        Err(error) => return Err(error.into()),
    };
    if !shown(&plan, false, shared)? {
        return Ok(Exit::Done);
    }
    if !agreed("make these changes?", &flags.execute)? {
        output::print_note("nothing was changed");
        return Ok(Exit::Failed);
    }
    begin()?;
    let run = carry_out(&plan, &aws, &flags.execute, shared).await?;
    output::print_note(&run.report(&plan, &again()));
    if run.outcome() == DeployOutcome::Halted {
        output::print_note("`ipgeo geo rollback` gives the regions back what they had");
    }
    Ok(exit_of(&run, regions))
}

/// The database that a deploy gives the regions: the named one, else the built one, which must be the locked one.
pub(super) fn for_deploy(
    state: &Path,
    named: Option<&Path>,
    lock_path: &Path,
) -> anyhow::Result<(PathBuf, LockedDatabase)> {
    match named {
        // A database that is named is the operator's choice: only its licence is held.
        Some(named) => Ok((named.to_owned(), checked(named, &Lock::default())?)),
        None => {
            let built = geo::served(state);
            let locked = checked(&built, &Lock::read(lock_path)?.unwrap_or_default())?;
            Ok((built, locked))
        }
    }
}

/// Remembers a database that regions are given, for a way back.
pub(super) fn remember(
    state: &Path,
    artifact: &ArtifactRef,
    description: &str,
    database: LockedDatabase,
) -> anyhow::Result<()> {
    let (digest, description) = (artifact.digest.clone(), description.to_owned());
    let rollout = Rollout { at: Timestamp::now(), digest, description, database };
    Rollouts::read(state).add(rollout, state).context("remember what the regions are given")
}
