//! The memory of an environment: access records and their absence for some seconds, its own counts, what is to be reported to
//! home, and the secret of the day. Its size is bounded, whatever number of unknown API keys or addresses arrives.

use std::cmp::Reverse;

use ipgeo_contract::{
    AddressSecret, Charge, DaySecret, EARLY_COUNTS_MAX, EARLY_GAP_MS, EarlyReport, Identity, KeyRecord,
    Limit, Period, Published, RateLimit, RateState, early_slot, effective_usage, is_reread_due,
};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use lru::LruCache;

use super::own::Own;

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
    own: LruCache<Identity, Own>,
    outbox: Outbox,
    secret: Option<AddressSecret>,
    day: Option<(Date, DaySecret)>,
    fresh_for: SignedDuration,
}

/// What is to be reported to home.
#[derive(Debug, Default)]
struct Outbox {
    /// The environment's name; if empty, it does not report.
    environment: String,
    due: Vec<Identity>,
    /// When the last report was made, and its slot.
    last: Option<(Timestamp, i64)>,
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
            outbox: Outbox::default(),
            secret: None,
            day: None,
            fresh_for: SignedDuration::from_secs(access_cache_s.into()),
        }
    }

    /// The same memory, which reports early counts to home under this name. Without a name it reports nothing.
    #[must_use]
    pub fn reporting_as(mut self, environment: String) -> Self {
        self.outbox.environment = environment;
        self
    }

    fn is_good(&self, read_at: Timestamp, now: Timestamp, age: Age) -> bool {
        age == Age::Any || now.duration_since(read_at).abs() < self.fresh_for
    }

    /// Whether usage read at `read_at` must be read again before its time, because its caller is near the limit or in a burst.
    fn is_outdated(
        &mut self,
        identity: &Identity,
        limit: Limit,
        published: Option<Published>,
        read_at: Timestamp,
        now: Timestamp,
    ) -> bool {
        let period = Period::new(limit.window, now);
        let used = self.used(identity, period, published.as_ref());
        let calls = self.own.peek(identity).map_or(0, |own| own.calls.after(read_at));
        let age_ms = u64::try_from(now.duration_since(read_at).as_millis()).unwrap_or(0);
        is_reread_due(used, limit, calls, age_ms)
    }

    /// An API key's cached record, or its cached absence.
    pub fn key(&mut self, identity: &Identity, now: Timestamp, age: Age) -> Option<Option<KeyRecord>> {
        let found = self.keys.get(identity).cloned()?;
        if !self.is_good(found.read_at, now, age) {
            return None;
        }
        let is_outdated = age == Age::Fresh
            && found.value.as_ref().is_some_and(|record| {
                self.is_outdated(identity, record.limit, record.published, found.read_at, now)
            });
        (!is_outdated).then_some(found.value)
    }

    /// A publication as it is read at `now`. Own calls after that can't be in it, even if the clock of its writer is ahead of
    /// this one.
    pub(super) fn as_read(&self, identity: &Identity, published: Published, now: Timestamp) -> Published {
        // The request that reads it is not counted yet. If the clock has stepped back, own calls may be later than now.
        let before = now - SignedDuration::from_millis(1);
        let newest = self.own.peek(identity).and_then(|own| own.calls.newest());
        let read_at = newest.map_or(before, |newest| newest.max(before));
        Published { as_of: published.as_of.min(read_at), ..published }
    }

    /// Caches an API key's record, or its absence, as read at `now`.
    pub fn remember_key(&mut self, identity: &Identity, record: Option<KeyRecord>, now: Timestamp) {
        self.keys.put(identity.clone(), Remembered { value: record, read_at: now });
        bound(&mut self.keys, RECORDS_MAX);
    }

    /// Cached published usage of an address or a site, or its cached absence.
    pub(super) fn published(
        &mut self,
        charge: &Charge,
        now: Timestamp,
        age: Age,
    ) -> Option<Option<Published>> {
        let found = self.published.get(&charge.identity).cloned()?;
        let is_good = self.is_good(found.read_at, now, age)
            && (age == Age::Any
                || !self.is_outdated(&charge.identity, charge.limit, found.value, found.read_at, now));
        is_good.then_some(found.value)
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
        match self.own.get_mut(identity) {
            Some(own) => own.used(period, published.copied()),
            None => effective_usage(published, period, 0),
        }
    }

    /// Counts admitted calls. Published usage that was used to admit them is remembered with them.
    pub fn count(&mut self, identity: &Identity, now: Timestamp, calls: u64) {
        if calls > 0 {
            self.own.get_or_insert_mut(identity.clone(), Own::default).calls.add(now, calls);
            bound(&mut self.own, COUNTS_MAX);
        }
    }

    /// Takes a request from the rates of the identities that it is charged to: from all of them, or from none if one refuses it or
    /// the request is not admitted. Returns the state nearest to its rate: after the request, or as it refuses it.
    ///
    /// A request takes its calls, at least one, whatever its answer: a rate limits work, and an invalid request is work too.
    pub(super) fn take(
        &mut self,
        rates: &[(&Identity, RateLimit)],
        calls: u64,
        is_admitted: bool,
        now: Timestamp,
    ) -> Option<RateState> {
        let calls = calls.max(1);
        let mut states = |take: bool| -> Vec<RateState> {
            let state = |(identity, limit): &(&Identity, RateLimit)| {
                let bucket = &mut self.own.get_or_insert_mut_ref(*identity, Own::default).bucket;
                if take { bucket.take(*limit, calls, now) } else { bucket.state(*limit, calls, now) }
            };
            rates.iter().map(state).collect()
        };
        let mut found = states(false);
        if is_admitted && found.iter().all(|state| state.retry_after_s == 0) {
            found = states(true);
        }
        bound(&mut self.own, COUNTS_MAX);
        found.into_iter().min_by_key(|state| (Reverse(state.retry_after_s), state.left))
    }

    /// Uncounts calls that are not charged after all.
    pub(super) fn take_back(&mut self, identity: &Identity, now: Timestamp, calls: u64) {
        if let Some(own) = self.own.get_mut(identity) {
            own.calls.take_back(now, calls);
        }
    }

    /// Adds calls that are charged for good to what is reported to home. A caller that is refused has no more calls to settle,
    /// but some may still be unreported.
    pub fn settle(&mut self, charge: &Charge, now: Timestamp, calls: u64) {
        if self.outbox.environment.is_empty() {
            return;
        }
        let Some(own) = self.own.get_mut(&charge.identity) else { return };
        if own.settle(charge.limit, now, calls) && !self.outbox.due.contains(&charge.identity) {
            self.outbox.due.push(charge.identity.clone());
        }
    }

    /// The report that is due at `now`, if any.
    pub fn early_report(&mut self, now: Timestamp) -> Option<EarlyReport> {
        let gap = SignedDuration::from_millis(EARLY_GAP_MS);
        let is_early = self.outbox.last.is_some_and(|(last, _)| now.duration_since(last).abs() < gap);
        if self.outbox.due.is_empty() || is_early {
            return None;
        }
        let due: Vec<Identity> =
            self.outbox.due.drain(..self.outbox.due.len().min(EARLY_COUNTS_MAX)).collect();
        // If the clock has stepped back, own calls may be later than now.
        let newest = due.iter().filter_map(|identity| self.own.peek(identity)?.calls.newest());
        let at = newest.fold(now, Timestamp::max);
        let slot = self.outbox.last.map_or(i64::MIN, |(_, slot)| slot).max(early_slot(at));
        self.outbox.last = Some((now, slot));
        let report = |identity: &Identity| self.own.peek_mut(identity)?.report(identity, slot, at);
        let counts: Vec<_> = due.iter().filter_map(report).collect();
        let environment = self.outbox.environment.clone();
        (!counts.is_empty()).then_some(EarlyReport { environment, slot, at, counts })
    }

    /// Makes the calls of a report that could not be sent unreported again.
    pub fn report_failed(&mut self, report: &EarlyReport) {
        for count in &report.counts {
            if let Some(own) = self.own.peek_mut(&count.identity) {
                own.report_failed(report.slot, count);
            }
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
        let yesterday =
            Published { period: Period::new(Window::Day, at("2026-11-23T00:00:00Z")), ..published(9) };
        assert_eq!(memory.used(&site, today, Some(&yesterday)), 20);
        assert_eq!(memory.used(&site, today, Some(&published(500))), 510);
        memory.take_back(&site, at("2026-11-24T12:00:00Z"), 4);
        assert_eq!(memory.used(&site, today, None), 506);
    }

    #[test]
    fn own_calls_after_a_publication_was_read_count_although_its_clock_is_ahead() {
        let mut memory = Memory::new(10);
        let key = identity("key#01");
        let (read_at, later) = (at("2026-11-24T12:00:00Z"), at("2026-11-24T12:00:00.500Z"));
        let today = Period::new(Window::Day, read_at);
        let ahead = Published { period: today, used: 1, as_of: at("2026-11-24T12:00:00.700Z") };
        memory.count(&key, at("2026-11-24T11:59:59Z"), 1);
        let published = memory.as_read(&key, ahead, read_at);
        assert_eq!(memory.used(&key, today, Some(&published)), 1);
        memory.count(&key, read_at, 1);
        memory.count(&key, later, 3);
        assert_eq!(memory.used(&key, today, Some(&published)), 5);
        // Read again, it may contain them, but what is known does not fall.
        let again = memory.as_read(&key, ahead, later);
        assert_eq!(memory.used(&key, today, Some(&again)), 5);
        // The clock steps back: the own calls before the reading may be in the publication.
        let stepped = memory.as_read(&key, Published { used: 5, ..ahead }, read_at);
        assert_eq!((stepped.as_of, memory.used(&key, today, Some(&stepped))), (later, 5));
        let earlier = Published { as_of: at("2026-11-24T11:00:00Z"), ..ahead };
        assert_eq!(memory.as_read(&key, earlier, read_at), earlier);
    }

    #[test]
    fn a_report_is_as_late_as_its_calls_although_the_clock_was_set_back() {
        let limit = Limit { calls: 10, window: Window::Day };
        let charge = Charge { identity: identity("key#0a"), limit };
        let mut memory = Memory::new(10).reporting_as("e".to_owned());
        memory.count(&charge.identity, at("2026-11-24T10:00:30Z"), 3);
        memory.settle(&charge, at("2026-11-24T10:00:30Z"), 3);
        let report = memory.early_report(at("2026-11-24T10:00:00Z")).expect("a report");
        assert_eq!(report.at, at("2026-11-24T10:00:30Z"));
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

    #[test]
    fn buckets_are_bounded_and_a_flood_does_not_refill_one_that_is_in_use() {
        let mut memory = Memory::new(10);
        let now = at("2026-11-24T12:00:00Z");
        let rate: RateLimit = "1/min:1".parse().expect("a rate");
        let busy = identity("addr#00");
        let wait = |memory: &mut Memory, identity: &Identity| {
            memory.take(&[(identity, rate)], 1, true, now).expect("a rate").retry_after_s
        };
        assert_eq!(wait(&mut memory, &busy), 0);
        for n in 1..=60_000 {
            assert_eq!(wait(&mut memory, &identity(&format!("addr#{n:x}"))), 0);
            if n % 10_000 == 0 {
                assert_eq!(wait(&mut memory, &busy), 60);
            }
        }
        assert_eq!(memory.own.len(), COUNTS_MAX);
    }
}
