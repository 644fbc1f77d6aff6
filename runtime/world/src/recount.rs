//! Counting again: batches that Lambda gave up, and the whole stream. What the verbs `usage recover` and `usage replay` do, without
//! their command line.

use ipgeo_contract::Thresholds;
use ipgeo_runtime::dynamo::RecoveringLedger;
use ipgeo_runtime::usage::{Decoded, KinesisEvent, UsageHandler, decode};

use crate::home::{Home, THRESHOLDS};
use crate::run::World;
use crate::shared::lock;

/// `usage recover`: counts the records of all batches that Lambda gave up, in the order of their first records, and removes each
/// batch that is completely counted. Returns whether all are.
pub(crate) async fn recover(world: &World) -> bool {
    let (ledger, access) = Home::tables(&world.shared);
    let now = world.shared.clock(0);
    let counter = UsageHandler::new(RecoveringLedger::new(ledger, now, false), access);
    let thresholds = Thresholds::new(THRESHOLDS.to_vec()).unwrap_or_default();
    let counter = counter.with_alerts(thresholds);
    let mut batches = lock(&world.home.failed).clone();
    batches.sort_by_key(first);
    for batch in batches {
        for record in decode(&KinesisEvent { records: batch.records.clone() }, now).records {
            let one = Decoded { records: vec![record], ..Decoded::default() };
            let (response, report) = counter.count(one, now).await;
            if !response.batch_item_failures.is_empty() {
                return false;
            }
            world.home.send_alerts(&report.alerts).await;
        }
        lock(&world.home.failed).retain(|other| first(other) != first(&batch));
    }
    true
}

fn first(batch: &FailedBatch) -> Option<(String, String)> {
    let record = batch.records.first()?;
    Some((record.shard().to_owned(), record.kinesis.sequence_number.clone()))
}

/// Records that Lambda gave up together.
#[derive(Clone, Debug)]
pub struct FailedBatch {
    pub records: Vec<ipgeo_runtime::usage::KinesisRecord>,
}

/// `usage replay`, from the beginning of the stream to now.
pub(crate) async fn replay(world: &World) {
    let (ledger, access) = Home::tables(&world.shared);
    let thresholds = Thresholds::new(THRESHOLDS.to_vec()).unwrap_or_default();
    let counter = UsageHandler::new(ledger, access).with_alerts(thresholds).counting_again();
    let shards = lock(&world.pipes.stream).shards.len();
    let now = world.shared.clock(0);
    for shard in 0..shards {
        let records: Vec<_> = lock(&world.pipes.stream).shards[shard]
            .records
            .iter()
            .map(|(_, record)| record.clone())
            .collect();
        for batch in records.chunks(100) {
            let mut left = batch.to_vec();
            for _try in 0..5 {
                let (response, report) = counter.handle(&KinesisEvent { records: left.clone() }, now).await;
                world.home.send_alerts(&report.alerts).await;
                if counter.note(&report, now).await.is_err() {
                    return;
                }
                if !response.retain_failed(&mut left) {
                    break;
                }
            }
            if !left.is_empty() {
                return;
            }
        }
    }
}
