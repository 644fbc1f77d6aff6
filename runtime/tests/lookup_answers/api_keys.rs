//! API keys: where they are found, how they are refused, cached and guessed.

use std::sync::atomic::Ordering;

use ipgeo_contract::{ApiKey, Identity, KeyRecord, Period, Published, Status, Verdict};
use jiff::SignedDuration;

use super::edge::{Edge, NOW, at, charged, event, json};

#[test]
fn every_refusal_has_its_status_message_and_verdict() {
    type Change = fn(&mut KeyRecord);
    // (the record, headers beside the API key, status, message, verdict)
    type Row<'a> = (Change, &'a [(&'a str, &'a str)], u16, &'a str, Verdict);
    let table: [Row<'_>; 8] = [
        (|_| (), &[], 200, "Mountain View", Verdict::Allowed),
        (|r| r.status = Status::Disabled, &[], 403, "This API key is disabled", Verdict::Disabled),
        (|r| r.status = Status::Revoked, &[], 403, "has been revoked", Verdict::Revoked),
        (|r| r.expires = Some(at(NOW)), &[], 403, "has expired. Please renew it.", Verdict::Expired),
        (
            |r| r.networks = vec!["9.9.9.0/24".parse().expect("cidr")],
            &[],
            403,
            "from this network",
            Verdict::NetworkDenied,
        ),
        (
            |r| r.sites = vec!["a.test".parse().expect("site")],
            &[],
            403,
            "from this site",
            Verdict::SiteDenied,
        ),
        (
            |r| r.sites = vec!["a.test".parse().expect("site")],
            &[("referer", "https://a.test/x")],
            200,
            "Mountain",
            Verdict::Allowed,
        ),
        (
            |r| {
                r.published = Some(Published {
                    period: Period::new(r.limit.window, at(NOW)),
                    used: 100,
                    as_of: at(NOW),
                });
            },
            &[],
            429,
            "You have reached your limit of 100 requests a month.",
            Verdict::OverQuota,
        ),
    ];
    for (change, beside, status, message, verdict) in table {
        let edge = Edge::new();
        let key = edge.key(change);
        let headers = [beside, &[("x-api-key", key.expose())]].concat();
        let answer = edge.get("/8.8.8.8", &headers);
        assert_eq!(answer.status_code, status, "{}", answer.body);
        assert!(answer.body.contains(message), "{}", answer.body);
        let line = edge.last_line();
        assert_eq!((line.verdict, line.cost), (verdict, u64::from(status == 200)));
        assert_eq!(line.charges.len(), 1);
    }
}

#[test]
fn an_api_key_is_found_where_clients_put_it() {
    let edge = Edge::new();
    let key = edge.key(|_| ());
    let bearer = format!("Bearer {}", key.expose());
    let query = format!("/8.8.8.8?api-key={}", key.expose());
    for answer in [
        edge.get("/8.8.8.8", &[("x-api-key", key.expose())]),
        edge.get("/8.8.8.8", &[("authorization", &bearer)]),
        edge.get(&query, &[]),
    ] {
        assert_eq!((answer.status_code, answer.headers["x-ratelimit-limit"].as_str()), (200, "100"));
    }
    // The first non-empty one counts.
    let unknown = ApiKey::generate("ipg", |bytes| bytes.fill(201)).expect("an API key");
    for (headers, path, status) in [
        (&[("x-api-key", ""), ("authorization", bearer.as_str())][..], "/8.8.8.8", 200),
        (&[("x-api-key", "  "), ("authorization", "Bearer ")][..], query.as_str(), 200),
        (&[("authorization", "Basic dTpw")][..], query.as_str(), 200),
        (&[("authorization", "bearer   "), ("x-api-key", "")][..], &query.replace('?', "?api-key=&"), 200),
        (&[("x-api-key", unknown.expose()), ("authorization", bearer.as_str())][..], query.as_str(), 401),
        (&[("authorization", "Bearer junk")][..], query.as_str(), 401),
    ] {
        assert_eq!(edge.get(path, headers).status_code, status, "{headers:?}");
    }
}

