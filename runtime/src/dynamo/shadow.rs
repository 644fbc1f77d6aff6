//! Shadow ledgers: tables that are filled from the stream, or restored from a backup. Items of one replace another's, unless
//! those have changed since they were read.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::TableStatus;
use ipgeo_contract::{LedgerAttr, Verdict, ledger_attr as attr};

use super::ledger::LedgerTable;
use super::tables::create_ledger_table;
use super::values::{number, theirs};
use super::{failed, held};
use crate::store::StoreError;
use crate::tables::LedgerItem;
use crate::tables::rows::month;

/// The result of [`LedgerTable::replace`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// The new item is written.
    Done,
    /// The item had changed since it was read: nothing is written.
    Changed,
}

impl LedgerTable {
    /// Creates the table unless it exists. It may take some seconds until [`LedgerTable::is_active`].
    pub async fn ensure(&self) -> Result<(), StoreError> {
        create_ledger_table(self.client(), self.name()).await
    }

    /// Whether the table can be used; `None` if it does not exist.
    pub async fn is_active(&self) -> Result<Option<bool>, StoreError> {
        match self.client().describe_table().table_name(self.name()).send().await {
            Ok(found) => {
                let status = found.table.and_then(|table| table.table_status);
                Ok(Some(status == Some(TableStatus::Active)))
            }
            Err(error) if error.as_service_error().is_some_and(|e| e.is_resource_not_found_exception()) => {
                Ok(None)
            }
            Err(error) => Err(failed(self.read_action(), error)),
        }
    }

    /// Deletes the table.
    pub async fn delete(&self) -> Result<(), StoreError> {
        let deleted = self.client().delete_table().table_name(self.name()).send().await;
        deleted.map(drop).map_err(|error| failed(format!("deletion of table {}", self.name()), error))
    }

    /// Replaces `seen` (`None`: there was no item) by `new`, unless the item has changed since it was read. Every usage event
    /// adds one to one of an item's verdicts, so equal verdicts mean that nothing was counted in the meantime.
    pub async fn replace(&self, seen: Option<&LedgerItem>, new: &LedgerItem) -> Result<Replaced, StoreError> {
        let mut names = HashMap::new();
        let mut values = HashMap::new();
        let mut conditions = Vec::new();
        match seen {
            None => {
                names.insert("#id".to_owned(), attr::ID.to_owned());
                conditions.push("attribute_not_exists(#id)".to_owned());
            }
            Some(seen) => {
                for (index, verdict) in Verdict::ALL.into_iter().enumerate() {
                    names.insert(format!("#v{index}"), LedgerAttr::Verdict(verdict).name());
                    match seen.verdicts.get(&verdict) {
                        Some(n) => {
                            values.insert(format!(":v{index}"), number(n));
                            conditions.push(format!("#v{index} = :v{index}"));
                        }
                        None => conditions.push(format!("attribute_not_exists(#v{index})")),
                    }
                }
            }
        }
        let put = self
            .client()
            .put_item()
            .table_name(self.name())
            .set_item(Some(theirs(month::item_of(new))))
            .condition_expression(conditions.join(" AND "))
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values((!values.is_empty()).then_some(values));
        let done = held(put.send().await, || self.write_action())?;
        Ok(if done { Replaced::Done } else { Replaced::Changed })
    }
}
