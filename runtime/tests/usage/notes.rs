//! Rows of the ledger besides counts, against a real DynamoDB API: alerts, counting progress, and replaced items.

use crate::support::{NOW, Tables, event, record};
use aws_sdk_dynamodb::types::AttributeValue;
use ipgeo_contract::{Identity, KeyRecord, Month, RegionName, Thresholds, UsageEvent};
use ipgeo_runtime::dynamo::{LedgerTable, Replaced};
use ipgeo_runtime::store::{LedgerWrite as _, Newest, StoreError};
use ipgeo_runtime::tables::{self, Calls};
use ipgeo_runtime::usage::{AlertMessage, KinesisEvent, KinesisRecord, LogEvent, UsageHandler, envelope};
use jiff::Timestamp;

const SHARD: &str = "shardId-000000000000";

fn at(text: &str) -> Timestamp {
    text.parse().expect("a timestamp")
}

fn month() -> Month {
    "2026-11".parse().expect("a month")
}

/// Home's two tables through one client.
type Pair<C> = (tables::AccessTable<C>, tables::LedgerTable<C>);
type Counter<C> = UsageHandler<tables::LedgerTable<C>, tables::AccessTable<C>>;

/// A newly started counter, without memory.
fn counter<C: Calls + Clone + 'static>(pair: &Pair<C>) -> Counter<C> {
    let thresholds: Thresholds = "80,100".parse().expect("thresholds");
    UsageHandler::new(pair.1.clone(), pair.0.clone()).with_alerts(thresholds)
}

async fn told<C: Calls + Clone + 'static>(pair: &Pair<C>, batch: &[KinesisRecord]) -> Vec<(String, u8)> {
    let (response, report) = counter(pair).handle(&KinesisEvent { records: batch.to_vec() }, at(NOW)).await;
    assert!(response.batch_item_failures.is_empty(), "{:?}", report.failures);
    report.alerts.iter().map(|alert| (alert.period.to_string(), alert.percent)).collect()
}

#[tokio::test]
async fn an_alert_is_recorded_once_for_each_threshold_and_period() {
    let (sdk, own) = (Tables::serve().await, Tables::serve().await);
    tells_once(&sdk, &(sdk.access.clone(), sdk.ledger.clone())).await;
    tells_once(&own, &(own.own_access.clone(), own.own_ledger.clone())).await;
}

/// The operator's tables, and the same through the client under test.
async fn tells_once<C: Calls + Clone + 'static>(operator: &Tables, pair: &Pair<C>) {
    let id: Identity = format!("key#{}", "0f".repeat(32)).parse().expect("an identity");
    let record_of = KeyRecord::new(
        "ipg_…x3Kq",
        "acme",
        "startup",
        "10/day".parse().expect("a limit"),
        at("2026-11-01T00:00:00Z"),
    );
    operator.access.put_key(&id, &record_of).await.expect("stored");
    let calls = |sequence, day: &str, count| {
        let time = format!("2026-11-{day}T12:00:00Z");
        record(SHARD, sequence, &vec![event(&time, id.as_str(), "10/day"); count])
    };
    let day = |day: &str, percent| (format!("2026-11-{day}"), percent);
    let (first, second) = (calls(1, "24", 7), calls(2, "24", 1));
    assert!(told(pair, std::slice::from_ref(&first)).await.is_empty());
    assert_eq!(told(pair, std::slice::from_ref(&second)).await, [day("24", 80)]);
    // Redelivered, partly and completely, to a counter without memory.
    assert!(told(pair, &[first, second]).await.is_empty());
    assert_eq!(told(pair, &[calls(3, "24", 5)]).await, [day("24", 100)]);
    // A new period has its own alerts, and one batch may reach both thresholds.
    assert_eq!(told(pair, &[calls(4, "25", 10)]).await, [day("25", 80), day("25", 100)]);

    let recorded = operator.ledger.alerts(month()).await.expect("a read");
    let keys: Vec<_> = recorded.iter().map(|one| (one.alert.period.to_string(), one.alert.percent)).collect();
    assert_eq!(keys, [day("24", 80), day("24", 100), day("25", 80), day("25", 100)]);
    assert!(recorded.iter().all(|one| one.sent.is_none() && one.alert.identity == id));
    let sent = at("2026-11-24T12:00:05Z");
    pair.1.alert_was_sent(&recorded[0].alert, sent).await.expect("noted");
    assert_eq!(operator.ledger.alerts(month()).await.expect("a read")[0].sent, Some(sent));
    let message = AlertMessage::new(&recorded[0].alert, Some(&record_of));
    assert_eq!((message.used, message.owner.as_str()), (8, "acme"));
    // Sites and addresses have no owner to notify, and without thresholds there are no alerts.
    let site = record(SHARD, 9, &vec![event("2026-11-24T12:00:00Z", "site#a.test", "10/day"); 10]);
    assert!(told(pair, &[site]).await.is_empty());
    let silent = UsageHandler::new(pair.1.clone(), pair.0.clone());
    let (_, report) = silent.handle(&KinesisEvent { records: vec![calls(12, "26", 10)] }, at(NOW)).await;
    assert!(report.alerts.is_empty() && report.publications > 0);
    // None of these rows is mistaken for a count.
    assert_eq!(operator.ledger.everything().await.expect("a read").len(), 2);
}

