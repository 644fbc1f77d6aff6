//! The effects of the usage handler: adds totals to the ledger, and publishes usage that edges may not know.

use ipgeo_contract::Published;

use super::alerts::Alerts;
use super::shards::Shard;
use super::totals::{CountedEvent, IdentityMonth, Publication};
use crate::store::{Alert, Applied, LedgerWrite, MonthTotals, PublishWrite, StoreError};

/// Maximum attempts before an item's records are left to redelivery: each refusal means that another writer has just written
/// the item.
const BEHIND_ROUNDS_MAX: usize = 8;

/// The result of flushing one item's events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flushed {
    /// Events added to the ledger.
    pub added: u64,
    /// Events that the ledger already had.
    pub known: u64,
    /// Publications written.
    pub publications: u64,
    /// Alerts that were not recorded before.
    pub alerts: Vec<Alert>,
}

/// Adds an item's events to the ledger, then publishes usage that edges may not know. After any failure, it may be repeated
/// with the same events.
pub(super) async fn flush<L: LedgerWrite, P: PublishWrite>(
    ledger: &L,
    publish: &P,
    alerts: &Alerts,
    shard: &Shard,
    item: &IdentityMonth,
    events: &[CountedEvent],
) -> Result<Flushed, StoreError> {
    let (totals, added) = add(ledger, shard, item, events).await?;
    let mut flushed = Flushed {
        added: added.len() as u64,
        known: (events.len() - added.len()) as u64,
        ..Flushed::default()
    };
    let identity = &item.identity;
    let as_of = shard.as_of(&totals);
    let for_edges = |published: Published| Published { as_of: published.as_of.max(as_of), ..published };
    for Publication { limit, published, known } in item.publications(&totals, added, events) {
        if known && alerts.due(identity, limit, published).is_empty() {
            continue;
        }
        // A limit with a different window than the API key's is ignored; alerts use the current limit.
        let holds = publish.publish(identity, limit, for_edges(published)).await?.unwrap_or(limit);
        let mut current = published;
        if holds.window != limit.window {
            current = IdentityMonth::published(&totals, holds.window, published.as_of);
            publish.publish(identity, holds, for_edges(current)).await?;
        }
        flushed.publications += 1;
        flushed.alerts.extend(alerts.record(ledger, identity, holds, current).await?);
    }
    Ok(flushed)
}

/// Adds those of `events` that the ledger does not have; returns the new totals and the added events.
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