#[test]
fn a_refused_api_key_is_charged_to_the_callers_address() {
    let edge = Edge::new();
    let key = edge.key(|_| ());
    // An empty one counts as missing. A malformed one is refused without a read of it, an unknown one is read once. The
    // address's count of other environments is read once, too.
    assert_eq!(edge.get("/8.8.8.8?api-key=", &[]).headers["x-ratelimit-limit"], "5");
    let before = edge.reads();
    for junk in ["test", "ipg_", "\u{1F511}", &key.expose().replace("ipg", "ipx")] {
        let answer = edge.get("/8.8.8.8", &[("x-api-key", junk)]);
        assert_eq!((answer.status_code, edge.last_line().verdict), (401, Verdict::MalformedKey));
        assert_eq!(json(&answer)["message"], "You have not provided a valid API Key.");
        assert_eq!(charged(&edge), ["addr"]);
    }
    assert_eq!(edge.reads(), before + 1);
    let unknown = ApiKey::generate("ipg", |bytes| bytes.fill(200)).expect("an API key");
    for _ in 0..3 {
        edge.get("/8.8.8.8", &[("x-api-key", unknown.expose())]);
    }
    assert_eq!((edge.reads(), edge.last_line().verdict), (before + 2, Verdict::OverQuota));
    let strict = Edge::with(|settings| (settings.unknown_key_status, settings.quota_status) = (403, 403));
    assert_eq!(strict.get("/8.8.8.8", &[("x-api-key", "test")]).status_code, 403);
    for status in [200, 200, 200, 200, 200, 403] {
        assert_eq!(strict.get("/8.8.8.8", &[]).status_code, status);
    }
}

#[test]
fn foreign_api_keys_are_looked_up_if_enabled() {
    let foreign = "0123456789abcdef0123456789abcdef";
    let wanting = Edge::with(|settings| settings.foreign_api_keys = true);
    let ours = wanting.key(|_| ());
    let record = wanting.table.keys.lock().expect("unpoisoned")[&Identity::key(&ours.hash())].clone();
    let hash = ipgeo_contract::foreign_key_hash(foreign).expect("a hash");
    wanting.table.keys.lock().expect("unpoisoned").insert(Identity::key(&hash), record);
    for (key, status, verdict) in [
        (foreign, 200, Verdict::Allowed),
        (ours.expose(), 200, Verdict::Allowed),
        ("0123456789abcdef", 401, Verdict::UnknownKey),
        ("0123456789abcde", 401, Verdict::MalformedKey),
    ] {
        let answer = wanting.get("/8.8.8.8", &[("x-api-key", key)]);
        assert_eq!((answer.status_code, wanting.last_line().verdict), (status, verdict), "{key}");
    }
    let edge = Edge::new();
    assert_eq!(edge.get("/8.8.8.8", &[("x-api-key", foreign)]).status_code, 401);
    assert_eq!(edge.last_line().verdict, Verdict::MalformedKey);
}

