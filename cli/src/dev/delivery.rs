//! The event source mapping on a laptop: a shard's records go to the usage handler in batches, again and
//! again until nothing of a batch fails.

use std::time::Duration;

use ipgeo_contract::padded_sequence;
use ipgeo_runtime::dynamo::{AccessTable, LedgerTable};
use ipgeo_runtime::usage::{KinesisEvent, KinesisRecord, UsageHandler};
use jiff::Timestamp;
use tokio::sync::mpsc::UnboundedReceiver;

use super::alerts::AlertSink;
use super::faults::Faults;

/// Records in one batch.
const BATCH_MAX: usize = 100;
/// Wait before a failed batch is delivered again.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// The handler as it runs here.
pub(crate) type Handler = UsageHandler<LedgerTable, AccessTable>;

/// Delivers a shard's records until the stream has ended.
pub(crate) async fn deliver(
    handler: std::sync::Arc<Handler>,
    alerts: std::sync::Arc<AlertSink>,
    mut records: UnboundedReceiver<KinesisRecord>,
    mut faults: Faults<KinesisRecord>,
) {
    let mut batch = Vec::new();
    while records.recv_many(&mut batch, BATCH_MAX).await > 0 {
        for delivery in faults.deliveries(std::mem::take(&mut batch)) {
            until_counted(&handler, &alerts, delivery).await;
        }
    }
}

async fn until_counted(handler: &Handler, alerts: &AlertSink, mut batch: Vec<KinesisRecord>) {
    loop {
        let (response, report) =
            handler.handle(&KinesisEvent { records: batch.clone() }, Timestamp::now()).await;
        for failure in &report.failures {
            crate::output::say(&format!("usage: {failure}"));
        }
        if let Err(error) = handler.note(&report, Timestamp::now()).await {
            crate::output::say(&format!("usage: {error}"));
        }
        for alert in &report.alerts {
            alerts.send(alert).await;
        }
        let sequence = |text: &str| padded_sequence(text).unwrap_or_default();
        let failed = response.batch_item_failures.iter().map(|failure| sequence(&failure.item_identifier));
        let Some(lowest) = failed.min() else { return };
        batch.retain(|record| sequence(&record.kinesis.sequence_number) >= lowest);
        tokio::time::sleep(RETRY_AFTER).await;
    }
}
