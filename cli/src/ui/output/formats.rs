//! Output formats, and which of them a verb supports.

use super::UsageError;

/// An output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns for people.
    #[default]
    Table,
    /// One JSON value.
    Json,
    /// One JSON object per line.
    Jsonl,
    /// Comma-separated values with a header row.
    Csv,
}

/// A value's name on the command line.
pub(crate) fn value_name<T: clap::ValueEnum>(value: &T) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Formats(&'static [Format]);

impl Formats {
    /// Rows or one value, in any format.
    pub(crate) const ALL: Self = Self(&[Format::Table, Format::Json, Format::Jsonl, Format::Csv]);
    /// Events of a running plan; both JSON formats print one object per line.
    pub(crate) const EVENTS: Self = Self(&[Format::Table, Format::Json, Format::Jsonl]);
    /// A JSON document, as `table` or `json`.
    pub(crate) const DOCUMENT: Self = Self(&[Format::Table, Format::Json]);
    /// CSV only, also as the default.
    pub(crate) const CSV: Self = Self(&[Format::Table, Format::Csv]);
    /// Text only.
    pub(crate) const TEXT: Self = Self(&[Format::Table]);

    /// Usage error if a format is not supported.
    pub(crate) fn check(self, format: Format) -> Result<(), UsageError> {
        if self.0.contains(&format) {
            return Ok(());
        }
        let names: Vec<String> = self.0.iter().map(value_name).collect();
        let supported = if names.len() == 1 { "its only format is" } else { "its formats are" };
        let name = value_name(&format);
        Err(UsageError(format!(
            "this command does not support `-o {name}`; {supported} {}",
            names.join(", ")
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unsupported_format_is_refused_with_the_supported_ones() {
        assert!(Formats::ALL.check(Format::Csv).is_ok());
        let refusal = |formats: Formats| formats.check(Format::Csv).expect_err("refused").to_string();
        assert_eq!(
            refusal(Formats::EVENTS),
            "this command does not support `-o csv`; its formats are table, json, jsonl"
        );
        assert_eq!(
            refusal(Formats::TEXT),
            "this command does not support `-o csv`; its only format is table"
        );
    }
}
