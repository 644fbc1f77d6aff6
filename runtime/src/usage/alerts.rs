//! Alerts of one counter: the thresholds, and which alerts are known to be recorded, so that each is written once
//! by it however long its API key stays beyond a limit. What is not remembered is only tried again.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ipgeo_contract::{Identity, IdentityKind, Limit, Period, Published, Thresholds};

use crate::store::{Alert, LedgerWrite, StoreError};

/// Alerts remembered; beyond them all are forgotten.
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

    /// The alerts that usage has reached by a limit and that are not known to be recorded.
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

    /// Records the thresholds that usage has reached; returns those that are new. All that are reached and not known are
    /// tried every time: the condition of the write keeps each to once in a period and limit, whatever was
    /// redelivered, and none is lost in a crash between publication and alert.
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