/// An edge that accepts foreign API keys, with two of them and one of ours.
fn edge_of_foreign_keys() -> (Edge, [&'static str; 2], ApiKey) {
    let edge = Edge::with(|settings| settings.foreign_api_keys = true);
    let ours = edge.key(|_| ());
    let foreign = ["customer-acme-0001", "customer-acme-0002"];
    let mut keys = edge.table.keys.lock().expect("unpoisoned");
    let record = keys[&Identity::key(&ours.hash())].clone();
    for text in foreign {
        let hash = ipgeo_contract::foreign_key_hash(text).expect("a hash");
        keys.insert(Identity::key(&hash), record.clone());
    }
    drop(keys);
    (edge, foreign, ours)
}

#[test]
fn guesses_are_limited_by_address_and_known_api_keys_are_not_affected() {
    let (mut edge, [known, other], ours) = edge_of_foreign_keys();
    let as_key = |edge: &Edge, key: &str| edge.get("/8.8.8.8", &[("x-api-key", key)]);
    assert_eq!(as_key(&edge, known).status_code, 200);
    // Five a day, as many as anonymous calls, malformed and unknown alike.
    for guess in ["guess-number-00001", "short", "guess-number-00002", "ipg_", "guess-number-00003"] {
        let answer = as_key(&edge, guess);
        assert_eq!((answer.status_code, edge.last_line().cost), (401, 1), "{guess}");
        assert!(!answer.headers.contains_key("x-ratelimit-remaining"));
    }
    // From then on, texts that this environment does not know are refused alike, right or wrong, and are not read.
    let reads = edge.reads();
    let wrong = as_key(&edge, "guess-number-00004");
    for guess in [other, "short"] {
        assert_eq!(as_key(&edge, guess), wrong, "{guess}");
        let line = edge.last_line();
        assert_eq!((line.verdict, line.cost, line.charges.len()), (Verdict::OverQuota, 0, 1));
    }
    assert_eq!((wrong.status_code, wrong.headers["retry-after"].as_str()), (429, "43200"));
    let message = "Too many requests with API keys that are not valid came from your address. Try again in 43200 seconds.";
    assert_eq!(json(&wrong)["message"], message);
    assert_eq!(edge.reads(), reads);
    // Known API keys, API keys in our format (which nobody guesses) and anonymous callers are still admitted.
    for key in [known, ours.expose()] {
        assert_eq!(as_key(&edge, key).status_code, 200, "{key}");
    }
    edge.now += SignedDuration::from_secs(60);
    assert_eq!(as_key(&edge, known).status_code, 200, "it is read again");
    for status in [200, 200, 200, 200, 200, 429] {
        assert_eq!(edge.get("/8.8.8.8", &[]).status_code, status);
    }
    let mut elsewhere = event("GET", "/8.8.8.8", &[("x-api-key", other)]);
    "9.9.9.9".clone_into(&mut elsewhere.request_context.http.source_ip);
    assert_eq!(edge.send(&elsewhere).status_code, 200);
    edge.now = at("2026-11-25T00:00:00Z");
    assert_eq!(as_key(&edge, "guess-number-00005").status_code, 401);
}

#[test]
fn guesses_in_other_environments_count_too_and_a_known_api_key_costs_one_read() {
    let (edge, [known, other], _) = edge_of_foreign_keys();
    assert_eq!(edge.get("/8.8.8.8", &[("x-api-key", known)]).status_code, 200);
    assert_eq!((edge.reads(), edge.table.secret_reads.load(Ordering::Relaxed)), (1, 0));
    assert_eq!(edge.get("/8.8.8.8", &[("x-api-key", "guess-number-00001")]).status_code, 401);
    let charge = edge.last_line().charges.remove(0);
    let period = Period::new(charge.limit.window, edge.now);
    let published = Published { period, used: 5, as_of: edge.now };
    edge.table.published.lock().expect("unpoisoned").insert(charge.identity, published);
    for _ in 0..2 {
        assert_eq!(edge.get("/8.8.8.8", &[("x-api-key", other)]).status_code, 429);
    }
    // The guess read its API key, the next only the address's count.
    assert_eq!(edge.reads(), 3);
}

#[test]
fn a_record_is_read_once_while_it_is_cached() {
    let mut edge = Edge::new();
    let key = edge.key(|_| ());
    let headers: &[(&str, &str)] = &[("x-api-key", key.expose())];
    for _ in 0..5 {
        edge.get("/8.8.8.8", headers);
        edge.get("/8.8.8.8", &[]);
    }
    assert_eq!(edge.reads(), 2);
    edge.now += SignedDuration::from_secs(10);
    edge.get("/8.8.8.8", headers);
    assert_eq!(edge.reads(), 3);
}

#[test]
fn while_the_store_fails_cached_records_are_used() {
    let mut edge = Edge::new();
    let known = edge.key(|_| ());
    let other = edge.key(|_| ());
    assert_eq!(edge.get("/8.8.8.8", &[("x-api-key", known.expose())]).status_code, 200);
    *edge.table.down.lock().expect("unpoisoned") = true;
    edge.now += SignedDuration::from_hours(1);
    assert_eq!(edge.get("/8.8.8.8", &[("x-api-key", known.expose())]).status_code, 200);
    let unknown = edge.get("/8.8.8.8", &[("x-api-key", other.expose())]);
    assert_eq!((unknown.status_code, unknown.headers["retry-after"].as_str()), (503, "1"));
    assert_eq!(edge.get("/8.8.8.8", &[("referer", "https://a.test/")]).status_code, 200);
    let warnings = edge.log.warnings.lock().expect("unpoisoned").clone();
    assert!(warnings.len() >= 3 && warnings.iter().all(|warning| warning == "read failed: made to fail"));
}
