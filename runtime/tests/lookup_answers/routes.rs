//! Routes, fields, formats and bulk requests.

use std::collections::BTreeSet;

use ipgeo_contract::Verdict;
use serde_json::Value;

use super::edge::{Edge, event, json};

#[test]
fn a_location_has_the_fields_of_the_contract() {
    let edge = Edge::new();
    let answer = edge.get("/8.8.8.8", &[]);
    assert_eq!((answer.status_code, answer.headers["content-type"].as_str()), (200, "application/json"));
    let location = json(&answer);
    let expected = serde_json::json!({
        "ip": "8.8.8.8", "is_eu": false, "city": "Mountain View", "region": "California", "region_code": "CA",
        "postal": "94043", "country_name": "United States", "country_code": "US", "continent_name": "North America",
        "continent_code": "NA", "latitude": 37.422, "longitude": -122.085, "calling_code": "1",
        "flag": "https://flagcdn.com/w80/us.png", "emoji_flag": "🇺🇸", "emoji_unicode": "U+1F1FA U+1F1F8",
        "asn": { "asn": "AS15169", "name": "Google LLC", "route": "8.8.8.0/24" },
        "languages": [{ "name": "English", "native": "English", "code": "en" }],
        "currency": { "name": "US Dollar", "code": "USD", "symbol": "$", "native": "$", "plural": "US dollars" },
        "time_zone": {
            "name": "America/Los_Angeles", "abbr": "PST", "offset": "-0800", "is_dst": false,
            "current_time": "2026-11-24T04:00:00-08:00",
        },
        "threat": { "is_bogon": false }, "count": "1",
        "region_type": null, "company": null, "carrier": null, "crawler": null, "accuracy_radius_km": null,
        "confidence": null,
    });
    assert_eq!(location, expected);
}

#[test]
fn unknown_members_are_null() {
    let edge = Edge::new();
    // A city of a state without regions, in a network; and a city in a network that nobody announces.
    for (path, unknown) in [("/139.162.0.1", &["region", "region_code"][..]), ("/1.2.3.4", &["asn"][..])] {
        // What the sample never knows.
        let never = ["region_type", "company", "carrier", "crawler", "accuracy_radius_km", "confidence"];
        let unknown = [unknown, &never].concat();
        let location = json(&edge.get(path, &[]));
        let nulls: Vec<&str> = location
            .as_object()
            .expect("an object")
            .iter()
            .filter(|(_, value)| value.is_null())
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(BTreeSet::from_iter(nulls), unknown.iter().copied().collect(), "{path}");
        let fields = json(&edge.get(&format!("{path}?fields=city,{}", unknown.join(",")), &[]));
        assert!(unknown.iter().all(|name| fields.get(name).is_some_and(Value::is_null)), "{fields}");
    }
    assert_eq!(edge.get("/1.2.3.4/asn", &[]).status_code, 404);
}

