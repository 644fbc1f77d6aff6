//! What an environment knows of one identity's usage: the best published count, its own calls since then, what it has reported
//! to home, and the bucket of its short rate.

use ipgeo_contract::{
    EarlyCell, EarlyCount, Identity, Limit, Period, Published, RateBucket, early_slot, effective_usage,
    is_report_due,
};
use jiff::{SignedDuration, Timestamp};

use super::own_count::OwnCount;

/// One identity's usage.
#[derive(Clone, Debug, Default)]
pub(super) struct Own {
    pub(super) calls: OwnCount,
    pub(super) bucket: RateBucket,
    /// The publication that, with the own calls since, gives the highest usage. Each publication is a lower bound of the truth,
    /// and a later one may be lower: it may lack what this environment has admitted and not reported yet.
    base: Option<Published>,
    tally: Option<Tally>,
}

impl Own {
    /// Usage of `period` as far as this environment knows.
    pub(super) fn used(&mut self, period: Period, published: Option<Published>) -> u64 {
        self.base = self.base.filter(|base| base.period == period);
        let value = |base: Option<Published>| {
            effective_usage(base.as_ref(), period, self.calls.after(since(period, base)))
        };
        let (published_value, base_value) =
            (published.map(|published| value(Some(published))), value(self.base));
        if published_value.is_some_and(|published| published >= base_value) {
            self.base = published;
        }
        self.calls.forget(since(period, self.base));
        published_value.unwrap_or_default().max(base_value)
    }

    /// Adds settled calls to the count that is reported to home; returns whether a report is due.
    pub(super) fn settle(&mut self, limit: Limit, now: Timestamp, calls: u64) -> bool {
        let period = Period::new(limit.window, now);
        let remaining = limit.calls.saturating_sub(self.used(period, None));
        let tally = self.tally.take().filter(|tally| tally.period == period);
        let tally = self.tally.insert(tally.unwrap_or_else(|| Tally::new(period, limit, now)));
        tally.add(limit, now, calls);
        tally.is_due(remaining, now)
    }

    /// What is to be reported in a slot; `None` if nothing is. No own call may be later than `at`.
    pub(super) fn report(&mut self, identity: &Identity, slot: i64, at: Timestamp) -> Option<EarlyCount> {
        self.tally.as_mut()?.report(identity, slot, at)
    }

    /// Reports again what a failed report contained, in the same slot: the report may have arrived, and in another slot its calls
    /// would be added twice.
    pub(super) fn report_failed(&mut self, slot: i64, count: &EarlyCount) {
        if let Some(tally) =
            self.tally.as_mut().filter(|tally| tally.period == count.period && tally.slot == slot)
        {
            let reported = tally.before_slot + count.before.map_or(0, |cell| cell.calls);
            tally.reported = tally.reported.min(reported);
        }
    }
}

/// The moment after which own calls count in addition to a publication. Own calls of an earlier period end one millisecond
/// before this one starts.
fn since(period: Period, base: Option<Published>) -> Timestamp {
    let before_period = period.start() - SignedDuration::from_millis(1);
    base.map_or(before_period, |base| base.as_of.max(before_period))
}

/// What an environment has charged to an identity in a period, and what it has reported of it.
#[derive(Clone, Debug)]
struct Tally {
    period: Period,
    limit: Limit,
    charged: u64,
    reported: u64,
    /// Calls in reports, those of failed ones included.
    sent: u64,
    /// Calls in reports of earlier slots.
    before_slot: u64,
    slot: i64,
    /// The last report of this slot.
    cell: Option<EarlyCell>,
    /// The first call that is not reported.
    waits_since: Timestamp,
}

impl Tally {
    fn new(period: Period, limit: Limit, now: Timestamp) -> Self {
        let slot = early_slot(now);
        let (charged, reported, sent, before_slot) = (0, 0, 0, 0);
        Self { period, limit, charged, reported, sent, before_slot, slot, cell: None, waits_since: now }
    }

    fn add(&mut self, limit: Limit, now: Timestamp, calls: u64) {
        if self.charged == self.reported {
            self.waits_since = now;
        }
        self.limit = limit;
        self.charged = self.charged.saturating_add(calls);
    }

    fn is_due(&self, remaining: u64, now: Timestamp) -> bool {
        let waited_ms = u64::try_from(now.duration_since(self.waits_since).as_millis()).unwrap_or(0);
        is_report_due(self.charged - self.reported, remaining, waited_ms)
    }

    fn report(&mut self, identity: &Identity, slot: i64, at: Timestamp) -> Option<EarlyCount> {
        if slot != self.slot {
            (self.slot, self.before_slot, self.reported, self.cell) = (slot, self.sent, self.sent, None);
        }
        if self.charged == self.reported {
            return None;
        }
        let calls = self.charged - self.before_slot;
        let before = self.cell.replace(EarlyCell { calls, at });
        (self.reported, self.sent) = (self.charged, self.charged);
        let (limit, period) = (self.limit, self.period);
        Some(EarlyCount { identity: identity.clone(), limit, period, calls, before })
    }
}

