//! A copy of the stream in a folder: a segmented log for each shard, a line for each record. `ipgeo dev` writes each record
//! to it before counting, counts from it, and continues from it after a restart; verbs in other processes read it.
//!
//! Each line also holds the position in its region's log after the record. Both are one write, so after a kill a log line
//! is either in the stream or still to be read from the log: never both, never neither.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use ipgeo_runtime::store::StoreError;
use ipgeo_runtime::usage::KinesisRecord;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::segments::{SEGMENT_BYTES, SegmentWriter, SegmentedLog};
use super::{StreamPage, StreamPosition, StreamRead, StreamRecord};
use crate::fs::{Replace, open_private, write_private};

/// Retention of records; the same as Kinesis's default.
const KEPT: SignedDuration = SignedDuration::from_hours(24);
/// Maximum bytes to retain of a shard; older counted records are deleted.
const KEPT_BYTES_MAX: u64 = 256 << 20;
const PAGE_RECORDS: usize = 500;
const EXTENSION: &str = "jsonl";
/// File with the summary of the stream up to the newest segments.
const SUMMARY: &str = "summary.json";

#[derive(Serialize, Deserialize)]
struct CopyLine {
    /// Unix milliseconds.
    arrived: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    log: Option<LogPosition>,
    record: KinesisRecord,
}

/// The position in a region's log up to which it is in the stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogPosition {
    pub region: String,
    /// The position after the last line.
    pub after: u64,
}

/// The state that is needed to continue a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Summary {
    /// The highest sequence number; a string, because it exceeds JSON's numbers.
    sequence: String,
    /// For each region's log, the position up to which it is in the stream.
    logs: BTreeMap<String, u64>,
    /// For each shard's log, the position up to which this summary covers it.
    shards: BTreeMap<String, u64>,
}

impl Summary {
    /// Adds records written after the summary.
    fn catch_up(&mut self, folder: &Path) -> io::Result<()> {
        for shard in SegmentedLog::names(folder, EXTENSION)? {
            let mut at = self.shards.get(&shard).copied().unwrap_or(0);
            shard_log(folder, &shard).read(at, |line, after| {
                at = after;
                if let Ok(line) = serde_json::from_slice::<CopyLine>(line) {
                    self.add(&line);
                }
                ControlFlow::Continue(())
            })?;
            self.shards.insert(shard, at);
        }
        Ok(())
    }

    fn add(&mut self, line: &CopyLine) {
        let sequence = line.record.kinesis.sequence_number.parse().unwrap_or(0);
        self.sequence = self.highest_sequence().max(sequence).to_string();
        if let Some(LogPosition { region, after }) = &line.log {
            let known = self.logs.entry(region.clone()).or_default();
            *known = (*known).max(*after);
        }
    }

    fn highest_sequence(&self) -> u128 {
        self.sequence.parse().unwrap_or(0)
    }

    fn write(&self, folder: &Path) -> io::Result<()> {
        write_private(&folder.join(SUMMARY), &serde_json::to_vec(self)?, Replace::Yes)
    }
}

fn shard_log(folder: &Path, shard: &str) -> SegmentedLog {
    SegmentedLog::new(folder, shard, EXTENSION)
}

#[derive(Debug)]
pub(crate) struct StreamWriter {
    folder: PathBuf,
    writers: BTreeMap<String, SegmentWriter>,
    summary: Summary,
    segment_bytes: u64,
}

