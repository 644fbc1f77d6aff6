//! `ipgeo doctor`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use ipgeo_contract::RegionName;
use ipgeo_geo::Database;
use jiff::Timestamp;

use super::checkup::{InWorld, NoAccount, OnAws};
use crate::args::Shared;
use crate::aws::{Aws, Home, NoCredentials};
use crate::cmd::support::{
    Marked, RegionArgs, Target, counting_lag, load_config, served_database, today, world_target,
};
use crate::config::Config;
use crate::geo::sources::{Lock, sha256_of};
use crate::infra::cloud::{ProbeTarget, ProbeTargets as _, Problem};
use crate::observe::doctor::{
    Check, DatabaseFacts, Fact, Mark, TracePace, TracedCall, UsagePath, examine, fold, judge, judge_path,
    text, trace,
};
use crate::observe::logs::LocalLogs;
use crate::observe::probe::ProbeClient;
use crate::ui::format::counted;
use crate::ui::output::{self, Exit, Format};
use crate::ui::progress::Task;
use crate::world::WorldFile;

/// Timeout of a request.
const REQUEST_WITHIN: Duration = Duration::from_secs(10);
/// The label of the checks' progress.
const CHECKING: &str = "checking";

#[derive(Debug, Args)]
#[command(after_long_help = "\
Changes nothing. Checks that could not run are shown as `not checked`, with the reason.
Exit status: 0 if no check fails, 1 otherwise.

Examples:
  ipgeo doctor
  ipgeo doctor --online    also traces a call from each region to home
  ipgeo doctor --json | jq '.[] | select(.mark == \"fail\")'")]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    regions: RegionArgs,
    /// Trace one call from each region to the ledger, charged to the probes' API key
    #[arg(long)]
    online: bool,
    /// With --online: seconds to wait until a call is counted [default: the stated lag, or 30 with --dev]
    #[arg(long, value_name = "S", requires = "online", value_parser = clap::value_parser!(u64).range(1..=3_600))]
    patience_s: Option<u64>,
    #[command(flatten)]
    target: Target,
}

pub(crate) async fn run(args: DoctorArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let (config, file) = load_config(shared)?;
    let regions = args.regions.names(&config)?;
    let client = ProbeClient::with_native_roots(REQUEST_WITHIN)?;
    let database = copy(&served_database(&shared.state), &Lock::path(&file));
    let mut checks;
    if args.target.dev {
        let world = WorldFile::find(&shared.state)?;
        let service = InWorld { world: &world, client: &client };
        let task = Task::time(CHECKING);
        let facts = examine(&service, &regions, database).await;
        task.done();
        checks = judge(&config, &facts, today(), true);
        if args.online {
            checks.extend(online_in_world(&args, &config, &world, &regions, &client, shared).await);
        }
    } else {
        let aws = match Aws::connect(&config, args.target.profile.name()).await {
            Ok(aws) => aws,
            // Missing credentials are a finding like any other.
            Err(error) => {
                let facts = examine(&NoAccount(no_credentials(&error)), &[], database).await;
                let checks = judge(&config, &facts, today(), false);
                return finish(checks, regions.len(), shared);
            }
        };
        let service = OnAws { aws: &aws, config: &config, client: &client };
        let task = Task::time(CHECKING);
        let facts = Box::pin(examine(&service, &regions, database)).await;
        task.done();
        let signed_in = !matches!(facts.account, Fact::Unreadable(_));
        checks = judge(&config, &facts, today(), false);
        if args.online && signed_in {
            checks.extend(online_on_aws(&args, &config, &aws, &regions, &client).await);
        }
    }
    if !args.online {
        checks.push(Check {
            check: "usage path",
            region: None,
            mark: Mark::NotChecked,
            found: "pass --online to trace a call from each region to the ledger".to_owned(),
            remedy: None,
        });
    }
    finish(checks, regions.len(), shared)
}

fn no_credentials(error: &anyhow::Error) -> Problem {
    if let Some(missing) = error.downcast_ref::<NoCredentials>() {
        let remedy = format!("{}; `--dev` checks `ipgeo dev` on this machine", missing.help);
        return Problem::new(missing.what.clone(), remedy);
    }
    if let Some(problem) = error.downcast_ref::<Problem>() {
        return problem.clone();
    }
    let what = error.to_string().lines().next().unwrap_or_default().to_owned();
    Problem::new(what, "check the profile and ~/.aws/config")
}

