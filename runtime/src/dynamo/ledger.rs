//! The ledger table: the batch reads, scans and queries of reports.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::KeysAndAttributes;
use ipgeo_contract::{Identity, IdentityKind, Month, ledger_attr as attr};

use super::failed;
use super::values::{SdkItem, ours, string};
use crate::store::StoreError;
use crate::tables::{self, Item, LedgerItem, RecordedAlert, ShardNewest, rows};

/// Home's ledger, through the SDK.
pub type LedgerTable = tables::LedgerTable<Client>;

/// Items that one call may read (DynamoDB API).
const BATCH_MAX: usize = 100;
/// Retries of unprocessed keys; the client itself backs off if a call returns no item at all.
const PASSES_MAX: usize = 16;

impl LedgerTable {
    /// The items of these identities in a month, unordered; identities without an item are omitted. Costs half a read unit
    /// per identity and one call per hundred; results may be a second old.
    pub async fn items(&self, identities: &[Identity], month: Month) -> Result<Vec<LedgerItem>, StoreError> {
        let month = month.to_string();
        let mut found = Vec::with_capacity(identities.len());
        for chunk in identities.chunks(BATCH_MAX) {
            let key = |identity: &Identity| {
                HashMap::from([
                    (attr::ID.to_owned(), string(identity.as_str())),
                    (attr::MONTH.to_owned(), string(&month)),
                ])
            };
            let keys = KeysAndAttributes::builder().set_keys(Some(chunk.iter().map(key).collect())).build();
            let keys = keys.map_err(|error| failed(self.read_action(), error))?;
            let mut left = Some(HashMap::from([(self.name().to_owned(), keys)]));
            for _pass in 0..PASSES_MAX {
                let Some(wanted) = left.take().filter(|left| !left.is_empty()) else { break };
                let call = self.client().batch_get_item().set_request_items(Some(wanted));
                let answer = call.send().await.map_err(|error| failed(self.read_action(), error))?;
                for item in answer.responses.into_iter().flatten().flat_map(|(_, items)| items) {
                    found.push(
                        rows::month::read(&ours(item)).map_err(|error| failed(self.read_action(), error))?,
                    );
                }
                left = answer.unprocessed_keys;
            }
            if left.is_some_and(|left| !left.is_empty()) {
                let why = std::io::Error::other("DynamoDB keeps returning unprocessed keys");
                return Err(failed(self.read_action(), why));
            }
        }
        Ok(found)
    }

    /// Every identity's item of every month, unordered. Unreadable rows are skipped.
    pub async fn everything(&self) -> Result<Vec<LedgerItem>, StoreError> {
        self.collected(None, None).await
    }

    /// Every identity's item of a month, unordered; unreadable rows are skipped. `kind` filters.
    pub async fn month(
        &self,
        month: Month,
        kind: Option<IdentityKind>,
    ) -> Result<Vec<LedgerItem>, StoreError> {
        self.collected(Some((month, month)), kind).await
    }

    async fn collected(
        &self,
        months: Option<(Month, Month)>,
        kind: Option<IdentityKind>,
    ) -> Result<Vec<LedgerItem>, StoreError> {
        let mut found = Vec::new();
        self.for_each(months, kind, |item| {
            found.extend(item.ok());
            Ok(())
        })
        .await?;
        Ok(found)
    }

    /// Calls `take` with every identity's item from the first to the last of `months` (`None`: of every month), unordered, a
    /// page at a time: a ledger may be larger than memory. Unreadable rows, those with an invalid month or identity, are errors
    /// with their key. `kind` filters. Reads the whole table, however few months it is.
    pub async fn for_each<E: From<StoreError>>(
        &self,
        months: Option<(Month, Month)>,
        kind: Option<IdentityKind>,
        mut take: impl FnMut(Result<LedgerItem, String>) -> Result<(), E>,
    ) -> Result<(), E> {
        // Rows that are not an identity's month have no `#` in their partition key.
        let (condition, begins) = match kind {
            None => ("contains(#id, :id)", "#".to_owned()),
            Some(kind) => ("begins_with(#id, :id)", format!("{}#", kind.as_str())),
        };
        let mut scan = self
            .client()
            .scan()
            .table_name(self.name())
            .filter_expression(condition)
            .expression_attribute_names("#id", attr::ID)
            .expression_attribute_values(":id", string(begins));
        if let Some((first, last)) = months {
            scan = scan
                .filter_expression(format!("#month BETWEEN :first AND :last AND {condition}"))
                .expression_attribute_names("#month", attr::MONTH)
                .expression_attribute_values(":first", string(first.to_string()))
                .expression_attribute_values(":last", string(last.to_string()));
        }
        let mut pages = scan.into_paginator().items().send();
        while let Some(item) = pages.next().await {
            let item = ours(item.map_err(|error| E::from(failed(self.read_action(), error)))?);
            take(rows::month::read(&item).map_err(|_| {
                let text = |name: &str| item.get(name).and_then(tables::Value::text).unwrap_or_default();
                format!("{} {}", text(attr::ID), text(attr::MONTH))
            }))?;
        }
        Ok(())
    }

    /// The alerts of a month, by period and threshold.
    pub async fn alerts(&self, month: Month) -> Result<Vec<RecordedAlert>, StoreError> {
        let items = self.partition(rows::alert::ID, &rows::alert::prefix(month)).await?;
        Ok(items.iter().filter_map(rows::alert::read).collect())
    }

    /// The counting progress of every shard.
    pub async fn newest(&self) -> Result<Vec<ShardNewest>, StoreError> {
        let items = self.partition(rows::shard::ID, "").await?;
        Ok(items.iter().filter_map(rows::shard::shard_newest).collect())
    }

    /// The rows of a partition whose sort key begins with `begins`, in order of the sort key.
    async fn partition(&self, id: &str, begins: &str) -> Result<Vec<Item>, StoreError> {
        let mut query = self
            .client()
            .query()
            .table_name(self.name())
            .consistent_read(true)
            .key_condition_expression("#id = :id")
            .expression_attribute_names("#id", attr::ID)
            .expression_attribute_values(":id", string(id));
        if !begins.is_empty() {
            query = query
                .key_condition_expression("#id = :id AND begins_with(#month, :begins)")
                .expression_attribute_names("#month", attr::MONTH)
                .expression_attribute_values(":begins", string(begins));
        }
        let items: Result<Vec<SdkItem>, _> = query.into_paginator().items().send().collect().await;
        Ok(items.map_err(|error| failed(self.read_action(), error))?.into_iter().map(ours).collect())
    }
}
