//! The page's figures, and the page itself.

use tera::Context;

use super::facts::{MonthCost, PageFacts};
use super::sections::{sections, share, warns};
use crate::ui::drawing::{Tile, tile};
use crate::ui::format::{counted, date_and_time};
use crate::ui::output::{PageError, grouped, html_page, instant};

/// Renders the page.
pub fn page(facts: &PageFacts) -> Result<String, PageError> {
    let whose = facts.owner.as_ref().unwrap_or(&facts.service);
    let mut context = Context::new();
    context.insert("whose", whose);
    context.insert("service", &facts.owner.as_ref().map(|_| &facts.service));
    context.insert("period", &facts.period);
    context.insert("made", &instant(facts.made));
    context.insert("made_text", &date_and_time(facts.made));
    context.insert("tiles", &tiles(facts));
    context.insert("sections", &sections(facts));
    context.insert("is_month", &facts.is_month);
    context.insert("basis", &facts.cost.as_ref().map(|cost| &cost.basis));
    html_page("usage.html", &context)
}

fn sum(days: &[(String, u64)]) -> u64 {
    days.iter().fold(0, |sum, (_, n)| sum.saturating_add(*n))
}

/// How `calls` compare with those of the month before until the same day: `+12.3 %`.
fn change(calls: u64, before: u64) -> Option<String> {
    let (sign, difference) = if calls < before { ('−', before - calls) } else { ('+', calls - before) };
    (before > 0).then(|| format!("{sign}{}", share(difference, before)))
}

fn tiles(facts: &PageFacts) -> Vec<Tile> {
    let calls = sum(&facts.days);
    let when = if facts.is_month { format!("in {}, charged", facts.period) } else { "charged".to_owned() };
    let mut tiles = vec![tile("Calls", grouped(calls), when)];
    if let Some(before) = facts.before.as_ref().filter(|before| sum(&before.days) > 0) {
        let until = &before.days[..before.days.len().min(facts.days.len())];
        if let Some(change) = change(calls, sum(until)) {
            tiles[0].note = format!("{change} on {} until day {}", before.name, until.len());
        }
        tiles.push(tile("Month before", grouped(sum(&before.days)), format!("in {}", before.name)));
    }
    if let Some(projection) = facts.projection {
        let days = match (projection.days, projection.since_first_call) {
            (1, true) => "the one since the first call".to_owned(),
            (1, false) => "yesterday".to_owned(),
            (7, _) => "the last seven".to_owned(),
            (days, true) => format!("the {days} since the first call"),
            (days, false) => format!("the last {days}"),
        };
        let note = format!("if the days go on like {days}");
        tiles.push(tile("By the month's end", grouped(projection.calls), note));
    }
    if facts.is_month {
        let requests = facts.verdicts.iter().fold(0, |sum: u64, (_, n)| sum.saturating_add(*n));
        // Invalid requests are not refused: they are the caller's mistake, and no limit was in their way.
        let refused = facts.verdicts.iter().filter(|(verdict, _)| !verdict.is_admitted());
        let refused = refused.fold(0, |sum: u64, (_, n)| sum.saturating_add(*n));
        let note = format!("{} of {}", share(refused, requests), counted(requests, "request"));
        tiles.push(tile("Refused", grouped(refused), note));
    }
    if !facts.is_over {
        let near = facts.headroom.iter().filter(|key| warns(key, facts)).count();
        let first = facts.thresholds.first().copied().unwrap_or(100);
        tiles.push(tile("Near their limit", grouped(near as u64), format!("API keys at {first} % or more")));
    }
    tiles.extend(facts.cost.iter().flat_map(|cost| costs(cost, &facts.period)));
    tiles
}

fn costs(cost: &MonthCost, period: &str) -> Vec<Tile> {
    let mut tiles =
        vec![tile("Cost so far", format!("${:.2}", cost.so_far_usd), format!("in {period}, list prices"))];
    let forecast = cost.month_usd;
    tiles.extend(forecast.map(|usd| {
        tile("Cost forecast", format!("${usd:.2}"), "at the month's end, list prices".to_owned())
    }));
    if let (Some(last), Some(budget)) = (tiles.last_mut(), cost.budget_usd) {
        // Compared in cents, as it is shown.
        last.warn = forecast.unwrap_or(cost.so_far_usd) > budget + 0.005;
        let is_over = if last.warn { "over" } else { "within" };
        last.note = format!("{is_over} the budget of ${budget:.2}");
    }
    tiles
}

#[cfg(test)]
mod tests {
    use ipgeo_contract::{RegionName, Verdict};

