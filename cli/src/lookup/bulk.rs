//! Reads CSV and writes it with added columns. The cells of the input are unchanged, even if they are not UTF-8.

use std::io::{self, Read as _, Write};
use std::net::IpAddr;

use anyhow::{Context, bail};
use csv::{ByteRecord, Reader, ReaderBuilder, Terminator, Writer, WriterBuilder};
use ipgeo_runtime::lookup::Column;

use super::input::Input;
use super::source::{BLOCK, Source, Wanted};
use super::{StopFlag, hint};
use crate::ui::output::{UsageError, escape_cell};

/// Names of the column of addresses, in this order.
const ADDRESS_NAMES: [&str; 5] = ["ip", "ip_address", "ipaddress", "ip_addr", "address"];
/// The column that says why a row has no location.
const ERROR_NAME: &str = "ip_error";
/// The byte order mark by which spreadsheets recognise UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
const BUFFER_BYTES: usize = 1 << 16;

/// How to read a file and what to add.
#[derive(Debug, Clone, Default)]
pub(crate) struct BulkOptions {
    /// The column of addresses, by name or number from 1; otherwise it is found.
    pub(crate) column: Option<String>,
    /// The first row has addresses already, and no header row is written.
    pub(crate) no_header: bool,
    /// The columns to add.
    pub(crate) columns: Vec<Column>,
}

/// Rows that were written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct BulkOutcome {
    pub(crate) rows: u64,
    /// Those without a location.
    pub(crate) failed: u64,
    /// Names of added columns that got a prefix, because the file has their names already.
    pub(crate) renamed: usize,
}

/// The work on one file.
pub(crate) struct Bulk<'a> {
    reader: Reader<Input>,
    writer: Writer<&'a mut dyn Write>,
    options: BulkOptions,
    name: String,
    outcome: BulkOutcome,
    /// Index of the column of addresses.
    address: usize,
    /// Columns of the input.
    width: usize,
    rows: Vec<ByteRecord>,
    texts: Vec<String>,
}

impl<'a> Bulk<'a> {
    /// Recognises delimiter, line ends and byte order mark by the beginning of the file.
    pub(crate) fn new(
        mut input: Input,
        out: &'a mut dyn Write,
        options: BulkOptions,
    ) -> anyhow::Result<Self> {
        let name = input.name.clone();
        let head = input.head()?;
        let has_mark = head.starts_with(BYTE_ORDER_MARK);
        let first_line = head.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
        let terminator =
            if first_line.ends_with(b"\r\n") { Terminator::CRLF } else { Terminator::Any(b'\n') };
        let delimiter = delimiter(first_line);
        if has_mark {
            input.read_exact(&mut [0; BYTE_ORDER_MARK.len()])?;
            out.write_all(BYTE_ORDER_MARK)?;
        }
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
        let (rows, texts) = (Vec::new(), Vec::new());
        let (outcome, address, width) = (BulkOutcome::default(), 0, 0);
        Ok(Self { reader, writer, options, name, outcome, address, width, rows, texts })
    }

    /// Answers every row; `progress` gets the bytes read since its last call.
    pub(crate) fn run(
        mut self,
        source: &mut Source,
        stop: &StopFlag,
        progress: &dyn Fn(u64),
    ) -> anyhow::Result<BulkOutcome> {
        let mut count = self.read_block(0)?;
        if count == 0 {
            return Ok(self.outcome);
        }
        self.width = self.rows[0].len();
        let has_header = self.has_header();
        let first = usize::from(has_header);
        self.address = self.find_address(first, count)?;
        self.write_header(has_header)?;
        let (mut first, mut position) = (first, 0);
        while count > 0 {
            self.answer_block(first, count, source, stop)?;
            let byte = self.reader.position().byte();
            progress(byte - position);
            (first, position) = (0, byte);
            count = self.read_block(0)?;
        }
        self.writer.flush()?;
        Ok(self.outcome)
    }

    /// Reads rows into the block from an index on; their number with those before.
    fn read_block(&mut self, from: usize) -> anyhow::Result<usize> {
        let mut count = from;
        while count < BLOCK {
            if self.rows.len() == count {
                self.rows.push(ByteRecord::new());
                self.texts.push(String::new());
            }
            self.reader.get_mut().start_record();
            let read = self.reader.read_byte_record(&mut self.rows[count]);
            if !read.map_err(io_error).with_context(|| format!("cannot read {}", self.name))? {
                break;
            }
            count += 1;
        }
        Ok(count)
    }

    /// Whether the first row names the columns: no cell of it is meant as an address.
    fn has_header(&self) -> bool {
        let is_address = |cell: &[u8]| {
            let text = String::from_utf8_lossy(cell);
            is_address(&text) || hint(&text).is_some_and(|hint| hint.starts_with("remove "))
        };
        !self.options.no_header && !self.rows[0].iter().any(is_address)
    }

