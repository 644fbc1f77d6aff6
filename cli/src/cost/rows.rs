//! A bill as table rows, beside the bill of the 2018 design.

use std::collections::BTreeMap;

use serde::Serialize;

use super::bill::{ALL_REGIONS, Bill, BillEntry, BillLine};

/// What rows are grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum GroupBy {
    /// What is charged for
    Line,
    /// Region
    Region,
}

/// A row of a bill. `line` or `region` is empty if rows are not grouped by it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct BillRow {
    /// The label of the bill line; `total` in the last row.
    pub(crate) line: String,
    pub(crate) region: String,
    /// Amount in `unit`s; `None` if the row sums different units.
    pub(crate) amount: Option<f64>,
    /// Such as `M requests`.
    pub(crate) unit: String,
    /// USD a month.
    pub(crate) usd: f64,
    /// USD a month of the 2018 design.
    pub(crate) usd_2018: f64,
    /// Whether it includes an estimated price.
    pub(crate) estimate: bool,
}

#[derive(Default)]
struct RowSum {
    amount: f64,
    units: Vec<String>,
    usd: f64,
    usd_2018: f64,
    estimate: bool,
}

/// Rows by line, by region, or by both; the last row is the total.
pub(crate) fn rows(ours: &Bill, of_2018: &Bill, by: &[GroupBy]) -> Vec<BillRow> {
    let (by_line, by_region) = (by.contains(&GroupBy::Line), by.contains(&GroupBy::Region));
    let by_line = by_line || !by_region;
    let key = |entry: &BillEntry| {
        let region = if by_region { entry.region.clone() } else { String::new() };
        (by_line.then_some(entry.line), region)
    };
    let mut sums: BTreeMap<(Option<BillLine>, String), RowSum> = BTreeMap::new();
    for entry in &ours.entries {
        let sum = sums.entry(key(entry)).or_default();
        sum.amount += entry.amount;
        if !sum.units.contains(&entry.unit) {
            sum.units.push(entry.unit.clone());
        }
        sum.usd += entry.usd;
        sum.estimate |= !entry.exact;
    }
    for entry in &of_2018.entries {
        let sum = sums.entry(key(entry)).or_default();
        sum.usd_2018 += entry.usd;
        sum.estimate |= !entry.exact;
    }
    let row = |((line, region), sum): ((Option<BillLine>, String), RowSum)| BillRow {
        line: line.map(|line| line.label().to_owned()).unwrap_or_default(),
        region,
        amount: (sum.units.len() == 1).then_some(sum.amount),
        unit: if let [unit] = sum.units.as_slice() { unit.clone() } else { String::new() },
        usd: sum.usd,
        usd_2018: sum.usd_2018,
        estimate: sum.estimate,
    };
    let mut rows: Vec<BillRow> = sums.into_iter().map(row).collect();
    // Hide rows that round to 0.00 in both columns.
    rows.retain(|row| row.usd.abs() >= 0.005 || row.usd_2018.abs() >= 0.005);
    // The free tier, which is not regional, goes after the regions.
    rows.sort_by_key(|row| row.region == ALL_REGIONS);
    rows.push(BillRow {
        line: "total".to_owned(),
        region: String::new(),
        amount: None,
        unit: String::new(),
        usd: ours.total(),
        usd_2018: of_2018.total(),
        estimate: !ours.is_exact(),
    });
    rows
}
