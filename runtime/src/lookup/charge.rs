//! Decides a request: reads the access table, checks the quotas, and counts what is admitted.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ipgeo_contract::{
    ApiKey, Caller, Charge, DaySecret, Identity, IdentityKind, KeyHash, KeyRecord, Period, Published,
    QuotaState, RateLimit, RateState, Site, Verdict, decide_key, foreign_key_hash, pooled_calls,
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
    /// Who is charged; empty if neither the API key nor the address secret is known.
    pub(super) charges: Vec<Charge>,
    /// The same charges as in the usage line, where callers with few calls are pooled.
    pub(super) line: Vec<Charge>,
    /// The quota nearest to its limit, before this request.
    pub(super) quota: Option<QuotaState>,
    /// The short rate nearest to its limit: after this request, or as it refused it.
    pub(super) rate: Option<RateState>,
    /// Calls charged for a refusal: one if the API key is malformed or unknown.
    pub(super) cost: u64,
    /// Whether the request was refused because of its API key: malformed, unknown, or too many of those.
    pub(super) is_of_key: bool,
    /// Usage after this request, of the API key or the address.
    pub(super) count: u64,
    /// Whether the answer may be explained.
    pub(super) may_explain: bool,
}

/// No decision is possible: the store failed, and the API key is not cached.
#[derive(Debug)]
pub(super) struct StoreUnavailable(pub(super) StoreError);

/// What a request is decided by.
pub(super) struct ChargeRequest {
    pub(super) caller: Caller,
    /// The text sent as an API key.
    pub(super) key: Option<String>,
    pub(super) cost: u64,
}

impl ChargeRequest {
    /// Reads it from an event; `None` if the connection's address is malformed.
    pub(super) fn read(event: &Event, cost: u64) -> Option<Self> {
        let address: IpAddr = event.request_context.http.source_ip.parse().ok()?;
        let site = event.header("referer").and_then(Site::from_referer);
        Some(Self { caller: Caller { address: address.to_canonical(), site }, key: key_text(event), cost })
    }
}

/// The API key of a request: the first non-empty one of `x-api-key`, `Authorization: Bearer` and `?api-key=`.
fn key_text(event: &Event) -> Option<String> {
    let bearer = event.header("authorization").and_then(|value| {
        let (scheme, token) = value.trim_start().split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token)
    });
    let filled = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let in_header = [event.header("x-api-key"), bearer].into_iter().flatten().find_map(filled);
    in_header.or_else(|| queries(event, "api-key").find_map(|text| filled(&text)))
}

/// The hash of a text that may be an API key.
struct Claimed {
    hash: KeyHash,
    /// In another format than ours: it may have been chosen by a person and be guessable. Ours are random.
    is_foreign: bool,
}

/// The charge as in the usage line: callers with few calls are pooled.
fn charge_of_line(charge: &Charge, quiet: bool) -> Charge {
    let identity = if quiet { Identity::pooled(charge.identity.kind()) } else { charge.identity.clone() };
    Charge { identity, limit: charge.limit }
}

