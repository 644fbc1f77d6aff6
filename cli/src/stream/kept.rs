//! A copy of a stream in a folder: a file for each shard, a line for each record. `ipgeo dev` writes it as the
//! stream runs; a verb in another process reads it. Kept as long as Kinesis keeps records by default.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use ipgeo_runtime::store::StoreError;
use ipgeo_runtime::usage::KinesisRecord;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Arrived, Page, Place, StreamRead};

/// How long records are kept.
const KEPT: SignedDuration = SignedDuration::from_hours(24);
/// Records of one page.
const PAGE_RECORDS: usize = 500;

#[derive(Serialize, Deserialize)]
struct Line {
    /// Unix milliseconds.
    arrived: i64,
    record: KinesisRecord,
}

/// Writes the copy.
#[derive(Debug)]
pub struct Keeper {
    folder: PathBuf,
    files: Vec<(String, File)>,
}

impl Keeper {
    /// A copy in `folder`, which is made; what is older than a day at `now` is dropped.
    pub fn open(folder: &Path, now: Timestamp) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let oldest = now.saturating_sub(KEPT).map_or(0, Timestamp::as_millisecond);
        for file in shard_files(folder)? {
            drop_older(&file, oldest)?;
        }
        Ok(Self { folder: folder.to_owned(), files: Vec::new() })
    }

    /// Appends a record of a shard: its line in one write, so that a reader never sees half of one followed by
    /// another.
    pub fn keep(&mut self, shard: &str, arrived: Timestamp, record: &KinesisRecord) -> io::Result<()> {
        let line = Line { arrived: arrived.as_millisecond(), record: record.clone() };
        let mut text = serde_json::to_string(&line)?;
        text.push('\n');
        self.file(shard)?.write_all(text.as_bytes())
    }

    fn file(&mut self, shard: &str) -> io::Result<&mut File> {
        let at = match self.files.iter().position(|(name, _)| name == shard) {
            Some(at) => at,
            None => {
                let path = self.folder.join(format!("{shard}.jsonl"));
                let file = OpenOptions::new().create(true).append(true).open(path)?;
                self.files.push((shard.to_owned(), file));
                self.files.len() - 1
            }
        };
        Ok(&mut self.files[at].1)
    }
}

fn shard_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Drops the lines that arrived before `oldest`, and a last one that is not whole.
fn drop_older(path: &Path, oldest: i64) -> io::Result<()> {
    let text = std::fs::read_to_string(path)?;
    let young = |line: &&str| serde_json::from_str::<Line>(line).is_ok_and(|line| line.arrived >= oldest);
    let kept: String = text.lines().filter(young).flat_map(|line| [line, "\n"]).collect();
    if kept.len() == text.len() {
        return Ok(());
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut beside = tempfile::NamedTempFile::new_in(folder)?;
    beside.write_all(kept.as_bytes())?;
    beside.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Reads the copy.
#[derive(Debug, Clone)]
pub struct KeptStream {
    folder: PathBuf,
}

impl KeptStream {
    /// The copy in a folder.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    fn failed(&self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
        StoreError {
            action: format!("read of the kept stream {}", self.folder.display()),
            source: error.into(),
        }
    }

    /// The lines of a shard from a byte on, each with the byte after it, until `wanted` says stop.
    fn lines(&self, shard: &str, from: u64, mut wanted: impl FnMut(Line, u64) -> bool) -> io::Result<()> {
        let mut file = BufReader::new(File::open(self.folder.join(format!("{shard}.jsonl")))?);
        let mut at = file.seek(SeekFrom::Start(from))?;
        let mut text = String::new();
        loop {
            text.clear();
            let length = file.read_line(&mut text)?;
            // A line without an end is being written.
            if !text.ends_with('\n') {
                return Ok(());
            }
            at += length as u64;
            let line = serde_json::from_str(&text).map_err(io::Error::other)?;
            if !wanted(line, at) {
                return Ok(());
            }
        }
    }
}

impl StreamRead for KeptStream {
    async fn shards(&self) -> Result<Vec<String>, StoreError> {
        let files = shard_files(&self.folder).map_err(|error| self.failed(error))?;
        let name = |path: &PathBuf| Some(path.file_stem()?.to_str()?.to_owned());
        Ok(files.iter().filter_map(name).collect())
    }

    async fn begin(&self, shard: &str, from: Timestamp) -> Result<Place, StoreError> {
        let mut place = 0;
        let before = |line: Line, after: u64| {
            let earlier = line.arrived < from.as_millisecond();
            if earlier {
                place = after;
            }
            earlier
        };
        self.lines(shard, 0, before).map_err(|error| self.failed(error))?;
        Ok(Place(place.to_string()))
    }

    async fn read(&self, shard: &str, place: Place) -> Result<Page, StoreError> {
        let from = place.0.parse().map_err(|_| self.failed("that is no place of this stream"))?;
        let mut page = Page::default();
        let mut next = from;
        let take = |line: Line, after: u64| {
            let at = Timestamp::from_millisecond(line.arrived).unwrap_or_default();
            page.records.push(Arrived { at, record: line.record });
            next = after;
            page.records.len() < PAGE_RECORDS
        };
        self.lines(shard, from, take).map_err(|error| self.failed(error))?;
        page.next = (page.records.len() == PAGE_RECORDS).then(|| Place(next.to_string()));
        Ok(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).expect("in range")
    }

    fn record(number: i64) -> KinesisRecord {
        KinesisRecord::new("shardId-0", &number.to_string(), b"data")
    }

    async fn read_all(stream: &KeptStream, from: i64) -> Vec<String> {
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
    async fn what_was_kept_is_read_from_a_time_on_in_order() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut keeper = Keeper::open(folder.path(), at(0)).expect("a keeper");
        for number in 0..1_234 {
            keeper.keep("shardId-0", at(number * 10), &record(number)).expect("kept");
        }
        let stream = KeptStream::at(folder.path());
        for (from, first) in [(0, 0), (1, 1), (10, 1), (7_995, 800), (12_330, 1_233)] {
            let numbers = read_all(&stream, from).await;
            let expected: Vec<String> = (first..1_234).map(|number: i64| number.to_string()).collect();
            assert_eq!(numbers, expected, "from {from}");
        }
        assert!(read_all(&stream, 12_331).await.is_empty());
    }

    #[tokio::test]
    async fn half_a_line_is_left_for_later_and_a_day_old_one_is_dropped() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut keeper = Keeper::open(folder.path(), at(0)).expect("a keeper");
        let hour = 3_600_000;
        for (number, arrived) in [(1, 0), (2, 2 * hour), (3, 30 * hour)] {
            keeper.keep("shardId-0", at(arrived), &record(number)).expect("kept");
        }
        keeper.file("shardId-0").expect("a file").write_all(b"{\"arrived\":1").expect("written");
        let stream = KeptStream::at(folder.path());
        assert_eq!(read_all(&stream, 0).await, ["1", "2", "3"]);
        Keeper::open(folder.path(), at(25 * hour)).expect("a keeper");
        assert_eq!(read_all(&stream, 0).await, ["2", "3"]);
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }

    #[tokio::test]
    async fn a_place_or_a_file_that_is_none_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let stream = KeptStream::at(folder.path());
        assert!(stream.begin("nope", at(0)).await.is_err());
        std::fs::write(folder.path().join("s.jsonl"), "junk\n").expect("written");
        assert!(stream.read("s", Place("0".into())).await.is_err());
        assert!(stream.read("s", Place("x".into())).await.is_err());
    }
}
