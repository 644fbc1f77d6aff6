//! Early counts: how home learns within a second what environments have allowed, long before the log lines are counted.
//!
//! Every environment knows exactly how many calls of an identity it has charged in the current period. It reports that number
//! to home after an answer, when it is large enough to matter (see [`is_report_due`]). Home adds up the reports of all
//! environments and publishes the sum if it is more than what is published already. The sum never exceeds the exact count: a
//! call is in the count of one environment only, and reports may be lost. So no call within its limit is refused. The
//! ledger remains the exact count.
//!
//! A count belongs to one environment and one *slot* of five minutes: calls are in the slot in which they are reported. In a
//! slot the count only grows, so duplicated and reordered reports are harmless. Home rejects reports of old slots, so it can
//! remove their cells.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Identity, IdentityKind, Limit, Period};

/// The version of the report. Home ignores reports of other versions.
pub const EARLY_REPORT_VERSION: u32 = 1;
/// Maximum counts in one report.
pub const EARLY_COUNTS_MAX: usize = 20;
/// Minimum milliseconds between two reports of one environment, whatever the number of identities.
pub const EARLY_GAP_MS: i64 = 100;
/// Milliseconds of a slot.
const SLOT_MS: i64 = 300_000;
/// Maximum characters of an environment's name.
const ENVIRONMENT_CHARS_MAX: usize = 32;

/// An environment reports when its unreported calls are one of this many parts of the remaining calls. So up to this many
/// environments may share the calls evenly, and one of them reports before the limit is exceeded.
const REMAINDER_PARTS: u64 = 50;
/// An environment also reports when, at its current pace, it would use the remaining calls alone within this time. A burst over
/// a hundred environments is then reported when it would last for another 20 s.
const PACE_MS: u64 = 2_000_000;
/// Calls faster than this are not a pace yet.
const PACE_MS_MIN: u64 = 1_000;
/// Minimum calls of a pace: a single call has none.
const PACE_CALLS_MIN: u64 = 2;

/// From this part of the limit on, an edge reads the published usage every [`REREAD_MS`].
const NEAR_PERCENT: u64 = 80;
/// With fewer remaining calls, too.
const NEAR_CALLS: u64 = 100;
/// Milliseconds after which the published usage of a caller near its limit is read again.
const REREAD_MS: u64 = 1_000;

/// Below this part of the limit, usage is published in whole percents; above it, in tenths.
const FINE_PERMILLE: u64 = 990;
/// Below this part of the limit, an anonymous caller's usage is not published.
const ANONYMOUS_PERMILLE: u64 = 800;

/// Whether an environment must report: `unreported` calls since its last report, the first of them `waited_ms` ago, while it
/// knows of `remaining` calls.
///
/// Either the unreported calls are a fiftieth of the remaining ones, at least one; or they are made at a pace that matters. So
/// a caller that approaches its limit causes about 50 × ln(limit) reports in all environments together, and a burst that uses
/// up a limit within minutes at most one for every two calls.
pub fn is_report_due(unreported: u64, remaining: u64, waited_ms: u64) -> bool {
    unreported > 0 && (unreported >= remaining / REMAINDER_PARTS || is_fast(unreported, remaining, waited_ms))
}

/// Whether `calls` within `ms` would use up the remaining calls within [`PACE_MS`].
fn is_fast(calls: u64, remaining: u64, ms: u64) -> bool {
    calls >= PACE_CALLS_MIN
        && u128::from(calls) * u128::from(PACE_MS) >= u128::from(remaining) * u128::from(ms.max(PACE_MS_MIN))
}

