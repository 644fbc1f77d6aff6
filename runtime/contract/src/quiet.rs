//! Quiet callers: most anonymous callers make a call or two, far from any limit. Reading the access table
//! for each, and writing each a row of the ledger, is most of what counting costs and changes no decision.
//!
//! An environment lets the first few calls of an address or a site in a period through unread, and charges
//! them to the *crowd*: one identity of that kind. Totals stay exact, because the usage line itself says
//! whom it charges, so that it is counted the same way however often it is delivered. What it buys is
//! bounded: an identity may have [`quiet_calls`] more than its limit in each environment that serves it in
//! a period.

use crate::{IdentityKind, Limit};

/// The most that may be quiet, in thousandths of a limit.
pub const QUIET_PERMILLE_MAX: u32 = 100;

/// Calls of one identity that one environment may charge to the crowd in a period. API keys are never of
/// the crowd.
pub fn quiet_calls(kind: IdentityKind, limit: Limit, permille: u32) -> u64 {
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
    fn a_small_limit_has_no_quiet_calls() {
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
            assert_eq!(quiet_calls(kind, limit, permille), expected, "{kind:?} {calls} {permille}");
        }
    }
}
