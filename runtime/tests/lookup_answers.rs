//! The HTTP contract, request by request: routes, fields, headers, refusals, charges and usage lines.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use ipgeo_contract::{
    AddressSecret, ApiKey, Identity, IdentityKind, KeyRecord, Limit, Period, Published, Status, UsageEvent,
    Verdict,
};
use ipgeo_geo::Database;
use ipgeo_runtime::lookup::{Answer, Event, Lookup, Settings, UsageSink};
use ipgeo_runtime::store::{AccessRead, StoreError};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::Value;

/// An access table in memory that can be changed and can fail.
#[derive(Default)]
struct Table {
    keys: Mutex<BTreeMap<Identity, KeyRecord>>,
    published: Mutex<BTreeMap<Identity, Published>>,
    down: Mutex<bool>,
    reads: AtomicUsize,
    secret_reads: AtomicUsize,
}

impl Table {
    fn read(&self) -> Result<(), StoreError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        if *self.down.lock().expect("unpoisoned") {
            return Err(StoreError { action: "read".into(), source: "made to fail".into() });
        }
        Ok(())
    }
}

impl AccessRead for &'static Table {
    async fn key(&self, identity: &Identity) -> Result<Option<KeyRecord>, StoreError> {
        self.read()?;
        Ok(self.keys.lock().expect("unpoisoned").get(identity).cloned())
    }

    async fn published(&self, identities: &[Identity]) -> Result<Vec<Option<Published>>, StoreError> {
        self.read()?;
        let published = self.published.lock().expect("unpoisoned");
        Ok(identities.iter().map(|identity| published.get(identity).copied()).collect())
    }

    async fn address_secret(&self) -> Result<Option<AddressSecret>, StoreError> {
        self.secret_reads.fetch_add(1, Ordering::Relaxed);
        if *self.down.lock().expect("unpoisoned") {
            return Err(StoreError { action: "read".into(), source: "made to fail".into() });
        }
        Ok(Some(AddressSecret::new([3; 32])))
    }
}

/// Usage lines and warnings, kept.
#[derive(Clone, Default)]
struct Kept {
    lines: Arc<Mutex<Vec<String>>>,
    warnings: Arc<Mutex<Vec<String>>>,
}

impl UsageSink for Kept {
    fn usage(&self, line: String) {
        self.lines.lock().expect("unpoisoned").push(line);
    }

    fn warn(&self, message: String) {
        self.warnings.lock().expect("unpoisoned").push(message);
    }
}

/// One edge, its store, its log and its clock.
struct Edge {
    lookup: Lookup<&'static Table, Arc<Database>, Kept>,
    table: &'static Table,
    kept: Kept,
    now: Timestamp,
}

fn sample() -> Arc<Database> {
    static SAMPLE: OnceLock<Arc<Database>> = OnceLock::new();
    let compile =
        || Database::from_bytes(ipgeo_geo::compile::sample().expect("it compiles")).expect("it opens");
    Arc::clone(SAMPLE.get_or_init(|| Arc::new(compile())))
}

const NOW: &str = "2026-11-24T12:00:00Z";
const CALLER: &str = "81.2.69.142";

fn at(text: &str) -> Timestamp {
    text.parse().expect("a timestamp")
}

fn limit(text: &str) -> Limit {
    text.parse().expect("a limit")
}

impl Edge {
    fn new() -> Self {
        Self::with(|_| ())
    }

    fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings {
            region: ipgeo_contract::RegionName::new("eu-central-1"),
            access_cache_s: 10,
            anonymous_limit: limit("5/day"),
            anonymous_site_limit: limit("8/day"),
            quiet_permille: 0,
            unknown_key_status: 401,
            quota_status: 429,
            foreign_api_keys: false,
        };
        change(&mut settings);
        let table: &'static Table = Box::leak(Box::default());
        let kept = Kept::default();
        let lookup = Lookup::new(table, sample(), kept.clone(), settings);
        Self { lookup, table, kept, now: at(NOW) }
    }

    /// An API key with a record.
    fn key(&self, change: impl FnOnce(&mut KeyRecord)) -> ApiKey {
        let count = self.table.keys.lock().expect("unpoisoned").len();
        let byte = u8::try_from(count).expect("few") + 1;
        let key = ApiKey::generate("ipg", |bytes| bytes.fill(byte)).expect("an API key");
        let mut record = KeyRecord {
            owner: "acme".into(),
            tier: "startup".into(),
            limit: limit("100/month"),
            status: Status::Active,
            expires: None,
            sites: vec![],
            networks: vec![],
            hint: key.hint(),
            created: at(NOW),
            published: None,
        };
        change(&mut record);
        self.table.keys.lock().expect("unpoisoned").insert(Identity::key(&key.hash()), record);
        key
    }

    fn send(&self, event: &Event) -> Answer {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(self.lookup.handle(event, self.now))
    }

    fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(&event("GET", path, headers))
    }

    fn last_line(&self) -> UsageEvent {
        let lines = self.kept.lines.lock().expect("unpoisoned");
        UsageEvent::parse(lines.last().expect("a line")).expect("a usage line")
    }

    fn lines(&self) -> usize {
        self.kept.lines.lock().expect("unpoisoned").len()
    }

    fn reads(&self) -> usize {
        self.table.reads.load(Ordering::Relaxed)
    }
}

fn event(method: &str, path_and_query: &str, headers: &[(&str, &str)]) -> Event {
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    let mut event = Event {
        raw_path: path.into(),
        raw_query_string: query.into(),
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        ..Event::default()
    };
    method.clone_into(&mut event.request_context.http.method);
    CALLER.clone_into(&mut event.request_context.http.source_ip);
    "r-1".clone_into(&mut event.request_context.request_id);
    event
}

fn json(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", answer.body))
}

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
        "region_type": null, "company": null, "carrier": null,
    });
    assert_eq!(location, expected);
}

