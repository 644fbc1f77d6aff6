//! An alert as people and programs read it: the same for an e-mail, a webhook and a laptop's screen.

use ipgeo_contract::KeyRecord;
use serde::Serialize;

use crate::store::Alert;
use crate::tables::rows::alert::sort_key;

/// An alert, ready to be handed on. As JSON it is what a webhook receives; its `Display` is the text of an
/// e-mail. It names the API key by its hint, never by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AlertMessage {
    /// `quota.threshold`: what kind of event this is.
    pub event: &'static str,
    /// Stable: the same alert sent twice has the same.
    pub id: String,
    /// The API key's hint, or the beginning of its hash when its record is gone.
    pub api_key: String,
    /// Who the API key was made for.
    pub owner: String,
    /// The tier's name.
    pub tier: String,
    /// The threshold, percent of the limit.
    pub percent: u8,
    /// Calls used in the period when it was noticed.
    pub used: u64,
    /// The limit, such as `100000/month`.
    pub limit: String,
    /// The period, such as `2026-11`.
    pub period: String,
    /// When the period ends and the count begins anew, RFC 3339, UTC.
    pub resets: String,
    /// The usage event that reached the threshold, RFC 3339, UTC.
    pub as_of: String,
}

impl AlertMessage {
    /// The message of an alert; `record` is of the API key, when it is still there.
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

    /// One line for a subject: plain ASCII, at most 99 characters, as SNS takes it.
    pub fn subject(&self) -> String {
        let text = format!("ipgeo: API key {} has reached {} % of its quota", self.api_key, self.percent);
        let plain = text.replace('…', "..");
        plain.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).take(99).collect()
    }

    /// The JSON that a webhook receives.
    pub fn to_json(&self) -> String {
        // Strings and numbers always have a JSON.
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
             the count begins anew at {resets}"
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
             count begins anew at 2026-12-01T00:00:00Z"
        );
        assert_eq!(message.subject(), "ipgeo: API key ipg_..x3Kq has reached 80 % of its quota");
        let json: serde_json::Value = serde_json::from_str(&message.to_json()).expect("JSON");
        assert_eq!((&json["event"], &json["percent"]), (&"quota.threshold".into(), &80.into()));
        assert_eq!(json["id"], format!("2026-11#080#key#{}#100000/month", "0f".repeat(32)));
    }

    #[test]
    fn a_subject_is_one_short_plain_line_whatever_the_hint() {
        let mut message = AlertMessage::new(&alert(), None);
        message.api_key = "ключ\r\n".repeat(40);
        let subject = message.subject();
        assert!(subject.len() <= 99 && subject.bytes().all(|b| (b' '..=b'~').contains(&b)), "{subject}");
    }
}
