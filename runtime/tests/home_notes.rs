//! What home does beside counting, against a real DynamoDB API: alerts once each, how far the counting is, and items
//! put in the place of others.

mod support;

use ipgeo_contract::{Identity, KeyRecord, Month, Status, Thresholds};
use ipgeo_runtime::dynamo::{LedgerTable, Replaced};
use ipgeo_runtime::store::{LedgerWrite as _, Newest};
use ipgeo_runtime::tables::{self, Calls};
use ipgeo_runtime::usage::{AlertMessage, KinesisEvent, KinesisRecord, UsageHandler};
use jiff::Timestamp;
use support::{Tables, event, record};

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

/// A counter as after a start: it remembers nothing.
fn counter<C: Calls + Clone + 'static>(pair: &Pair<C>) -> Counter<C> {
    let thresholds: Thresholds = "80,100".parse().expect("thresholds");
    UsageHandler::new(pair.1.clone(), pair.0.clone()).with_alerts(thresholds)
}

async fn told<C: Calls + Clone + 'static>(pair: &Pair<C>, batch: &[KinesisRecord]) -> Vec<(String, u8)> {
    let (response, report) = counter(pair).handle(&KinesisEvent { records: batch.to_vec() }).await;
    assert!(response.batch_item_failures.is_empty(), "{:?}", report.failures);
    report.alerts.iter().map(|alert| (alert.period.to_string(), alert.percent)).collect()
}

#[tokio::test]
async fn an_alert_is_told_once_for_each_threshold_and_period() {
    let (sdk, own) = (Tables::serve().await, Tables::serve().await);
    tells_once(&sdk, &(sdk.access.clone(), sdk.ledger.clone())).await;
    tells_once(&own, &(own.own_access.clone(), own.own_ledger.clone())).await;
}

/// The operator's tables, and the same through the client under test.
async fn tells_once<C: Calls + Clone + 'static>(operator: &Tables, pair: &Pair<C>) {
    let id: Identity = format!("key#{}", "0f".repeat(32)).parse().expect("an identity");
    let record_of = KeyRecord {
        owner: "acme".into(),
        tier: "startup".into(),
        limit: "10/day".parse().expect("a limit"),
        status: Status::Active,
        expires: None,
        sites: vec![],
        networks: vec![],
        hint: "ipg_…x3Kq".into(),
        created: at("2026-11-01T00:00:00Z"),
        published: None,
    };
    operator.access.put_key(&id, &record_of).await.expect("stored");
    let calls = |sequence, day: &str, count| {
        let time = format!("2026-11-{day}T12:00:00Z");
        record(SHARD, sequence, &vec![event(&time, id.as_str(), "10/day"); count])
    };
    let day = |day: &str, percent| (format!("2026-11-{day}"), percent);
    let (first, second) = (calls(1, "24", 7), calls(2, "24", 1));
    assert!(told(pair, std::slice::from_ref(&first)).await.is_empty());
    assert_eq!(told(pair, std::slice::from_ref(&second)).await, [day("24", 80)]);
    // Delivered again, in part and whole, by a counter that has forgotten everything.
    assert!(told(pair, &[first, second]).await.is_empty());
    assert_eq!(told(pair, &[calls(3, "24", 5)]).await, [day("24", 100)]);
    // A new period begins anew, and one batch may pass both.
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
    // Sites and addresses have no owner to be told, and no thresholds at all means no alerts.
    let site = record(SHARD, 9, &vec![event("2026-11-24T12:00:00Z", "site#a.test", "10/day"); 10]);
    assert!(told(pair, &[site]).await.is_empty());
    let silent = UsageHandler::new(pair.1.clone(), pair.0.clone());
    let (_, report) = silent.handle(&KinesisEvent { records: vec![calls(12, "26", 10)] }).await;
    assert!(report.alerts.is_empty() && report.publications > 0);
    // None of these rows is mistaken for a count.
    assert_eq!(operator.ledger.everything().await.expect("a read").len(), 2);
}

#[tokio::test]
async fn how_far_the_counting_is_only_ever_goes_forward() {
    let (sdk, own) = (Tables::serve().await, Tables::serve().await);
    notes_go_forward(&sdk.ledger, &(sdk.access.clone(), sdk.ledger.clone())).await;
    notes_go_forward(&own.ledger, &(own.own_access.clone(), own.own_ledger.clone())).await;
}

async fn notes_go_forward<C: Calls + Clone + 'static>(operator: &LedgerTable, pair: &Pair<C>) {
    let newest = |sequence: &str, region: &str, time: &str| Newest {
        shard: SHARD.into(),
        sequence: format!("{sequence:0>64}"),
        regions: [(region.to_owned(), at(time))].into(),
    };
    for (sequence, region, time) in [
        ("5", "us-east-1", "2026-11-24T12:00:00Z"),
        ("7", "eu-west-1", "2026-11-24T12:00:09Z"),
        // A batch that came again.
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
    // The counter notes what it has counted, and nothing of a batch that is to come again.
    let counter = counter(pair);
    let batch = record(SHARD, 20, &[event("2026-11-24T13:00:00Z", "site#a.test", "10/day")]);
    let (_, report) = counter.handle(&KinesisEvent { records: vec![batch] }).await;
    assert_eq!(report.newest.len(), 1);
    counter.note(&report, at("2026-11-24T13:00:30Z")).await.expect("noted");
    let newest = operator.newest().await.expect("a read")[0].regions["eu-central-1"];
    assert_eq!((newest.event, newest.counted), (at("2026-11-24T13:00:00Z"), at("2026-11-24T13:00:30Z")));
}

#[tokio::test]
async fn an_item_is_replaced_only_as_it_was_seen() {
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
        handler.handle(&KinesisEvent { records: vec![batch] }).await;
    };
    count(&ledger, 1, 3).await;
    count(&other, 1, 5).await;
    let identity: Identity = id.parse().expect("an identity");
    let seen = ledger.item(&identity, month()).await.expect("a read").expect("an item");
    let new = other.item(&identity, month()).await.expect("a read").expect("an item");
    assert_eq!((seen.charged, new.charged), (3, 5));
    // Something is counted meanwhile, even if it is not charged.
    count(&ledger, 2, 1).await;
    assert_eq!(ledger.replace(Some(&seen), &new).await.expect("a write"), Replaced::Changed);
    assert_eq!(ledger.replace(None, &new).await.expect("a write"), Replaced::Changed);
    let seen = ledger.item(&identity, month()).await.expect("a read").expect("an item");
    assert_eq!(ledger.replace(Some(&seen), &new).await.expect("a write"), Replaced::Done);
    assert_eq!(ledger.item(&identity, month()).await.expect("a read"), Some(new.clone()));
    // What the new item has counted is not counted again, and what comes after is.
    count(&ledger, 1, 5).await;
    count(&ledger, 2, 1).await;
    assert_eq!(ledger.item(&identity, month()).await.expect("a read").map(|item| item.charged), Some(6));
    other.delete().await.expect("deleted");
    assert_eq!(other.is_active().await.expect("a look"), None);
}