#[cfg(test)]
mod tests {
    use ipgeo_contract::Window;

    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("2026-11-24T{text}Z").parse().expect("a timestamp")
    }

    fn published(used: u64, as_of: &str) -> Published {
        Published { period: Period::new(Window::Day, at("00:00:00")), used, as_of: at(as_of) }
    }

    const LIMIT: Limit = Limit { calls: 1_000, window: Window::Day };

    #[test]
    fn known_usage_never_falls_when_a_publication_lacks_own_calls() {
        let today = Period::new(Window::Day, at("00:00:00"));
        let mut own = Own::default();
        own.calls.add(at("10:00:00"), 30);
        assert_eq!(own.used(today, Some(published(100, "09:00:00"))), 130);
        // Home does not know of the 30 calls yet, although another environment has reported later.
        assert_eq!(own.used(today, Some(published(110, "10:01:00"))), 130);
        own.calls.add(at("10:02:00"), 5);
        assert_eq!(own.used(today, Some(published(110, "10:01:00"))), 135);
        assert_eq!(own.used(today, Some(published(134, "10:02:00"))), 135);
        assert_eq!(own.used(today, Some(published(136, "10:02:00"))), 136);
        assert_eq!(own.used(today, None), 136);
        let tomorrow = Period::new(Window::Day, "2026-11-25T00:00:00Z".parse().expect("a timestamp"));
        assert_eq!(own.used(tomorrow, Some(published(136, "10:02:00"))), 0);
    }

    #[test]
    fn a_clock_that_is_set_back_into_the_last_period_hides_no_own_calls() {
        let period = |text: &str| Period::new(Window::Day, text.parse().expect("a timestamp"));
        let (today, tomorrow) = (period("2026-11-24T23:59:00Z"), period("2026-11-25T00:01:00Z"));
        let as_of = "2026-11-25T00:00:30Z".parse().expect("a timestamp");
        let mut own = Own::default();
        own.calls.add(as_of, 1);
        assert_eq!(own.used(tomorrow, Some(Published { period: tomorrow, used: 7, as_of })), 7);
        own.calls.add(at("23:59:50"), 5);
        assert_eq!(own.used(today, None), 5);
    }

    #[test]
    fn a_count_grows_within_a_slot_and_starts_again_in_the_next() {
        let identity: Identity = "key#00ff".parse().expect("an identity");
        let mut own = Own::default();
        let mut report = |calls, time: &str| {
            own.calls.add(at(time), calls);
            own.settle(LIMIT, at(time), calls);
            let count = own.report(&identity, early_slot(at(time)), at(time));
            count.map(|count| (count.calls, count.before.map(|cell| cell.calls)))
        };
        assert_eq!(report(3, "10:00:00"), Some((3, None)));
        assert_eq!(report(4, "10:01:00"), Some((7, Some(3))));
        assert_eq!(report(0, "10:02:00"), None);
        assert_eq!(report(5, "10:05:00"), Some((5, None)));
        assert_eq!(report(1, "10:09:59"), Some((6, Some(5))));
    }

    #[test]
    fn a_failed_report_is_repeated_in_its_slot() {
        let identity: Identity = "key#00ff".parse().expect("an identity");
        let mut own = Own::default();
        assert!(!own.settle(LIMIT, at("10:00:00"), 1));
        assert!(own.settle(LIMIT, at("10:00:00"), 19));
        let slot = early_slot(at("10:00:00"));
        let first = own.report(&identity, slot, at("10:00:00")).expect("a count");
        assert!(!own.settle(LIMIT, at("10:00:00"), 0));
        own.report_failed(slot, &first);
        let again = own.report(&identity, slot, at("10:00:01")).expect("a count");
        assert_eq!((again.calls, again.before.map(|cell| cell.calls)), (20, Some(20)));
        own.report_failed(slot - 1, &again);
        assert_eq!(own.report(&identity, slot, at("10:00:02")), None);
        // Only what the failed report added is unreported again: 19 calls, which are not due at this pace.
        for calls in [3, 19] {
            own.settle(LIMIT, at("10:05:00"), calls);
            let count = own.report(&identity, slot + 1, at("10:05:00")).expect("a count");
            own.report_failed(slot + 1, &count);
            assert!(!own.settle(LIMIT, at("10:09:59"), 0));
            own.report(&identity, slot + 1, at("10:09:59")).expect("a count");
        }
        // A pace begins with the first unreported call.
        assert!(own.settle(LIMIT, at("10:30:00"), 10));
    }

    #[test]
    fn a_failed_report_that_may_have_arrived_is_not_repeated_in_another_slot() {
        let identity: Identity = "key#00ff".parse().expect("an identity");
        let mut own = Own::default();
        own.settle(LIMIT, at("10:00:00"), 20);
        let slot = early_slot(at("10:00:00"));
        let first = own.report(&identity, slot, at("10:00:00")).expect("a count");
        own.report_failed(slot, &first);
        own.settle(LIMIT, at("10:05:00"), 3);
        let later = own.report(&identity, slot + 1, at("10:05:00")).expect("a count");
        assert_eq!((later.calls, later.before), (3, None));
        own.report_failed(slot, &first);
        assert_eq!(own.report(&identity, slot + 1, at("10:05:01")), None);
    }
}
