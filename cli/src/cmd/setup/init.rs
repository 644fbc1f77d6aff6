//! `ipgeo init`.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;

use crate::args::Shared;
use crate::config;
use crate::config::init::{Ask, Data, InterviewError, Known, SCHEMA, interview, render};
use crate::fs::{Replace, parent_folder, write_output};
use crate::ui::format::counted;
use crate::ui::output::{self, UsageError};

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  ipgeo init
  ipgeo init --no-input --regions 'us-*,eu-central-1' --home eu-central-1
  ipgeo init --domain api.example.com --tier startup=100k/month")]
pub(crate) struct InitArgs {
    /// Name of the service; prefix of every resource's name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Environment: prod, staging; part of every resource's name
    #[arg(long, value_name = "NAME")]
    environment: Option<String>,
    /// Home region, which cannot be changed later [default: the first region]
    #[arg(long, value_name = "REGION")]
    home: Option<String>,
    /// Regions, by name or pattern: eu-central-1,us-*
    #[arg(long, value_name = "REGIONS", value_delimiter = ',')]
    regions: Option<Vec<String>>,
    /// Domain of the API
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<String>,
    /// Route 53 zone [default: the domain without its first label]
    #[arg(long, value_name = "ZONE")]
    hosted_zone: Option<String>,
    /// Limit of an address without an API key: 1500/day
    #[arg(long, value_name = "LIMIT")]
    anonymous: Option<String>,
    /// Tier of API keys: startup=100k/month; repeatable
    #[arg(long = "tier", value_name = "NAME=LIMIT")]
    tiers: Option<Vec<String>>,
    /// Source of locations
    #[arg(long, value_enum, value_name = "DATA")]
    data: Option<Data>,
    /// Use defaults instead of prompting
    #[arg(long)]
    no_input: bool,
    /// Replace an existing regions.toml
    #[arg(long)]
    force: bool,
}

/// A tier's name and limit. A missing limit is reported later, together with all other errors.
fn tier(text: &str) -> (String, String) {
    let (name, limit) = text.split_once('=').unwrap_or((text, ""));
    (name.trim().to_owned(), limit.trim().to_owned())
}

/// Questions on standard error, answers from standard input.
struct Terminal;

impl Ask for Terminal {
    fn ask(&mut self, question: &str, default: &str) -> std::io::Result<Option<String>> {
        output::print_question(&format!("{question} [{default}]:"))?;
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line)?;
        Ok((read > 0).then_some(line))
    }

    fn say(&mut self, line: &str) {
        output::print_note(&format!("  {line}"));
    }
}

/// Writes the schema that the file's first line names; an existing one is kept, like the file itself.
fn write_schema(file: &Path, replace: Replace) -> anyhow::Result<()> {
    let path = parent_folder(file).join(SCHEMA);
    let written = std::fs::create_dir_all(parent_folder(&path))
        .and_then(|()| write_output(&path, config::schema_json().as_bytes(), replace));
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(error).with_context(|| format!("cannot write {}", path.display()))
        }
        _ => Ok(()),
    }
}

pub(crate) fn run(args: InitArgs, shared: &Shared) -> anyhow::Result<()> {
    let path = shared.config.clone().unwrap_or_else(|| PathBuf::from(config::FILE_NAME));
    if path.exists() && !args.force {
        bail!("{} already exists\nhelp: --force replaces it", path.display());
    }
    let known = Known {
        name: args.name,
        environment: args.environment,
        home: args.home,
        regions: args.regions,
        domain: args.domain,
        hosted_zone: args.hosted_zone,
        anonymous: args.anonymous,
        tiers: args.tiers.map(|tiers| tiers.iter().map(|text| tier(text)).collect()),
        data: args.data,
    };
    let prompts = !args.no_input && std::io::stdin().is_terminal() && output::stderr_is_terminal();
    let mut terminal = Terminal;
    let answers = interview(known, if prompts { Some(&mut terminal) } else { None });
    let answers = answers.map_err(|error| match error {
        InterviewError::Wrong(why) => UsageError(why).into(),
        error => anyhow::Error::from(error),
    })?;
    let text = render(&answers);
    let config = config::parse(&path.display().to_string(), &text)?;
    let replace = if args.force { Replace::Yes } else { Replace::No };
    write_output(&path, text.as_bytes(), replace)
        .with_context(|| format!("cannot write {}", path.display()))?;
    write_schema(&path, replace)?;
    output::print_data(&path.display().to_string())?;
    output::print_note(&format!(
        "{}, home is {}; `ipgeo dev` runs it on this machine",
        counted(config.regions.len(), "region"),
        config.service.home
    ));
    Ok(())
}
