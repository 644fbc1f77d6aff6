//! Sends pages of the stream through the counter.
//!
//! A replay must not start after the position up to which a shard is counted: its watermarks would pass the records in
//! between, which would then never be counted. So each shard starts at that position or earlier.

use ipgeo_contract::{Identity, Limit, Published, padded_sequence};
use ipgeo_runtime::store::{Alert, LedgerWrite, PublishWrite, ShardNote, StoreError};
use ipgeo_runtime::usage::{KinesisEvent, KinesisRecord, Report, UsageHandler};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::usage::stream::{StreamPage, StreamPosition, StreamRead};

/// How long before the requested time reading starts: a line that CloudWatch Logs sent twice is only recognised if its first
/// copy was read.
const BEFORE: SignedDuration = SignedDuration::from_mins(15);
/// Attempts to count one batch; the store's client retries each call itself.
const TRIES: usize = 5;

/// Publishes nothing: a shadow ledger does not decide about requests until it is adopted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unpublished;

impl PublishWrite for Unpublished {
    async fn publish(&self, _: &Identity, _: Limit, _: Published) -> Result<Option<Limit>, StoreError> {
        Ok(None)
    }
}

/// The part of the stream to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReplaySpan {
    /// Start time; a shard whose counting has not reached it starts where counting stopped.
    pub from: Timestamp,
    /// End time: now, so that a replay of a live stream ends.
    pub until: Timestamp,
    /// Since when the table has been counting shards without a note; `None`: always.
    pub since: Option<Timestamp>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Replayed {
    pub shards: u64,
    /// Shards that were read from before the requested time, because their counting had not reached it.
    pub earlier_shards: u64,
    pub records: u64,
    /// Usage events in them.
    pub events: u64,
    /// Charges that were not counted yet; an event has one, or two if it names an address and a site.
    pub added: u64,
    /// Charges that were counted already.
    pub known: u64,
    /// Usage events that repeat an earlier record of the stream.
    pub repeated_events: u64,
    /// Records and lines that can't be read.
    pub unreadable: u64,
    pub publications: u64,
    #[serde(skip)]
    pub alerts: Vec<Alert>,
    /// The share of the stream that is read, 0 to 1, estimated from the records' times.
    #[serde(skip)]
    pub share: f64,
}

impl Replayed {
    fn count(&mut self, report: Report) {
        self.records += report.records;
        self.events += report.events;
        self.added += report.added;
        self.known += report.known;
        self.repeated_events += report.repeated_events;
        self.unreadable += report.skipped.unreadable();
        self.publications += report.publications;
        self.alerts.extend(report.alerts);
    }
}

/// Counts all records of a span. After any failure, it is safe to run again.
pub(crate) async fn replay<S, L, P>(
    stream: &S,
    counter: &UsageHandler<L, P>,
    span: ReplaySpan,
    on_progress: &(dyn Fn(&Replayed) + Sync),
) -> Result<Replayed, StoreError>
where
    S: StreamRead,
    L: LedgerWrite + 'static,
    P: PublishWrite + 'static,
{
    let mut done = Replayed::default();
    let shards = stream.shards().await?;
    for (before, shard) in shards.iter().enumerate() {
        done.shards += 1;
        let (first, earlier) = first_page(stream, counter, shard, span).await?;
        done.earlier_shards += u64::from(earlier);
        let begin = first.records.first().map_or(span.until, |kept| kept.at);
        let mut page = Some(first);
        while let Some(StreamPage { records, next }) = page.take() {
            let count = records.len();
            let at = records.last().map_or(span.until, |kept| kept.at);
            let arrived = records.into_iter().take_while(|kept| kept.at < span.until);
            let due: Vec<KinesisRecord> = arrived.map(|kept| kept.record).collect();
            // Later records are left to the running counter.
            let ended = due.len() < count;
            if !due.is_empty() {
                until_counted(counter, due, span.until, &mut done).await?;
                done.share = share(before, shards.len(), (begin, at, span.until));
                on_progress(&done);
            }
            if let Some(next) = next.filter(|_| !ended) {
                page = Some(stream.read(shard, next).await?);
            }
        }
    }
    Ok(done)
}

/// The share that is read: complete shards, and of one more the times from its first record to the last one read.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn share(complete: usize, shards: usize, (begin, at, until): (Timestamp, Timestamp, Timestamp)) -> f64 {
    let whole = until.duration_since(begin).as_secs_f64().max(1.0);
    let part = (at.duration_since(begin).as_secs_f64() / whole).clamp(0.0, 1.0);
    (complete as f64 + part) / shards.max(1) as f64
}

/// The time from which a shard is read.
fn begin(note: Option<&ShardNote>, span: ReplaySpan) -> Timestamp {
    let counted_until = match note {
        Some(note) => note.newest,
        None => span.since,
    };
    let begin = span.from.min(counted_until.unwrap_or(Timestamp::UNIX_EPOCH));
    begin.saturating_sub(BEFORE).unwrap_or(begin).max(Timestamp::UNIX_EPOCH)
}

