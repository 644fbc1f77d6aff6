//! `ipgeo geo explain`.

use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use ipgeo_geo::compile::SourceValue;
use serde::Serialize;

use crate::args::Shared;
use crate::cmd::support::load_config;
use crate::fs::parent_folder;
use crate::geo::sources::{self, SourceFile};
use crate::ui::output::{self, Column};

/// Flags of `ipgeo geo explain`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Reads the fetched sources and the corrections, not the compiled database, and decides between them as \
`ipgeo geo build` does.

Examples:
  ipgeo geo explain 81.2.69.142
  ipgeo geo explain 2001:4860:4860::8888 --json")]
pub(crate) struct ExplainArgs {
    /// Address to explain
    #[arg(value_name = "ADDRESS")]
    address: IpAddr,
    /// Sources, most trusted first [default: the fetched ones]
    #[arg(value_name = "SOURCE")]
    sources: Vec<PathBuf>,
}

/// A source's value of a field.
#[derive(Debug, Default, Serialize)]
struct Said {
    value: String,
    source: String,
    range: String,
    /// The date of the source's data, if known.
    date: Option<String>,
}

/// A field of the answer.
#[derive(Debug, Default, Serialize)]
struct ExplainRow {
    field: String,
    #[serde(flatten)]
    decided: Said,
    /// Other values, from sources with less precedence.
    overridden: Vec<Said>,
    /// Other sources with the same value.
    agreeing: Vec<Said>,
}

/// Explains an answer.
pub(super) fn run(args: &ExplainArgs, shared: &Shared) -> anyhow::Result<()> {
    let (config, path) = load_config(shared)?;
    let named = args.sources.iter().cloned().map(SourceFile::from).collect();
    let fetched = || sources::fetched(&config, &shared.state);
    let Some(files) = (if args.sources.is_empty() { fetched() } else { Some(named) }) else {
        bail!("the sources in regions.toml are missing\nhelp: run `ipgeo geo fetch`, or name sources")
    };
    let overrides = sources::overrides_path(&config, parent_folder(&path));
    let (opened, dates) = sources::open_all(&files, overrides.as_deref())?;
    let said = |one: SourceValue| Said {
        date: dates.get(one.index).copied().flatten().map(|date| date.to_string()),
        value: one.value,
        source: one.source,
        range: one.range,
    };
    let explained = ipgeo_geo::compile::explain(&opened, args.address)?;
    let rows: Vec<ExplainRow> = explained
        .into_iter()
        .map(|field| ExplainRow {
            field: field.field,
            decided: said(field.decided),
            overridden: field.overridden.into_iter().map(said).collect(),
            agreeing: field.agreeing.into_iter().map(said).collect(),
        })
        .collect();
    let columns = [
        Column::text("field"),
        Column::text("value"),
        Column::text("source"),
        Column::text("range"),
        Column::text("date"),
        Column::text("overridden"),
    ];
    let text = output::format_rows(shared.format(), &columns, &rows, |row| {
        let others = row.overridden.iter().map(|one| format!("{} ({})", one.value, one.source));
        vec![
            row.field.clone(),
            row.decided.value.clone(),
            row.decided.source.clone(),
            row.decided.range.clone(),
            row.decided.date.clone().unwrap_or_default(),
            others.collect::<Vec<_>>().join(", "),
        ]
    })?;
    output::print_data(&text)?;
    if rows.is_empty() {
        output::print_note(&format!("no source knows {}", args.address));
    }
    Ok(())
}