/// Whether an edge must read a record again that it read `age_ms` ago, before its configured age: if it knows that 80 % of the
/// limit is used or few calls remain, or if this call and the `calls` that it has admitted since the read have a pace that
/// matters. At the limit it refuses calls and need not read.
pub fn is_reread_due(used: u64, limit: Limit, calls: u64, age_ms: u64) -> bool {
    let remaining = limit.calls.saturating_sub(used);
    let is_near = remaining <= NEAR_CALLS
        || u128::from(used) * 100 >= u128::from(limit.calls) * u128::from(NEAR_PERCENT);
    age_ms >= REREAD_MS && remaining > 0 && (is_near || is_fast(calls.saturating_add(1), remaining, age_ms))
}

/// The step that a sum of early counts has reached, in thousandths of the limit: whole percents, and thousandths in the last
/// percent. Anonymous callers have none below 80 %.
pub fn early_step(kind: IdentityKind, used: u64, limit: Limit) -> u64 {
    let permille = u128::from(used) * 1_000 / u128::from(limit.calls.max(1));
    let permille = u64::try_from(permille).unwrap_or(1_000).min(1_000);
    match kind {
        IdentityKind::Address | IdentityKind::Site if permille < ANONYMOUS_PERMILLE => 0,
        _ if permille < FINE_PERMILLE => permille / 10 * 10,
        _ => permille,
    }
}

/// Whether to publish when the sum of early counts goes from `before` to `after`. At the limit every report is a call that an
/// edge admitted because it does not know of the limit yet: the access table rejects a publication that it has already.
pub fn is_early_publication_due(kind: IdentityKind, before: u64, after: u64, limit: Limit) -> bool {
    let step = early_step(kind, after, limit);
    early_step(kind, before, limit) < step || step == 1_000
}

/// The slot of a moment.
pub fn early_slot(at: Timestamp) -> i64 {
    at.as_millisecond().div_euclid(SLOT_MS)
}

/// Whether home accepts reports of a slot at `now`: the current slot, and its neighbours because clocks differ.
pub fn slot_is_open(slot: i64, now: Timestamp) -> bool {
    (slot - early_slot(now)).abs() <= 1
}

/// Whether no counter accepts reports of a slot any more, even if its clock is some minutes late.
pub fn slot_is_over(slot: i64, now: Timestamp) -> bool {
    slot < early_slot(now) - 2
}

/// What an environment has reported in a slot, as home stores it: the calls, and when it reported them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EarlyCell {
    /// Calls.
    pub calls: u64,
    /// The time of the report, by the environment's clock.
    pub at: Timestamp,
}

/// An identity's count in a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlyCount {
    /// Who is charged.
    pub identity: Identity,
    /// The limit that applied.
    pub limit: Limit,
    /// The period of the calls.
    pub period: Period,
    /// Calls of the slot, including those reported before.
    pub calls: u64,
    /// What was reported before in the same slot.
    pub before: Option<EarlyCell>,
}

/// What an environment reports to home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlyReport {
    /// The environment's name: random, so that no other has it.
    pub environment: String,
    /// The slot in which this is reported.
    pub slot: i64,
    /// The time of the report: no call in it is later.
    pub at: Timestamp,
    /// The counts, at most [`EARLY_COUNTS_MAX`].
    pub counts: Vec<EarlyCount>,
}

