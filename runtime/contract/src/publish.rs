//! When to publish usage: decisions are replicated, not counts. Home writes an identity's usage to the access table when it
//! crosses a step of its limit, and when a call shows that an edge does not know that the limit is reached. So, whatever the
//! traffic, replicated writes are bounded by 100 per identity and period, plus one per batch while calls exceed a limit.

use crate::{IdentityKind, Limit};

/// The step that `used` calls have reached, 0 to 100: whole percents of the limit for an API key; 0, 80 or
/// 100 for an address or a site. Usage beyond the limit stays at step 100.
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

/// Whether to publish when usage goes from `before` to `after` calls: if it crosses a step of the limit, or if it is at
/// 100 % and an edge `admitted` one of the calls, because that edge does not know home's count. This happens after the
/// limit was lowered, when no call crosses any of its steps.
pub fn is_to_publish(kind: IdentityKind, before: u64, after: u64, limit: Limit, admitted: bool) -> bool {
    let (step_before, step) = (publish_step(kind, before, limit), publish_step(kind, after, limit));
    step_before < step || (admitted && step == 100)
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

    #[test]
    fn an_allowed_call_beyond_a_limit_is_published_because_an_edge_does_not_know() {
        // (before, after, limit, admitted, published)
        let table = [
            (60, 61, 100_000, true, false),
            (60, 61, 50, true, true),
            (60, 60, 50, true, true),
            (60, 60, 50, false, false),
            (50, 51, 50, true, true),
            (49, 50, 50, false, true),
            (40, 41, 50, true, true),
            (40, 40, 50, true, false),
        ];
        for (before, after, calls, admitted, published) in table {
            let found = is_to_publish(IdentityKind::Key, before, after, limit(calls), admitted);
            assert_eq!(found, published, "{before} {after}/{calls} {admitted}");
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
                if is_to_publish(IdentityKind::Key, used, after, limit(calls), false) {
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
