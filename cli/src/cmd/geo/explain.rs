//! `ipgeo geo explain`.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use ipgeo_geo::compile::{BuildSource, SourceValue, read_corrections};
use serde::Serialize;

use crate::args::Shared;
use crate::cmd::support::load_config;
use crate::fs::parent_folder;
use crate::geo::sources::{self, Lock, SourceFile};
use crate::ui::output::{self, Column, ColumnOf};

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
    /// When the source's data or the correction was made, if known.
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

pub(super) fn run(args: &ExplainArgs, shared: &Shared) -> anyhow::Result<()> {
    let (config, path) = load_config(shared)?;
    let named = args.sources.iter().cloned().map(SourceFile::from).collect();
    let fetched = || sources::fetched(&config, &shared.state);
    let Some(files) = (if args.sources.is_empty() { fetched() } else { Some(named) }) else {
        bail!("the sources in regions.toml are missing\nhelp: run `ipgeo geo fetch`, or name sources")
    };
    let overrides = sources::overrides_path(&config, parent_folder(&path));
    let (opened, stated) = sources::open_all(&files, overrides.as_deref())?;
    let lock = Lock::read(&Lock::path(&path))?.unwrap_or_default();
    let locked = |source: &BuildSource| lock.files_of(&source.name).filter_map(|file| file.date).min();
    let dated = opened.iter().zip(stated).map(|(source, date)| date.or_else(|| locked(source)));
    let mut dates: Vec<Option<String>> = dated.map(|date| date.map(|date| date.to_string())).collect();
    // Corrections come first, each with its own date.
    if let (Some(file), Some(date)) = (&overrides, dates.first_mut()) {
        *date = corrected_on(file, args.address)?;
    }
    let said = |one: SourceValue| Said {
        date: dates.get(one.index).cloned().flatten(),
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
    output::print_rows(shared.format(), &COLUMNS, &rows)?;
    if rows.is_empty() {
        output::print_note(&format!("no source knows {}", args.address));
    }
    Ok(())
}

const COLUMNS: [ColumnOf<ExplainRow>; 6] = [
    (Column::text("field"), |row| row.field.clone()),
    (Column::free_text("value"), |row| row.decided.value.clone()),
    (Column::text("source"), |row| row.decided.source.clone()),
    (Column::text("range").rank(2), |row| row.decided.range.clone()),
    (Column::text("date").rank(3), |row| row.decided.date.clone().unwrap_or_else(|| "unknown".to_owned())),
    (Column::free_text("overridden").rank(1), |row| {
        let others = row.overridden.iter().map(|one| format!("{} ({})", one.value, one.source));
        others.collect::<Vec<_>>().join(", ")
    }),
];

/// The date of the correction that decides about an address: of those that hold it, the smallest, and of equal ones the last.
fn corrected_on(file: &Path, address: IpAddr) -> anyhow::Result<Option<String>> {
    let bytes = std::fs::read(file).with_context(|| format!("read {}", file.display()))?;
    let corrections = read_corrections(&bytes).map_err(|fault| anyhow!("{}: {fault}", file.display()))?;
    let bits = |address: IpAddr| match address.to_canonical() {
        IpAddr::V4(v4) => (true, u128::from(v4.to_bits())),
        IpAddr::V6(v6) => (false, v6.to_bits()),
    };
    let (is_ipv4, wanted) = bits(address);
    let holding = corrections.into_iter().rev().filter_map(|correction| {
        let (count, first) = correction.addresses()?;
        let (of_ipv4, first) = bits(first);
        let holds = of_ipv4 == is_ipv4 && wanted.checked_sub(first).is_some_and(|offset| offset < count);
        holds.then_some((count, correction.date))
    });
    let smallest = holding.min_by_key(|(count, _)| *count);
    Ok(smallest.map(|(_, date)| date.trim().to_owned()).filter(|date| !date.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_explanation_fits_a_terminal() {
        let said = |value: &str, source: &str| Said {
            value: value.to_owned(),
            source: source.to_owned(),
            range: "2001:4860:4860::8844/128".to_owned(),
            date: Some("2026-11-01".to_owned()),
        };
        let row = |field: &str, value: &str, overridden| ExplainRow {
            field: field.to_owned(),
            decided: said(value, "dbip-city-lite"),
            overridden,
            agreeing: Vec::new(),
        };
        let rows = [
            row(
                "city",
                "Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch",
                vec![said("Mountain View", "geolite2-city")],
            ),
            row("asn.name", "日本語株式会社", Vec::new()),
        ];
        output::assert_tables("geo explain", || {
            output::format_rows(output::Format::Table, &COLUMNS, &rows).expect("a table")
        });
    }
}
