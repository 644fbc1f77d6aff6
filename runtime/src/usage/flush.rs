//! Totals to the ledger, and what crossed a step to the access table: the effects of the usage handler.

use ipgeo_contract::{IdentityKind, Limit, Published, Thresholds};

use super::shards::Shard;
use super::totals::{CountedEvent, IdentityMonth};
use crate::store::{Alert, Applied, LedgerWrite, MonthTotals, PublishWrite, StoreError};

/// Times that one item may be found behind before its record is handed back to the stream: each time
/// means that someone else has just written it.
const BEHIND_ROUNDS_MAX: usize = 8;

/// What became of one item's events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flushed {
    /// Events added to the ledger.
    pub added: u64,
    /// Events that the ledger had already.
    pub known: u64,
    /// Publications written.
    pub publications: u64,
    /// Alerts that were not recorded before.
    pub alerts: Vec<Alert>,
}

/// Adds an item's events to the ledger, then publishes what crossed a step. Whatever fails, doing it
/// again with the same events is right.
pub(super) async fn flush<L: LedgerWrite, P: PublishWrite>(
    ledger: &L,
    publish: &P,
    thresholds: &Thresholds,
    shard: &Shard,
    item: &IdentityMonth,
    events: &[CountedEvent],
) -> Result<Flushed, StoreError> {
    let (totals, added) = add(ledger, shard, item, events).await?;
    let publications = item.publications(&totals, added, events);
    let mut alerts = Vec::new();
    for (limit, published) in &publications {
        publish_one(publish, item, *limit, *published).await?;
        alerts.extend(alert(ledger, thresholds, item, *limit, *published).await?);
    }
    Ok(Flushed {
        added: added.len() as u64,
        known: (events.len() - added.len()) as u64,
        publications: publications.len() as u64,
        alerts,
    })
}

/// Records the thresholds that published usage of an API key has reached; returns those that are new. All that
/// are reached are tried every time: the condition of the write keeps each to once in a period, whatever
/// was redelivered, and none is lost in a crash between publication and alert.
async fn alert<L: LedgerWrite>(
    ledger: &L,
    thresholds: &Thresholds,
    item: &IdentityMonth,
    limit: Limit,
    published: Published,
) -> Result<Vec<Alert>, StoreError> {
    let mut new = Vec::new();
    if item.identity.kind() == IdentityKind::Key {
        let Published { period, used, as_of } = published;
        for percent in thresholds.reached(used, limit) {
            let alert = Alert { identity: item.identity.clone(), period, percent, limit, used, as_of };
            if ledger.record_alert(&alert).await? {
                new.push(alert);
            }
        }
    }
    Ok(new)
}

async fn publish_one<P: PublishWrite>(
    publish: &P,
    item: &IdentityMonth,
    limit: Limit,
    published: Published,
) -> Result<(), StoreError> {
    publish.publish(&item.identity, limit, published).await
}

/// Adds what of `events` the ledger does not have; returns the totals now and the events that were added.
async fn add<'a, L: LedgerWrite>(
    ledger: &L,
    shard: &Shard,
    item: &IdentityMonth,
    events: &'a [CountedEvent],
) -> Result<(MonthTotals, &'a [CountedEvent]), StoreError> {
    let mut left = events;
    let mut found = MonthTotals::default();
    for _round in 0..BEHIND_ROUNDS_MAX {
        let Some(mut update) = item.update(&shard.name, left) else { return Ok((found, left)) };
        update.gap = shard.gap_of(item.month);
        match ledger.apply(&update).await? {
            Applied::Added(totals) => return Ok((totals, left)),
            Applied::Behind { watermark, totals } => {
                found = totals;
                left = &left[left.partition_point(|event| *event.sequence <= *watermark)..];
            }
        }
    }
    Err(StoreError {
        action: "write to the ledger".to_owned(),
        source: format!("another writer was faster {BEHIND_ROUNDS_MAX} times").into(),
    })
}
