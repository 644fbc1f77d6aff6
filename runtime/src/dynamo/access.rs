//! The access table: the queries that only the operator's verbs make.

use aws_sdk_dynamodb::Client;
use ipgeo_contract::{Identity, KeyRecord, access_attr as attr};

use super::failed;
use super::values::{ours, string};
use crate::store::StoreError;
use crate::tables::{self, rows};

/// One region's access table, through the SDK.
pub type AccessTable = tables::AccessTable<Client>;

impl AccessTable {
    /// Every API key's record, unordered.
    pub async fn list_keys(&self) -> Result<Vec<(Identity, KeyRecord)>, StoreError> {
        let mut pages = self
            .client()
            .scan()
            .table_name(self.name())
            .filter_expression("begins_with(#id, :key)")
            .expression_attribute_names("#id", attr::ID)
            .expression_attribute_values(":key", string("key#"))
            .into_paginator()
            .items()
            .send();
        let mut keys = Vec::new();
        while let Some(item) = pages.next().await {
            let item = ours(item.map_err(|error| failed(self.read_action(), error))?);
            let key = rows::key::identity(&item).and_then(|id| Ok((id, rows::key::key_record(&item)?)));
            keys.push(key.map_err(|error| self.unreadable("key#", error))?);
        }
        Ok(keys)
    }
}
