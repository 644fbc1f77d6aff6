//! The tables against a real DynamoDB API: an embedded one, over HTTP on loopback. Everything that the Lambda does runs
//! through its own client and through the SDK.

use std::collections::BTreeMap;

use crate::support::{Tables, deliver, event, record};
use aws_sdk_dynamodb::config::Credentials;
use ipgeo_contract::{
    AddressSecret, Identity, IdentityKind, KeyRecord, Limit, Month, Period, Published, Status, Verdict,
};
use ipgeo_runtime::dynamo::{AccessTable, Effort, KeyChange, KeyWriteError, LedgerTable, client};
use ipgeo_runtime::store::{AccessRead, Applied, LedgerUpdate, LedgerWrite, PublishWrite};
use ipgeo_runtime::tables::{self, Calls};
use ipgeo_runtime::usage::UsageHandler;
use jiff::Timestamp;

const SHARD: &str = "shardId-000000000000";

fn identity(text: &str) -> Identity {
    text.parse().expect("an identity")
}

fn limit(text: &str) -> Limit {
    text.parse().expect("a limit")
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("a timestamp")
}

fn record_of(limit_text: &str) -> KeyRecord {
    KeyRecord {
        owner: "acme".into(),
        tier: "startup".into(),
        limit: limit(limit_text),
        rate: Some("10/s:20".parse().expect("a rate")),
        status: Status::Active,
        expires: Some(at("2027-01-01T00:00:00Z")),
        sites: vec!["*.acme.test".parse().expect("a site")],
        networks: vec!["203.0.113.0/24".parse().expect("a network")],
        explain: true,
        hint: "ipg_…abcd".into(),
        created: at("2026-11-24T00:00:00Z"),
        published: None,
    }
}

fn published(period: &str, used: u64) -> Published {
    Published { period: period.parse().expect("a period"), used, as_of: at("2026-11-24T12:00:00Z") }
}

#[tokio::test]
async fn an_api_key_is_stored_read_changed_and_listed() {
    let Tables { access, ledger, .. } = Tables::serve().await;
    let now = at("2026-11-24T12:00:00Z");
    let (key, other) = (identity("key#01"), identity("key#02"));
    assert_eq!(access.key(&key).await.expect("a read"), None);
    let stored = record_of("100/month");
    access.put_key(&key, &stored).await.expect("a new API key");
    assert!(matches!(access.put_key(&key, &stored).await, Err(KeyWriteError::Exists)));
    assert_eq!(access.key(&key).await.expect("a read"), Some(stored.clone()));

    let change = KeyChange {
        owner: Some("acme ltd".into()),
        status: Some(Status::Disabled),
        expires: Some(None),
        sites: Some(vec![]),
        rate: Some(None),
        ..KeyChange::default()
    };
    let changed = access.update_key(&ledger, &key, &change, now).await.expect("a change");
    let expected = KeyRecord {
        owner: "acme ltd".into(),
        status: Status::Disabled,
        expires: None,
        sites: vec![],
        rate: None,
        ..stored.clone()
    };
    assert_eq!(changed, expected);
    let unchanged = access.update_key(&ledger, &key, &KeyChange::default(), now).await;
    assert_eq!(unchanged.expect("no change"), expected);
    let missing = access.update_key(&ledger, &other, &change, now).await;
    assert!(matches!(missing, Err(KeyWriteError::Missing)));

    access.put_key(&other, &stored).await.expect("a second API key");
    access.ensure_address_secret(AddressSecret::new([1; 32])).await.expect("a secret");
    let mut listed = access.list_keys().await.expect("a list");
    listed.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(listed, [(key, expected), (other, stored)]);
}

#[tokio::test]
async fn marks_and_successors_belong_to_existing_api_keys() {
    let Tables { access, .. } = Tables::serve().await;
    let (key, next, now) = (identity("key#01"), identity("key#02"), at("2026-11-24T12:00:00Z"));
    assert!(access.mark_key(&key, now).await.is_err() && access.supersede(&key, &next, now).await.is_err());
    assert_eq!(access.key_and_mark(&key).await.expect("a read"), None);
    access.put_key(&key, &record_of("100/month")).await.expect("a new API key");
    assert_eq!(access.successor(&key).await.expect("a read"), None);
    assert_eq!(access.key_and_mark(&key).await.expect("a read"), Some((record_of("100/month"), None)));
    access.mark_key(&key, now).await.expect("marked");
    access.supersede(&key, &next, now).await.expect("superseded");
    assert_eq!(access.successor(&key).await.expect("a read"), Some(next));
    let changed = KeyRecord { expires: Some(now), ..record_of("100/month") };
    assert_eq!(access.key_and_mark(&key).await.expect("a read"), Some((changed, Some(now))));
}

