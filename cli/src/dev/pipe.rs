//! Replaces CloudWatch Logs and its subscription. A usage line is written to its region's log file before the call is answered. The pipe reads
//! the file, delays lines by the log lag, and puts them into the stream in CloudWatch Logs' envelope.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ipgeo_runtime::lookup::UsageSink;
use ipgeo_runtime::usage::{LogEvent, envelope};
use jiff::Timestamp;
use tokio::sync::watch;

use super::stream::Stream;
use crate::ui::format::counted;
use crate::usage::stream::{LogPosition, SEGMENT_BYTES, SegmentWriter, SegmentedLog};

/// Lines in one record.
const LINES_MAX: usize = 500;
pub(super) const EXTENSION: &str = "log";
/// Minimum bytes of a region's log to retain for `ipgeo logs`; older lines are in the stream already.
const RETAINED_BYTES: u64 = 3 * SEGMENT_BYTES;
const RETRY_AFTER: Duration = Duration::from_millis(200);
/// Attempts to write the last lines at shutdown; if they fail, the next start reads them from the log.
const LAST_TRIES: u32 = 5;

pub(crate) fn region_log(folder: &Path, region: &str) -> SegmentedLog {
    SegmentedLog::new(folder, region, EXTENSION)
}

/// The file, and lines that could not be written to it yet.
#[derive(Debug)]
struct LogFile {
    writer: SegmentWriter,
    unwritten: Vec<u8>,
}

impl LogFile {
    fn flush(&mut self) -> std::io::Result<()> {
        if !self.unwritten.is_empty() {
            self.writer.append(&self.unwritten)?;
            self.unwritten.clear();
        }
        Ok(())
    }

    /// The position after the last line, once all is written.
    fn due(&self) -> u64 {
        self.writer.end() + self.unwritten.len() as u64
    }
}

/// One region's standard output, as its handler sees it.
pub(crate) struct RegionLog {
    region: String,
    file: Arc<Mutex<LogFile>>,
    due: watch::Sender<u64>,
}

/// Reads a region's log and carries it into the stream.
pub(crate) struct LogReader {
    region: String,
    file: Arc<Mutex<LogFile>>,
    due: watch::Receiver<u64>,
    position: u64,
}

fn locked(file: &Mutex<LogFile>) -> MutexGuard<'_, LogFile> {
    file.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RegionLog {
    /// Opens a region's log in a folder, and its reader, which continues at `position`.
    pub(crate) fn open(folder: &Path, region: &str, position: u64) -> std::io::Result<(Self, LogReader)> {
        let writer = SegmentWriter::open(region_log(folder, region), position, SEGMENT_BYTES)?;
        let (due, waiting) = watch::channel(writer.end());
        let file = Arc::new(Mutex::new(LogFile { writer, unwritten: Vec::new() }));
        let reader = LogReader { region: region.to_owned(), file: Arc::clone(&file), due: waiting, position };
        Ok((Self { region: region.to_owned(), file, due }, reader))
    }
}

/// Whether a region's log can be written: a call whose line is not in it must not be answered.
#[derive(Clone)]
pub(crate) struct LogGate(Arc<Mutex<LogFile>>);

impl LogGate {
    /// Tries to write pending lines; returns whether all are written.
    pub(crate) fn is_open(&self) -> bool {
        locked(&self.0).flush().is_ok()
    }
}

impl RegionLog {
    pub(crate) fn gate(&self) -> LogGate {
        LogGate(Arc::clone(&self.file))
    }
}

impl UsageSink for RegionLog {
    fn usage(&self, mut line: String) {
        line.push('\n');
        let mut file = locked(&self.file);
        file.unwritten.extend_from_slice(line.as_bytes());
        // Lines that can't be written now stay pending, in order; the reader retries and reports it.
        let _written_or_later = file.flush();
        let due = file.due();
        drop(file);
        // Of two parallel calls, the one with the later line may notify first.
        self.due.send_modify(|known| *known = due.max(*known));
    }

    fn warn(&self, message: String) {
        crate::ui::output::print_note(&format!("{}: {message}", self.region));
    }
}

