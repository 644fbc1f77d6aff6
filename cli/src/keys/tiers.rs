//! Updates a tier's limit in the records of its API keys: each record holds its effective limit, so that one read decides.

use futures_util::StreamExt as _;
use ipgeo_contract::{KeyRecord, Limit};
use ipgeo_runtime::dynamo::KeyChange;

use super::store::KeyStore;

/// Records changed in parallel.
const CHANGES_AT_ONCE: usize = 16;

/// Changes the API keys with a tier's old limit to its new one, and returns how many there were. An API key with a limit
/// of its own keeps it. `tell` is called with the number done and the total.
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    use ipgeo_contract::{Identity, Status};
    use ipgeo_runtime::dynamo::KeyWriteError;
    use ipgeo_runtime::store::StoreError;

    use super::*;

    /// Records in memory.
    struct Records(Mutex<BTreeMap<Identity, KeyRecord>>);

    impl KeyStore for Records {
        async fn list(&self) -> Result<Vec<(Identity, KeyRecord)>, StoreError> {
            Ok(self.0.lock().expect("unpoisoned").clone().into_iter().collect())
        }

        async fn put(&self, identity: &Identity, record: &KeyRecord) -> Result<(), KeyWriteError> {
            self.0.lock().expect("unpoisoned").insert(identity.clone(), record.clone());
            Ok(())
        }

        async fn change(&self, identity: &Identity, change: &KeyChange) -> Result<KeyRecord, KeyWriteError> {
            let mut records = self.0.lock().expect("unpoisoned");
            let record = records.get_mut(identity).ok_or(KeyWriteError::Missing)?;
            record.limit = change.limit.unwrap_or(record.limit);
            Ok(record.clone())
        }
    }

    fn limit(text: &str) -> Limit {
        text.parse().expect("a limit")
    }

    #[tokio::test]
    async fn a_tiers_api_keys_get_its_limit_and_those_with_their_own_keep_it() {
        let store = Records(Mutex::default());
        // (API key, tier, limit, limit then)
        let table = [
            ("key#01", "startup", "100/month", "50/day"),
            ("key#02", "startup", "100/month", "50/day"),
            ("key#03", "startup", "70/month", "70/month"),
            ("key#04", "business", "100/month", "100/month"),
        ];
        for (key, tier, calls, _) in table {
            let record = KeyRecord {
                owner: "acme".into(),
                tier: tier.into(),
                limit: limit(calls),
                status: Status::Active,
                expires: None,
                sites: vec![],
                networks: vec![],
                hint: "ipg_…x3Kq".into(),
                created: jiff::Timestamp::UNIX_EPOCH,
                published: None,
            };
            store.put(&key.parse().expect("an identity"), &record).await.expect("stored");
        }
        let heard = Mutex::new(Vec::new());
        let tell = |done, total| heard.lock().expect("unpoisoned").push((done, total));
        let change = |from, to| change_tier(&store, "startup", limit(from), limit(to), &tell);
        assert_eq!(change("100/month", "50/day").await.expect("changed"), 2);
        // A repeated run finds nothing to do.
        assert_eq!(change("100/month", "50/day").await.expect("changed"), 0);
        assert_eq!(*heard.lock().expect("unpoisoned"), [(1, 2), (2, 2)]);
        let records = store.0.lock().expect("unpoisoned");
        for (key, _, _, then) in table {
            let identity: Identity = key.parse().expect("an identity");
            assert_eq!(records[&identity].limit, limit(then), "{key}");
        }
    }
}
