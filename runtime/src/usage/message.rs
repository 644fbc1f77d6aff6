//! The text and JSON of an alert, for e-mails, webhooks and the terminal of `ipgeo dev`.

use ipgeo_contract::KeyRecord;
use serde::Serialize;

use crate::store::Alert;
use crate::tables::rows::alert::sort_key;

/// An alert, ready to be sent: as JSON to webhooks, by `Display` as the text of e-mails. It names the API key by its hint only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AlertMessage {
    /// The kind of event: `quota.threshold`.
    pub event: &'static str,
    /// Stable: the same for an alert that is sent twice.
    pub id: String,
    /// The API key's hint, or the beginning of its hash if its record is gone.
    pub api_key: String,
    /// Who the API key was created for.
    pub owner: String,
    /// The tier's name.
    pub tier: String,
    /// The threshold in percent of the limit.
    pub percent: u8,
    /// Calls used in the period when the alert was detected.
    pub used: u64,
    /// The limit, such as `100000/month`.
    pub limit: String,
    /// The period, such as `2026-11`.
    pub period: String,
    /// When the period ends and the count restarts, RFC 3339, UTC.
    pub resets: String,
    /// The usage event that reached the threshold, RFC 3339, UTC.
    pub as_of: String,
}

impl AlertMessage {
    /// The message of an alert; `record` is the API key's, if it still exists.
    pub fn new(alert: &Alert, record: Option<&KeyRecord>) -> Self {
        let short: String = alert.identity.name().chars().take(12).collect();
        Self {
            event: "quota.threshold",
            id: sort_key(alert.period, alert.percent, &alert.identity, alert.limit),
            api_key: record.map_or(short, |record| record.hint.clone()),
            owner: record.map(|record| record.owner.clone()).unwrap_or_default(),
            tier: record.map(|record| record.tier.clone()).unwrap_or_default(),
            percent: alert.percent,
            used: alert.used,
            limit: alert.limit.to_string(),
            period: alert.period.to_string(),
            resets: alert.period.end().to_string(),
            as_of: alert.as_of.to_string(),
        }
    }

    /// A subject line as SNS accepts it: plain ASCII, at most 99 characters.
    pub fn subject(&self) -> String {
        let text = format!("ipgeo: API key {} has reached {} % of its quota", self.api_key, self.percent);
        let plain = text.replace('…', "..");
        plain.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).take(99).collect()
    }

    /// The JSON that a webhook receives.
    pub fn to_json(&self) -> String {
        // Can't fail: it only has strings and numbers.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl std::fmt::Display for AlertMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { api_key, owner, percent, used, limit, period, resets, .. } = self;
        let of = if owner.is_empty() { String::new() } else { format!(" of {owner}") };
        write!(
            f,
            "API key {api_key}{of} has reached {percent} % of its quota: {used} calls of {limit} in {period}; \
             the count restarts at {resets}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert() -> Alert {
        Alert {
            identity: format!("key#{}", "0f".repeat(32)).parse().expect("an identity"),
            period: "2026-11".parse().expect("a period"),
            percent: 80,
            limit: "100_000/month".parse().expect("a limit"),
            used: 80_012,
            as_of: "2026-11-24T12:00:00Z".parse().expect("a timestamp"),
        }
    }

    #[test]
    fn an_alert_reads_as_text_as_subject_and_as_json() {
        let mut message = AlertMessage::new(&alert(), None);
        message.api_key = "ipg_…x3Kq".into();
        message.owner = "acme".into();
        assert_eq!(
            message.to_string(),
            "API key ipg_…x3Kq of acme has reached 80 % of its quota: 80012 calls of 100000/month in 2026-11; the \
             count restarts at 2026-12-01T00:00:00Z"
        );
        assert_eq!(message.subject(), "ipgeo: API key ipg_..x3Kq has reached 80 % of its quota");
        let json: serde_json::Value = serde_json::from_str(&message.to_json()).expect("JSON");
        assert_eq!((&json["event"], &json["percent"]), (&"quota.threshold".into(), &80.into()));
        assert_eq!(json["id"], format!("2026-11#080#key#{}#100000/month", "0f".repeat(32)));
    }

    #[test]
    fn a_subject_is_short_plain_ascii_whatever_the_hint() {
        let mut message = AlertMessage::new(&alert(), None);
        message.api_key = "ключ\r\n".repeat(40);
        let subject = message.subject();
        assert!(subject.len() <= 99 && subject.bytes().all(|b| (b' '..=b'~').contains(&b)), "{subject}");
    }
}
