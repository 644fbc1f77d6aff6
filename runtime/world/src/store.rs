//! The tables in memory: rows by key, changed on conditions.

use std::collections::BTreeMap;

use ipgeo_runtime::tables::{Change, Item, Updated, Value};

use crate::expression::{holds, updated};

/// Partition key and sort key; the latter is empty in the access table.
pub(crate) type RowKey = (String, String);

/// The key of a row, or in an item.
pub(crate) fn row_key(item: &Item) -> RowKey {
    let text = |name: &str| item.get(name).and_then(Value::text).unwrap_or_default().to_owned();
    (text("id"), text("month"))
}

/// One table.
#[derive(Clone, Debug, Default)]
pub struct Table {
    pub(crate) rows: BTreeMap<RowKey, Item>,
}

/// What a change did.
pub(crate) struct Effect {
    pub(crate) answer: Updated,
    /// The row before and after, if it was changed.
    pub(crate) changed: Option<(Option<Item>, Item)>,
}

impl Table {
    pub(crate) fn get(&self, key: &Item) -> Option<Item> {
        self.rows.get(&row_key(key)).cloned()
    }

    /// Whether a change's condition holds.
    pub(crate) fn admits(&self, change: &Change) -> Result<bool, String> {
        let empty = Item::new();
        let row = self.rows.get(&row_key(&change.key)).unwrap_or(&empty);
        change.condition_expression.as_ref().map_or(Ok(true), |condition| holds(condition, change, row))
    }

    /// `UpdateItem`.
    pub(crate) fn update(&mut self, change: &Change) -> Result<Effect, String> {
        let before = self.rows.get(&row_key(&change.key)).cloned();
        let shown = |item: &Item| if change.returns_item { item.clone() } else { Item::new() };
        if !self.admits(change)? {
            let item = before.unwrap_or_default();
            return Ok(Effect { answer: Updated::Refused(shown(&item)), changed: None });
        }
        let mut row = before.clone().unwrap_or_default();
        row.extend(change.key.clone());
        let after = updated(change, &row)?;
        self.rows.insert(row_key(&change.key), after.clone());
        Ok(Effect { answer: Updated::Done(shown(&after)), changed: Some((before, after)) })
    }
}
