//! The memory of an environment: access records and their absence for some seconds, its own counts, and the secret of the
//! day. Its size is bounded, whatever number of unknown API keys or addresses arrives.

use ipgeo_contract::{AddressSecret, DaySecret, Identity, KeyRecord, Period, Published, effective_usage};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use lru::LruCache;

use super::own_count::OwnCount;

/// Maximum cached records of each kind; about 10 MiB when full.
const RECORDS_MAX: usize = 10_000;
/// Maximum identities whose own calls are counted. An evicted identity starts again from its published usage, so at most the
/// calls since the latest publication are admitted again.
const COUNTS_MAX: usize = 50_000;

/// A value read from the store, and when.
#[derive(Clone, Debug)]
struct Remembered<T> {
    value: T,
    read_at: Timestamp,
}

/// The memory of one environment.
#[derive(Debug)]
pub struct Memory {
    keys: LruCache<Identity, Remembered<Option<KeyRecord>>>,
    published: LruCache<Identity, Remembered<Option<Published>>>,
    own: LruCache<Identity, OwnCount>,
    secret: Option<AddressSecret>,
    day: Option<(Date, DaySecret)>,
    fresh_for: SignedDuration,
}

/// Removes the least recently used entries beyond `most`.
fn bound<T>(cache: &mut LruCache<Identity, T>, most: usize) {
    while cache.len() > most {
        cache.pop_lru();
    }
}

/// How old a cached record may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// At most the configured age.
    Fresh,
    /// Any age, for when the store fails.
    Any,
}

impl Memory {
    /// An empty memory whose records are fresh for this many seconds.
    pub fn new(access_cache_s: u32) -> Self {
        Self {
            // `bound` limits their size. A bounded `LruCache` would allocate all of it at the start.
            keys: LruCache::unbounded(),
            published: LruCache::unbounded(),
            own: LruCache::unbounded(),
            secret: None,
            day: None,
            fresh_for: SignedDuration::from_secs(access_cache_s.into()),
        }
    }

    fn is_good(&self, read_at: Timestamp, now: Timestamp, age: Age) -> bool {
        age == Age::Any || now.duration_since(read_at).abs() < self.fresh_for
    }

    /// An API key's cached record, or its cached absence.
    pub fn key(&mut self, identity: &Identity, now: Timestamp, age: Age) -> Option<Option<KeyRecord>> {
        let found = self.keys.get(identity).cloned()?;
        self.is_good(found.read_at, now, age).then_some(found.value)
    }

    /// Caches an API key's record, or its absence, as read at `now`.
    pub fn remember_key(&mut self, identity: &Identity, record: Option<KeyRecord>, now: Timestamp) {
        self.keys.put(identity.clone(), Remembered { value: record, read_at: now });
        bound(&mut self.keys, RECORDS_MAX);
    }

    /// Cached published usage of an address or a site, or its cached absence.
    pub(super) fn published(
        &mut self,
        identity: &Identity,
        now: Timestamp,
        age: Age,
    ) -> Option<Option<Published>> {
        let found = self.published.get(identity).cloned()?;
        self.is_good(found.read_at, now, age).then_some(found.value)
    }

    pub(super) fn remember_published(
        &mut self,
        identity: &Identity,
        published: Option<Published>,
        now: Timestamp,
    ) {
        self.published.put(identity.clone(), Remembered { value: published, read_at: now });
        bound(&mut self.published, RECORDS_MAX);
    }

    /// The secret of a date, if the address secret is loaded.
    pub(super) fn day_secret(&mut self, date: Date) -> Option<DaySecret> {
        if let Some((known, secret)) = &self.day
            && *known == date
        {
            return Some(secret.clone());
        }
        let secret = self.secret.as_ref()?.day(date);
        self.day = Some((date, secret.clone()));
        Some(secret)
    }

    pub(super) fn remember_secret(&mut self, secret: AddressSecret) {
        self.secret = Some(secret);
    }

    /// Calls used in `period`, as far as this environment knows.
    pub fn used(&mut self, identity: &Identity, period: Period, published: Option<&Published>) -> u64 {
        let of_period = published.filter(|published| published.period == period);
        // Own calls of an earlier period end one millisecond before this one starts.
        let before_period = period.start() - SignedDuration::from_millis(1);
        let since = of_period.map_or(before_period, |published| published.as_of.max(before_period));
        let own = self.own.get_mut(identity).map_or(0, |own| own.since(since));
        effective_usage(of_period, period, own)
    }

    /// Counts admitted calls.
    pub fn count(&mut self, identity: &Identity, now: Timestamp, calls: u64) {
        if calls > 0 {
            self.own.get_or_insert_mut(identity.clone(), OwnCount::default).add(now, calls);
            bound(&mut self.own, COUNTS_MAX);
        }
    }

    /// Uncounts calls that are not charged after all.
    pub(super) fn take_back(&mut self, identity: &Identity, now: Timestamp, calls: u64) {
        if let Some(own) = self.own.get_mut(identity) {
            own.take_back(now, calls);
        }
    }
}

#[cfg(test)]
mod tests {
    use ipgeo_contract::Window;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a timestamp")
    }

    fn identity(text: &str) -> Identity {
        text.parse().expect("an identity")
    }

    #[test]
    fn a_record_is_good_for_its_seconds_and_for_ever_in_need() {
        let mut memory = Memory::new(10);
        let key = identity("key#01");
        let then = at("2026-11-24T12:00:00Z");
        assert_eq!(memory.key(&key, then, Age::Any), None);
        memory.remember_key(&key, None, then);
        assert_eq!(memory.key(&key, at("2026-11-24T12:00:09.999Z"), Age::Fresh), Some(None));
        assert_eq!(memory.key(&key, at("2026-11-24T12:00:10Z"), Age::Fresh), None);
        assert_eq!(memory.key(&key, at("2026-11-24T18:00:00Z"), Age::Any), Some(None));
    }

    #[test]
    fn own_calls_count_until_they_are_published_or_the_period_ends() {
        let mut memory = Memory::new(10);
        let site = identity("site#a.test");
        let today = Period::new(Window::Day, at("2026-11-24T12:00:00Z"));
        for minute in ["2026-11-23T23:59:00Z", "2026-11-24T00:00:00Z", "2026-11-24T12:00:00Z"] {
            memory.count(&site, at(minute), 10);
        }
        let published = |used| Published { period: today, used, as_of: at("2026-11-24T06:00:00Z") };
        assert_eq!(memory.used(&site, today, None), 20);
        assert_eq!(memory.used(&site, today, Some(&published(500))), 510);
        let yesterday =
            Published { period: Period::new(Window::Day, at("2026-11-23T00:00:00Z")), ..published(9) };
        assert_eq!(memory.used(&site, today, Some(&yesterday)), 10);
        memory.take_back(&site, at("2026-11-24T12:00:00Z"), 4);
        assert_eq!(memory.used(&site, today, None), 6);
    }

    #[test]
    fn a_flood_is_forgotten() {
        let mut memory = Memory::new(10);
        let now = at("2026-11-24T12:00:00Z");
        for n in 0..60_000 {
            let flood = identity(&format!("key#{n:x}"));
            memory.remember_key(&flood, None, now);
            memory.count(&flood, now, 1);
        }
        assert_eq!((memory.keys.len(), memory.own.len()), (RECORDS_MAX, COUNTS_MAX));
    }
}
