//! Plain-text tables without borders, as wide as their reader's terminal: texts are shortened and the least important columns
//! hidden, so that no row is wrapped.
//!
//! Written here because table libraries wrap cells or cut rows; none of them drops columns by importance.

use super::paint::{Paint, painted, state_paint};
use super::screen::Screen;
use super::text::{in_one_line, shortened, shortened_path, width_of, wrapped};

/// Spaces between two columns.
const GAP: usize = 2;
/// A free text is shortened to this width before a column is hidden.
const FREE_TEXT_MIN: usize = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Left-aligned.
    Text,
    /// Left-aligned, and may be shortened.
    FreeText,
    /// The same, without its beginning.
    Path,
    /// Right-aligned.
    Number,
}

/// A column of a table. The first one is never hidden.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    header: &'static str,
    kind: Kind,
    /// Columns with a higher rank are hidden first; of equal ones, the rightmost.
    rank: u8,
    is_state: bool,
    is_extra: bool,
    is_kept: bool,
}

impl Column {
    const fn new(header: &'static str, kind: Kind) -> Self {
        Self { header, kind, rank: 0, is_state: false, is_extra: false, is_kept: false }
    }

    /// Short words, dates and digests.
    pub(crate) const fn text(header: &'static str) -> Self {
        Self::new(header, Kind::Text)
    }

    /// Names and other texts that people write: shortened with `…` where they do not fit.
    pub(crate) const fn free_text(header: &'static str) -> Self {
        Self::new(header, Kind::FreeText)
    }

    /// Paths of files: their ends stay.
    pub(crate) const fn path(header: &'static str) -> Self {
        Self::new(header, Kind::Path)
    }

    /// Numbers, with their units.
    pub(crate) const fn number(header: &'static str) -> Self {
        Self::new(header, Kind::Number)
    }

    /// States and verdicts, in the colour of their word; other texts are faults and may be shortened.
    pub(crate) const fn state(header: &'static str) -> Self {
        Self { is_state: true, ..Self::new(header, Kind::FreeText) }
    }

    /// How early it is hidden; 0 by default.
    pub(crate) const fn rank(self, rank: u8) -> Self {
        Self { rank, ..self }
    }

    /// Hidden unless the terminal has room for it and all others unshortened, or if it is empty.
    pub(crate) const fn extra(self) -> Self {
        Self { is_extra: true, rank: u8::MAX, ..self }
    }

    /// Hidden last, such as the column that the rows are sorted by.
    pub(crate) const fn kept(self) -> Self {
        Self { is_kept: true, is_extra: false, ..self }
    }

    pub(crate) const fn header(self) -> &'static str {
        self.header
    }
}

/// A table, and below it which columns are hidden.
pub(super) fn render(columns: &[Column], rows: &[Vec<String>], screen: Screen) -> String {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| in_one_line(cell)).collect()).collect();
    let natural: Vec<Natural> = (0..columns.len()).map(|index| Natural::new(columns, &rows, index)).collect();
    let shown = arrange(columns, &natural, screen.width);
    let paint_header = |_: &Column, _: &str| Some(Paint::Heading);
    let paint_cell = |column: &Column, cell: &str| column.is_state.then(|| state_paint(cell)).flatten();
    let headers: Vec<String> = columns.iter().map(|column| column.header.to_owned()).collect();
    let line = |cells: &[String], paint: fn(&Column, &str) -> Option<Paint>| {
        let paint = |column: &Column, cell: &str| screen.colour.then(|| paint(column, cell)).flatten();
        line_of(columns, &shown, cells, paint)
    };
    let lines =
        std::iter::once(line(&headers, paint_header)).chain(rows.iter().map(|row| line(row, paint_cell)));
    let mut text = lines.collect::<Vec<_>>().join("\n");
    if let Some(note) = hidden(columns, &natural, &shown) {
        text.push('\n');
        text.push_str(&screen.width.map_or(note.clone(), |width| wrapped(&note, width, 0)));
    }
    text
}

/// The width of a column's widest cell or header, and whether it has any text.
struct Natural {
    width: usize,
    is_empty: bool,
}

