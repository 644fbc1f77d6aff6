//! One limit, told: what holds, what is known where, how far beyond it one may come, when it starts anew.

use ipgeo_contract::{IdentityKind, Limit, Period, Published, publish_step, quiet_calls};
use jiff::Timestamp;
use serde::Serialize;

use super::bound::{Pipeline, overshoot};
use crate::ui::output::grouped;

/// Whose limit is explained.
#[derive(Debug, Clone, PartialEq)]
pub struct Subject {
    /// An API key's hint, or a tier's name and what it limits.
    pub name: String,
    /// Its tier.
    pub tier: String,
    /// What kind of caller it limits.
    pub kind: IdentityKind,
    /// The limit.
    pub limit: Limit,
}

/// What is known of an API key's usage.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Counted {
    /// Calls that the ledger has of the current period.
    pub ledger: u64,
    /// What edges were told.
    pub published: Option<Published>,
}

/// Calls beyond the limit at worst, at a rate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Excess {
    /// What rate it is.
    pub rate: &'static str,
    /// Calls a second, all regions together.
    pub calls_per_s: f64,
    /// Calls beyond the limit.
    pub calls: f64,
    /// The same in percent of the limit.
    pub percent: f64,
}

/// A limit, explained.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// An API key's hint, or a tier's name and what it limits.
    pub name: String,
    /// Its tier.
    pub tier: String,
    /// `key`, `addr` or `site`.
    pub kind: &'static str,
    /// Calls of one window.
    pub limit: u64,
    /// `day` or `month`, UTC.
    pub window: &'static str,
    /// The window that is now.
    pub period: String,
    /// When the count starts at zero again.
    pub resets: String,
    /// Seconds until then.
    pub resets_in_s: u64,
    /// Calls that the ledger has of this period; null when no API key was named.
    pub counted: Option<u64>,
    /// Counted calls beyond the limit; null without an API key, or below the limit.
    pub beyond_by: Option<u64>,
    /// Calls of this period that edges were told; null when none.
    pub edges_know: Option<u64>,
    /// The time of the latest call in that; null when none.
    pub edges_know_as_of: Option<String>,
    /// The count at which edges are told next; null when no API key was named, or at the limit.
    pub edges_told_at: Option<u64>,
    /// Whether edges refuse by what they were told.
    pub refused: bool,
    /// Longest times of the way of a count, seconds.
    pub pipeline: Pipeline,
    /// Their sum: seconds until a limit that is reached holds everywhere.
    pub holds_within_s: f64,
    /// Calls that each environment lets through unread and charges to the crowd; 0 for API keys.
    pub quiet_calls: u64,
    /// How far beyond the limit one may come, at some rates.
    pub beyond: Vec<Excess>,
}

/// Explains a limit at `now`; `rate` is one to reckon with, calls a second.
pub fn explain(
    subject: &Subject,
    counted: Option<Counted>,
    pipeline: Pipeline,
    quiet_permille: u32,
    rate: Option<f64>,
    now: Timestamp,
) -> Explanation {
    let limit = subject.limit;
    let period = Period::new(limit.window, now);
    let known = counted.and_then(|counted| counted.published).filter(|known| known.period == period);
    let elapsed_s = number(period.seconds().saturating_sub(period.seconds_left(now)).max(1));
    let mut rates = vec![("the whole limit, evenly", number(limit.calls) / number(period.seconds()))];
    if let Some(counted) = counted.filter(|counted| counted.ledger > 0) {
        rates.push(("as in this period so far", number(counted.ledger) / elapsed_s));
    }
    rates.push(("one a second", 1.0));
    rates.extend(rate.map(|rate| ("as asked", rate)));
    Explanation {
        name: subject.name.clone(),
        tier: subject.tier.clone(),
        kind: subject.kind.as_str(),
        limit: limit.calls,
        window: limit.window.as_str(),
        period: period.to_string(),
        resets: period.end().to_string(),
        resets_in_s: period.seconds_left(now),
        counted: counted.map(|counted| counted.ledger),
        beyond_by: counted.and_then(|counted| counted.ledger.checked_sub(limit.calls)),
        edges_know: known.map(|known| known.used),
        edges_know_as_of: known.map(|known| known.as_of.to_string()),
        edges_told_at: counted.and_then(|counted| next_step(subject.kind, counted.ledger, limit)),
        refused: known.is_some_and(|known| known.used >= limit.calls),
        pipeline,
        holds_within_s: pipeline.lag_s(),
        quiet_calls: quiet_calls(subject.kind, limit, quiet_permille),
        beyond: rates
            .into_iter()
            .map(|(name, rate)| {
                let calls = overshoot(rate, pipeline.lag_s());
                Excess { rate: name, calls_per_s: rate, calls, percent: 100.0 * calls / number(limit.calls) }
            })
            .collect(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "limits and seconds are far below 2^53")]
fn number(count: u64) -> f64 {
    count as f64
}

/// The smallest count that stands on a higher step than `used`: where the next publication is.
fn next_step(kind: IdentityKind, used: u64, limit: Limit) -> Option<u64> {
    let step = |used| publish_step(kind, used, limit);
    let (mut low, mut high) = (used, limit.calls);
    if step(used) >= step(high) {
        return None;
    }
    // Steps only rise: step(low) is the present one, step(high) is higher.
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if step(middle) > step(used) { high = middle } else { low = middle }
    }
    Some(high)
}

