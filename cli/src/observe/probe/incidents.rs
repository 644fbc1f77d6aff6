//! Incidents and notes of the status page: `incidents.toml`, written by hand. Pure.

use ipgeo_contract::RegionName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use toml::Spanned;
use toml::de::Error;
use toml::value::Datetime;

use crate::config::{Collector, Problems, suggestion};

/// The file's name beside `regions.toml`.
pub(crate) const INCIDENTS: &str = "incidents.toml";
const TEXT_MAX: usize = 2_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum IncidentKind {
    Outage,
    Degraded,
    Maintenance,
    Note,
}

/// One entry, as checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Incident {
    pub title: String,
    pub kind: IncidentKind,
    pub start: Timestamp,
    /// `None`: it goes on.
    pub end: Option<Timestamp>,
    /// Empty: all regions, or none in particular.
    pub regions: Vec<String>,
    /// What was written about it, the newest first.
    pub updates: Vec<(Timestamp, String)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IncidentFile {
    #[serde(default)]
    incident: Vec<IncidentEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IncidentEntry {
    title: Spanned<String>,
    kind: IncidentKind,
    start: Spanned<Datetime>,
    end: Option<Spanned<Datetime>>,
    #[serde(default)]
    regions: Vec<Spanned<String>>,
    #[serde(default)]
    update: Vec<IncidentUpdate>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IncidentUpdate {
    at: Spanned<Datetime>,
    text: Spanned<String>,
}

/// Reads the text of `file`; entries may name only `regions`. The newest entry comes first.
pub(crate) fn parse(file: &str, text: &str, regions: &[RegionName]) -> Result<Vec<Incident>, Problems> {
    let mut out = Collector::default();
    let found: IncidentFile = match toml::from_str(text) {
        Ok(found) => found,
        Err(error) => {
            add_error(&error, &mut out);
            return Err(out.into_problems(file, text));
        }
    };
    let mut incidents: Vec<Incident> =
        found.incident.into_iter().filter_map(|entry| check(entry, regions, &mut out)).collect();
    if !out.is_empty() {
        return Err(out.into_problems(file, text));
    }
    incidents.sort_by_key(|incident| std::cmp::Reverse(incident.start));
    Ok(incidents)
}

fn add_error(error: &Error, out: &mut Collector) {
    let mut message = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
    if message == "invalid type: map, expected a sequence" {
        message =
            "this can occur several times: write its name in two brackets, such as `[[incident]]`".into();
    }
    out.add(&error.span().unwrap_or(0..0), message);
}

/// An entry without problems; others are in `out`.
fn check(entry: IncidentEntry, regions: &[RegionName], out: &mut Collector) -> Option<Incident> {
    check_text("title", &entry.title, out);
    let start = time("start", &entry.start, out);
    let end = entry.end.as_ref().map(|end| (end.span(), time("end", end, out)));
    if let (Some(start), Some((span, Some(end)))) = (start, &end)
        && *end <= start
    {
        out.add(span, "`end` must be after `start`");
    }
    for region in &entry.regions {
        if regions.iter().all(|known| known.as_str() != region.get_ref()) {
            let hint = suggestion(region.get_ref(), regions.iter().map(RegionName::as_str));
            out.add(&region.span(), format!("`{}` is not a region of regions.toml{hint}", region.get_ref()));
        }
    }
    let mut updates = Vec::new();
    for update in entry.update {
        check_text("text", &update.text, out);
        updates.extend(time("at", &update.at, out).map(|at| (at, update.text.into_inner())));
    }
    updates.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    Some(Incident {
        title: entry.title.into_inner(),
        kind: entry.kind,
        start: start?,
        end: end.and_then(|(_, end)| end),
        regions: entry.regions.into_iter().map(Spanned::into_inner).collect(),
        updates,
    })
}

fn check_text(field: &str, text: &Spanned<String>, out: &mut Collector) {
    let (length, value) = (text.get_ref().chars().count(), text.get_ref());
    if value.trim().is_empty() || length > TEXT_MAX || value.chars().any(|c| c.is_control() && c != '\n') {
        out.add(&text.span(), format!("`{field}` must have 1 to {TEXT_MAX} printable characters"));
    }
}

fn time(field: &str, value: &Spanned<Datetime>, out: &mut Collector) -> Option<Timestamp> {
    let time = value.get_ref().to_string().parse().ok();
    if time.is_none() {
        let message = format!("`{field}` must be a time with its zone, such as 2026-11-24T10:00:00Z");
        out.add(&value.span(), message);
    }
    time
}

impl Incident {
    /// Whether it affects callers at `now`.
    pub(super) fn is_open(&self, now: Timestamp) -> bool {
        self.kind != IncidentKind::Note && self.start <= now && self.end.is_none_or(|end| end > now)
    }

    /// When something was last said about it.
    pub(super) fn updated(&self) -> Timestamp {
        let last = self.updates.first().map(|(at, _)| *at);
        [Some(self.start), self.end, last].into_iter().flatten().max().unwrap_or(self.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
[[incident]]
title = "Slow answers in Frankfurt"
kind = "degraded"
start = 2026-11-24T10:00:00Z
end = 2026-11-24T12:30:00+01:00
regions = ["eu-central-1"]

[[incident.update]]
at = 2026-11-24T10:20:00Z
text = "We are looking for the cause."

[[incident.update]]
at = 2026-11-24T11:30:00Z
text = """A network provider had lost packets.
It is repaired."""

[[incident]]
title = "New field: company"
kind = "note"
start = 2026-11-25T00:00:00Z
"#;

    fn regions() -> Vec<RegionName> {
        ["eu-central-1", "us-east-1"].map(RegionName::new).into()
    }

    #[test]
    fn incidents_are_read_the_newest_first() {
        let found = parse("incidents.toml", FILE, &regions()).expect("incidents");
        let titles: Vec<&str> = found.iter().map(|incident| incident.title.as_str()).collect();
        assert_eq!(titles, ["New field: company", "Slow answers in Frankfurt"]);
        let at = |text: &str| -> Timestamp { text.parse().expect("a time") };
        assert_eq!(found[1].end, Some(at("2026-11-24T11:30:00Z")));
        assert!(found[1].updates[0].1.ends_with("It is repaired."));
        assert_eq!(found[1].updated(), at("2026-11-24T11:30:00Z"));
        assert!(
            found[1].is_open(at("2026-11-24T11:00:00Z")) && !found[1].is_open(at("2026-11-24T11:30:00Z"))
        );
        assert!(!found[0].is_open(at("2026-11-26T00:00:00Z")), "a note is not a fault");
        assert_eq!(parse("incidents.toml", "", &[]), Ok(Vec::new()));
    }

    #[test]
    fn a_single_bracket_is_explained() {
        let text = "[incident]\ntitle = \"x\"\n";
        let problem = parse("incidents.toml", text, &[]).expect_err("a problem").to_string();
        assert!(
            problem.contains("incidents.toml:1:1: ") && problem.contains("such as `[[incident]]`"),
            "{problem}"
        );
    }

    #[test]
    fn every_problem_has_its_place() {
        let changed = |from: &str, to: &str| {
            let text = FILE.replacen(from, to, 1);
            assert_ne!(text, FILE, "{from}");
            parse("incidents.toml", &text, &regions()).expect_err("a problem").to_string()
        };
        for (from, to, expected) in [
            ("\"degraded\"", "\"slow\"", "incidents.toml:4:8: unknown variant `slow`"),
            (
                "eu-central-1",
                "eu-centrl-1",
                "7:12: `eu-centrl-1` is not a region of regions.toml; did you mean `eu-central-1`?",
            ),
            (
                "10:00:00Z\nend",
                "10:00:00\nend",
                "5:9: `start` must be a time with its zone, such as 2026-11-24T10:00:00Z",
            ),
            ("12:30:00+01:00", "11:00:00+01:00", "6:7: `end` must be after `start`"),
            (
                "\"Slow answers in Frankfurt\"",
                "\" \"",
                "3:9: `title` must have 1 to 2000 printable characters",
            ),
            ("title = \"New", "titel = \"New", "titel"),
            ("kind = \"note\"", "", "missing field `kind`"),
            ("[[incident]]", "[[incident", "incidents.toml:2:"),
        ] {
            let found = changed(from, to);
            assert!(found.contains(expected), "{expected}: {found}");
        }
        let two = FILE.replace("eu-central-1", "mars-1").replace("\"New field: company\"", "\"\"");
        let found = parse("incidents.toml", &two, &regions()).expect_err("problems").to_string();
        assert!(found.ends_with("2 problems in incidents.toml"), "{found}");
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,200}", cut in 0_usize..FILE.len()) {
            let _ = parse("incidents.toml", &text, &regions());
            let _ = parse("incidents.toml", FILE.get(..cut).unwrap_or_default(), &regions());
        }
    }
}
