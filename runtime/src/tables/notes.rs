//! What the counter notes in the ledger beside its counts: how far it is, and the alerts that were told.

use ipgeo_contract::{
    Gap, alert_sort_key, counted_attr, gap_attr, ledger_attr as attr, ledger_row as row, newest_attr,
};
use jiff::Timestamp;

use super::calls::{Calls, Change, Updated};
use super::failed;
use super::ledger::{LedgerTable, key_of};
use super::value::{Item, Value, number, string};
use crate::store::{Alert, Newest, ShardNote, StoreError};

/// Maximum regions in one row: there are fewer, and a write with thousands would be rejected.
const REGIONS_MAX: usize = 50;

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
        let mut set = vec!["#seq = :seq".to_owned(), "#lines = :lines".to_owned()];
        let mut change = Change::of(key_of(row::NEWEST, &newest.shard), "")
            .when("attribute_not_exists(#seq) OR #seq < :seq")
            .name("#seq", row::SEQUENCE)
            .name("#lines", row::FINGERPRINTS)
            .value(":seq", string(&newest.sequence))
            .value(":lines", string(&newest.fingerprints))
            .value(":counted", number(counted.as_millisecond()));
        for (index, (region, time)) in newest.regions.iter().take(REGIONS_MAX).enumerate() {
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

    pub(super) async fn read_shard_note(&self, shard: &str) -> Result<Option<ShardNote>, StoreError> {
        let found = self.client().get(self.name(), key_of(row::NEWEST, shard), true).await;
        Ok(found.map_err(|cause| failed(self.read_action(), cause))?.as_ref().map(shard_note))
    }

    pub(super) async fn put_gap(&self, shard: &str, number: u32, gap: &Gap) -> Result<bool, StoreError> {
        let change = Change::of(key_of(row::NEWEST, shard), "SET #gap = :gap")
            .when("attribute_not_exists(#gap) OR #gap = :gap")
            .name("#gap", gap_attr(number))
            .value(":gap", string(gap.to_text()));
        self.held(change).await
    }
}

/// Parses a row; unreadable attributes are ignored.
fn shard_note(item: &Item) -> ShardNote {
    let text = |name: &str| item.get(name).and_then(Value::text);
    let millis = |name: &str| {
        let ms = item.get(name).and_then(Value::digits)?.parse().ok()?;
        Timestamp::from_millisecond(ms).ok()
    };
    // A clock that was ahead must not hide a pause in counting.
    let of_region = |region: &str| Some(millis(&newest_attr(region))?.min(millis(&counted_attr(region))?));
    ShardNote {
        sequence: text(row::SEQUENCE).unwrap_or_default().to_owned(),
        newest: item.keys().filter_map(|name| of_region(name.strip_prefix("t#")?)).max(),
        fingerprints: text(row::FINGERPRINTS).unwrap_or_default().to_owned(),
        gaps: (1..).map_while(|number| Gap::parse(text(&gap_attr(number))?)).collect(),
    }
}
