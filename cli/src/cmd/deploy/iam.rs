//! `ipgeo iam`.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use crate::args::Shared;
use crate::cmd::support::{load_config, path_to_write};
use crate::fs::{Replace, write_output};
use crate::infra::iam::{Audience, Request, documents};
use crate::ui::output;

#[derive(Debug, Subcommand)]
pub(crate) enum IamVerb {
    /// Print the least-privilege policies for deploying, as JSON
    Policy(PolicyArgs),
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  ipgeo iam policy --account 123456789012 --dir policies
  for file in policies/*.json; do
      aws iam create-policy --policy-name $(basename $file .json) \\
          --policy-document file://$file
  done")]
pub(crate) struct PolicyArgs {
    /// AWS account number, or `*` for any [default: `account` in regions.toml, otherwise `*`]
    #[arg(long, value_name = "NUMBER", value_parser = account)]
    account: Option<String>,
    /// Who gets the policies [default: a deployer without --role-arn]
    ///
    /// Without a service role, CloudFormation works with the deployer's rights, so the deployer needs both.
    #[arg(long = "for", value_enum, value_name = "WHO")]
    audience: Option<For>,
    /// The service role that the deployer passes to CloudFormation
    ///
    /// Default: `role/ipgeo-cloudformation` of the account.
    #[arg(long, value_name = "ARN")]
    role_arn: Option<String>,
    /// Write each document to DIR/NAME.json, and list the files
    #[arg(long, value_name = "DIR", value_parser = path_to_write())]
    dir: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum For {
    /// Who runs `deploy --role-arn`
    Deployer,
    /// CloudFormation's service role; its trust policy comes first
    Cloudformation,
    /// The permissions boundary of the service's roles
    Boundary,
}

fn account(text: &str) -> Result<String, String> {
    if text == "*" || (text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())) {
        Ok(text.to_owned())
    } else {
        Err("an account number has 12 digits, or is `*`".to_owned())
    }
}

pub(crate) fn run(verb: IamVerb, shared: &Shared) -> anyhow::Result<()> {
    let IamVerb::Policy(args) = verb;
    if args.role_arn.is_some() && args.audience != Some(For::Deployer) {
        return Err(output::UsageError::new("--role-arn needs --for deployer").into());
    }
    let (config, _) = load_config(shared)?;
    let audience = args.audience.map(|audience| match audience {
        For::Deployer => Audience::Deployer,
        For::Cloudformation => Audience::Cloudformation,
        For::Boundary => Audience::Boundary,
    });
    let role_arn = args.role_arn.as_deref();
    let account = args.account.as_deref().or(config.service.account.as_deref()).unwrap_or("*");
    let documents = documents(&Request { config: &config, account, audience, role_arn });
    let creates_roles = matches!(audience, None | Some(Audience::Cloudformation));
    if creates_roles && config.service.permissions_boundary.is_none() {
        output::print_note(
            "note: these rights can create a role with any right of the account; \
             `permissions_boundary` in regions.toml prevents that",
        );
    }
    let Some(dir) = args.dir else {
        return Ok(output::print_data(&output::to_json(&documents)?)?);
    };
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let mut files = Vec::new();
    for document in documents {
        let file = dir.join(format!("{}.json", document.name));
        let text = format!("{}\n", output::to_json(&document.document)?);
        write_output(&file, text.as_bytes(), Replace::Yes)
            .with_context(|| format!("cannot write {}", file.display()))?;
        files.push(json!({ "name": document.name, "kind": document.kind, "file": file }));
    }
    Ok(output::print_data(&output::to_json(&files)?)?)
}