impl StreamWriter {
    /// Opens the copy in `folder`, creating it if missing; deletes counted records older than a day at `now`.
    pub(crate) fn open(folder: &Path, now: Timestamp) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let mut summary = match std::fs::read(folder.join(SUMMARY)) {
            // An unreadable summary is rebuilt from the records.
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Summary::default(),
            Err(error) => return Err(error),
        };
        summary.catch_up(folder)?;
        let keeper = Self {
            folder: folder.to_owned(),
            writers: BTreeMap::new(),
            summary,
            segment_bytes: SEGMENT_BYTES,
        };
        keeper.delete_old(now)?;
        Ok(keeper)
    }

    /// The shards with records, including those of earlier runs.
    pub(crate) fn shards(&self) -> BTreeSet<String> {
        self.summary.shards.keys().cloned().collect()
    }

    /// The highest sequence number in the copy, or ever in it; 0: none.
    pub(crate) fn highest_sequence(&self) -> u128 {
        self.summary.highest_sequence()
    }

    /// The position in a region's log up to which it is in the stream.
    pub(crate) fn log_position(&self, region: &str) -> u64 {
        self.summary.logs.get(region).copied().unwrap_or(0)
    }

    /// Appends a record of a shard with the position in its region's log, in one write: all of it or, on failure, nothing.
    pub(crate) fn keep(
        &mut self,
        shard: &str,
        arrived: Timestamp,
        record: &KinesisRecord,
        log: Option<LogPosition>,
    ) -> io::Result<()> {
        let line = CopyLine { arrived: arrived.as_millisecond(), log, record: record.clone() };
        let mut text = serde_json::to_string(&line)?;
        text.push('\n');
        let (begun, end) = {
            let writer = self.writer(shard)?;
            (writer.append(text.as_bytes())?, writer.end())
        };
        self.summary.add(&line);
        self.summary.shards.insert(shard.to_owned(), end);
        if begun {
            // The record is written; a failure here is retried with the next segment.
            let _deleted_or_later = self.delete_old(arrived);
        }
        Ok(())
    }

    fn writer(&mut self, shard: &str) -> io::Result<&mut SegmentWriter> {
        if !self.writers.contains_key(shard) {
            let at_least = self.summary.shards.get(shard).copied().unwrap_or(0);
            let writer = SegmentWriter::open(shard_log(&self.folder, shard), at_least, self.segment_bytes)?;
            self.writers.insert(shard.to_owned(), writer);
        }
        self.writers.get_mut(shard).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Deletes counted segments that are older than a day or beyond the size limit. The summary is written first.
    fn delete_old(&self, now: Timestamp) -> io::Result<()> {
        self.summary.write(&self.folder)?;
        let oldest = now.saturating_sub(KEPT).map_or(0, Timestamp::as_millisecond);
        for shard in self.summary.shards.keys() {
            let counted = CountedPosition::open(&self.folder, shard)?.position;
            shard_log(&self.folder, shard).delete_old(counted, |bytes_after, next| {
                let is_late =
                    serde_json::from_slice::<CopyLine>(next).is_ok_and(|line| line.arrived < oldest);
                is_late || bytes_after >= KEPT_BYTES_MAX
            })?;
        }
        Ok(())
    }
}

/// The position up to which a shard's copy is counted, stored in `<shard>.counted`.
#[derive(Debug)]
pub(crate) struct CountedPosition {
    file: File,
    /// The position after the last record that is counted.
    pub position: u64,
}

impl CountedPosition {
    /// A shard's saved position; 0 if it is missing or unreadable. Counting again is harmless, because the ledger skips what
    /// it has.
    pub(crate) fn open(folder: &Path, shard: &str) -> io::Result<Self> {
        let path = folder.join(format!("{shard}.counted"));
        let mut file = open_private(&path)?;
        let text = io::read_to_string(&mut file).unwrap_or_default();
        Ok(Self { file, position: text.trim().parse().unwrap_or(0) })
    }

    /// Saves a position.
    pub(crate) fn note(&mut self, position: u64) -> io::Result<()> {
        // One write of constant length, so that the number is never torn.
        self.file.rewind()?;
        self.file.write_all(format!("{position:020}\n").as_bytes())?;
        self.position = position;
        Ok(())
    }
}

#[derive(Debug, Clone)]
pub(crate) struct StreamCopy {
    folder: PathBuf,
}

impl StreamCopy {
    pub(crate) fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    fn failed(&self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
        StoreError {
            action: format!("read of the stream copy {}", self.folder.display()),
            source: error.into(),
        }
    }

