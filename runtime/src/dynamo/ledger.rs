//! The ledger table: one conditional write counts, reads serve reports.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use ipgeo_contract::{Identity, IdentityKind, LedgerAttr, Month, Verdict, ledger_attr as attr};
use jiff::Timestamp;

use super::failed;
use super::items::{Item, number, string};
use crate::store::{Alert, Applied, LedgerUpdate, LedgerWrite, MonthTotals, Newest, StoreError};

/// Seconds after its month's end that an address's item is kept: until every report of the month is made.
const ADDRESS_KEPT_S: i64 = 35 * 86_400;

/// When DynamoDB may delete an address's item of a month, Unix seconds.
pub(super) fn address_ttl(month: Month) -> i64 {
    month.end().as_second() + ADDRESS_KEPT_S
}

/// Home's ledger.
#[derive(Clone, Debug)]
pub struct LedgerTable {
    client: Client,
    table: String,
}

/// One identity's month, as the ledger holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerItem {
    /// Who was charged.
    pub identity: Identity,
    /// The month.
    pub month: Month,
    /// Calls charged in the month.
    pub charged: u64,
    /// Calls charged, by day of the month.
    pub days: BTreeMap<i8, u64>,
    /// Calls charged, by region.
    pub regions: BTreeMap<String, u64>,
    /// Requests, by verdict.
    pub verdicts: BTreeMap<Verdict, u64>,
    /// The last sequence number counted, by shard.
    pub watermarks: BTreeMap<String, String>,
}

impl LedgerTable {
    /// A table by name, through a client of home.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// Another ledger beside this one, by its table's name.
    #[must_use]
    pub fn beside(&self, table: impl Into<String>) -> Self {
        Self::new(self.client.clone(), table)
    }

    /// The table's name.
    pub fn name(&self) -> &str {
        &self.table
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Every identity's item of every month, in no order.
    pub async fn everything(&self) -> Result<Vec<LedgerItem>, StoreError> {
        // Rows that are not an identity's month have no `#` in their partition key.
        let mut pages = self
            .client
            .scan()
            .table_name(&self.table)
            .filter_expression("contains(#id, :hash)")
            .expression_attribute_names("#id", attr::ID)
            .expression_attribute_values(":hash", string("#"))
            .into_paginator()
            .items()
            .send();
        let mut found = Vec::new();
        while let Some(item) = pages.next().await {
            found.push(self.read(&item.map_err(|error| failed(self.read_action(), error))?)?);
        }
        Ok(found)
    }

    /// Every identity's item of a month, in no order. `kind` leaves the others out.
    pub async fn month(
        &self,
        month: Month,
        kind: Option<IdentityKind>,
    ) -> Result<Vec<LedgerItem>, StoreError> {
        let mut scan = self
            .client
            .scan()
            .table_name(&self.table)
            .expression_attribute_names("#month", attr::MONTH)
            .expression_attribute_values(":month", string(month.to_string()));
        scan = match kind {
            None => scan.filter_expression("#month = :month"),
            Some(kind) => scan
                .filter_expression("#month = :month AND begins_with(#id, :kind)")
                .expression_attribute_names("#id", attr::ID)
                .expression_attribute_values(":kind", string(format!("{}#", kind.as_str()))),
        };
        let mut pages = scan.into_paginator().items().send();
        let mut found = Vec::new();
        while let Some(item) = pages.next().await {
            found.push(self.read(&item.map_err(|error| failed(self.read_action(), error))?)?);
        }
        Ok(found)
    }

    /// One identity's item of a month; read consistently.
    pub async fn item(&self, identity: &Identity, month: Month) -> Result<Option<LedgerItem>, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .key(attr::ID, string(identity.as_str()))
            .key(attr::MONTH, string(month.to_string()))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| failed(self.read_action(), error))?;
        answer.item.map(|item| self.read(&item)).transpose()
    }

    pub(super) fn read_action(&self) -> String {
        format!("read of ledger {}", self.table)
    }

    pub(super) fn write_action(&self) -> String {
        format!("write to ledger {}", self.table)
    }

    fn read(&self, item: &Item) -> Result<LedgerItem, StoreError> {
        let broken = |what: &str| StoreError {
            action: self.read_action(),
            source: format!("an item's attribute `{what}` is missing or not what it should be").into(),
        };
        let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok());
        let identity = text(attr::ID).and_then(|id| id.parse().ok()).ok_or_else(|| broken(attr::ID))?;
        let month = text(attr::MONTH).and_then(|m| m.parse().ok()).ok_or_else(|| broken(attr::MONTH))?;
        Ok(read_counts(item, identity, month))
    }
}

