//! The page's figures, and the page itself.

use ipgeo_contract::Verdict;
use serde::Serialize;
use tera::Context;

use super::facts::PageFacts;
use super::sections::{sections, share, warns};
use crate::ui::format::{date_and_time, duration_ms};
use crate::ui::output::{PageError, grouped, html_page, instant};

/// A figure at the head of the page.
#[derive(Serialize)]
struct Tile {
    name: &'static str,
    figure: String,
    note: String,
}

/// Renders the page.
pub fn page(facts: &PageFacts) -> Result<String, PageError> {
    let sections = sections(facts)?;
    let mut context = Context::new();
    context.insert("service", &facts.service);
    context.insert("month", &facts.month);
    context.insert("made", &instant(facts.made));
    context.insert("made_text", &date_and_time(facts.made));
    context.insert("tiles", &tiles(facts));
    context.insert("sections", &sections);
    context.insert("basis", &facts.bill.as_ref().map(|bill| &bill.basis));
    html_page("usage.html", &context)
}

/// Whether a request was admitted. Invalid requests count as admitted: they are the caller's mistake, and no limit refused them.
fn is_admitted(verdict: &str) -> bool {
    verdict.parse().is_ok_and(Verdict::is_admitted)
}

fn calls(facts: &PageFacts) -> u64 {
    facts.days.iter().fold(0, |sum: u64, (_, n)| sum.saturating_add(*n))
}

fn tiles(facts: &PageFacts) -> Vec<Tile> {
    let sum = |sum: u64, (_, n): &(String, u64)| sum.saturating_add(*n);
    let requests = facts.verdicts.iter().fold(0, sum);
    let admitted = facts.verdicts.iter().filter(|(verdict, _)| is_admitted(verdict)).fold(0, sum);
    let refused = requests.saturating_sub(admitted);
    let near = facts.headroom.iter().filter(|key| warns(key, facts)).count();
    let first = facts.thresholds.first().copied().unwrap_or(100);
    let mut tiles = vec![
        Tile { name: "Calls", figure: grouped(calls(facts)), note: format!("in {}, charged", facts.month) },
        Tile {
            name: "Refused",
            figure: grouped(refused),
            note: format!("{} of {} requests", share(refused, requests), grouped(requests)),
        },
        Tile {
            name: "Near their limit",
            figure: grouped(near as u64),
            note: format!("API keys at {first} % or more"),
        },
    ];
    if let Some(slowest) = facts.lag.iter().filter_map(|row| row.took_ms).max() {
        let note = "from a call to its count, slowest region".to_owned();
        tiles.push(Tile { name: "Lag", figure: duration_ms(slowest), note });
    }
    tiles.extend(facts.bill.as_ref().map(|bill| Tile {
        name: "Cost so far",
        figure: format!("${:.2}", bill.so_far_usd),
        note: format!("in {}, list prices", facts.month),
    }));
    tiles
}

#[cfg(test)]
mod tests {
    use super::super::{CostSoFar, Headroom, KeyCalls, RegionCalls};
    use super::*;
    use crate::usage::report::LagRow;

    fn facts() -> PageFacts {
        PageFacts {
            service: "ipgeo-<prod>".into(),
            month: "2026-11".into(),
            made: "2026-11-03T12:00:00Z".parse().expect("a timestamp"),
            days: vec![("2026-11-01".into(), 1_200), ("2026-11-02".into(), 0), ("2026-11-03".into(), 34)],
            regions: vec![RegionCalls {
                region: "us-east-1".into(),
                city: "<City>".into(),
                place: Some((39.0, -77.5)),
                calls: 1_234,
            }],
            keys: vec![KeyCalls {
                name: "ipg_…x3Kq".into(),
                owner: "<script>alert('x')</script> & sons".into(),
                tier: "startup".into(),
                calls: 900,
            }],
            verdicts: vec![("allowed".into(), 1_234), ("over_quota".into(), 66)],
            headroom: vec![
                Headroom {
                    name: "ipg_…x3Kq".into(),
                    owner: "\"><img onerror=alert(1)>".into(),
                    used: 900,
                    limit: 1_000,
                    period: "2026-11".into(),
                },
                Headroom {
                    name: "ipg_…0000".into(),
                    owner: "b".into(),
                    used: 1_001,
                    limit: 1_000,
                    period: "2026-11-03".into(),
                },
            ],
            thresholds: vec![80, 100],
            lag: vec![LagRow {
                region: ipgeo_contract::RegionName::new("us-east-1"),
                newest: Some("2026-11-03T11:58:00.123Z".into()),
                behind_ms: Some(120_000),
                took_ms: Some(61_500),
            }],
            bill: None,
        }
    }

    #[test]
    fn every_chart_has_its_table_and_every_text_is_escaped() {
        let html = page(&facts()).expect("a page");
        for id in ["days", "regions", "keys", "headroom", "verdicts", "lag"] {
            let at = html.find(&format!("<section id=\"{id}\"")).unwrap_or_else(|| panic!("no section {id}"));
            let section = &html[at..at + html[at..].find("</section>").expect("an end")];
            for part in
                ["<svg class=\"wide\"", "<svg class=\"narrow\"", "<table>", "<caption>", "scope=\"col\""]
            {
                assert_eq!(section.matches(part).count().min(1), 1, "{id}: {part}");
            }
        }
        // In tables, in labels of charts, in names of drawings and in the titles of the map.
        for raw in ["<script", "<img", "ipgeo-<prod>", "<City>"] {
            assert!(!html.contains(raw), "{raw} was not escaped");
        }
        for escaped in [
            "us-east-1 &lt;City&gt;: 1234 calls</title>",
            "aria-label=\"Bars: Calls by API key. ipg_…x3Kq of &lt;script&gt;",
        ] {
            assert!(html.contains(escaped), "{escaped}");
        }
        assert!(html.matches("&lt;img ").count() >= 2, "in both widths of the chart of limits");
        assert!(
            html.contains("&lt;script&gt;")
                && html.contains("near its limit")
                && html.contains("at its limit")
        );
        for outside in ["http:", "https:", "url(", "@import", "src="] {
            let found: Vec<_> = html
                .match_indices(outside)
                .filter(|(at, _)| !html[*at..].starts_with("http://www.w3.org/2000/svg"))
                .collect();
            assert!(found.is_empty(), "{outside}: {found:?}");
        }
        let numbers =
            ["1,234", "5.1 % of 1,300 requests", "1m 1s", "The busiest day was 2026-11-01 with 1,200 calls."];
        assert!(numbers.iter().all(|text| html.contains(text)), "{html}");
    }

    #[test]
    fn the_cost_is_shown_when_it_is_known() {
        let mut facts = facts();
        assert!(!page(&facts).expect("a page").contains("Cost so far"));
        facts.bill = Some(CostSoFar { so_far_usd: 12.345, basis: "prices of <2026-11>".into() });
        let html = page(&facts).expect("a page");
        assert!(html.contains("$12.35") || html.contains("$12.34"), "{html}");
        assert!(html.contains("prices of &lt;2026-11&gt;"));
    }

    #[test]
    fn a_month_without_calls_has_a_page() {
        let empty = PageFacts {
            days: vec![],
            regions: vec![],
            keys: vec![],
            verdicts: vec![],
            headroom: vec![],
            lag: vec![],
            ..facts()
        };
        let html = page(&empty).expect("a page");
        assert!(html.contains("No call was counted yet.") && html.contains("No API key was used yet."));
    }
}
