//! Counting progress: the newest usage event of each region in a batch, and the log lines counted last.
//!
//! A replay reads records that Lambda gave up, too, and can't count what later records have passed. Lines before the shard's last gap
//! are therefore not saved as counted: a recovery would leave them out as repeats.

use std::collections::BTreeMap;

use super::decode::EventRecord;
use super::repeats::{from_text, to_text};
use crate::store::{Newest, ShardNote};

/// The progress after counting a shard's records, which must be in order; `None` without usage events. `before` is the progress
/// saved earlier.
pub(super) fn newest(shard: &str, records: &[EventRecord], before: &ShardNote) -> Option<Newest> {
    let mut regions = BTreeMap::new();
    for event in records.iter().flat_map(|record| &record.events) {
        let newest = regions.entry(event.region.clone()).or_insert(event.time);
        *newest = event.time.max(*newest);
    }
    let sequence = records.last()?.sequence.clone();
    if regions.is_empty() {
        return None;
    }
    let is_counted =
        |record: &&EventRecord| before.gaps.last().is_none_or(|gap| gap.behind <= record.sequence);
    let counted = records.iter().filter(is_counted);
    let added: Vec<_> = counted.flat_map(|record| record.fingerprints.iter().flatten().copied()).collect();
    let fingerprints = to_text(from_text(&before.fingerprints).into_iter().chain(added));
    Some(Newest { shard: shard.to_owned(), sequence, regions, fingerprints })
}
