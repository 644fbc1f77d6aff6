//! Exports every count of ledger items, one row each.

use ipgeo_runtime::dynamo::LedgerItem;
use serde::Serialize;

/// One count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct CountRow {
    /// `key#<hash>`, `site#<host>`, `addr#<tag>`.
    pub identity: String,
    pub month: String,
    /// `calls`, `day`, `region` or `verdict`.
    pub part: &'static str,
    /// The day, region or verdict; empty for the calls of the month.
    pub name: String,
    /// Calls charged, or requests in a row of a verdict.
    pub count: u64,
}

/// The rows of items, in the same order.
pub(crate) fn export_rows(items: &[LedgerItem]) -> Vec<CountRow> {
    let mut rows = Vec::new();
    for item in items {
        let mut row = |part, name: String, count| {
            let (identity, month) = (item.identity.to_string(), item.month.to_string());
            rows.push(CountRow { identity, month, part, name, count });
        };
        row("calls", String::new(), item.charged);
        item.days.iter().for_each(|(day, n)| row("day", format!("{}-{day:02}", item.month), *n));
        item.regions.iter().for_each(|(region, n)| row("region", region.clone(), *n));
        item.verdicts.iter().for_each(|(verdict, n)| row("verdict", verdict.to_string(), *n));
    }
    rows
}