    /// The records of a shard from a position on, a page at most, and the position after the last.
    pub(crate) fn records(&self, shard: &str, from: u64) -> io::Result<(Vec<StreamRecord>, u64)> {
        let (mut records, mut position, now) = (Vec::new(), from, Timestamp::now());
        shard_log(&self.folder, shard).read(from, |line, after| {
            position = after;
            records.push(match serde_json::from_slice::<CopyLine>(line) {
                Ok(line) => {
                    // A time in the future means that the clock was ahead: it does not show when the record arrived, so reading continues.
                    let at = Timestamp::from_millisecond(line.arrived).ok().filter(|at| *at <= now);
                    let at = at.unwrap_or_default();
                    StreamRecord { at, record: line.record }
                }
                // Return an empty record: the counter reports it as unreadable and continues.
                Err(_) => StreamRecord { at: Timestamp::default(), record: KinesisRecord::default() },
            });
            if records.len() < PAGE_RECORDS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok((records, position))
    }
}

impl StreamRead for StreamCopy {
    async fn shards(&self) -> Result<Vec<String>, StoreError> {
        let names = SegmentedLog::names(&self.folder, EXTENSION).map_err(|error| self.failed(error))?;
        Ok(names.into_iter().collect())
    }

    async fn begin(&self, shard: &str, from: Timestamp) -> Result<StreamPosition, StoreError> {
        let mut place = 0;
        let before = |line: &[u8], after: u64| {
            let arrived = serde_json::from_slice::<CopyLine>(line).map_or(i64::MIN, |line| line.arrived);
            if arrived >= from.as_millisecond() {
                return ControlFlow::Break(());
            }
            place = after;
            ControlFlow::Continue(())
        };
        shard_log(&self.folder, shard).read(0, before).map_err(|error| self.failed(error))?;
        Ok(StreamPosition(place.to_string()))
    }

    async fn read(&self, shard: &str, place: StreamPosition) -> Result<StreamPage, StoreError> {
        let from = place.0.parse().map_err(|_| self.failed("invalid stream position"))?;
        let (records, after) = self.records(shard, from).map_err(|error| self.failed(error))?;
        let next = (records.len() == PAGE_RECORDS).then(|| StreamPosition(after.to_string()));
        Ok(StreamPage { records, next })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARD: &str = "shardId-0";
    const HOUR: i64 = 3_600_000;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).expect("in range")
    }

    fn record(number: i64) -> KinesisRecord {
        KinesisRecord::new(SHARD, &number.to_string(), b"data")
    }

    fn log(region: &str, after: u64) -> LogPosition {
        LogPosition { region: region.to_owned(), after }
    }

    /// A writer whose segments hold one record each.
    fn keeper(folder: &Path, now: i64) -> StreamWriter {
        let keeper = StreamWriter::open(folder, at(now)).expect("a keeper");
        StreamWriter { segment_bytes: 1, ..keeper }
    }

    async fn read_all(stream: &StreamCopy, from: i64) -> Vec<String> {
        let mut found = Vec::new();
        for shard in stream.shards().await.expect("shards") {
            let mut place = Some(stream.begin(&shard, at(from)).await.expect("a place"));
            while let Some(here) = place.take() {
                let page = stream.read(&shard, here).await.expect("a page");
                found.extend(page.records.into_iter().map(|kept| kept.record.kinesis.sequence_number));
                place = page.next;
            }
        }
        found
    }

    #[tokio::test]
    async fn retained_records_are_read_from_a_time_on_in_order() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut keeper = StreamWriter::open(folder.path(), at(0)).expect("a keeper");
        for number in 0..1_234 {
            keeper.keep(SHARD, at(number * 10), &record(number), None).expect("kept");
        }
        let stream = StreamCopy::at(folder.path());
        for (from, first) in [(0, 0), (1, 1), (10, 1), (7_995, 800), (12_330, 1_233)] {
            let numbers = read_all(&stream, from).await;
            let expected: Vec<String> = (first..1_234).map(|number: i64| number.to_string()).collect();
            assert_eq!(numbers, expected, "from {from}");
        }
        assert!(read_all(&stream, 12_331).await.is_empty());
    }

