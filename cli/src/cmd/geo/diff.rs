//! `ipgeo geo diff`.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use ipgeo_geo::compile::{Correction, DiffSample};

use crate::args::Shared;
use crate::cmd::support::numbers::{addresses, percent};
use crate::cmd::support::{load_config, served_database};
use crate::fs::parent_folder;
use crate::geo::sources;
use crate::ui::output::{self, Column, ColumnOf, Exit, Format, grouped};

#[derive(Debug, Args)]
#[command(after_long_help = "\
Compares randomly drawn addresses. `networks` gives each announced network of either database the same \
weight, `addresses` each IPv4 address.

Examples:
  ipgeo geo diff                         the new one with the previous one
  ipgeo geo diff --check 5               for CI: status 3 above 5 % changed")]
pub(crate) struct DiffArgs {
    /// Old database [default: the previously compiled one]
    #[arg(value_name = "OLD")]
    old: Option<PathBuf>,
    /// New database [default: the output of `ipgeo geo build`]
    #[arg(value_name = "NEW")]
    new: Option<PathBuf>,
    /// Number of addresses to draw from each population
    #[arg(short = 'n', long, value_name = "N", default_value = "100_000", value_parser = addresses)]
    samples: u32,
    /// Random seed
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,
    /// Exit with status 3 if more than this share changed country
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    check: Option<f64>,
}

/// The operator's corrections; none without a `regions.toml`, since any two databases can be compared.
fn corrections_in_use(shared: &Shared) -> anyhow::Result<Vec<Correction>> {
    let Ok((config, path)) = load_config(shared) else { return Ok(Vec::new()) };
    match sources::overrides_path(&config, parent_folder(&path)) {
        Some(file) => super::corrections::read(&file),
        None => Ok(Vec::new()),
    }
}

const COLUMNS: [ColumnOf<DiffSample>; 8] = [
    (Column::text("drawn from"), |one| one.drawn_from.to_owned()),
    (Column::text("ip"), |one| format!("v{}", one.ip_version)),
    (Column::number("drawn").rank(2), |one| grouped(one.drawn)),
    (Column::number("known to both").rank(1), |one| grouped(one.known)),
    (Column::number("other country"), |one| format!("{:.2} %", one.country_percent)),
    (Column::number("other city"), |one| format!("{:.2} %", one.city_percent)),
    (Column::number("gained").rank(1), |one| grouped(one.gained)),
    (Column::number("lost").rank(1), |one| grouped(one.lost)),
];

pub(super) fn run(args: DiffArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let new = args.new.unwrap_or_else(|| served_database(&shared.state));
    let previous = sources::previous_path(&new);
    let old = args.old.as_ref().unwrap_or(&previous);
    if args.old.is_none() && !old.is_file() {
        bail!(
            "{} does not exist: no database was compiled before this one\nhelp: name two databases, OLD and NEW",
            old.display()
        );
    }
    let mut found = ipgeo_geo::compile::diff(old, &new, args.samples, args.seed)?;
    let corrections = corrections_in_use(shared)?;
    if !corrections.is_empty() {
        found.corrections = Some(ipgeo_geo::compile::count_corrections(old, &new, &corrections)?);
    }
    if shared.format() == Format::Json {
        output::print_data(&output::to_json(&found)?)?;
    } else {
        output::print_rows(shared.format(), &COLUMNS, &found.sampled)?;
    }
    output::print_note(&format!("{} compared with {}, seed {}", found.old_date, found.new_date, found.seed));
    for one in &found.moves {
        output::print_note(&format!(
            "{} to {}: {} of the drawn addresses",
            one.from,
            one.to,
            grouped(one.count)
        ));
    }
    if let Some(count) = found.corrections {
        output::print_note(&format!(
            "corrections: {}, of {} IPv4 addresses; {} changed a location",
            grouped(count.corrections),
            grouped(count.ipv4_addresses),
            grouped(count.changed)
        ));
    }
    match args.check {
        Some(most) if found.country_percent_max() > most => {
            output::print_note(&format!(
                "{:.2} % changed country, more than {most} %",
                found.country_percent_max()
            ));
            Ok(Exit::Changes)
        }
        _ => Ok(Exit::Done),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comparison_fits_a_terminal() {
        let sample = |drawn_from| DiffSample {
            drawn_from,
            ip_version: 6,
            drawn: 100_000,
            known: 98_765,
            gained: 1_234,
            lost: 1_001,
            country_percent: 12.5,
            city_percent: 100.0,
            ..DiffSample::default()
        };
        let samples = ["networks", "addresses"].map(sample);
        output::assert_tables("geo diff", || {
            output::format_rows(Format::Table, &COLUMNS, &samples).expect("a table")
        });
    }
}
