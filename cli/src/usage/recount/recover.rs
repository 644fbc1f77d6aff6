//! Counts failed batches. Records that Lambda gave up are below the watermarks of later ones, so watermarks do not show
//! whether they were counted. [`RecoveringLedger`] can, and adds each event once.

use std::sync::Arc;

use ipgeo_contract::{Identity, Limit, Published, Thresholds, padded_sequence};
use ipgeo_runtime::dynamo::RecoveringLedger;
use ipgeo_runtime::store::{Alert, Applied, LedgerUpdate, LedgerWrite, PublishWrite, StoreError};
use ipgeo_runtime::usage::{Decoded, KinesisEvent, KinesisRecord, Report, UsageHandler, decode};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::usage::stream::FailedBatches;

/// The result of a recovery.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Recovered {
    pub objects: u64,
    pub records: u64,
    /// Usage events in them.
    pub events: u64,
    /// Charges that were not counted yet; an event has one, or two if it names an address and a site.
    pub added: u64,
    /// Charges that were counted before Lambda gave up, or already recovered.
    pub known: u64,
    /// Records passed by a counter version that did not record gaps: which of their events it counted is unknown, and what it
    /// may have counted is treated as counted.
    pub undecided_records: u64,
    /// Objects, records and lines that can't be read.
    pub unreadable: u64,
    pub publications: u64,
    /// Objects removed.
    pub removed: u64,
    /// Objects that can't be read.
    #[serde(skip)]
    pub unreadable_objects: Vec<String>,
    #[serde(skip)]
    pub alerts: Vec<Alert>,
}

/// What Lambda writes to the bucket: the event as a JSON string, with details of the failure.
#[derive(Deserialize)]
struct Invocation {
    payload: Payload,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Payload {
    Text(String),
    Event(KinesisEvent),
}

/// The event in an object; `None` if Lambda did not write it.
fn event_of(bytes: &[u8]) -> Option<KinesisEvent> {
    match serde_json::from_slice::<Invocation>(bytes).ok()?.payload {
        Payload::Event(event) => Some(event),
        Payload::Text(text) => serde_json::from_str(&text).ok(),
    }
}

/// A ledger that many writes share.
struct Shared(Arc<RecoveringLedger>);

impl LedgerWrite for Shared {
    async fn apply(&self, update: &LedgerUpdate) -> Result<Applied, StoreError> {
        self.0.apply(update).await
    }

    async fn record_alert(&self, alert: &Alert) -> Result<bool, StoreError> {
        self.0.record_alert(alert).await
    }
}

/// Publishes what was recovered; does nothing in a preview.
struct Publish<P>(Option<P>);

impl<P: PublishWrite> PublishWrite for Publish<P> {
    async fn publish(
        &self,
        identity: &Identity,
        limit: Limit,
        published: Published,
    ) -> Result<Option<Limit>, StoreError> {
        match &self.0 {
            Some(publish) => publish.publish(identity, limit, published).await,
            None => Ok(None),
        }
    }
}

impl Recovered {
    fn count(&mut self, report: Report) {
        self.records += report.records;
        self.events += report.events;
        self.added += report.added;
        self.known += report.known;
        self.publications += report.publications;
        self.alerts.extend(report.alerts);
    }
}

/// The names of readable objects, in the order of their first records (Lambda's names only have a resolution of seconds).
/// An item that was not written since accepts events only in shard order.
async fn in_order<B: FailedBatches>(batches: &B, done: &mut Recovered) -> Result<Vec<String>, StoreError> {
    let mut found = Vec::new();
    for name in batches.names().await? {
        done.objects += 1;
        match event_of(&batches.read(&name).await?) {
            Some(event) => {
                let place = |record: &KinesisRecord| {
                    let sequence = padded_sequence(&record.kinesis.sequence_number);
                    (record.shard().to_owned(), sequence.unwrap_or_default())
                };
                found.push((event.records.iter().map(place).min(), name));
            }
            None => {
                done.unreadable += 1;
                done.unreadable_objects.push(name);
            }
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, name)| name).collect())
}

/// Counts all failed batches into a ledger; with `publish`, publishes usage that crosses a step; with `remove`, deletes
/// objects that are completely counted. After any failure, it is safe to run again.
pub(crate) async fn recover<B, P>(
    batches: &B,
    ledger: RecoveringLedger,
    publish: Option<P>,
    thresholds: Thresholds,
    now: Timestamp,
    remove: bool,
    on_progress: &(dyn Fn(&Recovered) + Sync),
) -> Result<Recovered, StoreError>
where
    B: FailedBatches,
    P: PublishWrite + 'static,
{
    let ledger = Arc::new(ledger);
    let counter = UsageHandler::new(Shared(Arc::clone(&ledger)), Publish(publish));
    let counter = counter.with_alerts(thresholds).counting_again();
    let mut done = Recovered::default();
    for name in in_order(batches, &mut done).await? {
        let Some(event) = event_of(&batches.read(&name).await?) else { continue };
        let before = (done.unreadable, done.undecided_records);
        let decoded = decode(&event, now);
        done.unreadable += decoded.skipped.unreadable();
        // One at a time: markers are kept per item and record.
        for record in decoded.records {
            done.undecided_records += u64::from(ledger.is_undecided(&record.shard, &record.sequence).await?);
            let one = Decoded { records: vec![record], ..Decoded::default() };
            let (response, report) = counter.count(one, now).await;
            if !response.batch_item_failures.is_empty() {
                let why = report.failures.join("; ");
                return Err(StoreError { action: format!("counting of {name}"), source: why.into() });
            }
            done.count(report);
            on_progress(&done);
        }
        if remove && before == (done.unreadable, done.undecided_records) {
            batches.remove(&name).await?;
            done.removed += 1;
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_read_as_lambda_writes_it() {
        let event = r#"{"Records":[{"kinesis":{"kinesisSchemaVersion":"1.0","partitionKey":"p","sequenceNumber":"17","data":"aGk=","approximateArrivalTimestamp":1795522627.042},"eventSource":"aws:kinesis","eventID":"shardId-000000000001:17"}]}"#;
        let about = r#""requestContext":{"requestId":"c9b8fa9f","functionArn":"arn:aws:lambda:eu-central-1:123456789012:function:ipgeo-prod-usage","condition":"RecordAgeExceeded","approximateInvokeCount":9},"version":"1.0","timestamp":"2026-11-24T12:00:00.021Z","KinesisBatchInfo":{"shardId":"shardId-000000000001","startSequenceNumber":"17","endSequenceNumber":"17","batchSize":1}"#;
        let text = serde_json::to_string(event).expect("JSON");
        for payload in [text.as_str(), event] {
            let object = format!(r#"{{{about},"payload":{payload}}}"#);
            let read = event_of(object.as_bytes()).expect("an event");
            assert_eq!((read.records.len(), read.records[0].shard()), (1, "shardId-000000000001"));
        }
        for junk in ["", "[]", "{}", r#"{"payload":7}"#, r#"{"payload":"hi"}"#, &format!("{{{about}}}")] {
            assert!(event_of(junk.as_bytes()).is_none(), "{junk}");
        }
    }
}
