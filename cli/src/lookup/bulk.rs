//! Reads CSV and writes it with added columns. The cells of the input are unchanged, even if they are not UTF-8.

use std::io::{Read as _, Write};
use std::net::IpAddr;

use anyhow::{Context, bail};
use csv::Terminator;
use ipgeo_runtime::lookup::{Column, Rows, TooManyCells, push_answer};

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

/// How to read a file and what to add.
#[derive(Debug, Clone, Default)]
pub(crate) struct BulkOptions {
    /// The column of addresses, by name or number from 1; otherwise it is found.
    pub(crate) column: Option<String>,
    /// The first row has addresses already, and no header row is written.
    pub(crate) no_header: bool,
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

pub(crate) struct Bulk<'a> {
    rows: Rows<'a>,
    options: BulkOptions,
    name: String,
    outcome: BulkOutcome,
    /// Index of the column of addresses.
    address: usize,
    /// Columns of the input.
    width: usize,
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
        let rows = Rows::new(Box::new(input), out, delimiter, terminator);
        Ok(Self { rows, options, name, outcome: BulkOutcome::default(), address: 0, width: 0 })
    }

    /// Answers every row; `progress` gets the bytes read since its last call.
    pub(crate) fn run(
        mut self,
        source: &mut Source,
        stop: &StopFlag,
        progress: &dyn Fn(u64),
    ) -> anyhow::Result<BulkOutcome> {
        if self.read_block()? == 0 {
            return Ok(self.outcome);
        }
        self.width = self.rows.block()[0].len();
        let has_header = self.has_header();
        let first = usize::from(has_header);
        self.address = self.find_address(first)?;
        self.write_header(has_header)?;
        let (mut first, mut position) = (first, 0);
        loop {
            self.answer_block(first, source, stop)?;
            let byte = self.rows.bytes();
            progress(byte - position);
            (first, position) = (0, byte);
            if self.read_block()? == 0 {
                break;
            }
        }
        self.rows.flush()?;
        Ok(self.outcome)
    }

    fn read_block(&mut self) -> anyhow::Result<usize> {
        self.rows.read(BLOCK).with_context(|| format!("cannot read {}", self.name))
    }

    /// Whether the first row names the columns: no cell of it is meant as an address.
    fn has_header(&self) -> bool {
        let is_address = |cell: &[u8]| {
            let text = String::from_utf8_lossy(cell);
            is_address(&text) || hint(&text).is_some_and(|hint| hint.starts_with("remove "))
        };
        !self.options.no_header && !self.rows.block()[0].iter().any(is_address)
    }

    /// The column of addresses: the named one; otherwise, among those with addresses in most rows, the one with a usual
    /// name or the first; otherwise, if no row has an address, the one with a usual name.
    fn find_address(&self, first: usize) -> anyhow::Result<usize> {
        let header = (first == 1).then(|| &self.rows.block()[0]);
        let names: Vec<String> = header
            .into_iter()
            .flatten()
            .map(|cell| String::from_utf8_lossy(cell).trim().to_owned())
            .collect();
        if let Some(wanted) = &self.options.column {
            return self.named_column(wanted, &names);
        }
        let rows = &self.rows.block()[first..];
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
            self.rows.block()[0].clone()
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
        Ok(self.rows.write(&header)?)
    }

    /// Looks up the rows of the block from an index on, and writes them.
    fn answer_block(&mut self, first: usize, source: &mut Source, stop: &StopFlag) -> anyhow::Result<()> {
        let width = self.width;
        if let Err(TooManyCells { line, cells }) = self.rows.take_addresses(first, width, self.address) {
            bail!(
                "{}:{line}: {cells} cells, but the first row has {width}\nhelp: cells with commas need quotes around them",
                self.name
            );
        }
        let (columns, failed) = (&self.options.columns, &mut self.outcome.failed);
        let (texts, rows) = self.rows.addresses_and_rows(first);
        source.look_up(texts, Wanted::Columns(columns), stop, &mut |index, answer| {
            match answer {
                Ok(_) => push_answer(&mut rows[index], columns, answer, escape_cell),
                Err(message) => {
                    *failed += 1;
                    let why = explained(&texts[index], message);
                    push_answer(&mut rows[index], columns, Err(&why), escape_cell);
                }
            }
            Ok(())
        })?;
        self.outcome.rows += texts.len() as u64;
        Ok(self.rows.write_block(first)?)
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
