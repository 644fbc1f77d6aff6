//! The bars on the terminal. There is one screen for the whole program, so that bars of several tasks stand below each
//! other and a note is printed above all of them.

use std::io::{self, Write as _};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use console::Term;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

use super::super::output;

/// Columns that stay free at the right, for the echo of Ctrl-C.
const FREE_COLUMNS: u16 = 4;
const FRAMES_A_SECOND: u8 = 20;

/// Made with the first bar.
static SCREEN: OnceLock<MultiProgress> = OnceLock::new();
/// Last lines of the visible tasks, should the program end now.
static ENDINGS: Mutex<Vec<(u64, String)>> = Mutex::new(Vec::new());

fn endings() -> MutexGuard<'static, Vec<(u64, String)>> {
    ENDINGS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `write`, which writes to standard error, with all bars out of its way.
pub(in crate::ui) fn above_bars<T>(write: impl FnOnce() -> T) -> T {
    match SCREEN.get() {
        Some(screen) => screen.suspend(write),
        None => write(),
    }
}

/// Prints a line above the bars. It may be coloured, but must not have other control characters.
pub(crate) fn print_above(line: &str) {
    let line = in_colour_choice(line);
    // A terminal that can't be written to must not fail the work.
    let _ = above_bars(|| output::print_line(&mut io::stderr(), &line));
}

/// Erases the echo of Ctrl-C on a line of its own.
pub(crate) fn erase_echo() {
    if output::stderr_is_terminal() {
        let _ = above_bars(|| write!(io::stderr(), "\r\x1b[K"));
    }
}

/// Removes all bars for good, because the program ends. Returns the last lines of tasks that were visible.
pub(crate) fn leave() -> Vec<String> {
    if let Some(screen) = SCREEN.get() {
        // A terminal that can't be written to has no bars.
        let _ = screen.clear();
        screen.set_draw_target(ProgressDrawTarget::hidden());
    }
    std::mem::take(&mut *endings()).into_iter().map(|(_, line)| line).collect()
}

/// Notes the last line of a task, should the program end now; `None`: the task has ended.
pub(super) fn note_ending(task: u64, line: Option<String>) {
    let mut endings = endings();
    endings.retain(|(other, _)| *other != task);
    endings.extend(line.map(|line| (task, line)));
}

fn in_colour_choice(text: &str) -> String {
    if anstream::AutoStream::choice(&io::stderr()) == anstream::ColorChoice::Never {
        anstream::adapter::strip_str(text).to_string()
    } else {
        text.to_owned()
    }
}

/// One line at the bottom of the terminal that is redrawn in place. Dropping it removes the line.
#[derive(Debug)]
pub(crate) struct Row(ProgressBar);

impl Row {
    /// A row below the others, empty at first.
    pub(crate) fn new() -> Self {
        let screen = SCREEN.get_or_init(|| {
            if !output::stderr_is_terminal() {
                return MultiProgress::with_draw_target(ProgressDrawTarget::hidden());
            }
            let term = Box::new(Tidy { term: Term::buffered_stderr(), line_ended: Mutex::new(false) });
            MultiProgress::with_draw_target(ProgressDrawTarget::term_like_with_hz(term, FRAMES_A_SECOND))
        });
        let bar = screen.add(ProgressBar::no_length());
        // The template is constant. A text that is wider than the terminal is cut.
        if let Ok(style) = ProgressStyle::with_template("{wide_msg}") {
            bar.set_style(style);
        }
        Self(bar)
    }

    /// Draws a text, which may be coloured, but must not have other control characters.
    pub(crate) fn draw(&self, text: &str) {
        self.0.set_message(in_colour_choice(text));
    }
}

impl Drop for Row {
    fn drop(&mut self) {
        self.0.finish_and_clear();
        if let Some(screen) = SCREEN.get() {
            screen.remove(&self.0);
        }
    }
}

/// A terminal whose cursor stays behind the last text. indicatif fills each line with spaces, so the cursor waits at the
/// right edge, where the echo of Ctrl-C would begin a new line and leave a bar behind.
#[derive(Debug)]
struct Tidy {
    term: Term,
    /// Whether the next text begins a line.
    line_ended: Mutex<bool>,
}

impl TermLike for Tidy {
    fn width(&self) -> u16 {
        self.term.size().1.saturating_sub(FREE_COLUMNS).max(1)
    }

    fn height(&self) -> u16 {
        self.term.size().0
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.term.move_cursor_up(n)
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.term.move_cursor_down(n)
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.term.move_cursor_right(n)
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.term.move_cursor_left(n)
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.term.write_line(text)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        let mut line_ended = self.line_ended.lock().unwrap_or_else(PoisonError::into_inner);
        if text == "\r" {
            *line_ended = false;
            return self.term.write_str(text);
        }
        if text.trim_matches(' ').is_empty() {
            *line_ended = true;
            return self.term.write_str("\x1b[K");
        }
        let start = if std::mem::take(&mut *line_ended) { "\r\n" } else { "" };
        self.term.write_str(&format!("{start}{text}"))
    }

    fn clear_line(&self) -> io::Result<()> {
        self.term.clear_line()
    }

    fn flush(&self) -> io::Result<()> {
        *self.line_ended.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.term.flush()
    }
}