impl Explanation {
    /// In plain words.
    pub fn text(&self) -> String {
        let mut lines =
            vec![format!("{}: {} calls a {}, by UTC", self.name, grouped(self.limit), self.window)];
        lines.push(format!(
            "  resets      {}, in {}; the count of {} starts at zero then",
            self.resets,
            duration(self.resets_in_s),
            self.period
        ));
        if let Some(counted) = self.counted {
            let calls = grouped(counted);
            lines.push(format!("  counted     {calls} calls in {}, exactly{}", self.period, self.reached()));
            lines.push(format!("  edges know  {}", self.known(counted)));
        }
        if self.refused {
            lines.push(format!("  an edge refuses every call until {}", self.resets));
        } else {
            let since = if self.counted.is_some() { " since then" } else { "" };
            lines.push(format!("  an edge adds its own calls{since} at once{}", self.quiet()));
        }
        let (way, reaches) = (self.pipeline, if self.is_reached() { "reached" } else { "reaches" });
        lines.push(format!(
            "  holds       everywhere within {} s of the call that {reaches} it: log {} + gathering {} + counting {} + \
             replication {} + memory {}",
            self.holds_within_s, way.log_s, way.window_s, way.count_s, way.replication_s, way.cache_s
        ));
        // The actual excess is shown above; the formula is for a limit that is not reached yet.
        let when = if self.is_reached() { "in a later period, " } else { "" };
        lines.push(format!("  {when}beyond it, at worst (rate x that time):"));
        for excess in &self.beyond {
            lines.push(format!(
                "    {:<26} {:>9.4} calls/s  {:>9} calls  {:>8.3} %",
                excess.rate, excess.calls_per_s, excess.calls, excess.percent
            ));
        }
        lines.join("\n")
    }

    fn is_reached(&self) -> bool {
        self.refused || self.beyond_by.is_some()
    }

    fn reached(&self) -> String {
        match self.beyond_by {
            None => String::new(),
            Some(0) => "; the limit is reached".to_owned(),
            Some(calls) => format!("; {} beyond the limit", grouped(calls)),
        }
    }

    fn known(&self, counted: u64) -> String {
        let told = match (self.edges_know, &self.edges_know_as_of) {
            (Some(used), Some(as_of)) if used > counted => {
                format!("{} (more than counted), as of {as_of}", grouped(used))
            }
            (Some(used), Some(as_of)) => format!("{} of them, as of {as_of}", grouped(used)),
            _ => "none of them yet".to_owned(),
        };
        match self.edges_told_at {
            _ if self.refused => format!("{told}; they refuse"),
            Some(at) => format!("{told}; next update at {}", grouped(at)),
            None => format!("{told}; they do not know yet that the limit is reached and let calls through"),
        }
    }

    fn quiet(&self) -> String {
        if self.quiet_calls == 0 {
            return String::new();
        }
        format!("; each environment lets {} calls of a window through unread", grouped(self.quiet_calls))
    }
}

