//! What standard output and standard error are shown on. Their width is read in this file alone.

use std::io;

use super::paint::stdout_has_colours;

/// What a table is printed on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Screen {
    /// Its width in columns; `None` if lines may have any length.
    pub width: Option<usize>,
    pub colour: bool,
}

impl Screen {
    /// Standard output. `COLUMNS` has priority over the terminal's width; without both, lines have any length.
    pub(crate) fn of_stdout() -> Self {
        #[cfg(test)]
        if let Some(width) = tests::WIDTH.get() {
            return Self { width: Some(width), colour: false };
        }
        let columns = std::env::var("COLUMNS").ok();
        let width = columns.as_deref().and_then(width_from_text).or_else(|| terminal_width(&io::stdout()));
        Self { width, colour: stdout_has_colours() }
    }
}

/// A width that makes sense; shells and scripts may set anything.
fn width_from_text(text: &str) -> Option<usize> {
    text.trim().parse().ok().filter(|width| *width > 0)
}

/// The width of standard error; `None` if it is not a terminal.
pub(super) fn width_of_stderr() -> Option<usize> {
    terminal_width(&io::stderr())
}

fn terminal_width(out: &(impl io::IsTerminal + std::os::fd::AsFd)) -> Option<usize> {
    let size = out.is_terminal().then(|| rustix::termios::tcgetwinsize(out).ok()).flatten()?;
    Some(usize::from(size.ws_col)).filter(|width| *width > 0)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::Cell;

    use super::super::text::width_of;
    use super::*;

    thread_local! {
        /// The width in this test.
        pub(super) static WIDTH: Cell<Option<usize>> = const { Cell::new(None) };
    }

    /// What is printed on a screen of this width.
    fn at_width(width: usize, print: impl Fn() -> String) -> String {
        WIDTH.set(Some(width));
        let text = print();
        WIDTH.set(None);
        let wide = text.lines().find(|line| width_of(line) > width);
        assert_eq!(wide, None, "at {width} columns");
        text
    }

    /// Compares a verb's tables at 80 and 200 columns with a snapshot that has the verb's name. No row is wider than its screen,
    /// down to 40 columns.
    pub(crate) fn assert_tables(verb: &str, print: impl Fn() -> String) {
        assert_screens(verb, 40, print);
    }

    /// The same for texts with words that are never broken, down to `narrowest` columns.
    pub(crate) fn assert_screens(verb: &str, narrowest: usize, print: impl Fn() -> String) {
        for width in narrowest..80 {
            at_width(width, &print);
        }
        let at = |width: usize| format!("{width} columns:\n{}\n", at_width(width, &print));
        insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(format!("tables of {verb}").replace(' ', "_"), format!("{}\n{}", at(80), at(200)));
        });
    }

    #[test]
    fn widths_that_make_no_sense_are_ignored() {
        for (text, width) in
            [("80", Some(80)), (" 200\n", Some(200)), ("0", None), ("-1", None), ("wide", None), ("", None)]
        {
            assert_eq!(width_from_text(text), width, "{text:?}");
        }
    }
}
