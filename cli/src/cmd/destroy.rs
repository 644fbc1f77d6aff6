//! `ipgeo destroy`.

use clap::Args;

use super::cloud_args::{ExecuteArgs, again, named};
use super::execution::{carry_out, exit_of, refused, shown};
use super::load_config;
use crate::aws::Aws;
use crate::cli::Shared;
use crate::infra::artifacts::built_set;
use crate::infra::cloud::{Ask, observe};
use crate::infra::plan::{self, DestroyOptions};
use crate::ui::output::{self, Exit, Format};

/// Flags of `ipgeo destroy`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ipgeo destroy                              asks for the service's name; tables, stream and failures stay
  ipgeo destroy --confirm ipgeo-staging --delete-data    also deletes data retained by an earlier destroy")]
pub struct DestroyArgs {
    /// The service's name, `<name>-<environment>`, instead of typing it
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
    /// Delete tables, stream and failure bucket too: API keys and all counts are lost
    #[arg(long)]
    delete_data: bool,
    #[command(flatten)]
    execute: ExecuteArgs,
    /// The AWS profile to use
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
}

/// Takes the service down.
pub(crate) async fn run(args: DestroyArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let (config, _) = load_config(shared)?;
    let aws = Aws::of(&config, args.profile.as_deref()).await?;
    let observed = observe(&aws, &Ask::everywhere(&config, None).with_kept_data()).await?;
    let (artifacts, _) = built_set(&shared.state);
    let options = DestroyOptions { delete_data: args.delete_data };
    let plan = match plan::destroy(&config, &artifacts, &observed, options) {
        Ok(plan) => plan,
        Err(error) => return Ok(refused(error.into_problems()?, shared)),
    };
    if plan.is_empty() && shared.format() == Format::Table {
        plan.notes.iter().for_each(|note| output::print_note(&format!("note: {note}")));
        output::print_note("nothing of it is deployed");
        return Ok(Exit::Done);
    }
    if !shown(&plan, false, shared)? {
        return Ok(Exit::Done);
    }
    if !named(&plan.service, args.confirm.as_deref(), args.execute.no_input)? {
        output::print_note("nothing was changed");
        return Ok(Exit::Failed);
    }
    let run = carry_out(&plan, &aws, &args.execute, shared).await?;
    output::print_note(&run.report(&plan, &again()));
    Ok(exit_of(&run, observed.deployed_regions().len()))
}
