//! `ipgeo geo pin`.

use anyhow::bail;
use clap::Args;
use jiff::civil::Date;
use serde::Serialize;

use crate::args::Shared;
use crate::cmd::support::load_config;
use crate::geo::sources::{self, Lock, LockError};
use crate::ui::output::{self, Column, ColumnOf, Format, UsageError};

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  ipgeo geo pin dbip-city                    the current files, by digest
  ipgeo geo pin dbip-city --date 2026-06-30  data of this day or earlier
  ipgeo geo pin dbip-city --release")]
pub(crate) struct PinArgs {
    /// Source to pin [default: list the pins]
    #[arg(value_name = "SOURCE")]
    source: Option<String>,
    /// Pin to data of this day or earlier [default: the current files]
    #[arg(long, value_name = "DATE", requires = "source", value_parser = day)]
    date: Option<Date>,
    /// Remove the pin
    #[arg(long, requires = "source", conflicts_with = "date")]
    release: bool,
}

/// A pin and the files that it locks.
#[derive(Debug, Default, Serialize)]
struct PinRow {
    source: String,
    /// The newest data that may be fetched; `None`: the files that are locked now.
    until: Option<Date>,
    sha256: Vec<String>,
}

fn day(text: &str) -> Result<Date, String> {
    text.parse().map_err(|_| format!("`{text}` is not a day; write it as `2026-06-30`"))
}

/// Pins a source, releases it, or lists the pins.
pub(super) fn run(args: &PinArgs, shared: &Shared) -> anyhow::Result<()> {
    let (config, path) = load_config(shared)?;
    let lock_path = Lock::path(&path);
    let mut lock = Lock::read(&lock_path)?.unwrap_or_default();
    if let Some(source) = &args.source {
        if lock.pin(source).is_none() && config.geo.sources.iter().all(|known| known.name != *source) {
            bail!(UsageError::new(LockError::NoSource(source.clone())));
        }
        if args.release {
            lock.pins.retain(|pin| pin.source != *source);
        } else {
            sources::pin(&config, &mut lock, source, args.date)?;
        }
        lock.write(&lock_path)?;
    }
    if lock.pins.is_empty() {
        output::print_note("no source is pinned");
    }
    let row = |pin: &sources::Pin| PinRow {
        source: pin.source.clone(),
        until: pin.until,
        sha256: lock.files_of(&pin.source).map(|file| file.sha256.clone()).collect(),
    };
    let pins: Vec<PinRow> = lock.pins.iter().map(row).collect();
    if !lock.pins.is_empty() || shared.format() != Format::Table {
        output::print_rows(shared.format(), &COLUMNS, &pins)?;
    }
    Ok(())
}

const COLUMNS: [ColumnOf<PinRow>; 2] = [
    (Column::text("source"), |pin| pin.source.clone()),
    (Column::free_text("pinned to"), |pin| {
        let files: Vec<&str> = pin.sha256.iter().filter_map(|digest| digest.get(..12)).collect();
        let until = pin.until.map(|date| format!("{date} or earlier")).unwrap_or_default();
        [until, files.join(" ")].join(" ").trim().to_owned()
    }),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_fit_a_terminal() {
        let digests = ["0123456789abcdef".repeat(4), "fedcba9876543210".repeat(4)];
        let pins = [
            PinRow {
                source: "dbip-city-lite".to_owned(),
                until: "2026-11-01".parse().ok(),
                sha256: vec!["0123456789abcdef".repeat(4)],
            },
            PinRow {
                source: "geolite2-city".to_owned(),
                until: None,
                sha256: [digests.clone(), digests].concat(),
            },
        ];
        output::assert_tables("geo pin", || {
            output::format_rows(Format::Table, &COLUMNS, &pins).expect("a table")
        });
    }
}
