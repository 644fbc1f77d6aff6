//! Replaces the event source mapping: delivers a shard's records to the usage handler in batches, and retries each batch
//! until nothing in it fails. The position is saved, and the next run continues from there.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipgeo_runtime::dynamo::{AccessTable, LedgerTable};
use ipgeo_runtime::usage::{KinesisEvent, KinesisRecord, UsageHandler};
use jiff::Timestamp;
use tokio::sync::watch;

use super::alerts::AlertSink;
use super::faults::Faults;
use crate::usage::stream::{CountedPosition, StreamCopy};

const BATCH_MAX: usize = 100;
/// Wait before a failed batch is delivered again.
const RETRY_AFTER: Duration = Duration::from_millis(200);

pub(crate) type Handler = UsageHandler<LedgerTable, AccessTable>;

/// Delivers one shard's records.
pub(crate) struct Delivery {
    pub(crate) handler: Arc<Handler>,
    pub(crate) alerts: Arc<AlertSink>,
    /// The folder of the stream's copy.
    pub(crate) folder: PathBuf,
    pub(crate) shard: String,
    pub(crate) faults: Faults<KinesisRecord>,
}

impl Delivery {
    /// Delivers records that are not marked as counted, until the stream ends.
    pub(crate) async fn run(mut self, mut kept: watch::Receiver<()>) {
        let mut counted = loop {
            match CountedPosition::open(&self.folder, &self.shard) {
                Ok(counted) => break counted,
                Err(error) => self.wait(&error).await,
            }
        };
        let stream = StreamCopy::at(&self.folder);
        let mut position = counted.position;
        loop {
            kept.mark_unchanged();
            let (records, after) = match stream.records(&self.shard, position) {
                Ok(page) => page,
                Err(error) => {
                    self.wait(&error).await;
                    continue;
                }
            };
            if records.is_empty() {
                if kept.changed().await.is_err() {
                    return;
                }
                continue;
            }
            let records: Vec<KinesisRecord> = records.into_iter().map(|kept| kept.record).collect();
            for batch in records.chunks(BATCH_MAX) {
                for delivery in self.faults.deliveries(batch.to_vec()) {
                    self.until_counted(delivery).await;
                }
            }
            position = after;
            if let Err(error) = counted.note(position) {
                // Without a saved position the next run delivers these records again, and the ledger skips them.
                crate::ui::output::print_note(&format!("usage: can't save the counting position: {error}"));
            }
        }
    }

    async fn wait(&self, error: &std::io::Error) {
        crate::ui::output::print_note(&format!("usage: {} can't be read: {error}", self.shard));
        tokio::time::sleep(RETRY_AFTER * 5).await;
    }

    async fn until_counted(&self, mut batch: Vec<KinesisRecord>) {
        loop {
            let event = KinesisEvent { records: batch.clone() };
            let (mut response, report) = self.handler.handle(&event, Timestamp::now()).await;
            for failure in &report.failures {
                crate::ui::output::print_note(&format!("usage: {failure}"));
            }
            let noted =
                self.handler.note_or_redeliver(&event, &report, Timestamp::now(), &mut response).await;
            if let Err(error) = noted {
                crate::ui::output::print_note(&format!("usage: {error}"));
            }
            for alert in &report.alerts {
                self.alerts.send(alert).await;
            }
            if !response.retain_failed(&mut batch) {
                return;
            }
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }
}
