//! Quota alerts: one row of the ledger for each alert, so that none is sent twice and reports can list them.

use ipgeo_contract::{Identity, Limit, Period, ledger_attr as attr};
use jiff::Timestamp;

use super::ledger_key;
use crate::store::{Alert, StoreError};
use crate::tables::calls::{Calls, Change};
use crate::tables::ledger::LedgerTable;
use crate::tables::value::{Item, number, string};

/// Partition key. The sort key is that of [`sort_key`].
pub(crate) const ID: &str = "alert";
/// Number: calls used.
const USED: &str = "used";
/// String: the limit that applied.
const LIMIT: &str = "limit";
/// Number, Unix milliseconds: the usage event that reached the threshold.
const AS_OF: &str = "as_of";
/// Number, Unix milliseconds: when the alert was sent. Absent: not sent yet.
const SENT: &str = "sent";

/// Seconds that an alert is retained after its period's end.
const RETENTION_S: i64 = 35 * 86_400;

/// A recorded alert, and when it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedAlert {
    /// The alert.
    pub alert: Alert,
    /// When it was sent; `None` if it was not, or if the counter stopped just before it could record that.
    pub sent: Option<Timestamp>,
}

/// Sort key of an alert: `2026-11-24#080#key#<hash>#1500/day`, so that a query reads a period's alerts in order. It
/// includes the limit: 80 % of another limit is another alert.
pub(crate) fn sort_key(period: Period, percent: u8, identity: &Identity, limit: Limit) -> String {
    format!("{period}#{percent:03}#{identity}#{limit}")
}

/// Parses a sort key without its limit, which the row has too; `None` if it is malformed.
#[cfg(any(test, feature = "operator"))]
fn parse_sort_key(text: &str) -> Option<(Period, u8, Identity)> {
    let (period, rest) = text.split_once('#')?;
    let (percent, rest) = rest.split_once('#')?;
    let (identity, _) = rest.rsplit_once('#')?;
    Some((period.parse().ok()?, percent.parse().ok()?, identity.parse().ok()?))
}

/// The beginning of the sort keys of a month's alerts, whether of a day or of the month.
#[cfg(any(test, feature = "operator"))]
pub(crate) fn prefix(month: ipgeo_contract::Month) -> String {
    month.to_string()
}

fn key(alert: &Alert) -> Item {
    ledger_key(ID, sort_key(alert.period, alert.percent, &alert.identity, alert.limit))
}

fn addition(alert: &Alert) -> Change {
    let expires = alert.period.end().as_second() + RETENTION_S;
    let set = "SET #used = :used, #limit = :limit, #as_of = :as_of, #ttl = :ttl";
    Change::new(key(alert), set)
        .when("attribute_not_exists(#id)")
        .name("#id", attr::ID)
        .name("#used", USED)
        .name("#limit", LIMIT)
        .name("#as_of", AS_OF)
        .name("#ttl", attr::TTL)
        .value(":used", number(alert.used))
        .value(":limit", string(alert.limit.to_string()))
        .value(":as_of", number(alert.as_of.as_millisecond()))
        .value(":ttl", number(expires))
}

impl<C: Calls> LedgerTable<C> {
    /// Stores an alert's row unless there is one; returns whether it is new.
    pub(crate) async fn put_alert(&self, alert: &Alert) -> Result<bool, StoreError> {
        self.is_applied(addition(alert)).await
    }

    /// Records that an alert was sent.
    pub async fn alert_was_sent(&self, alert: &Alert, at: Timestamp) -> Result<(), StoreError> {
        let change = Change::new(key(alert), "SET #sent = :sent")
            .name("#sent", SENT)
            .value(":sent", number(at.as_millisecond()));
        self.is_applied(change).await.map(drop)
    }
}

/// Parses a row; `None` if anything in it is unreadable, because a report works without it.
#[cfg(feature = "operator")]
pub(crate) fn read(item: &Item) -> Option<RecordedAlert> {
    use crate::tables::attributes::{integer, needed_text, text, time};

    let (period, percent, identity) = parse_sort_key(text(item, attr::MONTH).ok()??)?;
    let used = integer(item, USED).ok()??;
    let (limit, as_of) = (needed_text(item, LIMIT).ok()?, time(item, AS_OF).ok()??);
    let alert = Alert { identity, period, percent, limit, used, as_of };
    Some(RecordedAlert { alert, sent: time(item, SENT).ok().flatten() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alerts_sort_key_reads_back() {
        let identity: Identity = "key#00ff".parse().expect("an identity");
        for (period, limit, key) in [
            ("2026-11-24", "5/day", "2026-11-24#080#key#00ff#5/day"),
            ("2026-11", "50k/month", "2026-11#080#key#00ff#50000/month"),
        ] {
            let period: Period = period.parse().expect("a period");
            assert_eq!(sort_key(period, 80, &identity, limit.parse().expect("a limit")), key);
            assert_eq!(parse_sort_key(key), Some((period, 80, identity.clone())));
            assert_eq!(prefix("2026-11".parse().expect("a month")), key[..7]);
        }
        for junk in ["", "2026-11", "2026-11#x#key#1", "2026-11#080", "2026-11#300#key#1", "x#080#key#1"] {
            assert_eq!(parse_sort_key(junk), None, "{junk}");
        }
    }

    #[test]
    fn an_alert_is_retained_35_days_after_its_period() {
        let alert = Alert {
            identity: "key#00ff".parse().expect("an identity"),
            period: "2026-11-24".parse().expect("a period"),
            percent: 80,
            limit: "5/day".parse().expect("a limit"),
            used: 4,
            as_of: Timestamp::UNIX_EPOCH,
        };
        let expires: Timestamp = "2026-12-30T00:00:00Z".parse().expect("a timestamp");
        assert_eq!(addition(&alert).expression_attribute_values[":ttl"], number(expires.as_second()));
    }
}
