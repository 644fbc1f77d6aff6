//! Bad requests by the thousand, through the very handler of the edges: there is always an answer and never a 5xx, and no
//! line that is logged shows an API key, the caller's address or the address that was asked for.
//!
//! `cargo test --release -p ipgeo-runtime --test hostile_requests -- --ignored --nocapture` sends more than a million.

mod support;

use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ipgeo_contract::ApiKey;
use ipgeo_runtime::lookup::{Answer, Event};
use jiff::{SignedDuration, Timestamp};
use support::edge::{Edge, api_key, key_record};

/// Addresses that stand nowhere else, so that finding them in a log means that they were put there.
const CALLERS: [&str; 3] = ["185.199.77.201", "2a09:bac1:76a0:4711::2222", "::ffff:185.199.77.202"];
const ASKED: [&str; 3] = ["91.198.174.192", "2a02:ec80:300:ed1a::1", "91.198.174.193"];
/// What of them must not be logged, in any form.
const MARKS: [&str; 6] = ["185.199.77", "2a09:bac1", "b9c7:4dc", "91.198.174", "2a02:ec80", "5bc6:aec"];

/// API keys there are: a source of bytes that gives larger ones alone has nothing that a character could be made of.
const KEYS_MAX: u8 = 247;

struct Dice(fastrand::Rng);

