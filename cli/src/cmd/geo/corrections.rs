//! `ipgeo geo override`: the operator's corrections, in a CSV file beside `regions.toml`.

use std::path::Path;

use anyhow::{Context, anyhow, bail};
use clap::{Args, Subcommand};
use ipgeo_geo::Database;
use ipgeo_geo::compile::{Correction, read_corrections, write_corrections};
use serde_json::Value;

use crate::args::Shared;
use crate::cmd::support::{load_config, served_database, today};
use crate::fs::{Replace, parent_folder, write_output};
use crate::geo::sources::{self, PathLock};
use crate::keys::parse_note;
use crate::ui::output::{self, Column, ColumnOf, UsageError};

#[derive(Debug, Subcommand)]
pub(crate) enum OverrideVerb {
    /// Correct the location of an address or network
    Add(Box<AddArgs>),
    /// List the corrections
    #[command(after_long_help = "\
Examples:
  ipgeo geo override list -o csv")]
    List,
    /// Remove a correction
    Remove(RemoveArgs),
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
A correction of the same network is replaced. The next `ipgeo geo build` uses it.

Examples:
  ipgeo geo override add 81.2.69.0/24 --city London --note 'ticket 4711'
  ipgeo geo override add 8.8.8.8 --city Lyon --country FR --note customer")]
pub(crate) struct AddArgs {
    /// Address, network (192.0.2.0/24) or range (192.0.2.0-192.0.2.9)
    #[arg(value_name = "NETWORK")]
    network: String,
    /// City
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    city: String,
    /// Name of the region
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    region: String,
    /// ISO 3166-2 code of the region, such as CA
    #[arg(long, value_name = "CODE", default_value = "", hide_default_value = true)]
    region_code: String,
    /// ISO 3166 code of the country, two letters [default: the country in the compiled database]
    #[arg(long, value_name = "CODE", default_value = "", hide_default_value = true)]
    country: String,
    /// Postal code
    #[arg(long, value_name = "CODE", default_value = "", hide_default_value = true)]
    postal: String,
    /// Degrees north
    #[arg(
        long,
        value_name = "DEGREES",
        allow_hyphen_values = true,
        default_value = "",
        hide_default_value = true
    )]
    latitude: String,
    /// Degrees east
    #[arg(
        long,
        value_name = "DEGREES",
        allow_hyphen_values = true,
        default_value = "",
        hide_default_value = true
    )]
    longitude: String,
    /// IANA name of the time zone
    #[arg(long, value_name = "ZONE", default_value = "", hide_default_value = true)]
    time_zone: String,
    /// Reason for the correction
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true, value_parser = parse_note)]
    note: String,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  ipgeo geo override remove 81.2.69.0/24")]
pub(crate) struct RemoveArgs {
    /// Address, network or range of the correction
    #[arg(value_name = "NETWORK")]
    network: String,
}

pub(super) fn run(verb: OverrideVerb, shared: &Shared) -> anyhow::Result<()> {
    let (config, path) = load_config(shared)?;
    let base = parent_folder(&path);
    let file = sources::overrides_file(&config, base);
    // Two changes at the same time: the second one reads what the first one wrote. The file itself is replaced, so its folder
    // is locked.
    let is_change = !matches!(verb, OverrideVerb::List);
    let _exclusive = is_change.then(|| PathLock::wait(parent_folder(&file))).transpose()?;
    let mut corrections = read(&file)?;
    match verb {
        OverrideVerb::List => list(&file, &corrections, shared),
        OverrideVerb::Add(args) => {
            let correction = correction(*args, shared)?;
            let replaced = take(&mut corrections, &correction.network);
            let network = correction.network.clone();
            corrections.push(correction);
            write(&file, &corrections)?;
            let word = if replaced { "replaced" } else { "added" };
            note(&format!("{word} the correction of {network} in {}", file.display()));
            Ok(())
        }
        OverrideVerb::Remove(args) => {
            if !take(&mut corrections, &args.network) {
                bail!("{} has no correction of {}", file.display(), args.network);
            }
            write(&file, &corrections)?;
            note(&format!("removed the correction of {} from {}", args.network, file.display()));
            Ok(())
        }
    }
}

