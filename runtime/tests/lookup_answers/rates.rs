//! Short rates: headers, refusals, bulk requests, anonymous callers, and what several environments allow together.

use ipgeo_contract::{ApiKey, KeyRecord, RateLimit, Status, Verdict};
use ipgeo_runtime::lookup::{Answer, Event};
use jiff::SignedDuration;
use proptest::prelude::*;

use super::edge::{Edge, at, event, json, limit};

fn rate(text: &str) -> RateLimit {
    text.parse().expect("a rate")
}

/// An edge with a rate for the API keys of the tier `startup`.
fn edge_of_tier(text: &str) -> Edge {
    Edge::with(|settings| settings.rates = format!("tier.startup={text}").parse().expect("rates"))
}

fn bulk(key: &ApiKey, count: usize) -> Event {
    let mut event = event("POST", "/bulk", &[("x-api-key", key.expose())]);
    event.body = Some(serde_json::to_string(&vec!["8.8.8.8"; count]).expect("JSON"));
    event
}

fn from(address: &str, site: Option<&str>) -> Event {
    let headers: Vec<(&str, &str)> = site.into_iter().map(|site| ("referer", site)).collect();
    let mut event = event("GET", "/8.8.8.8", &headers);
    address.clone_into(&mut event.request_context.http.source_ip);
    event
}

fn headers<const N: usize>(answer: &Answer, names: [&str; N]) -> [String; N] {
    names.map(|name| answer.headers.get(name).cloned().unwrap_or_default())
}

const LIMIT_HEADERS: [&str; 6] = [
    "ratelimit-policy",
    "ratelimit",
    "retry-after",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
];

#[test]
fn both_policies_are_in_the_headers_and_the_one_that_refuses_is_named() {
    let mut edge = edge_of_tier("2/s:3");
    let key = edge.key(|record| record.limit = limit("100/day"));
    let asked = [("x-api-key", key.expose())];
    let policies = "\"second\";q=2;w=1, \"day\";q=100;w=86400";
    // (requests left, their time, the quota's remaining calls)
    for (left, full_s, remaining) in [(2, 1, 99), (1, 1, 98), (0, 2, 97)] {
        let answer = edge.get("/8.8.8.8", &asked);
        let state = format!("\"second\";r={left};t={full_s}, \"day\";r={remaining};t=43200");
        let remaining = remaining.to_string();
        assert_eq!(answer.status_code, 200);
        assert_eq!(headers(&answer, LIMIT_HEADERS), [policies, &state, "", "100", &remaining, "43200"]);
    }
    let refused = edge.get("/8.8.8.8", &asked);
    assert_eq!(refused.status_code, 429);
    let state = "\"second\";r=0;t=1, \"day\";r=97;t=43200";
    assert_eq!(headers(&refused, LIMIT_HEADERS), [policies, state, "1", "2", "0", "1"]);
    let body = json(&refused);
    assert_eq!(body["violated-policies"], serde_json::json!(["second"]));
    assert_eq!(body["type"], "https://iana.org/assignments/http-problem-types#quota-exceeded");
    assert_eq!(body["message"], "You have reached your rate of 2 requests a second. Try again in 1 second.");
    let line = edge.last_line();
    assert_eq!((line.verdict, line.cost, line.tier.as_str()), (Verdict::OverRate, 0, "startup"));
    // Refused requests take nothing: half a second later, there is one call.
    edge.now += SignedDuration::from_millis(500);
    assert_eq!(edge.get("/8.8.8.8", &asked).status_code, 200);
    assert_eq!(edge.get("/8.8.8.8", &asked).status_code, 429);
    assert_eq!(edge.reads(), 1);
}

#[test]
fn an_api_keys_own_rate_replaces_its_tiers_and_no_rate_adds_no_policy() {
    let edge = edge_of_tier("1/min:1");
    let table = [
        ("startup", None, 1, "\"minute\";q=1;w=60, \"month\";q=100"),
        ("startup", Some(rate("5/s:4")), 4, "\"second\";q=5;w=1, \"month\";q=100"),
        ("retired", None, 9, "\"month\";q=100"),
    ];
    for (tier, own, allowed, policy) in table {
        let key = edge.key(|record| (record.tier, record.rate) = (tier.to_owned(), own));
        let answers: Vec<Answer> =
            (0..9).map(|_| edge.get("/8.8.8.8", &[("x-api-key", key.expose())])).collect();
        assert_eq!(
            answers.iter().filter(|answer| answer.status_code == 200).count(),
            allowed,
            "{tier} {own:?}"
        );
        assert!(answers[8].headers["ratelimit-policy"].starts_with(policy), "{:?}", answers[8].headers);
    }
}

