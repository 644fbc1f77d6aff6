//! Counting exactly once: whatever the stream and the store do, the ledger equals the events.

use crate::support::ledger::{counted, publications_are_right, without_watermarks};
use crate::support::{Fault, MemoryStore, deliver, event, memory_handler, now, record};
use ipgeo_contract::{Identity, IdentityKind, UsageEvent, Verdict};
use ipgeo_runtime::store::Alert;
use ipgeo_runtime::usage::{BatchResponse, KinesisEvent, KinesisRecord, UsageHandler};
use proptest::prelude::*;

const SHARDS: [&str; 2] = ["shardId-000000000000", "shardId-000000000001"];
const IDENTITIES: [(&str, &str); 5] = [
    ("site#a.test", "40/day"),
    ("site#b.test", "30/month"),
    ("key#0a", "60/month"),
    ("key#0b", "7/day"),
    ("addr#*", "5/day"),
];
const TIMES: [&str; 4] =
    ["2026-11-29T10:00:00Z", "2026-11-30T23:59:59.999Z", "2026-12-01T00:00:00Z", "2026-12-01T12:00:00Z"];

fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

fn any_event() -> impl Strategy<Value = UsageEvent> {
    (0..IDENTITIES.len(), 0..TIMES.len(), 0_u64..3, any::<bool>(), 0..2_usize).prop_map(
        |(who, when, cost, allowed, region)| {
            let (identity, limit) = IDENTITIES[who];
            let mut event = event(TIMES[when], identity, limit);
            event.cost = if allowed { cost } else { 0 };
            event.verdict = if allowed { Verdict::Allowed } else { Verdict::OverQuota };
            event.region = ipgeo_contract::RegionName::new(["us-east-1", "eu-central-1"][region]);
            event
        },
    )
}

/// Records of two shards, and their deliveries: with any bounds, restarted at older ones, repeated, shuffled.
#[derive(Clone, Debug)]
struct Run {
    records: Vec<Vec<UsageEvent>>,
    cuts: Vec<(usize, usize, bool)>,
    faults: Vec<(usize, bool)>,
}

fn any_run() -> impl Strategy<Value = Run> {
    let records = prop::collection::vec(prop::collection::vec(any_event(), 0..6), 1..12);
    let cuts = prop::collection::vec((1_usize..6, 0_usize..8, any::<bool>()), 1..12);
    let faults = prop::collection::vec((0_usize..60, any::<bool>()), 0..12);
    (records, cuts, faults).prop_map(|(records, cuts, faults)| Run { records, cuts, faults })
}

impl Run {
    /// The records of one shard, in order.
    fn shard(&self, shard: usize) -> Vec<KinesisRecord> {
        self.records
            .iter()
            .enumerate()
            .filter(|(index, _)| index % 2 == shard)
            .map(|(index, events)| record(SHARDS[shard], 100 + index as u64, events))
            .collect()
    }

    fn deliveries(&self, shard: usize) -> Vec<Vec<KinesisRecord>> {
        let records = self.shard(shard);
        let (mut deliveries, mut done) = (Vec::new(), 0);
        let mut cuts = self.cuts.iter().cycle();
        while done < records.len() {
            let (length, back, again) = *cuts.next().expect("a cycle");
            let end = (done + length).min(records.len());
            let mut batch = records[done.saturating_sub(back)..end].to_vec();
            batch.reverse();
            deliveries.push(batch);
            if again {
                deliveries.push(records[..end.min(done + 1)].to_vec());
            }
            done = end;
        }
        deliveries
    }
}