impl LogReader {
    /// Puts the log's lines into the stream until the region's handler is gone and no lines are left.
    pub(crate) async fn carry(mut self, stream: Arc<Stream>, lag: Duration) {
        let (mut tries_left, mut last_message) = (LAST_TRIES, String::new());
        loop {
            if *self.due.borrow_and_update() <= self.position {
                if self.due.changed().await.is_err() {
                    return;
                }
                continue;
            }
            tokio::select! {
                () = tokio::time::sleep(lag) => {}
                // Shutting down: skip the lag.
                () = self.closed() => {}
            }
            // Send everything pending: the lag is a delay, not a rate limit.
            match self.carry_all(&stream) {
                Ok(()) => last_message.clear(),
                Err(error) => {
                    let message =
                        format!("{}: can't write usage to the stream, will retry: {error}", self.region);
                    if message != last_message {
                        crate::ui::output::print_note(&message);
                        last_message = message;
                    }
                    if self.is_ended() {
                        tries_left -= 1;
                        if tries_left == 0 {
                            self.report_lost();
                            return;
                        }
                    }
                    tokio::time::sleep(RETRY_AFTER).await;
                }
            }
        }
    }

    /// Reports lines that are not even in the log file; their callers were answered 503.
    fn report_lost(&self) {
        let unwritten = String::from_utf8_lossy(&locked(&self.file).unwritten).lines().count();
        if unwritten > 0 {
            crate::ui::output::print_note(&format!(
                "{}: not counted: {}, answered 503, whose usage lines could not be written",
                self.region,
                counted(unwritten, "call")
            ));
        }
    }

    /// Whether the region's handler is gone.
    fn is_ended(&self) -> bool {
        Arc::strong_count(&self.file) == 1
    }