#[tokio::test]
async fn saved_progress_never_goes_back() {
    let (sdk, own) = (Tables::serve().await, Tables::serve().await);
    notes_go_forward(&sdk.ledger, &(sdk.access.clone(), sdk.ledger.clone())).await;
    notes_go_forward(&own.ledger, &(own.own_access.clone(), own.own_ledger.clone())).await;
}

async fn notes_go_forward<C: Calls + Clone + 'static>(operator: &LedgerTable, pair: &Pair<C>) {
    let newest = |sequence: &str, region: &str, time: &str| Newest {
        shard: SHARD.into(),
        sequence: format!("{sequence:0>64}"),
        fingerprints: String::new(),
        regions: [(RegionName::new(region), at(time))].into(),
    };
    for (sequence, region, time) in [
        ("5", "us-east-1", "2026-11-24T12:00:00Z"),
        ("7", "eu-west-1", "2026-11-24T12:00:09Z"),
        // A redelivered batch.
        ("6", "us-east-1", "2026-11-24T11:00:00Z"),
    ] {
        let counted = at("2026-11-24T12:01:00Z");
        pair.1.note_newest(&newest(sequence, region, time), counted).await.expect("noted");
    }
    let shards = operator.newest().await.expect("a read");
    assert_eq!(shards.len(), 1);
    assert!(shards[0].sequence.ends_with('7'));
    let times: Vec<_> =
        shards[0].regions.iter().map(|(region, newest)| (region.as_str(), newest.event)).collect();
    assert_eq!(times, [("eu-west-1", at("2026-11-24T12:00:09Z")), ("us-east-1", at("2026-11-24T12:00:00Z"))]);
    // The counter saves what it has counted, and nothing of a batch that will be redelivered.
    let counter = counter(pair);
    let batch = record(SHARD, 20, &[event("2026-11-24T13:00:00Z", "site#a.test", "10/day")]);
    let (_, report) = counter.handle(&KinesisEvent { records: vec![batch] }, at(NOW)).await;
    assert_eq!(report.newest.len(), 1);
    counter.note(&report, at("2026-11-24T13:00:30Z")).await.expect("noted");
    let newest = operator.newest().await.expect("a read")[0].regions["eu-central-1"];
    assert_eq!((newest.event, newest.counted), (at("2026-11-24T13:00:00Z"), at("2026-11-24T13:00:30Z")));
}