proptest! {
    #[test]
    fn the_ledger_equals_the_events(run_of in any_run()) {
        let (store, handler) = memory_handler();
        for (at, applied) in &run_of.faults {
            let fault = if *applied { Fault::AppliedThenLost } else { Fault::Refused };
            store.faults.lock().unwrap().insert(*at, fault);
        }
        let (first, second) = (run_of.deliveries(0), run_of.deliveries(1));
        run(async {
            for turn in 0..first.len().max(second.len()) {
                for deliveries in [&first, &second] {
                    if let Some(batch) = deliveries.get(turn) {
                        deliver(&handler, batch.clone(), 40).await;
                    }
                }
            }
        });
        let ledger = without_watermarks(store.ledger.lock().unwrap().clone());
        let ledger = ledger.map_err(TestCaseError::fail)?;
        prop_assert_eq!(&ledger, &counted(run_of.records.iter().flatten()));

        // Published usage never decreases within a period, and ends at the step of the ledger's count.
        let published = store.published.lock().unwrap();
        for (identity, limit) in IDENTITIES {
            let identity: Identity = identity.parse().expect("an identity");
            let history = published.get(&identity).map(Vec::as_slice).unwrap_or_default();
            let limit = limit.parse().expect("a limit");
            publications_are_right(&ledger, &identity, limit, history).map_err(TestCaseError::fail)?;
        }
    }
}

#[test]
fn a_publication_lost_in_a_crash_is_repeated_on_redelivery() {
    let (store, handler) = memory_handler();
    let batch = vec![record(SHARDS[0], 1, &vec![event(TIMES[0], "key#0a", "4/month"); 4])];
    // Write 0 goes to the ledger, write 1 is the publication.
    store.faults.lock().unwrap().insert(1, Fault::Refused);
    run(async {
        let (response, _) = handler.handle(&KinesisEvent { records: batch.clone() }, now()).await;
        assert_eq!(response.batch_item_failures[0].item_identifier, "1");
        assert!(store.published.lock().unwrap().is_empty());
        deliver(&handler, batch, 1).await;
    });
    let identity: Identity = "key#0a".parse().unwrap();
    assert_eq!(store.published.lock().unwrap()[&identity].last().map(|p| p.used), Some(4));
    let ledger = store.ledger.lock().unwrap();
    assert_eq!(ledger.values().map(|item| item.charged).collect::<Vec<_>>(), [4]);
}

#[test]
fn a_publication_lost_in_a_crash_is_repeated_on_redelivery_with_later_events() {
    let (store, handler) = memory_handler();
    let calls =
        |sequence, count| record(SHARDS[0], sequence, &vec![event(TIMES[0], "key#0a", "1000/month"); count]);
    // Ten calls cross one percent and are in the ledger when the publication fails; the next one crosses nothing.
    let (crossing, after) = (calls(1, 10), calls(2, 1));
    store.faults.lock().unwrap().insert(1, Fault::Refused);
    run(async {
        handler.handle(&KinesisEvent { records: vec![crossing.clone()] }, now()).await;
        assert!(store.published.lock().unwrap().is_empty());
        deliver(&handler, vec![crossing, after], 1).await;
    });
    let identity: Identity = "key#0a".parse().unwrap();
    assert_eq!(store.published.lock().unwrap()[&identity].last().map(|p| p.used), Some(11));
}

/// An edge adds its own calls after a publication to it, so an earlier date would count some twice.
#[test]
fn usage_is_published_as_of_its_newest_call_although_a_slow_region_is_counted_later() {
    let (store, handler) = memory_handler();
    run(async {
        for (sequence, time) in [(1, TIMES[3]), (2, TIMES[2])] {
            deliver(&handler, vec![record(SHARDS[0], sequence, &[event(time, "key#0a", "4/month")])], 1)
                .await;
        }
    });
    let identity: Identity = "key#0a".parse().unwrap();
    let published = store.published.lock().unwrap();
    let published: Vec<_> = published[&identity].iter().map(|p| (p.used, p.as_of.to_string())).collect();
    assert_eq!(published, [(1, TIMES[3].to_owned()), (2, TIMES[3].to_owned())]);
}