/// `5d 20h`, `3h 10m`, `9m 8s`.
fn duration(seconds: u64) -> String {
    let units = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
    let at = units.iter().position(|(_, size)| seconds >= *size).unwrap_or(3).min(2);
    let ((large, size), (small, of)) = (units[at], units[at + 1]);
    format!("{}{large} {}{small}", seconds / size, seconds % size / of)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn subject(kind: IdentityKind, limit: &str) -> Subject {
        let limit = limit.parse().expect("a limit");
        Subject { name: "ipg_…6XLr".into(), tier: "startup".into(), kind, limit }
    }

    const PIPELINE: Pipeline =
        Pipeline { log_s: 180.0, window_s: 300.0, count_s: 5.0, replication_s: 1.0, cache_s: 10.0 };

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a timestamp")
    }

    #[test]
    fn an_api_key_is_explained_in_plain_words() {
        let now = at("2026-11-25T04:00:00Z");
        let published = Published {
            period: Period::new(ipgeo_contract::Window::Month, now),
            used: 41_000,
            as_of: at("2026-11-25T03:50:00Z"),
        };
        let counted = Counted { ledger: 41_234, published: Some(published) };
        let subject = subject(IdentityKind::Key, "100_000/month");
        let told = explain(&subject, Some(counted), PIPELINE, 4, Some(20.0), now);
        insta::assert_snapshot!(told.text());
        assert_eq!((told.edges_told_at, told.quiet_calls, told.refused), (Some(42_000), 0, false));
        assert!((told.beyond[3].calls - 9_920.0).abs() < 1e-9);
        // What was published of another month is not known of this one.
        let later = explain(&subject, Some(counted), PIPELINE, 4, None, at("2026-12-01T00:00:00Z"));
        assert_eq!((later.edges_know, later.refused), (None, false));
    }

    #[test]
    fn a_tier_is_explained_without_usage() {
        let now = at("2026-11-25T23:59:00Z");
        let told = explain(&subject(IdentityKind::Address, "1500/day"), None, PIPELINE, 4, None, now);
        insta::assert_snapshot!(told.text());
        assert_eq!((told.resets_in_s, told.quiet_calls, told.edges_told_at), (60, 6, None));
    }

    /// Usage below, at and beyond a daily or monthly limit, while the edges know all, some or none of it.
    #[test]
    fn no_line_contradicts_another_at_and_beyond_a_limit() {
        let now = at("2026-11-25T18:00:00Z");
        let mut texts = Vec::new();
        for (limit, window) in
            [("100/day", ipgeo_contract::Window::Day), ("1000/month", ipgeo_contract::Window::Month)]
        {
            let subject = subject(IdentityKind::Key, limit);
            let calls = subject.limit.calls;
            let period = Period::new(window, now);
            for (ledger, known) in [
                (0, None),
                (calls - 1, Some(calls - 1)),
                (calls, Some(calls)),
                (calls + 20, Some(calls + 20)),
                (calls + 20, Some(calls - 1)),
                (calls + 20, None),
                (calls - 10, Some(calls)),
            ] {
                let published =
                    known.map(|used| Published { period, used, as_of: at("2026-11-25T17:50:00Z") });
                let told = explain(&subject, Some(Counted { ledger, published }), PIPELINE, 4, None, now);
                let text = told.text();
                let refuses = known.is_some_and(|known| known >= calls);
                assert_eq!(text.contains("refuse"), refuses, "{text}");
                assert_eq!(text.contains("next update at"), !refuses && ledger < calls, "{text}");
                assert_eq!(text.contains("beyond the limit"), ledger > calls, "{text}");
                assert_eq!(text.contains("let calls through"), !refuses && ledger >= calls, "{text}");
                texts.push(format!("{ledger} counted, {known:?} known\n{text}"));
            }
        }
        for kind in [IdentityKind::Address, IdentityKind::Site] {
            texts.push(explain(&subject(kind, "1500/day"), None, PIPELINE, 4, None, now).text());
        }
        insta::assert_snapshot!(texts.join("\n\n"));
    }

    #[test]
    fn durations_are_told_by_their_two_largest_units() {
        for (seconds, told) in
            [(0, "0m 0s"), (59, "0m 59s"), (548, "9m 8s"), (11_400, "3h 10m"), (504_000, "5d 20h")]
        {
            assert_eq!(duration(seconds), told);
        }
    }

    proptest! {
        #[test]
        fn the_next_publication_is_the_first_count_on_a_higher_step(calls in 1_u64..9_999, used in 0_u64..12_000, key: bool) {
            let kind = if key { IdentityKind::Key } else { IdentityKind::Site };
            let limit = Limit { calls, window: ipgeo_contract::Window::Day };
            let step = |used| publish_step(kind, used, limit);
            let expected = (used + 1..=calls).find(|next| step(*next) > step(used));
            prop_assert_eq!(next_step(kind, used, limit), expected);
        }
    }
}
