//! Quotas: headers, charges, anonymous and pooled callers, published usage.

use ipgeo_contract::{Identity, IdentityKind, Period, Published, Verdict};
use ipgeo_runtime::lookup::{Answer, Event};
use jiff::SignedDuration;

use super::edge::{Edge, at, charged, event, json, limit};

#[test]
fn a_bad_request_has_its_own_verdict_and_costs_nothing() {
    let edge = Edge::new();
    let key = edge.key(|record| record.limit = limit("2/day"));
    let ask = |path: &str| edge.get(path, &[("x-api-key", key.expose())]);
    for path in ["/10.0.0.1", "/bleh", "/8.8.8.8?fields=planet", "/8.8.8.8/planet"] {
        let answer = ask(path);
        assert_eq!(
            (answer.status_code, answer.headers["x-ratelimit-remaining"].as_str()),
            (400, "2"),
            "{path}"
        );
        let line = edge.last_line();
        assert_eq!((line.verdict, line.cost, line.charges.len()), (Verdict::BadRequest, 0, 1), "{path}");
    }
    for _ in 0..2 {
        assert_eq!((ask("/8.8.8.8").status_code, edge.last_line().verdict), (200, Verdict::Allowed));
    }
    // A refusal has its own reason, not that of the invalid request.
    assert_eq!(
        (ask("/8.8.8.8?fields=planet").status_code, edge.last_line().verdict),
        (429, Verdict::OverQuota)
    );
    let unknown = edge.get("/8.8.8.8?fields=planet", &[("x-api-key", "wrong")]);
    assert_eq!((unknown.status_code, edge.last_line().verdict), (401, Verdict::MalformedKey));
}

#[test]
fn a_bulk_request_beyond_the_quota_gets_the_number_of_remaining_calls() {
    let edge = Edge::new();
    let key = edge.key(|record| record.limit = limit("10/month"));
    let bulk = |count: usize| {
        let mut event = event("POST", "/bulk", &[("x-api-key", key.expose())]);
        event.body = Some(serde_json::to_string(&vec!["8.8.8.8"; count]).expect("JSON"));
        edge.send(&event)
    };
    assert_eq!(bulk(7).status_code, 200);
    let refused = bulk(5);
    assert_eq!((refused.status_code, refused.headers["x-ratelimit-remaining"].as_str()), (429, "3"));
    let message = "You have 3 of 10 requests a month left, and this one counts as 5. The limit resets in 561600 seconds.";
    assert_eq!(json(&refused)["message"], message);
    assert_eq!(bulk(3).status_code, 200);
    let message = "You have reached your limit of 10 requests a month. It resets in 561600 seconds.";
    assert_eq!(json(&bulk(1))["message"], message);
}

