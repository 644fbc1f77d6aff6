//! What the operator sees: data on standard output, talk on standard error, in the form asked for.

mod cells;
mod document;
mod error;
mod form;
mod html;
mod table;

use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

pub use cells::unescaped;
pub use document::{json, json_line, one};
pub use error::{Exit, UsageError, report_error};
pub use form::{Format, Formats};
pub use html::{PageError, html_page};
pub use table::{Align, Column, grouped, printable};

/// Prints one line of talk on standard error.
pub fn say(line: &str) {
    // Whoever closed the other end does not want to hear it.
    let _ = writeln!(io::stderr(), "{}", printable(line));
}

/// Prints data on standard output, nothing if it is empty; a closed pipe (`| head`) is not an error.
pub fn data(text: &str) -> io::Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// When colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set; `CLICOLOR_FORCE` has them everywhere
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl Color {
    /// Makes this the choice of the whole program.
    pub fn choose(self) {
        match self {
            Self::Auto => anstream::ColorChoice::Auto,
            Self::Always => anstream::ColorChoice::Always,
            Self::Never => anstream::ColorChoice::Never,
        }
        .write_global();
    }
}

/// What a text is painted for; its words say the same without colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// Something comes.
    Add,
    /// Something changes.
    Change,
    /// Something goes, or is dangerous.
    Danger,
    /// A head.
    Head,
}

/// A text in its colour.
pub fn painted(paint: Paint, text: &str) -> String {
    use anstyle::{AnsiColor, Style};
    let style = match paint {
        Paint::Add => Style::new().fg_color(Some(AnsiColor::Green.into())),
        Paint::Change => Style::new().fg_color(Some(AnsiColor::Yellow.into())),
        Paint::Danger => Style::new().fg_color(Some(AnsiColor::Red.into())).bold(),
        Paint::Heading => Style::new().bold(),
    };
    format!("{style}{text}{style:#}")
}

/// Prints painted data on standard output; colours are left out where they are not wanted.
pub fn painted_data(text: &str) -> io::Result<()> {
    let wanted = anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never;
    data(&if wanted { text.to_owned() } else { anstream::adapter::strip_str(text).to_string() })
}

/// Asks on standard error and reads one line of standard input; none: nobody is there to answer.
pub fn ask(question: &str) -> io::Result<Option<String>> {
    if !io::stdin().is_terminal() {
        return Ok(None);
    }
    write!(io::stderr(), "{question} ")?;
    let mut answer = String::new();
    let read = io::stdin().read_line(&mut answer)?;
    Ok((read > 0).then(|| answer.trim().to_owned()))
}

/// Whether standard error is a terminal: whether bars may be drawn.
pub fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Whether standard output is a terminal: whether it may be redrawn.
pub fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// An instant as people read it: to the second, UTC.
pub fn instant(time: jiff::Timestamp) -> String {
    jiff::Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}

/// Rows in the form asked for. `cells` gives a row's texts for the columns of a table; the other forms
/// are of the row itself. Without rows, CSV has only the header.
pub fn rows<T: Serialize + Default>(
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
        Format::Json => json(rows),
        Format::Jsonl => document::json_lines(rows),
        Format::Csv => document::csv(rows, rows.is_empty().then(T::default).as_ref()),
    }
}

fn terminal_width() -> Option<u16> {
    io::stdout().is_terminal().then(|| comfy_table::Table::new().width()).flatten()
}
