//! Counts failed batches of the counter. Records that Lambda gave up are below the watermarks of later ones, so watermarks do not
//! show whether they were counted. [`RecoveringLedger`] can, and adds each event once. Failed batches of forwarders are not in the
//! stream: `forwarded` puts them there.

use std::sync::Arc;

use ipgeo_contract::{Identity, Limit, Published, Thresholds, error_chain, padded_sequence};
use ipgeo_runtime::dynamo::RecoveringLedger;
use ipgeo_runtime::forward::LogsEvent;
use ipgeo_runtime::store::{Alert, Applied, LedgerUpdate, LedgerWrite, PublishWrite, ShardNote, StoreError};
use ipgeo_runtime::usage::{Decoded, KinesisEvent, KinesisRecord, Report, UsageHandler, decode};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::forwarded::{is_readable, put_again};
use crate::usage::stream::{FailedBatches, StreamPut};

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Recovered {
    pub objects: u64,
    pub records: u64,
    /// Usage events in them.
    pub events: u64,
    /// Charges that were not counted yet; an event has one, or two if it names an address and a site.
    pub added: u64,
    /// Charges that were counted before Lambda gave up, or already recovered, and events that repeat counted lines.
    pub known: u64,
    /// Batches of forwarders that were put into the stream, where the counter counts them.
    pub forwarded: u64,
    /// Records passed by a counter version that did not record gaps: which of their events it counted is unknown, and what it
    /// may have counted is treated as counted.
    pub undecided_records: u64,
    /// Objects, records and lines that can't be read.
    pub unreadable: u64,
    pub publications: u64,
    pub removed: u64,
    /// Buckets and objects that could not be recovered, and why.
    #[serde(skip)]
    pub problems: Vec<String>,
    #[serde(skip)]
    pub alerts: Vec<Alert>,
}

/// What Lambda writes to a bucket, with details of the failure: for a stream, the event as a JSON string; for an
/// asynchronous invocation, the event itself.
#[derive(Deserialize)]
#[serde(untagged)]
enum Invocation {
    Counter {
        payload: Payload,
    },
    Forwarder {
        #[serde(rename = "requestPayload")]
        request: LogsEvent,
    },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Payload {
    Text(String),
    Event(KinesisEvent),
}

#[derive(Debug)]
pub(super) enum FailedBatch {
    /// Of the counter: records of the stream.
    Records(KinesisEvent),
    /// Of a forwarder: usage lines on their way to the stream.
    Lines(LogsEvent),
}

impl FailedBatch {
    /// `None` if Lambda did not write it, or if the stream's counter could not read it.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        match serde_json::from_slice(bytes).ok()? {
            Invocation::Counter { payload: Payload::Event(event) } => Some(Self::Records(event)),
            Invocation::Counter { payload: Payload::Text(text) } => {
                serde_json::from_str(&text).ok().map(Self::Records)
            }
            Invocation::Forwarder { request } => is_readable(&request).then_some(Self::Lines(request)),
        }
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

    async fn shard_note(&self, shard: &str) -> Result<Option<ShardNote>, StoreError> {
        self.0.shard_note(shard).await
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
        self.known += report.known + report.repeated_events;
        self.publications += report.publications;
        self.alerts.extend(report.alerts);
    }
}

#[derive(Debug, Default, PartialEq)]
pub(super) struct FoundBatches {
    /// The counter's, in the order of their first records (Lambda's names only have a resolution of seconds). An item that was
    /// not written since accepts events only in shard order.
    pub(super) records: Vec<String>,
    /// The forwarders'.
    pub(super) lines: Vec<String>,
}

