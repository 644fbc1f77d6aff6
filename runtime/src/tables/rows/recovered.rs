//! Recovery markers: one row of the ledger for each identity's events of a record that Lambda gave up and that were
//! counted after all, so that a repeated recovery counts none twice.

use ipgeo_contract::ledger_attr as attr;
use jiff::Timestamp;

use super::ledger_key;
use crate::store::{LedgerUpdate, StoreError};
use crate::tables::calls::{Calls, Change};
use crate::tables::ledger::LedgerTable;
use crate::tables::value::{Item, number};

/// Partition key.
pub(super) const ID: &str = "recovered";

/// Seconds that a marker is retained: longer than the failure bucket retains its objects.
const RETENTION_S: i64 = 400 * 86_400;

/// The sort key names the record and the ledger item.
fn key(update: &LedgerUpdate) -> Item {
    let LedgerUpdate { shard, last, identity, month, .. } = update;
    ledger_key(ID, format!("{shard}#{last}#{month}#{identity}"))
}

/// Marks an update as recovered, unless it is already.
pub(crate) fn mark(update: &LedgerUpdate, now: Timestamp) -> Change {
    let mut item = key(update);
    item.insert(attr::TTL.to_owned(), number(now.as_second().saturating_add(RETENTION_S)));
    Change::new_item(item, &[attr::ID, attr::MONTH])
}

impl<C: Calls> LedgerTable<C> {
    pub(crate) async fn is_recovered(&self, update: &LedgerUpdate) -> Result<bool, StoreError> {
        Ok(self.get(key(update)).await?.is_some())
    }
}
