//! Changes a tier's limit in the records of its API keys. Each record holds its effective limit, so that an edge decides
//! with one read; a deploy and `ipgeo dev` call this when a limit in regions.toml has changed.

use futures_util::StreamExt as _;
use ipgeo_contract::{KeyRecord, Limit};
use ipgeo_runtime::dynamo::KeyChange;

use super::store::KeyStore;

const PARALLEL_CHANGES: usize = 16;

/// Changes the API keys with a tier's old limit to its new one, and returns how many there were. An API key with a limit
/// of its own keeps it. Calls `progress` with the number done and the total.
pub(crate) async fn change_tier(
    home: &impl KeyStore,
    tier: &str,
    from: Limit,
    to: Limit,
    progress: impl Fn(usize, usize),
) -> Result<usize, Box<dyn std::error::Error + Send + Sync>> {
    let has_tier_limit = |record: &KeyRecord| record.tier == tier && record.limit == from;
    let keys = home.list().await?;
    let theirs: Vec<_> = keys.into_iter().filter(|(_, record)| has_tier_limit(record)).collect();
    let total = theirs.len();
    let change = KeyChange { limit: Some(to), ..KeyChange::default() };
    let change = &change;
    let changes = theirs.into_iter().map(|(identity, _)| async move { home.change(&identity, change).await });
    let mut changes = futures_util::stream::iter(changes).buffer_unordered(PARALLEL_CHANGES);
    let mut done = 0;
    while let Some(changed) = changes.next().await {
        changed?;
        done += 1;
        progress(done, total);
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use ipgeo_contract::Identity;

    use super::super::testing::{MemoryKeyStore, key_record};
    use super::*;

    fn limit(text: &str) -> Limit {
        text.parse().expect("a limit")
    }

    #[tokio::test]
    async fn a_tier_change_keeps_individual_limits() {
        let store = MemoryKeyStore::default();
        // (API key, tier, limit, limit afterwards)
        let table = [
            ("key#01", "startup", "100/month", "50/day"),
            ("key#02", "startup", "100/month", "50/day"),
            ("key#03", "startup", "70/month", "70/month"),
            ("key#04", "business", "100/month", "100/month"),
        ];
        for (key, tier, calls, _) in table {
            let record = KeyRecord { tier: tier.into(), ..key_record(calls) };
            store.put(&key.parse().expect("an identity"), &record).await.expect("stored");
        }
        let reported = Mutex::new(Vec::new());
        let progress = |done, total| reported.lock().expect("unpoisoned").push((done, total));
        let change = |from, to| change_tier(&store, "startup", limit(from), limit(to), &progress);
        assert_eq!(change("100/month", "50/day").await.expect("changed"), 2);
        // A repeated run finds nothing to do.
        assert_eq!(change("100/month", "50/day").await.expect("changed"), 0);
        assert_eq!(*reported.lock().expect("unpoisoned"), [(1, 2), (2, 2)]);
        let records = &store.state().items;
        for (key, _, _, expected) in table {
            let identity: Identity = key.parse().expect("an identity");
            assert_eq!(records[&identity].limit, limit(expected), "{key}");
        }
    }
}