fn note(change: &str) {
    output::print_note(&format!("{change}; it takes effect with `ipgeo geo build`"));
}

/// The corrections in a file; a missing file has none.
pub(super) fn read(file: &Path) -> anyhow::Result<Vec<Correction>> {
    let bytes = match std::fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("read {}", file.display())),
    };
    read_corrections(&bytes).map_err(|fault| anyhow!("{}: {fault}", file.display()))
}

fn write(file: &Path, corrections: &[Correction]) -> anyhow::Result<()> {
    let text = write_corrections(corrections).map_err(|fault| anyhow!("{}: {fault}", file.display()))?;
    write_output(file, &text, Replace::Yes).with_context(|| format!("cannot write {}", file.display()))
}

/// Removes the correction of a network, however it is written; whether there was one.
fn take(corrections: &mut Vec<Correction>, network: &str) -> bool {
    let wanted = Correction { network: network.to_owned(), ..Correction::default() }.range_text();
    let before = corrections.len();
    corrections.retain(|known| known.range_text() != wanted || wanted.is_none());
    corrections.len() < before
}

/// The correction of these arguments; fails if it is invalid.
fn correction(args: AddArgs, shared: &Shared) -> anyhow::Result<Correction> {
    let mut correction = Correction {
        network: args.network.trim().to_owned(),
        city: args.city,
        region: args.region,
        region_code: args.region_code,
        country_code: args.country.to_uppercase(),
        postal: args.postal,
        latitude: args.latitude,
        longitude: args.longitude,
        time_zone: args.time_zone,
        note: args.note,
        date: today().to_string(),
    };
    let local = [&correction.city, &correction.region, &correction.region_code, &correction.postal];
    if correction.country_code.is_empty() && local.iter().any(|text| !text.is_empty()) {
        correction.country_code = known_country(&correction, shared).ok_or_else(|| {
            UsageError("the country of this network is not known\nhelp: pass --country CODE".to_owned())
        })?;
    }
    match correction.problem() {
        Some(fault) => Err(UsageError(fault).into()),
        None => Ok(correction),
    }
}

/// The country of a network's first address in the compiled database.
fn known_country(correction: &Correction, shared: &Shared) -> Option<String> {
    let (_, first) = correction.addresses()?;
    let database = Database::open(&served_database(&shared.state)).ok()?;
    let mut text = String::from("{");
    database.lookup(first)?.write_static(&mut text);
    let members: Value = serde_json::from_str(&(text + "}")).ok()?;
    members["country_code"].as_str().map(str::to_owned)
}

fn list(file: &Path, corrections: &[Correction], shared: &Shared) -> anyhow::Result<()> {
    if corrections.is_empty() {
        output::print_note(&format!("{} has no corrections", file.display()));
    }
    output::print_rows(shared.format(), &COLUMNS, corrections)
}

const COLUMNS: [ColumnOf<Correction>; 6] = [
    (Column::text("network"), |one| one.network.clone()),
    (Column::text("country"), |one| one.country_code.clone()),
    (Column::free_text("region").rank(1), |one| {
        if one.region.is_empty() { one.region_code.clone() } else { one.region.clone() }
    }),
    (Column::free_text("city"), |one| one.city.clone()),
    (Column::free_text("note").rank(3), |one| one.note.clone()),
    (Column::text("date").rank(2), |one| one.date.clone()),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corrections_fit_a_terminal() {
        let correction = Correction {
            network: "2001:db8:1234:5678::/64".to_owned(),
            country_code: "GB".to_owned(),
            region: "Isle of Anglesey".to_owned(),
            city: "Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch".to_owned(),
            note: "reported by a customer\nwith a photograph of the sign".to_owned(),
            date: "2026-11-24".to_owned(),
            ..Correction::default()
        };
        output::assert_tables("geo override list", || {
            output::format_rows(output::Format::Table, &COLUMNS, std::slice::from_ref(&correction))
                .expect("a table")
        });
    }
}
