//! Reads text from a file or standard input, with limits: a file that is not text is refused by its first bytes, and a line
//! that never ends is refused before it fills the memory.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context, bail};
use ipgeo_runtime::lookup::RecordRead;

/// Maximum bytes of a line, or of a record of CSV.
const RECORD_BYTES_MAX: usize = 1 << 20;
const BUFFER_BYTES: usize = 1 << 17;

pub(crate) struct Input {
    /// The file's name, or `standard input`.
    pub(crate) name: String,
    /// Size of the file; `None` if it is a pipe.
    pub(crate) bytes: Option<u64>,
    reader: BufReader<Box<dyn Read + Send>>,
    /// Bytes that the current record may still have.
    left: usize,
}

impl Input {
    /// Opens a file; `-` is standard input.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        if path.as_os_str() == "-" {
            return Self::new("standard input".to_owned(), None, Box::new(io::stdin()));
        }
        let failed = || format!("cannot read {}", path.display());
        let file = File::open(path).with_context(failed)?;
        let metadata = file.metadata().with_context(failed)?;
        if metadata.is_dir() {
            bail!("{} is a folder\nhelp: name a file, or `-` for standard input", path.display());
        }
        let bytes = metadata.is_file().then_some(metadata.len());
        Self::new(path.display().to_string(), bytes, Box::new(file))
    }

    /// Reads the beginning, and fails if it is not text.
    pub(crate) fn new(
        name: String,
        bytes: Option<u64>,
        reader: Box<dyn Read + Send>,
    ) -> anyhow::Result<Self> {
        let reader = BufReader::with_capacity(BUFFER_BYTES, reader);
        let mut input = Self { name, bytes, reader, left: RECORD_BYTES_MAX };
        let fault = not_text(input.head()?);
        if let Some((what, help)) = fault {
            bail!("{} is {what}\nhelp: {help}", input.name);
        }
        Ok(input)
    }

    /// The bytes that come next, as many as are there.
    pub(crate) fn head(&mut self) -> anyhow::Result<&[u8]> {
        self.reader.fill_buf().with_context(|| format!("cannot read {}", self.name))
    }

    /// Reads the next line without surrounding whitespace; false at the end. Skips empty lines.
    pub(crate) fn next_line(&mut self, line: &mut String) -> anyhow::Result<bool> {
        loop {
            let mut bytes = Vec::new();
            let limited = (&mut self.reader).take(RECORD_BYTES_MAX as u64 + 1);
            let read = { limited }.read_until(b'\n', &mut bytes);
            if read.with_context(|| format!("cannot read {}", self.name))? > RECORD_BYTES_MAX {
                return Err(too_long()).with_context(|| format!("cannot read {}", self.name));
            }
            let text = String::from_utf8_lossy(&bytes);
            let text = text.trim_start_matches('\u{feff}').trim();
            if bytes.is_empty() || !text.is_empty() {
                line.clear();
                line.push_str(text);
                return Ok(!bytes.is_empty());
            }
        }
    }

    /// Whether reading the next line may have to wait.
    pub(crate) fn is_drained(&self) -> bool {
        !self.reader.buffer().contains(&b'\n')
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.left = self.left.checked_sub(read).ok_or_else(too_long)?;
        Ok(read)
    }
}

impl RecordRead for Input {
    fn start_record(&mut self) {
        self.left = RECORD_BYTES_MAX;
    }
}

fn too_long() -> io::Error {
    let why = "a line has more than 1 MiB; is a quote missing, or is it not a list of addresses?";
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// The kind of a file that is not text, by its first bytes, and what to do about it.
fn not_text(head: &[u8]) -> Option<(&'static str, &'static str)> {
    let starts = |bytes: &[u8]| head.starts_with(bytes);
    if starts(b"\x1f\x8b") {
        Some(("compressed", "unpack it first: `gunzip -c FILE | ipgeo bulk -`"))
    } else if starts(b"\x28\xb5\x2f\xfd") {
        Some(("compressed", "unpack it first: `zstd -dc FILE | ipgeo bulk -`"))
    } else if starts(b"PK\x03\x04") {
        Some(("an archive or a workbook, not text", "unpack it, or save the worksheet as CSV"))
    } else if starts(b"\xff\xfe") || starts(b"\xfe\xff") {
        Some(("UTF-16 text", "save it as UTF-8"))
    } else if head.contains(&0) {
        Some(("a binary file, not text", "name a CSV file or a list of addresses"))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(bytes: &[u8]) -> anyhow::Result<Input> {
        Input::new("a.csv".to_owned(), None, Box::new(io::Cursor::new(bytes.to_vec())))
    }

    #[test]
    fn lines_are_trimmed_and_empty_ones_skipped() {
        let mut input = input(b"\xef\xbb\xbf8.8.8.8\r\n\r\n \t 1.1.1.1 \n\n\xff\n2.2.2.2").expect("text");
        let (mut line, mut lines) = (String::new(), Vec::new());
        while input.next_line(&mut line).expect("read") {
            lines.push(line.clone());
        }
        assert_eq!(lines, ["8.8.8.8", "1.1.1.1", "\u{fffd}", "2.2.2.2"]);
    }

    #[test]
    fn what_is_not_text_is_named() {
        for (bytes, expected) in [
            (&b"\x1f\x8b\x08"[..], "a.csv is compressed\nhelp: unpack it first: `gunzip"),
            (b"\x28\xb5\x2f\xfd\x00", "a.csv is compressed\nhelp: unpack it first: `zstd"),
            (b"PK\x03\x04", "a.csv is an archive or a workbook"),
            (b"\xff\xfei\0p\0", "a.csv is UTF-16 text\nhelp: save it as UTF-8"),
            (b"abc\0def", "a.csv is a binary file, not text"),
        ] {
            let refused = input(bytes).map(|_| ()).expect_err("refused").to_string();
            assert!(refused.starts_with(expected), "{refused}");
        }
        assert!(input(b"").is_ok() && input("Zürich,8.8.8.8".as_bytes()).is_ok());
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut lines = input(&vec![b'8'; RECORD_BYTES_MAX + 1]).expect("text");
        let refused = lines.next_line(&mut String::new()).expect_err("too long");
        assert!(format!("{refused:#}").contains("more than 1 MiB"), "{refused:#}");
        let mut records = input(&vec![b'8'; 2 * RECORD_BYTES_MAX]).expect("text");
        assert!(io::copy(&mut records, &mut io::sink()).is_err());
        let folder = tempfile::tempdir().expect("a folder");
        let missing = Input::open(&folder.path().join("missing.csv")).map(|_| ()).expect_err("missing");
        assert!(format!("{missing:#}").contains("missing.csv: No such file"), "{missing:#}");
        let refused = Input::open(folder.path()).map(|_| ()).expect_err("a folder").to_string();
        assert!(refused.contains("is a folder\nhelp: name a file"), "{refused}");
    }
}