#[test]
fn every_answer_has_the_quota_headers() {
    let edge = Edge::new();
    let key = edge.key(|_| ());
    let headers: &[(&str, &str)] = &[("x-api-key", key.expose())];
    let quota = |answer: &Answer| {
        ["ratelimit-policy", "ratelimit", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"]
            .map(|name| answer.headers[name].clone())
    };
    // From noon of the 24th to the end of November.
    let reset = (6 * 86_400 + 43_200).to_string();
    let policy = format!("\"month\";q=100;w={}", 30 * 86_400);
    let answer = edge.get("/8.8.8.8", headers);
    let state = format!("\"month\";r=99;t={reset}");
    assert_eq!(quota(&answer), [policy.as_str(), &state, "100", "99", &reset]);
    assert_eq!(json(&answer)["count"], "1");
    // Requests that cost nothing do not change the count.
    assert_eq!(edge.get("/bleh", headers).headers["x-ratelimit-remaining"], "99");
    assert_eq!(edge.get("/3000::1", headers).headers["x-ratelimit-remaining"], "99");
    assert_eq!(edge.get("/8.8.8.8", headers).headers["x-ratelimit-remaining"], "98");
}

#[test]
fn anonymous_callers_are_limited_by_address_and_by_site_until_midnight() {
    let mut edge = Edge::new();
    let from = |address: &str, site: Option<&str>| {
        let headers: Vec<(&str, &str)> = site.map(|site| ("referer", site)).into_iter().collect();
        let mut event = event("GET", "/8.8.8.8", &headers);
        address.clone_into(&mut event.request_context.http.source_ip);
        event
    };
    for status in [200, 200, 200, 200, 200, 429, 429] {
        assert_eq!(edge.send(&from("9.9.9.1", None)).status_code, status);
    }
    let refused = edge.send(&from("9.9.9.1", None));
    let problem = json(&refused);
    assert_eq!(problem["type"], "https://iana.org/assignments/http-problem-types#quota-exceeded");
    assert_eq!(problem["violated-policies"], serde_json::json!(["day"]));
    assert_eq!(refused.headers["retry-after"], "43200");
    assert_eq!(refused.headers["ratelimit"], "\"day\";r=0;t=43200");
    // A site's visitors are counted together, whatever their addresses.
    let page = Some("https://Shop.example/page");
    for visitor in 0..8 {
        assert_eq!(edge.send(&from(&format!("9.9.8.{visitor}"), page)).status_code, 200);
    }
    assert_eq!(edge.send(&from("9.9.8.9", page)).status_code, 429);
    let kinds: Vec<_> = edge.last_line().charges.iter().map(|charge| charge.identity.kind()).collect();
    assert_eq!(kinds, [IdentityKind::Address, IdentityKind::Site]);
    assert_eq!(edge.send(&from("9.9.8.9", None)).status_code, 200);
    // Two addresses of one /64 are one caller.
    for status in [200, 200, 200, 200, 200, 429] {
        let host = edge.lines();
        assert_eq!(edge.send(&from(&format!("2606:4700::{host:x}"), None)).status_code, status);
    }
    edge.now = at("2026-11-25T00:00:00Z");
    assert_eq!(edge.send(&from("9.9.9.1", None)).status_code, 200);
}

#[test]
fn published_usage_replaces_own_counts_before_it() {
    let mut edge = Edge::new();
    let key = edge.key(|record| record.limit = limit("10/month"));
    let identity = Identity::key(&key.hash());
    let headers: &[(&str, &str)] = &[("x-api-key", key.expose())];
    for _ in 0..4 {
        assert_eq!(edge.get("/8.8.8.8", headers).status_code, 200);
    }
    // Home has counted these four and three of another region, up to now.
    let published =
        Published { period: Period::new(limit("10/month").window, edge.now), used: 7, as_of: edge.now };
    edge.table.keys.lock().expect("unpoisoned").get_mut(&identity).expect("a record").published =
        Some(published);
    edge.now += SignedDuration::from_secs(11);
    for remaining in ["2", "1", "0"] {
        assert_eq!(edge.get("/8.8.8.8", headers).headers["x-ratelimit-remaining"], remaining);
    }
    assert_eq!(edge.get("/8.8.8.8", headers).status_code, 429);
    edge.now = at("2026-12-01T00:00:00Z");
    assert_eq!(edge.get("/8.8.8.8", headers).headers["x-ratelimit-remaining"], "9");
}

/// An edge where three calls of an address and one of a site are quiet, and a call with a Referer to it.
fn quiet_edge() -> (Edge, impl Fn(&str, &str) -> Event) {
    let edge = Edge::with(|settings| {
        settings.anonymous_limit = limit("30/day");
        settings.anonymous_site_limit = limit("10/day");
        settings.quiet_permille = 100;
    });
    let from = |address: &str, site: &str| {
        let mut event = event("GET", "/8.8.8.8", &[("referer", site)]);
        address.clone_into(&mut event.request_context.http.source_ip);
        event
    };
    (edge, from)
}

#[test]
fn the_first_calls_of_an_anonymous_caller_need_no_read_and_are_charged_to_pooled_callers() {
    let (mut edge, from) = quiet_edge();
    // (address, site, charges, reads of published usage so far)
    let table = [
        ("9.9.9.1", "https://a.test", ["addr*", "site*"], 0),
        ("9.9.9.1", "https://a.test", ["addr*", "site"], 1),
        ("9.9.9.1", "https://b.test", ["addr*", "site*"], 1),
        ("9.9.9.1", "https://b.test", ["addr", "site"], 2),
        ("9.9.9.2", "https://c.test", ["addr*", "site*"], 2),
    ];
    for (address, site, charges, reads) in table {
        assert_eq!(edge.send(&from(address, site)).status_code, 200);
        assert_eq!(
            (charged(&edge), edge.reads()),
            (charges.map(str::to_owned).into(), reads),
            "{address} {site}"
        );
    }
    // Quiet calls are counted too: four of thirty.
    assert_eq!(edge.send(&from("9.9.9.1", "")).headers["x-ratelimit-remaining"], "25");
    // The next day, all callers are quiet again.
    edge.now = at("2026-11-25T00:00:00Z");
    edge.send(&from("9.9.9.1", "https://a.test"));
    assert_eq!(charged(&edge), ["addr*", "site*"]);
}

#[test]
fn pooled_callers_are_limited_too() {
    let (edge, from) = quiet_edge();
    let statuses = (0..11).map(|n| edge.send(&from(&format!("9.9.8.{n}"), "https://a.test")).status_code);
    assert_eq!(statuses.collect::<Vec<_>>(), [[200; 10].as_slice(), &[429]].concat());
    // A refusal is charged to the site that is over its limit, and its quiet visitor stays pooled.
    assert_eq!(charged(&edge), ["addr*", "site"]);
}

#[test]
fn a_wrong_api_key_is_charged_to_pooled_callers_too() {
    let edge = Edge::with(|settings| {
        settings.anonymous_limit = limit("30/day");
        settings.quiet_permille = 100;
    });
    for (kind, reads) in [("addr*", 0), ("addr*", 0), ("addr*", 0), ("addr", 1)] {
        assert_eq!(edge.get("/8.8.8.8", &[("x-api-key", "wrong")]).status_code, 401);
        assert_eq!((charged(&edge), edge.reads()), (vec![kind.to_owned()], reads));
    }
}