#[test]
fn a_bulk_request_takes_its_addresses_and_a_larger_one_than_the_burst_needs_a_full_bucket() {
    let mut edge = edge_of_tier("10/s:10");
    let key = edge.key(|_| ());
    assert_eq!(edge.send(&bulk(&key, 8)).status_code, 200);
    let refused = edge.send(&bulk(&key, 4));
    assert_eq!((refused.status_code, refused.headers["retry-after"].as_str()), (429, "1"));
    let message = "You have reached your rate of 10 requests a second, and this one counts as 4. Try again in 1 second.";
    assert_eq!(json(&refused)["message"], message);
    // It is allowed when the bucket is full, and what it took beyond the burst is made up for.
    assert_eq!(edge.send(&bulk(&key, 30)).status_code, 429);
    edge.now += SignedDuration::from_secs(1);
    assert_eq!(edge.send(&bulk(&key, 30)).status_code, 200);
    edge.now += SignedDuration::from_millis(2_000);
    let refused = edge.send(&bulk(&key, 1));
    assert_eq!((refused.status_code, refused.headers["retry-after"].as_str()), (429, "1"));
    edge.now += SignedDuration::from_millis(100);
    assert_eq!(edge.send(&bulk(&key, 1)).status_code, 200);
}

#[test]
fn an_invalid_request_takes_a_call_and_a_refused_one_does_not() {
    let edge = Edge::with(|settings| {
        settings.rates = "tier.startup=1/min:3".parse().expect("rates");
        // The quota's status, for clients that expect ipdata's, is not the rate's.
        settings.quota_status = 403;
    });
    let key = edge.key(|record| record.limit = limit("2/day"));
    let ask = |path: &str| edge.get(path, &[("x-api-key", key.expose())]).status_code;
    assert_eq!([ask("/bleh"), ask("/8.8.8.8"), ask("/8.8.8.8")], [400, 200, 200]);
    // The reason that lasts longer is the verdict.
    assert_eq!((ask("/8.8.8.8"), edge.last_line().verdict), (403, Verdict::OverQuota));
    let other = edge.key(|record| record.status = Status::Disabled);
    for _ in 0..5 {
        edge.get("/8.8.8.8", &[("x-api-key", other.expose())]);
        assert_eq!(edge.last_line().verdict, Verdict::Disabled);
    }
    let third = edge.key(|_| ());
    let statuses: Vec<u16> =
        (0..5).map(|_| edge.get("/bleh", &[("x-api-key", third.expose())]).status_code).collect();
    assert_eq!(statuses, [400, 400, 400, 429, 429]);
    assert_eq!((edge.last_line().verdict, edge.last_line().cost), (Verdict::OverRate, 0));
}

#[test]
fn anonymous_callers_have_a_rate_by_address_and_one_by_site() {
    let edge = Edge::with(|settings| {
        settings.rates = "addr=1/min:2 site=1/s:3".parse().expect("rates");
        settings.anonymous_limit = limit("100/day");
        settings.anonymous_site_limit = limit("100/day");
        settings.quiet_permille = 50;
    });
    let site = Some("https://shop.example/");
    let send = |address: &str, site| edge.send(&from(address, site)).status_code;
    assert_eq!([(); 3].map(|()| send("9.9.9.1", None)), [200, 200, 429]);
    assert_eq!(edge.last_line().charges.len(), 1);
    // Refused by its address, a call takes nothing from its site.
    assert_eq!([(); 3].map(|()| send("9.9.9.1", site)), [429; 3]);
    let visitors: Vec<u16> = (0..4).map(|visitor| send(&format!("9.9.8.{visitor}"), site)).collect();
    assert_eq!(visitors, [200, 200, 200, 429]);
    let refused = edge.send(&from("9.9.8.9", site));
    assert_eq!(json(&refused)["violated-policies"], serde_json::json!(["second"]));
    // Nor from the address, if its site refuses it.
    assert_eq!([(); 3].map(|()| send("9.9.8.9", None)), [200, 200, 429]);
    // IPv6 addresses of one /64 are one caller.
    let hosts: Vec<u16> = (1..4).map(|host| send(&format!("2606:4700::{host:x}"), None)).collect();
    assert_eq!(hosts, [200, 200, 429]);
}

#[test]
fn a_wrong_clock_neither_gives_calls_nor_blocks_a_caller() {
    let mut edge = edge_of_tier("1/s:2");
    let key = edge.key(|_| ());
    let ask = |edge: &Edge| edge.get("/8.8.8.8", &[("x-api-key", key.expose())]).status_code;
    assert_eq!([(); 3].map(|()| ask(&edge)), [200, 200, 429]);
    for back in ["2026-11-24T11:59:59.5Z", "2026-11-24T11:00:00Z", "2026-11-01T00:00:00Z"] {
        edge.now = at(back);
        assert_eq!(ask(&edge), 429, "{back}");
    }
    edge.now += SignedDuration::from_secs(2);
    assert_eq!([(); 2].map(|()| ask(&edge)), [200, 429]);
    edge.now = at("2027-01-01T00:00:00Z");
    assert_eq!([(); 3].map(|()| ask(&edge)), [200, 200, 429]);
}

