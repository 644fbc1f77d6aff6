//! Plain-text tables: aligned columns, no borders.

use comfy_table::{CellAlignment, ContentArrangement, Table};

/// How a column is aligned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    /// For texts.
    Left,
    /// For numbers.
    Right,
}

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    /// Its header.
    pub header: &'static str,
    /// Alignment of its cells; the header has the same.
    pub align: Align,
}

impl Column {
    /// A left-aligned column.
    pub(crate) const fn text(header: &'static str) -> Self {
        Self { header, align: Align::Left }
    }

    /// A right-aligned column.
    pub(crate) const fn number(header: &'static str) -> Self {
        Self { header, align: Align::Right }
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
    table.set_header(columns.iter().map(|column| column.header));
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

/// Replaces control characters other than line feeds: text from others must not control the terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::grouped;
    use super::*;

    #[test]
    fn numbers_are_right_aligned_and_texts_left() {
        let columns = [Column::text("owner"), Column::number("used")];
        let rows = [("acme", 1_234_567), ("b\u{1b}[31m", 7)]
            .map(|(owner, used)| vec![owner.to_owned(), grouped(used)]);
        assert_eq!(
            render(&columns, &rows, None),
            "owner        used\nacme    1,234,567\nb\u{fffd}[31m          7"
        );
    }
}
