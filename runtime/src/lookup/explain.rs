//! The member `explain` of a location: which source decided each field, as far as the compiled database stores it. Values that
//! a source was overridden by are not stored; `ipgeo geo explain` reads them from the sources.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::fields;

/// What a database stores about the origin of an answer.
#[derive(Debug)]
pub struct Origins<'a> {
    /// The network whose addresses all have this record.
    pub network: String,
    /// A JSON object from fields to the names of their sources.
    pub sources: &'a str,
    /// The date of each source that states one.
    pub dates: &'a BTreeMap<String, String>,
    /// The date of the database.
    pub date: &'a str,
}

#[derive(Serialize)]
struct Explanation<'a> {
    network: &'a str,
    date: &'a str,
    fields: Vec<ExplainedField<'a>>,
}

/// A field with a source that decided it; `threat` has one for each source that set a flag.
#[derive(Serialize)]
struct ExplainedField<'a> {
    field: &'a str,
    source: &'a str,
    /// The source's own network, where the database stores it.
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    date: Option<&'a str>,
}

/// The sources of a field in the origin of a record.
#[derive(Deserialize)]
#[serde(untagged)]
enum Sources {
    One(String),
    Several(Vec<String>),
}

impl Sources {
    fn names(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Several(names) => names,
        }
    }
}

/// Adds `explain` to a location: a row for each of its fields that a source decided.
pub(super) fn add(location: &mut String, origins: &Origins<'_>) {
    // Written by the compiler; of a damaged database, nothing is explained.
    let sources: BTreeMap<String, Sources> = serde_json::from_str(origins.sources).unwrap_or_default();
    let known = fields::members(location).into_iter().filter(|(_, value)| *value != "null");
    let rows = known.flat_map(|(field, value)| {
        let decided = decided_by(field).iter().find_map(|name| sources.get(*name));
        let names = decided.map(Sources::names).unwrap_or_default();
        names.iter().map(move |source| ExplainedField {
            field,
            source,
            range: range(field, value),
            date: origins.dates.get(source).map(String::as_str),
        })
    });
    let explanation = Explanation { network: &origins.network, date: origins.date, fields: rows.collect() };
    let text = serde_json::to_string(&explanation).unwrap_or_default();
    location.pop();
    let separator = if location.ends_with('{') { "" } else { "," };
    location.extend([separator, "\"explain\":", &text, "}"]);
}

/// The stored fields whose source decided a field, the most exact first.
fn decided_by(field: &str) -> &[&str] {
    match field {
        "is_eu" | "country_name" | "country_code" | "continent_name" | "continent_code" | "calling_code"
        | "flag" | "emoji_flag" | "emoji_unicode" | "languages" | "currency" => &["country_code"],
        "latitude" | "longitude" | "accuracy_radius_km" => &["latitude"],
        // If no source states it, it follows from the coordinates.
        "time_zone" => &["time_zone", "latitude"],
        "region" => &["region"],
        "region_code" => &["region_code"],
        "city" => &["city"],
        "postal" => &["postal"],
        "asn" => &["asn"],
        "company" => &["company"],
        "crawler" => &["crawler"],
        "threat" => &["threat"],
        // The address, the count, and the agreement of all sources.
        _ => &[],
    }
}

fn range(field: &str, value: &str) -> Option<String> {
    let member = match field {
        "asn" => "route",
        "company" => "network",
        _ => return None,
    };
    serde_json::from_str(fields::member(value, member)?).ok()
}

#[cfg(test)]
mod tests {
    use super::super::request::{Metered, Route, route};
    use super::super::{Event, FIELDS};
    use super::*;

    const SOURCES: &str = r#"{"country_code":"city","city":"overrides","latitude":"city","asn":"as","company":"cloud","threat":["tor","cloud"]}"#;