#[test]
fn another_environment_has_a_bucket_of_its_own() {
    let edges = [edge_of_tier("1/min:2"), edge_of_tier("1/min:2")];
    let key = edges[0].key(|_| ());
    edges[1].key(|_| ());
    let statuses: Vec<u16> = (0..6)
        .map(|call| edges[call % 2].get("/8.8.8.8", &[("x-api-key", key.expose())]).status_code)
        .collect();
    assert_eq!(statuses, [200, 200, 200, 200, 429, 429]);
}

/// What may happen: time passes, then a caller sends a request of some calls to an environment.
#[derive(Clone, Copy, Debug)]
struct Step {
    wait_ms: i64,
    environment: usize,
    calls: usize,
    is_bad: bool,
}

fn any_step() -> impl Strategy<Value = Step> {
    (0_i64..1_500, 0_usize..3, prop_oneof![8 => Just(1_usize), 1 => 2_usize..6], prop::bool::weighted(0.1))
        .prop_map(|(wait_ms, environment, calls, is_bad)| Step { wait_ms, environment, calls, is_bad })
}

/// Three environments of an API key's region.
fn environments(limit_text: &str) -> (Vec<Edge>, ApiKey) {
    let change = |record: &mut KeyRecord| {
        record.limit = limit("1000000/month");
        record.rate = Some(rate(limit_text));
    };
    let edges: Vec<Edge> = (0..3).map(|_| Edge::new()).collect();
    let keys: Vec<ApiKey> = edges.iter().map(|edge| edge.key(change)).collect();
    (edges, keys.into_iter().next().expect("a key"))
}

fn send(edge: &Edge, key: &ApiKey, step: Step) -> u16 {
    if step.is_bad {
        return edge.get("/bleh", &[("x-api-key", key.expose())]).status_code;
    }
    edge.send(&bulk(key, step.calls)).status_code
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// In units of a thousandth of a call, with rates of whole calls a second.
    #[test]
    fn no_environment_allows_more_than_burst_and_rate_and_a_caller_within_its_rate_is_never_refused(
        per_s in 1_i64..6, burst in 5_i64..9, steps in prop::collection::vec(any_step(), 1..60), paces_itself: bool,
    ) {
        let (mut edges, key) = environments(&format!("{per_s}/s:{burst}"));
        let (mut now_ms, mut own, mut allowed) = (0, burst * 1_000, vec![Vec::new(); 3]);
        for step in steps {
            now_ms += step.wait_ms;
            own = (own + step.wait_ms * per_s).min(burst * 1_000);
            let calls = if step.is_bad { 1 } else { i64::try_from(step.calls).expect("few") };
            let is_within = own >= calls * 1_000;
            if paces_itself && !is_within {
                continue;
            }
            let edge = &mut edges[step.environment];
            edge.now = at(super::edge::NOW) + SignedDuration::from_millis(now_ms);
            let status = send(edge, &key, step);
            if status != 429 {
                own -= calls * 1_000;
                allowed[step.environment].push((now_ms, calls));
            }
            prop_assert!(status != 429 || !paces_itself);
            let line = edge.last_line();
            prop_assert_eq!(line.verdict == Verdict::OverRate, status == 429);
            prop_assert!(status != 429 || line.cost == 0);
        }
        for calls in allowed {
            for (from, (start_ms, _)) in calls.iter().enumerate() {
                let mut sum = 0;
                for (end_ms, more) in &calls[from..] {
                    sum += more;
                    prop_assert!(sum * 1_000 <= burst * 1_000 + (end_ms - start_ms) * per_s);
                }
            }
        }
    }
}

#[test]
fn a_flood_of_callers_does_not_give_a_busy_one_its_burst_again() {
    let edge = Edge::with(|settings| settings.rates = "addr=1/min:2".parse().expect("rates"));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let send =
        |address: &str| runtime.block_on(edge.lookup.handle(&from(address, None), edge.now)).status_code;
    assert_eq!([(); 3].map(|()| send("9.9.9.1")), [200, 200, 429]);
    for caller in 0..10_000_u32 {
        send(&format!("2606:4700:{:x}:{:x}::1", caller / 256, caller % 256));
        if caller % 1_000 == 0 {
            assert_eq!(send("9.9.9.1"), 429);
        }
    }
}
