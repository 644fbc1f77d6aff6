//! What the counter notes in the ledger beside its counts: how far it is, and the alerts that were told.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use ipgeo_contract::{
    Month, alert_sort_key, alerts_of, counted_attr, ledger_attr as attr, ledger_row as row, newest_attr,
    parse_alert_sort_key,
};
use jiff::Timestamp;

use super::items::{Item, number, string};
use super::ledger::LedgerTable;
use super::{failed, held};
use crate::store::{Alert, Newest, StoreError};

/// Seconds after its period's end that an alert is kept.
const ALERT_KEPT_S: i64 = 35 * 86_400;

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
    pub regions: BTreeMap<String, RegionNewest>,
}

/// An alert that was told, and when it was handed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedAlert {
    /// The alert.
    pub alert: Alert,
    /// When it was handed on; none: it was not, or the counter ended just before.
    pub sent: Option<Timestamp>,
}

fn millis(item: &Item, name: &str) -> Option<Timestamp> {
    let ms = item.get(name)?.as_n().ok()?.parse().ok()?;
    Timestamp::from_millisecond(ms).ok()
}

fn text<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

impl LedgerTable {
    /// Puts an alert's row, if there is none; whether there was none.
    pub(super) async fn put_alert(&self, alert: &Alert) -> Result<bool, StoreError> {
        let kept_until = alert.period.end().as_second() + ALERT_KEPT_S;
        let put = self
            .client()
            .update_item()
            .table_name(self.name())
            .key(attr::ID, string(row::ALERT))
            .key(attr::MONTH, string(alert_sort_key(alert.period, alert.percent, &alert.identity)))
            .update_expression("SET #used = :used, #limit = :limit, #as_of = :as_of, #ttl = :ttl")
            .condition_expression("attribute_not_exists(#id)")
            .expression_attribute_names("#id", attr::ID)
            .expression_attribute_names("#used", row::USED)
            .expression_attribute_names("#limit", row::LIMIT)
            .expression_attribute_names("#as_of", row::AS_OF)
            .expression_attribute_names("#ttl", attr::TTL)
            .expression_attribute_values(":used", number(alert.used))
            .expression_attribute_values(":limit", string(alert.limit.to_string()))
            .expression_attribute_values(":as_of", number(alert.as_of.as_millisecond()))
            .expression_attribute_values(":ttl", number(kept_until));
        held(put.send().await, || self.write_action())
    }

    /// Notes that an alert was handed on.
    pub async fn alert_was_sent(&self, alert: &Alert, at: Timestamp) -> Result<(), StoreError> {
        self.client()
            .update_item()
            .table_name(self.name())
            .key(attr::ID, string(row::ALERT))
            .key(attr::MONTH, string(alert_sort_key(alert.period, alert.percent, &alert.identity)))
            .update_expression("SET #sent = :sent")
            .expression_attribute_names("#sent", row::SENT)
            .expression_attribute_values(":sent", number(at.as_millisecond()))
            .send()
            .await
            .map(drop)
            .map_err(|error| failed(self.write_action(), error))
    }

    /// The alerts of a month, by period and threshold.
    pub async fn alerts(&self, month: Month) -> Result<Vec<RecordedAlert>, StoreError> {
        let items = self.partition(row::ALERT, &alerts_of(month)).await?;
        Ok(items.iter().filter_map(read_alert).collect())
    }

    pub(super) async fn put_newest(&self, newest: &Newest, counted: Timestamp) -> Result<(), StoreError> {
        let mut names = HashMap::from([("#seq".to_owned(), row::SEQUENCE.to_owned())]);
        let mut values = HashMap::from([
            (":seq".to_owned(), string(&newest.sequence)),
            (":counted".to_owned(), number(counted.as_millisecond())),
        ]);
        let mut set = vec!["#seq = :seq".to_owned()];
        for (index, (region, time)) in newest.regions.iter().enumerate() {
            set.push(format!("#t{index} = :t{index}, #c{index} = :counted"));
            names.insert(format!("#t{index}"), newest_attr(region));
            names.insert(format!("#c{index}"), counted_attr(region));
            values.insert(format!(":t{index}"), number(time.as_millisecond()));
        }
        let update = self
            .client()
            .update_item()
            .table_name(self.name())
            .key(attr::ID, string(row::NEWEST))
            .key(attr::MONTH, string(&newest.shard))
            .update_expression(format!("SET {}", set.join(", ")))
            .condition_expression("attribute_not_exists(#seq) OR #seq < :seq")
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(Some(values));
        // A redelivered batch finds that a later one was noted.
        held(update.send().await, || self.write_action()).map(drop)
    }

    /// How far every shard is counted.
    pub async fn newest(&self) -> Result<Vec<ShardNewest>, StoreError> {
        let items = self.partition(row::NEWEST, "").await?;
        Ok(items.iter().filter_map(read_newest).collect())
    }

    /// Every row of a partition whose sort key begins so, in its order.
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
        let items: Result<Vec<Item>, _> = query.into_paginator().items().send().collect().await;
        items.map_err(|error| failed(self.read_action(), error))
    }
}

/// A row that is not as it should be is left out: a note is worth no failure.
fn read_alert(item: &Item) -> Option<RecordedAlert> {
    let (period, percent, identity) = parse_alert_sort_key(text(item, attr::MONTH)?)?;
    let used = item.get(row::USED)?.as_n().ok()?.parse().ok()?;
    let (limit, as_of) = (text(item, row::LIMIT)?.parse().ok()?, millis(item, row::AS_OF)?);
    let alert = Alert { identity, period, percent, limit, used, as_of };
    Some(RecordedAlert { alert, sent: millis(item, row::SENT) })
}

fn read_newest(item: &HashMap<String, AttributeValue>) -> Option<ShardNewest> {
    let mut regions = BTreeMap::new();
    for region in item.keys().filter_map(|name| name.strip_prefix("t#")) {
        let (event, counted) = (millis(item, &newest_attr(region))?, millis(item, &counted_attr(region))?);
        regions.insert(region.to_owned(), RegionNewest { event, counted });
    }
    let (shard, sequence) = (text(item, attr::MONTH)?, text(item, row::SEQUENCE)?);
    Some(ShardNewest { shard: shard.to_owned(), sequence: sequence.to_owned(), regions })
}
