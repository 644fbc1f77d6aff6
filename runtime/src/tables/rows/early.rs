//! Early counts: one row of the ledger for each identity and period. It has one attribute for each environment and slot, so
//! that a repeated report is recognised, and their sum. It is not part of the exact counts.

use std::collections::BTreeMap;

use ipgeo_contract::{EarlyCell, Identity, Period, ledger_attr as attr};
use jiff::Timestamp;

use super::ledger_key;
use crate::store::{EarlyApplied, EarlyRow, EarlyUpdate, StoreError};
use crate::tables::calls::{Calls, Change, Updated};
use crate::tables::ledger::LedgerTable;
use crate::tables::value::{Item, Value, number, string};

/// Beginning of the partition keys. Rows that are not an identity's month have no `#` in theirs.
const PREFIX: &str = "early/";
/// Number: all calls reported.
const SUM: &str = "n";
/// Number: cells in the row.
const CELLS: &str = "cells";
/// Beginning of the names of cells.
const CELL: &str = "c#";

/// Maximum cells in a row, so that a row stays small: an update is billed by the row's size, 25 kB at this number. Further
/// environments are counted by the ledger only.
const CELLS_MAX: u32 = 600;
/// Seconds that a row is retained after its period's end.
const RETENTION_S: i64 = 86_400;

/// The partition key.
pub(super) fn id(identity: &Identity) -> String {
    format!("{PREFIX}{}", identity.as_str().replace('#', "/"))
}

fn key(identity: &Identity, period: Period) -> Item {
    ledger_key(&id(identity), period.to_string())
}

/// A cell as text: `<calls>@<Unix milliseconds>`.
fn cell_text(cell: EarlyCell) -> Value {
    string(format!("{}@{}", cell.calls, cell.at.as_millisecond()))
}

fn read_cell(text: &str) -> Option<EarlyCell> {
    let (calls, ms) = text.split_once('@')?;
    Some(EarlyCell { calls: calls.parse().ok()?, at: Timestamp::from_millisecond(ms.parse().ok()?).ok()? })
}

/// Parses a row. Unreadable attributes are skipped.
fn read(item: &Item) -> EarlyRow {
    let cells: BTreeMap<String, EarlyCell> = item
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix(CELL)?.to_owned(), read_cell(value.text()?)?)))
        .collect();
    let sum = item.get(SUM).and_then(Value::digits).and_then(|digits| digits.parse().ok());
    EarlyRow { sum: sum.unwrap_or(0), cells }
}

fn addition(update: &EarlyUpdate) -> Change {
    let expires = update.period.end().as_second().saturating_add(RETENTION_S);
    let change = Change::new(key(&update.identity, update.period), "SET #c = :c, #ttl = :ttl ADD #n :n")
        .name("#c", format!("{CELL}{}", update.cell))
        .name("#n", SUM)
        .name("#ttl", attr::TTL)
        .value(":c", cell_text(update.new))
        .value(":n", number(update.calls))
        .value(":ttl", number(expires));
    let change = match update.seen {
        Some(seen) => change.when("#c = :seen").value(":seen", cell_text(seen)),
        None => {
            let change = change
                .when("attribute_not_exists(#c) AND (attribute_not_exists(#cells) OR #cells < :most)")
                .name("#cells", CELLS)
                .value(":most", number(CELLS_MAX))
                .value(":one", number(1));
            Change { update_expression: format!("{}, #cells :one", change.update_expression), ..change }
        }
    };
    Change { returns_item: true, ..change }
}

/// Each cell must exist, so that the number of cells stays exact.
fn removal(identity: &Identity, period: Period, cells: &[String]) -> Change {
    let placeholders: Vec<String> = (0..cells.len()).map(|index| format!("#c{index}")).collect();
    let exist: Vec<String> =
        placeholders.iter().map(|placeholder| format!("attribute_exists({placeholder})")).collect();
    let update = format!("REMOVE {} ADD #cells :less", placeholders.join(", "));
    let mut change = Change::new(key(identity, period), update)
        .when(exist.join(" AND "))
        .name("#cells", CELLS)
        .value(":less", number(format!("-{}", cells.len())));
    for (placeholder, cell) in placeholders.into_iter().zip(cells) {
        change = change.name(placeholder, format!("{CELL}{cell}"));
    }
    change
}

impl<C: Calls> LedgerTable<C> {
    /// Adds an early count if its cell is as expected. If a write is applied and its answer lost, the client's retry is refused
    /// and shows the cell with this count.
    pub(crate) async fn put_early(&self, update: &EarlyUpdate) -> Result<EarlyApplied, StoreError> {
        Ok(match self.update(addition(update)).await? {
            Updated::Done(item) => EarlyApplied::Added(read(&item)),
            Updated::Refused(item) => EarlyApplied::Refused(read(&item)),
        })
    }

    /// Removes cells, if all exist.
    pub(crate) async fn drop_early(
        &self,
        identity: &Identity,
        period: Period,
        cells: &[String],
    ) -> Result<(), StoreError> {
        if cells.is_empty() {
            return Ok(());
        }
        self.is_applied(removal(identity, period, cells)).await.map(drop)
    }
}
