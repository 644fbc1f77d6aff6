//! The real binary: `bootstrap` under a small Lambda Runtime API and a real DynamoDB API, with both kinds of events.

use std::time::Duration;

use crate::lambda::{NO_SNS, RuntimeApi, TOPIC, counter, kinesis, next_line, sns, start, tables};
use ipgeo_contract::{ApiKey, EarlyReport, Identity, KeyRecord, Month, UsageEvent, Verdict, env};
use ipgeo_runtime::store::AccessRead as _;
use ipgeo_runtime::usage::{KinesisEvent, KinesisRecord, LogEvent, decode, envelope};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::io::{BufReader, Lines};
use tokio::process::ChildStdout;

fn key_record(key: &ApiKey, owner: &str, limit: &str) -> KeyRecord {
    KeyRecord::new(key.hint(), owner, "startup", limit.parse().expect("a limit"), Timestamp::now())
}

fn http_event(path: &str, headers: &Value) -> String {
    json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "", "headers": headers,
        "requestContext": {
            "accountId": "0", "stage": "$default", "requestId": "JKJaXmPLvHcESHA=",
            "http": { "method": "GET", "path": path, "protocol": "HTTP/1.1", "sourceIp": "81.2.69.142", "userAgent": "curl" },
        },
        "isBase64Encoded": false,
    })
    .to_string()
}