#[tokio::test]
async fn the_address_secret_is_created_once() {
    let Tables { access, own_access, .. } = Tables::serve().await;
    assert_eq!(access.address_secret().await.expect("a read"), None);
    assert_eq!(own_access.address_secret().await.expect("a read"), None);
    let (first, second) = (AddressSecret::new([1; 32]), AddressSecret::new([2; 32]));
    assert_eq!(access.ensure_address_secret(first.clone()).await.expect("made"), first);
    assert_eq!(access.ensure_address_secret(second).await.expect("kept"), first);
    assert_eq!(access.address_secret().await.expect("a read"), Some(first.clone()));
    assert_eq!(own_access.address_secret().await.expect("a read"), Some(first));
}

#[tokio::test]
async fn published_usage_never_goes_back() {
    let (sdk, own) = (Tables::serve().await, Tables::serve().await);
    goes_forward(&sdk.access, &sdk.access).await;
    goes_forward(&own.access, &own.own_access).await;
}

async fn goes_forward<C: Calls>(operator: &AccessTable, access: &tables::AccessTable<C>) {
    // (identity, limit, publications in order, stored usage afterwards)
    type Row<'a> = (&'a str, &'a str, &'a [(&'a str, u64)], Option<(&'a str, u64)>);
    let table: [Row<'_>; 8] = [
        ("site#a.test", "9/day", &[("2026-11-24", 8)], Some(("2026-11-24", 8))),
        ("site#b.test", "9/day", &[("2026-11-24", 8), ("2026-11-24", 7)], Some(("2026-11-24", 8))),
        ("site#c.test", "9/day", &[("2026-11-24", 8), ("2026-11-25", 1)], Some(("2026-11-25", 1))),
        ("site#d.test", "9/day", &[("2026-11-25", 1), ("2026-11-24", 8)], Some(("2026-11-25", 1))),
        // The tier's window was changed: a month after a day, and a day after a month.
        ("site#e.test", "9/month", &[("2026-11-24", 8), ("2026-11", 2)], Some(("2026-11", 2))),
        ("site#f.test", "9/day", &[("2026-11", 2), ("2026-11-24", 8)], Some(("2026-11-24", 8))),
        ("key#01", "100/month", &[("2026-11", 50), ("2026-11", 60)], Some(("2026-11", 60))),
        // A late line of the API key's previous window.
        ("key#01", "100/day", &[("2026-11-24", 99)], Some(("2026-11", 60))),
    ];
    operator.put_key(&identity("key#01"), &record_of("100/month")).await.expect("an API key");
    for (who, limit_text, turns, expected) in table {
        for (period, used) in turns {
            let outcome = access.publish(&identity(who), limit(limit_text), published(period, *used)).await;
            outcome.expect("a publication, or none");
        }
        let found = access.published(&[identity(who)]).await.expect("a read");
        assert_eq!(found, [expected.map(|(period, used)| published(period, used))], "{who} {turns:?}");
    }
}

#[tokio::test]
async fn a_deleted_api_key_is_not_recreated_and_missing_items_are_returned_in_order() {
    absence(&Tables::serve().await.access).await;
    absence(&Tables::serve().await.own_access).await;
}

async fn absence<C: Calls>(access: &tables::AccessTable<C>) {
    access.publish(&identity("key#09"), limit("5/day"), published("2026-11-24", 5)).await.expect("nothing");
    assert_eq!(access.key(&identity("key#09")).await.expect("a read"), None);
    access.publish(&identity("site#x.test"), limit("5/day"), published("2026-11-24", 5)).await.expect("one");
    let asked = [identity("addr#00"), identity("site#x.test")];
    let found = access.published(&asked).await.expect("a read");
    assert_eq!(found, [None, Some(published("2026-11-24", 5))]);
}

