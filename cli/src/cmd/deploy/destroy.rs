//! `ipgeo destroy`.

use clap::Args;

use crate::args::{ProfileArgs, RoleArgs, Shared};
use crate::aws::Aws;
use crate::cmd::support::{
    ExecuteArgs, carry_out, command_line, confirm_and_lock, confirm_name, exit_of, load_config,
    read_deployed, refused, shown,
};
use crate::infra::artifacts::built_set;
use crate::infra::cloud::Ask;
use crate::infra::plan::{self, DestroyOptions};
use crate::ui::output::{self, Exit, Format};

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  ipgeo destroy                              retains the data
  ipgeo destroy --confirm ipgeo-staging --delete-data")]
pub(crate) struct DestroyArgs {
    /// Name of the service, `<name>-<environment>`, to skip the prompt
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
    /// Also delete tables, stream and failure bucket: all API keys and counts are lost
    ///
    /// This includes data that an earlier `ipgeo destroy` retained.
    #[arg(long)]
    delete_data: bool,
    #[command(flatten)]
    execute: ExecuteArgs,
    #[command(flatten)]
    role: RoleArgs,
    #[command(flatten)]
    profile: ProfileArgs,
}

pub(crate) async fn run(args: DestroyArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let (config, _) = load_config(shared)?;
    let mut aws = Aws::connect(&config, args.profile.name()).await?;
    aws.use_role(args.role.arn()).await?;
    let observed = read_deployed(&aws, &Ask::everywhere(&config, None).with_kept_data()).await?;
    let (artifacts, _) = built_set(&shared.state);
    let options = DestroyOptions { delete_data: args.delete_data, now_s: jiff::Timestamp::now().as_second() };
    let plan = match plan::destroy(&config, &artifacts, &observed, options) {
        Ok(plan) => plan,
        Err(error) => return Ok(refused(error.into_problems()?, shared)),
    };
    if plan.is_empty() && shared.format() == Format::Table {
        plan.notes.iter().for_each(|note| output::print_note(&format!("note: {note}")));
        output::print_note("nothing is deployed");
        return Ok(Exit::Done);
    }
    if !shown(&plan, false, shared)? {
        return Ok(Exit::Done);
    }
    let confirm = || confirm_name(&plan.service, args.confirm.as_deref(), args.execute.no_input);
    let lock = confirm_and_lock(&aws, &args.execute, shared, confirm).await?;
    let run = carry_out(&plan, &aws, lock, &args.execute, shared).await?;
    output::print_note(&run.report(&plan, &command_line()));
    Ok(exit_of(&run, observed.deployed_regions().len()))
}
