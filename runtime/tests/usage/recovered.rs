//! Records that Lambda gives up are counted exactly once by a recovery, against a real DynamoDB API: whatever part was counted
//! before, however often and whenever the recovery stops, and while the counter continues.

use std::collections::BTreeMap;
use std::time::Duration;

use super::notes::cut;
use crate::support::{Tables, event, record};
use ipgeo_contract::UsageEvent;
use ipgeo_runtime::dynamo::{LedgerTable, RecoveringLedger};
use ipgeo_runtime::store::LedgerWrite as _;
use ipgeo_runtime::usage::{Decoded, KinesisEvent, KinesisRecord, Report, UsageHandler, decode};
use jiff::{SignedDuration, Timestamp};

const SHARD: &str = "shardId-000000000000";
const RUNS: u64 = 25;
const SITES: [&str; 3] = ["site#a.test", "site#b.test", "key#0a"];

fn at(text: &str) -> Timestamp {
    text.parse().expect("a timestamp")
}

/// Counts records that were given up, one by one.
async fn recover(tables: &Tables, failed: &[KinesisRecord], now: Timestamp, preview: bool) -> Report {
    let ledger = RecoveringLedger::new(tables.ledger.clone(), now, preview);
    let counter = UsageHandler::new(ledger, tables.access.clone());
    let mut all = Report::default();
    for record in decode(&KinesisEvent { records: failed.to_vec() }, now).records {
        let (response, report) =
            counter.count(Decoded { records: vec![record], ..Decoded::default() }, now).await;
        assert!(response.batch_item_failures.is_empty(), "{:?}", report.failures);
        all.added += report.added;
        all.known += report.known;
    }
    all
}

async fn counts(ledger: &LedgerTable) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for item in ledger.everything().await.expect("a read") {
        *counts.entry(item.identity.to_string()).or_default() += item.charged;
        assert_eq!(item.charged, item.days.values().sum::<u64>());
        assert_eq!(item.charged, item.regions.values().sum::<u64>());
    }
    counts
}

/// A newly started counter, without memory.
async fn count(tables: &Tables, records: &[KinesisRecord], now: Timestamp, whole: bool) {
    let counter = UsageHandler::new(tables.own_ledger.clone(), tables.own_access.clone());
    let (response, report) = counter.handle(&KinesisEvent { records: records.to_vec() }, now).await;
    assert!(response.batch_item_failures.is_empty(), "{:?}", report.failures);
    if whole {
        counter.note(&report, now).await.expect("noted");
    }
}

/// A history: counted batches, batches that are partly counted before Lambda gives them up a day later, and recoveries, some
/// of them killed.
async fn run(seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let tables = Tables::serve().await;
    let mut now = at("2026-11-25T00:00:00Z");
    let (mut sequence, mut failed, mut expected) = (100, Vec::new(), BTreeMap::new());
    for _batch in 0..rng.usize(2..9) {
        now += SignedDuration::from_mins(rng.i64(1..300));
        let mut batch: Vec<(u64, Vec<UsageEvent>)> = Vec::new();
        for _record in 0..rng.usize(1..4) {
            sequence += 1;
            let calls = (0..rng.usize(1..5)).map(|_| {
                let site = SITES[rng.usize(0..SITES.len())];
                *expected.entry(site.to_owned()).or_default() += 1;
                event(&now.to_string(), site, "1000/day")
            });
            batch.push((sequence, calls.collect()));
        }
        let records: Vec<_> =
            batch.iter().map(|(sequence, events)| record(SHARD, *sequence, events)).collect();
        if rng.u8(0..3) > 0 {
            if rng.bool() {
                tokio::join!(count(&tables, &records, now, true), recover(&tables, &failed, now, false));
            } else {
                count(&tables, &records, now, true).await;
            }
            continue;
        }
        // The writes of some identities succeed, up to a record.
        let lucky: Vec<&str> = SITES.into_iter().filter(|_| rng.bool()).collect();
        let part = batch[..rng.usize(0..=batch.len())].iter().map(|(sequence, events)| {
            let of = |event: &&UsageEvent| lucky.contains(&event.charges[0].identity.as_str());
            record(SHARD, *sequence, &events.iter().filter(of).cloned().collect::<Vec<_>>())
        });
        count(&tables, &part.collect::<Vec<_>>(), now, false).await;
        now += SignedDuration::from_hours(24);
        failed.extend(records);
        if rng.bool() {
            let patience = Duration::from_micros(rng.u64(0..12_000));
            let _killed = tokio::time::timeout(patience, recover(&tables, &failed, now, false)).await;
        }
    }
    // Events that are already recovered are known.
    for record in &failed {
        recover(&tables, std::slice::from_ref(record), now, false).await;
    }
    assert_eq!(counts(&tables.ledger).await, expected, "run {seed}");
    let again = recover(&tables, &failed, now, false).await;
    assert_eq!(again.added, 0, "run {seed}");
    assert_eq!(counts(&tables.ledger).await, expected, "run {seed}");
}

