//! The start of a table that is filled from the stream: events before it are not counted there. Written once.

use ipgeo_contract::ledger_attr as attr;
use jiff::Timestamp;

use super::ledger_key;
use crate::store::StoreError;
use crate::tables::attributes::time;
use crate::tables::calls::{Calls, Change};
use crate::tables::ledger::LedgerTable;
use crate::tables::value::{Item, number};

/// Partition key and sort key.
pub(super) const ID: &str = "since";
/// Number, Unix milliseconds: the start.
const FROM: &str = "from";

fn key() -> Item {
    ledger_key(ID, ID)
}

impl<C: Calls> LedgerTable<C> {
    /// Records the time since which this table counts, unless it is recorded already.
    pub async fn set_since(&self, from: Timestamp) -> Result<(), StoreError> {
        let mut item = key();
        item.insert(FROM.to_owned(), number(from.as_millisecond()));
        self.is_applied(Change::new_item(item, &[attr::ID, attr::MONTH])).await.map(drop)
    }

    /// The time since which this table counts; `None` if it has no start, as the ledger and its backups.
    pub async fn since(&self) -> Result<Option<Timestamp>, StoreError> {
        let item = self.get(key()).await?;
        Ok(item.and_then(|item| time(&item, FROM).ok().flatten()))
    }
}
