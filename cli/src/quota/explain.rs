//! Explains one limit: usage counted and published, when it is enforced, the worst-case overshoot, the next reset.

use ipgeo_contract::{IdentityKind, Limit, Period, Published, RateLimit, pooled_calls, publish_step};
use jiff::Timestamp;
use serde::Serialize;

use super::bound::{Pipeline, early_overshoot, overshoot};
use crate::ui::format::{counted, decimal, duration, float, grouped, grouped_limit};
use crate::ui::output::{Column, format_facts, format_table};

/// The API key or tier whose limit is explained.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LimitSubject {
    /// An API key's hint, or a tier's name and what it limits.
    pub(crate) name: String,
    pub(crate) tier: String,
    /// The kind of caller that it limits.
    pub(crate) kind: IdentityKind,
    pub(crate) limit: Limit,
    /// The short rate, and the number of regions.
    pub(crate) rate: Option<(RateLimit, usize)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct KeyUsage {
    /// Calls in the ledger for the current period.
    pub(crate) ledger: u64,
    /// Usage last published to the edges.
    pub(crate) published: Option<Published>,
}

/// The worst-case overshoot at a rate of calls.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct RateExcess {
    pub(crate) rate: &'static str,
    /// Calls a second, all regions together.
    pub(crate) calls_per_s: f64,
    /// Calls beyond the limit if the ledger alone enforces it.
    pub(crate) calls: f64,
    /// `calls` in percent of the limit.
    pub(crate) percent: f64,
    /// Calls beyond the limit with early counts; each environment may allow one more.
    pub(crate) early_calls: f64,
}

/// A short rate beside the limit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct RateExplanation {
    /// Calls per unit of time: `10/s`.
    pub(crate) rate: String,
    /// Calls that may come at the same time after a pause.
    pub(crate) burst: u32,
    pub(crate) regions: usize,
    /// Calls per second that are allowed if one environment in each region serves the caller.
    pub(crate) all_regions_per_s: f64,
}

/// The explanation of a limit. Field names are `ipgeo quota explain --json`'s.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Explanation {
    /// An API key's hint, or a tier's name and what it limits.
    pub(crate) name: String,
    pub(crate) tier: String,
    /// `key`, `addr` or `site`.
    pub(crate) kind: &'static str,
    /// Calls per window.
    pub(crate) limit: u64,
    /// `day` or `month`, UTC.
    pub(crate) window: &'static str,
    /// The short rate; null without one.
    pub(crate) rate: Option<RateExplanation>,
    pub(crate) period: String,
    /// End of the period.
    pub(crate) resets: String,
    /// Seconds until `resets`.
    pub(crate) resets_in_s: u64,
    /// Calls in the ledger for this period; null without an API key.
    pub(crate) counted: Option<u64>,
    /// Counted calls beyond the limit; null without an API key, or below the limit.
    pub(crate) beyond_by: Option<u64>,
    /// Calls of this period published to the edges; null if none.
    pub(crate) edges_know: Option<u64>,
    /// The time of the latest published call; null if none.
    pub(crate) edges_know_as_of: Option<String>,
    /// The count of the next publication; null without an API key, or at the limit.
    #[serde(rename = "edges_told_at")]
    pub(crate) next_publication_at: Option<u64>,
    /// Whether edges refuse calls, according to the published usage.
    pub(crate) refused: bool,
    /// Maximum time of each step, seconds.
    pub(crate) pipeline: Pipeline,
    /// Seconds until a reached limit is enforced everywhere if the ledger alone enforces it: the sum of its steps.
    pub(crate) holds_within_s: f64,
    /// The same with early counts.
    pub(crate) holds_early_within_s: f64,
    /// Calls that each environment charges to the pooled anonymous callers before it reads any usage; 0 for API keys.
    #[serde(rename = "quiet_calls")]
    pub(crate) pooled_calls: u64,
    /// The worst-case overshoot at some rates.
    pub(crate) beyond: Vec<RateExcess>,
}

