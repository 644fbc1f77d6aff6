//! Early counts at home, through both clients of the tables.

use crate::support::{Tables, deliver, event, now, record};
use ipgeo_contract::{
    EarlyCell, EarlyCount, EarlyReport, Identity, KeyRecord, Limit, Period, Published, early_slot,
};
use ipgeo_runtime::store::{AccessRead as _, EarlyApplied, EarlyUpdate, LedgerWrite, PublishWrite};
use ipgeo_runtime::usage::{EarlyOutcome, UsageHandler};
use jiff::{SignedDuration, Timestamp};

const KEY: &str = "key#00ff";
const LIMIT: &str = "100/day";

fn identity() -> Identity {
    KEY.parse().expect("an identity")
}

fn limit() -> Limit {
    LIMIT.parse().expect("a limit")
}

fn period() -> Period {
    Period::new(limit().window, now())
}

/// A report of an environment whose previous one in the slot had `before` calls, `later_ms` after a fixed time.
fn report(environment: &str, calls: u64, before: Option<(u64, i64)>, later_ms: i64) -> EarlyReport {
    let at = |ms| now() + SignedDuration::from_millis(ms);
    let before = before.map(|(calls, ms)| EarlyCell { calls, at: at(ms) });
    let count = EarlyCount { identity: identity(), limit: limit(), period: period(), calls, before };
    EarlyReport {
        environment: environment.into(),
        slot: early_slot(now()),
        at: at(later_ms),
        counts: vec![count],
    }
}

fn outcome(added: u64, repeated: u64, ignored: u64, publications: u64) -> EarlyOutcome {
    EarlyOutcome { added, repeated, ignored, publications, failures: Vec::new() }
}

async fn published(tables: &Tables) -> Option<Published> {
    tables.own_access.key(&identity()).await.expect("a read").expect("a record").published
}

async fn tables() -> Tables {
    let tables = Tables::serve().await;
    let record = KeyRecord::new("ipg_…00ff", "acme", "startup", limit(), now());
    tables.access.put_key(&identity(), &record).await.expect("stored");
    tables
}

async fn reports_add_up<L, P>(tables: &Tables, handler: UsageHandler<L, P>)
where
    L: LedgerWrite + 'static,
    P: PublishWrite + 'static,
{
    // (environment, calls, before, ms, outcome, published usage and ms of its time)
    let table = [
        ("a", 10, None, 0, outcome(1, 0, 0, 1), (10, 0)),
        ("b", 5, None, 50, outcome(1, 0, 0, 1), (15, 50)),
        // A duplicate changes nothing. Its publication may have been lost, so it is tried again.
        ("a", 10, None, 0, outcome(0, 1, 0, 1), (15, 50)),
        ("a", 12, Some((10, 0)), 100, outcome(1, 0, 0, 1), (17, 100)),
        // The report between was lost.
        ("a", 20, Some((15, 150)), 200, outcome(1, 0, 0, 1), (25, 200)),
        // It arrives after all.
        ("a", 15, Some((12, 100)), 150, outcome(0, 1, 0, 1), (25, 200)),
        // As of the latest report in it, which is another environment's.
        ("b", 7, Some((5, 50)), 180, outcome(1, 0, 0, 1), (27, 200)),
        ("b", 90, Some((7, 180)), 300, outcome(1, 0, 0, 1), (110, 300)),
        // Edges know that the limit is reached: nothing more is published.
        ("c", 3, None, 400, outcome(1, 0, 0, 1), (110, 300)),
    ];
    for (row, (environment, calls, before, ms, expected, (used, as_of_ms))) in table.into_iter().enumerate() {
        let report = report(environment, calls, before, ms);
        assert_eq!(handler.count_early(&report, now()).await, expected, "row {row}");
        let as_of = now() + SignedDuration::from_millis(as_of_ms);
        assert_eq!(published(tables).await, Some(Published { period: period(), used, as_of }), "row {row}");
    }
}

