//! `ipgeo geo rollout` and `rollback`: deploy a database, and nothing else.

use std::path::Path;

use anyhow::{Context, bail};
use clap::Args;

use crate::args::{ProfileArgs, RoleArgs, Shared};
use crate::aws::Aws;
use crate::cmd::support::numbers::percent;
use crate::cmd::support::{
    ExecuteArgs, RegionArgs, carry_out, checked_database, command_line, confirm_and_lock, confirm_plan,
    exit_of, load_config, probe_of, purge_databases, quick_probe, refused, release, remember_database,
    served_database, shown, today,
};
use crate::config::Config;
use crate::geo::licence::may_serve;
use crate::geo::sources::{self, Lock, PathLock, Rollout, Rollouts};
use crate::infra::artifacts::{database_zip, prepare_database, unzip_database};
use crate::infra::cloud::CloudRead as _;
use crate::infra::deploy::{DatabaseRollout, DeployOutcome, RolloutError, plan_rollout, served_digests};
use crate::infra::plan::ArtifactFile;
use crate::infra::stacks::ArtifactRef;
use crate::ui::output::{self, Exit};

/// Flags that a rollout and a rollback share.
#[derive(Debug, Args)]
pub(super) struct Flags {
    #[command(flatten)]
    regions: RegionArgs,
    #[command(flatten)]
    execute: ExecuteArgs,
    #[command(flatten)]
    role: RoleArgs,
    #[command(flatten)]
    profile: ProfileArgs,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
Deploys in waves like `ipgeo deploy`: one region first, then the others once it answers.
Refuses if regions.toml has changed, too: use `ipgeo deploy` for that.

Examples:
  ipgeo geo rollout
  ipgeo geo rollout --yes --max-change 5   for cron: refuse above 5 %")]
pub(crate) struct RolloutArgs {
    #[command(flatten)]
    flags: Flags,
    /// Refuse if more than this share changed country since the previous database
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    max_change: Option<f64>,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  ipgeo geo rollback
  ipgeo geo rollback --yes --json")]
pub(crate) struct RollbackArgs {
    #[command(flatten)]
    flags: Flags,
}

/// Number of addresses that --max-change compares.
const GATE_SAMPLES: u32 = 100_000;

pub(crate) async fn rollout(args: RolloutArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let (config, file) = load_config(shared)?;
    let database = served_database(&shared.state);
    let locked = checked_database(&database, &Lock::read(&Lock::path(&file))?.unwrap_or_default())?;
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
        today: today().to_string(),
    };
    let begin = || remember_database(&shared.state, &artifact, &made.description, locked, false);
    let done = deploy_database(&config, wanted, &args.flags, shared, begin).await?;
    purge_databases(&config, shared)?;
    Ok(done)
}

/// Restores the previous database in the regions and on this machine.
pub(crate) async fn rollback(args: RollbackArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let (config, file) = load_config(shared)?;
    let aws = Aws::connect(&config, args.flags.profile.name()).await?;
    let account = aws.account().await?;
    let served = served_digests(&aws, &config, &account).await;
    let known = Rollouts::read(&shared.state);
    let digests: Vec<&str> = served.iter().map(String::as_str).collect();
    let Some(before) = known.before(&digests).cloned() else {
        bail!("roll back: the state folder has no record of a database before the one that the regions serve")
    };
    may_serve(before.database.licensed_data(), today())?;
    output::print_note(&format!("rolling back to {}", before.description));
    let artifact = ArtifactRef::new("geo", &before.digest);
    let zip = database_zip(&shared.state, &before.digest);
    let files = zip.iter().map(|file| ArtifactFile {
        artifact: artifact.clone(),
        file: file.clone(),
        bytes: std::fs::metadata(file).map_or(0, |metadata| metadata.len()),
    });
    let wanted = DatabaseRollout {
        artifact: artifact.clone(),
        description: before.description.clone(),
        files: files.collect(),
        probe: quick_probe(&config),
        today: today().to_string(),
    };
    let begin = || {
        let _exclusive = PathLock::of_state(&shared.state)?;
        restore(zip.as_deref(), &before, &served_database(&shared.state), &Lock::path(&file))?;
        remember_database(&shared.state, &artifact, &before.description, before.database.clone(), true)
    };
    deploy_database(&config, wanted, &args.flags, shared, begin).await
}

/// Makes a previous database the served and locked one; the one that was served is kept beside it.
fn restore(zip: Option<&Path>, before: &Rollout, served: &Path, lock_path: &Path) -> anyhow::Result<()> {
    let Some(zip) = zip else {
        output::print_note(
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
    let before = sources::previous_path(database);
    if !before.is_file() {
        output::print_note(
            "no database was compiled before this one, so --max-change has nothing to compare with",
        );
        return Ok(());
    }
    let found = ipgeo_geo::compile::diff(&before, database, GATE_SAMPLES, 1)?;
    let share = found.country_percent_max();
    if share > most {
        bail!(
            "{share:.2} % changed country since the previous database, more than {most} %\nhelp: `ipgeo geo diff` shows the changes"
        );
    }
    output::print_note(&format!("{share:.2} % changed country since the previous database"));
    Ok(())
}

/// Plans, asks for confirmation, calls `begin` and executes the plan.
async fn deploy_database(
    config: &Config,
    wanted: DatabaseRollout,
    flags: &Flags,
    shared: &Shared,
    begin: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<Exit> {
    let scope = flags.regions.scope(config)?;
    let regions = scope.regions.len();
    let mut aws = Aws::connect(config, flags.profile.name()).await?;
    aws.use_role(flags.role.arn()).await?;
    let plan = match plan_rollout(&aws, config, wanted, scope).await {
        Ok(plan) => plan,
        Err(RolloutError::Plan(error)) => return Ok(refused(error.into_problems()?, shared)),
        Err(error) => return Err(error.into()),
    };
    if !shown(&plan, false, shared)? {
        return Ok(Exit::Done);
    }
    let confirm = || confirm_plan("make these changes?", &flags.execute);
    let lock = confirm_and_lock(&aws, &flags.execute, shared, confirm).await?;
    if let Err(error) = begin() {
        release(lock, shared).await;
        return Err(error);
    }
    let run = carry_out(&plan, &aws, lock, &flags.execute, shared).await?;
    output::print_note(&run.report(&plan, &command_line()));
    if run.outcome() == DeployOutcome::Halted {
        output::print_note("help: `ipgeo geo rollback` restores the previous database");
    }
    Ok(exit_of(&run, regions))
}
