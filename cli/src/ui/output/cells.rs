//! CSV cells. A spreadsheet runs a cell that starts like a formula, whoever wrote it. All CSV output is written here, with
//! `'` before such cells; reading CSV removes that `'`.

use std::borrow::Cow;

/// Characters that start a formula in a spreadsheet, including full-width ones.
const FORMULA: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];

/// Whether a spreadsheet would run a cell as a formula, ignoring leading quotes. Numbers are not formulas.
fn is_formula(text: &str) -> bool {
    let bare = text.trim_start_matches('\'');
    let is_number = || bare.parse::<f64>().is_ok_and(f64::is_finite);
    bare.starts_with(['\t', '\r', '\n']) || (bare.trim_start().starts_with(FORMULA) && !is_number())
}

/// The text of a cell that ipgeo or a person wrote.
pub(crate) fn unescape_cell(cell: &str) -> &str {
    cell.strip_prefix('\'').filter(|rest| is_formula(rest)).unwrap_or(cell)
}

/// Writes text as a cell, with `'` before what a spreadsheet would run.
pub(crate) fn escape_cell(text: &str) -> Cow<'_, str> {
    if is_formula(text) { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) }
}

#[cfg(test)]
mod tests {
    use csv::ReaderBuilder;
    use proptest::prelude::*;
    use serde::Serialize;

    use super::super::document::csv as csv_document;
    use super::*;

    #[derive(Serialize)]
    struct Row<'a> {
        owner: &'a str,
        usd: f64,
    }

    fn cells_of(csv: &str) -> Vec<Vec<String>> {
        let mut reader = ReaderBuilder::new().has_headers(false).from_reader(csv.as_bytes());
        let record =
            |record: csv::StringRecord| record.iter().map(|cell| unescape_cell(cell).to_owned()).collect();
        reader.records().map(|row| record(row.expect("a record"))).collect()
    }

    #[test]
    fn formulas_are_escaped() {
        let table = [
            ("acme", "acme,-1.5"),
            ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0,-1.5"),
            ("=1,2", "\"'=1,2\",-1.5"),
            ("+49 123", "'+49 123,-1.5"),
            ("-acme", "'-acme,-1.5"),
            ("-5", "-5,-1.5"),
            ("@SUM(A1)", "'@SUM(A1),-1.5"),
            (" =x", "' =x,-1.5"),
            ("\t=x", "'\t=x,-1.5"),
            ("\rx", "\"'\rx\",-1.5"),
            ("＝x", "'＝x,-1.5"),
            ("'=x", "''=x,-1.5"),
            ("'quoted'", "'quoted',-1.5"),
            ("-inf", "'-inf,-1.5"),
            ("x ", "x ,-1.5"),
        ];
        for (owner, expected) in table {
            let csv = csv_document(&[Row { owner, usd: -1.5 }], None).expect("CSV");
            assert_eq!(csv, format!("owner,usd\n{expected}"), "{owner:?}");
            assert_eq!(cells_of(&csv)[1][0], owner);
        }
    }

    proptest! {
        #[test]
        fn escaped_cells_are_read_back_unchanged(owner in "[ '=+\\-@\t\ra-z0-9,\"\n]{0,12}|\\PC{0,8}") {
            let csv = csv_document(&[Row { owner: &owner, usd: 1.0 }], None).expect("CSV");
            prop_assert_eq!(&cells_of(&csv)[1][0], &owner);
            // Whatever a reader shows never starts like a formula.
            let mut reader = ReaderBuilder::new().has_headers(false).from_reader(csv.as_bytes());
            let rows: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().expect("records");
            let shown = rows[1].get(0).unwrap_or_default();
            prop_assert!(!shown.starts_with(['=', '@', '\t', '\r']) && (!shown.starts_with(['+', '-']) || shown.parse::<f64>().is_ok()));
        }
    }
}