impl Dice {
    fn one_of<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.0.usize(0..of.len())]
    }

    /// Text of any letters, some of which mean something to somebody.
    fn junk(&mut self, most: usize) -> String {
        let length = self.0.usize(0..=most);
        let mut text = String::new();
        for _ in 0..length {
            match self.0.u8(0..8) {
                0 => text.push(self.0.char(..)),
                1 => {
                    text.push_str(self.one_of(&[
                        "%", "%2", "%00", "%ff", "%2f..", "\r\n", "\0", "\u{202e}", "'", "\"", "\\",
                    ]));
                }
                2 => text.push(char::from(self.0.u8(b'0'..=b'9'))),
                3 => text.push_str(
                    self.one_of(&["..", "/", "//", ":", "::", "[", "]", "?", "#", "&", "=", ",", ";"]),
                ),
                _ => text.push(self.0.alphanumeric()),
            }
        }
        text
    }

    fn asked(&mut self) -> String {
        match self.0.u8(0..8) {
            0..4 => self.one_of(&ASKED).to_owned(),
            4 => self
                .one_of(&[
                    "10.0.0.1",
                    "::1",
                    "0.0.0.0",
                    "08.8.8.8",
                    "1.2.3",
                    "::ffff:10.0.0.1",
                    "fe80::1%25eth0",
                ])
                .to_owned(),
            5 => format!("{}{}", self.one_of(&ASKED), self.junk(3)),
            6 => format!("{}.{}", self.0.u64(..), self.junk(4)),
            _ => self.junk(60),
        }
    }

    fn path(&mut self) -> String {
        match self.0.u8(0..12) {
            0..4 => format!("/{}", self.asked()),
            4 => {
                format!("/{}/{}", self.asked(), self.one_of(&["city", "asn", "carrier", "planet", "", "ip"]))
            }
            5 => format!("/AS{}", self.junk(14)),
            6 => "/bulk".to_owned(),
            7 => format!(
                "/{}",
                self.one_of(&["health", "openapi.json", "city", "HEALTH", "bulk/", "favicon.ico", ".env"])
            ),
            8 => "/".repeat(self.0.usize(0..300)),
            9 => format!("/{}", "9".repeat(self.0.usize(0..20_000))),
            _ => self.junk(80),
        }
    }

    fn query(&mut self, key: &str) -> String {
        match self.0.u8(0..6) {
            0 => format!("fields={}", self.junk(40)),
            1 => format!("fields={}", "city,".repeat(self.0.usize(0..2_000))),
            2 => format!("api-key={key}"),
            3 => self.junk(60),
            _ => String::new(),
        }
    }

    /// A text in an API key's place: sound and known, sound and unknown, changed, cut, too long, anything.
    fn key_text(&mut self) -> String {
        let known = api_key(1).expose().to_owned();
        match self.0.u8(0..7) {
            0 | 1 => known,
            2 => api_key(self.0.u8(2..=KEYS_MAX)).expose().to_owned(),
            3 => known.to_uppercase(),
            4 => known[..self.0.usize(0..known.len())].to_owned(),
            5 => known.repeat(self.0.usize(2..200)),
            _ => self.junk(60),
        }
    }

    fn body(&mut self) -> (Option<String>, bool) {
        let body = match self.0.u8(0..9) {
            0 => format!("[\"{}\"]", self.asked().escape_default()),
            1 => serde_json::to_string(&vec![self.asked(); self.0.usize(0..120)]).expect("JSON"),
            2 => "[".repeat(self.0.usize(0..70_000)),
            3 => format!("{}{}", "{\"a\":".repeat(500), "1"),
            4 => "x".repeat(self.0.usize(0..100_000)),
            5 => STANDARD.encode(format!("[\"{}\"]", self.one_of(&ASKED))),
            6 => "[null,1,{},[]]".to_owned(),
            7 => return (None, self.0.bool()),
            _ => self.junk(200),
        };
        (Some(body), self.0.u8(0..4) == 0)
    }

    fn event(&mut self) -> Event {
        let key = self.key_text();
        let mut event =
            Event { raw_path: self.path(), raw_query_string: self.query(&key), ..Event::default() };
        let http = &mut event.request_context.http;
        http.method = match self.0.u8(0..12) {
            _ if event.raw_path.starts_with("/bulk") && self.0.bool() => "POST".to_owned(),
            0 => self.one_of(&["POST", "OPTIONS", "TRACE", "get", ""]).to_owned(),
            1 => "HEAD".to_owned(),
            _ => "GET".to_owned(),
        };
        http.source_ip = match self.0.u8(0..20) {
            0 => self.junk(20),
            _ => self.one_of(&CALLERS).to_owned(),
        };
        event.request_context.request_id = self.junk(16);
        event.request_context.stage = self.one_of(&["", "$default", "v1", "/"]).into();
        for name in
            ["x-api-key", "authorization", "referer", "accept", "user-agent", "x-forwarded-for", "cookie"]
        {
            if self.0.u8(0..3) == 0 {
                let value = match (name, self.0.u8(0..3)) {
                    ("x-api-key", 0 | 1) => key.clone(),
                    ("authorization", 0 | 1) => {
                        format!("{} {key}", self.one_of(&["Bearer", "bearer", "Basic", ""]))
                    }
                    ("referer", 0) => {
                        format!("https://{}.example/?ip={}&key={key}", self.0.u8(..), self.one_of(&ASKED))
                    }
                    ("x-forwarded-for" | "user-agent" | "cookie", 0) => {
                        format!("{} {key}", self.one_of(&CALLERS))
                    }
                    ("user-agent", 1) => "ipdata-rust/1".to_owned(),
                    ("accept", 0) => "text/plain".to_owned(),
                    _ => self.junk(60),
                };
                event.headers.insert(name.into(), value);
            }
        }
        (event.body, event.is_base64_encoded) = self.body();
        event
    }

    /// The JSON of an event with a few bytes changed, cut or put in.
    fn damaged(&mut self, event: &Event) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(event).expect("JSON");
        for _ in 0..self.0.usize(1..5) {
            let at = self.0.usize(0..bytes.len());
            match self.0.u8(0..4) {
                0 => bytes[at] = self.0.u8(..),
                1 if bytes.len() > 1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, b"{}[]\",:0\\\xff"[self.0.usize(0..10)]),
                _ => bytes.truncate(at + 1),
            }
        }
        bytes
    }
}

/// Every API key that a request may have carried whole.
fn whole_keys() -> Vec<ApiKey> {
    (1..=KEYS_MAX).map(api_key).collect()
}

