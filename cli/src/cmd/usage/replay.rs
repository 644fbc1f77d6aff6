//! `ipgeo usage replay` and `ipgeo usage rebuild`.

use anyhow::bail;
use clap::Args;
use jiff::Timestamp;

use super::recount::{Work, generation_table, wait_until_active};
use crate::args::Shared;
use crate::cmd::support::numbers::since;
use crate::cmd::support::{Target, load_config};
use crate::ui::output::{self, Column, Format, grouped};
use crate::usage::recount::{Generation, Replayed};

/// Flags of `ipgeo usage replay`.
#[derive(Debug, Args)]
#[command(after_help = "\
Into the ledger: each item knows how far it is counted, so a replay adds only what comes after
that and counts nothing twice. A shard whose counting has not reached TIME is read from where
counting stopped, so that no event is passed over.
Into a generation (a second ledger, created if missing): everything is counted from zero, and
nothing is published.
The stream keeps a day. Reading starts a quarter of an hour before TIME, to recognise lines that
are in the stream twice. That quarter is not a whole day, so `usage diff` skips it.
Examples:
  ipgeo usage replay --dev --from 2h
  ipgeo usage replay --from 2026-11-24T00:00:00Z --into check
  ipgeo usage diff check")]
pub struct ReplayArgs {
    /// From when on: 2h (ago), 2026-11-24 (its beginning, UTC), or an instant
    #[arg(long, value_name = "TIME", value_parser = since)]
    from: Timestamp,
    /// The generation to count into; else the ledger itself
    #[arg(long, value_name = "GENERATION")]
    into: Option<Generation>,
    #[command(flatten)]
    target: Target,
}

/// Flags of `ipgeo usage rebuild`.
#[derive(Debug, Args)]
#[command(after_help = "\
A ledger that was restored from a backup has counted up to the time of the backup. This counts what came after, from
where its newest count stands. Restore into a generation (a table named <ledger>-<generation>) while the counter
runs; then compare it with `usage diff` and take it over with `usage adopt`:
  aws dynamodb restore-table-to-point-in-time --source-table-name ipgeo-prod-ledger \\
      --target-table-name ipgeo-prod-ledger-restored --restore-date-time 2026-11-24T06:00:00Z
  ipgeo usage rebuild --into restored
Without --into it is the ledger itself: stop the counter before, or what it counts meanwhile hides what is missing.")]
pub struct RebuildArgs {
    /// The generation that was restored; else the ledger itself
    #[arg(long, value_name = "GENERATION")]
    into: Option<Generation>,
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
        Some(generation) => {
            let table = generation_table(&home, generation);
            let fresh = table.is_active().await?.is_none();
            table.ensure().await?;
            wait_until_active(&table).await?;
            if fresh {
                table.set_since(from).await?;
            }
            work.to_generation(&table, from).await?
        }
    };
    print(&done, shared)?;
    if let Some(generation) = &args.into {
        output::say(&format!("compare it: ipgeo usage diff {generation}"));
    }
    Ok(())
}

pub(super) async fn rebuild(args: RebuildArgs, shared: &Shared, now: Timestamp) -> anyhow::Result<()> {
    let (config, _) = load_config(shared)?;
    let home = args.target.home(shared, &config).await?;
    let work = Work::new(&home, &args.target, &config, shared, now);
    let mut done = match &args.into {
        None => work.to_ledger(now).await?,
        Some(generation) => {
            let table = generation_table(&home, generation);
            if table.is_active().await?.is_none() {
                bail!("there is no table {}; restore a backup of the ledger under this name", table.name());
            }
            work.catch_up(&table).await?
        }
    };
    // No start time was given.
    done.earlier_shards = 0;
    print(&done, shared)
}

const COLUMNS: [Column; 6] = [
    Column::number("shards"),
    Column::number("records"),
    Column::number("events"),
    Column::number("added"),
    Column::number("known"),
    Column::number("repeated"),
];

fn print(done: &Replayed, shared: &Shared) -> anyhow::Result<()> {
    let text = output::rows(shared.format(), &COLUMNS, std::slice::from_ref(done), |done| {
        [done.shards, done.records, done.events, done.added, done.known, done.repeated_events]
            .map(grouped)
            .to_vec()
    })?;
    output::data(&text)?;
    if shared.format() == Format::Table {
        let rest = if done.unreadable > 0 {
            format!("; {} records or lines can't be read", grouped(done.unreadable))
        } else {
            String::new()
        };
        output::say(&format!(
            "{} charges added, {} already counted{rest}",
            grouped(done.added),
            grouped(done.known)
        ));
    }
    if done.earlier_shards > 0 {
        output::say(&format!(
            "{} shards were read from their last counted record, which is before the requested time",
            grouped(done.earlier_shards)
        ));
    }
    if !done.alerts.is_empty() {
        let count = grouped(done.alerts.len() as u64);
        output::say(&format!(
            "{count} alerts are new and were recorded, not sent: `ipgeo usage alerts` lists them"
        ));
    }
    Ok(())
}
