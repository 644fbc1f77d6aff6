//! `ipgeo rollback`.

use clap::Args;

use crate::args::{ProfileArgs, Shared};
use crate::aws::Aws;
use crate::cmd::support::{
    ExecuteArgs, RegionArgs, carry_out, command_line, confirm_and_lock, confirm_plan, exit_of, load_config,
    quick_probe, read_deployed, refused, shown, today,
};
use crate::infra::cloud::Ask;
use crate::infra::plan::{self, WantedVersion};
use crate::ui::output::{self, Exit, Format};

#[derive(Debug, Args)]
#[command(after_long_help = "\
Moves each region's alias in seconds; stacks and regions.toml stay as they are.
The counter at home goes along if the code changes. Versions: `ipgeo status`.

Examples:
  ipgeo rollback                     to the version before, everywhere
  ipgeo rollback --yes --regions us-east-1 --to 3
  ipgeo rollback --to 3f2a9c1b       to the newest with this code")]
pub(crate) struct RollbackArgs {
    /// Version number, or first characters of a code digest [default: the version before]
    #[arg(long, value_name = "VERSION", value_parser = wanted)]
    to: Option<WantedVersion>,
    #[command(flatten)]
    regions: RegionArgs,
    #[command(flatten)]
    execute: ExecuteArgs,
    #[command(flatten)]
    profile: ProfileArgs,
}

/// From this length on, digits are a digest, not a version number.
const DIGEST_CHARS_MIN: usize = 8;

fn wanted(text: &str) -> Result<WantedVersion, String> {
    let is_digest = text.len() >= DIGEST_CHARS_MIN && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match text.parse() {
        Ok(number) if text.len() < DIGEST_CHARS_MIN => Ok(WantedVersion::Number(number)),
        // A version's description has the first eight characters.
        _ if is_digest => Ok(WantedVersion::Code(text[..DIGEST_CHARS_MIN].to_lowercase())),
        _ => Err("a version is a number such as 3, or at least 8 characters of a code digest".to_owned()),
    }
}

pub(crate) async fn run(args: RollbackArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let (config, _) = load_config(shared)?;
    let scope = args.regions.scope(&config)?;
    let aws = Aws::connect(&config, args.profile.name()).await?;
    let observed = read_deployed(&aws, &Ask::everywhere(&config, None)).await?;
    let wanted = args.to.unwrap_or(WantedVersion::Previous);
    let plan =
        plan::roll_back(&config, &observed, &scope, &wanted, &quick_probe(&config), &today().to_string());
    let plan = match plan {
        Ok(plan) => plan,
        Err(error) => return Ok(refused(error.into_problems()?, shared)),
    };
    if plan.is_empty() && shared.format() == Format::Table {
        output::print_note("every selected region already serves that version");
        return Ok(Exit::Done);
    }
    if !shown(&plan, false, shared)? {
        return Ok(Exit::Done);
    }
    let confirm = || confirm_plan("move these aliases?", &args.execute);
    let lock = confirm_and_lock(&aws, &args.execute, shared, confirm).await?;
    let run = carry_out(&plan, &aws, lock, &args.execute, shared).await?;
    output::print_note(&run.report(&plan, &command_line()));
    Ok(exit_of(&run, scope.regions.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_a_number_or_the_start_of_a_digest() {
        let code = |text: &str| Ok(WantedVersion::Code(text.to_owned()));
        let table = [
            ("3", Ok(WantedVersion::Number(3))),
            ("3f2a9c1b", code("3f2a9c1b")),
            ("12345678", code("12345678")),
            ("3F2A9C1B77", code("3f2a9c1b")),
            ("3f2a", Err(())),
            ("-1", Err(())),
            ("live", Err(())),
            ("", Err(())),
        ];
        for (text, expected) in table {
            assert_eq!(wanted(text).map_err(drop), expected, "{text}");
        }
    }
}
