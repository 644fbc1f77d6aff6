//! The usage line: one compact JSON object for every metered request, on the function's standard
//! output. It carries the version first, and never the event, a looked-up address, an API key or a raw
//! caller address.

use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Identity, Limit, Verdict};

/// The version of the line written here; readers skip and count lines of any other.
pub const USAGE_LINE_VERSION: u32 = 1;

/// One request, as its usage line tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageEvent {
    /// When the request was answered, to the millisecond.
    pub time: Timestamp,
    /// Allowed, or refused and why.
    pub verdict: Verdict,
    /// Calls to charge: 0 for refusals and for errors.
    pub cost: u64,
    /// The region that answered.
    pub region: String,
    /// API Gateway's request id.
    pub request_id: String,
    /// The tier of the caller.
    pub tier: String,
    /// Who is charged `cost`, each in full: an API key alone, or an address and perhaps a site. Empty
    /// when the API key is malformed or unknown.
    pub charges: Vec<Charge>,
}

/// An identity that a request is charged to, and the limit that held for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// Who is charged.
    pub identity: Identity,
    /// The limit that held.
    pub limit: Limit,
}

/// Why a text is not a usage line of ours.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Not a JSON object with `ipgeo` in it: a line of something else.
    #[error("not a usage line")]
    NotOurs,
    /// A usage line of another version.
    #[error("a usage line of version {0}; this program reads version {USAGE_LINE_VERSION}")]
    Version(u32),
    /// A usage line of our version with a field missing or wrong.
    #[error("a broken usage line: {0}")]
    Broken(String),
}

/// The line's JSON; short names, because every byte is paid for twice (logs and stream).
#[derive(Serialize, Deserialize)]
struct Wire<'a> {
    ipgeo: u32,
    t: i64,
    v: &'a str,
    n: u64,
    r: &'a str,
    #[serde(borrow)]
    q: std::borrow::Cow<'a, str>,
    p: &'a str,
    #[serde(borrow)]
    c: Vec<WireCharge<'a>>,
}

#[derive(Serialize, Deserialize)]
struct WireCharge<'a> {
    i: &'a str,
    l: std::borrow::Cow<'a, str>,
}

#[derive(Deserialize)]
struct Version {
    ipgeo: u32,
}

impl UsageEvent {
    /// The line, without its line feed.
    pub fn to_line(&self) -> String {
        let wire = Wire {
            ipgeo: USAGE_LINE_VERSION,
            t: self.time.as_millisecond(),
            v: self.verdict.as_str(),
            n: self.cost,
            r: &self.region,
            q: self.request_id.as_str().into(),
            p: &self.tier,
            c: self
                .charges
                .iter()
                .map(|charge| WireCharge { i: charge.identity.as_str(), l: charge.limit.to_string().into() })
                .collect(),
        };
        serde_json::to_string(&wire).unwrap_or_default()
    }

    /// Reads a line back. The text comes from a log: it may be anything.
    pub fn parse(line: &str) -> Result<Self, LineError> {
        let line = line.trim();
        let wire: Wire<'_> = match serde_json::from_str(line) {
            Ok(wire) => wire,
            Err(error) => return Err(why_not(line, &error.to_string())),
        };
        if wire.ipgeo != USAGE_LINE_VERSION {
            return Err(LineError::Version(wire.ipgeo));
        }
        let charges = wire
            .c
            .iter()
            .map(|charge| Ok(Charge { identity: field(charge.i, "c.i")?, limit: field(&charge.l, "c.l")? }))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            time: Timestamp::from_millisecond(wire.t).map_err(|_| LineError::Broken("t".into()))?,
            verdict: field(wire.v, "v")?,
            cost: wire.n,
            region: wire.r.to_owned(),
            request_id: wire.q.into_owned(),
            tier: wire.p.to_owned(),
            charges,
        })
    }
}

fn field<T: FromStr<Err: std::fmt::Display>>(text: &str, name: &str) -> Result<T, LineError> {
    text.parse().map_err(|error| LineError::Broken(format!("{name}: {error}")))
}

/// A line that does not read as ours: of another version, broken, or not ours at all.
fn why_not(line: &str, error: &str) -> LineError {
    match serde_json::from_str::<Version>(line) {
        Ok(version) if version.ipgeo == USAGE_LINE_VERSION => LineError::Broken(error.to_owned()),
        Ok(version) => LineError::Version(version.ipgeo),
        Err(_) => LineError::NotOurs,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event() -> UsageEvent {
        UsageEvent {
            time: Timestamp::from_millisecond(1_795_522_627_042).expect("in range"),
            verdict: Verdict::Allowed,
            cost: 1,
            region: "eu-central-1".into(),
            request_id: "JKJaXmPLvHcESHA=".into(),
            tier: "anonymous".into(),
            charges: ["addr#00112233445566778899aabbccddeeff", "site#shop.example"]
                .map(|identity| Charge {
                    identity: identity.parse().expect("an identity"),
                    limit: "1500/day".parse().expect("a limit"),
                })
                .into(),
        }
    }

    #[test]
    fn the_line_is_what_the_filter_and_the_reader_expect() {
        assert_eq!(
            event().to_line(),
            r#"{"ipgeo":1,"t":1795522627042,"v":"allowed","n":1,"r":"eu-central-1","q":"JKJaXmPLvHcESHA=","p":"anonymous","c":[{"i":"addr#00112233445566778899aabbccddeeff","l":"1500/day"},{"i":"site#shop.example","l":"1500/day"}]}"#
        );
        assert_eq!(UsageEvent::parse(&event().to_line()), Ok(event()));
        assert_eq!(UsageEvent::parse(&format!("{}\n", event().to_line())), Ok(event()));
    }

    #[test]
    fn other_lines_are_told_apart() {
        let good = event().to_line();
        let broken = |why: &str| LineError::Broken(why.into());
        let table = [
            ("START RequestId: 1".to_owned(), LineError::NotOurs),
            (String::new(), LineError::NotOurs),
            ("[]".to_owned(), LineError::NotOurs),
            (r#"{"level":"WARN"}"#.to_owned(), LineError::NotOurs),
            (r#"{"ipgeo":"1"}"#.to_owned(), LineError::NotOurs),
            (r#"{"ipgeo":2,"whatever":true}"#.to_owned(), LineError::Version(2)),
            (good.replace("\"ipgeo\":1", "\"ipgeo\":7"), LineError::Version(7)),
            (good.replace("allowed", "maybe"), broken("v: `maybe` is not a verdict")),
            (good.replace("1795522627042", "9223372036854775807"), broken("t")),
            (
                good.replace("addr#", "user#"),
                broken("c.i: not an identity; identities start with `key#`, `addr#` or `site#`"),
            ),
        ];
        for (line, expected) in table {
            assert_eq!(UsageEvent::parse(&line), Err(expected), "{line}");
        }
        let cut = UsageEvent::parse(r#"{"ipgeo":1,"t":1}"#);
        assert!(matches!(cut, Err(LineError::Broken(_))), "{cut:?}");
    }

    proptest! {
        #[test]
        fn any_text_is_answered_without_panic(text: String) {
            prop_assert!(UsageEvent::parse(&text).is_err());
        }

        #[test]
        fn any_request_id_survives(request_id: String, cost: u64) {
            let event = UsageEvent { cost, request_id, ..event() };
            prop_assert_eq!(UsageEvent::parse(&event.to_line()), Ok(event));
        }
    }
}
