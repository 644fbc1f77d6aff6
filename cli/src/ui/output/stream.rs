//! Rows that are printed in parts, as one document: for more rows than memory should hold.

use std::marker::PhantomData;

use serde::Serialize;

use super::{Format, document, format_rows, print_part};

/// Nobody reads standard output any more (`| head`).
#[derive(Debug, thiserror::Error)]
#[error("standard output was closed")]
pub(crate) struct ReaderGone;

/// A document of rows without optional members, in JSON or CSV.
pub(crate) struct RowStream<T> {
    format: Format,
    /// The part to be printed next: the last one ends otherwise than the others.
    part: Option<String>,
    /// Whether a part was printed.
    has_begun: bool,
    rows: PhantomData<T>,
}

impl<T: Serialize + Default> RowStream<T> {
    pub(crate) fn new(format: Format) -> Self {
        Self { format, part: None, has_begun: false, rows: PhantomData }
    }

    /// Prints more rows; fails with [`ReaderGone`] if nobody reads them.
    pub(crate) fn print(&mut self, rows: &[T]) -> anyhow::Result<()> {
        let next = self.part_of(rows)?;
        let before = self.part.replace(next);
        self.put(before, if self.format == Format::Json { "," } else { "" })
    }

    /// Prints what is left; returns whether there were any rows.
    pub(crate) fn end(mut self) -> anyhow::Result<bool> {
        let last = self.part.take();
        let has_rows = last.is_some();
        let last = last.map_or_else(|| format_rows::<T>(self.format, &[], &[]), Ok)?;
        self.put(Some(last), if has_rows && self.format == Format::Json { "\n]" } else { "" })?;
        Ok(has_rows)
    }

    /// A part without its end, and without its beginning unless it is the first.
    fn part_of(&self, rows: &[T]) -> anyhow::Result<String> {
        let text = match self.format {
            Format::Json => document::to_json(rows)?.trim_end_matches("\n]").to_owned(),
            format => format_rows(format, &[], rows)?,
        };
        let is_first = self.part.is_none() && !self.has_begun;
        let beginning = match self.format {
            _ if is_first => 0,
            Format::Json => "[\n".len(),
            Format::Csv | Format::Table => text.find('\n').map_or(text.len(), |end| end + 1),
            Format::Jsonl => 0,
        };
        Ok(text[beginning..].to_owned())
    }

    fn put(&mut self, part: Option<String>, end: &str) -> anyhow::Result<()> {
        let Some(part) = part else { return Ok(()) };
        self.has_begun = true;
        if print_part(&(part + end))? { Ok(()) } else { Err(ReaderGone.into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize, Default, Clone)]
    struct Row {
        name: String,
        n: u64,
    }

    #[test]
    fn parts_are_one_document() {
        let rows: Vec<Row> = (0..5).map(|n| Row { name: format!("]\n{n}"), n }).collect();
        for format in [Format::Json, Format::Jsonl, Format::Csv] {
            for size in 1..=6 {
                let (mut stream, mut printed) = (RowStream::new(format), Vec::new());
                for rows in rows.chunks(size) {
                    let part = stream.part_of(rows).expect("printed");
                    printed.extend(stream.part.replace(part));
                }
                printed.extend(stream.part.take());
                let (between, end) = if format == Format::Json { (",\n", "\n]") } else { ("\n", "") };
                let whole = format_rows(format, &[], &rows).expect("printed");
                assert_eq!(printed.join(between) + end, whole, "{format:?}, {size}");
            }
        }
    }
}
