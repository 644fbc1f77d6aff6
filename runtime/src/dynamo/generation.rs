//! Ledgers beside the ledger: a table that was filled from the stream, or restored from a backup. Whole items
//! are read from one and put in place of another's, never unseen.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::TableStatus;
use ipgeo_contract::{IdentityKind, LedgerAttr, Verdict, ledger_attr as attr, ledger_row as row};
use jiff::Timestamp;

use super::ledger::{LedgerItem, LedgerTable};
use super::tables::create_ledger_table;
use super::values::{SdkItem, number, string};
use super::{failed, held};
use crate::store::StoreError;
use crate::tables::address_ttl;

/// What became of [`LedgerTable::replace`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// The new item is in place.
    Done,
    /// The item there was no longer the one that was seen: nothing was written.
    Changed,
}

impl LedgerTable {
    /// Makes the table unless it is there. It may take some seconds until [`LedgerTable::is_active`].
    pub async fn ensure(&self) -> Result<(), StoreError> {
        create_ledger_table(self.client(), self.name()).await
    }

    /// Whether the table is there; `Some(true)`: and can be used.
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

    /// Says since when this table counts: what is before is not in it. Never changed once it is said.
    pub async fn set_since(&self, from: Timestamp) -> Result<(), StoreError> {
        let put = self
            .client()
            .put_item()
            .table_name(self.name())
            .item(attr::ID, string(row::SINCE))
            .item(attr::MONTH, string(row::SINCE))
            .item(row::FROM, number(from.as_millisecond()))
            .condition_expression("attribute_not_exists(#id)")
            .expression_attribute_names("#id", attr::ID);
        held(put.send().await, || self.write_action()).map(drop)
    }

    /// Since when this table counts; `None`: since ever, as the ledger and its backups do.
    pub async fn since(&self) -> Result<Option<Timestamp>, StoreError> {
        let answer = self
            .client()
            .get_item()
            .table_name(self.name())
            .key(attr::ID, string(row::SINCE))
            .key(attr::MONTH, string(row::SINCE))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| failed(self.read_action(), error))?;
        let from = answer.item.as_ref().and_then(|item| item.get(row::FROM)?.as_n().ok()?.parse().ok());
        Ok(from.and_then(|ms| Timestamp::from_millisecond(ms).ok()))
    }

    /// Puts `new` in place of `seen` (`None`: there was no item), unless the item has changed since. Every
    /// usage event adds one to one of an item's verdicts, so that equal verdicts mean that nothing came.
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
            .set_item(Some(item_of(new)))
            .condition_expression(conditions.join(" AND "))
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values((!values.is_empty()).then_some(values));
        let done = held(put.send().await, || self.write_action())?;
        Ok(if done { Replaced::Done } else { Replaced::Changed })
    }
}

fn item_of(item: &LedgerItem) -> SdkItem {
    let text = |name: &str, value: &str| (name.to_owned(), string(value));
    let count = |attr: LedgerAttr, n: u64| (attr.name(), number(n));
    let mut out: SdkItem = HashMap::from([
        text(attr::ID, item.identity.as_str()),
        text(attr::MONTH, &item.month.to_string()),
        (attr::CHARGED.to_owned(), number(item.charged)),
    ]);
    out.extend(item.days.iter().map(|(day, n)| count(LedgerAttr::Day(*day), *n)));
    out.extend(item.regions.iter().map(|(region, n)| count(LedgerAttr::Region(region.clone()), *n)));
    out.extend(item.verdicts.iter().map(|(verdict, n)| count(LedgerAttr::Verdict(*verdict), *n)));
    let watermarks = item.watermarks.iter();
    out.extend(watermarks.map(|(shard, at)| text(&LedgerAttr::Watermark(shard.clone()).name(), at)));
    out.extend(
        item.before_gaps
            .iter()
            .map(|((shard, gap), at)| text(&LedgerAttr::BeforeGap(*gap, shard.clone()).name(), at)),
    );
    if item.identity.kind() == IdentityKind::Address {
        out.insert(attr::TTL.to_owned(), number(address_ttl(item.month)));
    }
    out
}
