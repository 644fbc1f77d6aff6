//! `ipgeo usage replay` and `ipgeo usage rebuild`.

use anyhow::bail;
use clap::Args;
use jiff::Timestamp;

use super::recount::{Work, note_unsent, shadow_table, wait_until_active};
use crate::args::Shared;
use crate::cmd::support::numbers::since;
use crate::cmd::support::{Target, load_config};
use crate::ui::format::counted;
use crate::ui::output::{self, Column, ColumnOf, Format, grouped};
use crate::usage::recount::{Replayed, ShadowName};

#[derive(Debug, Args)]
#[command(after_long_help = "\
Into the ledger: each item knows how far it is counted, so a replay adds only what comes after \
that and counts nothing twice. A shard whose counting has not reached TIME is read from where \
counting stopped, so that no event is skipped.
Into a shadow ledger (created if missing): everything is counted from zero, and nothing is published.
The stream keeps a day. Reading starts 15 minutes before TIME, to recognise lines that are in the stream \
twice; `usage diff` ignores those 15 minutes.

Examples:
  ipgeo usage replay --dev --from 2h
  ipgeo usage replay --from 2026-11-24T00:00:00Z --into check
  ipgeo usage diff check")]
pub(crate) struct ReplayArgs {
    /// Start: 2h (ago), 2026-11-24 (00:00 UTC), or a time
    #[arg(long, value_name = "TIME", value_parser = since)]
    from: Timestamp,
    /// Count into this shadow ledger [default: the ledger]
    #[arg(long, value_name = "NAME")]
    into: Option<ShadowName>,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
A ledger restored from a backup has counted up to the time of the backup. This counts the later events.
Restore into a shadow ledger (a table named <ledger>-<name>) while the counter keeps running, then compare \
it with `usage diff` and adopt it with `usage adopt`. Without --into, the ledger itself is rebuilt: stop the \
counter first, because what it counts meanwhile hides what is missing.

Examples:
  aws dynamodb restore-table-to-point-in-time \\
      --source-table-name ipgeo-prod-ledger \\
      --target-table-name ipgeo-prod-ledger-restored \\
      --restore-date-time 2026-11-24T06:00:00Z
  ipgeo usage rebuild --into restored")]
pub(crate) struct RebuildArgs {
    /// Rebuild this shadow ledger [default: the ledger]
    #[arg(long, value_name = "NAME")]
    into: Option<ShadowName>,
    #[command(flatten)]
    target: Target,
}

pub(super) async fn replay(args: ReplayArgs, shared: &Shared, now: Timestamp) -> anyhow::Result<()> {
    let from = args.from;
    let (config, _) = load_config(shared)?;
    let home = args.target.home(shared, &config).await?;
    let work = Work::new(&home, &args.target, &config, shared, now);
    let done = match &args.into {
        None => work.to_ledger(from).await?,
        Some(shadow) => {
            let table = shadow_table(&home, shadow);
            let fresh = table.is_active().await?.is_none();
            table.ensure().await?;
            wait_until_active(&table).await?;
            if fresh {
                table.set_since(from).await?;
            }
            work.to_shadow(&table, from).await?
        }
    };
    print(&done, shared)?;
    if let Some(shadow) = &args.into {
        output::print_note(&format!("compare it with the ledger: ipgeo usage diff {shadow}"));
    }
    Ok(())
}

pub(super) async fn rebuild(args: RebuildArgs, shared: &Shared, now: Timestamp) -> anyhow::Result<()> {
    let (config, _) = load_config(shared)?;
    let home = args.target.home(shared, &config).await?;
    let work = Work::new(&home, &args.target, &config, shared, now);
    let mut done = match &args.into {
        None => work.to_ledger(now).await?,
        Some(shadow) => {
            let table = shadow_table(&home, shadow);
            if table.is_active().await?.is_none() {
                bail!(
                    "table {} does not exist\nhelp: restore a backup of the ledger under this name",
                    table.name()
                );
            }
            work.catch_up(&table).await?
        }
    };
    // No start time was given.
    done.earlier_shards = 0;
    print(&done, shared)
}

const COLUMNS: [ColumnOf<Replayed>; 6] = [
    (Column::number("shards"), |done| grouped(done.shards)),
    (Column::number("records"), |done| grouped(done.records)),
    (Column::number("events"), |done| grouped(done.events)),
    (Column::number("added"), |done| grouped(done.added)),
    (Column::number("known"), |done| grouped(done.known)),
    (Column::number("repeated"), |done| grouped(done.repeated_events)),
];

fn print(done: &Replayed, shared: &Shared) -> anyhow::Result<()> {
    output::print_rows(shared.format(), &COLUMNS, std::slice::from_ref(done))?;
    if shared.format() == Format::Table {
        let rest = if done.unreadable > 0 {
            format!("; unreadable records or lines: {}", grouped(done.unreadable))
        } else {
            String::new()
        };
        output::print_note(&format!(
            "{} added, {} already counted{rest}",
            counted(done.added, "charge"),
            grouped(done.known)
        ));
    }
    if done.earlier_shards > 0 {
        output::print_note(&format!(
            "{} read from the last counted record, which is before the requested time",
            counted(done.earlier_shards, "shard")
        ));
    }
    note_unsent(&done.alerts);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_fits_a_terminal() {
        let done = Replayed {
            shards: 2,
            records: 1_234_567,
            events: 9_876_543,
            added: 9_876_000,
            known: 543,
            ..Replayed::default()
        };
        for verb in ["usage replay", "usage rebuild"] {
            output::assert_tables(verb, || {
                output::format_rows(Format::Table, &COLUMNS, std::slice::from_ref(&done)).expect("a table")
            });
        }
    }
}