/// A record of lines by their ids. CloudWatch Logs may repeat lines in different batches.
pub(crate) fn cut(sequence: u64, ids: std::ops::Range<u64>) -> KinesisRecord {
    let line = |id: u64| LogEvent {
        id: id.to_string(),
        timestamp: 0,
        message: event("2026-11-24T12:00:00Z", "site#a.test", "10000/day").to_line(),
    };
    let data = envelope("group", "stream", ids.map(line).collect()).expect("packs");
    KinesisRecord::new(SHARD, &sequence.to_string(), &data)
}

#[tokio::test]
async fn repeated_lines_in_other_batches_count_once_across_restarts() {
    let (sdk, own) = (Tables::serve().await, Tables::serve().await);
    repeats_count_once(&sdk.ledger, &(sdk.access.clone(), sdk.ledger.clone())).await;
    repeats_count_once(&own.ledger, &(own.own_access.clone(), own.own_ledger.clone())).await;
}

/// A record's sequence number, and the numbers of its lines.
type Lines = (u64, std::ops::Range<u64>);

async fn repeats_count_once<C: Calls + Clone + 'static>(operator: &LedgerTable, pair: &Pair<C>) {
    let id: Identity = "site#a.test".parse().expect("an identity");
    let charged = async || operator.item(&id, month()).await.expect("a read").map(|item| item.charged);
    // (the records of a batch, whether the counter saves its progress, the count afterwards)
    let table: [(&[Lines], bool, u64); 6] = [
        (&[(1, 0..10), (2, 10..20)], true, 20),
        // Killed between counting and saving: redelivered unchanged.
        (&[(3, 20..30)], false, 30),
        (&[(3, 20..30)], true, 30),
        // The lines of 1 to 3 repeated under new numbers, in other batches with new lines between.
        (&[(4, 5..15), (5, 15..35)], true, 35),
        (&[(6, 0..36)], true, 36),
        // Redelivered although it is saved.
        (&[(5, 15..35), (6, 0..36)], true, 36),
    ];
    for (records, noted, expected) in table {
        let counter = counter(pair);
        let records = records.iter().map(|(sequence, ids)| cut(*sequence, ids.clone())).collect();
        let (response, report) = counter.handle(&KinesisEvent { records }, at(NOW)).await;
        assert!(response.batch_item_failures.is_empty(), "{:?}", report.failures);
        if noted {
            counter.note(&report, at(NOW)).await.expect("noted");
        }
        assert_eq!(charged().await, Some(expected), "{report:?}");
    }
}

#[tokio::test]
async fn malformed_rows_are_skipped_or_read_partly() {
    let Tables { ledger, .. } = Tables::serve().await;
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let number = |digits: &str| AttributeValue::N(digits.to_owned());
    let many = "9".repeat(38);
    for (id, month, calls) in [
        ("site#a.test", "-9999-01", "1"),
        ("site#b.test", "2026-13", "1"),
        ("user#c", "2026-11", "1"),
        ("site#d.test", "2026-11", many.as_str()),
        ("site#e.test", "2026-11", "-7"),
        ("site#f.test", "2026-11", "2.5"),
    ] {
        let put = ledger.client().put_item().table_name(ledger.name()).item("id", text(id));
        let put = put.item("month", text(month)).item("n", number(calls)).item("d#31", number(calls));
        put.send().await.expect("stored");
    }
    let (mut items, mut unreadable) = (Vec::new(), Vec::new());
    let read = ledger.for_each::<StoreError>(None, None, |item| {
        match item {
            Ok(item) => items.push(item),
            Err(row) => unreadable.push(row),
        }
        Ok(())
    });
    read.await.expect("a read");
    items.sort_by(|a, b| a.identity.cmp(&b.identity));
    let counts: Vec<_> = items.iter().map(|item| (item.identity.name(), item.charged)).collect();
    assert_eq!(counts, [("d.test", u64::MAX), ("e.test", 0), ("f.test", 2)]);
    unreadable.sort();
    assert_eq!(unreadable, ["site#a.test -9999-01", "site#b.test 2026-13", "user#c 2026-11"]);
    assert_eq!(ledger.month(month(), None).await.expect("a read").len(), 3);
}

