//! The status page of `ipgeo probe --html`: the regions' latest answers and those of previous runs. Pure.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use tera::Context;

use super::history::{DAYS_MAX, ProbeHistory, RegionRun, Requests};
use super::incidents::{Incident, IncidentKind};
use super::measure::Attribution;
use super::summary::{ProbeRow, ProbeState};
use crate::ui::drawing::Kind::{Number, Short};
use crate::ui::drawing::{Cell, Table, head};
use crate::ui::format::{counted, instant, minute};
use crate::ui::output::{PageError, html_page};

/// Runs that are shown as bars.
const BARS: usize = 60;
/// Days of history from which bars are days.
const DAYS_MIN: usize = 7;
/// Rows of a table of numbers that a screen shows at once.
const ROWS_VISIBLE: usize = 7;
/// Bounds of the seconds until the page loads itself again.
const REFRESH_S: (i64, i64) = (60, 3_600);
/// Phases of a request: the class of their colour, and their name.
const PHASES: [(&str, &str); 4] =
    [("dns", "DNS"), ("connect", "connect"), ("tls", "TLS"), ("first", "first byte")];

#[derive(Debug, Clone, Copy)]
pub(crate) struct StatusPage<'a> {
    /// The service, as callers know it: its domain or name.
    pub title: &'a str,
    /// When it was measured.
    pub at: Timestamp,
    pub credit: Option<&'a Attribution>,
    pub rows: &'a [ProbeRow],
    /// This run and the previous ones.
    pub history: &'a ProbeHistory,
    /// The newest first.
    pub incidents: &'a [Incident],
    /// Where the feed is, seen from the page.
    pub feed: Option<&'a str>,
}

/// A place in the history: its bar's class, its label, and what a pointer shows.
#[derive(Serialize)]
struct HistoryBar {
    class: &'static str,
    title: String,
    answered: String,
}

/// A region, ready to print.
#[derive(Serialize)]
struct RegionView<'a> {
    row: &'a ProbeRow,
    state: &'static str,
    failure: &'a str,
    /// The newest at the right.
    bars: Vec<Option<HistoryBar>>,
    answered: String,
    /// The median request: for each phase its class, its width in percent and a tooltip. Empty without an answer.
    phases: Vec<(&'static str, String, String)>,
    total: String,
}

/// An entry of `incidents.toml`, ready to print.
#[derive(Serialize)]
struct IncidentView<'a> {
    class: &'static str,
    state: &'static str,
    title: &'a str,
    when: String,
    regions: String,
    /// Time for programs and for people, and text.
    updates: Vec<(String, String, &'a str)>,
}

/// What bars stand for.
enum Places {
    Days(Vec<Date>),
    Runs(Vec<Timestamp>),
}

impl Places {
    /// The days, if there are some, until today; otherwise the last runs.
    fn new(history: &ProbeHistory, at: Timestamp) -> Self {
        let today = jiff::tz::TimeZone::UTC.to_datetime(at).date();
        let first = history.days.keys().next().copied().unwrap_or(today);
        let days: Vec<Date> =
            first.series(jiff::Span::new().days(1)).take_while(|day| *day <= today).collect();
        if history.days.len() >= DAYS_MIN && !days.is_empty() {
            return Self::Days(days[days.len().saturating_sub(DAYS_MAX)..].to_vec());
        }
        let runs = &history.runs[history.runs.len().saturating_sub(BARS)..];
        Self::Runs(runs.iter().map(|run| run.at).collect())
    }

    fn labels(&self) -> Vec<String> {
        match self {
            Self::Days(days) => days.iter().map(Date::to_string).collect(),
            Self::Runs(runs) => runs.iter().map(|at| minute(*at)).collect(),
        }
    }

    fn bars(&self, region: &str, history: &ProbeHistory) -> Vec<Option<HistoryBar>> {
        match self {
            Self::Days(days) => days
                .iter()
                .map(|day| history.days.get(day)?.get(region).map(|requests| day_bar(*day, *requests)))
                .collect(),
            Self::Runs(runs) => {
                let runs = &history.runs[history.runs.len() - runs.len()..];
                runs.iter().map(|run| run.regions.get(region).map(|found| run_bar(run.at, *found))).collect()
            }
        }
    }
}

