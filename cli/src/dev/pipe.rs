//! The log pipe on a laptop: usage lines of a region wait for the log lag, then go into the stream in the
//! envelope of CloudWatch Logs, one record a batch.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ipgeo_runtime::lookup::UsageSink;
use ipgeo_runtime::usage::{KinesisRecord, LogEvent, envelope};
use jiff::Timestamp;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::stream::Keeper;

/// Lines in one record.
const LINES_MAX: usize = 500;

/// One region's standard output, as its handler sees it.
pub(crate) struct RegionLog {
    region: String,
    lines: UnboundedSender<String>,
}

impl RegionLog {
    pub(crate) fn new(region: &str) -> (Self, UnboundedReceiver<String>) {
        let (lines, waiting) = unbounded_channel();
        (Self { region: region.to_owned(), lines }, waiting)
    }
}

impl UsageSink for RegionLog {
    fn usage(&self, line: String) {
        // The other end outlives every handler; at its very end nobody asks any more.
        let _sent_or_ending = self.lines.send(line);
    }

    fn warn(&self, message: String) {
        crate::output::say(&format!("{}: {message}", self.region));
    }
}

/// The stream: shards, each with the records put into it in order.
pub(crate) struct Stream {
    shards: Vec<(String, UnboundedSender<KinesisRecord>)>,
    head: Mutex<Head>,
}

/// Where the stream stands, and the copy that is kept of it.
struct Head {
    sequence: u128,
    keeper: Option<Keeper>,
}

impl Stream {
    /// A stream of `shards` shards, and where each shard's records come out; a copy goes to `keeper`. Sequence numbers go on from
    /// the time of day in nanoseconds, so that a later run's are higher than all of the runs before.
    pub(crate) fn new(
        shards: usize,
        now: Timestamp,
        keeper: Option<Keeper>,
    ) -> (Self, Vec<(String, UnboundedReceiver<KinesisRecord>)>) {
        let (mut ins, mut outs) = (Vec::new(), Vec::new());
        for shard in 0..shards.max(1) {
            let name = format!("shardId-{shard:012}");
            let (put, get) = unbounded_channel();
            ins.push((name.clone(), put));
            outs.push((name, get));
        }
        let head = Mutex::new(Head { sequence: now.as_nanosecond().unsigned_abs(), keeper });
        (Self { shards: ins, head }, outs)
    }

    /// Puts a record; its log stream decides the shard, as a partition key does.
    fn put(&self, log_stream: &str, data: &[u8]) {
        let hash =
            log_stream.bytes().fold(0_usize, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
        let (shard, records) = &self.shards[hash % self.shards.len()];
        // Numbering and sending are one step: a shard's records come out in the order of their numbers.
        let mut head = self.head.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        head.sequence += 1;
        let record = KinesisRecord::new(shard, &head.sequence.to_string(), data);
        // Kept before it is counted: what was counted can be counted again.
        if let Some(keeper) = &mut head.keeper
            && let Err(error) = keeper.keep(shard, Timestamp::now(), &record)
        {
            crate::output::say(&format!(
                "the stream is kept no more, `usage replay` will miss this: {error}"
            ));
            head.keeper = None;
        }
        let _sent_or_ending = records.send(record);
    }
}

/// Carries a region's lines into the stream until the region's handler is gone; also appends them to
/// `file`, where a person may read them.
pub(crate) async fn carry(
    region: String,
    mut lines: UnboundedReceiver<String>,
    stream: std::sync::Arc<Stream>,
    lag: Duration,
    file: Option<PathBuf>,
) {
    static IDS: AtomicU64 = AtomicU64::new(0);
    let log_stream = format!("{region}/dev");
    while let Some(first) = lines.recv().await {
        tokio::select! {
            () = tokio::time::sleep(lag) => {}
            // Everybody is gone: nobody waits for the lag.
            () = closed(&lines) => {}
        }
        // All that waits goes now: the lag is how long a line waits, not how many go at a time.
        let mut waiting = vec![first];
        while let Ok(line) = lines.try_recv() {
            waiting.push(line);
        }
        let mut waiting = waiting.into_iter();
        while waiting.len() > 0 {
            let batch: Vec<String> = waiting.by_ref().take(LINES_MAX).collect();
            if let Some(file) = &file {
                append(file, &batch).await;
            }
            let now = Timestamp::now().as_millisecond();
            let events = batch.into_iter().map(|message| {
                let id = format!("{now:016}{:016}", IDS.fetch_add(1, Ordering::Relaxed));
                LogEvent { id, timestamp: now, message }
            });
            match envelope("/aws/lambda/ipgeo-dev", &log_stream, events.collect()) {
                Ok(data) => stream.put(&log_stream, &data),
                Err(error) => {
                    crate::output::say(&format!("{region}: usage lines could not be packed: {error}"));
                }
            }
        }
    }
}

async fn closed(lines: &UnboundedReceiver<String>) {
    while !lines.is_closed() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A log that can't be written to must not stop the counting.
pub(super) async fn append(file: &std::path::Path, lines: &[String]) {
    let text = lines.join("\n") + "\n";
    let opened = tokio::fs::OpenOptions::new().create(true).append(true).open(file).await;
    let written = match opened {
        Ok(mut opened) => match opened.write_all(text.as_bytes()).await {
            Ok(()) => opened.flush().await,
            failed => failed,
        },
        Err(error) => Err(error),
    };
    if let Err(error) = written {
        crate::output::say(&format!("{} can't be written: {error}", file.display()));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ipgeo_runtime::usage::{KinesisEvent, decode};

    use super::*;

    const LAG: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn all_lines_that_have_waited_for_the_lag_go_on_however_many_they_are() {
        let (stream, mut shards) = Stream::new(1, Timestamp::UNIX_EPOCH, None);
        let (log, lines) = RegionLog::new("eu-central-1");
        let carrying = tokio::spawn(carry("eu-central-1".to_owned(), lines, Arc::new(stream), LAG, None));
        let count = 4 * LINES_MAX + 7;
        for _ in 0..count {
            log.usage(r#"{"ipgeo":1,"t":1795522627042,"r":"eu-central-1","c":[]}"#.to_owned());
        }
        tokio::time::sleep(LAG * 2).await;
        let mut records = Vec::new();
        while let Ok(record) = shards[0].1.try_recv() {
            records.push(record);
        }
        assert_eq!(records.len(), 5);
        let decoded = decode(&KinesisEvent { records }, Timestamp::MAX);
        assert_eq!(decoded.records.iter().map(|record| record.events.len()).sum::<usize>(), count);
        drop(log);
        carrying.await.expect("it ends with its region");
    }
}