#[tokio::test]
async fn a_change_of_limit_publishes_exact_usage_with_it() {
    // (counted this month and on this day, published before, the new limit, published usage afterwards)
    type Row<'a> = (Option<(u64, u64)>, Option<u64>, &'a str, Option<Published>);
    let Tables { access, own_access, ledger, .. } = Tables::serve().await;
    let now = at("2026-11-24T13:00:00Z");
    let exact = |period: &str, used| Some(Published { as_of: now, ..published(period, used) });
    let table: [Row<'_>; 9] = [
        (Some((60, 10)), None, "50/month", exact("2026-11", 60)),
        (Some((60, 10)), Some(55), "50/month", exact("2026-11", 60)),
        // The published usage is equal, and its time is known.
        (Some((60, 10)), Some(60), "50/month", Some(published("2026-11", 60))),
        // A ledger restored from a backup: published usage never decreases.
        (Some((60, 10)), Some(70), "50/month", Some(published("2026-11", 70))),
        // A different window has a different period.
        (Some((60, 10)), Some(60), "50/day", exact("2026-11-24", 10)),
        (Some((60, 10)), None, "5/day", exact("2026-11-24", 10)),
        (Some((60, 0)), Some(60), "50/day", None),
        (None, None, "50/day", None),
        (None, Some(70), "500/month", Some(published("2026-11", 70))),
    ];
    for (row, (counted, before, new, expected)) in table.into_iter().enumerate() {
        let key = identity(&format!("key#{row:02}"));
        access.put_key(&key, &record_of("100000/month")).await.expect("an API key");
        if let Some((month, day)) = counted {
            let days = BTreeMap::from([(23, month - day), (24, day)]);
            let update = LedgerUpdate { identity: key.clone(), days, ..update("1", "1", month) };
            ledger.apply(&update).await.expect("a write");
        }
        if let Some(used) = before {
            let outcome = access.publish(&key, limit("100000/month"), published("2026-11", used)).await;
            assert_eq!(outcome.expect("a publication"), Some(limit("100000/month")));
        }
        let change = KeyChange { limit: Some(limit(new)), ..KeyChange::default() };
        let changed = access.update_key(&ledger, &key, &change, now).await.expect("a change");
        assert_eq!((changed.limit, changed.published), (limit(new), expected), "row {row}");
        // Both clients read the same record, and a late publication with the old window returns the new limit.
        assert_eq!(own_access.key(&key).await.expect("a read"), Some(changed));
        for late in [
            access.publish(&key, limit("100000/month"), published("2026-10", 1)).await,
            own_access.publish(&key, limit("100000/month"), published("2026-10", 1)).await,
        ] {
            assert_eq!(late.expect("none"), Some(limit(new)), "row {row}");
        }
    }
    assert_eq!(own_access.key(&identity("key#99")).await.expect("a read"), None);
}

