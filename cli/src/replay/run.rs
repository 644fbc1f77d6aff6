//! Pages of the stream through the counter.

use ipgeo_contract::{Identity, Limit, Published, padded_sequence};
use ipgeo_runtime::store::{Alert, LedgerWrite, PublishWrite, StoreError};
use ipgeo_runtime::usage::{KinesisEvent, KinesisRecord, Report, UsageHandler};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::stream::{Page, StreamRead};

/// The stream is read from so long before the time asked for: a repeat by CloudWatch Logs is known as one only
/// when the first sending was seen.
const BEFORE: SignedDuration = SignedDuration::from_mins(15);
/// Deliveries of one batch before its failures are an error; the store's client has its own tries beneath.
const TRIES: usize = 5;

/// Publishes nothing: a generation is nobody's decision yet.
#[derive(Debug, Clone, Copy)]
pub struct Unpublished;

impl PublishWrite for Unpublished {
    async fn publish(&self, _: &Identity, _: Limit, _: Published) -> Result<Option<Limit>, StoreError> {
        Ok(None)
    }
}

/// What a replay read and did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// Shards read.
    pub shards: u64,
    /// Records read.
    pub records: u64,
    /// Usage events in them.
    pub events: u64,
    /// Charges that were not counted yet; one event has one, or two when it names an address and a site.
    pub added: u64,
    /// Charges that were counted already.
    pub known: u64,
    /// Records that stood in the stream before, under another number.
    pub repeated_records: u64,
    /// Records and lines that can't be read.
    pub unreadable: u64,
    /// Publications written.
    pub publications: u64,
    /// Alerts that are new.
    #[serde(skip)]
    pub alerts: Vec<Alert>,
}

impl Replayed {
    fn count(&mut self, report: Report) {
        let skipped = &report.skipped;
        self.records += report.records;
        self.events += report.events;
        self.added += report.added;
        self.known += report.known;
        self.repeated_records += report.repeated_records;
        self.unreadable +=
            skipped.records.values().sum::<u64>() + skipped.broken_lines + skipped.unknown_versions;
        self.publications += report.publications;
        self.alerts.extend(report.alerts);
    }
}

/// Counts everything that arrived from `from` until `until`, which is now: a stream that goes on has an end
/// all the same. Whatever fails, doing it again is right.
pub async fn replay<S, L, P>(
    stream: &S,
    counter: &UsageHandler<L, P>,
    from: Timestamp,
    until: Timestamp,
    tell: &(dyn Fn(&Replayed) + Sync),
) -> Result<Replayed, StoreError>
where
    S: StreamRead,
    L: LedgerWrite + 'static,
    P: PublishWrite + 'static,
{
    let mut done = Replayed::default();
    let begin = from.saturating_sub(BEFORE).unwrap_or(Timestamp::UNIX_EPOCH).max(Timestamp::UNIX_EPOCH);
    for shard in stream.shards().await? {
        done.shards += 1;
        let mut place = Some(stream.begin(&shard, begin).await?);
        while let Some(here) = place.take() {
            let Page { records, next } = stream.read(&shard, here).await?;
            let count = records.len();
            let due: Vec<KinesisRecord> =
                records.into_iter().take_while(|kept| kept.at < until).map(|kept| kept.record).collect();
            // What arrived later is left to the counter that runs.
            let ended = due.len() < count;
            if !due.is_empty() {
                until_counted(counter, due, until, &mut done).await?;
                tell(&done);
            }
            place = next.filter(|_| !ended);
        }
    }
    Ok(done)
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
    let sequence = |text: &str| padded_sequence(text).unwrap_or_default();
    let mut why = Vec::new();
    for _try in 0..TRIES {
        let (response, report) = counter.handle(&KinesisEvent { records: batch.clone() }).await;
        counter.note(&report, now).await?;
        why.clone_from(&report.failures);
        done.count(report);
        let failed = response.batch_item_failures.iter().map(|failure| sequence(&failure.item_identifier));
        let Some(lowest) = failed.min() else { return Ok(()) };
        batch.retain(|record| sequence(&record.kinesis.sequence_number) >= lowest);
    }
    Err(StoreError { action: "counting of a batch".to_owned(), source: why.join("; ").into() })
}
