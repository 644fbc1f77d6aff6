//! The status page: one file of HTML with nothing from elsewhere, light and dark, wide and narrow. Pure.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::history::{History, Seen};
use super::summary::{Row, State};
use crate::ui::output::escaped;

/// Runs that are shown as bars.
const BARS: usize = 60;

/// What a page is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The service, as callers know it: its domain or name.
    pub title: String,
    /// When it was measured.
    pub at: Timestamp,
    /// The credit of the geo data; may be empty.
    pub attribution: String,
    /// Where the credit leads; may be empty.
    pub attribution_link: String,
}

/// To the minute: nobody reads more of a status page.
fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

fn ms(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(value) if value < 10.0 => format!("{value:.1} ms"),
        Some(value) => format!("{value:.0} ms"),
    }
}

fn word(state: State) -> &'static str {
    match state {
        State::Up => "Operational",
        State::Shaky => "Unsteady",
        State::Down => "No answer",
    }
}

/// The page.
pub fn page(about: &About, rows: &[Row], history: &History) -> String {
    let mut out = String::new();
    let title = escaped(&about.title);
    // Writing to a String can't fail.
    let _ = write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>{title} status</title>\n<style>{STYLE}</style>\n\
         </head>\n<body>\n<main>\n<header>\n<h1>{title}</h1>\n<p class=\"when\">Measured {}</p>\n</header>\n",
        minute(about.at)
    );
    banner(&mut out, rows);
    let slowest = rows.iter().filter_map(|row| row.total_p50_ms).fold(0.0_f64, f64::max);
    let _ = writeln!(out, "<section class=\"regions\" aria-label=\"Regions\">");
    for row in rows {
        region(&mut out, row, history, slowest);
    }
    let _ = writeln!(out, "</section>");
    legend(&mut out);
    times(&mut out, rows);
    footer(&mut out, about, rows);
    let _ = write!(out, "</main>\n</body>\n</html>\n");
    out
}

fn banner(out: &mut String, rows: &[Row]) {
    let count = |state| rows.iter().filter(|row| row.state == state).count();
    let (down, shaky) = (count(State::Down), count(State::Shaky));
    let (class, text) = if rows.is_empty() {
        ("shaky", "No region was asked".to_owned())
    } else if down == rows.len() {
        ("down", "No region answers".to_owned())
    } else if down > 0 {
        (
            "down",
            format!("{down} of {} regions {} not answer", rows.len(), if down == 1 { "does" } else { "do" }),
        )
    } else if shaky > 0 {
        (
            "shaky",
            format!("{shaky} of {} regions {} unsteady", rows.len(), if shaky == 1 { "is" } else { "are" }),
        )
    } else {
        ("up", "All regions answer".to_owned())
    };
    let _ =
        writeln!(out, "<p class=\"banner {class}\" role=\"status\"><span class=\"dot\"></span>{text}</p>");
}

fn region(out: &mut String, row: &Row, history: &History, slowest: f64) {
    let state = row.state.as_str();
    let _ = write!(
        out,
        "<article class=\"{state}\">\n<div class=\"name\"><h2>{}</h2><span class=\"code\">{}</span></div>\n\
         <p class=\"state\"><span class=\"dot\"></span>{}</p>\n",
        escaped(&row.near),
        escaped(&row.region),
        word(row.state)
    );
    bars(out, row, history);
    match row.total_p50_ms {
        Some(_) => phases(out, row, slowest),
        None => {
            let why = row.failure.as_deref().unwrap_or("nothing was measured");
            let _ = writeln!(out, "<p class=\"why\">{}</p>", escaped(why));
        }
    }
    let _ = writeln!(out, "</article>");
}

/// The last runs, a bar each; the newest at the right.
fn bars(out: &mut String, row: &Row, history: &History) {
    let states = history.last_states(&row.region, BARS);
    let share = history.answered_share(&row.region);
    let label =
        share.map_or_else(|| "no runs yet".to_owned(), |share| format!("{:.2} % answered", share * 100.0));
    let _ = write!(
        out,
        "<div class=\"history\"><div class=\"bars\" role=\"img\" aria-label=\"Last runs: {label}\">"
    );
    for _ in states.len()..BARS {
        out.push_str("<i></i>");
    }
    for state in states {
        match state {
            None => out.push_str("<i></i>"),
            Some((at, seen)) => bar(out, at, seen),
        }
    }
    let _ = writeln!(out, "</div><span>{label}</span></div>");
}

fn bar(out: &mut String, at: Timestamp, seen: Seen) {
    let Seen { state, p50_ms, .. } = seen;
    let _ = write!(
        out,
        "<i class=\"{}\" title=\"{}: {}, {}\"></i>",
        state.as_str(),
        minute(at),
        word(state),
        ms(p50_ms)
    );
}

const PHASES: [(&str, &str); 4] =
    [("dns", "DNS"), ("connect", "connect"), ("tls", "TLS"), ("first", "first byte")];

fn medians(row: &Row) -> [Option<f64>; 4] {
    [row.dns_p50_ms, row.connect_p50_ms, row.tls_p50_ms, row.first_byte_p50_ms]
}

