//! Puts failed batches of forwarders into the stream again, where the counter counts them like any others.
//!
//! Kinesis does not recognise a repeated put. So the object is deleted as soon as its batch is in the stream, and no other run
//! puts it again. The order matters. A run that is killed in between puts the batch twice, which the counter recognises as
//! far as it remembers lines; deleting first would lose the batch.

use ipgeo_runtime::forward::LogsEvent;
use ipgeo_runtime::store::StoreError;
use ipgeo_runtime::usage::{Decoded, KinesisEvent, KinesisRecord, decode};
use jiff::Timestamp;

use super::recover::{FailedBatch, Recovered};
use crate::usage::stream::{FailedBatches, StreamPut};

/// What the counter will read in a batch.
fn decoded(event: &LogsEvent, now: Timestamp) -> Decoded {
    // Kinesis assigns shard and sequence number; decoding needs placeholders.
    let mut record = KinesisRecord::new("shardId-000000000000", "0", b"");
    record.kinesis.data.clone_from(&event.awslogs.data);
    decode(&KinesisEvent { records: vec![record] }, now)
}

/// Whether the counter can read a batch. It would skip an unreadable one, and the object would be deleted already.
pub(super) fn is_readable(event: &LogsEvent) -> bool {
    decoded(event, Timestamp::MAX).skipped.records.is_empty()
}