#[tokio::test]
async fn a_change_of_limit_does_not_undo_a_concurrent_publication() {
    let Tables { access, ledger, .. } = Tables::serve().await;
    let (key, old) = (identity("key#01"), limit("100/month"));
    access.put_key(&key, &record_of("100/month")).await.expect("an API key");
    let counter = async {
        for used in 1..=40_u64 {
            let sequence = format!("{used:02}");
            let update = LedgerUpdate { identity: key.clone(), ..update(&sequence, &sequence, 1) };
            ledger.apply(&update).await.expect("a write");
            access.publish(&key, old, published("2026-11", used)).await.expect("a publication");
        }
    };
    let operator = async {
        for calls in 101..=120 {
            let change =
                KeyChange { limit: Some(Limit { calls, window: old.window }), ..KeyChange::default() };
            let now = at("2026-11-24T13:00:00Z");
            // Usage is published until the change gives up.
            match access.update_key(&ledger, &key, &change, now).await {
                Ok(_) | Err(KeyWriteError::Store(_)) => {}
                Err(error) => panic!("{error}"),
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(counter, operator);
    let record = access.key_now(&key).await.expect("a read").expect("a record");
    assert_eq!(record.published.map(|published| published.used), Some(40));
}

fn update(first: &str, last: &str, charged: u64) -> LedgerUpdate {
    LedgerUpdate {
        identity: identity("addr#0a"),
        month: "2026-11".parse().expect("a month"),
        shard: SHARD.into(),
        first: first.into(),
        last: last.into(),
        charged,
        days: [(24, charged)].into(),
        regions: [("eu-central-1".to_owned(), charged)].into(),
        verdicts: [(Verdict::Allowed, charged)].into(),
        gap: None,
    }
}

#[tokio::test]
async fn the_watermark_admits_each_record_once() {
    let (sdk, own) = (Tables::serve().await, Tables::serve().await);
    admits_once(&sdk.ledger, &sdk.ledger).await;
    admits_once(&own.ledger, &own.own_ledger).await;
}

async fn admits_once<C: Calls>(operator: &LedgerTable, ledger: &tables::LedgerTable<C>) {
    let added = |charged| Applied::Added(totals(charged, false));
    let behind = |watermark: &str, charged, includes_others| Applied::Behind {
        watermark: watermark.into(),
        totals: totals(charged, includes_others),
    };
    // (update, result)
    let table = [
        (update("05", "07", 3), added(3)),
        (update("05", "07", 3), behind("07", 3, false)),
        (update("07", "09", 2), behind("07", 3, false)),
        (update("08", "09", 2), added(5)),
        (
            LedgerUpdate { shard: "shardId-000000000001".into(), ..update("01", "01", 1) },
            Applied::Added(totals(6, true)),
        ),
        (update("08", "08", 1), behind("09", 6, true)),
    ];
    for (update, expected) in table {
        assert_eq!(ledger.apply(&update).await.expect("a write"), expected, "{update:?}");
    }
    let month: Month = "2026-11".parse().expect("a month");
    let items = operator.month(month, Some(IdentityKind::Address)).await.expect("a read");
    assert_eq!(items.len(), 1);
    assert_eq!((items[0].charged, &items[0].days[&24]), (6, &6));
    assert_eq!(items[0].verdicts, [(Verdict::Allowed, 6)].into());
    assert_eq!(items[0].watermarks[SHARD], "09");
    assert_eq!(ledger.item(&identity("addr#0a"), month).await.expect("a read"), Some(items[0].clone()));
    assert_eq!(operator.month(month, Some(IdentityKind::Key)).await.expect("a read"), []);
}

/// More identities than one call accepts, some of which have called in another month or never.
#[tokio::test]
async fn many_identities_are_read_in_batches() {
    let Tables { ledger, .. } = Tables::serve().await;
    let named: Vec<Identity> = (0..250).map(|n| identity(&format!("key#{n:04x}"))).collect();
    for (n, identity) in (1..).zip(&named).filter(|(n, _)| n % 3 == 0) {
        let this = LedgerUpdate { identity: identity.clone(), ..update("01", "01", n) };
        let other = LedgerUpdate { month: "2026-10".parse().expect("a month"), ..this.clone() };
        for update in [this, other] {
            ledger.apply(&update).await.expect("a write");
        }
    }
    let mut found = ledger.items(&named, "2026-11".parse().expect("a month")).await.expect("a read");
    found.sort_by(|a, b| a.identity.cmp(&b.identity));
    let told: Vec<u64> = found.iter().map(|item| item.charged).collect();
    assert_eq!(told, (1..=250).filter(|n| n % 3 == 0).collect::<Vec<u64>>());
    assert_eq!(ledger.items(&[], "2026-11".parse().expect("a month")).await.expect("a read"), []);
}

fn totals(charged: u64, includes_others: bool) -> ipgeo_runtime::store::MonthTotals {
    ipgeo_runtime::store::MonthTotals { charged, days: [(24, charged)].into(), includes_others }
}

#[tokio::test]
async fn a_stream_is_counted_and_published_through_the_real_api() {
    let (sdk, own) = (Tables::serve().await, Tables::serve().await);
    counts_and_publishes(&sdk.access, &sdk.access, &sdk.ledger).await;
    counts_and_publishes(&own.access, &own.own_access, &own.own_ledger).await;
}

async fn counts_and_publishes<C: Calls + Clone + 'static>(
    operator: &AccessTable,
    access: &tables::AccessTable<C>,
    ledger: &tables::LedgerTable<C>,
) {
    let key = identity("key#0a");
    operator.put_key(&key, &record_of("50/month")).await.expect("an API key");
    let handler = UsageHandler::new(ledger.clone(), access.clone());
    let batches: Vec<_> = (0..10)
        .map(|n| record(SHARD, 100 + n, &vec![event("2026-11-24T10:00:00Z", "key#0a", "50/month"); 5]))
        .collect();
    deliver(&handler, batches[..6].to_vec(), 1).await;
    deliver(&handler, batches[3..9].to_vec(), 1).await;
    deliver(&handler, batches[2..4].to_vec(), 1).await;
    deliver(&handler, batches[8..].to_vec(), 1).await;
    let item = ledger.item(&key, "2026-11".parse().expect("a month")).await.expect("a read");
    assert_eq!(item.map(|item| (item.charged, item.verdicts)), Some((50, [(Verdict::Allowed, 50)].into())));
    let record = access.key(&key).await.expect("a read").expect("an API key");
    let shown = record.published.expect("published");
    assert_eq!((shown.period.to_string(), shown.used), ("2026-11".to_owned(), 50));
    assert_eq!(Period::new(record.limit.window, shown.as_of), shown.period);
}

#[tokio::test]
async fn an_unreachable_store_is_an_error_that_names_the_attempted_action() {
    let credentials = Credentials::new("test", "test", None, None, "tests");
    let client = client(Some("http://127.0.0.1:9"), "eu-central-1", credentials, Effort::Quick);
    let error = AccessTable::new(client, "access").key(&identity("key#01")).await.expect_err("no store");
    assert_eq!(error.to_string(), "read of access table access failed");
    let cause = std::error::Error::source(&error).expect("a cause").to_string();
    assert!(cause.contains("dispatch failure"), "{cause}");
    assert!(!cause.contains('\n') && cause.len() < 200, "{cause}");
}
