//! One change of a service at a time: a lock with an owner and an end, stored in home's access table.
//!
//! The owner renews it. A lock that has ended may be taken over, so a killed owner blocks nobody for long. Clocks of
//! operators may differ: AWS refuses requests whose time is more than five minutes off, so two clocks differ by at most
//! ten. An owner therefore trusts its lock only [`TRUST`] after the last renewal, and a lock ends [`LEASE`] after it,
//! which is later by any of these clocks.
//!
//! Before the first deploy has created the table there is no lock. Until then CloudFormation itself lets only one
//! operator create each stack, and steps compare what they find.

use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use tokio::time::Instant;

use crate::infra::cloud::Problem;

/// How long a lock lasts after its last renewal.
pub const LEASE: Duration = Duration::from_mins(15);
/// How long after its last renewal the owner may start steps.
pub const TRUST: Duration = Duration::from_mins(4);
/// Pause between two renewals.
const RENEW: Duration = Duration::from_secs(30);
/// Operations of this prefix take seconds, so others wait for them.
const SHORT: &str = "traffic";
/// How long others wait for them, and how often they look.
const WAIT: Duration = Duration::from_secs(90);
const LOOK: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LockItem {
    /// Distinguishes runs of one owner.
    pub token: String,
    /// `anna@laptop`.
    pub owner: String,
    /// `deploy`, `traffic drain`, …
    pub operation: String,
    pub since: Timestamp,
    pub until: Timestamp,
}

impl LockItem {
    /// `anna@laptop (ipgeo deploy, since …)`.
    fn text(&self) -> String {
        format!("{} (ipgeo {}, since {})", self.owner, self.operation, self.since)
    }
}

/// The effect of a conditional write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Put {
    Done,
    /// Another item is there, and stays.
    Held(LockItem),
    /// The replaced item is gone.
    Gone,
    NoTable,
}

pub trait LockStore: Sync {
    /// Reads the stored lock: [`Put::Held`], [`Put::Gone`] or [`Put::NoTable`].
    fn read(&self) -> impl Future<Output = Result<Put, Problem>> + Send;

    /// Writes an item if exactly `seen` is there (`None`: nothing).
    fn put(
        &self,
        item: &LockItem,
        seen: Option<&LockItem>,
    ) -> impl Future<Output = Result<Put, Problem>> + Send;

    /// Deletes the item if it has this token.
    fn delete(&self, token: &str) -> impl Future<Output = Result<(), Problem>> + Send;
}

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error(
        "{} is changing this service: ipgeo {}, since {}; its lock ends at {} unless it is renewed\nhelp: wait for it; if that process is gone, pass --break-lock",
        .0.owner, .0.operation, .0.since, .0.until
    )]
    Held(LockItem),
    #[error("cannot take the lock: {0}")]
    Store(Problem),
    #[error("the lock was lost: {0}")]
    Lost(String),
}

impl LockError {
    /// Another run's lock as a problem, for programs.
    pub fn problem(&self) -> Option<Problem> {
        let text = self.to_string();
        let (what, remedy) = text.split_once("\nhelp: ")?;
        matches!(self, Self::Held(_)).then(|| Problem::new(what, remedy))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub token: String,
    pub owner: String,
    pub operation: String,
    pub by_force: bool,
    /// The token of a run whose process is known to be gone.
    pub gone: Option<String>,
}

impl Claim {
    /// Whether another run's lock has ended.
    fn may_replace(&self, other: &LockItem, now: Timestamp) -> bool {
        other.until <= now || self.gone.as_ref() == Some(&other.token)
    }

    fn item(&self, since: Timestamp, now: Timestamp) -> LockItem {
        let (token, owner, operation) = (self.token.clone(), self.owner.clone(), self.operation.clone());
        // To the second, so that an item is the same after it was stored as text.
        let whole = |time: Timestamp| Timestamp::from_second(time.as_second()).unwrap_or(time);
        LockItem { token, owner, operation, since: whole(since), until: whole(now + LEASE) }
    }
}

pub struct Lock<'a, S> {
    store: &'a S,
    claim: Claim,
    /// Time by this machine's clock.
    now: &'a (dyn Fn() -> Timestamp + Sync),
    /// What is stored; `None`: there is no table yet.
    item: Option<LockItem>,
    renewed: Instant,
}

