//! The usage line: one compact JSON object on standard output for every metered request. It starts with the version, and
//! never contains the event, a looked-up address, an API key or a caller's address in clear text.
//!
//! Every byte is paid for twice, in the log and in the stream: the values of nearly every request (allowed, one call) are
//! omitted, hashes are base64 instead of hex, and a charge is two strings of one flat list. Only refusals have what is needed
//! to explain them (request id, tier).

use std::borrow::Cow;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Identity, IdentityKind, Limit, Period, RegionName, Verdict, Window};

/// The version of the line. Readers skip lines of other versions, and count them.
pub const USAGE_LINE_VERSION: u32 = 1;

/// Maximum calls that one line may charge: the maximum number of addresses in a bulk request.
pub const COST_MAX: u64 = 100;
/// Maximum identities that one line may charge: an address and a site.
pub const CHARGES_MAX: usize = 2;
/// 2020-01-01 in Unix milliseconds: lines with an earlier time are rejected.
const TIME_MS_MIN: i64 = 1_577_836_800_000;
/// Maximum lead of an edge's clock over home's.
const CLOCK_AHEAD: SignedDuration = SignedDuration::from_mins(5);

/// One metered request, as in its usage line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageEvent {
    /// When the request was answered, to the millisecond.
    pub time: Timestamp,
    /// Allowed, or refused and why.
    pub verdict: Verdict,
    /// Calls to charge, at most [`COST_MAX`]: 0 for refusals and for errors, 1 for an API key that is malformed or unknown.
    pub cost: u64,
    /// The region that answered.
    pub region: RegionName,
    /// API Gateway's request id; empty except for refusals.
    pub request_id: String,
    /// The tier of the caller; empty except for refusals.
    pub tier: String,
    /// Who is charged `cost`, each in full: one API key, or an address and optionally a site. If the API key is malformed or
    /// unknown: the identity for refused API keys of the caller's address.
    pub charges: Vec<Charge>,
}

/// An identity that a request is charged to, and the limit that applied to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// Who is charged.
    pub identity: Identity,
    /// The limit that applied.
    pub limit: Limit,
}

/// Text that is not a usage line.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Not a JSON object with the member `ipgeo`: another line of the log.
    #[error("not a usage line")]
    NotOurs,
    /// A usage line of another version.
    #[error("a usage line of version {0}; this program reads version {USAGE_LINE_VERSION}")]
    Version(u32),
    /// A usage line of our version with a missing or invalid field.
    #[error("an invalid usage line: {0}")]
    Broken(String),
}

/// The line's JSON.
#[derive(Serialize, Deserialize)]
struct Wire<'a> {
    ipgeo: u32,
    t: i64,
    #[serde(default = "allowed", skip_serializing_if = "is_allowed")]
    v: &'a str,
    #[serde(default = "one", skip_serializing_if = "is_one")]
    n: u64,
    r: &'a str,
    #[serde(borrow, default, skip_serializing_if = "str::is_empty")]
    q: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    p: &'a str,
    /// Identity, limit, identity, limit.
    #[serde(borrow)]
    c: Vec<Text<'a>>,
}

/// A string of a list, borrowed from the line if it has no escapes. By itself, serde only borrows the strings of fields.
#[derive(Serialize, Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

fn allowed() -> &'static str {
    Verdict::Allowed.as_str()
}

fn is_allowed(verdict: &&str) -> bool {
    *verdict == allowed()
}

fn one() -> u64 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_one(calls: &u64) -> bool {
    *calls == 1
}

/// The first letter of packed identities of a kind.
fn letter(kind: IdentityKind) -> char {
    match kind {
        IdentityKind::Key => 'k',
        IdentityKind::Address => 'a',
        IdentityKind::Site => 's',
    }
}

