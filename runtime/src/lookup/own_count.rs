//! The calls that this environment has admitted recently: usage that home can't have published yet.

use std::collections::VecDeque;

use jiff::Timestamp;

/// Maximum moments of one identity before neighbours are merged.
const MOMENTS_MAX: usize = 256;

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// Calls by the moment they were admitted. Those of one day are in order, oldest first; a clock that is set back over midnight
/// adds calls of an earlier day after them.
#[derive(Clone, Debug, Default)]
pub(super) struct OwnCount {
    moments: VecDeque<(i64, u64)>,
    /// The latest moment that was forgotten.
    forgotten: Option<i64>,
}

impl OwnCount {
    /// Adds `calls` at `now`.
    pub(super) fn add(&mut self, now: Timestamp, calls: u64) {
        if calls == 0 {
            return;
        }
        let ms = self.moment(now);
        match self.moments.back_mut() {
            Some((moment, n)) if *moment == ms => *n += calls,
            _ => self.moments.push_back((ms, calls)),
        }
        if self.moments.len() > MOMENTS_MAX {
            self.merge_neighbours();
        }
    }

    /// When a call at `now` counts as admitted. If the clock was set back within a day, it is later than what is published
    /// already, so that it is not taken for published. On another day it may belong to another period: its own time decides.
    fn moment(&self, now: Timestamp) -> i64 {
        let now = now.as_millisecond();
        let newest = self.moments.iter().map(|(ms, _)| *ms).max();
        let at_least = [newest, self.forgotten.map(|ms| ms + 1)].into_iter().flatten();
        at_least.filter(|ms| ms.div_euclid(DAY_MS) == now.div_euclid(DAY_MS)).fold(now, i64::max)
    }

    /// Removes `calls` that were added at `now` and are not charged after all.
    pub(super) fn take_back(&mut self, now: Timestamp, calls: u64) {
        let ms = now.as_millisecond();
        let mut left = calls;
        for (_, n) in self.moments.iter_mut().rev().skip_while(|(moment, _)| *moment > ms) {
            let taken = left.min(*n);
            *n -= taken;
            left -= taken;
            if left == 0 {
                break;
            }
        }
    }

    /// The calls after `since`. Merged moments have the earlier time, so no call within the limit is refused because of them.
    pub(super) fn after(&self, since: Timestamp) -> u64 {
        let later = self.moments.iter().filter(|(ms, _)| *ms > since.as_millisecond());
        later.map(|(_, n)| n).sum()
    }

    /// Forgets the calls up to a moment: they are published or belong to an earlier period.
    pub(super) fn forget(&mut self, until: Timestamp) {
        let (until, mut newest) = (until.as_millisecond(), self.forgotten);
        self.moments.retain(|(ms, _)| {
            if *ms <= until {
                newest = newest.max(Some(*ms));
            }
            *ms > until
        });
        self.forgotten = newest;
    }

    /// The latest moment; `None` if nothing is counted.
    pub(super) fn newest(&self) -> Option<Timestamp> {
        Timestamp::from_millisecond(self.moments.iter().map(|(ms, _)| *ms).max()?).ok()
    }

    fn merge_neighbours(&mut self) {
        let mut merged = VecDeque::with_capacity(MOMENTS_MAX);
        let mut moments = self.moments.iter();
        while let Some((ms, n)) = moments.next() {
            let (neighbours, more) = moments.next().map_or((*ms, 0), |neighbour| *neighbour);
            merged.push_back((neighbours.min(*ms), n + more));
        }
        self.moments = merged;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).expect("in range")
    }

    #[test]
    fn a_clock_that_is_set_back_hides_no_call_and_moves_none_to_another_day() {
        let time = |text: &str| text.parse::<Timestamp>().expect("a timestamp");
        let (late, early) = (time("2027-01-29T00:01:12Z"), time("2027-01-29T00:00:03Z"));
        let midnight = time("2027-01-28T23:59:59.999Z");
        let mut own = OwnCount::default();
        own.add(late, 1);
        own.forget(late);
        // Seed 1242: what was published is as of `late`.
        own.add(early, 2);
        assert_eq!((own.after(late), own.after(midnight)), (2, 2));
        // Seed 1342: a call on the day before.
        own.add(time("2027-01-28T23:59:57Z"), 4);
        own.add(early, 8);
        assert_eq!((own.after(midnight), own.after(time("2027-01-28T00:00:00Z"))), (10, 14));
        assert_eq!(own.newest(), Timestamp::from_millisecond(late.as_millisecond() + 1).ok());
    }

    #[test]
    fn calls_after_a_moment_are_counted() {
        let mut own = OwnCount::default();
        for (ms, calls) in [(10, 1), (10, 2), (20, 4), (15, 8)] {
            own.add(at(ms), calls);
        }
        assert_eq!((own.after(at(9)), own.moments.len()), (15, 2));
        own.take_back(at(20), 3);
        assert_eq!(own.after(at(9)), 12);
        assert_eq!(own.after(at(10)), 9);
        assert_eq!(own.after(at(20)), 0);
        own.forget(at(10));
        assert_eq!(own.after(at(0)), 9);
        own.take_back(at(20), 9);
        assert_eq!(own.after(at(0)), 0);
    }

    #[test]
    fn calls_are_taken_back_from_their_moment_and_earlier_ones() {
        // (moment, calls, left at 10 and later, left after 10)
        for (ms, calls, all, later) in [(10, 1, 5, 4), (15, 2, 4, 4), (20, 5, 1, 0), (25, 6, 0, 0)] {
            let mut own = OwnCount::default();
            own.add(at(10), 2);
            own.add(at(20), 4);
            own.take_back(at(ms), calls);
            assert_eq!((own.after(at(9)), own.after(at(10))), (all, later), "{ms} {calls}");
        }
    }

    #[test]
    fn neighbours_are_merged_beyond_the_maximum() {
        let mut own = OwnCount::default();
        for ms in 1..=257 {
            own.add(at(ms), 1);
            assert_eq!(own.moments.len(), if ms == 257 { 129 } else { usize::try_from(ms).expect("few") });
        }
    }

    proptest! {
        #[test]
        fn memory_is_bounded_and_no_call_within_the_limit_is_refused(
            steps in prop::collection::vec((0_i64..50, 1_u64..4), 1..2_000), since in 0_i64..40_000,
        ) {
            let (mut own, mut ms, mut after, mut all) = (OwnCount::default(), 0, 0, 0);
            for (step, calls) in steps {
                ms += step;
                own.add(at(ms), calls);
                all += calls;
                after += if ms > since { calls } else { 0 };
            }
            prop_assert!(own.moments.len() <= MOMENTS_MAX);
            prop_assert_eq!(own.after(at(-1)), all);
            prop_assert!(own.after(at(since)) <= after);
            own.forget(at(since));
            prop_assert!(own.after(at(-1)) <= after);
        }
    }
}