fn check_answer(answer: &Answer, event: &Event) {
    assert!((200..500).contains(&answer.status_code), "{answer:?} for {event:?}");
    for (name, value) in &answer.headers {
        assert!(!value.contains(|c: char| c.is_control()), "{name}: {value:?} for {event:?}");
        assert!(!value.contains("ipg_"), "{name}: {value:?} for {event:?}");
    }
    let is_json = answer.headers.get("content-type").is_some_and(|kind| kind.contains("json"));
    if is_json && !answer.body.is_empty() {
        let read: Result<serde_json::Value, _> = serde_json::from_str(&answer.body);
        assert!(read.is_ok(), "{} for {event:?}", answer.body);
    }
}

fn check_log(lines: &[String], keys: &[ApiKey]) {
    for line in lines {
        for mark in MARKS {
            assert!(!line.contains(mark), "an address is logged: {line}");
        }
        // All begin alike: looking at each is only needed where one could stand.
        if line.contains("ipg_") {
            assert!(!keys.iter().any(|key| line.contains(key.expose())), "an API key is logged: {line}");
        }
    }
}

#[derive(Debug, Default)]
struct Sent {
    statuses: std::collections::BTreeMap<u16, u64>,
    lines: u64,
}

fn send(count: u64, seed: u64) -> Sent {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let edge = Edge::new("eu-central-1");
    edge.knows(&api_key(1), key_record(&api_key(1), "100/day"));
    let (mut dice, keys, mut sent) = (Dice(fastrand::Rng::with_seed(seed)), whole_keys(), Sent::default());
    let begin: Timestamp = "2026-11-24T00:00:00Z".parse().expect("a timestamp");
    for number in 0..count {
        // A day passes in the course of the run, so that quotas are used up and made anew.
        let now = begin + SignedDuration::from_millis(i64::try_from(number * 100).expect("a time"));
        let event = dice.event();
        let answer = if dice.0.u8(0..5) == 0 {
            let damaged = dice.damaged(&event);
            runtime.block_on(edge.lookup.handle_json(&damaged, now))
        } else {
            runtime.block_on(edge.lookup.handle(&event, now))
        };
        check_answer(&answer, &event);
        *sent.statuses.entry(answer.status_code).or_default() += 1;
        let lines: Vec<String> = edge.log.lines.lock().expect("unpoisoned").drain(..).collect();
        check_log(&lines, &keys);
        check_log(&edge.log.warnings.lock().expect("unpoisoned").drain(..).collect::<Vec<_>>(), &keys);
        sent.lines += lines.len() as u64;
    }
    sent
}

#[test]
fn bad_requests_are_answered_and_leave_nothing_in_the_log() {
    let sent = send(20_000, 1);
    for status in [200, 204, 400, 401, 404, 405, 413, 429] {
        assert!(sent.statuses.contains_key(&status), "{status} never happened: {sent:?}");
    }
    assert!(sent.lines > 1_000, "{sent:?}");
}

#[test]
#[ignore = "more than a million requests: minutes"]
#[expect(clippy::print_stderr, reason = "the figures of the run are its result")]
fn a_million_bad_requests_are_answered_and_leave_nothing_in_the_log() {
    let began = Instant::now();
    let sent = send(1_200_000, 2);
    eprintln!("{sent:?} in {:.0} s", began.elapsed().as_secs_f64());
}

#[test]
fn refusals_of_malformed_and_of_unknown_api_keys_are_the_same_to_the_byte() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let edge = Edge::new("eu-central-1");
    let now: Timestamp = "2026-11-24T00:00:00Z".parse().expect("a timestamp");
    let unknown = api_key(2).expose().to_owned();
    let mut last_changed = unknown.clone();
    last_changed.pop();
    last_changed.push('!');
    let texts =
        [unknown.clone(), last_changed, unknown.to_uppercase(), unknown[..9].to_owned(), "x".repeat(9_000)];
    let mut answers = Vec::new();
    for text in &texts {
        for (name, value) in [("x-api-key", text.clone()), ("authorization", format!("Bearer {text}"))] {
            let mut event = Event { raw_path: "/9.9.9.9".into(), ..Event::default() };
            event.request_context.http.method = "GET".into();
            event.request_context.http.source_ip = CALLERS[0].into();
            event.headers.insert(name.into(), value);
            answers.push(runtime.block_on(edge.lookup.handle(&event, now)));
        }
    }
    assert_eq!(answers[0].status_code, 401);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
}
