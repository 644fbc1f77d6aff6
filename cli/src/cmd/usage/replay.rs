//! `ipgeo usage replay` and `ipgeo usage rebuild`.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, bail};
use clap::Args;
use ipgeo_runtime::dynamo::LedgerTable;
use ipgeo_runtime::store::{LedgerWrite, PublishWrite};
use ipgeo_runtime::usage::UsageHandler;
use jiff::Timestamp;

use super::generation::{generation_table, wait_until_active};
use crate::aws::{Home, NoCredentials, UsageStream};
use crate::cli::Shared;
use crate::cmd::numbers::since;
use crate::cmd::{Target, load_config};
use crate::config::Config;
use crate::ui::format::counted;
use crate::ui::output::{self, Column, Format, grouped};
use crate::usage::recount::{self, Generation, Replayed, Span, Unpublished};
use crate::usage::stream::KeptStream;
use crate::world::WorldFile;

/// Records between two words about progress.
const TELL_EVERY: u64 = 5_000;

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

/// What a replay is of: which world, which ledger, until when.
pub(super) struct Work<'a> {
    home: &'a Home,
    target: &'a Target,
    config: &'a Config,
    shared: &'a Shared,
    until: Timestamp,
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
        output::print_note(&format!("compare it: ipgeo usage diff {generation}"));
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

impl<'a> Work<'a> {
    pub(super) fn new(
        home: &'a Home,
        target: &'a Target,
        config: &'a Config,
        shared: &'a Shared,
        until: Timestamp,
    ) -> Self {
        Self { home, target, config, shared, until }
    }

    /// Counts later records into a generation: each shard from where its counting stopped.
    pub(super) async fn catch_up(&self, table: &LedgerTable) -> anyhow::Result<Replayed> {
        self.to_generation(table, self.until).await
    }

    async fn to_ledger(&self, from: Timestamp) -> anyhow::Result<Replayed> {
        let counter = UsageHandler::new(self.home.ledger.clone(), self.home.access.clone());
        let span = Span { from, until: self.until, since: None };
        self.run(&counter.with_alerts(self.config.alerts.thresholds.clone()).counting_again(), span).await
    }

    async fn to_generation(&self, table: &LedgerTable, from: Timestamp) -> anyhow::Result<Replayed> {
        let span = Span { from, until: self.until, since: table.since().await? };
        self.run(&UsageHandler::new(table.clone(), Unpublished).counting_again(), span).await
    }

    async fn run<L: LedgerWrite + 'static, P: PublishWrite + 'static>(
        &self,
        counter: &UsageHandler<L, P>,
        span: Span,
    ) -> anyhow::Result<Replayed> {
        let told = AtomicU64::new(0);
        let tell = |done: &Replayed| {
            let thousands = done.records / TELL_EVERY;
            if told.swap(thousands, Ordering::Relaxed) < thousands {
                let (read, added) = (counted(done.records, "record"), counted(done.added, "charge"));
                output::print_note(&format!("{read} read, {added} added"));
            }
        };
        if self.target.dev {
            let world = WorldFile::find(&self.shared.state)?;
            let folder = world.stream.context("this world keeps no copy of its stream")?;
            return Ok(recount::replay(&KeptStream::at(folder), counter, span, &tell).await?);
        }
        let stream = UsageStream::of_account(self.config, self.target.profile.as_deref())
            .await
            .map_err(NoCredentials::or_dev)?;
        Ok(recount::replay(&stream, counter, span, &tell).await?)
    }
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
    let text = output::format_rows(shared.format(), &COLUMNS, std::slice::from_ref(done), |done| {
        [done.shards, done.records, done.events, done.added, done.known, done.repeated_events]
            .map(grouped)
            .to_vec()
    })?;
    output::print_data(&text)?;
    if shared.format() == Format::Table {
        let rest = if done.unreadable > 0 {
            format!("; unreadable records and lines: {}", grouped(done.unreadable))
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
    if !done.alerts.is_empty() {
        let alerts = counted(done.alerts.len(), "new alert");
        output::print_note(&format!("{alerts} recorded but not sent; list them with `ipgeo usage alerts`"));
    }
    Ok(())
}
