//! The real binary: `bootstrap` under a small Lambda Runtime API and a real DynamoDB API, both kinds of
//! events in, answers and usage lines out.

mod support;

use std::collections::VecDeque;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use ipgeo_contract::{AddressSecret, ApiKey, Identity, KeyRecord, Month, Status, UsageEvent, Verdict, env};
use ipgeo_runtime::store::AccessRead as _;
use jiff::Timestamp;
use serde_json::{Value, json};
use support::Tables;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::Notify;

/// The part of Lambda's Runtime API that a function speaks to.
#[derive(Default)]
struct RuntimeApi {
    events: Mutex<VecDeque<String>>,
    answers: Mutex<VecDeque<Value>>,
    changed: Notify,
}

async fn next(State(api): State<Arc<RuntimeApi>>) -> Response {
    loop {
        let waiting = api.changed.notified();
        let event = api.events.lock().expect("unpoisoned").pop_front();
        if let Some(event) = event {
            let deadline = (Timestamp::now().as_millisecond() + 60_000).to_string();
            let headers = [
                ("lambda-runtime-aws-request-id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd".to_owned()),
                ("lambda-runtime-deadline-ms", deadline),
                (
                    "lambda-runtime-invoked-function-arn",
                    "arn:aws:lambda:eu-central-1:0:function:f".to_owned(),
                ),
            ];
            return (headers, event).into_response();
        }
        waiting.await;
    }
}

async fn answered(State(api): State<Arc<RuntimeApi>>, Path(_id): Path<String>, body: Bytes) -> Response {
    let answer = serde_json::from_slice(&body).unwrap_or(Value::Null);
    api.answers.lock().expect("unpoisoned").push_back(answer);
    api.changed.notify_waiters();
    axum::http::StatusCode::ACCEPTED.into_response()
}

async fn failed(State(api): State<Arc<RuntimeApi>>, _headers: HeaderMap, body: Bytes) -> Response {
    let error = json!({ "failed": String::from_utf8_lossy(&body) });
    api.answers.lock().expect("unpoisoned").push_back(error);
    api.changed.notify_waiters();
    axum::http::StatusCode::ACCEPTED.into_response()
}

impl RuntimeApi {
    async fn serve() -> (Arc<Self>, String) {
        let api = Arc::new(Self::default());
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(answered))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(failed))
            .with_state(Arc::clone(&api));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        tokio::spawn(async move { axum::serve(listener, router).await });
        (api, address)
    }

    /// Sends an event and waits for what the function answers.
    async fn invoke(&self, event: &str) -> Value {
        self.events.lock().expect("unpoisoned").push_back(event.to_owned());
        self.changed.notify_waiters();
        let answer = async {
            loop {
                let waiting = self.changed.notified();
                let answer = self.answers.lock().expect("unpoisoned").pop_front();
                if let Some(answer) = answer {
                    return answer;
                }
                waiting.await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), answer).await.expect("an answer within twenty seconds")
    }
}

/// Tables with an address secret.
async fn tables() -> Tables {
    let tables = Tables::serve().await;
    tables.access.ensure_address_secret(AddressSecret::new([7; 32])).await.expect("a secret");
    tables
}

fn key_record(key: &ApiKey, owner: &str, limit: &str) -> KeyRecord {
    KeyRecord {
        owner: owner.into(),
        tier: "startup".into(),
        limit: limit.parse().expect("a limit"),
        status: Status::Active,
        expires: None,
        sites: vec![],
        networks: vec![],
        hint: key.hint(),
        created: Timestamp::now(),
        published: None,
    }
}

const TOPIC: &str = "arn:aws:sns:eu-central-1:000000000000:ipgeo-prod-quota-alerts";
/// Where nobody listens.
const NO_SNS: &str = "http://127.0.0.1:9";

