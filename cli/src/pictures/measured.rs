//! Tables of `docs/pictures/measured`: a first line of names; a cell is a median, or a median with its least and greatest value.

use std::fs;

use super::folder;

/// A median with its least and greatest value.
pub(super) type Cell = [f64; 3];

#[derive(Debug)]
pub(super) struct Measured {
    /// Names of the columns after the first.
    pub(super) names: Vec<String>,
    /// Each with the text of its first column.
    pub(super) rows: Vec<(String, Vec<Cell>)>,
}

fn cell(text: &str) -> Cell {
    let numbers: Vec<f64> = text.split(' ').map(|number| number.parse().expect("a number")).collect();
    match numbers.as_slice() {
        [median, least, most] => [*median, *least, *most],
        [median] => [*median; 3],
        other => panic!("one number or three: {other:?}"),
    }
}

impl Measured {
    pub(super) fn read(name: &str) -> Self {
        let path = folder().join("measured").join(format!("{name}.tsv"));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut lines = text.lines().map(|line| line.split('\t'));
        let names = lines.next().expect("a first line").skip(1).map(str::to_owned).collect();
        let row = |mut cells: std::str::Split<'_, char>| {
            (cells.next().expect("a name").to_owned(), cells.map(cell).collect())
        };
        Self { names, rows: lines.map(row).collect() }
    }

    /// Sizes, if the first column holds numbers, with the cells of a column.
    pub(super) fn column(&self, at: usize) -> Vec<(f64, Cell)> {
        self.rows.iter().map(|(size, cells)| (size.parse().expect("a size"), cells[at])).collect()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = f64> {
        self.rows.iter().flat_map(|(_, cells)| cells.iter().flatten().copied())
    }

    /// The median of the last row.
    pub(super) fn last(&self, at: usize) -> f64 {
        self.rows.last().expect("a row").1[at][0]
    }
}
