//! Pooled anonymous callers: most anonymous callers make a call or two, far from any limit. Reading the access table and writing a
//! ledger row for each of them would be most of the cost of counting, and would change no decision.
//!
//! An environment therefore admits the first few calls of an address or a site in a period without a read, and charges them
//! to the *pooled anonymous callers*: one identity per kind. Totals stay exact: the usage line names the charged identity, so
//! it is counted the same way however often it is delivered. The overshoot is bounded: an identity may exceed its limit by
//! [`pooled_calls`] in each environment that serves it in a period.

use crate::{IdentityKind, Limit};

/// Maximum share of pooled calls, in thousandths of a limit.
pub const QUIET_PERMILLE_MAX: u32 = 100;

/// Maximum calls of one identity that one environment may charge to the pooled anonymous callers in a period. API keys are
/// never pooled.
pub fn pooled_calls(kind: IdentityKind, limit: Limit, permille: u32) -> u64 {
    match kind {
        IdentityKind::Key => 0,
        IdentityKind::Address | IdentityKind::Site => {
            let share = u128::from(limit.calls) * u128::from(permille.min(QUIET_PERMILLE_MAX)) / 1_000;
            u64::try_from(share).unwrap_or(limit.calls)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Window;

    #[test]
    fn a_small_limit_has_no_pooled_calls() {
        // (kind, limit, permille, quiet calls)
        let table = [
            (IdentityKind::Address, 1_500, 4, 6),
            (IdentityKind::Site, 50_000, 4, 200),
            (IdentityKind::Address, 249, 4, 0),
            (IdentityKind::Address, 1_500, 0, 0),
            (IdentityKind::Address, 1_500, 5_000, 150),
            (IdentityKind::Key, 1_500, 4, 0),
            (IdentityKind::Site, Limit::CALLS_MAX, 100, 100_000_000_000),
        ];
        for (kind, calls, permille, expected) in table {
            let limit = Limit { calls, window: Window::Day };
            assert_eq!(pooled_calls(kind, limit, permille), expected, "{kind:?} {calls} {permille}");
        }
    }
}