/// A topic that takes what is published, as SNS answers.
async fn sns() -> (Arc<Mutex<Vec<String>>>, String) {
    let taken = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&taken);
    let router = Router::new().fallback(move |body: String| async move {
        kept.lock().expect("unpoisoned").push(body);
        "<PublishResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><PublishResult><MessageId>1</MessageId>\
         </PublishResult></PublishResponse>"
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (taken, endpoint)
}

/// Starts the binary as Lambda does, and the lines of its log.
fn start(
    handler: &str,
    api: &str,
    tables: &Tables,
    sns: &str,
    database: &std::path::Path,
) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_bootstrap"))
        .env_clear()
        .env("AWS_LAMBDA_RUNTIME_API", api)
        .env("AWS_LAMBDA_FUNCTION_NAME", "ipgeo")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
        .env("AWS_LAMBDA_LOG_STREAM_NAME", "s")
        .env("AWS_LAMBDA_LOG_GROUP_NAME", "g")
        .env("AWS_REGION", "eu-central-1")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env(env::ENDPOINT_DYNAMODB, &tables.endpoint)
        .env(env::HANDLER, handler)
        .env(env::ACCESS_TABLE, "access")
        .env(env::LEDGER_TABLE, "ledger")
        .env(env::GEO_DATABASE, database)
        .env(env::ANONYMOUS_LIMIT, "2/day")
        .env(env::ANONYMOUS_SITE_LIMIT, "100/day")
        .env(env::ALERT_THRESHOLDS, "80,100")
        .env(env::ALERT_TOPIC, TOPIC)
        .env(env::ENDPOINT_SNS, sns)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("bootstrap starts");
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    (child, lines)
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
    let line = tokio::time::timeout(Duration::from_secs(10), lines.next_line()).await;
    line.expect("a line within ten seconds").expect("a log").expect("a line")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lookup_function_answers_and_leaves_a_line_for_each_request() {
    let (folder, tables) = (tempfile::tempdir().expect("a folder"), tables().await);
    let database = folder.path().join("sample.mmdb");
    std::fs::write(&database, ipgeo::geo::sample().expect("it compiles")).expect("written");
    let key = ApiKey::generate("ipg", |bytes| bytes.fill(99)).expect("an API key");
    let identity = Identity::key(&key.hash());
    let record = key_record(&key, "acme", "10/month");
    tables.access.put_key(&identity, &record).await.expect("stored");

    let (api, address) = RuntimeApi::serve().await;
    let (mut child, mut log) = start(env::HANDLER_LOOKUP, &address, &tables, NO_SNS, &database);
    let keyed = json!({ "x-api-key": key.expose() });
    // (event, status, what the body holds, verdict, calls charged)
    let table = [
        (http_event("/8.8.8.8", &keyed), 200, "Mountain View", Verdict::Allowed, 1),
        (http_event("/10.0.0.1", &keyed), 400, "10.0.0.1 is a private IP address", Verdict::Allowed, 0),
        (http_event("/1.1.1.1/city", &json!({})), 200, "\"Brisbane\"", Verdict::Allowed, 1),
        (http_event("/", &json!({ "h\u{e9}ader": "\u{1F30D}" })), 200, "81.2.69.142", Verdict::Allowed, 1),
        (http_event("/8.8.8.8", &json!({})), 429, "limit of 2 requests a day", Verdict::OverQuota, 0),
        (
            http_event("/8.8.8.8", &json!({ "x-api-key": "junk" })),
            401,
            "valid API Key",
            Verdict::MalformedKey,
            0,
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
    // What is no HTTP event, and what is no event at all, is answered too, and leaves no line.
    for junk in ["{}", "[1]", "\"text\"", "null"] {
        let answer = api.invoke(junk).await;
        assert!([400, 405].contains(&answer["statusCode"].as_u64().expect("a status")), "{junk}: {answer}");
    }
    assert_eq!(api.invoke(&http_event("/health", &json!({}))).await["statusCode"], 200);
    child.kill().await.expect("it ends");
    assert_eq!(log.next_line().await.expect("a log"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_usage_function_counts_a_real_batch_once() {
    let tables = tables().await;
    let (api, address) = RuntimeApi::serve().await;
    let (mut child, mut log) =
        start(env::HANDLER_USAGE, &address, &tables, NO_SNS, std::path::Path::new("none"));
    let now = Timestamp::now().to_string();
    let events = vec![support::event(&now, "site#a.test", "5/day"); 5];
    let mut records = vec![support::record("shardId-000000000000", 7, &events)];
    records.push(ipgeo_runtime::usage::KinesisRecord::new("shardId-000000000000", "8", b"not gzip"));
    let batch = json!({ "Records": records }).to_string();
    for _ in 0..2 {
        assert_eq!(api.invoke(&batch).await, json!({ "batchItemFailures": [] }));
        let report: Value = serde_json::from_str(&usage_line(&mut log).await).expect("a report in JSON");
        assert_eq!(report["batch"]["skipped"]["records"]["gzip"], 1, "{report}");
        assert_eq!(report.get("ipgeo"), None);
    }
    let site: Identity = "site#a.test".parse().expect("an identity");
    let item =
        tables.ledger.item(&site, Month::of(Timestamp::now())).await.expect("a read").expect("an item");
    assert_eq!(item.charged, 5);
    let published = tables.access.published(&[site]).await.expect("a read");
    assert_eq!(published[0].map(|published| published.used), Some(5));
    child.kill().await.expect("it ends");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_usage_function_sends_an_alert_once_and_notes_how_far_it_is() {
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
    let events = vec![support::event(&now.to_string(), identity.as_str(), "5/month"); 4];
    let batch = json!({ "Records": [support::record("shardId-000000000000", 7, &events)] }).to_string();
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

    let alerts = tables.ledger.alerts(Month::of(now)).await.expect("a read");
    assert_eq!(alerts.iter().filter(|alert| alert.sent.is_some()).count(), 1);
    let shards = tables.ledger.newest().await.expect("a read");
    let newest = shards[0].regions["eu-central-1"];
    assert_eq!(newest.event.as_millisecond(), now.as_millisecond());
    assert!(newest.counted >= newest.event);
    child.kill().await.expect("it ends");
}