impl FoundBatches {
    pub(super) async fn of<B: FailedBatches>(batches: &B, done: &mut Recovered) -> Result<Self, StoreError> {
        let (mut records, mut lines) = (Vec::new(), Vec::new());
        for name in batches.names().await? {
            done.objects += 1;
            match FailedBatch::read(&batches.read(&name).await?) {
                Some(FailedBatch::Records(event)) => {
                    let position = |record: &KinesisRecord| {
                        let sequence = padded_sequence(&record.kinesis.sequence_number);
                        (record.shard().to_owned(), sequence.unwrap_or_default())
                    };
                    records.push((event.records.iter().map(position).min(), name));
                }
                Some(FailedBatch::Lines(_)) => lines.push(name),
                None => {
                    done.unreadable += 1;
                    done.problems
                        .push(format!("{}/{name}: not a failed batch written by Lambda", batches.place()));
                }
            }
        }
        records.sort();
        Ok(Self { records: records.into_iter().map(|(_, name)| name).collect(), lines })
    }
}

pub(crate) struct Recovery<P, S> {
    pub(crate) ledger: RecoveringLedger,
    /// Publishes usage that crosses a step; `None` in a preview.
    pub(crate) publish: Option<P>,
    pub(crate) thresholds: Thresholds,
    /// Receives batches of forwarders; `None` for a local service, which has no forwarders.
    pub(crate) stream: Option<S>,
    pub(crate) now: Timestamp,
    /// Whether nothing is changed.
    pub(crate) preview: bool,
    /// Whether to delete the counter's objects that are completely counted.
    pub(crate) remove: bool,
}

impl<P: PublishWrite + 'static, S: StreamPut> Recovery<P, S> {
    /// Counts all failed batches of the counter into the ledger, and puts those of forwarders into the stream. After any
    /// failure, it may be run again. A source that can't be listed is reported, and the others are recovered.
    pub(crate) async fn run<B: FailedBatches>(
        self,
        sources: &[B],
        on_progress: &(dyn Fn(&Recovered) + Sync),
    ) -> Result<Recovered, StoreError> {
        let ledger = Arc::new(self.ledger);
        let counter = UsageHandler::new(Shared(Arc::clone(&ledger)), Publish(self.publish));
        let counter = counter.with_alerts(self.thresholds);
        let (now, mut done, mut unlisted) = (self.now, Recovered::default(), Vec::new());
        for batches in sources {
            let found = match FoundBatches::of(batches, &mut done).await {
                Ok(found) => found,
                Err(error) => {
                    unlisted.push(error);
                    continue;
                }
            };
            for name in found.records {
                count_again(&counter, &ledger, batches, &name, now, &mut done, self.remove).await?;
                on_progress(&done);
            }
            for name in found.lines {
                put_again(batches, &name, self.stream.as_ref(), now, self.preview, &mut done).await?;
                on_progress(&done);
            }
        }
        if unlisted.len() == sources.len()
            && let Some(error) = unlisted.pop()
        {
            return Err(error);
        }
        done.problems.extend(unlisted.iter().map(|error| error_chain(error, ": ")));
        Ok(done)
    }
}

/// Counts an object's records; with `remove`, deletes it once it is completely counted.
async fn count_again<B: FailedBatches, P: PublishWrite + 'static>(
    counter: &UsageHandler<Shared, Publish<P>>,
    ledger: &RecoveringLedger,
    batches: &B,
    name: &str,
    now: Timestamp,
    done: &mut Recovered,
    remove: bool,
) -> Result<(), StoreError> {
    let Some(FailedBatch::Records(event)) = FailedBatch::read(&batches.read(name).await?) else {
        return Ok(());
    };
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
    }
    if remove && before == (done.unreadable, done.undecided_records) {
        batches.remove(name).await?;
        done.removed += 1;
    }
    Ok(())
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
            let Some(FailedBatch::Records(read)) = FailedBatch::read(object.as_bytes()) else {
                panic!("{object}")
            };
            assert_eq!((read.records.len(), read.records[0].shard()), (1, "shardId-000000000001"));
        }
        let unreadable = r#"{"requestPayload":{"awslogs":{"data":"aGk="}}}"#;
        for junk in
            ["", "[]", "{}", r#"{"payload":7}"#, r#"{"payload":"hi"}"#, unreadable, &format!("{{{about}}}")]
        {
            assert!(FailedBatch::read(junk.as_bytes()).is_none(), "{junk}");
        }
    }
}