    use super::super::{
        CallerCalls, CountingLag, Headroom, KeyCalls, MonthBefore, MonthCost, Projection, RegionCalls,
        TierCalls,
    };
    use super::*;
    use crate::usage::report::LagRow;

    fn facts() -> PageFacts {
        let near = |name: &str, owner: &str, used| Headroom {
            name: name.into(),
            owner: owner.into(),
            used,
            limit: 1_000,
            period: "2026-11".into(),
        };
        PageFacts {
            service: "ipgeo-<prod>".into(),
            owner: None,
            period: "2026-11".into(),
            is_month: true,
            is_over: false,
            made: "2026-11-03T12:00:00Z".parse().expect("a timestamp"),
            days: vec![("2026-11-01".into(), 1_200), ("2026-11-02".into(), 0), ("2026-11-03".into(), 34)],
            projection: Some(Projection { calls: 17_400, days: 2, since_first_call: false }),
            before: Some(MonthBefore {
                name: "2026-10".into(),
                days: (1..=31).map(|day| (format!("2026-10-{day:02}"), 500)).collect(),
            }),
            regions: vec![RegionCalls {
                region: "us-east-1".into(),
                city: "<City>".into(),
                place: Some((39.0, -77.5)),
                calls: 1_234,
            }],
            callers: Some(CallerCalls { keyed: 900, anonymous: 334, sites: 300 }),
            tiers: vec![TierCalls { tier: "startup".into(), keys: 1, calls: 900 }],
            keys: vec![KeyCalls {
                name: "ipg_…x3Kq".into(),
                owner: "<script>alert('x')</script> & sons".into(),
                tier: "startup".into(),
                calls: 900,
            }],
            verdicts: vec![(Verdict::Allowed, 1_234), (Verdict::OverQuota, 66), (Verdict::BadRequest, 5)],
            statuses: (401, 429),
            headroom: vec![
                near("ipg_…0000", "b", 1_010),
                near("ipg_…0001", "c", 1_000),
                near("ipg_…x3Kq", "\"><img onerror=alert(1)>", 900),
                near("ipg_…0002", "d", 10),
            ],
            rotated: 0,
            thresholds: vec![80, 100],
            lag: Some(CountingLag {
                rows: vec![LagRow {
                    region: RegionName::new("us-east-1"),
                    newest: Some("2026-11-03T11:58:00.123Z".into()),
                    behind_ms: Some(120_000),
                    took_ms: Some(61_500),
                }],
                late_ms: 496_000,
            }),
            cost: None,
        }
    }

