//! What the operator sees: data on standard output, talk on standard error, in the form asked for.

mod error;
mod table;

use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

pub use error::{Exit, report_error};
pub use table::{Align, Column, grouped, printable};

/// A form of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// Aligned columns for people.
    #[default]
    Table,
    /// One JSON value.
    Json,
    /// One JSON object a line.
    Jsonl,
    /// Comma-separated values with a head line.
    Csv,
}

/// Prints one line of talk on standard error.
pub fn say(line: &str) {
    // Whoever closed the other end does not want to hear it.
    let _ = writeln!(io::stderr(), "{}", printable(line));
}

/// Prints data on standard output; a reader who has left (`| head`) is no error.
pub fn data(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Whether standard error is a terminal: whether bars may be drawn.
pub fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Rows in the form asked for. `cells` gives a row's texts for the columns of a table; the other forms
/// are of the row itself.
pub fn rows<T: Serialize>(
    format: Format,
    columns: &[Column],
    rows: &[T],
    cells: impl Fn(&T) -> Vec<String>,
) -> anyhow::Result<String> {
    match format {
        Format::Table => {
            let width = terminal_width();
            Ok(table::render(columns, &rows.iter().map(cells).collect::<Vec<_>>(), width))
        }
        Format::Json => Ok(serde_json::to_string_pretty(rows)?),
        Format::Jsonl => {
            let lines: Result<Vec<String>, _> = rows.iter().map(serde_json::to_string).collect();
            Ok(lines?.join("\n"))
        }
        Format::Csv => {
            let mut writer = csv::Writer::from_writer(Vec::new());
            for row in rows {
                writer.serialize(row)?;
            }
            let bytes = writer.into_inner().map_err(|error| error.into_error())?;
            Ok(String::from_utf8(bytes)?.trim_end().to_owned())
        }
    }
}

fn terminal_width() -> Option<u16> {
    io::stdout().is_terminal().then(|| comfy_table::Table::new().width()).flatten()
}
