//! Log lines and their display: usage lines in words, other lines unchanged, both without addresses and API keys.

use ipgeo_contract::{Identity, RegionName, UsageEvent};
use jiff::Timestamp;
use serde::Serialize;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LogLine {
    pub time: Timestamp,
    pub region: RegionName,
    /// Unique in its region.
    pub id: String,
    pub text: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct ShownLine {
    /// Its time, always with three digits of the second, so that texts sort by time.
    #[serde(serialize_with = "to_the_millisecond")]
    pub time: Timestamp,
    pub region: RegionName,
    /// `usage`, or `log` for everything else.
    pub kind: &'static str,
    pub verdict: Option<String>,
    /// Calls that were charged.
    pub cost: Option<u64>,
    /// The tier; only in lines of refused calls.
    pub tier: Option<String>,
    /// Who was charged: kind and shortened hash or site, joined by spaces.
    pub who: Option<String>,
    /// API Gateway's request id; only in lines of refused calls.
    pub request_id: Option<String>,
    /// The text of any other line.
    pub text: Option<String>,
}

/// The shortest API key: 36 characters follow its prefix.
const KEY_CHARS_MIN: usize = 36;
/// Characters of a hash that distinguish it in practice.
const HASH_CHARS: usize = 12;

fn to_the_millisecond<S: serde::Serializer>(time: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ"))
}

fn who(identity: &Identity) -> String {
    let name: String =
        identity.name().chars().take(if is_hash(identity) { HASH_CHARS } else { 200 }).collect();
    format!("{}#{name}", identity.kind().as_str())
}

fn is_hash(identity: &Identity) -> bool {
    identity.kind() != ipgeo_contract::IdentityKind::Site
}

impl LogLine {
    /// The time in a usage line; `None` for other lines.
    pub(crate) fn event_time(text: &str) -> Option<Timestamp> {
        UsageEvent::parse(text).ok().map(|event| event.time)
    }

    /// Whether it is a usage line, not a message of the function or the platform.
    pub(crate) fn is_usage(&self) -> bool {
        UsageEvent::parse(&self.text).is_ok()
    }

    /// Whether it contains a text, as written or as shown.
    pub(crate) fn contains(&self, text: &str) -> bool {
        self.text.contains(text) || self.shown().text(0).contains(text)
    }

    pub(crate) fn shown(&self) -> ShownLine {
        let mut shown =
            ShownLine { time: self.time, region: self.region.clone(), kind: "log", ..ShownLine::default() };
        match UsageEvent::parse(&self.text) {
            Ok(event) => {
                shown.kind = "usage";
                shown.verdict = Some(event.verdict.as_str().to_owned());
                shown.cost = Some(event.cost);
                shown.tier = non_empty(event.tier);
                let all: Vec<String> = event.charges.iter().map(|charge| who(&charge.identity)).collect();
                shown.who = (!all.is_empty()).then(|| all.join(" "));
                shown.request_id = non_empty(event.request_id);
            }
            Err(_) => shown.text = Some(without_secrets(&self.text)),
        }
        shown
    }
}

fn non_empty(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// A text without addresses and API keys. Our own lines have none; lines of the platform or of a library might.
fn without_secrets(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let in_word = |c: char| c.is_ascii_alphanumeric() || ".:_%".contains(c);
        let end = rest.find(|c| !in_word(c)).unwrap_or(rest.len());
        if end > 0 {
            out.push_str(&masked(&rest[..end]));
            rest = &rest[end..];
        }
        let next = rest.chars().next().map_or(0, char::len_utf8);
        out.push_str(&rest[..next]);
        rest = &rest[next..];
    }
    out
}

fn masked(word: &str) -> String {
    let core = word.trim_matches(['.', ':']);
    let address = core.parse::<std::net::IpAddr>().is_ok()
        || core.parse::<std::net::SocketAddr>().is_ok()
        || core.rsplit_once(':').is_some_and(|(host, port)| {
            port.bytes().all(|b| b.is_ascii_digit()) && host.parse::<std::net::IpAddr>().is_ok()
        });
    // `::` alone is part of a path in code.
    if address && core.chars().any(|c| c.is_ascii_hexdigit()) {
        return word.replace(core, "(address)");
    }
    if core.len() >= KEY_CHARS_MIN && core.parse::<ipgeo_contract::ApiKey>().is_ok() {
        return word.replace(core, "(API key)");
    }
    word.to_owned()
}

impl ShownLine {
    /// For people. The tier of a refused call is left out, so that the line of one caller fits 80 columns.
    pub(crate) fn text(&self, width: usize) -> String {
        let time = self.time.strftime("%Y-%m-%d %H:%M:%S%.3fZ");
        let text = match &self.text {
            Some(text) => text.trim_end().replace('\t', "  "),
            None => format!(
                "{:<15} {:>3}  {}",
                self.verdict.as_deref().unwrap_or_default(),
                self.cost.unwrap_or_default(),
                self.who.as_deref().unwrap_or("-")
            ),
        };
        format!("{time}  {:<width$}  {text}", self.region)
    }
}

#[cfg(test)]
mod tests {
    use ipgeo_contract::{ApiKey, Charge, Verdict};

    use super::*;

    fn line(text: &str) -> LogLine {
        let time = "2026-11-25T10:00:00.125Z".parse().expect("a time");
        LogLine { time, region: RegionName::new("eu-west-1"), id: "1".into(), text: text.into() }
    }

    #[test]
    fn a_usage_line_is_shown_in_words() {
        let charge = |identity: &str, limit: &str| Charge {
            identity: identity.parse().expect("an identity"),
            limit: limit.parse().expect("a limit"),
        };
        let text = UsageEvent {
            time: "2026-11-25T10:00:00.125Z".parse().expect("a time"),
            verdict: Verdict::Allowed,
            cost: 2,
            region: ipgeo_contract::RegionName::new("eu-west-1"),
            request_id: "req-1".to_owned(),
            tier: "startup".to_owned(),
            charges: vec![
                charge(&format!("key#{}", "ab".repeat(32)), "100000/month"),
                charge("site#a.test", "5/day"),
            ],
        }
        .to_line();
        let shown = line(&text).shown();
        assert_eq!((shown.kind, shown.cost, shown.text.as_deref()), ("usage", Some(2), None));
        assert_eq!(shown.who.as_deref(), Some("key#abababababab site#a.test"));
        assert_eq!(
            shown.text(14),
            "2026-11-25 10:00:00.125Z  eu-west-1       allowed           2  key#abababababab site#a.test"
        );
        let refused =
            text.replacen("\"n\":2,", "\"v\":\"over_quota\",\"n\":0,\"q\":\"req-1\",\"p\":\"startup\",", 1);
        let shown = line(&refused).shown();
        assert_eq!((shown.request_id.as_deref(), shown.tier.as_deref()), (Some("req-1"), Some("startup")));
        assert!(
            shown.text(14).ends_with("over_quota        0  key#abababababab site#a.test"),
            "{}",
            shown.text(14)
        );
        let one = line(&refused.replacen("site#a.test", "", 1)).shown();
        let one = ShownLine { who: Some("key#abababababab".to_owned()), ..one };
        assert!(one.text("ap-southeast-1".len()).len() <= 80, "{}", one.text(14));
        let json = serde_json::to_value(line(&text).shown()).expect("JSON");
        assert_eq!(json["time"], "2026-11-25T10:00:00.125Z");
        let read = line(&text);
        assert!(read.contains("key#abab") && read.contains("ipgeo") && !read.contains("over_quota"));
        assert_eq!(LogLine::event_time(&text).map(Timestamp::as_millisecond), Some(1_795_600_800_125));
    }

    #[test]
    fn nothing_personal_is_shown() {
        let key = ApiKey::generate("ipg", |bytes| bytes.fill(7)).expect("an API key");
        let table = [
            ("from 203.0.113.9: no".to_owned(), "from (address): no"),
            ("peer 203.0.113.9:443.".to_owned(), "peer (address)."),
            ("[2001:db8::1]:443 closed".to_owned(), "[(address)]:443 closed"),
            (format!("x-api-key={}", key.expose()), "x-api-key=(API key)"),
            (format!("\"{}\"", key.expose()), "\"(API key)\""),
            ("ipgeo::lookup at 1.5 in 3 ms, v0.1.0".to_owned(), "ipgeo::lookup at 1.5 in 3 ms, v0.1.0"),
            ("Gruß — 10:00:00 ::".to_owned(), "Gruß — 10:00:00 ::"),
        ];
        for (text, expected) in table {
            assert_eq!(line(&text).shown().text.as_deref(), Some(expected), "{text}");
        }
    }
}
