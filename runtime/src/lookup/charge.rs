//! Who is charged, and whether a request may go on: the access read, the decision, the own count.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ipgeo_contract::{
    ApiKey, Caller, Charge, DaySecret, Identity, KeyHash, KeyRecord, Limit, Period, Published, QuotaState,
    Site, Verdict, decide_key, foreign_key_hash, quiet_calls,
};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::cache::{Age, Memory};
use super::event::Event;
use super::request::queries;
use super::settings::Settings;
use crate::store::{AccessRead, StoreError};

/// The tier of callers without an API key.
pub(super) const ANONYMOUS: &str = "anonymous";

/// A decided request.
#[derive(Clone, Debug)]
pub(super) struct Decision {
    pub(super) verdict: Verdict,
    /// The caller's tier; empty when no API key was recognised.
    pub(super) tier: String,
    /// Who is charged; empty when no API key was recognised.
    pub(super) charges: Vec<Charge>,
    /// Whom the usage line charges for each of them: the same, or the crowd.
    pub(super) line: Vec<Charge>,
    /// The quota that is nearest to its limit, as it was before this request.
    pub(super) quota: Option<QuotaState>,
    /// Usage after this request, of the API key or the address.
    pub(super) count: u64,
}

/// The decision could not be made: the store failed and nothing is remembered.
#[derive(Debug)]
pub(super) struct Undecided(pub(super) StoreError);

/// What a request brings along to be decided by.
pub(super) struct Asked {
    pub(super) caller: Caller,
    /// The text that is meant as an API key.
    pub(super) key: Option<String>,
    pub(super) cost: u64,
}

impl Asked {
    /// Reads who asks from an event; `None` when the connection's address is not an address.
    pub(super) fn read(event: &Event, cost: u64) -> Option<Self> {
        let address: IpAddr = event.request_context.http.source_ip.parse().ok()?;
        let site = event.header("referer").and_then(Site::from_referer);
        Some(Self { caller: Caller { address: address.to_canonical(), site }, key: key_text(event), cost })
    }
}

/// The API key of a request: the first that is not empty of `x-api-key`, `Authorization: Bearer` and `?api-key=`.
fn key_text(event: &Event) -> Option<String> {
    let bearer = event.header("authorization").and_then(|value| {
        let (scheme, token) = value.trim_start().split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token)
    });
    let filled = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let in_header = [event.header("x-api-key"), bearer].into_iter().flatten().find_map(filled);
    in_header.or_else(|| queries(event, "api-key").find_map(|text| filled(&text)))
}

/// Whom the usage line charges.
fn charge_of_line(charge: &Charge, quiet: bool) -> Charge {
    let identity = if quiet { Identity::crowd(charge.identity.kind()) } else { charge.identity.clone() };
    Charge { identity, limit: charge.limit }
}

/// Decides requests of one environment.
pub(super) struct Gate<'a, A> {
    pub(super) access: &'a A,
    pub(super) memory: &'a Mutex<Memory>,
    pub(super) settings: &'a Settings,
}