fn day_bar(day: Date, requests: Requests) -> HistoryBar {
    let answered = requests.answered();
    HistoryBar { class: requests.state().as_str(), title: format!("{day}: {answered} answered"), answered }
}

fn run_bar(at: Timestamp, run: RegionRun) -> HistoryBar {
    let requests = Requests { samples: run.samples, failed: run.failed };
    HistoryBar {
        class: run.state.as_str(),
        title: format!("{}: {}, {}", minute(at), state_name(run.state), ms(run.p50_ms)),
        answered: requests.answered(),
    }
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

fn medians(row: &ProbeRow) -> [Option<f64>; 4] {
    [row.dns_p50_ms, row.connect_p50_ms, row.tls_p50_ms, row.first_byte_p50_ms]
}

fn region<'a>(row: &'a ProbeRow, history: &ProbeHistory, places: &Places, slowest: f64) -> RegionView<'a> {
    let requests = history.requests(&row.region);
    // A bar is as long as the request took beside the slowest region's.
    let sum: f64 = medians(row).iter().flatten().sum();
    let scale = if slowest > 0.0 { 100.0 / slowest.max(sum) } else { 0.0 };
    let phase = |((class, name), value): (&(&'static str, &str), Option<f64>)| {
        Some((*class, format!("{:.2}", value? * scale), format!("{name} {}", ms(value))))
    };
    RegionView {
        row,
        state: state_name(row.state),
        failure: row.failure.as_deref().unwrap_or("not measured"),
        bars: places.bars(&row.region, history),
        answered: match requests.samples {
            0 => "no runs yet".to_owned(),
            _ => format!("{} answered", requests.answered()),
        },
        phases: PHASES.iter().zip(medians(row)).filter_map(phase).collect(),
        total: ms(row.total_p50_ms),
    }
}

/// All measured times.
fn times(rows: &[ProbeRow]) -> Table {
    let names = ["DNS", "Connect", "TLS", "First byte", "p50", "p95", "p99", "Failed"];
    let heads = std::iter::once(head("Region", Short)).chain(names.map(|name| head(name, Number)));
    let cells = |row: &ProbeRow| -> Vec<Cell> {
        let quantiles = [row.total_p50_ms, row.total_p95_ms, row.total_p99_ms];
        let times = medians(row).into_iter().chain(quantiles).map(|time| Cell::from(ms(time)));
        let failed = format!("{} of {}", row.failed, row.samples);
        std::iter::once(row.region.to_string().into()).chain(times).chain([failed.into()]).collect()
    };
    Table { heads: heads.collect(), rows: rows.iter().map(cells).collect(), ..Table::default() }
}

/// The bars as numbers, the newest first, for readers who can't point at bars.
fn numbers(regions: &[RegionView<'_>], places: &Places) -> Table {
    let noun = if matches!(places, Places::Days(_)) { "days" } else { "runs" };
    let first = head(if noun == "days" { "Day, UTC" } else { "Run" }, Short);
    let heads =
        std::iter::once(first).chain(regions.iter().map(|region| head(region.row.region.as_str(), Number)));
    let answered = |bars: &[Option<HistoryBar>], index: usize| -> Cell {
        bars.get(index).and_then(Option::as_ref).map_or("–", |bar| bar.answered.as_str()).into()
    };
    let row = |(index, label): (usize, String)| -> Vec<Cell> {
        let cells = regions.iter().map(|region| answered(&region.bars, index));
        std::iter::once(label.into()).chain(cells).collect()
    };
    let rows: Vec<Vec<Cell>> = places.labels().into_iter().enumerate().rev().map(row).collect();
    let visible = (rows.len() > ROWS_VISIBLE + 1).then_some(ROWS_VISIBLE);
    Table { heads: heads.collect(), rows, visible, noun, ..Table::default() }
}

impl Incident {
    /// The class of its colour, and its state in words.
    fn state(&self, now: Timestamp) -> (&'static str, &'static str) {
        let is_over = self.end.is_some_and(|end| end <= now);
        match self.kind {
            IncidentKind::Note => ("note", "Note"),
            IncidentKind::Maintenance if is_over => ("note", "Maintenance, completed"),
            IncidentKind::Maintenance if self.start > now => ("note", "Maintenance, planned"),
            IncidentKind::Maintenance => ("shaky", "Maintenance"),
            _ if is_over => ("up", "Resolved"),
            IncidentKind::Degraded => ("shaky", "Degraded"),
            IncidentKind::Outage => ("down", "Outage"),
        }
    }

    /// From when to when, for people.
    pub(super) fn when(&self) -> String {
        match (self.kind, self.end) {
            (_, Some(end)) => format!("{} to {}", minute(self.start), minute(end)),
            (IncidentKind::Note, None) => minute(self.start),
            (_, None) => format!("since {}", minute(self.start)),
        }
    }

    fn view(&self, now: Timestamp) -> IncidentView<'_> {
        let (class, state) = self.state(now);
        IncidentView {
            class,
            state,
            title: &self.title,
            when: self.when(),
            regions: self.regions.join(", "),
            updates: self
                .updates
                .iter()
                .map(|(at, text)| (instant(*at), minute(*at), text.as_str()))
                .collect(),
        }
    }
}