/// Bytes of the hash or tag that names an identity of a kind; `None`: the name is text.
fn name_bytes(kind: IdentityKind) -> Option<usize> {
    match kind {
        IdentityKind::Key => Some(32),
        IdentityKind::Address => Some(16),
        IdentityKind::Site => None,
    }
}

/// An identity in fewer bytes: its kind's letter and its name, with hashes in base64. An identity with an unusual name, such as
/// the pooled anonymous callers, is written in full: only then does the text contain a `#`.
fn pack(identity: &Identity) -> String {
    let (kind, name) = (identity.kind(), identity.name());
    match name_bytes(kind) {
        None if name.contains('#') => identity.as_str().to_owned(),
        None => format!("{}{name}", letter(kind)),
        Some(bytes) => {
            let mut hash = [0; 32];
            let hash = &mut hash[..bytes];
            if name.bytes().any(|b| b.is_ascii_uppercase()) || hex::decode_to_slice(name, hash).is_err() {
                return identity.as_str().to_owned();
            }
            format!("{}{}", letter(kind), URL_SAFE_NO_PAD.encode(hash))
        }
    }
}

fn unpack(text: &str) -> Result<Identity, LineError> {
    let broken = || LineError::Broken(format!("c: `{}` is not an identity", text.escape_debug()));
    if text.contains('#') {
        return text.parse().map_err(|_| broken());
    }
    let kind = [IdentityKind::Key, IdentityKind::Address, IdentityKind::Site]
        .into_iter()
        .find(|kind| text.starts_with(letter(*kind)))
        .ok_or_else(broken)?;
    let name = &text[1..];
    match name_bytes(kind) {
        None => Identity::from_name(kind, name).map_err(|_| broken()),
        Some(bytes) => {
            // Longer than any hash, because the decoder needs room for its estimate of the length.
            let mut hash = [0; 48];
            match URL_SAFE_NO_PAD.decode_slice(name, &mut hash) {
                Ok(length) if length == bytes => Ok(Identity::from_hash(kind, &hash[..bytes])),
                _ => Err(broken()),
            }
        }
    }
}

/// A limit in fewer bytes: `1500d`, `100000m`.
fn pack_limit(limit: Limit) -> String {
    let window = match limit.window {
        Window::Day => 'd',
        Window::Month => 'm',
    };
    format!("{}{window}", limit.calls)
}

fn unpack_limit(text: &str) -> Result<Limit, LineError> {
    let broken = || LineError::Broken(format!("c: `{}` is not a limit", text.escape_debug()));
    let (calls, window) = match text.as_bytes().last() {
        Some(b'd') => (&text[..text.len() - 1], Window::Day),
        Some(b'm') => (&text[..text.len() - 1], Window::Month),
        _ => return Err(broken()),
    };
    if !calls.bytes().all(|b| b.is_ascii_digit()) {
        return Err(broken());
    }
    let calls = calls.parse().ok().filter(|calls| (1..=Limit::CALLS_MAX).contains(calls));
    Ok(Limit { calls: calls.ok_or_else(broken)?, window })
}

fn charge(identity: &str, limit: &str) -> Result<Charge, LineError> {
    Ok(Charge { identity: unpack(identity)?, limit: unpack_limit(limit)? })
}

#[derive(Deserialize)]
struct Version {
    ipgeo: u32,
}

impl UsageEvent {
    /// A text that is contained in exactly the lines that charge an identity: to search a log for them.
    pub fn mark(identity: &Identity) -> String {
        serde_json::Value::from(pack(identity)).to_string()
    }

    /// The line, without its line feed.
    pub fn to_line(&self) -> String {
        let refused = self.verdict != Verdict::Allowed;
        let wire = Wire {
            ipgeo: USAGE_LINE_VERSION,
            t: self.time.as_millisecond(),
            v: self.verdict.as_str(),
            n: self.cost,
            r: &self.region,
            q: if refused { self.request_id.as_str().into() } else { Cow::Borrowed("") },
            p: if refused { &self.tier } else { "" },
            c: self
                .charges
                .iter()
                .flat_map(|charge| [pack(&charge.identity), pack_limit(charge.limit)])
                .map(|text| Text(text.into()))
                .collect(),
        };
        serde_json::to_string(&wire).unwrap_or_default()
    }

