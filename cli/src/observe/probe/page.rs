//! The status page of `ipgeo probe --html`: the regions' latest answers and those of previous runs. Pure.

use jiff::Timestamp;
use serde::Serialize;
use tera::Context;

use super::history::{ProbeHistory, RegionRun};
use super::measure::Attribution;
use super::summary::{ProbeRow, ProbeState};
use crate::ui::format::minute;
use crate::ui::output::{PageError, html_page};

/// Runs that are shown as bars.
const BARS: usize = 60;
/// Phases of a request: the class of their colour, and their name.
const PHASES: [(&str, &str); 4] =
    [("dns", "DNS"), ("connect", "connect"), ("tls", "TLS"), ("first", "first byte")];

/// What the page shows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StatusPage<'a> {
    /// The service, as callers know it: its domain or name.
    pub title: &'a str,
    /// When it was measured.
    pub at: Timestamp,
    /// The credit of the geo data.
    pub credit: Option<&'a Attribution>,
    /// The regions, as measured.
    pub rows: &'a [ProbeRow],
    /// This run and the previous ones.
    pub history: &'a ProbeHistory,
}

/// A region, ready to print.
#[derive(Serialize)]
struct RegionView<'a> {
    row: &'a ProbeRow,
    state: &'static str,
    failure: &'a str,
    /// The last runs, the newest at the right: the state's class and a tooltip.
    bars: Vec<Option<(&'static str, String)>>,
    answered: String,
    /// The median request: for each phase its class, its width in percent and a tooltip. Empty without an answer.
    phases: Vec<(&'static str, String, String)>,
    total: String,
    times: Vec<String>,
}

fn ms(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(value) if value < 10.0 => format!("{value:.1} ms"),
        Some(value) => format!("{value:.0} ms"),
    }
}

fn state_name(state: ProbeState) -> &'static str {
    match state {
        ProbeState::Up => "Operational",
        ProbeState::Shaky => "Degraded",
        ProbeState::Down => "No answer",
    }
}

/// The banner: its class and text.
fn banner(rows: &[ProbeRow]) -> (&'static str, String) {
    let count = |state| rows.iter().filter(|row| row.state == state).count();
    match (count(ProbeState::Down), count(ProbeState::Shaky), rows.len()) {
        (_, _, 0) => ("shaky", "No region was probed".to_owned()),
        (down, _, all) if down == all => ("down", "No region answers".to_owned()),
        (0, 0, _) => ("up", "All regions answer".to_owned()),
        (0, 1, all) => ("shaky", format!("1 of {all} regions is degraded")),
        (0, shaky, all) => ("shaky", format!("{shaky} of {all} regions are degraded")),
        (1, _, all) => ("down", format!("1 of {all} regions does not answer")),
        (down, _, all) => ("down", format!("{down} of {all} regions do not answer")),
    }
}

fn bar(at: Timestamp, run: RegionRun) -> (&'static str, String) {
    (run.state.as_str(), format!("{}: {}, {}", minute(at), state_name(run.state), ms(run.p50_ms)))
}

fn region<'a>(row: &'a ProbeRow, history: &ProbeHistory, slowest: f64) -> RegionView<'a> {
    let runs = history.last_runs(&row.region, BARS);
    let before = BARS.saturating_sub(runs.len());
    let medians = [row.dns_p50_ms, row.connect_p50_ms, row.tls_p50_ms, row.first_byte_p50_ms];
    let quantiles = [row.total_p50_ms, row.total_p95_ms, row.total_p99_ms];
    // A bar is as long as the request took beside the slowest region's.
    let sum: f64 = medians.iter().flatten().sum();
    let scale = if slowest > 0.0 { 100.0 / slowest.max(sum) } else { 0.0 };
    let phase = |((class, name), value): (&(&'static str, &str), Option<f64>)| {
        Some((*class, format!("{:.2}", value? * scale), format!("{name} {}", ms(value))))
    };
    RegionView {
        row,
        state: state_name(row.state),
        failure: row.failure.as_deref().unwrap_or("not measured"),
        bars: std::iter::repeat_n(None, before)
            .chain(runs.into_iter().map(|run| run.map(|(at, run)| bar(at, run))))
            .collect(),
        answered: history
            .answered_share(&row.region)
            .map_or_else(|| "no runs yet".to_owned(), |share| format!("{:.2} % answered", share * 100.0)),
        phases: PHASES.iter().zip(medians).filter_map(phase).collect(),
        total: ms(row.total_p50_ms),
        times: medians.into_iter().chain(quantiles).map(ms).collect(),
    }
}

