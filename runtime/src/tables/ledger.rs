//! Home's ledger table. Its rows are in `rows`.

use ipgeo_contract::{Gap, Identity, Period};
use jiff::Timestamp;

use super::calls::{Calls, Change, Updated};
use super::failed;
use super::value::Item;
use crate::store::{
    Alert, Applied, EarlyApplied, EarlyUpdate, LedgerUpdate, LedgerWrite, Newest, ShardNote, StoreError,
};

/// Home's ledger.
#[derive(Clone, Debug)]
pub struct LedgerTable<C> {
    client: C,
    table: String,
}

impl<C> LedgerTable<C> {
    /// A table by name, through a client of home.
    pub fn new(client: C, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// The table's name.
    pub fn name(&self) -> &str {
        &self.table
    }

    /// The client.
    pub fn client(&self) -> &C {
        &self.client
    }

    pub(crate) fn read_action(&self) -> String {
        format!("read of ledger {}", self.table)
    }

    pub(crate) fn write_action(&self) -> String {
        format!("write to ledger {}", self.table)
    }
}

impl<C: Clone> LedgerTable<C> {
    /// A shadow ledger or a restored backup, by its table's name, through the same client.
    #[must_use]
    pub fn beside(&self, table: impl Into<String>) -> Self {
        Self::new(self.client.clone(), table)
    }
}

impl<C: Calls> LedgerTable<C> {
    /// Reads a row consistently.
    pub(super) async fn get(&self, key: Item) -> Result<Option<Item>, StoreError> {
        self.client.get(&self.table, key, true).await.map_err(|cause| failed(self.read_action(), cause))
    }

    pub(super) async fn update(&self, change: Change) -> Result<Updated, StoreError> {
        self.client.update(&self.table, change).await.map_err(|cause| failed(self.write_action(), cause))
    }

    /// Makes a change; `false` if its condition did not hold.
    pub(super) async fn is_applied(&self, change: Change) -> Result<bool, StoreError> {
        Ok(matches!(self.update(change).await?, Updated::Done(_)))
    }
}

impl<C: Calls> LedgerWrite for LedgerTable<C> {
    async fn apply(&self, update: &LedgerUpdate) -> Result<Applied, StoreError> {
        self.add(update).await
    }

    async fn record_alert(&self, alert: &Alert) -> Result<bool, StoreError> {
        self.put_alert(alert).await
    }

    async fn shard_note(&self, shard: &str) -> Result<Option<ShardNote>, StoreError> {
        self.read_shard_note(shard).await
    }

    async fn note_gap(&self, shard: &str, number: u32, gap: &Gap) -> Result<bool, StoreError> {
        self.put_gap(shard, number, gap).await
    }

    async fn add_early(&self, update: &EarlyUpdate) -> Result<EarlyApplied, StoreError> {
        self.put_early(update).await
    }

    async fn remove_early(
        &self,
        identity: &Identity,
        period: Period,
        cells: &[String],
    ) -> Result<(), StoreError> {
        self.drop_early(identity, period, cells).await
    }

    async fn note_newest(&self, newest: &Newest, counted: Timestamp) -> Result<(), StoreError> {
        self.put_newest(newest, counted).await
    }
}

#[cfg(test)]
mod tests {
    use super::super::access::AccessTable;
    use super::*;

    #[test]
    fn an_error_names_the_table_and_what_was_tried() {
        let (ledger, access) = (LedgerTable::new((), "l"), AccessTable::new((), "a"));
        assert_eq!([ledger.read_action(), ledger.write_action()], ["read of ledger l", "write to ledger l"]);
        let actions = [access.read_action(), access.write_action()];
        assert_eq!(actions, ["read of access table a", "write to access table a"]);
    }
}