#[tokio::test]
async fn records_that_lambda_gave_up_are_counted_once() {
    for seed in 0..RUNS {
        run(seed).await;
    }
}

#[tokio::test]
async fn a_part_that_was_counted_before_is_not_counted_again() {
    let tables = Tables::serve().await;
    let calls = |sequence, site: &str, day: &str, count| {
        record(SHARD, sequence, &vec![event(&format!("2026-11-{day}T12:00:00Z"), site, "10/day"); count])
    };
    let (first, second) = (at("2026-11-24T12:05:00Z"), at("2026-11-25T12:05:00Z"));
    let [a, b, c] = SITES;
    count(&tables, &[calls(1, a, "24", 1), calls(2, b, "24", 1)], first, true).await;
    // Of the records given up, a was counted, b and c were not. Then a and b have further calls, c has none.
    let lost = [calls(3, a, "24", 2), calls(4, b, "24", 4), calls(5, c, "24", 9)];
    count(&tables, &lost[..1], first, false).await;
    count(&tables, &[calls(6, a, "25", 1), calls(7, b, "25", 1)], second, true).await;
    let note = tables.ledger.shard_note(SHARD).await.expect("a read").expect("a note");
    assert_eq!(note.gaps.len(), 2, "{note:?}");

    let preview = recover(&tables, &lost, second, true).await;
    assert_eq!((preview.added, preview.known), (13, 2));
    let nothing: BTreeMap<String, u64> = [(a.to_owned(), 4), (b.to_owned(), 2)].into();
    assert_eq!(counts(&tables.ledger).await, nothing);
    let done = recover(&tables, &lost, second, false).await;
    assert_eq!((done.added, done.known), (13, 2));
    let all: BTreeMap<String, u64> = [(a.to_owned(), 4), (b.to_owned(), 6), (c.to_owned(), 9)].into();
    assert_eq!(counts(&tables.ledger).await, all);
    // A counter that receives them after all, or a replay, adds nothing.
    count(&tables, &lost, second, false).await;
    assert_eq!(counts(&tables.ledger).await, all);
}

#[tokio::test]
async fn a_line_given_up_that_is_in_the_stream_twice_counts_once() {
    let tables = Tables::serve().await;
    let (first, later) = (at("2026-11-24T12:05:00Z"), at("2026-11-25T12:05:00Z"));
    let all = |calls: u64| -> BTreeMap<String, u64> { [("site#a.test".to_owned(), calls)].into() };
    count(&tables, &[cut(1, 0..10)], first, true).await;
    // Given up: five lines of 1 again and two new ones, then three that are new, too.
    let lost = [cut(2, 5..12), cut(3, 12..15)];
    // A day later, another environment counts those three again, and a new one.
    count(&tables, &[cut(4, 12..16)], later, true).await;
    assert_eq!(counts(&tables.ledger).await, all(14));
    // A replay can't count what was given up, because 4 has passed it, and does not save it as counted.
    let replay = UsageHandler::new(tables.own_ledger.clone(), tables.own_access.clone()).counting_again();
    let records = [cut(1, 0..10), cut(2, 5..12), cut(3, 12..15), cut(4, 12..16), cut(5, 16..17)].to_vec();
    let (response, report) = replay.handle(&KinesisEvent { records }, later).await;
    assert!(response.batch_item_failures.is_empty(), "{:?}", report.failures);
    replay.note(&report, later).await.expect("noted");
    assert_eq!(counts(&tables.ledger).await, all(15));
    assert_eq!(recover(&tables, &lost, later, true).await.added, 2);
    recover(&tables, &lost, later, false).await;
    assert_eq!(counts(&tables.ledger).await, all(17));
}