fn count(value: &AttributeValue) -> u64 {
    value.as_n().ok().and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

fn read_counts(item: &Item, identity: Identity, month: Month) -> LedgerItem {
    let mut read = LedgerItem {
        identity,
        month,
        charged: item.get(attr::CHARGED).map_or(0, count),
        days: BTreeMap::new(),
        regions: BTreeMap::new(),
        verdicts: BTreeMap::new(),
        watermarks: BTreeMap::new(),
    };
    for (name, value) in item {
        match LedgerAttr::parse(name) {
            Some(LedgerAttr::Day(day)) => drop(read.days.insert(day, count(value))),
            Some(LedgerAttr::Region(region)) => drop(read.regions.insert(region, count(value))),
            Some(LedgerAttr::Verdict(verdict)) => drop(read.verdicts.insert(verdict, count(value))),
            Some(LedgerAttr::Watermark(shard)) => {
                if let Ok(sequence) = value.as_s() {
                    read.watermarks.insert(shard, sequence.clone());
                }
            }
            None => {}
        }
    }
    read
}

fn totals(item: &Item, update: &LedgerUpdate) -> (MonthTotals, Option<String>) {
    let mut read = read_counts(item, update.identity.clone(), update.month);
    let watermark = read.watermarks.remove(&update.shard);
    (MonthTotals { charged: read.charged, days: read.days }, watermark)
}

impl LedgerWrite for LedgerTable {
    async fn apply(&self, update: &LedgerUpdate) -> Result<Applied, StoreError> {
        match self.write(update).send().await {
            Ok(answer) => {
                let (totals, watermark) = totals(&answer.attributes.unwrap_or_default(), update);
                // An answer without the item says nothing of the month: what it crossed would stay unpublished.
                // Delivered again, it reads as "behind".
                if watermark.as_ref() != Some(&update.last) {
                    return Err(StoreError {
                        action: self.write_action(),
                        source: "an applied write did not return the item that it made".into(),
                    });
                }
                Ok(Applied::Added(totals))
            }
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(refused)) => {
                    let item = refused.item.clone().unwrap_or_default();
                    let (totals, watermark) = totals(&item, update);
                    let watermark = watermark.ok_or_else(|| StoreError {
                        action: self.write_action(),
                        source: "a refused write did not return the item that refused it".into(),
                    })?;
                    Ok(Applied::Behind { watermark, totals })
                }
                _ => Err(failed(self.write_action(), error)),
            },
        }
    }

    async fn record_alert(&self, alert: &Alert) -> Result<bool, StoreError> {
        self.put_alert(alert).await
    }

    async fn note_newest(&self, newest: &Newest, counted: Timestamp) -> Result<(), StoreError> {
        self.put_newest(newest, counted).await
    }
}

impl LedgerTable {
    /// One `UpdateItem`: `ADD` makes what is missing, the condition keeps what was counted from being
    /// counted again. The SDK's own retries are safe for the same reason: a write that was applied and
    /// then timed out is refused the second time, and reads as "behind" with its own sequence number.
    fn write(&self, update: &LedgerUpdate) -> UpdateItemFluentBuilder {
        let mut add = vec![(attr::CHARGED.to_owned(), update.charged)];
        add.extend(update.days.iter().map(|(day, n)| (LedgerAttr::Day(*day).name(), *n)));
        add.extend(update.regions.iter().map(|(region, n)| (LedgerAttr::Region(region.clone()).name(), *n)));
        add.extend(update.verdicts.iter().map(|(verdict, n)| (LedgerAttr::Verdict(*verdict).name(), *n)));
        let mut names =
            HashMap::from([("#w".to_owned(), LedgerAttr::Watermark(update.shard.clone()).name())]);
        let mut values = HashMap::from([
            (":first".to_owned(), string(&update.first)),
            (":last".to_owned(), string(&update.last)),
        ]);
        let mut adds = Vec::new();
        for (index, (name, n)) in add.into_iter().enumerate() {
            adds.push(format!("#a{index} :a{index}"));
            names.insert(format!("#a{index}"), name);
            values.insert(format!(":a{index}"), number(n));
        }
        let mut set = "#w = :last".to_owned();
        if update.identity.kind() == IdentityKind::Address && !update.identity.is_crowd() {
            set.push_str(", #ttl = :ttl");
            names.insert("#ttl".to_owned(), attr::TTL.to_owned());
            values.insert(":ttl".to_owned(), number(address_ttl(update.month)));
        }
        self.client
            .update_item()
            .table_name(&self.table)
            .key(attr::ID, string(update.identity.as_str()))
            .key(attr::MONTH, string(update.month.to_string()))
            .update_expression(format!("SET {set} ADD {}", adds.join(", ")))
            .condition_expression("attribute_not_exists(#w) OR #w < :first")
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(Some(values))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
    }
}