/// Why a text is not a report.
#[derive(Debug, thiserror::Error)]
pub enum EarlyReportError {
    /// A report of another version.
    #[error("a report of early counts of version {0}; this program reads version {EARLY_REPORT_VERSION}")]
    Version(u32),
    /// A value is out of range.
    #[error("an invalid report of early counts: {0}")]
    Invalid(&'static str),
    /// Not the JSON of a report.
    #[error("a report of early counts that is not readable")]
    Unreadable(#[from] serde_json::Error),
}

/// The report's JSON.
#[derive(Serialize, Deserialize)]
struct WireReport {
    early: u32,
    e: String,
    s: i64,
    t: i64,
    c: Vec<WireCount>,
}

#[derive(Serialize, Deserialize)]
struct WireCount {
    i: String,
    l: String,
    p: String,
    n: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    b: Option<(u64, i64)>,
}

impl EarlyReport {
    /// Whether an event is a report, by how its JSON begins: the usage function's other events are large.
    pub fn is_one(event: &str) -> bool {
        event.trim_start().starts_with("{\"early\":")
    }

    /// The JSON that is sent to home.
    pub fn to_json(&self) -> String {
        let count = |count: &EarlyCount| WireCount {
            i: count.identity.to_string(),
            l: count.limit.to_string(),
            p: count.period.to_string(),
            n: count.calls,
            b: count.before.map(|cell| (cell.calls, cell.at.as_millisecond())),
        };
        let wire = WireReport {
            early: EARLY_REPORT_VERSION,
            e: self.environment.clone(),
            s: self.slot,
            t: self.at.as_millisecond(),
            c: self.counts.iter().map(count).collect(),
        };
        // Strings and numbers always serialise.
        serde_json::to_string(&wire).unwrap_or_default()
    }

    /// Parses a report. Every value is checked, because a wrong count can't be taken back.
    pub fn from_json(text: &[u8]) -> Result<Self, EarlyReportError> {
        let wire: WireReport = serde_json::from_slice(text)?;
        if wire.early != EARLY_REPORT_VERSION {
            return Err(EarlyReportError::Version(wire.early));
        }
        let name_is_valid = (1..=ENVIRONMENT_CHARS_MAX).contains(&wire.e.len())
            && wire.e.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !name_is_valid || wire.c.len() > EARLY_COUNTS_MAX {
            return Err(EarlyReportError::Invalid("its environment or its number of counts"));
        }
        let time = |ms| Timestamp::from_millisecond(ms).map_err(|_| EarlyReportError::Invalid("its time"));
        let at = time(wire.t)?;
        let counts = wire.c.into_iter().map(|count| {
            let before = match count.b {
                Some((calls, ms)) => Some(EarlyCell { calls, at: time(ms)? }),
                None => None,
            };
            let invalid = EarlyReportError::Invalid;
            let count = EarlyCount {
                identity: count.i.parse().map_err(|_| invalid("an identity"))?,
                limit: count.l.parse().map_err(|_| invalid("a limit"))?,
                period: count.p.parse().map_err(|_| invalid("a period"))?,
                calls: count.n,
                before,
            };
            let is_sound = count.calls <= Limit::CALLS_MAX && !count.identity.is_pooled();
            if is_sound { Ok(count) } else { Err(invalid("a count")) }
        });
        let counts = counts.collect::<Result<_, _>>()?;
        Ok(Self { environment: wire.e, slot: wire.s, at, counts })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Window;

    fn limit(calls: u64) -> Limit {
        Limit { calls, window: Window::Day }
    }

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).expect("in range")
    }

    #[test]
    fn a_report_is_due_by_its_share_or_its_pace() {
        // (unreported, remaining, ms since the first of them, due)
        let table = [
            (0, 0, 0, false),
            (1, 0, 0, true),
            (1, 99, 0, true),
            (1, 100, 0, false),
            (2, 100, 3_600_000, true),
            (19, 1_000, 3_600_000, false),
            (20, 1_000, 3_600_000, true),
            // A single call has no pace.
            (1, 1_000, 0, false),
            (2, 1_000, 10, true),
            (2, 100_000, 10, false),
            (50, 100_000, 1_000, true),
            (50, 100_000, 1_100, false),
            (u64::MAX, u64::MAX, u64::MAX, true),
        ];
        for (unreported, remaining, waited_ms, due) in table {
            assert_eq!(
                is_report_due(unreported, remaining, waited_ms),
                due,
                "{unreported} of {remaining}, {waited_ms}"
            );
        }
    }

    #[test]
    fn a_record_is_read_again_near_the_limit_and_in_a_burst() {
        assert!(is_reread_due(0, limit(100), 0, 1_000));
        // (used, calls since the read, its age in ms, due); the limit is 1,000
        let table = [
            (799, 0, 9_999, false),
            (800, 0, 1_000, true),
            (800, 0, 999, false),
            (1_000, 0, 5_000, false),
            (2_000, 9, 5_000, false),
            (100, 1, 1_000, true),
            (100, 1, 5_000, false),
            (100, 2, 5_000, true),
            (100, 0, 1_000, false),
        ];
        for (used, calls, age_ms, due) in table {
            assert_eq!(is_reread_due(used, limit(1_000), calls, age_ms), due, "{used} {calls} {age_ms}");
        }
    }

    #[test]
    fn steps_are_finer_in_the_last_percent() {
        // (kind, used, limit, step)
        let table = [
            (IdentityKind::Key, 999, 100_000, 0),
            (IdentityKind::Key, 1_000, 100_000, 10),
            (IdentityKind::Key, 98_999, 100_000, 980),
            (IdentityKind::Key, 99_000, 100_000, 990),
            (IdentityKind::Key, 99_100, 100_000, 991),
            (IdentityKind::Key, 99_999, 100_000, 999),
            (IdentityKind::Key, 100_000, 100_000, 1_000),
            (IdentityKind::Key, u64::MAX, 3, 1_000),
            (IdentityKind::Key, 1, 3, 330),
            (IdentityKind::Site, 799, 1_000, 0),
            (IdentityKind::Site, 800, 1_000, 800),
            (IdentityKind::Site, 809, 1_000, 800),
            (IdentityKind::Address, 991, 1_000, 991),
        ];
        for (kind, used, calls, step) in table {
            assert_eq!(early_step(kind, used, limit(calls)), step, "{kind:?} {used}/{calls}");
        }
    }

    #[test]
    fn each_new_step_is_published_and_every_report_at_the_limit() {
        // (before, after, published); the limit is 1,000
        let table = [
            (0, 9, false),
            (9, 10, true),
            (10, 19, false),
            (19, 10, false),
            (989, 990, true),
            (990, 991, true),
            (999, 1_000, true),
            (1_000, 1_001, true),
        ];
        for (before, after, published) in table {
            let due = is_early_publication_due(IdentityKind::Key, before, after, limit(1_000));
            assert_eq!(due, published, "{before} {after}");
        }
    }

    #[test]
    fn a_slot_is_open_in_its_five_minutes_and_beside_them_and_over_later() {
        // (slot after the current one, open, over)
        let table = [
            (-4, false, true),
            (-3, false, true),
            (-2, false, false),
            (-1, true, false),
            (0, true, false),
            (1, true, false),
            (2, false, false),
        ];
        for (ms, current) in [(-1, -1), (0, 0), (299_999, 0), (300_000, 1), (1_795_522_627_042, 5_985_075)] {
            assert_eq!(early_slot(at(ms)), current, "{ms}");
            for (after, open, over) in table {
                let slot = current + after;
                assert_eq!(
                    (slot_is_open(slot, at(ms)), slot_is_over(slot, at(ms))),
                    (open, over),
                    "{ms} {after}"
                );
            }
        }
    }

    #[test]
    fn a_slot_is_never_both_open_and_over_for_clocks_that_differ_by_a_slot() {
        for ahead in -SLOT_MS..=SLOT_MS {
            if ahead % 1_000 != 0 {
                continue;
            }
            let (now, other) = (at(1_795_522_627_042), at(1_795_522_627_042 + ahead));
            for slot in early_slot(now) - 5..early_slot(now) + 5 {
                assert!(!(slot_is_open(slot, now) && slot_is_over(slot, other)), "{slot} {ahead}");
            }
        }
    }

    fn report() -> EarlyReport {
        let count = |identity: &str, before| EarlyCount {
            identity: identity.parse().expect("an identity"),
            limit: limit(1_000),
            period: "2026-11-24".parse().expect("a period"),
            calls: 70,
            before,
        };
        let before = EarlyCell { calls: 40, at: at(1_795_522_600_000) };
        EarlyReport {
            environment: "k3f9a2".into(),
            slot: 5_985_075,
            at: at(1_795_522_627_042),
            counts: vec![count("key#00ff", Some(before)), count("site#a.test", None)],
        }
    }

    #[test]
    fn a_report_survives_its_own_json() {
        let json = report().to_json();
        let expected = "{\"early\":1,\"e\":\"k3f9a2\",\"s\":5985075,\"t\":1795522627042,\"c\":[\
            {\"i\":\"key#00ff\",\"l\":\"1000/day\",\"p\":\"2026-11-24\",\"n\":70,\"b\":[40,1795522600000]},\
            {\"i\":\"site#a.test\",\"l\":\"1000/day\",\"p\":\"2026-11-24\",\"n\":70}]}";
        assert_eq!(json, expected);
        assert!(EarlyReport::is_one(&json) && !EarlyReport::is_one("{\"Records\":[]}"));
        assert_eq!(EarlyReport::from_json(json.as_bytes()).expect("a report"), report());
    }

    #[test]
    fn an_invalid_report_is_rejected() {
        let json = report().to_json();
        for (counts, readable) in [(0, true), (EARLY_COUNTS_MAX, true), (EARLY_COUNTS_MAX + 1, false)] {
            let counts = vec![report().counts[1].clone(); counts];
            let json = EarlyReport { counts, ..report() }.to_json();
            assert_eq!(EarlyReport::from_json(json.as_bytes()).is_ok(), readable, "{json}");
        }
        for (what, with) in [
            ("\"early\":1", "\"early\":2"),
            ("k3f9a2", ""),
            ("k3f9a2", "a#b"),
            ("key#00ff", "key"),
            ("site#a.test", "site#*"),
            ("1000/day", "1000"),
            ("2026-11-24", "today"),
            ("\"n\":70", "\"n\":1000000000001"),
            ("\"n\":70", "\"n\":-1"),
            ("1795522627042", "9223372036854775807"),
            ("{\"early\"", "[\"early\""),
        ] {
            assert!(json.contains(what), "{what}");
            assert!(EarlyReport::from_json(json.replace(what, with).as_bytes()).is_err(), "{what} {with}");
        }
    }

    proptest! {
        /// Environments that know nothing of each other: whatever their paces, at least one of fifty reports before all of them
        /// together have used the limit, so its remainder becomes known.
        #[test]
        fn fifty_environments_report_before_they_exceed_a_limit(calls in 1_u64..2_000_000, paces in prop::collection::vec(1_u64..1_000, 1..=50)) {
            let all: u64 = paces.iter().sum();
            // What each has admitted when all together have reached the limit, over an hour.
            let reports = paces.iter().any(|pace| {
                let own = (u128::from(calls) * u128::from(*pace)).div_ceil(u128::from(all));
                let own = u64::try_from(own).expect("small");
                is_report_due(own, calls, 3_600_000)
            });
            prop_assert!(reports);
        }

        #[test]
        fn a_limit_is_approached_with_few_reports(calls in 1_u64..1_000_000) {
            let (mut used, mut reports) = (0_u64, 0_u32);
            while used < calls {
                let unreported = (1..=calls).find(|unreported| is_report_due(*unreported, calls - used, 3_600_000));
                used += unreported.expect("a number");
                reports += 1;
            }
            let most = 50.0 * (f64::from(u32::try_from(calls).expect("few")).ln() + 2.0);
            prop_assert!(f64::from(reports) <= most, "{} of {}", reports, most);
        }

        #[test]
        fn publications_of_a_period_are_bounded(calls in 1_u64..5_000, deltas in prop::collection::vec(1_u64..40, 1..400)) {
            let (mut used, mut published) = (0, 0);
            for delta in deltas {
                if used < calls && is_early_publication_due(IdentityKind::Key, used, used + delta, limit(calls)) {
                    published += 1;
                }
                used += delta;
            }
            prop_assert!(published <= 110);
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,200}") {
            let _ = EarlyReport::from_json(text.as_bytes());
        }
    }
}