/// The facts of the compiled database; `None`: not built.
fn copy(file: &Path, lock_path: &Path) -> Option<Result<DatabaseFacts, String>> {
    if !file.is_file() {
        return None;
    }
    let read = || -> anyhow::Result<DatabaseFacts> {
        let info = Database::open(file)?.info().clone();
        let (sha256, _) = sha256_of(file)?;
        let lock = Lock::read(lock_path).and_then(|lock| match lock {
            Some(lock) => lock.verify_database(file, &sha256),
            None => Ok(()),
        });
        Ok(DatabaseFacts {
            name: info.name,
            date: info.date,
            licence: info.licence,
            attribution: info.attribution,
            lock: lock.map_err(|error| error.to_string()),
        })
    };
    Some(read().map_err(|error| error.to_string()))
}

fn pace(args: &DoctorArgs, config: &Config, dev: bool) -> TracePace {
    let (pause_ms, lag) = if dev { (100, Duration::from_secs(30)) } else { (3_000, counting_lag(config)) };
    let patience = args.patience_s.map_or(lag, Duration::from_secs);
    TracePace { pause: Duration::from_millis(pause_ms), patience, lag }
}

async fn online_in_world(
    args: &DoctorArgs,
    config: &Config,
    world: &WorldFile,
    regions: &[RegionName],
    client: &ProbeClient,
    shared: &Shared,
) -> Vec<Check> {
    let targets = regions.iter().map(|region| (region.clone(), world_target(world, region))).collect();
    let logs = LocalLogs::new(&shared.state);
    let home = match Home::of_world(world) {
        Ok(home) => home,
        Err(error) => {
            return vec![unready(&Problem::new(error.to_string(), "restart `ipgeo dev`"))];
        }
    };
    match Marked::new(home, &config.service.key_prefix, &logs, targets, client, Some(world)).await {
        Ok(path) => follow(&path, regions, pace(args, config, true)).await,
        Err(error) => vec![unready(&error)],
    }
}

async fn online_on_aws(
    args: &DoctorArgs,
    config: &Config,
    aws: &Aws,
    regions: &[RegionName],
    client: &ProbeClient,
) -> Vec<Check> {
    let domain = config.service.domain.as_deref();
    let mut targets: BTreeMap<RegionName, Result<ProbeTarget, String>> = BTreeMap::new();
    for region in regions {
        targets.insert(region.clone(), aws.target(region, domain).await.map_err(|error| error.to_string()));
    }
    let home = match Home::of_account(config, args.target.profile.name()).await {
        Ok(home) => home,
        Err(error) => return vec![unready(&no_credentials(&error))],
    };
    match Marked::new(home, &config.service.key_prefix, aws, targets, client, None).await {
        Ok(path) => follow(&path, regions, pace(args, config, false)).await,
        Err(error) => vec![unready(&error)],
    }
}

fn unready(error: &Problem) -> Check {
    Check {
        check: "usage path",
        region: None,
        mark: Mark::Fail,
        found: error.what.clone(),
        remedy: Some(error.remedy.clone()),
    }
}

async fn follow<P: UsagePath>(path: &P, regions: &[RegionName], pace: TracePace) -> Vec<Check> {
    let task = Task::items("tracing calls", "call", Some(regions.len()));
    let looked = |traced: &[TracedCall]| {
        task.set(traced.iter().filter(|one| one.counted_after_s.is_some()).count() as u64);
    };
    let traced = trace(path, regions, pace, Timestamp::now(), &looked).await;
    // A failure is a finding, which is printed with the others.
    task.done();
    match traced {
        Ok(traced) => judge_path(&traced, pace),
        Err(error) => vec![unready(&error)],
    }
}

/// Prints the findings; the exit status says whether a check failed.
fn finish(mut checks: Vec<Check>, regions: usize, shared: &Shared) -> anyhow::Result<Exit> {
    for remedy in checks.iter_mut().filter_map(|check| check.remedy.as_mut()) {
        *remedy = output::with_dev(remedy).into_owned();
    }
    let checks = checks.as_slice();
    if shared.format() == Format::Table {
        output::print_data(&text(checks, regions))?;
    } else {
        output::print_rows(shared.format(), &[], checks)?;
    }
    // As printed: the same finding in several regions is one.
    let printed = fold(checks);
    let count = |mark| printed.iter().filter(|one| one.check.mark == mark).count();
    let failed = count(Mark::Fail);
    output::print_note(&format!(
        "{} ok, {}, {failed} failed, {} not checked",
        count(Mark::Ok),
        counted(count(Mark::Warn), "warning"),
        count(Mark::NotChecked)
    ));
    Ok(if failed == 0 { Exit::Done } else { Exit::Failed })
}
