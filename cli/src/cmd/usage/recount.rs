//! Counting the stream again: into the ledger, or into a shadow ledger beside it.

use std::time::Duration;

use anyhow::bail;
use ipgeo_runtime::dynamo::LedgerTable;
use ipgeo_runtime::store::{Alert, LedgerWrite, PublishWrite};
use ipgeo_runtime::usage::UsageHandler;
use jiff::Timestamp;

use crate::args::Shared;
use crate::aws::{Home, NoCredentials, UsageStream};
use crate::cmd::support::Target;
use crate::config::Config;
use crate::ui::output::{self, grouped};
use crate::ui::progress::Task;
use crate::usage::recount::{self, ReplaySpan, Replayed, ShadowName, Unpublished};
use crate::usage::stream::StreamCopy;
use crate::world::WorldFile;

/// Reads of a new table until it is active, and the pause between two.
const ACTIVE_LOOKS: u32 = 120;
const ACTIVE_PAUSE: Duration = Duration::from_secs(1);

/// Notes alerts that a recount recorded without sending them.
pub(super) fn note_unsent(alerts: &[Alert]) {
    if !alerts.is_empty() {
        output::print_note(&format!(
            "new alerts recorded but not sent: {}; `ipgeo usage alerts` lists them",
            grouped(alerts.len() as u64)
        ));
    }
}

pub(super) fn shadow_table(home: &Home, shadow: &ShadowName) -> LedgerTable {
    home.ledger.beside(shadow.table(home.ledger.name()))
}

pub(super) async fn wait_until_active(table: &LedgerTable) -> anyhow::Result<()> {
    for _look in 0..ACTIVE_LOOKS {
        if table.is_active().await? == Some(true) {
            return Ok(());
        }
        tokio::time::sleep(ACTIVE_PAUSE).await;
    }
    bail!("table {} is not ready after two minutes\nhelp: run the command again later", table.name())
}

/// A replay: of which stream, into which ledger, until when.
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

    /// Counts later records into a shadow ledger: each shard from where its counting stopped.
    pub(super) async fn catch_up(&self, table: &LedgerTable) -> anyhow::Result<Replayed> {
        self.to_shadow(table, self.until).await
    }

    pub(super) async fn to_ledger(&self, from: Timestamp) -> anyhow::Result<Replayed> {
        let counter = UsageHandler::new(self.home.ledger.clone(), self.home.access.clone());
        let span = ReplaySpan { from, until: self.until, since: None };
        self.run(&counter.with_alerts(self.config.alerts.thresholds.clone()).counting_again(), span).await
    }

    pub(super) async fn to_shadow(&self, table: &LedgerTable, from: Timestamp) -> anyhow::Result<Replayed> {
        let span = ReplaySpan { from, until: self.until, since: table.since().await? };
        self.run(&UsageHandler::new(table.clone(), Unpublished).counting_again(), span).await
    }

    async fn run<L: LedgerWrite + 'static, P: PublishWrite + 'static>(
        &self,
        counter: &UsageHandler<L, P>,
        span: ReplaySpan,
    ) -> anyhow::Result<Replayed> {
        let task = Task::items("counting the stream", "record", None);
        let report = |done: &Replayed| {
            task.set(done.records);
            task.set_share(done.share);
        };
        let done = if self.target.dev {
            let world = WorldFile::find(&self.shared.state)?;
            recount::replay(&StreamCopy::at(world.stream), counter, span, &report).await?
        } else {
            let stream = UsageStream::of_account(self.config, self.target.profile.name());
            let stream = stream.await.map_err(NoCredentials::or_dev)?;
            recount::replay(&stream, counter, span, &report).await?
        };
        task.done();
        Ok(done)
    }
}