#[tokio::test]
async fn a_batch_with_thousands_of_regions_is_counted() {
    let Tables { access, ledger, .. } = Tables::serve().await;
    let counter = UsageHandler::new(ledger.clone(), access);
    let events: Vec<_> = (0..5_000)
        .map(|n| UsageEvent {
            region: RegionName::new(format!("xx-east-{n}")),
            ..event("2026-11-24T12:00:00Z", "site#a.test", "10000/day")
        })
        .collect();
    let records = events.chunks(500).zip(1..).map(|(events, n)| record(SHARD, n, events)).collect();
    let (response, report) = counter.handle(&KinesisEvent { records }, at(NOW)).await;
    assert!(response.batch_item_failures.is_empty(), "{:?}", report.failures);
    counter.note(&report, at(NOW)).await.expect("noted");
    let id: Identity = "site#a.test".parse().expect("an identity");
    let item = ledger.item(&id, month()).await.expect("a read").expect("an item");
    assert_eq!((item.charged, item.regions.values().sum()), (5_000, 5_000_u64));
    assert!(item.regions.len() <= 51 && item.regions["other"] > 4_900, "{}", item.regions.len());
}

#[tokio::test]
async fn an_item_is_replaced_only_if_it_has_not_changed() {
    let Tables { access, ledger, .. } = Tables::serve().await;
    let other = ledger.beside("ledger-g2");
    assert_eq!(other.is_active().await.expect("a look"), None);
    other.ensure().await.expect("made");
    assert_eq!(other.is_active().await.expect("a look"), Some(true));
    assert_eq!(other.since().await.expect("a read"), None);
    other.set_since(at("2026-11-01T00:00:00Z")).await.expect("said");
    other.set_since(at("2026-11-09T00:00:00Z")).await.expect("no harm in saying more");
    assert_eq!(other.since().await.expect("a read"), Some(at("2026-11-01T00:00:00Z")));

    let id = "addr#00ff";
    let count = async |into: &LedgerTable, sequence, calls| {
        let batch = record(SHARD, sequence, &vec![event("2026-11-24T12:00:00Z", id, "100/day"); calls]);
        let handler = UsageHandler::new(into.clone(), access.clone());
        handler.handle(&KinesisEvent { records: vec![batch] }, at(NOW)).await;
    };
    count(&ledger, 1, 3).await;
    count(&other, 1, 5).await;
    let identity: Identity = id.parse().expect("an identity");
    let seen = ledger.item(&identity, month()).await.expect("a read").expect("an item");
    let new = other.item(&identity, month()).await.expect("a read").expect("an item");
    assert_eq!((seen.charged, new.charged), (3, 5));
    // Something is counted meanwhile, although not charged.
    count(&ledger, 2, 1).await;
    assert_eq!(ledger.replace(Some(&seen), &new).await.expect("a write"), Replaced::Changed);
    assert_eq!(ledger.replace(None, &new).await.expect("a write"), Replaced::Changed);
    let seen = ledger.item(&identity, month()).await.expect("a read").expect("an item");
    assert_eq!(ledger.replace(Some(&seen), &new).await.expect("a write"), Replaced::Done);
    assert_eq!(ledger.item(&identity, month()).await.expect("a read"), Some(new.clone()));
    // Events counted in the new item are not counted again; later ones are.
    count(&ledger, 1, 5).await;
    count(&ledger, 2, 1).await;
    assert_eq!(ledger.item(&identity, month()).await.expect("a read").map(|item| item.charged), Some(6));
    other.delete().await.expect("deleted");
    assert_eq!(other.is_active().await.expect("a look"), None);
}