async fn usage_line(lines: &mut Lines<BufReader<ChildStdout>>) -> String {
    let line = tokio::time::timeout(Duration::from_secs(10), next_line(lines)).await;
    line.expect("a line within ten seconds").expect("a log").expect("a line")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lookup_function_answers_and_writes_a_usage_line_for_each_request() {
    let (folder, tables) = (tempfile::tempdir().expect("a folder"), tables().await);
    let database = folder.path().join("sample.mmdb");
    std::fs::write(&database, ipgeo_geo::compile::sample().expect("it compiles")).expect("written");
    let key = ApiKey::generate("ipg", |bytes| bytes.fill(99)).expect("an API key");
    let identity = Identity::key(&key.hash());
    let record = key_record(&key, "acme", "10/month");
    tables.access.put_key(&identity, &record).await.expect("stored");

    let (api, address) = RuntimeApi::serve().await;
    let (mut child, mut log) = start(env::HANDLER_LOOKUP, &address, &tables, NO_SNS, &database);
    let keyed = json!({ "x-api-key": key.expose() });
    // (event, status, part of the body, verdict, calls charged)
    let table = [
        (http_event("/8.8.8.8", &keyed), 200, "Mountain View", Verdict::Allowed, 1),
        (http_event("/10.0.0.1", &keyed), 400, "10.0.0.1 is a private IP address", Verdict::BadRequest, 0),
        (http_event("/1.1.1.1/city", &json!({})), 200, "\"Brisbane\"", Verdict::Allowed, 1),
        (http_event("/", &json!({ "h\u{e9}ader": "\u{1F30D}" })), 200, "81.2.69.142", Verdict::Allowed, 1),
        (http_event("/8.8.8.8", &json!({})), 429, "limit of 2 requests a day", Verdict::OverQuota, 0),
        (
            http_event("/8.8.8.8", &json!({ "x-api-key": "junk" })),
            401,
            "valid API Key",
            Verdict::MalformedKey,
            1,
        ),
    ];
    for (event, status, holds, verdict, cost) in table {
        let answer = api.invoke(&event).await;
        assert_eq!(answer["statusCode"], status, "{answer}");
        assert!(answer["body"].as_str().expect("a body").contains(holds), "{answer}");
        let line = usage_line(&mut log).await;
        let usage = UsageEvent::parse(&line).expect("a usage line");
        assert_eq!((usage.verdict, usage.cost, usage.region.as_str()), (verdict, cost, "eu-central-1"));
        for secret in [key.expose(), "8.8.8.8", "81.2.69.142"] {
            assert!(!line.contains(secret), "{line}");
        }
    }
    // Other events, and text that is not an event, are answered too, without a usage line.
    for junk in ["{}", "[1]", "\"text\"", "null"] {
        let answer = api.invoke(junk).await;
        assert!([400, 405].contains(&answer["statusCode"].as_u64().expect("a status")), "{junk}: {answer}");
    }
    assert_eq!(api.invoke(&http_event("/health", &json!({}))).await["statusCode"], 200);
    child.kill().await.expect("it ends");
    assert_eq!(next_line(&mut log).await.expect("a log"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_usage_function_counts_a_real_batch_once() {
    let tables = tables().await;
    let (api, address) = RuntimeApi::serve().await;
    let (mut child, mut log) =
        start(env::HANDLER_USAGE, &address, &tables, NO_SNS, std::path::Path::new("none"));
    let now = Timestamp::now().to_string();
    let events = vec![crate::support::event(&now, "site#a.test", "5/day"); 5];
    let mut records = vec![crate::support::record("shardId-000000000000", 7, &events)];
    records.push(ipgeo_runtime::usage::KinesisRecord::new("shardId-000000000000", "8", b"not gzip"));
    let batch = json!({ "Records": records }).to_string();
    for _ in 0..2 {
        assert_eq!(api.invoke(&batch).await, json!({ "batchItemFailures": [] }));
        let report: Value = serde_json::from_str(&usage_line(&mut log).await).expect("a report in JSON");
        assert_eq!(report["batch"]["skipped"]["records"]["gzip"], 1, "{report}");
        assert_eq!(report.get("ipgeo"), None);
    }
    let site: Identity = "site#a.test".parse().expect("an identity");
    let item = tables
        .ledger
        .item(&site, Month::from_time(Timestamp::now()))
        .await
        .expect("a read")
        .expect("an item");
    assert_eq!(item.charged, 5);
    let published = tables.access.published(&[site]).await.expect("a read");
    assert_eq!(published[0].map(|published| published.used), Some(5));
    child.kill().await.expect("it ends");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_usage_function_sends_an_alert_once_and_saves_its_progress() {
    let tables = tables().await;
    let (api, address) = RuntimeApi::serve().await;
    let (taken, endpoint) = sns().await;
    let none = std::path::Path::new("none");
    let (mut child, mut log) = start(env::HANDLER_USAGE, &address, &tables, &endpoint, none);
    let key = ApiKey::generate("ipg", |bytes| bytes.fill(98)).expect("an API key");
    let identity = Identity::key(&key.hash());
    let record = key_record(&key, "acme & sons", "5/month");
    tables.access.put_key(&identity, &record).await.expect("stored");
    let now = Timestamp::now();
    let events = vec![crate::support::event(&now.to_string(), identity.as_str(), "5/month"); 4];
    let batch =
        json!({ "Records": [crate::support::record("shardId-000000000000", 7, &events)] }).to_string();
    for _ in 0..3 {
        assert_eq!(api.invoke(&batch).await, json!({ "batchItemFailures": [] }));
        usage_line(&mut log).await;
    }
    let bodies = taken.lock().expect("unpoisoned").clone();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    let fields: std::collections::BTreeMap<_, _> =
        form_urlencoded::parse(bodies[0].as_bytes()).into_owned().collect();
    assert_eq!((fields["Action"].as_str(), fields["TopicArn"].as_str()), ("Publish", TOPIC));
    let message: Value = serde_json::from_str(&fields["Message"]).expect("JSON by protocol");
    let text = message["email"].as_str().expect("text");
    assert!(text.contains("of acme & sons has reached 80 % of its quota: 4 calls of 5/month"), "{text}");
    let webhook: Value = serde_json::from_str(message["https"].as_str().expect("text")).expect("JSON");
    assert_eq!((&webhook["api_key"], &webhook["used"]), (&key.hint().into(), &4.into()));
    assert!(!bodies[0].contains(key.expose()));

    let alerts = tables.ledger.alerts(Month::from_time(now)).await.expect("a read");
    assert_eq!(alerts.iter().filter(|alert| alert.sent.is_some()).count(), 1);
    let shards = tables.ledger.newest().await.expect("a read");
    let newest = shards[0].regions["eu-central-1"];
    assert_eq!(newest.event.as_millisecond(), now.as_millisecond());
    assert!(newest.counted >= newest.event);
    child.kill().await.expect("it ends");
}

/// From an edge's answer to the published usage, by the real programs of both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_reports_after_its_answer_and_home_publishes() {
    let (folder, tables) = (tempfile::tempdir().expect("a folder"), tables().await);
    let database = folder.path().join("sample.mmdb");
    std::fs::write(&database, ipgeo_geo::compile::sample().expect("it compiles")).expect("written");
    let key = ApiKey::generate("ipg", |bytes| bytes.fill(97)).expect("an API key");
    let identity = Identity::key(&key.hash());
    tables.access.put_key(&identity, &key_record(&key, "acme", "10/month")).await.expect("stored");
    let (taken, endpoint) = counter().await;
    let (api, address) = RuntimeApi::serve().await;
    let (mut edge, mut log) = start(env::HANDLER_LOOKUP, &address, &tables, &endpoint, &database);
    let call = http_event("/8.8.8.8", &json!({ "x-api-key": key.expose() }));
    // The first report fails, which is logged, and the second has its call too.
    for _ in 0..2 {
        assert_eq!(api.invoke(&call).await["statusCode"], 200);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let lines = [usage_line(&mut log).await, usage_line(&mut log).await, usage_line(&mut log).await];
    assert!(
        lines.iter().any(|line| line.contains("report of early counts failed: User: Function not found")),
        "{lines:?}"
    );
    let reports = taken.lock().expect("unpoisoned").clone();
    assert_eq!(reports.len(), 1, "{reports:?}");
    let report = EarlyReport::from_json(reports[0].as_bytes()).expect("a report");
    assert_eq!((report.counts[0].calls, &report.counts[0].identity), (2, &identity));
    edge.kill().await.expect("it ends");

    let (home_api, address) = RuntimeApi::serve().await;
    let none = std::path::Path::new("none");
    let (mut home, _log) = start(env::HANDLER_USAGE, &address, &tables, NO_SNS, none);
    assert_eq!(home_api.invoke(&reports[0]).await, Value::Null);
    let record = tables.access.key(&identity).await.expect("a read").expect("a record");
    assert_eq!(record.published.map(|published| published.used), Some(2));
    // An invalid report is logged, not repeated.
    assert_eq!(home_api.invoke("{\"early\":9}").await, Value::Null);
    home.kill().await.expect("it ends");
}

/// By which `ipgeo deploy` recognises the release of a program.
#[test]
fn the_program_contains_its_release_mark() {
    let program = std::fs::read(env!("CARGO_BIN_EXE_bootstrap")).expect("the program");
    assert!(memchr::memmem::find(&program, ipgeo_contract::RELEASE_MARK.as_bytes()).is_some());
}

/// The event that CloudWatch Logs invokes the forwarder with, for the lines of a log stream.
fn logs_event(log_stream: &str, events: &[UsageEvent]) -> (String, String) {
    let lines = events.iter().zip(0..).map(|(event, number)| LogEvent {
        id: format!("{number:056}"),
        timestamp: event.time.as_millisecond(),
        message: event.to_line(),
    });
    let packed = envelope("/aws/lambda/ipgeo-prod-lookup", log_stream, lines.collect()).expect("packs");
    let record = KinesisRecord::new("shardId-000000000000", "1", &packed);
    (json!({ "awslogs": { "data": record.kinesis.data } }).to_string(), record.kinesis.data)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_forwarder_puts_a_batch_into_the_stream_unchanged() {
    let (tables, (api, address)) = (tables().await, RuntimeApi::serve().await);
    // Throttled and broken answers are retried; the next batch finds a stream that refuses it.
    let refusals = [(400, "x#ProvisionedThroughputExceededException"), (500, "InternalFailure")];
    let (stream, endpoint) = kinesis(&refusals).await;
    let none = std::path::Path::new("none");
    let (mut child, _log) = start(env::HANDLER_FORWARD, &address, &tables, &endpoint, none);
    let now = Timestamp::now().to_string();
    let (event, data) =
        logs_event("2026/11/28/[$LATEST]0a", &vec![crate::support::event(&now, "site#a.test", "5/day"); 3]);
    assert_eq!(api.invoke(&event).await, Value::Null);
    // What is unreadable is put too, for the counter to report.
    assert_eq!(api.invoke(r#"{"awslogs":{"data":"***"}}"#).await, Value::Null);
    let put = stream.lock().expect("unpoisoned").clone();
    let expected = |key: &str, data: &str| json!({ "StreamName": "ipgeo-prod-usage", "PartitionKey": key, "Data": data });
    assert_eq!(put, [expected("2026/11/28/[$LATEST]0a", &data), expected("unknown", "***")]);
    let mut record = KinesisRecord::new("shardId-000000000000", "1", b"");
    record.kinesis.data = put[0]["Data"].as_str().expect("text").to_owned();
    let decoded = decode(&KinesisEvent { records: vec![record] }, Timestamp::now());
    assert_eq!(decoded.records[0].events.len(), 3);
    child.kill().await.expect("it ends");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_the_stream_refuses_fails_its_invocation() {
    let (tables, (api, address)) = (tables().await, RuntimeApi::serve().await);
    let (stream, endpoint) = kinesis(&[(400, "x#ResourceNotFoundException")]).await;
    let none = std::path::Path::new("none");
    let (mut child, mut log) = start(env::HANDLER_FORWARD, &address, &tables, &endpoint, none);
    let (event, _) =
        logs_event("s", &[crate::support::event(&Timestamp::now().to_string(), "site#a.test", "5/day")]);
    // Lambda repeats a failed invocation, and then it succeeds.
    let answer = api.invoke(&event).await.to_string();
    assert!(answer.contains("put into the stream ipgeo-prod-usage failed"), "{answer}");
    let line: Value = serde_json::from_str(&usage_line(&mut log).await).expect("JSON");
    assert_eq!(line["level"], "ERROR", "{line}");
    assert_eq!(api.invoke(&event).await, Value::Null);
    assert_eq!(stream.lock().expect("unpoisoned").len(), 1);
    assert!(api.invoke("{}").await.to_string().contains("awslogs"), "an event of another kind fails");
    child.kill().await.expect("it ends");
}
