//! `ipgeo deploy`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::Args;
use futures_util::future::join_all;
use ipgeo_contract::RegionName;

use crate::args::{RoleArgs, Shared};
use crate::aws::Aws;
use crate::cmd::support::{
    Deployment, ExecuteArgs, PlanFlags, busy, carry_out_locked, command_line, config_digest,
    confirm_and_lock, confirm_plan, exit_of, load_config, refused, release, shown,
};
use crate::infra::cloud::ProbeTargets as _;
use crate::infra::deploy::{DeployOutcome, Run};
use crate::infra::lock::Lock;
use crate::infra::plan::{self, Action, BYTES_MAX, Observed, Plan, PlanFile, PlanFileError, Step};
use crate::infra::stacks::{FunctionKind, StackKind};
use crate::ui::output::{self, Exit};

/// Pause between two reads of stacks that somebody else is changing.
const BUSY_PAUSE: Duration = Duration::from_secs(5);

/// Calls a month of the bill that the prompt shows; `ipgeo plan --calls` shows others.
const CALLS_SHOWN: f64 = 25e6;

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  ipgeo deploy                               asks for confirmation first
  ipgeo deploy --yes --regions eu-central-1,us-*
  ipgeo deploy plan.json                     runs exactly what was shown
  ipgeo deploy --yes --json --rollback       for CI: events as JSON lines")]
pub(crate) struct DeployArgs {
    /// Run this plan of `ipgeo plan --out`, if nothing has changed since
    #[arg(
        value_name = "PLAN",
        conflicts_with_all = ["regions", "exclude_regions", "allow_replace", "recreate_failed", "repair_drift"]
    )]
    plan: Option<PathBuf>,
    #[command(flatten)]
    flags: PlanFlags,
    #[command(flatten)]
    execute: ExecuteArgs,
    #[command(flatten)]
    role: RoleArgs,
    /// Roll back every region this run changed if it fails
    #[arg(long)]
    rollback: bool,
    /// Also revert changes made outside CloudFormation
    #[arg(long, hide_short_help = true)]
    repair_drift: bool,
    #[command(flatten)]
    gates: GateArgs,
    /// List every resource of new stacks
    #[arg(short, long)]
    verbose: bool,
}

/// What a failed gate does.
#[derive(Debug, Args)]
struct GateArgs {
    /// Halt if a marked call does not reach the ledger (otherwise a warning)
    #[arg(long, hide_short_help = true)]
    require_pipe: bool,
    /// Keep new versions that failed their gate
    #[arg(long, conflicts_with = "rollback")]
    no_rollback: bool,
}

pub(crate) async fn run(args: DeployArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let file = args.plan.as_deref().map(|path| read_plan(path, shared)).transpose()?;
    let flags = match &file {
        Some(file) => args.flags.with_planned(&file.from.flags),
        None => args.flags.clone(),
    };
    let mut deployment = Deployment::prepare(&flags, shared).await?;
    deployment.use_role(&args.role).await?;
    if let Some(follow) = &mut deployment.options.follow {
        follow.required = args.gates.require_pipe;
    }
    let observed = settled(&deployment).await?;
    let mut plan = deployment.plan(&observed);
    if let (true, Ok(drifting)) = (args.repair_drift, &plan) {
        plan = deployment.with_repairs(&observed, drifting.clone()).await?;
    }
    let mut plan = match plan {
        Ok(plan) => plan,
        Err(error) => return Ok(refused(error.into_problems()?, shared)),
    };
    if let (Some(file), Some(path)) = (&file, &args.plan) {
        file.check_inputs(&observed.account, deployment.artifacts())
            .and_then(|()| file.check_plan(&plan))
            .map_err(|error| not_run(path, &error))?;
    }
    if !plan.is_empty() {
        plan.notes.push(deployment.cost(&observed, &plan, CALLS_SHOWN)?.summary());
    }
    if !shown(&plan, args.verbose, shared)? {
        return Ok(Exit::Done);
    }
    let confirm = || confirm_plan("make these changes?", &args.execute);
    let mut lock = confirm_and_lock(&deployment.aws, &args.execute, shared, confirm).await?;
    // A rollback belongs to the run, so nobody else may begin before it.
    let exit = carried_out(&args, &deployment, &plan, &mut lock, shared).await;
    release(lock, shared).await;
    exit
}

