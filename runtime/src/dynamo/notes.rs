//! What the counter has noted in the ledger beside its counts, as reports read it.

use std::collections::BTreeMap;

use ipgeo_contract::{
    Month, RegionName, alerts_of, counted_attr, ledger_attr as attr, ledger_row as row, newest_attr,
    parse_alert_sort_key,
};
use jiff::Timestamp;

use super::failed;
use super::ledger::LedgerTable;
use super::values::{SdkItem, string};
use crate::store::{Alert, StoreError};

/// How far one region is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegionNewest {
    /// Its newest counted usage event.
    pub event: Timestamp,
    /// When that was counted.
    pub counted: Timestamp,
}

/// How far one shard is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardNewest {
    /// The shard.
    pub shard: String,
    /// Padded sequence number of the last record counted.
    pub sequence: String,
    /// By region.
    pub regions: BTreeMap<RegionName, RegionNewest>,
}

/// An alert that was told, and when it was handed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedAlert {
    /// The alert.
    pub alert: Alert,
    /// When it was handed on; none: it was not, or the counter ended just before.
    pub sent: Option<Timestamp>,
}

fn millis(item: &SdkItem, name: &str) -> Option<Timestamp> {
    let ms = item.get(name)?.as_n().ok()?.parse().ok()?;
    Timestamp::from_millisecond(ms).ok()
}

fn text<'a>(item: &'a SdkItem, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

impl LedgerTable {
    /// The alerts of a month, by period and threshold.
    pub async fn alerts(&self, month: Month) -> Result<Vec<RecordedAlert>, StoreError> {
        let items = self.partition(row::ALERT, &alerts_of(month)).await?;
        Ok(items.iter().filter_map(read_alert).collect())
    }

    /// How far every shard is counted.
    pub async fn newest(&self) -> Result<Vec<ShardNewest>, StoreError> {
        let items = self.partition(row::NEWEST, "").await?;
        Ok(items.iter().filter_map(read_newest).collect())
    }

    /// Every row of a partition whose sort key begins so, in its order.
    async fn partition(&self, id: &str, begins: &str) -> Result<Vec<SdkItem>, StoreError> {
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
        items.map_err(|error| failed(self.read_action(), error))
    }
}

/// A row that is not as it should be is left out: a note is worth no failure.
fn read_alert(item: &SdkItem) -> Option<RecordedAlert> {
    let (period, percent, identity) = parse_alert_sort_key(text(item, attr::MONTH)?)?;
    let used = item.get(row::USED)?.as_n().ok()?.parse().ok()?;
    let (limit, as_of) = (text(item, row::LIMIT)?.parse().ok()?, millis(item, row::AS_OF)?);
    let alert = Alert { identity, period, percent, limit, used, as_of };
    Some(RecordedAlert { alert, sent: millis(item, row::SENT) })
}

fn read_newest(item: &SdkItem) -> Option<ShardNewest> {
    let mut regions = BTreeMap::new();
    for region in item.keys().filter_map(|name| name.strip_prefix("t#")) {
        let (event, counted) = (millis(item, &newest_attr(region))?, millis(item, &counted_attr(region))?);
        regions.insert(RegionName::new(region), RegionNewest { event, counted });
    }
    let (shard, sequence) = (text(item, attr::MONTH)?, text(item, row::SEQUENCE)?);
    Some(ShardNewest { shard: shard.to_owned(), sequence: sequence.to_owned(), regions })
}
