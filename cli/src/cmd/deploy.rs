//! `ipgeo deploy`.

use std::time::Duration;

use clap::Args;

use super::cloud_args::{ExecuteArgs, again, agreed};
use super::deployment::{Deployment, PlanFlags, busy};
use super::execution::{carry_out, exit_of, refused, shown};
use crate::cli::Shared;
use crate::infra::deploy::{DeployOutcome, Run};
use crate::infra::plan::{self, Observed, Plan};
use crate::ui::output::{self, Exit};

/// Between two looks at stacks that somebody else changes.
const BUSY_PAUSE: Duration = Duration::from_secs(5);

/// Calls a month whose bill is told before the question; `ipgeo plan --calls` tells another's.
const CALLS_TOLD: f64 = 25e6;

/// Flags of `ipgeo deploy`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ipgeo deploy                               asks before it changes anything
  ipgeo deploy --yes --regions eu-central-1,us-*
  ipgeo deploy --yes --json --rollback       for CI: event lines, and back to before on a failure")]
pub struct DeployArgs {
    #[command(flatten)]
    flags: PlanFlags,
    #[command(flatten)]
    execute: ExecuteArgs,
    /// On a failure, return every region that this run has touched
    #[arg(long)]
    rollback: bool,
    /// List every resource of new stacks too
    #[arg(short, long)]
    verbose: bool,
}

/// Makes every region as the file says.
pub(crate) async fn run(args: DeployArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let deployment = Deployment::prepare(&args.flags, shared).await?;
    let observed = settled(&deployment).await?;
    let mut plan = match deployment.plan(&observed) {
        Ok(plan) => plan,
        Err(error) => return Ok(refused(error.into_problems()?, shared)),
    };
    if !plan.is_empty() {
        plan.notes.push(deployment.cost(&observed, &plan, CALLS_TOLD)?.summary());
    }
    if !shown(&plan, args.verbose, shared)? {
        return Ok(Exit::Done);
    }
    if !agreed("make these changes?", &args.execute)? {
        output::say("nothing was changed");
        return Ok(Exit::Failed);
    }
    deployment.remember_database(&shared.state)?;
    let run = carry_out(&plan, &deployment.aws, &args.execute, shared).await?;
    output::say(&run.report(&plan, &again()));
    if args.rollback && matches!(run.outcome(), DeployOutcome::Failed | DeployOutcome::Halted) {
        roll_back(&plan, &run, &deployment, &args.execute, shared).await?;
    }
    Ok(exit_of(&run, deployment.options.scope.regions.len()))
}

/// What there is, once nobody else changes it any more.
async fn settled(deployment: &Deployment) -> anyhow::Result<Observed> {
    loop {
        let observed = deployment.observe().await?;
        let busy = busy(&observed, &deployment.options.scope.regions);
        if busy.is_empty() {
            return Ok(observed);
        }
        output::say(&format!("waiting: {}", busy.join(", ")));
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
        output::say("nothing is left to return");
        return Ok(());
    }
    output::say("returning what this run has changed");
    let returned = carry_out(&back, &deployment.aws, args, shared).await?;
    output::say(&returned.report(&back, &again()));
    Ok(())
}
