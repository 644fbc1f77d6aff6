//! A tier's limit in the records of its API keys: each record holds its effective limit, so that one read decides.

use futures_util::StreamExt as _;
use ipgeo_contract::{KeyRecord, Limit};
use ipgeo_runtime::dynamo::KeyChange;

use super::store::KeyStore;

/// Records changed at once.
const CHANGES_AT_ONCE: usize = 16;

/// Gives the API keys that have a tier's old limit its new one, and returns how many there were. One with a limit of
/// its own keeps it. `tell` hears how many are done, and of how many.
pub async fn change_tier(
    home: &impl KeyStore,
    tier: &str,
    from: Limit,
    to: Limit,
    tell: impl Fn(usize, usize),
) -> Result<usize, Box<dyn std::error::Error + Send + Sync>> {
    let is_one = |record: &KeyRecord| record.tier == tier && record.limit == from;
    let keys = home.list().await?;
    let theirs: Vec<_> = keys.into_iter().filter(|(_, record)| is_one(record)).collect();
    let total = theirs.len();
    let change = KeyChange { limit: Some(to), ..KeyChange::default() };
    let change = &change;
    let changes = theirs.into_iter().map(|(identity, _)| async move { home.change(&identity, change).await });
    let mut changes = futures_util::stream::iter(changes).buffer_unordered(CHANGES_AT_ONCE);
    let mut done = 0;
    while let Some(changed) = changes.next().await {
        changed?;
        done += 1;
        tell(done, total);
    }
    Ok(total)
}