impl<'a, S: LockStore> Lock<'a, S> {
    /// Fails if another run has the lock and [`Lock::take`] would neither wait for it nor take it over. Nothing is written.
    pub async fn check(store: &S, claim: &Claim, now: Timestamp) -> Result<(), LockError> {
        match store.read().await.map_err(LockError::Store)? {
            Put::Held(other)
                if !claim.by_force
                    && !claim.may_replace(&other, now)
                    && !other.operation.starts_with(SHORT) =>
            {
                Err(LockError::Held(other))
            }
            _ => Ok(()),
        }
    }

    /// Takes the lock; `note` gets what the operator should know.
    pub async fn take(
        store: &'a S,
        claim: Claim,
        now: &'a (dyn Fn() -> Timestamp + Sync),
        note: &(dyn Fn(&str) + Sync),
    ) -> Result<Self, LockError> {
        let (began, mut waiting) = (Instant::now(), false);
        let mut lock = Self { store, claim, now, item: None, renewed: began };
        loop {
            match lock.attempt(lock.claim.by_force, note).await {
                Err(LockError::Held(other))
                    if other.operation.starts_with(SHORT) && began.elapsed() < WAIT =>
                {
                    if !std::mem::replace(&mut waiting, true) {
                        note(&format!("waiting for {}", other.text()));
                    }
                    tokio::time::sleep(LOOK).await;
                }
                ended => return ended.map(|()| lock),
            }
        }
    }

    /// One attempt to take it: if it is free, if it has ended, or by force.
    async fn attempt(&mut self, by_force: bool, note: &(dyn Fn(&str) + Sync)) -> Result<(), LockError> {
        let mut seen: Option<LockItem> = None;
        loop {
            let (asked, now) = (Instant::now(), (self.now)());
            let item = self.claim.item(now, now);
            match self.store.put(&item, seen.as_ref()).await.map_err(LockError::Store)? {
                Put::Done => {
                    if let Some(other) = seen.filter(|other| other.token != item.token) {
                        let why = match () {
                            () if other.until <= now => "it had ended",
                            () if self.claim.may_replace(&other, now) => "that process is gone",
                            () => "--break-lock",
                        };
                        note(&format!("took the lock of {}: {why}", other.text()));
                    }
                    (self.item, self.renewed) = (Some(item), asked);
                    return Ok(());
                }
                Put::NoTable => {
                    (self.item, self.renewed) = (None, asked);
                    return Ok(());
                }
                Put::Gone => seen = None,
                // The answer to an earlier try of ours was lost.
                Put::Held(other) if other.token == self.claim.token => seen = Some(other),
                Put::Held(other) if by_force || self.claim.may_replace(&other, now) => {
                    seen = Some(other);
                }
                Put::Held(other) => return Err(LockError::Held(other)),
            }
        }
    }

    /// Whether steps may be started.
    pub fn is_trusted(&self) -> bool {
        self.item.is_none() || self.renewed.elapsed() < TRUST
    }

    /// Renews it once. An error of the store is no loss yet: it may pass.
    pub async fn renew(&mut self) -> Result<(), LockError> {
        let Some(seen) = self.item.clone() else {
            // The first deploy creates the table; by then another one may have taken the lock.
            return match self.attempt(false, &|_| {}).await {
                Err(LockError::Held(other)) => Err(LockError::Lost(format!("{} has it", other.text()))),
                _ => Ok(()),
            };
        };
        let asked = Instant::now();
        let item = self.claim.item(seen.since, (self.now)());
        match self.store.put(&item, Some(&seen)).await {
            Ok(Put::Done) => (self.item, self.renewed) = (Some(item), asked),
            // The answer to an earlier renewal was lost.
            Ok(Put::Held(other)) if other.token == item.token => self.item = Some(other),
            Ok(Put::Held(other)) => return Err(LockError::Lost(format!("{} has it", other.text()))),
            Ok(Put::Gone) => return Err(LockError::Lost("somebody has broken it".to_owned())),
            // A destroy deletes the table, and nobody can take the lock then.
            Ok(Put::NoTable) => self.item = None,
            Err(problem) if !self.is_trusted() => {
                return Err(LockError::Lost(format!("it could not be renewed: {problem}")));
            }
            Err(_) => {}
        }
        Ok(())
    }

    /// Renews it until it is lost.
    pub async fn keep(&mut self) -> LockError {
        loop {
            tokio::time::sleep(RENEW).await;
            if let Err(lost) = self.renew().await {
                return lost;
            }
        }
    }

    /// Releases it. A failure is harmless: the lock expires.
    pub async fn release(self) {
        if self.item.is_some() {
            let _ = self.store.delete(&self.claim.token).await;
        }
    }
}
