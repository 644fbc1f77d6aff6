//! An append-only file of lines, cut into segments: `<name>.<position>.<extension>`, where the position is that of the
//! segment's first byte, counted from the first byte ever written.
//!
//! A position never changes its meaning: old segments are deleted, never rewritten. So a reader can stop and continue in
//! another process. There is one writer and any number of concurrent readers.

use std::collections::BTreeSet;
use std::fs::{DirEntry, File};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::fs::{append_private, entries};

/// Digits of a position in a file's name, so that names sort as positions do.
const POSITION_DIGITS: usize = 20;
pub(crate) const SEGMENT_BYTES: u64 = 8 << 20;

/// The location of a log: a folder, and its files' name and extension.
#[derive(Debug, Clone)]
pub(crate) struct SegmentedLog {
    folder: PathBuf,
    name: String,
    extension: &'static str,
}

#[derive(Debug)]
struct Segment {
    start: u64,
    path: PathBuf,
}

impl Segment {
    /// The position after its last byte.
    fn end(&self) -> io::Result<u64> {
        Ok(self.start + std::fs::metadata(&self.path)?.len())
    }
}

/// The name and the position in a file's name.
fn parts<'a>(path: &'a Path, extension: &str) -> Option<(&'a str, u64)> {
    let stem = path.file_name()?.to_str()?.strip_suffix(extension)?.strip_suffix('.')?;
    let (name, position) = stem.rsplit_once('.')?;
    let is_position = position.len() == POSITION_DIGITS && position.bytes().all(|b| b.is_ascii_digit());
    is_position.then(|| Some((name, position.parse().ok()?))).flatten()
}

impl SegmentedLog {
    pub(crate) fn new(folder: &Path, name: &str, extension: &'static str) -> Self {
        Self { folder: folder.to_owned(), name: name.to_owned(), extension }
    }

    /// The names of all logs in a folder; empty if the folder is missing.
    pub(crate) fn names(folder: &Path, extension: &str) -> io::Result<BTreeSet<String>> {
        let name = |entry: &DirEntry| Some(parts(&entry.path(), extension)?.0.to_owned());
        Ok(entries(folder)?.iter().filter_map(name).collect())
    }

    fn path(&self, start: u64) -> PathBuf {
        self.folder.join(format!("{}.{start:0POSITION_DIGITS$}.{}", self.name, self.extension))
    }

