//! Counting progress: the newest usage event of each region in a batch, and the log lines counted last.

use std::collections::BTreeMap;

use super::decode::EventRecord;
use super::repeats::{from_text, to_text};
use crate::store::Newest;

/// The progress after counting a shard's records, which must be in order; `None` without usage events. `before` holds the
/// fingerprints of log lines counted earlier.
pub(super) fn newest(shard: &str, records: &[EventRecord], before: &str) -> Option<Newest> {
    let mut regions = BTreeMap::new();
    for event in records.iter().flat_map(|record| &record.events) {
        let newest = regions.entry(event.region.clone()).or_insert(event.time);
        *newest = event.time.max(*newest);
    }
    let sequence = records.last()?.sequence.clone();
    if regions.is_empty() {
        return None;
    }
    let added: Vec<_> =
        records.iter().flat_map(|record| record.fingerprints.iter().flatten().copied()).collect();
    let fingerprints = to_text(from_text(before).into_iter().chain(added));
    Some(Newest { shard: shard.to_owned(), sequence, regions, fingerprints })
}
