//! Splits a line of CSV into its columns.
//!
//! A row is one line. The reader of the `csv` crate lets a quoted text contain line breaks, so a quote that is not closed
//! would swallow all rows after it; here it is an error of its line.

use csv_core::{ReadRecordResult, Reader};

/// The columns of the current line.
pub(super) struct CsvLine {
    reader: Reader,
    text: Vec<u8>,
    ends: Vec<usize>,
    columns: usize,
}

impl CsvLine {
    pub(super) fn new() -> Self {
        Self { reader: Reader::new(), text: Vec::new(), ends: Vec::new(), columns: 0 }
    }

    /// Splits a line, without its end.
    pub(super) fn split(&mut self, line: &[u8]) -> Result<(), String> {
        // Neither can be too short: a column has at least a comma or the line's end.
        self.text.resize(self.text.len().max(line.len() + 1), 0);
        self.ends.resize(self.ends.len().max(line.len() + 2), 0);
        self.reader.reset();
        self.columns = 0;
        // The parser takes empty input for the end of a file.
        if line.is_empty() {
            return Ok(());
        }
        let (result, _, written, columns) = self.reader.read_record(line, &mut self.text, &mut self.ends);
        if !matches!(result, ReadRecordResult::InputEmpty) {
            return Err("the line has a carriage return within it".to_owned());
        }
        let (text, ends) = (&mut self.text[written..], &mut self.ends[columns..]);
        let (result, _, _, more) = self.reader.read_record(b"\n", text, ends);
        if !matches!(result, ReadRecordResult::Record) {
            return Err("a quote is not closed".to_owned());
        }
        self.columns = columns + more;
        Ok(())
    }

    /// Number of columns.
    pub(super) fn len(&self) -> usize {
        self.columns
    }

    /// A column without spaces around it; empty if the line has fewer.
    pub(super) fn get(&self, index: usize) -> &[u8] {
        let Some(end) = self.ends[..self.columns].get(index) else { return &[] };
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.text[start..*end].trim_ascii()
    }

    /// A column as text.
    pub(super) fn text(&self, index: usize) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(self.get(index))
    }

    /// All columns.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.columns).map(|index| self.get(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_split_and_a_quote_must_be_closed() {
        let mut csv = CsvLine::new();
        for (line, expected) in [
            ("a,b", Ok("a|b")),
            (" a , \"b, c\" ,", Ok("a|\"b|c\"|")),
            ("\"a, b\",\"c \"\"d\"\"\"", Ok("a, b|c \"d\"")),
            ("", Ok("")),
            (",", Ok("|")),
            ("5\" pipes,x", Ok("5\" pipes|x")),
            ("a,\"b", Err("a quote is not closed")),
            ("\"", Err("a quote is not closed")),
            ("a\rb", Err("the line has a carriage return within it")),
        ] {
            let split = csv.split(line.as_bytes());
            let columns: Vec<_> = csv.iter().map(String::from_utf8_lossy).collect();
            let found = split.map(|()| columns.join("|"));
            assert_eq!(found, expected.map(str::to_owned).map_err(str::to_owned), "{line:?}");
        }
    }
}
