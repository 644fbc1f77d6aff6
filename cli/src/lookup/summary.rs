//! Counts a list's countries, networks and threat flags.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::Write;

use ipgeo_runtime::lookup::{Column, column_names};
use rustc_hash::FxHashMap;
use serde::Serialize;

use super::addresses;
use super::views::View;
use crate::ui::format::float;
use crate::ui::output::{self, Column as TableColumn, Format, grouped};

/// Rows of each part of a table.
const TABLE_ROWS: usize = 10;

/// One country, network or flag.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct SummaryRow {
    /// `country`, `network` or `flag`.
    pub(crate) kind: &'static str,
    /// `US`, `AS15169`, `is_tor`; empty if unknown.
    pub(crate) code: String,
    pub(crate) name: String,
    pub(crate) addresses: u64,
    /// Percent of the addresses that were answered.
    pub(crate) percent: f64,
}

/// What a list consists of.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Summary {
    /// Addresses that were answered.
    pub(crate) addresses: u64,
    /// How many of them are different.
    pub(crate) unique: u64,
    /// Texts without an answer.
    pub(crate) failed: u64,
    pub(crate) countries: Vec<SummaryRow>,
    pub(crate) networks: Vec<SummaryRow>,
    pub(crate) flags: Vec<SummaryRow>,
}

/// Collects answers, and prints their summary.
pub(crate) struct SummaryView {
    format: Format,
    columns: Vec<Column>,
    unique: HashSet<String>,
    addresses: u64,
    failed: u64,
    countries: FxHashMap<[String; 2], u64>,
    networks: FxHashMap<[String; 2], u64>,
    flags: Vec<u64>,
}

/// The columns before the flags.
const FIXED: [&str; 5] = ["ip", "country_code", "country_name", "asn.asn", "asn.name"];

impl SummaryView {
    pub(crate) fn new(format: Format) -> Self {
        let flags = column_names().filter(|name| name.starts_with("threat.is_"));
        let columns: Vec<Column> = FIXED.into_iter().chain(flags).filter_map(Column::named).collect();
        Self {
            format,
            flags: vec![0; columns.len() - FIXED.len()],
            columns,
            unique: HashSet::new(),
            addresses: 0,
            failed: 0,
            countries: FxHashMap::default(),
            networks: FxHashMap::default(),
        }
    }

    fn summary(&mut self) -> Summary {
        let total = self.addresses;
        let rows = |kind, counts: FxHashMap<[String; 2], u64>| {
            let rows = counts.into_iter().map(|([code, name], count)| row(kind, code, name, count, total));
            sorted(rows.collect())
        };
        let flags = self.columns[FIXED.len()..].iter().zip(&self.flags).filter(|(_, count)| **count > 0);
        let flags = flags.map(|(column, count)| {
            let code = column.name().trim_start_matches("threat.").to_owned();
            row("flag", code, String::new(), *count, total)
        });
        Summary {
            addresses: total,
            unique: self.unique.len() as u64,
            failed: self.failed,
            flags: sorted(flags.collect()),
            countries: rows("country", std::mem::take(&mut self.countries)),
            networks: rows("network", std::mem::take(&mut self.networks)),
        }
    }
}

fn row(kind: &'static str, code: String, name: String, addresses: u64, total: u64) -> SummaryRow {
    SummaryRow { kind, code, name, addresses, percent: float(addresses) * 100.0 / float(total.max(1)) }
}

/// The most frequent first.
fn sorted(mut rows: Vec<SummaryRow>) -> Vec<SummaryRow> {
    rows.sort_by(|a, b| b.addresses.cmp(&a.addresses).then_with(|| a.code.cmp(&b.code)));
    rows
}

impl View for SummaryView {
    fn columns(&self) -> Option<&[Column]> {
        Some(&self.columns)
    }

    fn add(&mut self, _out: &mut dyn Write, _text: &str, answer: Result<&str, &str>) -> anyhow::Result<()> {
        let Ok(location) = answer else {
            self.failed += 1;
            return Ok(());
        };
        self.addresses += 1;
        let text = |index: usize| self.columns[index].text(location).into_owned();
        self.unique.insert(text(0));
        *self.countries.entry([text(1), text(2)]).or_default() += 1;
        *self.networks.entry([text(3), text(4)]).or_default() += 1;
        for (count, column) in self.flags.iter_mut().zip(&self.columns[FIXED.len()..]) {
            *count += u64::from(column.json(location) == Some("true"));
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut dyn Write) -> anyhow::Result<()> {
        let format = self.format;
        let summary = self.summary();
        let text = match format {
            Format::Table => table(&summary),
            Format::Json => output::to_json(&summary)?,
            format => {
                let parts = [&summary.countries, &summary.networks, &summary.flags];
                let rows: Vec<SummaryRow> = parts.into_iter().flatten().cloned().collect();
                output::format_rows(format, &[], &rows)?
            }
        };
        if !text.is_empty() {
            writeln!(out, "{text}")?;
        }
        Ok(())
    }

    fn shows_failures(&self) -> bool {
        true
    }
}

/// The parts one below another, each with its most frequent rows.
fn table(summary: &Summary) -> String {
    let mut parts = Vec::new();
    for (name, rows) in
        [("country", &summary.countries), ("network", &summary.networks), ("flag", &summary.flags)]
    {
        if rows.is_empty() {
            continue;
        }
        let columns = [
            TableColumn::text(name),
            TableColumn::number("addresses"),
            TableColumn::number("share"),
            TableColumn::free_text("name"),
        ];
        let columns: Vec<TableColumn> =
            columns.into_iter().take(if name == "flag" { 3 } else { 4 }).collect();
        let shown = &rows[..rows.len().min(TABLE_ROWS)];
        let mut text = output::format_table(&columns, shown, |row| {
            let code = if row.code.is_empty() { "unknown" } else { &row.code };
            let share = format!("{:.1} %", row.percent);
            let cells = [code.to_owned(), grouped(row.addresses), share, row.name.clone()];
            cells.into_iter().take(columns.len()).collect()
        });
        if rows.len() > shown.len() {
            let _infallible =
                write!(text, "\n({} more; -o csv prints all)", grouped((rows.len() - shown.len()) as u64));
        }
        parts.push(text);
    }
    parts.push(format!("{}, {} unique", addresses(summary.addresses), grouped(summary.unique)));
    parts.join("\n\n")
}