    async fn closed(&self) {
        while !self.is_ended() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn carry_all(&mut self, stream: &Stream) -> std::io::Result<()> {
        let (log, end) = {
            let mut file = locked(&self.file);
            file.flush()?;
            (file.writer.log().clone(), file.writer.end())
        };
        loop {
            let (events, after) = next_lines(&log, self.position)?;
            if events.is_empty() {
                break;
            }
            let log_stream = format!("{}/dev", self.region);
            let data = envelope("/aws/lambda/ipgeo-dev", &log_stream, events)?;
            stream.put(&log_stream, &data, LogPosition { region: self.region.clone(), after })?;
            self.position = after;
        }
        // Deleted lines are lost: skip them.
        self.position = self.position.max(end);
        // A failed deletion is retried after the next lines.
        let _deleted_or_later = log.delete_old(self.position, |bytes_after, _| bytes_after >= RETAINED_BYTES);
        Ok(())
    }
}

/// The lines of one record from a position in a log, and the position after them. A line's id is its position, so it is
/// the same on every read.
fn next_lines(log: &SegmentedLog, from: u64) -> std::io::Result<(Vec<LogEvent>, u64)> {
    let (mut events, mut position) = (Vec::new(), from);
    let timestamp = Timestamp::now().as_millisecond();
    log.read(from, |line, after| {
        let message = String::from_utf8_lossy(line).into_owned();
        events.push(LogEvent { id: format!("{after:032}"), timestamp, message });
        position = after;
        if events.len() < LINES_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok((events, position))
}

#[cfg(test)]
mod tests {
    use ipgeo_runtime::usage::{KinesisEvent, decode};

    use super::*;
    use crate::usage::stream::{StreamCopy, StreamWriter};

    const LAG: Duration = Duration::from_secs(1);
    const REGION: &str = "eu-central-1";

    fn keeper(folder: &Path) -> StreamWriter {
        StreamWriter::open(&folder.join("stream"), Timestamp::UNIX_EPOCH).expect("a keeper")
    }

    /// The usage events of each record in the stream.
    fn kept(folder: &Path) -> Vec<usize> {
        let stream = StreamCopy::at(folder.join("stream"));
        let (records, _) = stream.records("shardId-000000000000", 0).expect("read");
        let records = records.into_iter().map(|kept| kept.record).collect();
        decode(&KinesisEvent { records }, Timestamp::MAX)
            .records
            .iter()
            .map(|record| record.events.len())
            .collect()
    }

    fn line(number: usize) -> String {
        format!(r#"{{"ipgeo":1,"t":{},"r":"eu-central-1","c":[]}}"#, 1_795_522_627_042 + number)
    }

    #[tokio::test(start_paused = true)]
    async fn all_lines_older_than_the_lag_are_sent_however_many() {
        let folder = tempfile::tempdir().expect("a folder");
        let (stream, _shards) = Stream::new(1, 0, keeper(folder.path()));
        let (log, reader) = RegionLog::open(folder.path(), REGION, 0).expect("a log");
        let carrying = tokio::spawn(reader.carry(Arc::new(stream), LAG));
        let count = 4 * LINES_MAX + 7;
        for number in 0..count {
            log.usage(line(number));
        }
        tokio::time::sleep(LAG * 2).await;
        assert_eq!(kept(folder.path()), [500, 500, 500, 500, 7]);
        drop(log);
        carrying.await.expect("it ends with its region");
    }

    /// Kills at various points: the log may end with half a line, the stream with half a record.
    #[tokio::test(start_paused = true)]
    async fn after_a_kill_anywhere_every_complete_line_is_sent_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut whole = 0;
        for kill in 0..40_usize {
            let kept_before = keeper(folder.path());
            let position = kept_before.log_position(REGION);
            let (log, reader) = RegionLog::open(folder.path(), REGION, position).expect("a log");
            let (stream, _shards) = Stream::new(1, 0, kept_before);
            for number in 0..kill % 7 {
                log.usage(line(number));
                whole += 1;
            }
            if kill % 3 != 0 {
                drop(log);
                reader.carry(Arc::new(stream), LAG).await;
            }
            for (extension, below) in [("log", "."), ("jsonl", "stream")] {
                let torn =
                    std::fs::read_dir(folder.path().join(below)).expect("a folder").filter_map(|entry| {
                        let path = entry.expect("an entry").path();
                        (path.extension()?.to_str()? == extension).then_some(path)
                    });
                if let Some(torn) = torn.max() {
                    let mut file = std::fs::OpenOptions::new().append(true).open(torn).expect("open");
                    std::io::Write::write_all(&mut file, &line(0).as_bytes()[..=kill % 20]).expect("written");
                }
            }
        }
        let last = keeper(folder.path());
        let (log, reader) = RegionLog::open(folder.path(), REGION, last.log_position(REGION)).expect("a log");
        drop(log);
        reader.carry(Arc::new(Stream::new(1, 0, last).0), LAG).await;
        assert_eq!(kept(folder.path()).into_iter().sum::<usize>(), whole);
    }

    #[tokio::test(start_paused = true)]
    async fn lines_that_could_not_be_written_are_sent_later_in_order() {
        let folder = tempfile::tempdir().expect("a folder");
        let (stream, _shards) = Stream::new(1, 0, keeper(folder.path()));
        let (log, reader) = RegionLog::open(folder.path(), REGION, 0).expect("a log");
        // A file that is open for reading only fails every write.
        let broken =
            std::fs::File::open(folder.path().join(format!("{REGION}.{:020}.log", 0))).expect("a file");
        let sound = locked(&log.file).writer.swap_file(broken);
        let carrying = tokio::spawn(reader.carry(Arc::new(stream), LAG));
        assert!(log.gate().is_open());
        for number in 0..3 {
            log.usage(line(number));
        }
        assert!(!log.gate().is_open(), "a call whose line is not in the log must not be answered");
        tokio::time::sleep(LAG * 5).await;
        assert!(kept(folder.path()).is_empty());
        locked(&log.file).writer.swap_file(sound);
        assert!(log.gate().is_open());
        tokio::time::sleep(LAG * 5).await;
        assert_eq!(kept(folder.path()), [3]);
        log.usage(line(3));
        drop(log);
        carrying.await.expect("it ends with its region");
        assert_eq!(kept(folder.path()), [3, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_log_is_bounded() {
        let folder = tempfile::tempdir().expect("a folder");
        let (stream, _shards) = Stream::new(1, 0, keeper(folder.path()));
        let (log, reader) = RegionLog::open(folder.path(), REGION, 0).expect("a log");
        let carrying = tokio::spawn(reader.carry(Arc::new(stream), LAG));
        let padded = format!("{} {}", line(0), "x".repeat(1 << 20));
        for _ in 0..60 {
            log.usage(padded.clone());
            tokio::time::sleep(LAG * 2).await;
        }
        drop(log);
        carrying.await.expect("it ends with its region");
        let files = std::fs::read_dir(folder.path()).expect("a folder");
        let bytes: u64 = files.map(|entry| entry.expect("an entry").metadata().expect("a size").len()).sum();
        assert!((RETAINED_BYTES..=RETAINED_BYTES + 3 * SEGMENT_BYTES).contains(&bytes), "{bytes} bytes");
    }
}