/// Explains a limit at `now`; `rate` is an additional rate to show the overshoot for, calls a second.
pub(crate) fn explain(
    subject: &LimitSubject,
    counted: Option<KeyUsage>,
    pipeline: Pipeline,
    quiet_permille: u32,
    rate: Option<f64>,
    now: Timestamp,
) -> Explanation {
    let limit = subject.limit;
    let period = Period::new(limit.window, now);
    let known = counted.and_then(|counted| counted.published).filter(|known| known.period == period);
    let elapsed_s = float(period.seconds().saturating_sub(period.seconds_left(now)).max(1));
    let mut rates = vec![("the limit, spread evenly", float(limit.calls) / float(period.seconds()))];
    if let Some(counted) = counted.filter(|counted| counted.ledger > 0) {
        rates.push(("average of this period", float(counted.ledger) / elapsed_s));
    }
    rates.push(("1 call/s", 1.0));
    rates.extend(rate.map(|rate| ("--rate", rate)));
    Explanation {
        name: subject.name.clone(),
        tier: subject.tier.clone(),
        kind: subject.kind.as_str(),
        limit: limit.calls,
        window: limit.window.as_str(),
        rate: subject.rate.map(|(rate, regions)| rate_explanation(rate, regions)),
        period: period.to_string(),
        resets: period.end().to_string(),
        resets_in_s: period.seconds_left(now),
        counted: counted.map(|counted| counted.ledger),
        beyond_by: counted.and_then(|counted| counted.ledger.checked_sub(limit.calls)),
        edges_know: known.map(|known| known.used),
        edges_know_as_of: known.map(|known| known.as_of.to_string()),
        next_publication_at: counted.and_then(|counted| next_step(subject.kind, counted.ledger, limit)),
        refused: known.is_some_and(|known| known.used >= limit.calls),
        pipeline,
        holds_within_s: pipeline.lag_s(),
        holds_early_within_s: pipeline.early_lag_s(),
        pooled_calls: pooled_calls(subject.kind, limit, quiet_permille),
        beyond: rates
            .into_iter()
            .map(|(name, rate)| {
                let calls = overshoot(rate, pipeline.lag_s());
                RateExcess {
                    rate: name,
                    calls_per_s: rate,
                    calls,
                    percent: 100.0 * calls / float(limit.calls),
                    early_calls: early_overshoot(rate, &pipeline, limit).min(calls),
                }
            })
            .collect(),
    }
}

fn rate_explanation(limit: RateLimit, regions: usize) -> RateExplanation {
    let all_regions_per_s = limit.rate().per_second() * float(regions as u64);
    RateExplanation { rate: limit.rate().to_string(), burst: limit.burst(), regions, all_regions_per_s }
}

/// At most two places.
fn rounded(rate: f64) -> f64 {
    (rate * 100.0).round() / 100.0
}

/// The smallest count on a higher step than `used`: the next publication.
fn next_step(kind: IdentityKind, used: u64, limit: Limit) -> Option<u64> {
    let step = |used| publish_step(kind, used, limit);
    let (mut low, mut high) = (used, limit.calls);
    if step(used) >= step(high) {
        return None;
    }
    // Binary search: steps never fall, step(low) is the current one, step(high) is higher.
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if step(middle) > step(used) { high = middle } else { low = middle }
    }
    Some(high)
}

impl Explanation {
    pub(crate) fn text(&self) -> String {
        let mut facts = vec![("resets", format!("{}, in {}", self.resets, duration(self.resets_in_s)))];
        if let Some(count) = self.counted {
            let calls = counted(count, "call");
            facts.push(("counted", format!("{calls} in {} (exact){}", self.period, self.reached())));
            facts.push(("published", self.published(count)));
        }
        facts.push(("edges", self.edges()));
        if let Some(RateExplanation { rate, burst, regions, all_regions_per_s }) = &self.rate {
            let rate = grouped_limit(rate);
            let fact = format!(
                "{rate}, burst {burst}, in each environment: no caller within it is refused; calls that go to several get it \
                 from each ({} calls/s from one environment in each of {})",
                rounded(*all_regions_per_s),
                counted(*regions, "region")
            );
            facts.push(("rate", fact));
        }
        facts.extend(self.bounds());
        let title = format!("{}: {} a {} (UTC)", self.name, counted(self.limit, "call"), self.window);
        format!("{title}\n{}\n\n{}", format_facts(&facts), self.overshoots())
    }

    fn edges(&self) -> String {
        if self.refused {
            return format!("refuse every call until {}", self.resets);
        }
        let since = if self.counted.is_some() { " since then" } else { "" };
        format!("each adds its own calls{since} immediately{}", self.pooled())
    }