/// The first page of a shard that has records, and whether it is from before the requested time. Times depend on clocks, so
/// sequence numbers decide whether any record lies between the counted position and the page; if so, the whole retained
/// stream is read.
async fn first_page<S, L, P>(
    stream: &S,
    counter: &UsageHandler<L, P>,
    shard: &str,
    span: ReplaySpan,
) -> Result<(StreamPage, bool), StoreError>
where
    S: StreamRead,
    L: LedgerWrite + 'static,
    P: PublishWrite + 'static,
{
    let note = counter.shard_note(shard).await?;
    let begin = begin(note.as_ref(), span);
    let page = page_with_records(stream, shard, stream.begin(shard, begin).await?).await?;
    let first = page.records.first().and_then(|kept| padded_sequence(&kept.record.kinesis.sequence_number));
    let continues = note.is_none_or(|note| first.is_none_or(|first| first <= note.sequence));
    if continues || begin == Timestamp::UNIX_EPOCH {
        let asked = span.from.saturating_sub(BEFORE).unwrap_or(span.from);
        return Ok((page, begin < asked.max(Timestamp::UNIX_EPOCH)));
    }
    let oldest = stream.begin(shard, Timestamp::UNIX_EPOCH).await?;
    Ok((page_with_records(stream, shard, oldest).await?, true))
}

async fn page_with_records<S: StreamRead>(
    stream: &S,
    shard: &str,
    place: StreamPosition,
) -> Result<StreamPage, StoreError> {
    let mut page = stream.read(shard, place).await?;
    while page.records.is_empty() {
        let Some(next) = page.next.take() else { break };
        page = stream.read(shard, next).await?;
    }
    Ok(page)
}

