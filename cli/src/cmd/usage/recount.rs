//! Counting the stream again: into the ledger, or into a generation beside it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use ipgeo_runtime::dynamo::LedgerTable;
use ipgeo_runtime::store::{LedgerWrite, PublishWrite};
use ipgeo_runtime::usage::UsageHandler;
use jiff::Timestamp;

use crate::args::Shared;
use crate::aws::{Home, NoCredentials, UsageStream};
use crate::cmd::support::Target;
use crate::config::Config;
use crate::ui::output::{self, grouped};
use crate::usage::recount::{self, Generation, Replayed, Span, Unpublished};
use crate::usage::stream::KeptStream;
use crate::world::WorldFile;

/// Records between two words about progress.
const TELL_EVERY: u64 = 5_000;
/// Looks at a new table until it can be used, and the pause between two.
const ACTIVE_LOOKS: u32 = 120;
const ACTIVE_PAUSE: Duration = Duration::from_secs(1);

pub(super) fn generation_table(home: &Home, generation: &Generation) -> LedgerTable {
    home.ledger.beside(generation.table(home.ledger.name()))
}

pub(super) async fn wait_until_active(table: &LedgerTable) -> anyhow::Result<()> {
    for _look in 0..ACTIVE_LOOKS {
        if table.is_active().await? == Some(true) {
            return Ok(());
        }
        tokio::time::sleep(ACTIVE_PAUSE).await;
    }
    bail!("table {} is not ready after two minutes; run the same again later", table.name())
}

/// What a replay is of: which world, which ledger, until when.
pub(super) struct Work<'a> {
    home: &'a Home,
    target: &'a Target,
    config: &'a Config,
    shared: &'a Shared,
    until: Timestamp,
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

    pub(super) async fn to_ledger(&self, from: Timestamp) -> anyhow::Result<Replayed> {
        let counter = UsageHandler::new(self.home.ledger.clone(), self.home.access.clone());
        let span = Span { from, until: self.until, since: None };
        self.run(&counter.with_alerts(self.config.alerts.thresholds.clone()).counting_again(), span).await
    }

    pub(super) async fn to_generation(
        &self,
        table: &LedgerTable,
        from: Timestamp,
    ) -> anyhow::Result<Replayed> {
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
                let (read, added) = (grouped(done.records), grouped(done.added));
                output::say(&format!("{read} records read, {added} charges added"));
            }
        };
        if self.target.dev {
            let world = WorldFile::find(&self.shared.state)?;
            let folder = world.stream.context("this world keeps no copy of its stream")?;
            return Ok(recount::replay(&KeptStream::at(folder), counter, span, &tell).await?);
        }
        let stream = UsageStream::of_account(self.config, self.target.profile.name())
            .await
            .map_err(NoCredentials::or_dev)?;
        Ok(recount::replay(&stream, counter, span, &tell).await?)
    }
}
