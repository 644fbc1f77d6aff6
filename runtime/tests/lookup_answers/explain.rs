//! `explain=1`: for API keys that may, free for others, and beside an answer that is otherwise the same.

use std::collections::BTreeSet;

use ipgeo_contract::Verdict;
use serde_json::json as value;

use super::edge::{Edge, charged, event, json};

#[test]
fn an_api_key_that_may_gets_the_sources_of_the_fields() {
    let edge = Edge::new();
    let key = edge.key(|record| record.explain = true);
    let headers = [("x-api-key", key.expose())];
    let mut answer = json(&edge.get("/8.8.8.8?explain=1", &headers));
    assert_eq!((edge.last_line().verdict, edge.last_line().cost), (Verdict::Allowed, 1));
    let explain = answer.as_object_mut().expect("an object").remove("explain").expect("an explanation");
    let mut plain = json(&edge.get("/8.8.8.8", &headers));
    plain["count"] = answer["count"].clone();
    assert_eq!(answer, plain);
    assert_eq!((&explain["network"], &explain["date"]), (&value!("8.8.8.0/24"), &value!("2026-11-24")));
    let rows = explain["fields"].as_array().expect("rows");
    let named = |name: &str| rows.iter().find(|row| row["field"] == name).cloned().unwrap_or_default();
    assert_eq!(named("city"), value!({ "field": "city", "source": "ipgeo sample" }));
    assert_eq!(named("asn")["range"], "8.8.8.0/24");
    // Every known field that a source decided.
    let fields: BTreeSet<&str> = rows.iter().filter_map(|row| row["field"].as_str()).collect();
    let known = answer.as_object().expect("an object").iter().filter(|(_, value)| !value.is_null());
    let names = known.map(|(name, _)| name.as_str()).filter(|name| !["ip", "count", "threat"].contains(name));
    assert_eq!(fields, names.collect());
    assert_eq!(fields.len(), rows.len());
    // The caller's own address, a tunnelled one, and chosen fields.
    let own = json(&edge.get("/?explain=1", &headers));
    assert_eq!(own["explain"]["network"], "81.2.69.0/24");
    let tunnelled = json(&edge.get("/2002:808:808::1?explain=1", &headers));
    assert_eq!(tunnelled["explain"], explain);
    let chosen = json(&edge.get("/8.8.8.8?fields=city,postal,count&explain=1", &headers));
    let fields = value!([{ "field": "city", "source": "ipgeo sample" }, { "field": "postal", "source": "ipgeo sample" }]);
    assert_eq!(chosen["explain"]["fields"], fields);
    assert_eq!(chosen.as_object().expect("an object").len(), 4);
}

#[test]
fn others_are_refused_and_not_charged() {
    let edge = Edge::new();
    let may_not = edge.key(|_| ());
    let may = edge.key(|record| record.explain = true);
    let table = [
        ("/8.8.8.8?explain=1", None, 403, "needs an API key that is allowed to use it"),
        ("/?explain=1", None, 403, "needs an API key"),
        ("/8.8.8.8?explain=1", Some(&may_not), 403, "needs an API key"),
        ("/8.8.8.8?explain=yes", Some(&may), 400, "explain can be 1 or 0, not yes."),
        ("/8.8.8.8/city?explain=1", Some(&may), 400, "Only the location of one address can be explained"),
        ("/AS15169?explain=1", Some(&may), 400, "Only the location of one address"),
        ("/10.0.0.1?explain=1", Some(&may), 400, "is a private IP address"),
    ];
    for (path, key, status, message) in table {
        let headers: Vec<(&str, &str)> = key.iter().map(|key| ("x-api-key", key.expose())).collect();
        let answer = edge.get(path, &headers);
        assert_eq!(answer.status_code, status, "{path}: {}", answer.body);
        let body = json(&answer);
        assert!(body["message"].as_str().expect("a message").contains(message), "{body}");
        let line = edge.last_line();
        assert_eq!((line.verdict, line.cost), (Verdict::BadRequest, 0), "{path}");
        assert_eq!(charged(&edge), [if key.is_some() { "key" } else { "addr" }], "{path}");
        // Nothing of the quota is used.
        let (limit, left) = if key.is_some() { ("100", "100") } else { ("5", "5") };
        let headers = &answer.headers;
        assert_eq!(
            (headers["x-ratelimit-limit"].as_str(), headers["x-ratelimit-remaining"].as_str()),
            (limit, left)
        );
    }
    let mut bulk = event("POST", "/bulk?explain=1", &[("x-api-key", may.expose())]);
    bulk.body = Some(r#"["8.8.8.8"]"#.into());
    assert_eq!((edge.send(&bulk).status_code, edge.last_line().cost), (400, 0));
    // `explain=0` is the default.
    assert_eq!(edge.get("/8.8.8.8?explain=0", &[]).status_code, 200);
}
