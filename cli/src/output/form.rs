//! The forms of output, and which of them a verb has.

use super::UsageError;

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
    /// Comma-separated values with a header row.
    Csv,
}

impl Format {
    /// Its name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Json => "json",
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
        }
    }
}

/// The forms that a verb prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forms(&'static [Format]);

impl Forms {
    /// Rows, or one value, in any form.
    pub const ALL: Self = Self(&[Format::Table, Format::Json, Format::Jsonl, Format::Csv]);
    /// Events while a plan is carried out; both forms of JSON are an object a line.
    pub const EVENTS: Self = Self(&[Format::Table, Format::Json, Format::Jsonl]);
    /// A JSON document, whichever of the two is asked for.
    pub const DOCUMENT: Self = Self(&[Format::Table, Format::Json]);
    /// A text, or nothing.
    pub const TEXT: Self = Self(&[Format::Table]);

    /// Wrong usage when a form is not one of them.
    pub fn check(self, format: Format) -> Result<(), UsageError> {
        if self.0.contains(&format) {
            return Ok(());
        }
        let names: Vec<&str> = self.0.iter().map(|form| form.as_str()).collect();
        let forms = if names.len() == 1 { "its only form is" } else { "its forms are" };
        let asked = format.as_str();
        Err(UsageError(format!("this verb does not print {asked}; {forms} {}", names.join(", "))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_form_is_refused_with_those_that_there_are() {
        assert!(Forms::ALL.check(Format::Csv).is_ok());
        let told = |forms: Forms| forms.check(Format::Csv).expect_err("refused").to_string();
        assert_eq!(told(Forms::EVENTS), "this verb does not print csv; its forms are table, json, jsonl");
        assert_eq!(told(Forms::TEXT), "this verb does not print csv; its only form is table");
    }
}