/// Puts the batch of an object into the stream and deletes the object.
pub(super) async fn put_again<B: FailedBatches, S: StreamPut>(
    batches: &B,
    name: &str,
    stream: Option<&S>,
    now: Timestamp,
    preview: bool,
    done: &mut Recovered,
) -> Result<(), StoreError> {
    let Some(FailedBatch::Lines(event)) = FailedBatch::read(&batches.read(name).await?) else {
        return Ok(());
    };
    let Some(stream) = stream else {
        let place = batches.place();
        done.problems
            .push(format!("{place}/{name}: a forwarder's batch, but a local service has no forwarders"));
        return Ok(());
    };
    let decoded = decoded(&event, now);
    done.unreadable += decoded.skipped.unreadable();
    done.records += 1;
    done.events += decoded.records.iter().map(|record| record.events.len() as u64).sum::<u64>();
    if !preview {
        stream.put(&event).await?;
        batches.remove(name).await.map_err(|error| StoreError {
            action: format!(
                "{name} is in the stream, and the next run would put it again: delete it; {}",
                error.action
            ),
            source: error.source,
        })?;
        done.removed += 1;
    }
    done.forwarded += 1;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    use ipgeo_contract::UsageEvent;
    use ipgeo_runtime::forward::LogsBatch;
    use ipgeo_runtime::usage::{LogEvent, UsageHandler, envelope};
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::memory::{MemoryLedger, call};
    use super::super::recover::FoundBatches;
    use super::super::run::Unpublished;
    use super::*;

    const SHARDS: [&str; 2] = ["shardId-000000000000", "shardId-000000000001"];

    fn now() -> Timestamp {
        "2026-11-24T12:00:00Z".parse().expect("a timestamp")
    }

    /// How a call ends when a run is killed in it.
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Kill {
        Before,
        /// It has its effect, but nobody sees the answer.
        After,
    }

    /// Counts calls of a run down to the one in which it is killed.
    #[derive(Debug, Default)]
    struct Fuse(Option<(usize, Kill)>);

    impl Fuse {
        fn call<T>(fuse: &Mutex<Self>, effect: impl FnOnce() -> T) -> Result<T, StoreError> {
            let killed = || StoreError { action: "call".to_owned(), source: "killed".into() };
            let mut fuse = fuse.lock().expect("unpoisoned");
            match &mut fuse.0 {
                None => Ok(effect()),
                Some((0, Kill::Before)) => Err(killed()),
                Some((0, after)) => {
                    *after = Kill::Before;
                    effect();
                    Err(killed())
                }
                Some((calls, _)) => {
                    *calls -= 1;
                    Ok(effect())
                }
            }
        }
    }

    /// A bucket and a stream, the counter, and what it has counted.
    struct World {
        fuse: Mutex<Fuse>,
        objects: Mutex<BTreeMap<String, Vec<u8>>>,
        records: Mutex<Vec<KinesisRecord>>,
        ledger: MemoryLedger,
        counter: UsageHandler<MemoryLedger, Unpublished>,
        counted: usize,
    }

    impl FailedBatches for World {
        fn place(&self) -> String {
            "bucket".to_owned()
        }

        async fn names(&self) -> Result<Vec<String>, StoreError> {
            Fuse::call(&self.fuse, || self.objects.lock().expect("unpoisoned").keys().cloned().collect())
        }

        async fn read(&self, name: &str) -> Result<Vec<u8>, StoreError> {
            Fuse::call(&self.fuse, || self.objects.lock().expect("unpoisoned")[name].clone())
        }

        async fn remove(&self, name: &str) -> Result<(), StoreError> {
            Fuse::call(&self.fuse, || drop(self.objects.lock().expect("unpoisoned").remove(name)))
        }
    }

    impl StreamPut for World {
        async fn put(&self, event: &LogsEvent) -> Result<(), StoreError> {
            Fuse::call(&self.fuse, || self.arrive(event))
        }
    }

    impl World {
        fn new(objects: BTreeMap<String, Vec<u8>>) -> Self {
            let ledger = MemoryLedger::default();
            Self {
                fuse: Mutex::default(),
                objects: Mutex::new(objects),
                records: Mutex::default(),
                counter: UsageHandler::new(ledger.clone(), Unpublished),
                ledger,
                counted: 0,
            }
        }

        /// A record in the shard of its partition key.
        fn arrive(&self, event: &LogsEvent) {
            let put = event.to_put("stream");
            let key = put["PartitionKey"].as_str().expect("a key");
            let mut records = self.records.lock().expect("unpoisoned");
            let shard = SHARDS[key.len() % SHARDS.len()];
            let mut record = KinesisRecord::new(shard, &(records.len() + 1).to_string(), b"");
            put["Data"].as_str().expect("text").clone_into(&mut record.kinesis.data);
            records.push(record);
        }

        /// The counter counts what has arrived; `restarted`: in a new environment.
        async fn count(&mut self, restarted: bool) {
            if restarted {
                self.counter = UsageHandler::new(self.ledger.clone(), Unpublished);
            }
            let records = self.records.lock().expect("unpoisoned")[self.counted..].to_vec();
            self.counted += records.len();
            for record in records {
                let (response, report) =
                    self.counter.handle(&KinesisEvent { records: vec![record] }, now()).await;
                assert!(response.batch_item_failures.is_empty(), "{:?}", report.failures);
                self.counter.note(&report, now()).await.expect("noted");
            }
        }

        /// A run that may be killed.
        async fn recover(&self, kill: Option<(usize, Kill)>, preview: bool) -> Result<Recovered, StoreError> {
            self.fuse.lock().expect("unpoisoned").0 = kill;
            let mut done = Recovered::default();
            for name in FoundBatches::of(self, &mut done).await?.lines {
                put_again(self, &name, Some(self), now(), preview, &mut done).await?;
            }
            Ok(done)
        }

        fn left(&self) -> usize {
            self.objects.lock().expect("unpoisoned").len()
        }
    }

    /// A batch of one call for each site; the number makes its lines' ids.
    fn batch(number: usize, log_stream: &str, sites: &[String]) -> LogsEvent {
        let line = |(index, site): (usize, &String)| {
            let event: UsageEvent = call(site, now());
            LogEvent { id: format!("{number}-{index}"), timestamp: 0, message: event.to_line() }
        };
        let packed =
            envelope("group", log_stream, sites.iter().enumerate().map(line).collect()).expect("packs");
        LogsEvent { awslogs: LogsBatch { data: KinesisRecord::new("s", "1", &packed).kinesis.data } }
    }

    /// What Lambda stores of an asynchronous invocation that has failed.
    fn object(event: &LogsEvent) -> Vec<u8> {
        let context = json!({
            "requestId": "c9b8fa9f",
            "functionArn": "arn:aws:lambda:sa-east-1:123456789012:function:ipgeo-prod-forward:live",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        });
        let object = json!({
            "version": "1.0",
            "timestamp": "2026-11-24T12:00:00.021Z",
            "requestContext": context,
            "requestPayload": { "awslogs": { "data": event.awslogs.data } },
            "responseContext": { "statusCode": 200, "executedVersion": "3", "functionError": "Unhandled" },
            "responsePayload": { "errorType": "alloc::string::String", "errorMessage": "put into the stream failed" },
        });
        object.to_string().into_bytes()
    }

    fn name(number: usize) -> String {
        format!("aws/lambda/async/ipgeo-prod-forward/2026/11/24/2026-11-24T12.00.00-{number}")
    }

    /// Objects of these sites, and how often each is called.
    fn objects(batches: &[(u8, Vec<u8>)]) -> (BTreeMap<String, Vec<u8>>, BTreeMap<String, u64>) {
        let (mut stored, mut expected) = (BTreeMap::new(), BTreeMap::new());
        for (number, (log_stream, sites)) in batches.iter().enumerate() {
            let sites: Vec<String> = sites.iter().map(|site| format!("{site}.test")).collect();
            for site in &sites {
                *expected.entry(format!("site#{site}")).or_default() += 1;
            }
            let log_stream = "x".repeat(usize::from(*log_stream) + 1);
            stored.insert(name(number), object(&batch(number, &log_stream, &sites)));
        }
        (stored, expected)
    }

    fn run<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
    }

    type Attempt = ((usize, bool), Option<bool>);

    async fn play(batches: &[(u8, Vec<u8>)], attempts: &[Attempt]) {
        let (stored, expected) = objects(batches);
        let mut world = World::new(stored);
        let (mut puts_max, count) = (batches.len(), batches.len());
        for ((calls, after), counts) in attempts {
            let kill = if *after { Kill::After } else { Kill::Before };
            puts_max += usize::from(world.recover(Some((*calls, kill)), false).await.is_err());
            if let Some(restarted) = counts {
                world.count(*restarted).await;
            }
        }
        let done = world.recover(None, false).await.expect("no failure");
        assert_eq!((done.unreadable, world.left()), (0, 0));
        assert!((count..=puts_max).contains(&world.records.lock().expect("unpoisoned").len()));
        world.count(true).await;
        assert_eq!(world.ledger.counts(), expected);
        assert_eq!(world.recover(None, false).await.expect("again"), Recovered::default());
    }

    proptest! {
        #[test]
        fn a_recovery_of_forwarded_batches_that_is_killed_anywhere_counts_each_line_once(
            batches in prop::collection::vec((0_u8..3, prop::collection::vec(0_u8..4, 1..5)), 1..6),
            attempts in prop::collection::vec(
                ((0_usize..20, any::<bool>()), prop::option::of(any::<bool>())), 0..6),
        ) {
            run(play(&batches, &attempts));
        }
    }

    #[test]
    fn a_preview_changes_nothing_and_unreadable_objects_stay() {
        let (mut stored, _) = objects(&[(0, vec![1, 2]), (1, vec![3])]);
        let junk = LogsEvent { awslogs: LogsBatch { data: "aGk=".to_owned() } };
        stored.insert("junk".to_owned(), object(&junk));
        let world = World::new(stored);
        let preview = run(world.recover(None, true)).expect("read");
        assert_eq!((preview.objects, preview.records, preview.events), (3, 2, 3));
        assert_eq!((preview.forwarded, preview.unreadable, preview.removed), (2, 1, 0));
        assert_eq!(preview.problems, ["bucket/junk: not a failed batch written by Lambda"]);
        assert_eq!((world.records.lock().expect("unpoisoned").len(), world.left()), (0, 3));
        let done = run(world.recover(None, false)).expect("put");
        assert_eq!((done.forwarded, done.removed, world.left()), (2, 2, 1));
    }

    #[test]
    fn an_object_that_was_put_but_not_deleted_is_named() {
        let (stored, _) = objects(&[(0, vec![1])]);
        let world = World::new(stored);
        // After names, two reads and the put.
        let error = run(world.recover(Some((4, Kill::Before)), false)).expect_err("killed");
        assert!(error.action.starts_with(&format!("{} is in the stream", name(0))), "{error}");
        assert_eq!((world.records.lock().expect("unpoisoned").len(), world.left()), (1, 1));
    }

    /// The window that the documentation states: killed between put and deletion, a counter that restarts, and 4,000 other lines of the
    /// shard before the next run.
    #[test]
    fn a_batch_that_is_put_again_after_the_counter_has_forgotten_it_counts_twice() {
        run(async {
            let (stored, _) = objects(&[(0, vec![1])]);
            let mut world = World::new(stored);
            world.recover(Some((4, Kill::Before)), false).await.expect_err("killed");
            world.count(false).await;
            let others: Vec<String> = (0..4_000).map(|_| "2.test".to_owned()).collect();
            world.arrive(&batch(1, "x", &others));
            world.count(false).await;
            world.recover(None, false).await.expect("recovered");
            world.count(true).await;
            assert_eq!(world.ledger.counts()["site#1.test"], 2);
        });
    }

    #[test]
    fn a_local_service_keeps_batches_of_forwarders() {
        let (stored, _) = objects(&[(0, vec![1])]);
        let world = World::new(stored);
        let mut done = Recovered::default();
        run(put_again(&world, &name(0), None::<&World>, now(), false, &mut done)).expect("kept");
        assert_eq!((done.forwarded, done.problems.len(), world.left()), (0, 1, 1));
    }
}
