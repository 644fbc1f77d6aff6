//! The access table: what edges read to decide. Its rows are in `rows`.

use std::collections::HashMap;

use ipgeo_contract::{AddressSecret, Identity, KeyRecord, Published};

use super::attributes::ItemError;
use super::calls::{Calls, Change, Updated};
use super::failed;
use super::rows::{key, key_of, published};
use super::value::Item;
use crate::store::{AccessRead, StoreError};

/// Maximum `BatchGetItem` calls for the keys that earlier calls left unprocessed.
const BATCH_ROUNDS_MAX: usize = 3;

/// One region's access table. All writes go to home's table.
#[derive(Clone, Debug)]
pub struct AccessTable<C> {
    client: C,
    table: String,
}

impl<C> AccessTable<C> {
    /// A table by name, through a client of its region.
    pub fn new(client: C, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// The client.
    pub fn client(&self) -> &C {
        &self.client
    }

    /// The table's name.
    pub fn name(&self) -> &str {
        &self.table
    }

    pub(crate) fn read_action(&self) -> String {
        format!("read of access table {}", self.table)
    }

    pub(crate) fn write_action(&self) -> String {
        format!("write to access table {}", self.table)
    }

    pub(crate) fn unreadable(&self, identity: &str, error: ItemError) -> StoreError {
        let kind = identity.split('#').next().unwrap_or_default();
        failed(format!("{} (a `{kind}#` item)", self.read_action()), error)
    }
}

impl<C: Calls> AccessTable<C> {
    pub(crate) async fn item(&self, id: &str, consistent: bool) -> Result<Option<Item>, StoreError> {
        let item = self.client.get(&self.table, key_of(id), consistent).await;
        item.map_err(|cause| failed(self.read_action(), cause))
    }

    pub(crate) async fn update(&self, change: Change) -> Result<Updated, StoreError> {
        self.client.update(&self.table, change).await.map_err(|cause| failed(self.write_action(), cause))
    }
}

impl<C: Calls> AccessRead for AccessTable<C> {
    async fn key(&self, identity: &Identity) -> Result<Option<KeyRecord>, StoreError> {
        let item = self.item(identity.as_str(), false).await?;
        item.map(|item| key::key_record(&item))
            .transpose()
            .map_err(|error| self.unreadable(identity.as_str(), error))
    }

    async fn published(&self, identities: &[Identity]) -> Result<Vec<Option<Published>>, StoreError> {
        let mut found: HashMap<Identity, Option<Published>> = HashMap::new();
        let mut left: Vec<Item> = identities.iter().map(|identity| key_of(identity.as_str())).collect();
        for _round in 0..BATCH_ROUNDS_MAX {
            if left.is_empty() {
                break;
            }
            let answer = self.client.batch_get(&self.table, left).await;
            let answer = answer.map_err(|cause| failed(self.read_action(), cause))?;
            for item in answer.items {
                let read = key::identity(&item).and_then(|id| Ok((id, published::read(&item)?)));
                let (identity, published) = read.map_err(|error| self.unreadable("addr#", error))?;
                found.insert(identity, published);
            }
            left = answer.left;
        }
        if !left.is_empty() {
            return Err(failed(self.read_action(), "throttled"));
        }
        Ok(identities.iter().map(|identity| found.get(identity).copied().flatten()).collect())
    }

    async fn address_secret(&self) -> Result<Option<AddressSecret>, StoreError> {
        self.secret(false).await
    }
}