    /// When the limit is enforced, and how many calls exceed it until then.
    fn bounds(&self) -> [(&'static str, String); 3] {
        let (steps, reaches) = (self.pipeline, if self.is_reached() { "reached" } else { "reaches" });
        let early = format!(
            "everywhere within {:.1} s of the call that {reaches} it, by early counts: report {} + invocation {} + adding up {} + \
             replication {} + read again {}",
            self.holds_early_within_s,
            Pipeline::gap_s(),
            steps.report_s,
            steps.early_count_s,
            steps.replication_s,
            steps.reread_s()
        );
        let otherwise = format!(
            "within {} s by the ledger alone: log {} + window {} + counting {} + replication {} + cache {}",
            self.holds_within_s,
            steps.log_s,
            steps.window_s,
            steps.count_s,
            steps.replication_s,
            steps.cache_s
        );
        // Once the limit is reached, the actual overshoot is shown above; the bound then only matters later.
        let when = if self.is_reached() { " in a later period" } else { "" };
        let worst = format!(
            "worst case{when}: rate x that time; with early counts also 1 % of the limit and a call per environment"
        );
        [("enforced", early), ("otherwise", otherwise), ("overshoot", worst)]
    }

    /// A row for each rate.
    fn overshoots(&self) -> String {
        let columns = [
            Column::text("rate"),
            Column::number("calls/s"),
            Column::number("early counts"),
            Column::number("otherwise"),
            Column::number("of the limit").rank(1),
        ];
        format_table(&columns, &self.beyond, |excess| {
            vec![
                excess.rate.to_owned(),
                decimal(excess.calls_per_s, 4),
                decimal(excess.early_calls, 0),
                decimal(excess.calls, 0),
                format!("{} %", decimal(excess.percent, 3)),
            ]
        })
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

    fn published(&self, ledger: u64) -> String {
        let known = match (self.edges_know, &self.edges_know_as_of) {
            (Some(used), Some(as_of)) if used > ledger => {
                format!("{} (more than counted), as of {as_of}", counted(used, "call"))
            }
            (Some(used), Some(as_of)) => format!("{}, as of {as_of}", counted(used, "call")),
            _ => "none yet".to_owned(),
        };
        match self.next_publication_at {
            _ if self.refused => format!("{known}; edges refuse calls"),
            Some(at) => format!("{known}; next update at {}", grouped(at)),
            None => format!("{known}; edges do not know yet that the limit is reached and still allow calls"),
        }
    }

    fn pooled(&self) -> String {
        if self.pooled_calls == 0 {
            return String::new();
        }
        format!("; each environment allows {} per window without a read", counted(self.pooled_calls, "call"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn subject(kind: IdentityKind, limit: &str) -> LimitSubject {
        let limit = limit.parse().expect("a limit");
        LimitSubject { name: "ipg_…6XLr".into(), tier: "startup".into(), kind, limit, rate: None }
    }

    const PIPELINE: Pipeline = Pipeline {
        log_s: 180.0,
        window_s: 300.0,
        count_s: 5.0,
        replication_s: 1.0,
        cache_s: 10.0,
        report_s: 0.3,
        early_count_s: 0.1,
    };

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a timestamp")
    }

    #[test]
    fn an_api_key_is_explained_with_its_usage() {
        let now = at("2026-11-25T04:00:00Z");
        let published = Published {
            period: Period::new(ipgeo_contract::Window::Month, now),
            used: 41_000,
            as_of: at("2026-11-25T03:50:00Z"),
        };
        let counted = KeyUsage { ledger: 41_234, published: Some(published) };
        let subject = subject(IdentityKind::Key, "100_000/month");
        let explanation = explain(&subject, Some(counted), PIPELINE, 4, Some(20.0), now);
        insta::assert_snapshot!(explanation.text());
        crate::ui::output::assert_tables("quota explain", || explanation.text());
        assert_eq!(
            (explanation.next_publication_at, explanation.pooled_calls, explanation.refused),
            (Some(42_000), 0, false)
        );
        assert!((explanation.beyond[3].calls - 9_920.0).abs() < 1e-9);
        // Publications of another month do not apply.
        let later = explain(&subject, Some(counted), PIPELINE, 4, None, at("2026-12-01T00:00:00Z"));
        assert_eq!((later.edges_know, later.refused), (None, false));
    }

    #[test]
    fn a_tier_is_explained_without_usage() {
        let now = at("2026-11-25T23:59:00Z");
        let rate = Some(("10/s:20".parse().expect("a rate"), 9));
        let subject = LimitSubject { rate, ..subject(IdentityKind::Address, "1500/day") };
        let explanation = explain(&subject, None, PIPELINE, 4, None, now);
        insta::assert_snapshot!(explanation.text());
        assert_eq!(
            (explanation.resets_in_s, explanation.pooled_calls, explanation.next_publication_at),
            (60, 6, None)
        );
    }

    #[test]
    fn large_rates_keep_their_columns() {
        let subject = subject(IdentityKind::Key, "1/day");
        let now = at("2026-11-25T04:00:00Z");
        let text = explain(&subject, None, PIPELINE, 4, Some(1e9), now).text();
        let lines: Vec<&str> = text.lines().filter(|line| line.ends_with(" %")).collect();
        assert!(lines.len() == 3 && lines[2].contains(" 1,000,000,000.0000 "), "{text}");
        assert!(lines.iter().all(|line| line.len() == lines[0].len()), "{text}");
    }

    /// Usage below, at and beyond a daily or monthly limit, with all, some or none of it published.
    #[test]
    fn lines_are_consistent_at_and_beyond_a_limit() {
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
                let explanation =
                    explain(&subject, Some(KeyUsage { ledger, published }), PIPELINE, 4, None, now);
                let text = explanation.text();
                let refuses = known.is_some_and(|known| known >= calls);
                assert_eq!(text.contains("refuse"), refuses, "{text}");
                assert_eq!(text.contains("next update at"), !refuses && ledger < calls, "{text}");
                assert_eq!(text.contains("beyond the limit"), ledger > calls, "{text}");
                assert_eq!(text.contains("still allow calls"), !refuses && ledger >= calls, "{text}");
                texts.push(format!("{ledger} counted, {known:?} known\n{text}"));
            }
        }
        for kind in [IdentityKind::Address, IdentityKind::Site] {
            texts.push(explain(&subject(kind, "1500/day"), None, PIPELINE, 4, None, now).text());
        }
        insta::assert_snapshot!(texts.join("\n\n"));
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
