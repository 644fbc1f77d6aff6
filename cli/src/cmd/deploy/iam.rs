//! `ipgeo iam`.

use clap::{Args, Subcommand};

use crate::args::Shared;
use crate::cmd::support::load_config;
use crate::infra::iam::deployer_policy;
use crate::ui::output;

/// Verbs of `ipgeo iam`.
#[derive(Debug, Subcommand)]
pub(crate) enum IamVerb {
    /// Print the least-privilege policy for deploying, as JSON
    Policy(PolicyArgs),
}

/// Flags of `ipgeo iam policy`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  ipgeo iam policy > deployer.json
  aws iam create-policy --policy-name ipgeo-deployer \\
      --policy-document file://deployer.json")]
pub(crate) struct PolicyArgs {
    /// AWS account number, or `*` for any
    #[arg(long, value_name = "NUMBER", default_value = "*", value_parser = account)]
    account: String,
}

fn account(text: &str) -> Result<String, String> {
    if text == "*" || (text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())) {
        Ok(text.to_owned())
    } else {
        Err("an account number has 12 digits, or is `*`".to_owned())
    }
}

/// Runs a verb.
pub(crate) fn run(verb: IamVerb, shared: &Shared) -> anyhow::Result<()> {
    let IamVerb::Policy(args) = verb;
    let (config, _) = load_config(shared)?;
    let policy = deployer_policy(&config, &args.account);
    Ok(output::print_data(&output::to_json(&policy)?)?)
}