impl StatusPage<'_> {
    /// Seconds between runs: the median of the last ones.
    fn interval_s(&self) -> i64 {
        let runs = &self.history.runs[self.history.runs.len().saturating_sub(BARS)..];
        let mut gaps: Vec<i64> =
            runs.windows(2).map(|two| two[1].at.as_second() - two[0].at.as_second()).collect();
        gaps.sort_unstable();
        gaps.get(gaps.len() / 2).copied().unwrap_or(300).clamp(REFRESH_S.0, REFRESH_S.1)
    }

    /// Entries that are open, planned, or not older than the history.
    fn current_incidents(&self) -> Vec<IncidentView<'_>> {
        let oldest = self.at - jiff::SignedDuration::from_hours(24 * 90);
        let is_current = |incident: &&Incident| incident.is_open(self.at) || incident.updated() >= oldest;
        let mut found: Vec<&Incident> = self.incidents.iter().filter(is_current).collect();
        // What goes on comes first.
        found.sort_by_key(|incident| !incident.is_open(self.at));
        found.into_iter().map(|incident| incident.view(self.at)).collect()
    }

    pub(crate) fn html(&self) -> Result<String, PageError> {
        let slowest = self.rows.iter().filter_map(|row| row.total_p50_ms).fold(0.0_f64, f64::max);
        let places = Places::new(self.history, self.at);
        let regions: Vec<_> =
            self.rows.iter().map(|row| region(row, self.history, &places, slowest)).collect();
        let numbers = numbers(&regions, &places);
        let labels = places.labels();
        let mut dates: Vec<&str> = self.rows.iter().filter_map(|row| row.database_date.as_deref()).collect();
        dates.sort_unstable();
        dates.dedup();
        let is_web = |link: &str| link.starts_with("https://") || link.starts_with("http://");
        let interval_s = self.interval_s();
        let mut context = Context::new();
        context.insert("title", self.title);
        context.insert("measured", &minute(self.at));
        context.insert("measured_at", &instant(self.at));
        context.insert("refresh_s", &interval_s);
        context.insert("stale_s", &(3 * interval_s).max(900));
        context.insert("banner", &banner(self.rows));
        context.insert("incidents", &self.current_incidents());
        context.insert("feed", &self.feed);
        context.insert("span", &counted(labels.len(), numbers.noun.trim_end_matches('s')));
        context.insert("oldest", &labels.first());
        context.insert("newest", &labels.last());
        context.insert("numbers", &numbers);
        context.insert("times", &times(self.rows));
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
    use super::super::incidents;
    use super::super::summary::summarise;
    use super::super::summary::tests::{edge, sample};
    use super::*;

    const INCIDENTS: &str = r#"
[[incident]]
title = "<b>Cable</b> cut"
kind = "outage"
start = 2026-11-25T10:00:00Z
[[incident.update]]
at = 2026-11-25T10:10:00Z
text = "<script>alert(2)</script>"

[[incident]]
title = "New network"
kind = "maintenance"
start = 2026-11-28T10:00:00Z
end = 2026-11-28T11:00:00Z

[[incident]]
title = "Long ago"
kind = "degraded"
start = 2026-01-01T10:00:00Z
end = 2026-01-01T11:00:00Z
"#;

    fn html(rows: &[ProbeRow], history: &ProbeHistory) -> String {
        let credit = Attribution { text: "\"><img src=x>".into(), link: "javascript:alert(1)".into() };
        let at = "2026-11-25T10:30:00Z".parse().expect("a time");
        let incidents = incidents::parse("incidents.toml", INCIDENTS, &[]).expect("incidents");
        let page = StatusPage {
            title: "api.<example>.com",
            at,
            credit: Some(&credit),
            rows,
            history,
            incidents: &incidents,
            feed: Some("status.atom"),
        };
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
        let history = ProbeHistory { runs: vec![run(0, true), run(5, false)], ..ProbeHistory::default() };
        let page = html(&rows, &history);
        assert!(page.contains("<title>api.&lt;example&gt;.com status</title>"));
        assert!(page.contains("1 of 2 regions does not answer"), "{page}");
        assert!(
            page.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && page.contains("&lt;script&gt;alert(2)")
        );
        assert_eq!(page.matches("<script").count(), 1, "only the page's own");
        assert!(
            page.contains("&lt;b&gt;Cable&lt;&#x2F;b&gt; cut")
                || page.contains("&lt;b&gt;Cable&lt;/b&gt; cut")
        );
        assert!(page.contains("Maintenance, planned") && !page.contains("Long ago"), "{page}");
        assert!(page.contains("&quot;&gt;&lt;img src=x&gt;") && page.contains("&quot;&gt;&lt;img src=y&gt;"));
        assert!(!page.contains("<img") && !page.contains("javascript:"), "{page}");
        for outside in ["src=\"", "@import", "url(", "<link rel=\"stylesheet\""] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert_eq!(page.matches("<article").count(), 2);
        assert_eq!(page.matches("<i class=\"up\" title").count(), 1);
        assert!(page.contains("title=\"2026-11-24 00:05 UTC: No answer, –\""), "{page}");
        assert!(page.contains("2 runs, 2026-11-24 00:00 UTC to 2026-11-24 00:05 UTC"), "{page}");
        assert!(page.contains("1 of 1") && page.contains("0 of 1"));
        assert!(page.contains("href=\"status.atom\""));
    }

    #[test]
    fn bars_are_days_when_there_are_some_and_numbers_say_the_same() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("probe.jsonl");
        let mut history = ProbeHistory::default();
        // Of the last eight days, one has no run.
        for day in (-7..=0).filter(|day| *day != -3) {
            for minute in 0..10 {
                let run = run(1_440 + day * 1_440 + minute, day != -5 || minute > 0);
                history.add(run, &path).expect("written");
            }
        }
        let rows = [summarise(&edge("eu-west-1"), &[sample(10.0)])];
        let page = html(&rows, &history);
        assert!(page.contains("8 days, 2026-11-18 to 2026-11-25"), "{page}");
        assert!(page.contains("<i class=\"shaky\" title=\"2026-11-20: 9 of 10 answered\">"), "{page}");
        assert!(
            page.contains("title=\"2026-11-21: 10 of 10 answered\"></i><i></i><i class=\"up\""),
            "{page}"
        );
        assert!(page.contains("69 of 70 answered"), "{page}");
        assert!(page.contains("<td class=\"short\">2026-11-22</td><td class=\"number\">–</td>"), "{page}");
    }

    #[test]
    fn a_page_is_stale_after_three_intervals_between_runs() {
        let rows = [summarise(&edge("eu-west-1"), &[sample(10.0)])];
        for (minutes, refresh_s, stale_s) in [
            (&[][..], 300, 900),
            (&[0, 1, 2][..], 60, 900),
            (&[0, 30, 60][..], 1_800, 5_400),
            (&[0, 600][..], 3_600, 10_800),
        ] {
            let runs = minutes.iter().map(|minute| run(*minute, true)).collect();
            let page = html(&rows, &ProbeHistory { runs, ..ProbeHistory::default() });
            assert!(page.contains(&format!("reload(), {refresh_s} * 1000")), "{minutes:?}");
            assert!(page.contains(&format!("measured < {stale_s} * 1000")), "{minutes:?}");
        }
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
