//! Tables for people: aligned, no borders.

use comfy_table::{CellAlignment, ContentArrangement, Table};

/// How a column is aligned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Texts.
    Left,
    /// Numbers.
    Right,
}

/// A column: its head and its alignment.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// The head.
    pub head: &'static str,
    /// Texts left, numbers right.
    pub align: Align,
}

impl Column {
    /// A column of texts.
    pub const fn text(head: &'static str) -> Self {
        Self { head, align: Align::Left }
    }

    /// A column of numbers.
    pub const fn number(head: &'static str) -> Self {
        Self { head, align: Align::Right }
    }
}

pub(super) fn render(columns: &[Column], rows: &[Vec<String>], width: Option<u16>) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    if let Some(width) = width {
        table.set_width(width);
    } else {
        table.set_content_arrangement(ContentArrangement::Disabled);
    }
    table.set_header(columns.iter().map(|column| column.head));
    for row in rows {
        table.add_row(row.iter().map(|cell| printable(cell)));
    }
    for (column, shape) in table.column_iter_mut().zip(columns) {
        column.set_padding((0, 2));
        if shape.align == Align::Right {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let text = table.to_string();
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// A text without control characters: what others have typed must not move our cursor.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// A number with its thousands apart: `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_right_and_texts_left() {
        let columns = [Column::text("owner"), Column::number("used")];
        let rows = [("acme", 1_234_567), ("b\u{1b}[31m", 7)]
            .map(|(owner, used)| vec![owner.to_owned(), grouped(used)]);
        assert_eq!(
            render(&columns, &rows, None),
            "owner        used\nacme    1,234,567\nb\u{fffd}[31m          7"
        );
    }

    #[test]
    fn thousands_stand_apart() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