#[test]
fn what_is_not_known_is_null() {
    let edge = Edge::new();
    // A city of a state without regions, in a network; and a city in a network that nobody announces.
    for (path, unknown) in [
        ("/139.162.0.1", &["region", "region_code", "region_type", "company", "carrier"][..]),
        ("/1.2.3.4", &["asn", "region_type", "company", "carrier"][..]),
    ] {
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
fn every_route_answers_as_the_contract_says() {
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
fn routes_that_ipdatas_clients_ask_for_and_addresses_that_are_not_what_they_seem() {
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

/// Asks an edge of its own: the answer's status, what it holds, and what it costs; `None`: it is not metered.
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
fn problems_are_called_what_the_client_reads() {
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
fn a_text_is_plain_for_ipdatas_java_client() {
    let edge = Edge::new();
    let headers = &[("user-agent", "io.ipdata.client.java.0.2.0"), ("accept", "application/json")][..];
    for (path, body) in [
        ("/8.8.8.8/city", "Mountain View"),
        ("/8.8.8.8/is_eu", "false"),
        ("/8.8.8.8/latitude", "37.422"),
        ("/8.8.8.8/asn", r#"{"asn":"AS15169","name":"Google LLC","route":"8.8.8.0/24"}"#),
    ] {
        assert_eq!(edge.get(path, headers).body, body, "{path}");
    }
}

#[test]
fn a_field_is_plain_text_when_that_is_asked_for() {
    let edge = Edge::new();
    let answer = edge.get("/8.8.8.8/city", &[("accept", "text/plain")]);
    assert_eq!(
        (answer.body.as_str(), answer.headers["content-type"].as_str()),
        ("Mountain View", "text/plain; charset=utf-8")
    );
    assert_eq!(edge.get("/8.8.8.8/latitude", &[("accept", "text/plain")]).body, "37.422");
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
fn bulk_takes_network_numbers_and_says_what_is_wrong_with_other_items() {
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

#[test]
fn who_is_refused_and_how() {
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
                    period: Period::of(r.limit.window, at(NOW)),
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
    // The first that is not empty counts.
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
    // Empty is none; a malformed one is refused without a read of it, an unknown one with one read for all. What others
    // have counted of the address is read once for all, too.
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
fn api_keys_of_another_form_are_known_where_they_are_wanted() {
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

/// An edge that takes API keys of another form, with two of them and one of ours.
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
fn guesses_are_bounded_by_the_limit_of_their_address_and_refuse_nobody_who_is_known() {
    let (mut edge, [known, other], ours) = edge_of_foreign_keys();
    let as_key = |edge: &Edge, key: &str| edge.get("/8.8.8.8", &[("x-api-key", key)]);
    assert_eq!(as_key(&edge, known).status_code, 200);
    // Five a day, as many as anonymous calls, malformed and unknown alike.
    for guess in ["guess-number-00001", "short", "guess-number-00002", "ipg_", "guess-number-00003"] {
        let answer = as_key(&edge, guess);
        assert_eq!((answer.status_code, edge.last_line().cost), (401, 1), "{guess}");
        assert!(!answer.headers.contains_key("x-ratelimit-remaining"));
    }
    // From then on nothing is told of a text, right or wrong, that this environment does not know; nor is it read.
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
    // Who is known goes on, and so do API keys of ours, which nobody guesses, and anonymous callers.
    for key in [known, ours.expose()] {
        assert_eq!(as_key(&edge, key).status_code, 200, "{key}");
    }
    edge.now += SignedDuration::from_secs(60);
    assert_eq!(as_key(&edge, known).status_code, 200, "it is read anew");
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
    let period = Period::of(charge.limit.window, edge.now);
    let published = Published { period, used: 5, as_of: edge.now };
    edge.table.published.lock().expect("unpoisoned").insert(charge.identity, published);
    for _ in 0..2 {
        assert_eq!(edge.get("/8.8.8.8", &[("x-api-key", other)]).status_code, 429);
    }
    // The guess read its API key, the next only the address's count.
    assert_eq!(edge.reads(), 3);
}

#[test]
fn a_quiet_caller_with_a_wrong_api_key_is_charged_to_the_crowd() {
    let edge = Edge::with(|settings| {
        settings.anonymous_limit = limit("30/day");
        settings.quiet_permille = 100;
    });
    for (crowd, reads) in [("addr*", 0), ("addr*", 0), ("addr*", 0), ("addr", 1)] {
        assert_eq!(edge.get("/8.8.8.8", &[("x-api-key", "wrong")]).status_code, 401);
        assert_eq!((charged(&edge), edge.reads()), (vec![crowd.to_owned()], reads));
    }
}

#[test]
fn a_bad_request_is_counted_as_one_and_costs_nothing() {
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
    // Whoever is refused hears why, and not what else is wrong.
    assert_eq!(
        (ask("/8.8.8.8?fields=planet").status_code, edge.last_line().verdict),
        (429, Verdict::OverQuota)
    );
    let unknown = edge.get("/8.8.8.8?fields=planet", &[("x-api-key", "wrong")]);
    assert_eq!((unknown.status_code, edge.last_line().verdict), (401, Verdict::MalformedKey));
}

#[test]
fn a_bulk_that_does_not_fit_is_told_what_is_left() {
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
fn the_quota_is_told_in_every_answer() {
    let edge = Edge::new();
    let key = edge.key(|_| ());
    let headers: &[(&str, &str)] = &[("x-api-key", key.expose())];
    let told = |answer: &Answer| {
        ["ratelimit-policy", "ratelimit", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"]
            .map(|name| answer.headers[name].clone())
    };
    // From noon of the 24th to the end of November.
    let reset = (6 * 86_400 + 43_200).to_string();
    let policy = format!("\"month\";q=100;w={}", 30 * 86_400);
    let answer = edge.get("/8.8.8.8", headers);
    let state = format!("\"month\";r=99;t={reset}");
    assert_eq!(told(&answer), [policy.as_str(), &state, "100", "99", &reset]);
    assert_eq!(json(&answer)["count"], "1");
    // What costs nothing leaves the count alone.
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

fn charged(edge: &Edge) -> Vec<String> {
    let kind = |charge: &ipgeo_contract::Charge| {
        let crowd = if charge.identity.is_crowd() { "*" } else { "" };
        format!("{}{crowd}", charge.identity.kind().as_str())
    };
    edge.last_line().charges.iter().map(kind).collect()
}

#[test]
fn the_first_calls_of_a_quiet_caller_are_unread_and_charged_to_the_crowd() {
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
    // Whoever is quiet is counted all the same: four calls of thirty.
    assert_eq!(edge.send(&from("9.9.9.1", "")).headers["x-ratelimit-remaining"], "25");
    // The next day everybody is quiet again.
    edge.now = at("2026-11-25T00:00:00Z");
    edge.send(&from("9.9.9.1", "https://a.test"));
    assert_eq!(charged(&edge), ["addr*", "site*"]);
}

#[test]
fn the_limit_of_an_environment_holds_for_quiet_callers_too() {
    let (edge, from) = quiet_edge();
    let statuses = (0..11).map(|n| edge.send(&from(&format!("9.9.8.{n}"), "https://a.test")).status_code);
    assert_eq!(statuses.collect::<Vec<_>>(), [[200; 10].as_slice(), &[429]].concat());
    // A refused request names the site that is over its limit, and not its quiet visitor.
    assert_eq!(charged(&edge), ["addr*", "site"]);
}

#[test]
fn published_usage_takes_the_place_of_what_was_counted_before_it() {
    let mut edge = Edge::new();
    let key = edge.key(|record| record.limit = limit("10/month"));
    let identity = Identity::key(&key.hash());
    let headers: &[(&str, &str)] = &[("x-api-key", key.expose())];
    for _ in 0..4 {
        assert_eq!(edge.get("/8.8.8.8", headers).status_code, 200);
    }
    // Home has counted these four and three of another region, up to now.
    let published =
        Published { period: Period::of(limit("10/month").window, edge.now), used: 7, as_of: edge.now };
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

#[test]
fn a_record_is_read_once_in_its_seconds() {
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
fn when_the_store_fails_the_last_known_state_serves() {
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
    let warnings = edge.kept.warnings.lock().expect("unpoisoned").clone();
    assert!(warnings.len() >= 3 && warnings.iter().all(|warning| warning == "read failed: made to fail"));
}

/// Texts that callers send: anything, and what looks right.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,40}",
        any::<String>(),
        Just("8.8.8.8".to_owned()),
        Just("/8.8.8.8/city".to_owned()),
        Just("/bulk".to_owned()),
        "(/[a-z0-9.:%]{0,12}){0,3}",
        "(fields|api-key|wrap)=[a-z0-9,%&=_]{0,20}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn whatever_comes_is_answered_within_the_contract(
        method in prop_oneof![Just("GET".to_owned()), Just("POST".to_owned()), any_text()],
        path in any_text(), query in any_text(), body in prop::option::of(any_text()), source in any_text(),
        is_base64: bool, headers in prop::collection::hash_map(
            prop_oneof![Just("x-api-key".to_owned()), Just("referer".to_owned()), Just("accept".to_owned()), any_text()],
            any_text(), 0..4,
        ),
    ) {
        let edge = Edge::new();
        let mut event = event(&method, "", &[]);
        (event.raw_path, event.raw_query_string, event.headers) = (path, query, headers);
        (event.body, event.is_base64_encoded) = (body, is_base64);
        if edge.lines() == 0 && source.len() % 3 == 0 {
            event.request_context.http.source_ip = source;
        }
        let answer = edge.send(&event);
        prop_assert!([200, 204, 400, 401, 403, 404, 405, 413, 415, 429].contains(&answer.status_code), "{:?}", answer);
        prop_assert!(edge.lines() <= 1);
        if answer.status_code >= 400 {
            prop_assert_eq!(&json(&answer)["status"], answer.status_code);
        }
    }

    #[test]
    fn any_bytes_are_answered(bytes: Vec<u8>) {
        let edge = Edge::new();
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let answer = runtime.block_on(edge.lookup.handle_json(&bytes, edge.now));
        prop_assert!([400, 405].contains(&answer.status_code));
    }
}

#[test]
fn no_answer_repeats_an_api_key_wherever_it_stands() {
    let edge = Edge::new();
    let key = edge.key(|_| ());
    let text = key.expose();
    for path in [
        format!("/{text}"),
        format!("/8.8.8.8/{text}"),
        format!("/8.8.8.8?fields=city,{text}"),
        format!("/{text}/24"),
        format!("/asn/{text}"),
    ] {
        let answer = edge.get(&path, &[]);
        assert!((400..500).contains(&answer.status_code), "{path}");
        assert!(!answer.body.contains(text), "{}", answer.body);
    }
    let bulk = format!("[\"8.8.8.8\",\"{text}\",{{\"key\":\"{text}\"}}]");
    let mut event = event("POST", "/bulk", &[]);
    event.body = Some(bulk);
    let answer = edge.send(&event);
    assert!(answer.status_code == 200 && !answer.body.contains(text), "{}", answer.body);
}