    /// All segments, oldest first.
    fn segments(&self) -> io::Result<Vec<Segment>> {
        let mut segments = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if let Some((name, start)) = parts(&path, self.extension)
                && name == self.name
            {
                segments.push(Segment { start, path });
            }
        }
        segments.sort_by_key(|segment| segment.start);
        Ok(segments)
    }

    /// The position after the last byte; 0 for a log without a file.
    pub(crate) fn end(&self) -> io::Result<u64> {
        self.segments()?.last().map_or(Ok(0), Segment::end)
    }

    /// Calls `take` with each complete line from a position on, without its line feed, and the position after it, until
    /// `take` breaks or no lines are left. An incomplete last line is still being written and is left for later.
    pub(crate) fn read(
        &self,
        from: u64,
        mut take: impl FnMut(&[u8], u64) -> ControlFlow<()>,
    ) -> io::Result<()> {
        let segments = self.segments()?;
        let first = segments.iter().rposition(|segment| segment.start <= from).unwrap_or(0);
        for segment in &segments[first..] {
            let file = match File::open(&segment.path) {
                // Deleted in the meantime because of its age.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                file => file?,
            };
            if read_segment(file, segment.start, from.max(segment.start), &mut take)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Deletes the oldest segments that end at or before `until`, as long as `is_old` returns true for the number of bytes
    /// and the first line after the segment. Never deletes the newest segment.
    pub(crate) fn delete_old(
        &self,
        until: u64,
        mut is_old: impl FnMut(u64, &[u8]) -> bool,
    ) -> io::Result<()> {
        let segments = self.segments()?;
        let end = segments.last().map_or(Ok(0), Segment::end)?;
        for pair in segments.windows(2) {
            let (old, next) = (&pair[0], &pair[1]);
            let mut line = Vec::new();
            BufReader::new(File::open(&next.path)?).read_until(b'\n', &mut line)?;
            if next.start > until || !is_old(end - next.start, line.trim_ascii_end()) {
                break;
            }
            std::fs::remove_file(&old.path)?;
        }
        Ok(())
    }
}

fn read_segment(
    mut file: File,
    start: u64,
    from: u64,
    take: &mut impl FnMut(&[u8], u64) -> ControlFlow<()>,
) -> io::Result<ControlFlow<()>> {
    file.seek(SeekFrom::Start(from - start))?;
    let mut file = BufReader::new(file);
    let (mut at, mut line) = (from, Vec::new());
    loop {
        line.clear();
        at += file.read_until(b'\n', &mut line)? as u64;
        if line.pop() != Some(b'\n') {
            return Ok(ControlFlow::Continue(()));
        }
        if take(&line, at).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
}

#[derive(Debug)]
pub(crate) struct SegmentWriter {
    log: SegmentedLog,
    file: File,
    start: u64,
    length: u64,
    /// Whether the file may end with an incomplete line, because a write and its truncation both failed.
    is_torn: bool,
    segment_bytes: u64,
}

impl SegmentWriter {
    /// Continues at the end of a log, but not before `at_least`: positions are never reused, even if files were deleted. An
    /// incomplete last line of a killed writer is cut off. A new segment starts after `segment_bytes`.
    pub(crate) fn open(log: SegmentedLog, at_least: u64, segment_bytes: u64) -> io::Result<Self> {
        std::fs::create_dir_all(&log.folder)?;
        let last = log.segments()?.pop();
        let (mut start, mut length) = (at_least, 0);
        if let Some(last) = last {
            let whole = whole_lines(&last.path)?;
            File::options().write(true).open(&last.path)?.set_len(whole)?;
            if last.start + whole >= at_least {
                (start, length) = (last.start, whole);
            }
        }
        let file = append_private(&log.path(start))?;
        Ok(Self { log, file, start, length, is_torn: false, segment_bytes })
    }

    /// The position after the last line.
    pub(crate) fn end(&self) -> u64 {
        self.start + self.length
    }

    /// Appends complete lines in one write: all or, on failure, none. Returns whether a new segment was started.
    pub(crate) fn append(&mut self, lines: &[u8]) -> io::Result<bool> {
        if self.is_torn {
            self.file.set_len(self.length)?;
            self.is_torn = false;
        }
        // Lines in a deleted file would be lost without an error.
        let is_deleted = self.file.metadata()?.nlink() == 0;
        let begins = is_deleted || self.length >= self.segment_bytes;
        if begins {
            self.file = append_private(&self.log.path(self.end()))?;
            (self.start, self.length) = (self.end(), 0);
        }
        if let Err(error) = self.file.write_all(lines) {
            self.is_torn = self.file.set_len(self.length).is_err();
            return Err(error);
        }
        self.length += lines.len() as u64;
        Ok(begins)
    }

    /// Switches to another file; returns the previous one.
    #[cfg(test)]
    pub(crate) fn swap_file(&mut self, file: File) -> File {
        std::mem::replace(&mut self.file, file)
    }

    pub(crate) fn log(&self) -> &SegmentedLog {
        &self.log
    }
}

/// Bytes of a file up to its last line feed.
fn whole_lines(path: &Path) -> io::Result<u64> {
    let mut file = File::open(path)?;
    let mut end = file.metadata()?.len();
    let mut block = vec![0; 1 << 16];
    while end > 0 {
        let start = end.saturating_sub(block.len() as u64);
        file.seek(SeekFrom::Start(start))?;
        let read = &mut block[..usize::try_from(end - start).unwrap_or(usize::MAX)];
        file.read_exact(read)?;
        if let Some(at) = read.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn log(folder: &Path) -> SegmentedLog {
        SegmentedLog::new(folder, "a.b", "log")
    }

    fn lines(log: &SegmentedLog, from: u64) -> Vec<(String, u64)> {
        let mut found = Vec::new();
        log.read(from, |line, after| {
            found.push((String::from_utf8_lossy(line).into_owned(), after));
            ControlFlow::Continue(())
        })
        .expect("read");
        found
    }

    fn files(folder: &Path) -> usize {
        std::fs::read_dir(folder).expect("a folder").count()
    }

    #[test]
    fn lines_after_a_deletion_are_in_a_new_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut writer = SegmentWriter::open(log(folder.path()), 0, SEGMENT_BYTES).expect("a writer");
        assert!(!writer.append(b"one\n").expect("written"));
        for entry in std::fs::read_dir(folder.path()).expect("a folder") {
            std::fs::remove_file(entry.expect("an entry").path()).expect("deleted");
        }
        assert!(writer.append(b"two\n").expect("written"));
        assert_eq!(lines(writer.log(), 4), [("two".to_owned(), 8)]);
    }

    #[test]
    fn half_a_line_of_a_killed_writer_is_cut_off() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut writer = SegmentWriter::open(log(folder.path()), 0, SEGMENT_BYTES).expect("a writer");
        writer.append(b"one\ntwo\n").expect("written");
        writer.file.write_all(b"thr").expect("written");
        assert_eq!(lines(&log(folder.path()), 0), [("one".into(), 4), ("two".into(), 8)]);
        let mut writer = SegmentWriter::open(log(folder.path()), 0, SEGMENT_BYTES).expect("a writer");
        assert_eq!(writer.end(), 8);
        writer.append(b"three\n").expect("written");
        assert_eq!(lines(&log(folder.path()), 4), [("two".into(), 8), ("three".into(), 14)]);
        for text in ["x".repeat(70_000), String::new()] {
            std::fs::write(log(folder.path()).path(0), text).expect("written");
            assert_eq!(SegmentWriter::open(log(folder.path()), 0, SEGMENT_BYTES).expect("a writer").end(), 0);
        }
    }

    #[test]
    fn a_position_is_never_used_again_even_when_files_are_deleted() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut writer = SegmentWriter::open(log(folder.path()), 0, SEGMENT_BYTES).expect("a writer");
        writer.append(b"one\n").expect("written");
        std::fs::remove_file(log(folder.path()).path(0)).expect("removed");
        let mut writer = SegmentWriter::open(log(folder.path()), 4, SEGMENT_BYTES).expect("a writer");
        writer.append(b"two\n").expect("written");
        assert_eq!(lines(&log(folder.path()), 4), [("two".into(), 8)]);
        let writer = SegmentWriter::open(log(folder.path()), 100, SEGMENT_BYTES).expect("a writer");
        assert_eq!((writer.end(), log(folder.path()).end().expect("an end")), (100, 100));
        assert_eq!(lines(&log(folder.path()), 0), [("two".into(), 8)]);
    }

    #[test]
    fn other_files_are_no_segments() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["a.b.log", "a.b.12.log", "x.00000000000000000000.jsonl", "a.b.0000000000000000000x.log"]
        {
            std::fs::write(folder.path().join(name), "junk\n").expect("written");
        }
        assert!(lines(&log(folder.path()), 0).is_empty());
        assert!(SegmentedLog::names(folder.path(), "log").expect("names").is_empty());
        assert_eq!(SegmentedLog::names(folder.path(), "jsonl").expect("names").len(), 1);
        assert!(SegmentedLog::names(&folder.path().join("none"), "log").expect("names").is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_line_is_read_once_from_any_line_over_segments_restarts_and_deletions(
            lengths in prop::collection::vec(0_usize..40, 1..60),
            segment_bytes in 1_u64..200,
            restart_every in 1_usize..20,
        ) {
            let folder = tempfile::tempdir().expect("a folder");
            let open = || SegmentWriter::open(log(folder.path()), 0, segment_bytes).expect("a writer");
            let (mut writer, mut written) = (open(), Vec::new());
            for (number, length) in lengths.into_iter().enumerate() {
                if number % restart_every == 0 {
                    writer = open();
                }
                let text = format!("{number}{}", "-".repeat(length));
                writer.append(format!("{text}\n").as_bytes()).expect("written");
                written.push((text, writer.end()));
            }
            prop_assert_eq!(&lines(&log(folder.path()), 0), &written);
            for at in 0..written.len() {
                prop_assert_eq!(&lines(&log(folder.path()), written[at].1), &written[at + 1..]);
            }
            let before = files(folder.path());
            let middle = written[written.len() / 2].1;
            log(folder.path()).delete_old(middle, |_, _| true).expect("deleted");
            prop_assert_eq!(&lines(&log(folder.path()), middle), &written[written.len() / 2 + 1..]);
            log(folder.path()).delete_old(u64::MAX, |_, _| true).expect("deleted");
            prop_assert!(files(folder.path()) == 1 && before >= 1);
            prop_assert_eq!(writer.end(), log(folder.path()).end().expect("an end"));
        }
    }
}