    /// The column of addresses: the named one; otherwise, among those with addresses in most rows, the one with a usual
    /// name or the first; otherwise, if no row has an address, the one with a usual name.
    fn find_address(&self, first: usize, count: usize) -> anyhow::Result<usize> {
        let header = (first == 1).then(|| &self.rows[0]);
        let names: Vec<String> = header
            .into_iter()
            .flatten()
            .map(|cell| String::from_utf8_lossy(cell).trim().to_owned())
            .collect();
        if let Some(wanted) = &self.options.column {
            return self.named_column(wanted, &names);
        }
        let rows = &self.rows[first..count];
        let has_addresses = |index: &usize| {
            let cells = rows.iter().filter_map(|row| row.get(*index)).filter(|cell| !cell.is_empty());
            let (mut good, mut all) = (0, 0);
            for cell in cells {
                all += 1;
                good += usize::from(is_address(&String::from_utf8_lossy(cell)));
            }
            good * 2 > all
        };
        let usual = |indexes: &[usize]| {
            ADDRESS_NAMES.iter().find_map(|usual| {
                let is_usual = |name: &str| name.to_ascii_lowercase().replace([' ', '-'], "_") == *usual;
                indexes.iter().copied().find(|index| names.get(*index).is_some_and(|name| is_usual(name)))
            })
        };
        let found: Vec<usize> = (0..self.width).filter(has_addresses).collect();
        let all: Vec<usize> = (0..self.width).collect();
        let only = (self.width == 1 && first == 0).then_some(0);
        usual(&found).or(found.first().copied()).or_else(|| usual(&all)).or(only).with_context(|| {
            let columns = if names.is_empty() { String::new() } else { format!("; its columns are {}", names.join(", ")) };
            format!("{} has no column of addresses{columns}\nhelp: name it with `--column NAME` or `--column NUMBER`", self.name)
        })
    }

    fn named_column(&self, wanted: &str, names: &[String]) -> anyhow::Result<usize> {
        let by_name = names.iter().position(|name| name == wanted);
        let by_number = || wanted.parse::<usize>().ok()?.checked_sub(1).filter(|index| *index < self.width);
        by_name.or_else(by_number).ok_or_else(|| {
            let known = match names {
                [] => format!("its {} columns have no names, only numbers from 1", self.width),
                names => format!("its columns are {}", names.join(", ")),
            };
            UsageError(format!("{} has no column `{wanted}`; {known}", self.name)).into()
        })
    }

    /// Writes the header row: that of the file, or names for columns without names.
    fn write_header(&mut self, has_header: bool) -> anyhow::Result<()> {
        if self.options.no_header {
            return Ok(());
        }
        let mut header = if has_header {
            self.rows[0].clone()
        } else {
            let name =
                |index| if index == self.address { "ip".to_owned() } else { format!("column_{}", index + 1) };
            (0..self.width).map(name).collect::<Vec<_>>().into()
        };
        let added = self.options.columns.iter().map(Column::name).chain([ERROR_NAME]);
        for name in added {
            let mut name = name.to_owned();
            let is_taken = |name: &str| header.iter().any(|known| known == name.as_bytes());
            self.outcome.renamed += usize::from(is_taken(&name));
            while is_taken(&name) {
                name.insert_str(0, "ip_");
            }
            header.push_field(name.as_bytes());
        }
        Ok(self.writer.write_byte_record(&header).map_err(io_error)?)
    }

    /// Looks up the rows of the block from an index on, and writes them.
    fn answer_block(
        &mut self,
        first: usize,
        count: usize,
        source: &mut Source,
        stop: &StopFlag,
    ) -> anyhow::Result<()> {
        let (width, address) = (self.width, self.address);
        for (row, text) in self.rows[first..count].iter_mut().zip(&mut self.texts[first..count]) {
            if row.len() > width {
                let line = row.position().map_or(0, csv::Position::line);
                bail!(
                    "{}:{line}: {} cells, but the first row has {width}\nhelp: cells with commas need quotes around them",
                    self.name,
                    row.len()
                );
            }
            (row.len()..width).for_each(|_| row.push_field(b""));
            text.clear();
            text.push_str(&String::from_utf8_lossy(row.get(address).unwrap_or_default()));
        }
        let (rows, columns, failed) =
            (&mut self.rows[first..count], &self.options.columns, &mut self.outcome.failed);
        let texts = &self.texts[first..count];
        source.look_up(texts, Wanted::Columns(columns), stop, &mut |index, answer| {
            match answer {
                Ok(location) => {
                    for cell in Column::texts(columns, location) {
                        push_cell(&mut rows[index], &cell);
                    }
                    rows[index].push_field(b"");
                }
                Err(message) => {
                    *failed += 1;
                    for _ in columns {
                        rows[index].push_field(b"");
                    }
                    push_cell(&mut rows[index], &explained(&texts[index], message));
                }
            }
            Ok(())
        })?;
        for row in rows {
            self.writer.write_byte_record(row).map_err(io_error)?;
        }
        self.outcome.rows += (count - first) as u64;
        Ok(())
    }
}

/// Appends a cell, escaped so that a spreadsheet does not run it as a formula.
fn push_cell(row: &mut ByteRecord, text: &str) {
    // Most cells start with a letter or digit; the complete check would take most of the time.
    if text.as_bytes().first().is_none_or(u8::is_ascii_alphanumeric) {
        row.push_field(text.as_bytes());
    } else {
        row.push_field(escape_cell(text).as_bytes());
    }
}

/// Why a row has no location, and what to do.
fn explained(text: &str, message: &str) -> String {
    if text.trim().is_empty() {
        return "no address".to_owned();
    }
    hint(text).map_or_else(|| message.to_owned(), |hint| format!("{message}; {hint}"))
}

fn is_address(text: &str) -> bool {
    text.trim().parse::<IpAddr>().is_ok()
}

/// The delimiter: the most frequent of comma, semicolon and tab in the first line, or a comma if it has none of them.
fn delimiter(first_line: &[u8]) -> u8 {
    let count = |delimiter: u8| first_line.split(|byte| *byte == delimiter).count();
    [b'\t', b';', b','].into_iter().max_by_key(|delimiter| count(*delimiter)).unwrap_or(b',')
}

/// The reader's or writer's own error, so that a closed pipe is recognised.
fn io_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}