/// The verdict of a request whose verdict by its quota is `verdict`, with the short rates of its identities.
fn by_rate(
    verdict: Verdict,
    rates: &[(&Identity, RateLimit)],
    memory: &mut Memory,
    cost: u64,
    now: Timestamp,
) -> (Verdict, Option<RateState>) {
    let is_admitted = verdict == Verdict::Allowed;
    let rate = memory.take(rates, cost, is_admitted, now);
    let refuses = is_admitted && rate.is_some_and(|rate| rate.retry_after_s > 0);
    (if refuses { Verdict::OverRate } else { verdict }, rate)
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

    /// Decides a request, and counts it if it is admitted. Store failures that did not prevent the decision are added to `warn`.
    pub(super) async fn decide(
        &self,
        request: &ChargeRequest,
        now: Timestamp,
        warn: &mut Vec<StoreError>,
    ) -> Result<Decision, StoreUnavailable> {
        let Some(text) = request.key.as_deref() else {
            return Ok(self.decide_anonymous(request, now, warn).await);
        };
        let Some(Claimed { hash, is_foreign }) = self.claimed(text) else {
            return Ok(self.refuse_key(Verdict::MalformedKey, request, now, warn).await);
        };
        let identity = Identity::key(&hash);
        // Once an address's guesses are used up, the next response must not reveal whether a guess is right. An API key
        // that this environment has already served is not a guess.
        let is_guess = is_foreign && self.memory().key(&identity, now, Age::Any).flatten().is_none();
        if is_guess && let Some(refusal) = self.refuse_guess(request, now, warn).await {
            return Ok(refusal);
        }
        match self.key_record(&identity, now, warn).await? {
            Some(record) => Ok(self.decide_key(&identity, &record, request, now)),
            None => Ok(self.refuse_key(Verdict::UnknownKey, request, now, warn).await),
        }
    }

    /// Parses a text that may be an API key; `None` if its format rules it out.
    fn claimed(&self, text: &str) -> Option<Claimed> {
        match text.parse::<ApiKey>() {
            Ok(key) => Some(Claimed { hash: key.hash(), is_foreign: false }),
            Err(_) if self.settings.foreign_api_keys => {
                foreign_key_hash(text).map(|hash| Claimed { hash, is_foreign: true })
            }
            Err(_) => None,
        }
    }

    /// Refuses a request whose API key is malformed or unknown, and charges it to the caller's address.
    async fn refuse_key(
        &self,
        verdict: Verdict,
        request: &ChargeRequest,
        now: Timestamp,
        warn: &mut Vec<StoreError>,
    ) -> Decision {
        let Some(secret) = self.day_secret(now, warn).await else {
            return Decision::refused_key(verdict, None, false);
        };
        let (charge, used, quiet) = self.refused_keys(&secret, request, now, warn).await;
        let quota = QuotaState { limit: charge.limit, used };
        if !quota.admits(1) {
            return Decision::refused_key(Verdict::OverQuota, Some((charge, quota)), quiet);
        }
        self.memory().count(&charge.identity, now, 1);
        Decision::refused_key(verdict, Some((charge, quota)), quiet)
    }

    /// Refuses a request without a read if its address's guesses are used up. An environment that has not loaded the address
    /// secret has counted no guesses, and does not load it for this.
    async fn refuse_guess(
        &self,
        request: &ChargeRequest,
        now: Timestamp,
        warn: &mut Vec<StoreError>,
    ) -> Option<Decision> {
        let secret = self.memory().day_secret(TimeZone::UTC.to_datetime(now).date())?;
        let (charge, used, quiet) = self.refused_keys(&secret, request, now, warn).await;
        let quota = QuotaState { limit: charge.limit, used };
        (!quota.admits(1)).then(|| Decision::refused_key(Verdict::OverQuota, Some((charge, quota)), quiet))
    }

    /// The identity charged for a request with a malformed or unknown API key, its count so far, and whether the caller is
    /// quiet. Counts of other environments are only read for addresses that sent such a request here, so a request with a
    /// known API key costs one read.
    async fn refused_keys(
        &self,
        secret: &DaySecret,
        request: &ChargeRequest,
        now: Timestamp,
        warn: &mut Vec<StoreError>,
    ) -> (Charge, u64, bool) {
        let identity = Identity::refused_keys(secret, request.caller.address);
        let charge = Charge { identity, limit: self.settings.anonymous_limit };
        let period = Period::new(charge.limit.window, now);
        let quiet = self.is_quiet(&charge, 1, now);
        let is_first = {
            let mut memory = self.memory();
            let known = memory.published(&charge, now, Age::Any).flatten();
            known.is_none() && memory.used(&charge.identity, period, None) == 0
        };
        let published = if quiet || is_first {
            None
        } else {
            self.published(std::slice::from_ref(&charge), now, warn).await.into_iter().next().flatten()
        };
        let used = self.memory().used(&charge.identity, period, published.as_ref());
        (charge, used, quiet)
    }

    async fn key_record(
        &self,
        identity: &Identity,
        now: Timestamp,
        warn: &mut Vec<StoreError>,
    ) -> Result<Option<KeyRecord>, StoreUnavailable> {
        if let Some(known) = self.memory().key(identity, now, Age::Fresh) {
            return Ok(known);
        }
        match self.access.key(identity).await {
            Ok(mut record) => {
                let mut memory = self.memory();
                if let Some(record) = &mut record {
                    record.published =
                        record.published.map(|published| memory.as_read(identity, published, now));
                }
                memory.remember_key(identity, record.clone(), now);
                Ok(record)
            }
            Err(error) => match self.memory().key(identity, now, Age::Any) {
                Some(stale) => {
                    warn.push(error);
                    Ok(stale)
                }
                None => Err(StoreUnavailable(error)),
            },
        }
    }

    fn decide_key(
        &self,
        identity: &Identity,
        record: &KeyRecord,
        request: &ChargeRequest,
        now: Timestamp,
    ) -> Decision {
        let period = Period::new(record.limit.window, now);
        let mut memory = self.memory();
        let used = memory.used(identity, period, record.published.as_ref());
        let verdict = decide_key(record, &request.caller, used, request.cost, now);
        let rate = record.rate.or_else(|| self.settings.rates.tiers.get(&record.tier).copied());
        let rates: Vec<_> = rate.iter().map(|rate| (identity, *rate)).collect();
        let (verdict, rate) = by_rate(verdict, &rates, &mut memory, request.cost, now);
        if verdict == Verdict::Allowed {
            memory.count(identity, now, request.cost);
        }
        Decision {
            verdict,
            tier: record.tier.clone(),
            line: vec![Charge { identity: identity.clone(), limit: record.limit }],
            charges: vec![Charge { identity: identity.clone(), limit: record.limit }],
            quota: Some(QuotaState { limit: record.limit, used }),
            rate,
            cost: 0,
            is_of_key: false,
            count: used.saturating_add(request.cost),
            may_explain: record.explain,
        }
    }

    /// Admits anonymous callers if the store fails, because a missing item means allowed. Published usage of pooled callers is
    /// not read, and the usage line charges the pooled anonymous callers instead of them.
    async fn decide_anonymous(
        &self,
        request: &ChargeRequest,
        now: Timestamp,
        warn: &mut Vec<StoreError>,
    ) -> Decision {
        let charges = self.anonymous_charges(request, now, warn).await;
        let quiet: Vec<bool> =
            charges.iter().map(|charge| self.is_quiet(charge, request.cost, now)).collect();
        let loud = charges.iter().zip(&quiet).filter(|(_, quiet)| !**quiet).map(|(charge, _)| charge);
        let loud: Vec<Charge> = loud.cloned().collect();
        let mut published = self.published(&loud, now, warn).await.into_iter();

        let mut memory = self.memory();
        let quotas: Vec<QuotaState> = charges
            .iter()
            .zip(&quiet)
            .map(|(charge, quiet)| {
                let period = Period::new(charge.limit.window, now);
                let published = if *quiet { None } else { published.next().flatten() };
                let used = memory.used(&charge.identity, period, published.as_ref());
                QuotaState { limit: charge.limit, used }
            })
            .collect();
        let is_within = quotas.iter().all(|quota| quota.admits(request.cost));
        let verdict = if is_within { Verdict::Allowed } else { Verdict::OverQuota };
        let (verdict, rate) =
            by_rate(verdict, &self.anonymous_rates(&charges), &mut memory, request.cost, now);
        if verdict == Verdict::Allowed {
            for charge in &charges {
                memory.count(&charge.identity, now, request.cost);
            }
        }
        let count = quotas.first().map_or(0, |quota| quota.used).saturating_add(request.cost);
        Decision {
            verdict,
            tier: ANONYMOUS.to_owned(),
            line: charges.iter().zip(quiet).map(|(charge, quiet)| charge_of_line(charge, quiet)).collect(),
            charges,
            quota: quotas.into_iter().min_by_key(QuotaState::remaining),
            rate,
            cost: 0,
            is_of_key: false,
            count,
            may_explain: false,
        }
    }

    async fn anonymous_charges(
        &self,
        request: &ChargeRequest,
        now: Timestamp,
        warn: &mut Vec<StoreError>,
    ) -> Vec<Charge> {
        let mut charges: Vec<Charge> = Vec::with_capacity(2);
        if let Some(secret) = self.day_secret(now, warn).await {
            let identity = Identity::address(&secret, request.caller.address);
            charges.push(Charge { identity, limit: self.settings.anonymous_limit });
        }
        if let Some(site) = &request.caller.site {
            let identity = Identity::site(site);
            charges.push(Charge { identity, limit: self.settings.anonymous_site_limit });
        }
        charges
    }

    fn anonymous_rates<'c>(&self, charges: &'c [Charge]) -> Vec<(&'c Identity, RateLimit)> {
        let rate = |charge: &'c Charge| {
            let rate = match charge.identity.kind() {
                IdentityKind::Site => self.settings.rates.site,
                IdentityKind::Address | IdentityKind::Key => self.settings.rates.address,
            };
            Some((&charge.identity, rate?))
        };
        charges.iter().filter_map(rate).collect()
    }

    /// Whether this environment has admitted so few calls of an identity that it need not read the published usage.
    fn is_quiet(&self, charge: &Charge, cost: u64, now: Timestamp) -> bool {
        let most = pooled_calls(charge.identity.kind(), charge.limit, self.settings.quiet_permille);
        if cost > most {
            return false;
        }
        let mut memory = self.memory();
        // Its cached usage shows that it is near a limit.
        if memory.published(charge, now, Age::Any).flatten().is_some() {
            return false;
        }
        let own = memory.used(&charge.identity, Period::new(charge.limit.window, now), None);
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
        charges: &[Charge],
        now: Timestamp,
        warn: &mut Vec<StoreError>,
    ) -> Vec<Option<Published>> {
        let remembered = |age| -> Vec<Option<Option<Published>>> {
            let mut memory = self.memory();
            charges.iter().map(|charge| memory.published(charge, now, age)).collect()
        };
        let known = remembered(Age::Fresh);
        if known.iter().all(Option::is_some) {
            return known.into_iter().map(Option::flatten).collect();
        }
        let identities: Vec<Identity> = charges.iter().map(|charge| charge.identity.clone()).collect();
        match self.access.published(&identities).await {
            Ok(mut found) => {
                let mut memory = self.memory();
                for (identity, published) in identities.iter().zip(&mut found) {
                    *published = published.map(|published| memory.as_read(identity, published, now));
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

    /// Adds what a request is charged for good to what is reported to home: the charges of its usage line, except pooled ones.
    pub(super) fn settle(&self, decision: &Decision, now: Timestamp, calls: u64) {
        let mut memory = self.memory();
        for charge in decision.line.iter().filter(|charge| !charge.identity.is_pooled()) {
            memory.settle(charge, now, calls);
        }
    }

    /// Uncounts calls that are not charged after all.
    pub(super) fn take_back(&self, decision: &Decision, now: Timestamp, calls: u64) {
        let mut memory = self.memory();
        for charge in &decision.charges {
            memory.take_back(&charge.identity, now, calls);
        }
    }
}

impl Decision {
    /// A refusal because of the API key. Nobody is charged while addresses can't be distinguished yet. The number of
    /// remaining guesses is not shown until it is zero.
    fn refused_key(verdict: Verdict, charged: Option<(Charge, QuotaState)>, quiet: bool) -> Self {
        let (charge, quota) = charged.unzip();
        let is_over = verdict == Verdict::OverQuota;
        Self {
            verdict,
            tier: String::new(),
            line: charge.iter().map(|charge| charge_of_line(charge, quiet)).collect(),
            cost: u64::from(charge.is_some() && !is_over),
            charges: charge.into_iter().collect(),
            quota: quota.filter(|_| is_over),
            rate: None,
            is_of_key: true,
            count: 0,
            may_explain: false,
        }
    }

    /// The quota that refused, for the message; unused for other refusals.
    pub(super) fn refused_by(&self, settings: &Settings) -> QuotaState {
        self.quota.unwrap_or(QuotaState { limit: settings.anonymous_limit, used: 0 })
    }
}