#[test]
fn redelivery_starts_at_the_lowest_failure() {
    let (store, handler) = memory_handler();
    let events = |who: &str| vec![event(TIMES[0], who, "100/month")];
    let batch = vec![
        record(SHARDS[0], 10, &events("site#b.test")),
        record(SHARDS[0], 11, &events("site#a.test")),
        record(SHARDS[0], 12, &events("site#a.test")),
    ];
    // Items are written in the order of their identities, one after another on one thread: a, then b.
    store.faults.lock().unwrap().insert(0, Fault::Refused);
    let (response, report) = run(handler.handle(&KinesisEvent { records: batch }, now()));
    let json = serde_json::to_string(&response).expect("json");
    assert_eq!(json, r#"{"batchItemFailures":[{"itemIdentifier":"11"}]}"#);
    assert_eq!((report.records, report.events, report.added), (3, 3, 1));
    assert_eq!(report.failures, ["site item: write failed: made to fail"]);
}

#[test]
fn a_report_has_what_was_skipped_how_far_it_counted_and_the_first_failures() {
    let (store, handler) = memory_handler();
    // Writes fail from the second record on: one identity each.
    store.faults.lock().unwrap().extend((2..6).map(|at| (at, Fault::Refused)));
    let records = (1..6).map(|n| record(SHARDS[0], n, &[event(TIMES[0], &format!("key#{n}"), "10/day")]));
    let junk = KinesisRecord::new(SHARDS[0], "9", b"junk");
    let (_, report) = run(handler.handle(&KinesisEvent { records: records.chain([junk]).collect() }, now()));
    assert_eq!((report.records, report.skipped.unreadable()), (5, 1));
    assert_eq!(report.failures.len(), 3, "{:?}", report.failures);
    let sequences: Vec<&str> = report.newest.iter().map(|one| one.sequence.trim_start_matches('0')).collect();
    assert_eq!(sequences, ["1"]);
}

#[test]
fn repeated_lines_under_another_sequence_number_count_once() {
    let (store, handler) = memory_handler();
    let first = record(SHARDS[0], 5, &[event(TIMES[0], "key#0a", "60/month")]);
    let mut again = first.clone();
    again.event_id = format!("{}:9", SHARDS[0]);
    "9".clone_into(&mut again.kinesis.sequence_number);
    run(async {
        deliver(&handler, vec![first.clone()], 1).await;
        let (response, report) = handler.handle(&KinesisEvent { records: vec![first, again] }, now()).await;
        assert_eq!(response, BatchResponse::default());
        assert_eq!((report.records, report.repeated_events, report.added, report.known), (2, 1, 0, 1));
    });
    assert_eq!(store.ledger.lock().unwrap().values().map(|item| item.charged).sum::<u64>(), 1);
}

#[test]
fn an_anonymous_call_is_charged_to_its_address_and_its_site() {
    let (store, handler) = memory_handler();
    let mut both = event(TIMES[0], "addr#00ff", "5/day");
    both.charges.extend(event(TIMES[0], "site#a.test", "10/day").charges);
    run(deliver(&handler, vec![record(SHARDS[0], 1, &vec![both; 4])], 1));
    let ledger = store.ledger.lock().unwrap();
    let charged: Vec<_> = ledger.iter().map(|((id, _), item)| (id.kind(), item.charged)).collect();
    assert_eq!(charged, [(IdentityKind::Address, 4), (IdentityKind::Site, 4)]);
    // 4 of 5 is the 80 % step; 4 of 10 is below it and stays unpublished.
    let published = store.published.lock().unwrap();
    assert_eq!(published.keys().map(|id| id.kind()).collect::<Vec<_>>(), [IdentityKind::Address]);
}

fn told_of(alert: &Alert) -> String {
    format!("{} of {} at {}", alert.percent, alert.limit, alert.used)
}

/// A handler whose store returns the current limit of an API key's record.
fn after_a_change(
    limit: &str,
) -> (&'static MemoryStore, UsageHandler<&'static MemoryStore, &'static MemoryStore>) {
    let (store, handler) = memory_handler();
    *store.limit.lock().expect("unpoisoned") = Some(limit.parse().expect("a limit"));
    (store, handler.with_alerts("80,100".parse().expect("thresholds")))
}

#[test]
fn a_call_beyond_a_lowered_limit_is_published_without_crossing_a_step() {
    // (identity, the limit of 60 calls, the lowered limit of the next call, the publication)
    let table = [
        ("key#0a", "100000/month", "50/month", Some(61)),
        ("key#0a", "100000/month", "50/day", Some(61)),
        ("key#0a", "100000/month", "70/month", Some(61)),
        ("key#0a", "100000/month", "100000/month", None),
        ("addr#00ff", "1500/day", "50/day", Some(61)),
        ("site#a.test", "50000/day", "50/month", Some(61)),
        ("site#a.test", "50000/day", "500/month", None),
        ("addr#*", "1500/day", "50/day", None),
    ];
    for (who, old, new, expected) in table {
        let (store, handler) = memory_handler();
        run(async {
            deliver(&handler, vec![record(SHARDS[0], 1, &vec![event(TIMES[0], who, old); 60])], 1).await;
            assert!(store.published.lock().unwrap().is_empty(), "{who} {old}");
            deliver(&handler, vec![record(SHARDS[0], 2, &[event(TIMES[0], who, new)])], 1).await;
        });
        let published = store.published.lock().unwrap();
        let last = published.get(&who.parse().expect("an identity")).and_then(|history| history.last());
        assert_eq!(last.map(|published| published.used), expected, "{who} {old} {new}");
    }
}

#[test]
fn a_refusal_by_a_lowered_limit_alerts_once_for_the_current_limit() {
    let (store, handler) = after_a_change("50/month");
    let mut refused = event(TIMES[0], "key#0a", "50/month");
    (refused.verdict, refused.cost) = (Verdict::OverQuota, 0);
    run(async {
        deliver(
            &handler,
            vec![record(SHARDS[0], 1, &vec![event(TIMES[0], "key#0a", "100000/month"); 60])],
            1,
        )
        .await;
        for sequence in 2..5 {
            let batch = vec![record(SHARDS[0], sequence, std::slice::from_ref(&refused))];
            handler.handle(&KinesisEvent { records: batch }, now()).await;
        }
    });
    let told: Vec<_> = store.alerts.lock().unwrap().iter().map(told_of).collect();
    assert_eq!(told, ["80 of 50/month at 60", "100 of 50/month at 60"]);
}

#[test]
fn a_raised_limit_alerts_again_but_late_calls_by_the_old_one_do_not() {
    let (store, handler) = after_a_change("50/month");
    let calls = |sequence, count, limit: &str| {
        vec![record(SHARDS[0], sequence, &vec![event(TIMES[0], "key#0a", limit); count])]
    };
    run(async {
        deliver(&handler, calls(1, 45, "50/month"), 1).await;
        *store.limit.lock().unwrap() = Some("100/month".parse().expect("a limit"));
        // These were admitted before the limit was raised, and are counted afterwards.
        deliver(&handler, calls(2, 10, "50/month"), 1).await;
        deliver(&handler, calls(3, 40, "100/month"), 1).await;
    });
    let told: Vec<_> = store.alerts.lock().unwrap().iter().map(told_of).collect();
    assert_eq!(told, ["80 of 50/month at 45", "80 of 100/month at 95"]);
}

#[test]
fn late_calls_by_another_window_are_published_in_the_current_window() {
    let (store, handler) = after_a_change("50/day");
    // 40 calls of an earlier day, 10 of this one.
    run(async {
        let month = |time| event(time, "key#0a", "50/month");
        deliver(&handler, vec![record(SHARDS[0], 1, &vec![month("2026-11-28T10:00:00Z"); 40])], 1).await;
        deliver(&handler, vec![record(SHARDS[0], 2, &vec![month(TIMES[0]); 10])], 1).await;
    });
    let published = store.published.lock().unwrap();
    let last = published[&"key#0a".parse().unwrap()].last().copied().expect("a publication");
    assert_eq!((last.period.to_string(), last.used), ("2026-11-29".to_owned(), 10));
}

#[test]
fn a_refused_api_key_is_counted_by_its_verdict_at_its_address() {
    let (store, handler) = memory_handler();
    let mut refused = event(TIMES[0], "addr#00ff", "5/day");
    refused.verdict = Verdict::UnknownKey;
    run(deliver(&handler, vec![record(SHARDS[0], 1, &vec![refused; 5])], 1));
    let ledger = store.ledger.lock().unwrap();
    let item = ledger.values().next().expect("an item");
    assert_eq!((item.charged, item.verdicts.get(&Verdict::UnknownKey)), (5, Some(&5)));
    assert_eq!(store.published.lock().unwrap().values().flatten().last().map(|p| p.used), Some(5));
}
