//! Totals to the ledger, and what crossed a step to the access table: the effects of the usage handler.

use ipgeo_contract::Limit;
use ipgeo_contract::Published;

use super::totals::{CountedEvent, IdentityMonth};
use crate::store::{Applied, LedgerWrite, MonthTotals, PublishWrite, StoreError};

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
}

/// Adds an item's events to the ledger, then publishes what crossed a step. Whatever fails, doing it
/// again with the same events is right.
pub(super) async fn flush<L: LedgerWrite, P: PublishWrite>(
    ledger: &L,
    publish: &P,
    shard: &str,
    item: &IdentityMonth,
    events: &[CountedEvent],
) -> Result<Flushed, StoreError> {
    let (totals, added) = add(ledger, shard, item, events).await?;
    let publications = item.publications(&totals, added, events);
    for (limit, published) in &publications {
        publish_one(publish, item, *limit, *published).await?;
    }
    Ok(Flushed {
        added: added.len() as u64,
        known: (events.len() - added.len()) as u64,
        publications: publications.len() as u64,
    })
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
    shard: &str,
    item: &IdentityMonth,
    events: &'a [CountedEvent],
) -> Result<(MonthTotals, &'a [CountedEvent]), StoreError> {
    let mut left = events;
    let mut found = MonthTotals::default();
    for _round in 0..BEHIND_ROUNDS_MAX {
        let Some(update) = item.update(shard, left) else { return Ok((found, left)) };
        match ledger.apply(&update).await? {
            Applied::Added(totals) => return Ok((totals, left)),
            Applied::Behind { watermark, totals } => {
                found = totals;
                left = &left[left.partition_point(|event| event.sequence <= watermark)..];
            }
        }
    }
    Err(StoreError {
        action: "write to the ledger".to_owned(),
        source: format!("another writer was faster {BEHIND_ROUNDS_MAX} times").into(),
    })
}
