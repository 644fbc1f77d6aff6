//! How far the counting is: the newest usage event of each region in a batch.

use std::collections::BTreeMap;

use super::decode::EventRecord;
use crate::store::Newest;

/// What a shard's records, which must be in order, bring the counting to; `None` without usage events.
pub(super) fn newest(shard: &str, records: &[&EventRecord]) -> Option<Newest> {
    let mut regions = BTreeMap::new();
    for event in records.iter().flat_map(|record| &record.events) {
        let newest = regions.entry(event.region.clone()).or_insert(event.time);
        *newest = event.time.max(*newest);
    }
    let sequence = records.last()?.sequence.clone();
    (!regions.is_empty()).then(|| Newest { shard: shard.to_owned(), sequence, regions })
}
