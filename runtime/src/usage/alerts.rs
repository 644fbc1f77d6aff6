//! Quota alerts: the thresholds, and a cache of recorded alerts, so that a counter writes each once, however long its API key
//! stays beyond a limit. An alert missing from the cache is merely written again, without effect.
//!
//! The counter itself sends alerts through SNS: a stream of the ledger's changes would need two more resources, can't be tried on
//! a laptop, and would poll for months to send a handful of messages.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ipgeo_contract::{Identity, IdentityKind, Limit, Period, Published, Thresholds};

use crate::store::{Alert, LedgerWrite, StoreError};

/// Maximum cached alerts; beyond that the cache is cleared.
const KNOWN_MAX: usize = 10_000;

type Known = HashSet<(Identity, Period, u8, Limit)>;

/// Records the alerts of API keys.
#[derive(Debug, Default)]
pub(super) struct Alerts {
    thresholds: Thresholds,
    known: Mutex<Known>,
}

impl Alerts {
    pub(super) fn new(thresholds: Thresholds) -> Self {
        Self { thresholds, known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The alerts that usage has reached for a limit and that are not cached as recorded.
    pub(super) fn due(&self, identity: &Identity, limit: Limit, published: Published) -> Vec<Alert> {
        if identity.kind() != IdentityKind::Key {
            return Vec::new();
        }
        let Published { period, used, as_of } = published;
        let known = self.known();
        self.thresholds
            .reached(used, limit)
            .filter(|percent| !known.contains(&(identity.clone(), period, *percent, limit)))
            .map(|percent| Alert { identity: identity.clone(), period, percent, limit, used, as_of })
            .collect()
    }

    /// Records the thresholds that usage has reached; returns the new ones. All that are reached and not cached are written
    /// each time: a write condition keeps each to once per period and limit, whatever is redelivered, and a crash between
    /// publication and alert loses none.
    pub(super) async fn record<L: LedgerWrite>(
        &self,
        ledger: &L,
        identity: &Identity,
        limit: Limit,
        published: Published,
    ) -> Result<Vec<Alert>, StoreError> {
        let mut new = Vec::new();
        for alert in self.due(identity, limit, published) {
            let is_new = ledger.record_alert(&alert).await?;
            let mut known = self.known();
            if known.len() >= KNOWN_MAX {
                known.clear();
            }
            known.insert((identity.clone(), alert.period, alert.percent, limit));
            if is_new {
                new.push(alert);
            }
        }
        Ok(new)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::store::{Applied, LedgerUpdate};

    /// Counts the alerts that are written.
    #[derive(Default)]
    struct Writes(AtomicUsize);

    impl LedgerWrite for Writes {
        async fn apply(&self, _update: &LedgerUpdate) -> Result<Applied, StoreError> {
            unreachable!("alerts only")
        }

        async fn record_alert(&self, _alert: &Alert) -> Result<bool, StoreError> {
            Ok(self.0.fetch_add(1, Ordering::Relaxed) == 0)
        }
    }

    #[tokio::test]
    async fn an_alert_is_written_once_by_a_counter_that_remembers_it() {
        let (ledger, alerts) = (Writes::default(), Alerts::new("50,80".parse().expect("thresholds")));
        let identity: Identity = "key#00ff".parse().expect("an identity");
        let period = "2026-11-24".parse().expect("a period");
        let limit: Limit = "10/day".parse().expect("a limit");
        for (used, new, written) in [(4, 0, 0), (9, 1, 2), (10, 0, 2)] {
            let usage = Published { period, used, as_of: jiff::Timestamp::UNIX_EPOCH };
            let found = alerts.record(&ledger, &identity, limit, usage).await.expect("written");
            assert_eq!((found.len(), ledger.0.load(Ordering::Relaxed)), (new, written), "{used}");
        }
    }
}