    #[tokio::test]
    async fn an_incomplete_line_is_read_later_and_counted_records_are_deleted_after_a_day() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut kept = keeper(folder.path(), 0);
        for (number, arrived) in [(1, 0), (2, HOUR), (3, 2 * HOUR), (4, 30 * HOUR)] {
            kept.keep(SHARD, at(arrived), &record(number), None).expect("kept");
        }
        let newest = std::fs::read_dir(folder.path()).expect("a folder").filter_map(|entry| {
            let path = entry.expect("an entry").path();
            (path.extension()? == "jsonl").then_some(path)
        });
        let mut newest = File::options().append(true).open(newest.max().expect("a file")).expect("open");
        newest.write_all(b"{\"arrived\":1").expect("written");
        let stream = StreamCopy::at(folder.path());
        assert_eq!(read_all(&stream, 0).await, ["1", "2", "3", "4"]);
        keeper(folder.path(), 27 * HOUR);
        assert_eq!(read_all(&stream, 0).await, ["1", "2", "3", "4"], "no record is counted");
        let (_, after) = stream.records(SHARD, 0).expect("read");
        CountedPosition::open(folder.path(), SHARD).expect("a note").note(after).expect("noted");
        keeper(folder.path(), 27 * HOUR);
        // The third is old too, but its arrival time is only known from the next one, which is recent.
        assert_eq!(read_all(&stream, 0).await, ["3", "4"]);
    }

    #[test]
    fn a_stream_continues_after_its_retained_and_deleted_records() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut kept = keeper(folder.path(), 0);
        assert_eq!((kept.highest_sequence(), kept.log_position("a")), (0, 0));
        kept.keep(SHARD, at(0), &record(7), Some(log("a", 100))).expect("kept");
        kept.keep("shardId-1", at(0), &record(8), Some(log("b", 10))).expect("kept");
        // The clock was set back, and the sequence number is far beyond it.
        kept.keep(SHARD, at(-5 * HOUR), &record(i64::MAX), Some(log("a", 200))).expect("kept");
        kept.keep(SHARD, at(0), &record(9), None).expect("kept");
        for shard in [SHARD, "shardId-1"] {
            CountedPosition::open(folder.path(), shard).expect("a note").note(u64::MAX).expect("noted");
        }
        for _restart in 0..3 {
            let kept = keeper(folder.path(), 1_000 * HOUR);
            assert_eq!(kept.highest_sequence(), u128::from(i64::MAX.unsigned_abs()));
            assert_eq!((kept.log_position("a"), kept.log_position("b")), (200, 10));
            assert_eq!(kept.shards().len(), 2);
        }
        std::fs::write(folder.path().join(SUMMARY), "{").expect("written");
        assert_eq!(keeper(folder.path(), 0).log_position("b"), 10, "rebuilt from the records");
    }

    #[test]
    fn a_counted_position_is_saved_and_a_broken_one_reads_as_zero() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut counted = CountedPosition::open(folder.path(), SHARD).expect("a note");
        for position in [u64::MAX, 5] {
            counted.note(position).expect("noted");
            assert_eq!(CountedPosition::open(folder.path(), SHARD).expect("a note").position, position);
        }
        std::fs::write(folder.path().join(format!("{SHARD}.counted")), b"\xff").expect("written");
        assert_eq!(CountedPosition::open(folder.path(), SHARD).expect("a note").position, 0);
    }

    #[tokio::test]
    async fn junk_is_an_unreadable_record_and_an_invalid_position_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut kept = StreamWriter::open(folder.path(), at(0)).expect("a keeper");
        kept.keep("s", at(0), &record(1), None).expect("kept");
        kept.writer("s").expect("a writer").append(b"junk\n\xff\n").expect("written");
        kept.keep("s", at(0), &record(2), None).expect("kept");
        let stream = StreamCopy::at(folder.path());
        assert_eq!(read_all(&stream, 0).await, ["1", "", "", "2"]);
        assert!(stream.read("s", StreamPosition("x".into())).await.is_err());
        assert!(StreamCopy::at(folder.path().join("none")).begin("s", at(0)).await.is_err());
    }
}