    fn explained(location: &str, sources: &str) -> serde_json::Value {
        let dates = BTreeMap::from([("tor".to_owned(), "2026-11-02".to_owned())]);
        let network = "8.8.8.0/24".to_owned();
        let mut text = location.to_owned();
        add(&mut text, &Origins { network, sources, dates: &dates, date: "2026-11-01" });
        let before: serde_json::Value = serde_json::from_str(location).expect("JSON");
        let mut after: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let explain = after.as_object_mut().expect("an object").remove("explain").expect("an explanation");
        assert_eq!(after, before, "nothing else changes");
        explain
    }

    #[test]
    fn each_known_field_has_its_source() {
        let location = r#"{"ip":"8.8.8.8","city":"Paris","region":null,"country_name":"France","longitude":2,"asn":{"asn":"AS1","route":"8.8.0.0/16"},"company":{"name":"x","network":"8.0.0.0/8"},"time_zone":{"name":"a"},"threat":{"is_tor":true},"count":"1"}"#;
        let row = |field: &str, source: &str| serde_json::json!({ "field": field, "source": source });
        let ranged = |field: &str, source: &str, range: &str| serde_json::json!({ "field": field, "source": source, "range": range });
        let tor = serde_json::json!({ "field": "threat", "source": "tor", "date": "2026-11-02" });
        let rows = [
            row("city", "overrides"),
            row("country_name", "city"),
            row("longitude", "city"),
            ranged("asn", "as", "8.8.0.0/16"),
            ranged("company", "cloud", "8.0.0.0/8"),
            row("time_zone", "city"),
            tor,
            row("threat", "cloud"),
        ];
        let explain = explained(location, SOURCES);
        assert_eq!(explain["fields"], serde_json::Value::from(rows.to_vec()));
        assert_eq!((&explain["network"], &explain["date"]), (&"8.8.8.0/24".into(), &"2026-11-01".into()));
    }

    #[test]
    fn fields_that_nobody_decided_and_damaged_origins_have_no_rows() {
        for (location, sources) in [
            ("{}", SOURCES),
            (r#"{"ip":"8.8.8.8","confidence":50,"count":"1"}"#, SOURCES),
            (r#"{"postal":"1","crawler":{"name":"x"}}"#, SOURCES),
            (r#"{"city":"Paris"}"#, "{}"),
            (r#"{"city":"Paris"}"#, ""),
            (r#"{"city":"Paris"}"#, r#"{"city":7}"#),
        ] {
            let explain = explained(location, sources);
            assert_eq!(
                explain,
                serde_json::json!({ "network": "8.8.8.0/24", "date": "2026-11-01", "fields": [] })
            );
        }
    }

    /// A new field gets a row here, or is listed as one that no source decides.
    #[test]
    fn every_field_is_explained_or_belongs_to_no_source() {
        let none: Vec<&str> = FIELDS.into_iter().filter(|field| decided_by(field).is_empty()).collect();
        assert_eq!(none, ["ip", "region_type", "confidence", "carrier", "count"]);
    }

    #[test]
    fn whole_locations_of_one_address_are_explained() {
        let table = [
            ("GET", "/", "explain=1", Ok(true)),
            ("GET", "/8.8.8.8", "fields=city&explain=1", Ok(true)),
            ("GET", "/8.8.8.8", "explain=0", Ok(false)),
            ("GET", "/8.8.8.8", "explain=", Ok(false)),
            ("GET", "/8.8.8.8/city", "explain=0", Ok(false)),
            ("GET", "/8.8.8.8", "explain=true", Err(400)),
            ("GET", "/8.8.8.8/city", "explain=1", Err(400)),
            ("GET", "/AS15169", "explain=1", Err(400)),
            ("GET", "/AS15169", "explain=2", Err(400)),
            ("POST", "/bulk", "explain=1", Err(400)),
        ];
        for (method, path, query, expected) in table {
            let mut event = Event {
                raw_path: path.into(),
                raw_query_string: query.into(),
                body: Some("[]".into()),
                ..Event::default()
            };
            event.request_context.http.method = method.into();
            let found = route(&event).map_err(|problem| problem.status);
            let found =
                found.map(|route| matches!(route, Route::Metered(Metered::Location { explain: true, .. })));
            assert_eq!(found, expected, "{method} {path}?{query}");
        }
    }
}