#[tokio::test]
async fn a_sum_is_published_whatever_is_lost_repeated_and_reordered() {
    let through_sdk = tables().await;
    let handler = UsageHandler::new(through_sdk.ledger.clone(), through_sdk.access.clone());
    reports_add_up(&through_sdk, handler).await;
    let through_own = tables().await;
    let handler = UsageHandler::new(through_own.own_ledger.clone(), through_own.own_access.clone());
    reports_add_up(&through_own, handler).await;
}

#[tokio::test]
async fn what_was_published_early_is_not_published_again_by_the_ledger() {
    let tables = tables().await;
    let handler = UsageHandler::new(tables.own_ledger.clone(), tables.own_access.clone());
    handler.count_early(&report("a", 60, None, 0), now()).await;
    let early = published(&tables).await;
    let time = now().to_string();
    deliver(&handler, vec![record("shardId-000000000000", 1, &vec![event(&time, KEY, LIMIT); 55])], 1).await;
    assert_eq!(published(&tables).await, early);
    // What reports have missed is published by the ledger; at the limit neither publishes again.
    deliver(&handler, vec![record("shardId-000000000000", 2, &vec![event(&time, KEY, LIMIT); 20])], 1).await;
    assert_eq!(published(&tables).await.map(|known| known.used), Some(75));
    handler.count_early(&report("b", 40, None, 0), now()).await;
    assert_eq!(published(&tables).await.map(|known| known.used), Some(100));
    deliver(&handler, vec![record("shardId-000000000000", 3, &vec![event(&time, KEY, LIMIT); 45])], 1).await;
    assert_eq!(published(&tables).await.map(|known| known.used), Some(100));
    // Early rows are not part of the exact counts.
    let items = tables.ledger.everything().await.expect("items");
    assert_eq!(items.iter().map(|item| item.charged).collect::<Vec<_>>(), [120]);
}

#[tokio::test]
async fn reports_of_other_slots_are_ignored_and_old_cells_removed() {
    let tables = tables().await;
    let handler = UsageHandler::new(tables.own_ledger.clone(), tables.own_access.clone());
    let minutes = |minutes| now() + SignedDuration::from_mins(minutes);
    for number in 0..9 {
        let report = report(&format!("e{number}"), 1, None, 0);
        assert_eq!(handler.count_early(&report, now()).await.added, 1);
    }
    for later in [-11, 11] {
        assert_eq!(
            handler.count_early(&report("late", 1, None, 0), minutes(later)).await,
            outcome(0, 0, 1, 0)
        );
    }
    let later = EarlyReport { slot: early_slot(minutes(20)), ..report("new", 1, None, 0) };
    assert_eq!(handler.count_early(&later, minutes(20)).await.added, 1);
    let update = EarlyUpdate {
        identity: identity(),
        period: period(),
        cell: format!("e0#{}", early_slot(now())),
        seen: Some(EarlyCell { calls: 1, at: now() }),
        new: EarlyCell { calls: 2, at: now() },
        calls: 1,
    };
    let EarlyApplied::Refused(row) = tables.own_ledger.add_early(&update).await.expect("a write") else {
        panic!("the old cell is still there");
    };
    assert_eq!((row.sum, row.cells.len()), (10, 1));
}

#[tokio::test]
async fn a_row_has_a_maximum_of_cells() {
    let tables = tables().await;
    let handler = UsageHandler::new(tables.own_ledger.clone(), tables.own_access.clone());
    for number in 0..600 {
        let update = EarlyUpdate {
            identity: identity(),
            period: period(),
            cell: format!("e{number}#{}", early_slot(now())),
            seen: None,
            new: EarlyCell { calls: 0, at: now() },
            calls: 0,
        };
        tables.own_ledger.add_early(&update).await.expect("a write");
    }
    assert_eq!(handler.count_early(&report("more", 1, None, 0), now()).await, outcome(0, 0, 1, 0));
    // Known environments continue.
    assert_eq!(handler.count_early(&report("e7", 1, Some((0, 0)), 1), now()).await.added, 1);
}

#[test]
fn the_fixed_time_is_inside_its_period() {
    let later: Timestamp = now() + SignedDuration::from_mins(30);
    assert_eq!(Period::new(limit().window, later), period());
}
