//! The rows of a CSV file, read in blocks and written with added cells. What `ipgeo bulk` does for each of millions of rows is
//! in this crate, because whoever builds the tool with `cargo build --release` gets its own crate without optimisation.

use std::borrow::Cow;
use std::io::{self, Read, Write};

use csv::{ByteRecord, Position, Reader, ReaderBuilder, Terminator, Writer, WriterBuilder};

use super::columns::Column;

const BUFFER_BYTES: usize = 1 << 16;

/// A reader that limits the size of a record.
pub trait RecordRead: Read {
    /// Resets the limit: a record is complete.
    fn start_record(&mut self);
}

/// A row with more cells than the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyCells {
    /// Its line in the file.
    pub line: u64,
    /// Its cells.
    pub cells: usize,
}

/// A file that is being read and written.
pub struct Rows<'a> {
    reader: Reader<Box<dyn RecordRead + 'a>>,
    writer: Writer<&'a mut dyn Write>,
    block: Vec<ByteRecord>,
    /// The address of each row of the block.
    texts: Vec<String>,
    /// Whether lines end in `\r\n`: the reader counts such a line feed with the next row.
    is_crlf: bool,
}

impl<'a> Rows<'a> {
    /// Reads and writes with the same delimiter.
    pub fn new(
        input: Box<dyn RecordRead + 'a>,
        out: &'a mut dyn Write,
        delimiter: u8,
        terminator: Terminator,
    ) -> Self {
        let reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter)
            .buffer_capacity(BUFFER_BYTES)
            .from_reader(input);
        let writer = WriterBuilder::new()
            .delimiter(delimiter)
            .terminator(terminator)
            .buffer_capacity(BUFFER_BYTES)
            .from_writer(out);
        let is_crlf = matches!(terminator, Terminator::CRLF);
        Self { reader, writer, block: Vec::new(), texts: Vec::new(), is_crlf }
    }

    /// Reads a block of at most `max` rows; their number.
    pub fn read(&mut self, max: usize) -> io::Result<usize> {
        let mut count = 0;
        while count < max {
            if self.block.len() == count {
                self.block.push(ByteRecord::new());
                self.texts.push(String::new());
            }
            self.reader.get_mut().start_record();
            if !self.reader.read_byte_record(&mut self.block[count]).map_err(io_error)? {
                break;
            }
            count += 1;
        }
        self.block.truncate(count);
        self.texts.truncate(count);
        Ok(count)
    }

    /// The rows of the block.
    pub fn block(&self) -> &[ByteRecord] {
        &self.block
    }

    /// Bytes read so far.
    pub fn bytes(&self) -> u64 {
        self.reader.position().byte()
    }

    /// Fills the rows from an index on with empty cells up to `width`, and takes the address of each.
    pub fn take_addresses(&mut self, first: usize, width: usize, address: usize) -> Result<(), TooManyCells> {
        if let Some(index) = (first..self.block.len()).find(|index| self.block[*index].len() > width) {
            return Err(TooManyCells { line: self.line_of(index), cells: self.block[index].len() });
        }
        for (row, text) in self.block.iter_mut().zip(&mut self.texts).skip(first) {
            (row.len()..width).for_each(|_| row.push_field(b""));
            text.clear();
            text.push_str(&String::from_utf8_lossy(row.get(address).unwrap_or_default()));
        }
        Ok(())
    }

    /// The line of a row in the file. The reader's position of a row is before the line feed of the previous `\r\n` and before
    /// empty lines, so the line is counted from the row's end, too.
    fn line_of(&self, index: usize) -> u64 {
        let row = &self.block[index];
        let next = self.block.get(index + 1).and_then(ByteRecord::position);
        let end = next.unwrap_or_else(|| self.reader.position()).line();
        let breaks = memchr::memchr_iter(b'\n', row.as_slice()).count() as u64;
        let passed = breaks + u64::from(!self.is_crlf);
        row.position().map_or(0, Position::line).max(end.saturating_sub(passed))
    }

    /// The addresses and rows from an index on.
    pub fn addresses_and_rows(&mut self, first: usize) -> (&[String], &mut [ByteRecord]) {
        (&self.texts[first..], &mut self.block[first..])
    }

    /// Writes the rows from an index on.
    pub fn write_block(&mut self, first: usize) -> io::Result<()> {
        self.block[first..].iter().try_for_each(|row| self.writer.write_byte_record(row).map_err(io_error))
    }

    /// Writes a row that is not of the block.
    pub fn write(&mut self, row: &ByteRecord) -> io::Result<()> {
        self.writer.write_byte_record(row).map_err(io_error)
    }

    /// Writes what is buffered.
    pub fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl std::fmt::Debug for Rows<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows").field("block", &self.block.len()).finish_non_exhaustive()
    }
}

/// Appends the cells of a location to a row, and the cell of the error: empty if there is a location. `escape` protects text
/// that a spreadsheet would run as a formula.
pub fn push_answer(
    row: &mut ByteRecord,
    columns: &[Column],
    answer: Result<&str, &str>,
    escape: fn(&str) -> Cow<'_, str>,
) {
    let mut push = |text: &str| {
        // Most cells start with a letter or digit, or are numbers; the complete check would take most of the time.
        if text.as_bytes().first().is_none_or(u8::is_ascii_alphanumeric) || is_plain_number(text) {
            row.push_field(text.as_bytes());
        } else {
            row.push_field(escape(text).as_bytes());
        }
    };
    match answer {
        Ok(location) => {
            Column::texts(columns, location).for_each(|cell| push(&cell));
            push("");
        }
        Err(message) => {
            for _ in columns {
                push("");
            }
            push(message);
        }
    }
}

/// Whether a text is a minus sign and digits with at most one point between them.
fn is_plain_number(text: &str) -> bool {
    let Some(number) = text.strip_prefix('-') else { return false };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    [whole, fraction].iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The reader's or writer's own error, so that a closed pipe is recognised.
fn io_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_and_words_are_written_without_a_look_at_formulas() {
        let table = [
            ("-33.8591", "-33.8591"),
            ("-7", "-7"),
            ("-1.2.3", "!-1.2.3"),
            ("-", "!-"),
            ("-.5", "!-.5"),
            ("-5.", "!-5."),
            ("-5a", "!-5a"),
            ("=1", "!=1"),
            ("São Paulo", "São Paulo"),
            ("Évora", "!Évora"),
            ("", ""),
        ];
        for (message, expected) in table {
            let mut row = ByteRecord::new();
            push_answer(&mut row, &[], Err(message), |text| Cow::Owned(format!("!{text}")));
            assert_eq!(row.get(0), Some(expected.as_bytes()), "{message}");
        }
    }
}
