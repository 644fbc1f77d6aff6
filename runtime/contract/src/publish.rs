//! Publishing: decisions are replicated, not counts. Home writes an identity's usage to the access table
//! only when it crosses a step of its limit, so that replicated writes are bounded by identities × 100
//! in a period, whatever the traffic.

use crate::{IdentityKind, Limit};

/// The step that `used` calls stand on, 0 to 100: whole percents of the limit for an API key; 0, 80 or
/// 100 for an address or a site. Usage beyond the limit stays on step 100.
pub fn publish_step(kind: IdentityKind, used: u64, limit: Limit) -> u8 {
    let percent = u128::from(used) * 100 / u128::from(limit.calls.max(1));
    let percent = u8::try_from(percent.min(100)).unwrap_or(100);
    match kind {
        IdentityKind::Key => percent,
        IdentityKind::Address | IdentityKind::Site => match percent {
            100 => 100,
            80.. => 80,
            _ => 0,
        },
    }
}

/// Whether going from `before` to `after` calls crosses a step: whether to publish.
pub fn publish_steps_crossed(kind: IdentityKind, before: u64, after: u64, limit: Limit) -> bool {
    publish_step(kind, before, limit) < publish_step(kind, after, limit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Window;

    fn limit(calls: u64) -> Limit {
        Limit { calls, window: Window::Month }
    }

    #[test]
    fn steps_of_keys_and_anonymous_callers() {
        // (kind, used, limit, step)
        let table = [
            (IdentityKind::Key, 0, 100_000, 0),
            (IdentityKind::Key, 999, 100_000, 0),
            (IdentityKind::Key, 1_000, 100_000, 1),
            (IdentityKind::Key, 99_999, 100_000, 99),
            (IdentityKind::Key, 100_000, 100_000, 100),
            (IdentityKind::Key, 900_000, 100_000, 100),
            (IdentityKind::Key, 1, 3, 33),
            (IdentityKind::Key, u64::MAX, Limit::CALLS_MAX, 100),
            (IdentityKind::Address, 1_199, 1_500, 0),
            (IdentityKind::Address, 1_200, 1_500, 80),
            (IdentityKind::Address, 1_499, 1_500, 80),
            (IdentityKind::Site, 1_500, 1_500, 100),
        ];
        for (kind, used, calls, step) in table {
            assert_eq!(publish_step(kind, used, limit(calls)), step, "{kind:?} {used}/{calls}");
        }
    }

    proptest! {
        #[test]
        fn a_period_publishes_at_most_a_hundred_times(calls in 1_u64..5_000, deltas in prop::collection::vec(1_u64..80, 1..400)) {
            let mut used = 0;
            let mut published = 0;
            let mut shown = 0;
            for delta in deltas {
                let after = used + delta;
                if publish_steps_crossed(IdentityKind::Key, used, after, limit(calls)) {
                    published += 1;
                    shown = after;
                }
                used = after;
                // What the edges know is never more than one step behind, and never behind at the limit.
                prop_assert!(publish_step(IdentityKind::Key, shown, limit(calls)) == publish_step(IdentityKind::Key, used, limit(calls)));
            }
            prop_assert!(published <= 100);
        }
    }
}