/// Reads a plan's file and checks that it belongs to this configuration.
fn read_plan(path: &Path, shared: &Shared) -> anyhow::Result<PlanFile> {
    let action = || format!("read {}", path.display());
    let bytes = std::fs::metadata(path).with_context(action)?.len();
    let text = if bytes > BYTES_MAX { String::new() } else { read_text(path).with_context(action)? };
    let (config, config_path) = load_config(shared)?;
    let digest = config_digest(&config_path)?;
    PlanFile::parse(&text)
        .and_then(|file| file.check_config(&config.service.full_name(), &digest).map(|()| file))
        .map_err(|error| not_run(path, &error))
}

/// Reads a file as text. Invalid UTF-8 is replaced, so a binary file is reported as "not a plan".
fn read_text(path: &Path) -> std::io::Result<String> {
    std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn not_run(path: &Path, error: &PlanFileError) -> anyhow::Error {
    let path = path.display();
    anyhow!(
        "{path} is not run: {error}; nothing was changed\nhelp: create a new plan: ipgeo plan --out {path}"
    )
}

/// Executes the plan. If it fails, returns to the versions that served before, and with `--rollback` rolls back all stacks.
/// An interrupted rollback decides the exit status: somebody has to continue it.
async fn carried_out(
    args: &DeployArgs,
    deployment: &Deployment,
    plan: &Plan,
    lock: &mut Lock<'_, Aws>,
    shared: &Shared,
) -> anyhow::Result<Exit> {
    deployment.remember_database(&shared.state)?;
    let run = carry_out_locked(plan, &deployment.aws, lock, &args.execute, shared).await?;
    output::print_note(&run.report(plan, &command_line()));
    if run.outcome() == DeployOutcome::Done {
        let is_new = adds_edges(plan);
        let urls = deployed_urls(deployment).await;
        let config = &deployment.config;
        let tier = config.tiers.paid.first().filter(|_| is_new).map(|tier| tier.name.as_str());
        output::print_note(&ending(config.service.domain.as_deref(), &urls, tier));
    }
    if matches!(run.outcome(), DeployOutcome::Failed | DeployOutcome::Halted) {
        let mut returns = Vec::new();
        if !args.gates.no_rollback {
            returns.push(Return::Versions(plan::switch_back(plan, &run.done, &run.failed)));
        }
        if args.rollback {
            returns.push(Return::Stacks(plan::rollback(plan, &run.changed, &run.failed)));
        }
        for back in returns {
            if back.carry_out(deployment, lock, &args.execute, shared).await? == DeployOutcome::Interrupted {
                return Ok(Exit::Interrupted);
            }
        }
    }
    Ok(exit_of(&run, deployment.options.scope.regions.len()))
}

/// Whether a plan creates edges: the first deploy, or a new region.
fn adds_edges(plan: &Plan) -> bool {
    plan.steps().any(|(_, step)| match &step.action {
        Action::Stack(stack) => stack.kind == StackKind::Edge && stack.before.is_none(),
        _ => false,
    })
}

/// URLs to show; `ipgeo status` shows all regions.
const URLS_MAX: usize = 10;

/// Where the regions of a deploy are reached. One that can't be found is left out: the deploy itself has succeeded.
async fn deployed_urls(deployment: &Deployment) -> Vec<(RegionName, String)> {
    let find = |region: &RegionName| {
        let region = region.clone();
        async move {
            let target = deployment.aws.target(&region, None).await.ok()?;
            let scheme = if target.tls { "https" } else { "http" };
            Some((region, format!("{scheme}://{}", target.host)))
        }
    };
    let regions = &deployment.options.scope.regions;
    join_all(regions.iter().map(find)).await.into_iter().flatten().collect()
}

/// The end of a successful deploy: URLs, what to try, what to do next. `tier`: of a first API key, if edges are new.
fn ending(domain: Option<&str>, urls: &[(RegionName, String)], tier: Option<&str>) -> String {
    let mut lines = Vec::new();
    let first = match domain {
        Some(domain) => Some(format!("https://{domain}")),
        None => urls.first().map(|(_, url)| url.clone()),
    };
    match domain {
        Some(_) => lines.extend(first.iter().map(|url| format!("url   {url}"))),
        None => {
            let label = |at: usize| if at == 0 { "urls" } else { "" };
            let shown = urls.iter().take(URLS_MAX).enumerate();
            lines.extend(shown.map(|(at, (region, url))| format!("{:<4}  {region:<16}  {url}", label(at))));
            if urls.len() > URLS_MAX {
                lines.push(format!("      and {} more: ipgeo status", urls.len() - URLS_MAX));
            }
        }
    }
    lines.extend(first.map(|url| format!("try   curl {url}/8.8.8.8")));
    lines.push("next  ipgeo status && ipgeo doctor --online".to_owned());
    lines.extend(tier.map(|tier| format!("      ipgeo keys create --owner NAME --tier {tier}")));
    lines.join("\n")
}

/// What is deployed, once nobody else is changing it.
async fn settled(deployment: &Deployment) -> anyhow::Result<Observed> {
    let mut printed = String::new();
    loop {
        let observed = deployment.observe().await?;
        let busy = busy(&observed, &deployment.options.scope.regions);
        if busy.is_empty() {
            return Ok(observed);
        }
        let waiting = format!("waiting, nothing is changed yet: {}", busy.join(", "));
        if printed != waiting {
            output::print_note(&waiting);
            printed = waiting;
        }
        tokio::time::sleep(BUSY_PAUSE).await;
    }
}

/// A return to what served before a failed run.
enum Return {
    /// Functions that failed their gate serve the version before again. Takes seconds.
    Versions(Plan),
    /// The changes of this run are rolled back.
    Stacks(Plan),
}

impl Return {
    async fn carry_out(
        &self,
        deployment: &Deployment,
        lock: &mut Lock<'_, Aws>,
        args: &ExecuteArgs,
        shared: &Shared,
    ) -> anyhow::Result<DeployOutcome> {
        let (back, note) = match self {
            Self::Versions(back) if back.is_empty() => return Ok(DeployOutcome::Done),
            Self::Versions(back) => {
                (back, "returning to the versions that served before (--no-rollback would keep the new ones)")
            }
            Self::Stacks(back) if back.is_empty() => {
                output::print_note("nothing to roll back");
                return Ok(DeployOutcome::Done);
            }
            Self::Stacks(back) => (back, "rolling back the changes of this run"),
        };
        output::print_note(note);
        let returned = carry_out_locked(back, &deployment.aws, lock, args, shared).await?;
        output::print_note(&match self {
            Self::Versions(back) => returned_to(back, &returned),
            Self::Stacks(back) => returned.report(back, &command_line()),
        });
        Ok(returned.outcome())
    }
}

/// Reports a return to the previous versions, and what to do next.
fn returned_to(back: &Plan, returned: &Run) -> String {
    if returned.outcome() != DeployOutcome::Done {
        return returned.report(back, &return_command(back));
    }
    let steps = returned.changed.iter().filter_map(|(wave, step)| back.waves.get(*wave)?.steps.get(*step));
    let serving: Vec<String> = steps
        .filter_map(|step| match &step.action {
            Action::Switch(switch) if switch.kind == FunctionKind::Counter => {
                Some(format!("the counter in {} has version {} again", step.region, switch.to))
            }
            Action::Switch(switch) => Some(format!("{} serves version {} again", step.region, switch.to)),
            _ => None,
        })
        .collect();
    if serving.is_empty() {
        return "nothing to return: every function serves the version that it served before".to_owned();
    }
    format!(
        "rolled back: {}\nfix the cause, then deploy again: stacks and regions.toml stay as they are, so the next \
         `ipgeo deploy` tries the new version once more, canary first",
        serving.join(", ")
    )
}

/// The command that continues a rollback to the previous versions. It names edges only: home may be in the plan because of
/// the counter, and its edge has nothing to roll back. A newer counter understands the lines of older edges.
fn return_command(back: &Plan) -> String {
    let edge =
        |step: &Step| matches!(&step.action, Action::Switch(switch) if switch.kind == FunctionKind::Edge);
    let steps = back.steps().filter(|(_, step)| edge(step));
    let regions: BTreeSet<&str> = steps.map(|(_, step)| step.region.as_str()).collect();
    if regions.is_empty() {
        return command_line();
    }
    format!("ipgeo rollback --regions {}", regions.into_iter().collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deploy_ends_with_urls_what_to_try_and_what_to_do_next() {
        let urls = |count: usize| -> Vec<(RegionName, String)> {
            let name =
                |number| (RegionName::new(format!("eu-west-{number}")), format!("https://a{number}.test"));
            (1..=count).map(name).collect()
        };
        let table = [
            ending(Some("api.example.com"), &urls(2), Some("startup")),
            ending(None, &urls(2), None),
            ending(None, &urls(12), Some("startup")),
            ending(None, &[], None),
        ];
        insta::assert_snapshot!(table.join("\n\n"));
    }
}