async fn until_counted<L, P>(
    counter: &UsageHandler<L, P>,
    mut batch: Vec<KinesisRecord>,
    now: Timestamp,
    done: &mut Replayed,
) -> Result<(), StoreError>
where
    L: LedgerWrite + 'static,
    P: PublishWrite + 'static,
{
    let mut why = Vec::new();
    for _try in 0..TRIES {
        let (response, report) = counter.handle(&KinesisEvent { records: batch.clone() }, now).await;
        counter.note(&report, now).await?;
        why.clone_from(&report.failures);
        done.count(report);
        if !response.retain_failed(&mut batch) {
            return Ok(());
        }
    }
    Err(StoreError { action: "counting of a batch".to_owned(), source: why.join("; ").into() })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::memory::{MemoryLedger, MemoryStream, call, record};
    use super::*;
    use crate::usage::stream::StreamRecord;

    const SHARDS: [&str; 2] = ["shardId-000000000000", "shardId-000000000001"];
    const BEGAN: &str = "2026-11-24T00:00:00Z";

    fn at(minute: u64) -> Timestamp {
        let began: Timestamp = BEGAN.parse().expect("a timestamp");
        began + SignedDuration::from_mins(i64::try_from(minute).expect("few"))
    }

    /// A record that arrives some minutes after its calls.
    #[derive(Debug, Clone)]
    struct Given {
        shard: usize,
        /// Minutes since the record before.
        later: u64,
        /// Minutes that its calls waited.
        late: u64,
        /// Sites that are called.
        sites: Vec<u8>,
    }

    #[derive(Debug, Clone, Copy)]
    enum Step {
        /// The counter takes this many records of a shard.
        Count(usize, usize),
        /// A replay from this many minutes ago.
        Replay(u64),
    }

    fn any_given() -> impl Strategy<Value = Given> {
        (0..SHARDS.len(), 0_u64..90, 0_u64..30, prop::collection::vec(0_u8..4, 1..4))
            .prop_map(|(shard, later, late, sites)| Given { shard, later, late, sites })
    }

    fn any_step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..SHARDS.len(), 1_usize..6).prop_map(|(shard, records)| Step::Count(shard, records)),
            prop_oneof![Just(0_u64), 1_u64..60, Just(100_000)].prop_map(Step::Replay),
        ]
    }

    fn stream_of(given: &[Given]) -> (MemoryStream, BTreeMap<String, u64>, Timestamp) {
        let mut stream = MemoryStream { page: 3, ..MemoryStream::default() };
        let (mut minute, mut counts) = (30, BTreeMap::new());
        for (sequence, given) in (100..).zip(given) {
            minute += given.later;
            let calls: Vec<_> = given
                .sites
                .iter()
                .map(|site| call(&format!("{site}.test"), at(minute - given.late)))
                .collect();
            for site in &given.sites {
                *counts.entry(format!("site#{site}.test")).or_default() += 1;
            }
            let shard = SHARDS[given.shard];
            let record = record(shard, sequence, &calls);
            stream.shards.entry(shard.to_owned()).or_default().push(StreamRecord { at: at(minute), record });
        }
        (stream, counts, at(minute + 1))
    }

    /// Alternates the counter and replays until the counter reaches the end.
    async fn play(given: &[Given], steps: &[Step]) -> (BTreeMap<String, u64>, BTreeMap<String, u64>) {
        let (stream, expected, now) = stream_of(given);
        let ledger = MemoryLedger::default();
        let counter = UsageHandler::new(ledger.clone(), Unpublished);
        let mut places = [0_usize; SHARDS.len()];
        let end = (0..SHARDS.len()).map(|shard| Step::Count(shard, usize::MAX));
        for step in steps.iter().copied().chain(end) {
            match step {
                Step::Count(shard, records) => {
                    let Some(all) = stream.shards.get(SHARDS[shard]) else { continue };
                    let to = places[shard].saturating_add(records).min(all.len());
                    let batch = all[places[shard]..to].iter().map(|kept| kept.record.clone()).collect();
                    let (response, report) = counter.handle(&KinesisEvent { records: batch }, now).await;
                    assert!(response.batch_item_failures.is_empty(), "{:?}", report.failures);
                    counter.note(&report, now).await.expect("noted");
                    places[shard] = to;
                }
                Step::Replay(minutes) => {
                    let ago = SignedDuration::from_mins(i64::try_from(minutes).expect("few"));
                    let span = ReplaySpan { from: now - ago, until: now, since: None };
                    let again = UsageHandler::new(ledger.clone(), Unpublished).counting_again();
                    replay(&stream, &again, span, &|_| ()).await.expect("replayed");
                }
            }
        }
        (ledger.counts(), expected)
    }

    fn run<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
    }

    proptest! {
        #[test]
        fn a_replay_and_the_counter_count_every_event_once(
            given in prop::collection::vec(any_given(), 1..25),
            steps in prop::collection::vec(any_step(), 0..8),
        ) {
            let (counted, expected) = run(play(&given, &steps));
            prop_assert_eq!(counted, expected);
        }
    }

    #[test]
    fn a_replay_from_a_minute_ago_counts_a_backlog_of_an_hour() {
        let given = |later, calls| Given { shard: 0, later, late: 0, sites: vec![1; calls] };
        let (counted, expected) = run(play(&[given(0, 100), given(60, 10)], &[Step::Replay(1)]));
        assert_eq!(
            (counted, expected["site#1.test"]),
            (BTreeMap::from([("site#1.test".to_owned(), 110)]), 110)
        );
    }

    #[test]
    fn a_clock_that_was_ahead_hides_no_backlog() {
        // The first record's calls say that they are of an hour that is still to come: the note is by the clock of the counter,
        // which counts it an hour after the second arrived.
        run(async {
            let mut stream = MemoryStream { page: 2, ..MemoryStream::default() };
            let calls = |minute| vec![call("1.test", at(minute))];
            let records = [(1, 0, 200), (2, 10, 10), (3, 100, 100)];
            stream.shards.insert(
                SHARDS[0].to_owned(),
                records
                    .map(|(sequence, arrived, said)| StreamRecord {
                        at: at(arrived),
                        record: record(SHARDS[0], sequence, &calls(said)),
                    })
                    .to_vec(),
            );
            let ledger = MemoryLedger::default();
            let counter = UsageHandler::new(ledger.clone(), Unpublished);
            let first = vec![stream.shards[SHARDS[0]][0].record.clone()];
            let (_, report) = counter.handle(&KinesisEvent { records: first }, at(100)).await;
            counter.note(&report, at(100)).await.expect("noted");
            let span = ReplaySpan { from: at(101), until: at(102), since: None };
            let again = UsageHandler::new(ledger.clone(), Unpublished).counting_again();
            let done = replay(&stream, &again, span, &|_| ()).await.expect("replayed");
            assert_eq!((ledger.counts()["site#1.test"], done.earlier_shards), (3, 1));
            assert_eq!(stream.sequences(SHARDS[0]).len(), 3);
        });
    }

    #[test]
    fn a_new_shadow_ledger_starts_at_the_requested_time() {
        let span = |since: Option<u64>| ReplaySpan { from: at(90), until: at(100), since: since.map(at) };
        let note = |newest: u64| ShardNote { newest: Some(at(newest)), ..ShardNote::default() };
        let table = [
            (None, Some(90), at(75)),
            (None, Some(60), at(45)),
            (None, None, Timestamp::UNIX_EPOCH),
            (Some(note(80)), Some(60), at(65)),
            (Some(note(95)), Some(60), at(75)),
            (Some(ShardNote::default()), Some(60), Timestamp::UNIX_EPOCH),
        ];
        for (note, since, expected) in table {
            assert_eq!(begin(note.as_ref(), span(since)), expected, "{note:?} {since:?}");
        }
    }
}
