//! Output of the program: data on standard output, notes and prompts on standard error. Verbs print only through this
//! module, so that colours, output formats and control characters are handled once.

mod cells;
mod dev;
mod document;
mod error;
mod formats;
mod html;
mod table;

use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

pub(crate) use cells::{escape_cell, unescape_cell};
#[cfg(test)]
pub(crate) use dev::DEV_VERBS;
pub(crate) use dev::{suggest_dev, with_dev};
pub(crate) use document::{format_value, to_json, to_json_line};
pub(crate) use error::{Exit, Interrupted, UsageError, report_error};
pub(crate) use formats::{Format, Formats};
pub(crate) use html::{PageError, html_page};
pub(crate) use table::{Column, printable};

pub(crate) use super::format::{grouped, instant};
use super::progress::above_bars;

/// Buffer of streamed data.
const STREAM_BYTES: usize = 1 << 16;

/// Prints one line on standard error: progress, notes, errors.
pub(crate) fn print_note(line: &str) {
    let line = printable(&with_dev(line));
    // A closed standard error must not fail the verb.
    let _ = above_bars(|| writeln!(io::stderr(), "{line}"));
}

/// Prints data on standard output, nothing if it is empty; a closed pipe (`| head`) is not an error.
pub(crate) fn print_data(text: &str) -> io::Result<()> {
    match print_once(text) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}

/// Prints data that is shown only once, so a closed pipe is an error.
pub(crate) fn print_once(text: &str) -> io::Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    let mut out = io::stdout().lock();
    let written =
        out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush());
    written.map_err(|error| io::Error::new(error.kind(), format!("cannot write standard output: {error}")))
}

/// Whether standard output discards everything: it is `/dev/null`, which the standard library also opens in place of a
/// closed one.
pub(crate) fn stdout_discards() -> bool {
    let null = rustix::fs::stat("/dev/null").map(|null| null.st_rdev);
    // A regular file or a pipe has device number 0.
    rustix::fs::fstat(io::stdout()).is_ok_and(|out| null == Ok(out.st_rdev))
}

/// Streams data to standard output. `None` if the pipe was closed (`| head`), which is not an error.
pub(crate) fn stream_data<T>(
    write: impl FnOnce(&mut dyn io::Write) -> anyhow::Result<T>,
) -> anyhow::Result<Option<T>> {
    let mut out = io::BufWriter::with_capacity(STREAM_BYTES, io::stdout().lock());
    let written = write(&mut out).and_then(|value| {
        out.flush()?;
        Ok(value)
    });
    let is_closed = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    match written {
        Err(error) if error.chain().any(is_closed) => Ok(None),
        written => written.map(Some),
    }
}

/// When colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` is set; always if `CLICOLOR_FORCE` is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl Color {
    /// Sets this for the whole program.
    pub(crate) fn apply(self) {
        match self {
            Self::Auto => anstream::ColorChoice::Auto,
            Self::Always => anstream::ColorChoice::Always,
            Self::Never => anstream::ColorChoice::Never,
        }
        .write_global();
    }
}

/// Why a text is coloured. The text must be clear without its colour too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    /// An addition.
    Add,
    /// A change.
    Change,
    /// A removal, or something dangerous.
    Danger,
    /// A heading.
    Heading,
}

/// The text with the escape codes of its colour.
pub(crate) fn painted(paint: Paint, text: &str) -> String {
    use anstyle::{AnsiColor, Style};
    let style = match paint {
        Paint::Add => Style::new().fg_color(Some(AnsiColor::Green.into())),
        Paint::Change => Style::new().fg_color(Some(AnsiColor::Yellow.into())),
        Paint::Danger => Style::new().fg_color(Some(AnsiColor::Red.into())).bold(),
        Paint::Heading => Style::new().bold(),
    };
    format!("{style}{text}{style:#}")
}

/// Prints coloured data on standard output, without the colours if they are off.
pub(crate) fn print_painted(text: &str) -> io::Result<()> {
    let wanted = anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never;
    print_data(&if wanted { text.to_owned() } else { anstream::adapter::strip_str(text).to_string() })
}

/// Asks on standard error and reads one line of standard input; `None` if it is not a terminal or is at its end.
pub(crate) fn prompt(question: &str) -> io::Result<Option<String>> {
    if !io::stdin().is_terminal() {
        return Ok(None);
    }
    write!(io::stderr(), "{question} ")?;
    let mut answer = String::new();
    let read = io::stdin().read_line(&mut answer)?;
    Ok((read > 0).then(|| answer.trim().to_owned()))
}

/// Whether standard error is a terminal, so that bars can be drawn.
pub(crate) fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Whether standard output is a terminal, so that it can be redrawn.
pub(crate) fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Rows in an output format. `cells` gives a row's texts for the columns of a table; the other formats serialise the row
/// itself. Without rows, CSV has only the header.
pub(crate) fn format_rows<T: Serialize + Default>(
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
        Format::Json => to_json(rows),
        Format::Jsonl => document::json_lines(rows),
        Format::Csv => document::csv(rows, rows.is_empty().then(T::default).as_ref()),
    }
}

fn terminal_width() -> Option<u16> {
    io::stdout().is_terminal().then(|| comfy_table::Table::new().width()).flatten()
}