/// The median request as a bar of its phases, as long as it took beside the slowest region's.
fn phases(out: &mut String, row: &Row, slowest: f64) {
    let whole: f64 = medians(row).iter().flatten().sum();
    let scale = if slowest > 0.0 { 100.0 / slowest.max(whole) } else { 0.0 };
    let _ = write!(out, "<div class=\"latency\"><div class=\"stack\" aria-hidden=\"true\">");
    for ((class, name), value) in PHASES.iter().zip(medians(row)) {
        if let Some(value) = value {
            let width = value * scale;
            let _ = write!(
                out,
                "<b class=\"{class}\" style=\"width:{width:.2}%\" title=\"{name} {}\"></b>",
                ms(Some(value))
            );
        }
    }
    let _ = writeln!(out, "</div><span class=\"total\">{}</span></div>", ms(row.total_p50_ms));
}

fn legend(out: &mut String) {
    let _ = write!(out, "<p class=\"legend\">Median of a new caller's request:");
    for (class, name) in PHASES {
        let _ = write!(out, " <span><b class=\"{class}\"></b>{name}</span>");
    }
    let _ = writeln!(out, "</p>");
}

fn times(out: &mut String, rows: &[Row]) {
    let _ = write!(
        out,
        "<details open>\n<summary>All times</summary>\n<div class=\"scroll\"><table>\n<thead><tr><th>Region</th>\
         <th>DNS</th><th>Connect</th><th>TLS</th><th>First byte</th><th>p50</th><th>p95</th><th>p99</th>\
         <th>Failed</th></tr></thead>\n<tbody>\n"
    );
    for row in rows {
        let _ = write!(out, "<tr><th>{}</th>", escaped(&row.region));
        let quantiles = [row.total_p50_ms, row.total_p95_ms, row.total_p99_ms];
        for value in medians(row).into_iter().chain(quantiles) {
            let _ = write!(out, "<td>{}</td>", ms(value));
        }
        let _ = writeln!(out, "<td>{} of {}</td></tr>", row.failed, row.samples);
    }
    let _ = writeln!(out, "</tbody>\n</table></div>\n</details>");
}

fn footer(out: &mut String, about: &About, rows: &[Row]) {
    let mut dates: Vec<&str> = rows.iter().filter_map(|row| row.database_date.as_deref()).collect();
    dates.sort_unstable();
    dates.dedup();
    let _ = write!(out, "<footer>");
    if let Some(newest) = dates.last() {
        let _ = write!(
            out,
            "<p>Geo data of {}{}.</p>",
            escaped(newest),
            if dates.len() > 1 { ", older in some regions" } else { "" }
        );
    }
    if !about.attribution.is_empty() {
        let text = escaped(&about.attribution);
        if about.attribution_link.starts_with("https://") || about.attribution_link.starts_with("http://") {
            let _ = write!(out, "<p><a href=\"{}\">{text}</a></p>", escaped(&about.attribution_link));
        } else {
            let _ = write!(out, "<p>{text}</p>");
        }
    }
    let _ = writeln!(out, "</footer>");
}