impl Natural {
    fn new(columns: &[Column], rows: &[Vec<String>], index: usize) -> Self {
        let cells = rows.iter().filter_map(|row| row.get(index)).map(|cell| width_of(cell));
        let widest = cells.max().unwrap_or_default();
        Self { width: widest.max(width_of(columns[index].header)), is_empty: widest == 0 }
    }
}

/// The columns that fit, as indices with widths.
fn arrange(columns: &[Column], natural: &[Natural], width: Option<usize>) -> Vec<(usize, usize)> {
    let all = 0..columns.len();
    let Some(width) = width else {
        return all
            .filter(|index| !columns[*index].is_extra || !natural[*index].is_empty)
            .map(|index| (index, natural[index].width))
            .collect();
    };
    let mut shown: Vec<usize> = all.collect();
    loop {
        if let Some(fitted) = fitted(columns, natural, &shown, width) {
            return fitted;
        }
        let least = |place: &usize| {
            let (column, natural) = (&columns[shown[*place]], &natural[shown[*place]]);
            (!column.is_kept, natural.is_empty, column.rank, *place)
        };
        match (1..shown.len()).max_by_key(least) {
            Some(place) => drop(shown.remove(place)),
            None => return shown.into_iter().map(|index| (index, natural[index].width.min(width))).collect(),
        }
    }
}

/// Widths of these columns that fit, with the widest free texts shortened; `None` if that is not enough.
fn fitted(
    columns: &[Column],
    natural: &[Natural],
    shown: &[usize],
    width: usize,
) -> Option<Vec<(usize, usize)>> {
    let min = |index: usize| width_of(columns[index].header).max(FREE_TEXT_MIN);
    let mut fitted: Vec<(usize, usize)> = shown.iter().map(|index| (*index, natural[*index].width)).collect();
    let gaps = GAP * shown.len().saturating_sub(1);
    let has_extra = shown.iter().any(|index| columns[*index].is_extra);
    loop {
        let needed = fitted.iter().map(|(_, width)| width).sum::<usize>() + gaps;
        if needed <= width {
            return Some(fitted);
        }
        // Nothing is shortened for an extra column.
        let free = fitted.iter_mut().filter(|(index, width)| {
            matches!(columns[*index].kind, Kind::FreeText | Kind::Path) && *width > min(*index)
        });
        let (_, widest) = free.max_by_key(|(_, width)| *width).filter(|_| !has_extra)?;
        *widest -= 1;
    }
}

fn line_of(
    columns: &[Column],
    shown: &[(usize, usize)],
    cells: &[String],
    paint: impl Fn(&Column, &str) -> Option<Paint>,
) -> String {
    let mut line = String::new();
    // Spaces before the next text: none are written at the end of a line.
    let mut spaces = 0;
    for (place, (index, width)) in shown.iter().enumerate() {
        let column = &columns[*index];
        let cell = cells.get(*index).map(String::as_str).unwrap_or_default();
        let text = match column.kind {
            Kind::Path => shortened_path(cell, *width),
            _ => shortened(cell, *width),
        };
        let room = width - width_of(&text).min(*width);
        let before = if column.kind == Kind::Number { room } else { 0 };
        spaces += before + if place == 0 { 0 } else { GAP };
        if !text.is_empty() {
            line.extend(std::iter::repeat_n(' ', spaces));
            spaces = 0;
            line.push_str(
                &paint(column, cell).map_or(text.clone().into_owned(), |paint| painted(paint, &text)),
            );
        }
        spaces += room - before;
    }
    line.truncate(line.trim_end().len());
    line
}

/// Which columns are hidden, and how to see them. Empty ones are not missed.
fn hidden(columns: &[Column], natural: &[Natural], shown: &[(usize, usize)]) -> Option<String> {
    let is_missed =
        |index: &usize| !natural[*index].is_empty && shown.iter().all(|(known, _)| known != index);
    let names: Vec<&str> = (0..columns.len()).filter(is_missed).map(|index| columns[index].header).collect();
    (!names.is_empty()).then(|| format!("(hidden: {}; widen the terminal or use -o json)", names.join(", ")))
}

#[cfg(test)]
mod tests;