impl StatusPage<'_> {
    /// Renders the page.
    pub(crate) fn html(&self) -> Result<String, PageError> {
        let slowest = self.rows.iter().filter_map(|row| row.total_p50_ms).fold(0.0_f64, f64::max);
        let regions: Vec<_> = self.rows.iter().map(|row| region(row, self.history, slowest)).collect();
        let mut dates: Vec<&str> = self.rows.iter().filter_map(|row| row.database_date.as_deref()).collect();
        dates.sort_unstable();
        dates.dedup();
        let is_web = |link: &str| link.starts_with("https://") || link.starts_with("http://");
        let mut context = Context::new();
        context.insert("title", self.title);
        context.insert("measured", &minute(self.at));
        context.insert("banner", &banner(self.rows));
        context.insert("regions", &regions);
        context.insert("phases", &PHASES);
        context.insert("data", &dates.last().map(|newest| (newest, dates.len() > 1)));
        context.insert("credit", &self.credit);
        context.insert("credit_has_link", &self.credit.is_some_and(|credit| is_web(&credit.link)));
        html_page("status.html", &context)
    }
}

#[cfg(test)]
mod tests {
    use super::super::history::tests::run;
    use super::super::summary::summarise;
    use super::super::summary::tests::{edge, sample};
    use super::*;

    fn html(rows: &[ProbeRow], history: &ProbeHistory) -> String {
        let credit = Attribution { text: "\"><img src=x>".into(), link: "javascript:alert(1)".into() };
        let at = "2026-11-25T10:30:00Z".parse().expect("a time");
        let page = StatusPage { title: "api.<example>.com", at, credit: Some(&credit), rows, history };
        page.html().expect("a page")
    }

    #[test]
    fn the_page_needs_nothing_from_elsewhere_and_escapes_what_it_shows() {
        let mut rows = [
            summarise(&edge("eu-west-1"), &[sample(10.0), sample(12.0)]),
            summarise(&edge("us-east-1"), &[Err("TLS: <script>alert(1)</script>".to_owned())]),
        ];
        rows[0].near = "<script>".into();
        rows[0].database_date = Some("\"><img src=y>".into());
        let history = ProbeHistory { runs: vec![run(0, true), run(5, false)] };
        let page = html(&rows, &history);
        assert!(page.contains("<title>api.&lt;example&gt;.com status</title>"));
        assert!(page.contains("1 of 2 regions does not answer"), "{page}");
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && !page.contains("<script"));
        assert!(page.contains("&quot;&gt;&lt;img src=x&gt;") && page.contains("&quot;&gt;&lt;img src=y&gt;"));
        assert!(!page.contains("<img") && !page.contains("javascript:"), "{page}");
        for outside in ["src=\"", "@import", "url(", "<link rel=\"stylesheet\""] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert_eq!(page.matches("<article").count(), 2);
        assert_eq!(page.matches("<i").count(), 2 * BARS);
        assert!(page.contains("title=\"2026-11-24 00:05 UTC: No answer, –\""), "{page}");
        assert!(page.contains("50.00 % answered"));
    }

    #[test]
    fn the_banner_names_the_worst_state() {
        let up = summarise(&edge("a"), &[sample(1.0)]);
        let down = summarise(&edge("b"), &[Err("no".into())]);
        let shaky = summarise(&edge("c"), &[sample(1.0), Err("no".into())]);
        let table: [(&[&ProbeRow], &str); 6] = [
            (&[&up, &up], "All regions answer"),
            (&[&up, &shaky], "1 of 2 regions is degraded"),
            (&[&up, &down, &shaky], "1 of 3 regions does not answer"),
            (&[&up, &down, &down], "2 of 3 regions do not answer"),
            (&[&down], "No region answers"),
            (&[], "No region was probed"),
        ];
        for (rows, text) in table {
            let rows: Vec<ProbeRow> = rows.iter().map(|row| (*row).clone()).collect();
            let page = html(&rows, &ProbeHistory::default());
            assert!(page.contains(&format!("</span>{text}</p>")), "{text}");
        }
    }
}
