//! The faults of a file, each with line and column. They are collected by byte offset and converted once, so that a
//! single run reports all of them in file order.

use crate::ui::format::counted;
use std::fmt;
use std::ops::Range;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    pub message: String,
}

/// All faults of a file, in file order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    pub file: String,
    /// At least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            writeln!(f, "{}:{}:{}: {}", self.file, problem.line, problem.column, problem.message)?;
        }
        write!(f, "{} in {}", counted(self.problems.len(), "problem"), self.file)
    }
}

impl std::error::Error for Problems {}

/// Collects faults by byte offset.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    found: Vec<(usize, String)>,
}

impl Collector {
    pub(crate) fn add(&mut self, span: &Range<usize>, message: impl Into<String>) {
        self.found.push((span.start, message.into()));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The faults with their places in `text`; several at one place stay in the order found.
    pub(crate) fn into_problems(mut self, file: &str, text: &str) -> Problems {
        self.found.sort_by_key(|(at, _)| *at);
        self.found.dedup();
        let problems = self
            .found
            .into_iter()
            .map(|(at, message)| {
                let (line, column) = place(text, at);
                Problem { line, column, message }
            })
            .collect();
        Problems { file: file.to_owned(), problems }
    }
}

/// Line and column of a byte offset, both from 1.
pub(super) fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at.min(text.len())).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |feed| feed + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}