    /// Whether this event is dated on a day after `now`: a clock was wrong, or the line is forged. Such an event
    /// would use up the limit of a future day.
    pub fn is_of_the_future(&self, now: Timestamp) -> bool {
        let now = now.saturating_add(CLOCK_AHEAD).unwrap_or(now);
        Period::new(Window::Day, self.time).start() > now
    }

    /// Parses a line of a log, which may be any text.
    pub fn parse(line: &str) -> Result<Self, LineError> {
        let line = line.trim();
        let wire: Wire<'_> = match serde_json::from_str(line) {
            Ok(wire) => wire,
            Err(error) => return Err(why_not(line, &error.to_string())),
        };
        if wire.ipgeo != USAGE_LINE_VERSION {
            return Err(LineError::Version(wire.ipgeo));
        }
        if wire.n > COST_MAX {
            return Err(LineError::Broken(format!("n: {} calls are more than {COST_MAX}", wire.n)));
        }
        let region = field(wire.r, "r")?;
        let (pairs, odd) = wire.c.as_chunks::<2>();
        if pairs.len() > CHARGES_MAX {
            return Err(LineError::Broken(format!("c: more than {CHARGES_MAX} identities")));
        }
        if !odd.is_empty() {
            return Err(LineError::Broken("c: an identity without a limit".into()));
        }
        let charges =
            pairs.iter().map(|[identity, limit]| charge(&identity.0, &limit.0)).collect::<Result<_, _>>()?;
        Ok(Self {
            time: time(wire.t)?,
            verdict: field(wire.v, "v")?,
            cost: wire.n,
            region,
            request_id: wire.q.into_owned(),
            tier: wire.p.to_owned(),
            charges,
        })
    }
}

fn time(ms: i64) -> Result<Timestamp, LineError> {
    let time = Timestamp::from_millisecond(ms).ok().filter(|_| ms >= TIME_MS_MIN);
    time.ok_or_else(|| LineError::Broken(format!("t: {ms} is out of range")))
}

fn field<T: FromStr<Err: std::fmt::Display>>(text: &str, name: &str) -> Result<T, LineError> {
    text.parse().map_err(|error| LineError::Broken(format!("{name}: {error}")))
}

