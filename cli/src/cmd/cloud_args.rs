//! Flags and questions that the verbs of the cloud share.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;

use crate::config::{Config, select};
use crate::infra::plan::Scope;
use crate::ui::output::{self, UsageError};
use crate::ui::progress::Style;

/// Which regions.
#[derive(Debug, Clone, Default, Args)]
pub struct RegionArgs {
    /// Only these regions of the file, by name or pattern: eu-west-1,us-*
    #[arg(long, value_name = "REGIONS", value_delimiter = ',')]
    pub regions: Vec<String>,
    /// All but these regions
    #[arg(long, value_name = "REGIONS", value_delimiter = ',')]
    pub exclude_regions: Vec<String>,
}

impl RegionArgs {
    /// The regions of a file that are meant.
    pub fn scope(&self, config: &Config) -> Result<Scope, UsageError> {
        let selected = select(config, &self.regions, &self.exclude_regions);
        let selected = selected.map_err(|error| UsageError(error.to_string()))?;
        Ok(Scope { regions: selected.regions, whole: selected.whole })
    }
}

/// What is deployed.
#[derive(Debug, Clone, Default, Args)]
pub struct ArtifactArgs {
    /// The function's program or zip, instead of building it
    #[arg(long, value_name = "FILE")]
    pub artifact: Option<PathBuf>,
    /// The compiled geo database; else the one that `ipgeo geo build` has made
    #[arg(long, value_name = "FILE")]
    pub database: Option<PathBuf>,
}

/// How a plan is carried out.
#[derive(Debug, Clone, Args)]
pub struct ExecuteArgs {
    /// Skip the confirmation prompt
    #[arg(short, long)]
    pub yes: bool,
    /// Never ask: what would need an answer fails
    #[arg(long)]
    pub no_input: bool,
    /// Regions at once
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub concurrency: u16,
    /// How progress is shown; else bars on a terminal and lines elsewhere
    #[arg(long, value_enum, value_name = "HOW")]
    pub progress: Option<Style>,
}

/// Whether the operator agrees. An error when nobody can be asked.
pub(super) fn agreed(question: &str, args: &ExecuteArgs) -> anyhow::Result<bool> {
    if args.yes {
        return Ok(true);
    }
    let answer = if args.no_input { None } else { output::prompt(&format!("{question} [y/N]"))? };
    let Some(answer) = answer else {
        return Err(UsageError("nobody is there to be asked: say --yes".to_owned()).into());
    };
    Ok(matches!(answer.to_lowercase().as_str(), "y" | "yes"))
}

/// Asks before something that can't be undone, unless `yes`. An error when the operator declines or can't be asked.
pub(crate) fn confirm(what: &str, yes: bool) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    match output::prompt(&format!("{what}; go on? [y/N]"))? {
        None => bail!(UsageError(format!(
            "{what}: cannot prompt: stdin is not a terminal; pass --yes to confirm"
        ))),
        Some(answer) if matches!(answer.to_lowercase().as_str(), "y" | "yes") => Ok(()),
        Some(_) => bail!("nothing was changed"),
    }
}

/// Whether the operator has named what is destroyed: by `--confirm`, or typed.
pub(super) fn named(name: &str, confirm: Option<&str>, no_input: bool) -> anyhow::Result<bool> {
    if let Some(confirm) = confirm {
        if confirm == name {
            return Ok(true);
        }
        return Err(UsageError(format!("--confirm names `{confirm}`, and the service is `{name}`")).into());
    }
    let answer = if no_input { None } else { output::prompt(&format!("type {name} to go on:"))? };
    match answer {
        Some(answer) => Ok(answer == name),
        None => Err(UsageError(format!("nobody is there to be asked: say --confirm {name}")).into()),
    }
}

/// This command once more, for a shell.
pub(super) fn again() -> String {
    let quoted = |word: String| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./,:=*@%+".contains(c);
        if !word.is_empty() && word.chars().all(plain) {
            word
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    };
    let words = std::env::args_os().skip(1).map(|word| quoted(word.to_string_lossy().into_owned()));
    std::iter::once("ipgeo".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}
