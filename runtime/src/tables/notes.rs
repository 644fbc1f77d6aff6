//! What the counter notes in the ledger beside its counts: how far it is, and the alerts that were told.

use ipgeo_contract::{alert_sort_key, counted_attr, ledger_attr as attr, ledger_row as row, newest_attr};
use jiff::Timestamp;

use super::calls::{Calls, Change, Updated};
use super::failed;
use super::ledger::{LedgerTable, key_of};
use super::value::{Item, number, string};
use crate::store::{Alert, Newest, StoreError};

/// Seconds after its period's end that an alert is kept.
const ALERT_KEPT_S: i64 = 35 * 86_400;

fn key_of_alert(alert: &Alert) -> Item {
    key_of(row::ALERT, alert_sort_key(alert.period, alert.percent, &alert.identity, alert.limit))
}

impl<C: Calls> LedgerTable<C> {
    /// Whether a change was made; `false`: its condition did not hold.
    async fn held(&self, change: Change) -> Result<bool, StoreError> {
        match self.client().update(self.name(), change).await {
            Ok(Updated::Done(_)) => Ok(true),
            Ok(Updated::Refused(_)) => Ok(false),
            Err(cause) => Err(failed(self.write_action(), cause)),
        }
    }

    /// Puts an alert's row, if there is none; whether there was none.
    pub(super) async fn put_alert(&self, alert: &Alert) -> Result<bool, StoreError> {
        let kept_until = alert.period.end().as_second() + ALERT_KEPT_S;
        let set = "SET #used = :used, #limit = :limit, #as_of = :as_of, #ttl = :ttl";
        let change = Change::of(key_of_alert(alert), set)
            .when("attribute_not_exists(#id)")
            .name("#id", attr::ID)
            .name("#used", row::USED)
            .name("#limit", row::LIMIT)
            .name("#as_of", row::AS_OF)
            .name("#ttl", attr::TTL)
            .value(":used", number(alert.used))
            .value(":limit", string(alert.limit.to_string()))
            .value(":as_of", number(alert.as_of.as_millisecond()))
            .value(":ttl", number(kept_until));
        self.held(change).await
    }

    /// Notes that an alert was handed on.
    pub async fn alert_was_sent(&self, alert: &Alert, at: Timestamp) -> Result<(), StoreError> {
        let change = Change::of(key_of_alert(alert), "SET #sent = :sent")
            .name("#sent", row::SENT)
            .value(":sent", number(at.as_millisecond()));
        self.held(change).await.map(drop)
    }

    pub(super) async fn put_newest(&self, newest: &Newest, counted: Timestamp) -> Result<(), StoreError> {
        let mut set = vec!["#seq = :seq".to_owned()];
        let mut change = Change::of(key_of(row::NEWEST, &newest.shard), "")
            .when("attribute_not_exists(#seq) OR #seq < :seq")
            .name("#seq", row::SEQUENCE)
            .value(":seq", string(&newest.sequence))
            .value(":counted", number(counted.as_millisecond()));
        for (index, (region, time)) in newest.regions.iter().enumerate() {
            set.push(format!("#t{index} = :t{index}, #c{index} = :counted"));
            change = change
                .name(format!("#t{index}"), newest_attr(region))
                .name(format!("#c{index}"), counted_attr(region))
                .value(format!(":t{index}"), number(time.as_millisecond()));
        }
        change.update_expression = format!("SET {}", set.join(", "));
        // A redelivered batch finds that a later one was noted.
        self.held(change).await.map(drop)
    }
}