/// Why a line could not be parsed: another version, an invalid field, or not a usage line.
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

    const ADDRESS: &str = "addr#00112233445566778899aabbccddeeff";
    const KEY: &str = "key#e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn charged(identity: &str, limit: &str) -> Charge {
        Charge { identity: identity.parse().expect("an identity"), limit: limit.parse().expect("a limit") }
    }

    /// An allowed call of one charge.
    fn event(charges: &[(&str, &str)]) -> UsageEvent {
        UsageEvent {
            time: Timestamp::from_millisecond(1_795_522_627_042).expect("in range"),
            verdict: Verdict::Allowed,
            cost: 1,
            region: RegionName::new("eu-central-1"),
            request_id: String::new(),
            tier: String::new(),
            charges: charges.iter().map(|(identity, limit)| charged(identity, limit)).collect(),
        }
    }

    fn refused() -> UsageEvent {
        UsageEvent {
            verdict: Verdict::OverQuota,
            cost: 0,
            request_id: "JKJaXmPLvHcESHA=".into(),
            tier: "anonymous".into(),
            ..event(&[(ADDRESS, "1500/day"), ("site#shop.example", "50000/day")])
        }
    }

    #[test]
    fn the_line_is_what_the_filter_and_the_reader_expect() {
        let table = [
            (
                event(&[(KEY, "100000/month")]),
                r#"{"ipgeo":1,"t":1795522627042,"r":"eu-central-1","c":["k47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU","100000m"]}"#,
            ),
            (
                event(&[("addr#*", "1500/day"), ("site#shop.example", "50000/day")]),
                r#"{"ipgeo":1,"t":1795522627042,"r":"eu-central-1","c":["addr#*","1500d","sshop.example","50000d"]}"#,
            ),
            (
                UsageEvent { cost: 0, ..event(&[(ADDRESS, "1500/day")]) },
                r#"{"ipgeo":1,"t":1795522627042,"n":0,"r":"eu-central-1","c":["aABEiM0RVZneImaq7zN3u_w","1500d"]}"#,
            ),
            (
                UsageEvent { cost: COST_MAX, ..event(&[("key#k", "10/day")]) },
                r#"{"ipgeo":1,"t":1795522627042,"n":100,"r":"eu-central-1","c":["key#k","10d"]}"#,
            ),
            (
                refused(),
                r#"{"ipgeo":1,"t":1795522627042,"v":"over_quota","n":0,"r":"eu-central-1","q":"JKJaXmPLvHcESHA=","p":"anonymous","c":["aABEiM0RVZneImaq7zN3u_w","1500d","sshop.example","50000d"]}"#,
            ),
        ];
        for (event, line) in table {
            assert_eq!(event.to_line(), line);
            for charge in &event.charges {
                let mark = UsageEvent::mark(&charge.identity);
                assert!(
                    [format!("[{mark},"), format!(",{mark},")].iter().any(|part| line.contains(part)),
                    "{line}"
                );
            }
            assert_eq!(UsageEvent::parse(line), Ok(event.clone()));
            assert_eq!(UsageEvent::parse(&format!("{line}\n")), Ok(event));
        }
    }

    #[test]
    fn the_line_of_an_allowed_call_has_only_what_counting_needs() {
        let told = UsageEvent { request_id: "r".into(), tier: "startup".into(), ..event(&[(KEY, "10/day")]) };
        assert_eq!(told.to_line(), event(&[(KEY, "10/day")]).to_line());
    }

    #[test]
    fn invalid_lines_are_rejected_with_a_reason() {
        let good = refused().to_line();
        let broken = |why: &str| LineError::Broken(why.into());
        let table = [
            ("START RequestId: 1".to_owned(), LineError::NotOurs),
            (String::new(), LineError::NotOurs),
            ("[]".to_owned(), LineError::NotOurs),
            (r#"{"level":"WARN"}"#.to_owned(), LineError::NotOurs),
            (r#"{"ipgeo":"1"}"#.to_owned(), LineError::NotOurs),
            (r#"{"ipgeo":2,"whatever":true}"#.to_owned(), LineError::Version(2)),
            (good.replace("\"ipgeo\":1", "\"ipgeo\":7"), LineError::Version(7)),
            (good.replace("over_quota", "maybe"), broken("v: `maybe` is not a verdict")),
            (
                good.replace("1795522627042", "9223372036854775807"),
                broken("t: 9223372036854775807 is out of range"),
            ),
            (
                // The year -9999, which jiff can hold.
                good.replace("1795522627042", "-377705023201000"),
                broken("t: -377705023201000 is out of range"),
            ),
            (good.replace("1795522627042", "1577836799999"), broken("t: 1577836799999 is out of range")),
            (good.replace("\"n\":0", "\"n\":101"), broken("n: 101 calls are more than 100")),
            (
                good.replace("\"n\":0", "\"n\":9223372036854775807"),
                broken("n: 9223372036854775807 calls are more than 100"),
            ),
            (good.replace("eu-central-1", ""), broken("r: `` is not a region")),
            (good.replace("eu-central-1", "EU-1"), broken("r: `EU-1` is not a region")),
            (good.replace("eu-central-1", "eu--central-1"), broken("r: `eu--central-1` is not a region")),
            (good.replace("eu-central-1", "r#eu-1"), broken("r: `r#eu-1` is not a region")),
            (good.replace("\"c\":[", "\"c\":[\"addr#*\",\"1500d\","), broken("c: more than 2 identities")),
            (good.replace("sshop", "user#"), broken("c: `user#.example` is not an identity")),
            (good.replace("sshop.example", "x"), broken("c: `x` is not an identity")),
            (good.replace("sshop.example", "é"), broken("c: `é` is not an identity")),
            (good.replace("zN3u_w", "zN3u"), broken("c: `aABEiM0RVZneImaq7zN3u` is not an identity")),
            (good.replace(",\"50000d\"", ""), broken("c: an identity without a limit")),
        ];
        for (line, expected) in table {
            assert_eq!(UsageEvent::parse(&line), Err(expected), "{line}");
        }
        for cut in
            [r#"{"ipgeo":1,"t":1}"#.to_owned(), good.replace("50000d", "50000"), good.replace("50000d", "é")]
        {
            assert!(matches!(UsageEvent::parse(&cut), Err(LineError::Broken(_))), "{cut}");
        }
    }

    #[test]
    fn well_formed_regions_and_times_up_to_today_are_accepted() {
        for region in ["eu-central-1", "ap-southeast-7", "us-gov-west-1", "eusc-de-east-1", "mx-central-1"] {
            let event = UsageEvent { region: RegionName::new(region), ..event(&[(KEY, "10/day")]) };
            assert_eq!(UsageEvent::parse(&event.to_line()), Ok(event));
        }
        let now: Timestamp = "2026-11-24T23:50:00Z".parse().expect("a timestamp");
        for (time, future) in [
            ("2020-01-01T00:00:00Z", false),
            ("2026-11-24T23:59:59.999Z", false),
            ("2026-11-25T00:00:00Z", true),
            ("2026-12-01T00:00:00Z", true),
            ("9999-12-30T00:00:00Z", true),
        ] {
            let event = UsageEvent { time: time.parse().expect("a timestamp"), ..event(&[(KEY, "10/day")]) };
            assert_eq!(event.is_of_the_future(now), future, "{time}");
        }
        // For an edge whose clock is ahead, midnight comes a little earlier.
        let midnight =
            UsageEvent { time: "2026-11-25T00:00:00Z".parse().expect("a timestamp"), ..event(&[]) };
        assert!(!midnight.is_of_the_future("2026-11-24T23:55:00Z".parse().expect("a timestamp")));
    }

    proptest! {
        #[test]
        fn any_text_is_answered_without_panic(text: String) {
            prop_assert!(UsageEvent::parse(&text).is_err());
        }

        #[test]
        fn any_charge_is_answered_without_panic(identity: String, limit: String) {
            let line = serde_json::json!({ "ipgeo": 1, "t": TIME_MS_MIN, "r": "eu-central-1", "c": [identity, limit] });
            let line = line.to_string();
            if let Ok(event) = UsageEvent::parse(&line) {
                prop_assert_eq!(UsageEvent::parse(&event.to_line()), Ok(event));
            }
        }

        #[test]
        fn any_request_id_of_a_refusal_survives(request_id: String, cost in 0..=COST_MAX) {
            let event = UsageEvent { cost, request_id, ..refused() };
            prop_assert_eq!(UsageEvent::parse(&event.to_line()), Ok(event));
        }

        #[test]
        fn any_identity_survives(hash: [u8; 32], tag: [u8; 16], host in "[a-z0-9.-]{1,60}", odd in "[!-~]{1,40}") {
            for identity in [
                format!("key#{}", hex::encode(hash)),
                format!("addr#{}", hex::encode(tag)),
                format!("site#{host}"),
                format!("key#{odd}"),
                format!("addr#{odd}"),
                format!("site#{odd}"),
            ] {
                let event = event(&[(&identity, "10/month")]);
                prop_assert_eq!(UsageEvent::parse(&event.to_line()), Ok(event));
            }
        }
    }
}
