//! `ipgeo deploy`.

use std::time::Duration;

use clap::Args;

use crate::args::{RoleArgs, Shared};
use crate::cmd::support::{
    Deployment, ExecuteArgs, PlanFlags, busy, carry_out, command_line, confirm_plan, exit_of, refused, shown,
};
use crate::infra::deploy::{DeployOutcome, Run};
use crate::infra::plan::{self, Observed, Plan};
use crate::ui::output::{self, Exit};

/// Pause between two reads of stacks that somebody else is changing.
const BUSY_PAUSE: Duration = Duration::from_secs(5);

/// Calls a month of the bill that the prompt shows; `ipgeo plan --calls` shows others.
const CALLS_SHOWN: f64 = 25e6;

/// Flags of `ipgeo deploy`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  ipgeo deploy                               asks for confirmation first
  ipgeo deploy --yes --regions eu-central-1,us-*
  ipgeo deploy --yes --json --rollback       for CI: events as JSON lines")]
pub(crate) struct DeployArgs {
    #[command(flatten)]
    flags: PlanFlags,
    #[command(flatten)]
    execute: ExecuteArgs,
    #[command(flatten)]
    role: RoleArgs,
    /// Roll back every region this run changed if it fails
    #[arg(long)]
    rollback: bool,
    /// Halt if a marked call does not reach the ledger (otherwise a warning)
    #[arg(long)]
    require_pipe: bool,
    /// List every resource of new stacks
    #[arg(short, long)]
    verbose: bool,
}

/// Deploys the configuration.
pub(crate) async fn run(args: DeployArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let mut deployment = Deployment::prepare(&args.flags, shared).await?;
    deployment.use_role(&args.role).await?;
    if let Some(follow) = &mut deployment.options.follow {
        follow.required = args.require_pipe;
    }
    let observed = settled(&deployment).await?;
    let mut plan = match deployment.plan(&observed) {
        Ok(plan) => plan,
        Err(error) => return Ok(refused(error.into_problems()?, shared)),
    };
    if !plan.is_empty() {
        plan.notes.push(deployment.cost(&observed, &plan, CALLS_SHOWN)?.summary());
    }
    if !shown(&plan, args.verbose, shared)? {
        return Ok(Exit::Done);
    }
    confirm_plan("make these changes?", &args.execute)?;
    deployment.remember_database(&shared.state)?;
    let run = carry_out(&plan, &deployment.aws, &args.execute, shared).await?;
    output::print_note(&run.report(&plan, &command_line()));
    if args.rollback && matches!(run.outcome(), DeployOutcome::Failed | DeployOutcome::Halted) {
        roll_back(&plan, &run, &deployment, &args.execute, shared).await?;
    }
    Ok(exit_of(&run, deployment.options.scope.regions.len()))
}

/// What is deployed, once nobody else is changing it.
async fn settled(deployment: &Deployment) -> anyhow::Result<Observed> {
    loop {
        let observed = deployment.observe().await?;
        let busy = busy(&observed, &deployment.options.scope.regions);
        if busy.is_empty() {
            return Ok(observed);
        }
        output::print_note(&format!("waiting: {}", busy.join(", ")));
        tokio::time::sleep(BUSY_PAUSE).await;
    }
}

async fn roll_back(
    plan: &Plan,
    run: &Run,
    deployment: &Deployment,
    args: &ExecuteArgs,
    shared: &Shared,
) -> anyhow::Result<()> {
    let back = plan::rollback(plan, &run.changed, &run.failed);
    if back.is_empty() {
        output::print_note("nothing to roll back");
        return Ok(());
    }
    output::print_note("rolling back the changes of this run");
    let returned = carry_out(&back, &deployment.aws, args, shared).await?;
    output::print_note(&returned.report(&back, &command_line()));
    Ok(())
}
