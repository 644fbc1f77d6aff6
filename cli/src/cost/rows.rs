//! A bill as rows, ours beside the design of 2018.

use std::collections::BTreeMap;

use serde::Serialize;

use super::bill::{ALL_REGIONS, Bill, Entry, Line};

/// What rows are by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum By {
    /// What is charged for.
    Line,
    /// Where.
    Region,
}

/// A row of a bill. Cells that the rows are not by are empty.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Row {
    /// What is charged for; `total` in the last row.
    pub line: String,
    /// Where.
    pub region: String,
    /// How much of it, in `unit`s; empty when the row sums different things.
    pub amount: Option<f64>,
    /// Such as `M requests`.
    pub unit: String,
    /// USD a month.
    pub usd: f64,
    /// The same of the design of 2018.
    pub usd_2018: f64,
    /// Whether a price in it is an estimate.
    pub estimate: bool,
}

#[derive(Default)]
struct Sum {
    amount: f64,
    units: Vec<String>,
    usd: f64,
    usd_2018: f64,
    estimate: bool,
}

/// Rows by line, by region, or by both; the last is the total.
pub fn rows(ours: &Bill, of_2018: &Bill, by: &[By]) -> Vec<Row> {
    let (by_line, by_region) = (by.contains(&By::Line), by.contains(&By::Region));
    let by_line = by_line || !by_region;
    let key = |entry: &Entry| {
        let region = if by_region { entry.region.clone() } else { String::new() };
        (by_line.then_some(entry.line), region)
    };
    let mut sums: BTreeMap<(Option<Line>, String), Sum> = BTreeMap::new();
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
    let row = |((line, region), sum): ((Option<Line>, String), Sum)| Row {
        line: line.map(|line| line.label().to_owned()).unwrap_or_default(),
        region,
        amount: (sum.units.len() == 1).then_some(sum.amount),
        unit: if let [unit] = sum.units.as_slice() { unit.clone() } else { String::new() },
        usd: sum.usd,
        usd_2018: sum.usd_2018,
        estimate: sum.estimate,
    };
    let mut rows: Vec<Row> = sums.into_iter().map(row).collect();
    // What rounds to nothing on both sides says nothing.
    rows.retain(|row| row.usd.abs() >= 0.005 || row.usd_2018.abs() >= 0.005);
    // What is free in all regions together comes after the regions.
    rows.sort_by_key(|row| row.region == ALL_REGIONS);
    rows.push(Row {
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