    fn section<'a>(html: &'a str, id: &str) -> &'a str {
        let at = html.find(&format!("<section id=\"{id}\"")).unwrap_or_else(|| panic!("no section {id}"));
        &html[at..at + html[at..].find("</section>").expect("an end")]
    }

    #[test]
    fn every_section_has_its_table_and_every_text_is_escaped() {
        let html = page(&facts()).expect("a page");
        for id in ["days", "callers", "tiers", "regions", "keys", "headroom", "answers"] {
            let section = section(&html, id);
            assert!(section.contains("<table>") && section.contains("scope=\"col\""), "{id}: {section}");
            assert!(!section.contains("class=\"number\">0<"), "{id} has a row of zeros: {section}");
        }
        assert!(!section(&html, "lag").contains("<table>"), "nothing is late");
        for raw in ["<script", "<img", "ipgeo-<prod>", "<City>"] {
            assert!(!html.contains(raw), "{raw} was not escaped");
        }
        assert!(html.contains("us-east-1 &lt;City&gt;: 1234 calls</title>"));
        assert!(html.contains("<bdi>&lt;script&gt;alert(") && html.contains("&lt;img onerror"));
        for outside in ["http:", "https:", "url(", "@import", "src="] {
            let found: Vec<_> = html
                .match_indices(outside)
                .filter(|(at, _)| !html[*at..].starts_with("http://www.w3.org/2000/svg"))
                .collect();
            assert!(found.is_empty(), "{outside}: {found:?}");
        }
        let texts = [
            "1,234",
            "5.1 % of 1,305 requests",
            "The busiest day was 2026-11-01 with 1,200 calls. 1 day without a call.",
            "−17.7 % on 2026-10 until day 3",
            "15,500",
            "17,400",
            "94.6 % of 1,305 requests were answered; 5 with 400, 66 with 429.",
            "72.9 % of the calls had an API key.",
            "Every region&#39;s newest calls were counted within 1m 1s (us-east-1).",
            "over its limit",
            "at its limit",
            "near its limit",
            "80 % of the limit: an alert is sent",
        ];
        for text in texts {
            assert!(html.contains(text), "{text}: {html}");
        }
        let over = section(&html, "headroom").matches("track over").count();
        assert_eq!(over, 1, "only the bar of 101 % ends in a marker");
    }

    #[test]
    fn api_keys_beyond_the_shown_are_one_row_with_their_sum() {
        let mut facts = facts();
        facts.keys = (0..40)
            .map(|n| KeyCalls {
                name: format!("ipg_…{n:04}"),
                owner: "acme".into(),
                tier: "startup".into(),
                calls: 1_000 - n,
            })
            .collect();
        let html = page(&facts).expect("a page");
        let keys = section(&html, "keys");
        assert!(keys.contains("ipg_…0014") && !keys.contains("ipg_…0015"), "{keys}");
        let sum: u64 = (15..40).map(|n| 1_000 - n).sum();
        assert!(keys.contains("and 25 more") && keys.contains(&grouped(sum)), "{keys}");
    }

    #[test]
    fn rotated_api_keys_are_said_to_be_left_out_of_the_headroom() {
        let mut facts = facts();
        let left_out = "rotated API key";
        assert!(!page(&facts).expect("a page").contains(left_out));
        facts.headroom.clear();
        for (rotated, expected) in [(1, "Without 1 rotated API key:"), (2, "Without 2 rotated API keys:")] {
            facts.rotated = rotated;
            let html = page(&facts).expect("a page");
            assert!(section(&html, "headroom").contains(expected), "{html}");
        }
    }

    #[test]
    fn the_projection_names_the_days_that_it_is_based_on() {
        for (days, since_first_call, expected) in [
            (7, false, "like the last seven<"),
            (3, false, "like the last 3<"),
            (3, true, "like the 3 since the first call<"),
            (1, false, "like yesterday<"),
            (1, true, "like the one since the first call<"),
        ] {
            let projection = Some(Projection { calls: 17_400, days, since_first_call });
            let html = page(&PageFacts { projection, ..facts() }).expect("a page");
            assert!(html.contains(expected), "{expected}: {html}");
        }
    }

    #[test]
    fn late_regions_have_a_table() {
        let mut facts = facts();
        let lag = facts.lag.as_mut().expect("a lag");
        lag.rows[0].took_ms = Some(500_000);
        let html = page(&facts).expect("a page");
        let lag = section(&html, "lag");
        assert!(lag.contains("Late: us-east-1 took longer than 8m 16s to count."), "{lag}");
        assert!(lag.contains("<table>") && lag.contains("8m 20s"), "{lag}");
    }

    #[test]
    fn costs_are_shown_when_known_and_a_forecast_beyond_the_budget_is_marked() {
        let mut facts = facts();
        assert!(!page(&facts).expect("a page").contains("Cost so far"));
        let cost = |month_usd, budget_usd| MonthCost {
            so_far_usd: 12.34,
            month_usd,
            budget_usd,
            basis: "prices of <2026-11>".into(),
        };
        for (month_usd, budget_usd, note, warns) in [
            (None, None, "in 2026-11, list prices", false),
            (Some(40.0), None, "at the month&#39;s end, list prices", false),
            (Some(40.0), Some(40.0), "within the budget of $40.00", false),
            (Some(40.02), Some(40.0), "over the budget of $40.00", true),
            (None, Some(5.0), "over the budget of $5.00", true),
        ] {
            facts.cost = Some(cost(month_usd, budget_usd));
            let html = page(&facts).expect("a page");
            assert!(html.contains("$12.34") && html.contains(note), "{note}: {html}");
            assert!(html.contains("prices of &lt;2026-11&gt;"));
            assert_eq!(html.contains("tile attention"), warns, "{note}");
            assert_eq!(html.contains("Cost forecast"), month_usd.is_some(), "{note}");
        }
    }

    #[test]
    fn a_month_without_calls_has_a_page_without_charts() {
        let empty = PageFacts {
            days: vec![("2026-11-01".into(), 0)],
            projection: None,
            before: None,
            regions: vec![],
            callers: Some(CallerCalls::default()),
            tiers: vec![],
            keys: vec![],
            verdicts: vec![],
            headroom: vec![],
            lag: None,
            ..facts()
        };
        let html = page(&empty).expect("a page");
        assert!(html.contains("No call was counted yet.") && html.contains("No API key was used yet."));
        assert!(
            !html.contains("<table>") && !html.contains("class=\"chart\"") && !html.contains("class=\"map")
        );
        assert!(html.contains("current period") && html.contains("Near their limit"), "{html}");
        let past = page(&PageFacts { is_over: true, ..empty }).expect("a page");
        assert!(past.contains("No call was counted.") && past.contains("No API key was used."), "{past}");
        assert!(!past.contains("current period") && !past.contains("Near their limit"), "{past}");
    }
}