impl<A: AccessRead> Gate<'_, A> {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides, and counts what is let through. A warning is a store failure that was lived with.
    pub(super) async fn decide(
        &self,
        asked: &Asked,
        now: Timestamp,
        warn: &mut Vec<StoreError>,
    ) -> Result<Decision, Undecided> {
        match asked.key.as_deref().map(|text| self.key_hash(text)) {
            Some(None) => Ok(Decision::unrecognised(Verdict::MalformedKey)),
            Some(Some(hash)) => {
                let identity = Identity::key(&hash);
                let record = self.key_record(&identity, now, warn).await?;
                Ok(record.map_or(Decision::unrecognised(Verdict::UnknownKey), |record| {
                    self.decide_key(&identity, &record, asked, now)
                }))
            }
            None => Ok(self.decide_anonymous(asked, now, warn).await),
        }
    }

    /// The hash of a text that may be an API key; `None` when its form alone says that it is none.
    fn key_hash(&self, text: &str) -> Option<KeyHash> {
        match text.parse::<ApiKey>() {
            Ok(key) => Some(key.hash()),
            Err(_) if self.settings.foreign_api_keys => foreign_key_hash(text),
            Err(_) => None,
        }
    }

    async fn key_record(
        &self,
        identity: &Identity,
        now: Timestamp,
        warn: &mut Vec<StoreError>,
    ) -> Result<Option<KeyRecord>, Undecided> {
        if let Some(known) = self.memory().key(identity, now, Age::Fresh) {
            return Ok(known);
        }
        match self.access.key(identity).await {
            Ok(record) => {
                self.memory().remember_key(identity, record.clone(), now);
                Ok(record)
            }
            Err(error) => match self.memory().key(identity, now, Age::Any) {
                Some(stale) => {
                    warn.push(error);
                    Ok(stale)
                }
                None => Err(Undecided(error)),
            },
        }
    }

    fn decide_key(&self, identity: &Identity, record: &KeyRecord, asked: &Asked, now: Timestamp) -> Decision {
        let period = Period::of(record.limit.window, now);
        let mut memory = self.memory();
        let used = memory.used(identity, period, record.published.as_ref());
        let verdict = decide_key(record, &asked.caller, used, asked.cost, now);
        if verdict == Verdict::Allowed {
            memory.count(identity, now, asked.cost);
        }
        Decision {
            verdict,
            tier: record.tier.clone(),
            line: vec![Charge { identity: identity.clone(), limit: record.limit }],
            charges: vec![Charge { identity: identity.clone(), limit: record.limit }],
            quota: Some(QuotaState { limit: record.limit, used }),
            count: used.saturating_add(asked.cost),
        }
    }

    /// Anonymous callers are let through when the store fails: absence means allowed. Quiet ones are not
    /// read at all, and are charged to the crowd.
    async fn decide_anonymous(&self, asked: &Asked, now: Timestamp, warn: &mut Vec<StoreError>) -> Decision {
        let charges = self.anonymous_charges(asked, now, warn).await;
        let quiet: Vec<bool> = charges.iter().map(|charge| self.is_quiet(charge, asked.cost, now)).collect();
        let loud = charges.iter().zip(&quiet).filter(|(_, quiet)| !**quiet).map(|(charge, _)| charge);
        let loud: Vec<Identity> = loud.map(|charge| charge.identity.clone()).collect();
        let mut published = self.published(&loud, now, warn).await.into_iter();

        let mut memory = self.memory();
        let quotas: Vec<QuotaState> = charges
            .iter()
            .zip(&quiet)
            .map(|(charge, quiet)| {
                let period = Period::of(charge.limit.window, now);
                let published = if *quiet { None } else { published.next().flatten() };
                let used = memory.used(&charge.identity, period, published.as_ref());
                QuotaState { limit: charge.limit, used }
            })
            .collect();
        let admitted = quotas.iter().all(|quota| quota.admits(asked.cost));
        if admitted {
            for charge in &charges {
                memory.count(&charge.identity, now, asked.cost);
            }
        }
        let count = quotas.first().map_or(0, |quota| quota.used).saturating_add(asked.cost);
        Decision {
            verdict: if admitted { Verdict::Allowed } else { Verdict::OverQuota },
            tier: ANONYMOUS.to_owned(),
            line: charges.iter().zip(quiet).map(|(charge, quiet)| charge_of_line(charge, quiet)).collect(),
            charges,
            quota: quotas.into_iter().min_by_key(QuotaState::remaining),
            count,
        }
    }

    async fn anonymous_charges(
        &self,
        asked: &Asked,
        now: Timestamp,
        warn: &mut Vec<StoreError>,
    ) -> Vec<Charge> {
        let mut charges: Vec<Charge> = Vec::with_capacity(2);
        if let Some(secret) = self.day_secret(now, warn).await {
            let identity = Identity::address(&secret, asked.caller.address);
            charges.push(Charge { identity, limit: self.settings.anonymous_limit });
        }
        if let Some(site) = &asked.caller.site {
            let identity = Identity::site(site);
            charges.push(Charge { identity, limit: self.settings.anonymous_site_limit });
        }
        charges
    }

    /// Whether this environment has let so few calls through that it need not ask what others did.
    fn is_quiet(&self, charge: &Charge, cost: u64, now: Timestamp) -> bool {
        let most = quiet_calls(charge.identity.kind(), charge.limit, self.settings.quiet_permille);
        if cost > most {
            return false;
        }
        let mut memory = self.memory();
        // Whoever was read before and is near a limit stays known.
        if memory.published(&charge.identity, now, Age::Any).flatten().is_some() {
            return false;
        }
        let own = memory.used(&charge.identity, Period::of(charge.limit.window, now), None);
        own.saturating_add(cost.max(1)) <= most
    }

    async fn day_secret(&self, now: Timestamp, warn: &mut Vec<StoreError>) -> Option<DaySecret> {
        let date = TimeZone::UTC.to_datetime(now).date();
        let known = self.memory().day_secret(date);
        if known.is_some() {
            return known;
        }
        match self.access.address_secret().await {
            Ok(Some(secret)) => {
                let mut memory = self.memory();
                memory.remember_secret(secret);
                memory.day_secret(date)
            }
            Ok(None) => None,
            Err(error) => {
                warn.push(error);
                None
            }
        }
    }

    async fn published(
        &self,
        identities: &[Identity],
        now: Timestamp,
        warn: &mut Vec<StoreError>,
    ) -> Vec<Option<Published>> {
        let remembered = |age| -> Vec<Option<Option<Published>>> {
            let mut memory = self.memory();
            identities.iter().map(|identity| memory.published(identity, now, age)).collect()
        };
        let known = remembered(Age::Fresh);
        if known.iter().all(Option::is_some) {
            return known.into_iter().map(Option::flatten).collect();
        }
        match self.access.published(identities).await {
            Ok(found) => {
                let mut memory = self.memory();
                for (identity, published) in identities.iter().zip(&found) {
                    memory.remember_published(identity, *published, now);
                }
                found
            }
            Err(error) => {
                warn.push(error);
                remembered(Age::Any).into_iter().map(Option::flatten).collect()
            }
        }
    }

    /// Takes back what was counted and is not charged after all.
    pub(super) fn take_back(&self, decision: &Decision, now: Timestamp, calls: u64) {
        let mut memory = self.memory();
        for charge in &decision.charges {
            memory.take_back(&charge.identity, now, calls);
        }
    }
}

impl Decision {
    fn unrecognised(verdict: Verdict) -> Self {
        Self { verdict, tier: String::new(), charges: Vec::new(), line: Vec::new(), quota: None, count: 0 }
    }

    /// The limit that refused, for the message; of no matter for the other refusals.
    pub(super) fn limit(&self, settings: &Settings) -> Limit {
        self.quota.map_or(settings.anonymous_limit, |quota| quota.limit)
    }
}
