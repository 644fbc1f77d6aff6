//! The Atom feed beside the status page: incidents, and times in which a region did not answer. Pure.

use jiff::Timestamp;
use serde::Serialize;
use std::fmt::Write as _;
use tera::Context;

use super::incidents::Incident;
use super::page::StatusPage;
use crate::ui::format::{instant, minute};
use crate::ui::output::{PageError, html_page};

const ENTRIES: usize = 50;

#[derive(Serialize)]
struct FeedEntry {
    /// Stays the same as long as the entry is the same.
    id: String,
    title: String,
    published: String,
    updated: String,
    text: String,
}

impl StatusPage<'_> {
    pub(crate) fn feed(&self) -> Result<String, PageError> {
        let mut entries: Vec<FeedEntry> =
            self.incidents.iter().map(|incident| incident_entry(self.title, incident)).collect();
        entries.extend(self.outage_entries());
        // Times are in one form, so that they sort as texts.
        entries.sort_by(|a, b| b.updated.cmp(&a.updated));
        entries.truncate(ENTRIES);
        let mut context = Context::new();
        context.insert("title", self.title);
        context.insert("updated", &entries.first().map_or(instant(self.at), |entry| entry.updated.clone()));
        context.insert("entries", &entries);
        html_page("feed.xml", &context)
    }

    fn outage_entries(&self) -> Vec<FeedEntry> {
        let mut entries = Vec::new();
        for row in self.rows {
            let name = format!("{} ({})", row.near, row.region);
            for (start, end) in self.history.outages(&row.region) {
                entries.push(FeedEntry {
                    id: id(self.title, start, &row.region),
                    title: format!("{name}: no answer"),
                    published: instant(start),
                    updated: instant(end.unwrap_or(start)),
                    text: match end {
                        Some(end) => {
                            format!("{name} did not answer from {} to {}.", minute(start), minute(end))
                        }
                        None => format!("{name} has not answered since {}.", minute(start)),
                    },
                });
            }
        }
        entries
    }
}

fn incident_entry(title: &str, incident: &Incident) -> FeedEntry {
    let mut text = incident.when();
    if !incident.regions.is_empty() {
        let _ = write!(text, ", {}", incident.regions.join(", "));
    }
    for (at, update) in &incident.updates {
        let _ = write!(text, "\n\n{}: {update}", minute(*at));
    }
    let name: String =
        incident.title.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(60).collect();
    FeedEntry {
        id: id(title, incident.start, &name),
        title: incident.title.clone(),
        published: instant(incident.start),
        updated: instant(incident.updated()),
        text,
    }
}

/// A tag URI (RFC 4151).
fn id(service: &str, start: Timestamp, name: &str) -> String {
    format!("tag:{service},{}:{}/{name}", start.strftime("%Y-%m-%d"), start.as_second())
}

#[cfg(test)]
mod tests {
    use super::super::history::ProbeHistory;
    use super::super::history::tests::run;
    use super::super::incidents;
    use super::super::summary::summarise;
    use super::super::summary::tests::{edge, sample};
    use super::*;

    #[test]
    fn the_feed_has_incidents_and_outages_the_newest_first() {
        let rows = [summarise(&edge("eu-west-1"), &[sample(10.0)])];
        let text = "[[incident]]\ntitle = \"<Cable> & ]]>\"\nkind = \"outage\"\nstart = 2026-11-23T10:00:00Z\n\
                    [[incident.update]]\nat = 2026-11-24T09:00:00Z\ntext = \"Looking\"\n";
        let incidents = incidents::parse("incidents.toml", text, &[]).expect("incidents");
        let history = ProbeHistory {
            runs: vec![run(0, false), run(5, true), run(10, false)],
            ..ProbeHistory::default()
        };
        let at = "2026-11-25T10:30:00Z".parse().expect("a time");
        let page = StatusPage {
            title: "api.example.com",
            at,
            credit: None,
            rows: &rows,
            history: &history,
            incidents: &incidents,
            feed: None,
        };
        insta::assert_snapshot!(page.feed().expect("a feed"));
    }
}