const STYLE: &str = r"
:root{--bg:#f6f7f9;--card:#fff;--ink:#16202b;--soft:#5a6775;--line:#dfe4ea;--up:#12834a;--up-bg:#e2f4ea;
--shaky:#9a5b00;--shaky-bg:#fdf0d9;--down:#b3261e;--down-bg:#fbe5e3;--none:#dfe4ea;
--dns:#7b61c9;--connect:#2f78c4;--tls:#1f9a8a;--first:#e0922f}
@media (prefers-color-scheme:dark){:root{--bg:#0f141a;--card:#182029;--ink:#e8edf2;--soft:#9aa8b6;--line:#2a3540;
--up:#4cc38a;--up-bg:#12301f;--shaky:#f0b351;--shaky-bg:#33260d;--down:#ff8a80;--down-bg:#3a1714;--none:#2a3540;
--dns:#a48df0;--connect:#6aa9ec;--tls:#4fc4b4;--first:#f2b062}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:60rem;margin:0 auto;padding:2rem 1rem 3rem}
header{display:flex;flex-wrap:wrap;justify-content:space-between;align-items:baseline;gap:.25rem 1rem}
h1{font-size:1.6rem;margin:0;overflow-wrap:anywhere}
.when{margin:0;color:var(--soft)}
.dot{display:inline-block;width:.65em;height:.65em;border-radius:50%;background:currentColor;margin-right:.5em}
.banner{margin:1.25rem 0;padding:.9rem 1.1rem;border-radius:.6rem;font-weight:600;font-size:1.1rem}
.banner.up{background:var(--up-bg);color:var(--up)}
.banner.shaky{background:var(--shaky-bg);color:var(--shaky)}
.banner.down{background:var(--down-bg);color:var(--down)}
.regions{background:var(--card);border:1px solid var(--line);border-radius:.6rem}
article{display:grid;grid-template-columns:11rem 8rem minmax(0,1fr) minmax(0,1fr);gap:.25rem 1.25rem;align-items:center;
padding:.8rem 1.1rem;border-top:1px solid var(--line)}
article:first-child{border-top:0}
h2{font-size:1rem;margin:0}
.name{display:flex;flex-direction:column}
.code{color:var(--soft);font-size:.85rem}
.state{margin:0;font-size:.9rem;white-space:nowrap}
article.up .state{color:var(--up)}article.shaky .state{color:var(--shaky)}article.down .state{color:var(--down)}
.bars{display:flex;gap:1px;height:1.6rem}
.bars i{flex:1;border-radius:1px;background:var(--none)}
.bars i.up{background:var(--up)}.bars i.shaky{background:var(--shaky)}.bars i.down{background:var(--down)}
.history span{color:var(--soft);font-size:.8rem}
.latency{display:flex;align-items:center;gap:.75rem}
.stack{display:flex;flex:1;height:.8rem;border-radius:.2rem;overflow:hidden;background:var(--none)}
.total{min-width:4.5rem;text-align:right;font-variant-numeric:tabular-nums}
b.dns{background:var(--dns)}b.connect{background:var(--connect)}b.tls{background:var(--tls)}b.first{background:var(--first)}
.why{margin:0;color:var(--down);font-size:.9rem;overflow-wrap:anywhere}
.legend{color:var(--soft);font-size:.85rem;margin:.75rem 0}
.legend span{margin-left:.75em;white-space:nowrap}
.legend b{display:inline-block;width:.8em;height:.8em;border-radius:.15em;margin-right:.35em;vertical-align:-.05em}
details{margin-top:1.5rem}
summary{cursor:pointer;font-weight:600;margin-bottom:.5rem}
.scroll{overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:.6rem}
table{border-collapse:collapse;width:100%;font-size:.9rem;font-variant-numeric:tabular-nums}
th,td{padding:.45rem .8rem;text-align:right;white-space:nowrap;border-top:1px solid var(--line)}
thead th{border-top:0;color:var(--soft);font-weight:600}
th:first-child{text-align:left}
tbody th{font-weight:500}
footer{margin-top:1.5rem;color:var(--soft);font-size:.85rem}
footer p{margin:.2rem 0}
a{color:inherit}
@media (max-width:46rem){article{grid-template-columns:1fr auto}.history,.latency,.why{grid-column:1/-1}}
@media print{body{background:#fff}article,table{break-inside:avoid}.banner,.bars i,.stack b{print-color-adjust:exact}}
";

#[cfg(test)]
mod tests {
    use super::super::history::tests::run;
    use super::super::measure::Sample;
    use super::super::summary::summarise;
    use super::super::summary::tests::{edge, sample};
    use super::*;

    fn about() -> About {
        About {
            title: "api.<example>.com".into(),
            at: "2026-11-25T10:30:00Z".parse().expect("a time"),
            attribution: "IP Geolocation by DB-IP".into(),
            attribution_link: "https://db-ip.com".into(),
        }
    }

    #[test]
    fn the_page_needs_nothing_from_elsewhere_and_quotes_what_it_shows() {
        let failed = |why: &str| Sample { outcome: Err(why.to_owned()) };
        let rows = [
            summarise(&edge("eu-west-1"), &[sample(10.0), sample(12.0)]),
            summarise(&edge("us-east-1"), &[failed("TLS: <script>alert(1)</script>")]),
        ];
        let history = History { runs: vec![run(0, true), run(5, false)] };
        let page = page(&about(), &rows, &history);
        assert!(page.contains("<title>api.&lt;example&gt;.com status</title>"));
        assert!(page.contains("1 of 2 regions does not answer"), "{page}");
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && !page.contains("<script"));
        for outside in ["src=", "@import", "url(", "<link rel=\"stylesheet\""] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert_eq!(page.matches("<article").count(), 2);
        assert_eq!(page.matches("<i").count(), 2 * BARS);
        assert!(page.contains("title=\"2026-11-24 00:05 UTC: No answer, –\""), "{page}");
        assert!(page.contains("50.00 % answered"));
    }

    #[test]
    fn the_banner_says_how_it_is() {
        let up = summarise(&edge("a"), &[sample(1.0)]);
        let down = summarise(&edge("b"), &[Sample { outcome: Err("no".into()) }]);
        let shaky = summarise(&edge("c"), &[sample(1.0), Sample { outcome: Err("no".into()) }]);
        let table: [(&[&Row], &str); 5] = [
            (&[&up, &up], "All regions answer"),
            (&[&up, &shaky], "1 of 2 regions is unsteady"),
            (&[&up, &down, &shaky], "1 of 3 regions does not answer"),
            (&[&down], "No region answers"),
            (&[], "No region was asked"),
        ];
        for (rows, text) in table {
            let rows: Vec<Row> = rows.iter().map(|row| (*row).clone()).collect();
            let page = page(&about(), &rows, &History::default());
            assert!(page.contains(&format!("</span>{text}</p>")), "{text}");
        }
    }
}
