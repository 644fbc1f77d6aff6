//! `ipgeo validate`.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use crate::args::Shared;
use crate::cmd::support::config_path;
use crate::config::{ANONYMOUS, Config, LoadError, load};
use crate::ui::format::counted;
use crate::ui::output::{self, Exit, Format};

#[derive(Debug, Args)]
#[command(after_long_help = "\
Prints every problem with its line and column. No other file is read.
Exit status: 0 if the file is valid, 1 if it is not.

Examples:
  ipgeo validate
  ipgeo validate staging.toml
  ipgeo validate -o jsonl | jq -r .message")]
pub(crate) struct ValidateArgs {
    /// File to check [default: the one that other commands use]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

#[derive(Debug, Default, Serialize)]
struct FaultRow<'a> {
    file: &'a str,
    line: usize,
    column: usize,
    message: &'a str,
}

/// Checks the file, and prints its faults or what it describes.
pub(crate) fn run(args: ValidateArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let path = args.file.map_or_else(|| config_path(shared), Ok)?;
    let problems = match load(&path) {
        Ok(config) => {
            output::print_data(&rows(&[], shared.format())?)?;
            output::print_note(&summary(&path, &config));
            return Ok(Exit::Done);
        }
        Err(LoadError::Problems(problems)) => problems,
        Err(error) => return Err(error.into()),
    };
    let faults: Vec<FaultRow<'_>> = problems
        .problems
        .iter()
        .map(|fault| FaultRow {
            file: &problems.file,
            line: fault.line,
            column: fault.column,
            message: &fault.message,
        })
        .collect();
    output::print_data(&rows(&faults, shared.format())?)?;
    output::print_note(&format!("{} in {}", counted(faults.len(), "problem"), problems.file));
    Ok(Exit::Failed)
}

/// Editors and `grep` read `file:line:column: message`.
fn rows(faults: &[FaultRow<'_>], format: Format) -> anyhow::Result<String> {
    if format != Format::Table {
        return output::format_rows(format, &[], faults);
    }
    let line = |fault: &FaultRow<'_>| {
        output::printable(&format!("{}:{}:{}: {}", fault.file, fault.line, fault.column, fault.message))
    };
    Ok(faults.iter().map(line).collect::<Vec<_>>().join("\n"))
}

fn summary(path: &Path, config: &Config) -> String {
    let tiers: Vec<&str> =
        std::iter::once(ANONYMOUS).chain(config.tiers.paid.iter().map(|tier| tier.name.as_str())).collect();
    let sources = match config.geo.sources.len() {
        0 => "the sample geo data".to_owned(),
        count => counted(count, "geo source"),
    };
    let domain = config.service.domain.as_deref().unwrap_or("without a domain");
    format!(
        "{} is valid: service {}, {domain}; {}, home is {}; tiers {}; {sources}",
        path.display(),
        config.service.full_name(),
        counted(config.regions.len(), "region"),
        config.service.home,
        tiers.join(", "),
    )
}
