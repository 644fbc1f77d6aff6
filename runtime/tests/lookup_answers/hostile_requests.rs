//! Thousands of bad requests to the handler of the edges: each is answered, never with a 5xx, and no logged line contains an
//! API key, the caller's address or the requested address.
//!
//! `cargo test --release -p ipgeo-runtime --test runtime hostile_requests -- --ignored --nocapture` sends more than a million.

use std::time::Instant;

use crate::support::edge::{Edge, key_record};
use crate::support::hostile::{CALLERS, Dice, api_key, check_log, whole_keys};
use ipgeo_runtime::lookup::{Answer, Event};
use jiff::{SignedDuration, Timestamp};

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
        // A day passes during the run, so quotas are used up and reset.
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
        check_log(lines.iter().map(String::as_str), &keys);
        let warnings: Vec<String> = edge.log.warnings.lock().expect("unpoisoned").drain(..).collect();
        check_log(warnings.iter().map(String::as_str), &keys);
        sent.lines += lines.len() as u64;
    }
    sent
}

#[test]
fn bad_requests_are_answered_and_leave_nothing_in_the_log() {
    let sent = send(20_000, 1);
    for status in [200, 204, 400, 401, 404, 405, 413, 415, 429] {
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