#[test]
fn every_route_follows_the_contract() {
    // (method, path, status, what the body holds, calls charged; None: not metered)
    let table = [
        ("GET", "/", 200, r#""ip":"81.2.69.142""#, Some(1)),
        ("GET", "/8.8.8.8", 200, "Mountain View", Some(1)),
        ("GET", "/::ffff:8.8.8.8", 200, r#""ip":"8.8.8.8""#, Some(1)),
        ("GET", "/2606:4700:4700::1111", 200, r#""ip":"2606:4700:4700::1111""#, Some(1)),
        ("GET", "/8.8.8.8/city", 200, r#""Mountain View""#, Some(1)),
        ("GET", "/8.8.8.8/latitude", 200, "37.422", Some(1)),
        ("GET", "/city", 200, r#""London""#, Some(1)),
        (
            "GET",
            "/8.8.8.8?fields=city,country_code",
            200,
            r#"{"city":"Mountain View","country_code":"US"}"#,
            Some(1),
        ),
        ("GET", "/8.8.8.8?fields=", 200, r#""postal":"94043""#, Some(1)),
        ("GET", "/AS15169", 200, r#"{"asn":"AS15169","name":"Google LLC","routes":3}"#, Some(1)),
        ("GET", "/AS4200000000", 404, "AS4200000000 is not in the database.", Some(0)),
        ("GET", "/10.0.0.1", 400, "10.0.0.1 is a private IP address", Some(0)),
        ("GET", "/240.0.0.1", 400, "240.0.0.1 is a reserved IP address", Some(0)),
        ("GET", "/bleh", 400, "bleh does not appear to be an IPv4 or IPv6 address", Some(0)),
        ("GET", "/3000::1", 404, "3000::1 is not in the database.", Some(0)),
        ("GET", "/2606:4700::1/postal", 200, "94107", Some(1)),
        ("GET", "/8.8.8.8?fields=city,carrier", 200, r#"{"city":"Mountain View","carrier":null}"#, Some(1)),
        ("GET", "/8.8.8.8/carrier", 404, "The carrier of this address is not known.", Some(0)),
        ("GET", "/3000::1/city", 404, "3000::1 is not in the database.", Some(0)),
        ("GET", "/8.8.8.8?fields=planet", 400, "planet is not a field", Some(0)),
        ("GET", "/8.8.8.8/planet", 400, "planet is not a field", Some(0)),
        ("POST", "/bulk", 400, "The body should be a JSON array", Some(0)),
        ("GET", "/a/b/c", 404, "There is nothing at this path", None),
        ("GET", "/health", 200, r#""status":"ok""#, None),
        ("OPTIONS", "/8.8.8.8", 204, "", None),
        ("DELETE", "/8.8.8.8", 405, "This path answers GET, HEAD, OPTIONS.", None),
        ("GET", "/bulk", 405, "This path answers POST, OPTIONS.", None),
    ];
    for (method, path, status, holds, cost) in table {
        check_route(method, path, status, holds, cost);
    }
}

#[test]
fn routes_of_ipdatas_clients_and_unusual_addresses_are_answered() {
    let table = [
        ("GET", "/AS15169?fields=name,domain", 200, r#"{"name":"Google LLC"}"#, Some(1)),
        ("GET", "/AS15169?fields=city", 400, "city is not a field", Some(0)),
        (
            "GET",
            "/asn/8.8.8.8",
            200,
            r#"{"asn":"AS15169","name":"Google LLC","route":"8.8.8.0/24"}"#,
            Some(1),
        ),
        ("GET", "/asn/10.0.0.1", 400, "10.0.0.1 is a private IP address", Some(0)),
        ("GET", "/8.8.8.8/fr-FR?fields=city", 200, r#"{"city":"Mountain View"}"#, Some(1)),
        ("GET", "/fr-FR?fields=city", 200, r#"{"city":"London"}"#, Some(1)),
        ("GET", "/8.8.8.8/region_type", 404, "The region_type of this address is not known.", Some(0)),
        ("GET", "/8.8.8.0/24", 400, "8.8.8.0/24 is a network, not an IP address", Some(0)),
        ("GET", "/%5B2606:4700:4700::1111%5D", 200, r#""ip":"2606:4700:4700::1111""#, Some(1)),
        ("GET", "/%5B8.8.8.8", 400, "[8.8.8.8 does not appear to be an IPv4 or IPv6 address", Some(0)),
        (
            "GET",
            "/2002:808:808::1?fields=ip,city",
            200,
            r#"{"ip":"2002:808:808::1","city":"Mountain View"}"#,
            Some(1),
        ),
        ("GET", "/2002:a00:1::1", 400, "2002:a00:1::1 is a private IP address", Some(0)),
    ];
    for (method, path, status, holds, cost) in table {
        check_route(method, path, status, holds, cost);
    }
}

/// Sends a request to a new edge and checks the answer's status, content and cost (`None`: not metered).
fn check_route(method: &str, path: &str, status: u16, holds: &str, cost: Option<u64>) {
    let edge = Edge::new();
    let answer = edge.send(&event(method, path, &[]));
    assert_eq!(answer.status_code, status, "{method} {path}: {}", answer.body);
    assert!(answer.body.contains(holds), "{method} {path}: {}", answer.body);
    assert_eq!(edge.lines(), usize::from(cost.is_some()), "{method} {path}");
    if let Some(cost) = cost {
        let verdict = if status == 400 { Verdict::BadRequest } else { Verdict::Allowed };
        assert_eq!((edge.last_line().verdict, edge.last_line().cost), (verdict, cost), "{path}");
    }
    assert_eq!(answer.headers["access-control-allow-origin"], "*");
    assert_eq!(answer.headers["x-database-date"], "2026-11-24");
    if status >= 400 {
        let problem = json(&answer);
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        assert_eq!((&problem["status"], &problem["message"]), (&status.into(), &problem["detail"]));
        assert_eq!(answer.headers.contains_key("allow"), status == 405);
    }
}

#[test]
fn head_is_answered_as_get_and_costs_the_same() {
    for path in ["/8.8.8.8", "/8.8.8.8/city", "/bleh", "/health", "/bulk", "/a/b/c"] {
        let [get, head] = ["GET", "HEAD"].map(|method| {
            let edge = Edge::new();
            (edge.send(&event(method, path, &[])), edge.lines())
        });
        assert_eq!(get, head, "{path}");
        assert!(
            head.0.headers.get("content-length").is_none_or(|length| *length == get.0.body.len().to_string())
        );
    }
}

#[test]
fn a_refusal_without_a_good_api_key_says_how_to_send_one() {
    let edge = Edge::new();
    let answer = edge.get("/8.8.8.8", &[("x-api-key", "test")]);
    assert_eq!(answer.headers["www-authenticate"], "Bearer realm=\"ipgeo\"");
    assert!(!edge.get("/bleh", &[]).headers.contains_key("www-authenticate"));
    let strict = Edge::with(|settings| settings.unknown_key_status = 403);
    assert!(!strict.get("/8.8.8.8", &[("x-api-key", "test")]).headers.contains_key("www-authenticate"));
}

#[test]
fn a_problem_has_the_content_type_that_the_client_accepts() {
    let edge = Edge::new();
    for (headers, kind) in [
        (&[][..], "application/problem+json"),
        (&[("accept", "*/*"), ("user-agent", "curl/8.9.1")][..], "application/problem+json"),
        (&[("accept", "application/json")][..], "application/json"),
        (&[("accept", "application/json, application/problem+json")][..], "application/problem+json"),
        (&[("user-agent", "GuzzleHttp/7")][..], "application/json"),
        (&[("user-agent", "Symfony HttpClient/Curl"), ("accept", "*/*")][..], "application/json"),
    ] {
        let problem = edge.get("/bleh", headers);
        assert_eq!(problem.headers["content-type"], kind, "{headers:?}");
        assert_eq!(problem.body, edge.get("/bleh", &[]).body);
        assert_eq!(edge.get("/health", headers).headers["content-type"], "application/json");
    }
}

#[test]
fn strings_are_plain_text_for_ipdatas_java_client() {
    let edge = Edge::new();
    let headers = &[("user-agent", "io.ipdata.client.java.0.2.0"), ("accept", "application/json")][..];
    for (path, body) in [
        ("/8.8.8.8/city", "Mountain View"),
        ("/8.8.8.8/is_eu", "false\n"),
        ("/8.8.8.8/latitude", "37.422\n"),
        ("/8.8.8.8/asn", "{\"asn\":\"AS15169\",\"name\":\"Google LLC\",\"route\":\"8.8.8.0/24\"}\n"),
    ] {
        assert_eq!(edge.get(path, headers).body, body, "{path}");
    }
}

/// On a terminal, the next prompt begins on its own line.
#[test]
fn every_text_ends_with_one_line_feed() {
    let edge = Edge::new();
    let bulk = |body: &str| {
        let mut event = event("POST", "/bulk", &[]);
        event.body = Some(body.into());
        event
    };
    let key = edge.key(|_| ());
    let mut keyed = event("POST", "/bulk", &[("x-api-key", key.expose())]);
    keyed.body = Some(r#"["8.8.8.8","bleh"]"#.into());
    let get = |path: &str| event("GET", path, &[("accept", "application/json")]);
    let events = [
        get("/"),
        get("/8.8.8.8"),
        get("/8.8.8.8/city"),
        get("/8.8.8.8?fields=city,asn"),
        get("/AS15169"),
        get("/health"),
        get("/openapi.json"),
        get("/bleh"),
        get("/10.0.0.1"),
        get("/8.8.8.8/nonsense"),
        event("GET", "/8.8.8.8/city", &[("accept", "text/plain")]),
        event("GET", "/8.8.8.8", &[("x-api-key", "unknown")]),
        event("HEAD", "/8.8.8.8", &[]),
        event("DELETE", "/8.8.8.8", &[]),
        bulk("["),
        bulk(r#"["8.8.8.8"]"#),
        keyed,
    ];
    for event in events {
        let answer = edge.send(&event);
        let text = answer.body.trim_end_matches('\n');
        assert_eq!(answer.body, format!("{text}\n"), "{} {}", answer.status_code, event.raw_path);
    }
    let preflight = edge.send(&event("OPTIONS", "/8.8.8.8", &[]));
    assert_eq!((preflight.status_code, preflight.body.as_str()), (204, ""));
}

#[test]
fn a_field_is_plain_text_if_the_client_accepts_that() {
    let edge = Edge::new();
    let answer = edge.get("/8.8.8.8/city", &[("accept", "text/plain")]);
    assert_eq!(
        (answer.body.as_str(), answer.headers["content-type"].as_str()),
        ("Mountain View\n", "text/plain; charset=utf-8")
    );
    assert_eq!(edge.get("/8.8.8.8/latitude", &[("accept", "text/plain")]).body, "37.422\n");
}

#[test]
fn bulk_answers_in_order_and_costs_its_valid_addresses() {
    let edge = Edge::new();
    let key = edge.key(|_| ());
    let mut event = event("POST", "/bulk?fields=city", &[("x-api-key", key.expose())]);
    event.body = Some(r#"["8.8.8.8","bleh","10.0.0.1","1.1.1.1","3000::1"]"#.into());
    let answer = edge.send(&event);
    let expected = serde_json::json!([
        { "city": "Mountain View" },
        { "ip": "bleh", "message": "bleh does not appear to be an IPv4 or IPv6 address" },
        { "ip": "10.0.0.1", "message": "10.0.0.1 is a private IP address" },
        { "city": "Brisbane" },
        { "ip": "3000::1", "message": "3000::1 is not in the database." },
    ]);
    assert_eq!((answer.status_code, json(&answer)), (200, expected.clone()));
    assert_eq!(edge.last_line().cost, 3);
    event.headers.insert("user-agent".into(), "ipdata-rust/0.1".into());
    assert_eq!(json(&edge.send(&event)), serde_json::json!({ "responses": expected }));
    event.body = Some("[]".into());
    assert_eq!(json(&edge.send(&event)), serde_json::json!({ "responses": [] }));
    assert_eq!(edge.last_line().cost, 0);
}

#[test]
fn bulk_accepts_network_numbers_and_explains_invalid_items() {
    let edge = Edge::new();
    let key = edge.key(|_| ());
    let mut event = event("POST", "/bulk?fields=ip,asn", &[("x-api-key", key.expose())]);
    event.body = Some("\u{feff}[\"8.8.8.8\", \"as15169\", \"AS4200000000\", 1, null, [\"8.8.8.8\"]]".into());
    let other = |item: &str| serde_json::json!({ "ip": item, "message": "An item should be an IP address, as a string." });
    let answer = edge.send(&event);
    let expected = serde_json::json!([
        { "ip": "8.8.8.8", "asn": { "asn": "AS15169", "name": "Google LLC", "route": "8.8.8.0/24" } },
        { "asn": "AS15169" },
        { "ip": "AS4200000000", "message": "AS4200000000 is not in the database." },
        other("1"),
        other("null"),
        other("[\"8.8.8.8\"]"),
    ]);
    assert_eq!((answer.status_code, json(&answer)), (200, expected));
    assert_eq!(edge.last_line().cost, 3);
    event.headers.insert("content-encoding".into(), "gzip".into());
    let refused = edge.send(&event);
    assert_eq!((refused.status_code, refused.headers["accept-encoding"].as_str()), (415, "identity"));
}
