//! Output of the program: data on standard output, notes and prompts on standard error. Verbs print only through this
//! module, so that colours, output formats and control characters are handled once.

mod cells;
mod dev;
mod document;
mod error;
mod formats;
mod html;
mod paint;
mod screen;
mod stream;
mod table;
mod text;

use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

pub(crate) use cells::{escape_cell, unescape_cell};
#[cfg(test)]
pub(crate) use dev::DEV_VERBS;
pub(crate) use dev::{suggest_dev, with_dev};
pub(crate) use document::{format_value, to_json, to_json_line};
pub(crate) use error::{Exit, Interrupted, UsageError, report_error};
pub(crate) use formats::{Format, Formats, value_name};
pub(crate) use html::{PageError, html_page};
pub(crate) use paint::{Color, Paint, apply_color, painted, state_paint};
pub(crate) use screen::Screen;
#[cfg(test)]
pub(crate) use screen::tests::{assert_screens, assert_tables};
pub(crate) use stream::{ReaderGone, RowStream};
pub(crate) use table::Column;
pub(crate) use text::{printable, wrapped};

pub(crate) use super::format::{grouped, instant};
use super::progress::above_bars;

const STREAM_BYTES: usize = 1 << 16;

/// Prints a message on standard error: progress, notes, errors; on a terminal, wrapped by words. It is one write, so that lines of
/// several programs do not mix.
pub(crate) fn print_note(line: &str) {
    let line = printable(&with_dev(line));
    let line = screen::width_of_stderr().map_or(line.clone(), |width| text::wrapped_message(&line, width));
    // A closed standard error must not fail the verb.
    let _ = above_bars(|| print_line(&mut io::stderr(), &paint::painted_note(&line)));
}

/// Writes a text and a line feed at once.
pub(super) fn print_line(out: &mut impl io::Write, text: &str) -> io::Result<()> {
    out.write_all([text, "\n"].concat().as_bytes())?;
    out.flush()
}

/// Prints data on standard output, nothing if it is empty; a closed pipe (`| head`) is not an error.
pub(crate) fn print_data(text: &str) -> io::Result<()> {
    print_part(text)?;
    Ok(())
}

/// Prints a part of an endless output. False if the pipe was closed (`| head`): nobody reads what would follow.
pub(crate) fn print_part(text: &str) -> io::Result<bool> {
    match print_once(text) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        printed => printed.map(|()| true),
    }
}

/// Prints data that is shown only once, so a closed pipe is an error.
pub(crate) fn print_once(text: &str) -> io::Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    let written = print_line(&mut io::stdout().lock(), text);
    written.map_err(|error| cannot_write(&error))
}

fn cannot_write(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot write standard output: {error}"))
}

/// Standard output, whose errors name it.
struct Stdout<W>(W);

impl<W: io::Write> io::Write for Stdout<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(|error| cannot_write(&error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(|error| cannot_write(&error))
    }
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
    let mut out = io::BufWriter::with_capacity(STREAM_BYTES, Stdout(io::stdout().lock()));
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

/// Prints coloured data on standard output, without the colours if they are off.
pub(crate) fn print_painted(text: &str) -> io::Result<()> {
    let plain = || anstream::adapter::strip_str(text).to_string();
    print_data(&if paint::stdout_has_colours() { text.to_owned() } else { plain() })
}

/// Prints a question on standard error; its answer follows on the same line.
pub(crate) fn print_question(question: &str) -> io::Result<()> {
    io::stderr().write_all(format!("{} ", printable(question)).as_bytes())
}

/// The same on standard error.
pub(crate) fn print_painted_note(text: &str) {
    let plain = || anstream::adapter::strip_str(text).to_string();
    let text = if paint::stderr_has_colours() { text.to_owned() } else { plain() };
    // A closed standard error must not fail the verb.
    let _ = print_line(&mut io::stderr(), &text);
}

/// Asks on standard error and reads one line of standard input; `None` if it is not a terminal or is at its end.
pub(crate) fn prompt(question: &str) -> io::Result<Option<String>> {
    if !io::stdin().is_terminal() {
        return Ok(None);
    }
    print_question(question)?;
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

/// A column with a row's text in it.
pub(crate) type ColumnOf<T> = (Column, fn(&T) -> String);

/// Rows in an output format. `columns` are those of a table; the other formats serialise the row itself. Without rows, CSV
/// has only the header.
pub(crate) fn format_rows<T: Serialize + Default>(
    format: Format,
    columns: &[ColumnOf<T>],
    rows: &[T],
) -> anyhow::Result<String> {
    match format {
        Format::Table => {
            let headers: Vec<Column> = columns.iter().map(|(column, _)| *column).collect();
            Ok(format_table(&headers, rows, |row| columns.iter().map(|(_, cell)| cell(row)).collect()))
        }
        Format::Json => to_json(rows),
        Format::Jsonl => document::json_lines(rows),
        Format::Csv => document::csv(rows, rows.is_empty().then(T::default).as_ref()),
    }
}

pub(crate) fn print_rows<T: Serialize + Default>(
    format: Format,
    columns: &[ColumnOf<T>],
    rows: &[T],
) -> anyhow::Result<()> {
    Ok(print_data(&format_rows(format, columns, rows)?)?)
}

/// Rows as a table that fits standard output.
pub(crate) fn format_table<T>(columns: &[Column], rows: &[T], cells: impl Fn(&T) -> Vec<String>) -> String {
    table::render(columns, &rows.iter().map(cells).collect::<Vec<_>>(), Screen::of_stdout())
}

/// Facts about one thing: a name and a value a line, long values wrapped beside their name.
pub(crate) fn format_facts(facts: &[(&str, String)]) -> String {
    let names = facts.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let width = Screen::of_stdout().width.unwrap_or(usize::MAX);
    let line = |(name, value): &(&str, String)| {
        let value = wrapped(&text::in_one_line(value.trim()), width, names + 2);
        format!("{name:names$}  {value}").trim_end().to_owned()
    };
    facts.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Tables beside each other if standard output has room for them, otherwise one below the other.
pub(crate) fn format_beside(tables: &[String]) -> String {
    let beside = Screen::of_stdout().width.and_then(|width| text::beside(tables, width));
    beside.unwrap_or_else(|| tables.join("\n\n"))
}

#[cfg(test)]
mod tests;
