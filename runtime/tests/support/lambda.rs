//! Lambda for the real binary: a Runtime API that delivers events, tables, and the start of the process.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::allow_attributes,
    reason = "each test file uses its part"
)]

use std::collections::VecDeque;
use std::io::Write as _;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use ipgeo_contract::{AddressSecret, env};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::Notify;

pub use crate::support::Tables;

pub const TOPIC: &str = "arn:aws:sns:eu-central-1:000000000000:ipgeo-prod-quota-alerts";
/// An address without a listener.
pub const NO_SNS: &str = "http://127.0.0.1:9";

/// The part of Lambda's Runtime API that a function uses.
#[derive(Default)]
pub struct RuntimeApi {
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
    /// Serves it on loopback; also returns its address.
    pub async fn serve() -> (Arc<Self>, String) {
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

    /// Sends an event and waits for the function's answer.
    pub async fn invoke(&self, event: &str) -> Value {
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
pub async fn tables() -> Tables {
    let tables = Tables::serve().await;
    tables.access.ensure_address_secret(AddressSecret::new([7; 32])).await.expect("a secret");
    tables
}

/// A topic that accepts every message, with SNS's answers.
pub async fn sns() -> (Arc<Mutex<Vec<String>>>, String) {
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

/// A stream that takes what is put into it, as Kinesis answers, after these refusals: status and error code.
pub async fn kinesis(refusals: &[(u16, &'static str)]) -> (Arc<Mutex<Vec<Value>>>, String) {
    let taken = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&taken);
    let refusals = Arc::new(Mutex::new(refusals.iter().copied().collect::<VecDeque<_>>()));
    let router = Router::new().fallback(move |headers: HeaderMap, body: String| async move {
        assert_eq!(headers["x-amz-target"], "Kinesis_20131202.PutRecord");
        let refusal = refusals.lock().expect("unpoisoned").pop_front();
        let (status, answer) = match refusal {
            Some((status, code)) => (status, json!({ "__type": code, "message": "refused" })),
            None => {
                kept.lock().expect("unpoisoned").push(serde_json::from_str(&body).expect("JSON"));
                (200, json!({ "ShardId": "shardId-000000000000", "SequenceNumber": "1" }))
            }
        };
        (axum::http::StatusCode::from_u16(status).expect("a status"), answer.to_string())
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (taken, endpoint)
}

/// Home's counter: takes what it is invoked with, as Lambda answers. The first invocation fails.
pub async fn counter() -> (Arc<Mutex<Vec<String>>>, String) {
    let taken = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&taken);
    let fails = Arc::new(Mutex::new(true));
    let invoke = move |headers: HeaderMap, uri: axum::http::Uri, body: String| async move {
        assert_eq!(uri, "/2015-03-31/functions/ipgeo-prod-usage/invocations?Qualifier=live");
        assert_eq!(headers["x-amz-invocation-type"], "Event");
        let signature = headers["authorization"].to_str().expect("text");
        assert!(signature.contains("/us-east-1/lambda/") && signature.contains("x-amz-invocation-type"));
        if std::mem::take(&mut *fails.lock().expect("unpoisoned")) {
            let answer = json!({ "Type": "User", "Message": "Function not found" });
            return (axum::http::StatusCode::NOT_FOUND, answer.to_string());
        }
        kept.lock().expect("unpoisoned").push(body);
        (axum::http::StatusCode::ACCEPTED, String::new())
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(invoke)).await });
    (taken, endpoint)
}

/// Starts the binary as Lambda does; also returns the lines of its log. `sns` is also where its stream and home's counter are.
pub fn start(
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
        .env(env::ENDPOINT_LAMBDA, sns)
        .envs((sns != NO_SNS).then_some((env::HOME_FUNCTION, "ipgeo-prod-usage")))
        .env(env::HOME_ALIAS, "live")
        .env(env::HOME_REGION, "us-east-1")
        .env(env::ACCESS_TABLE, "access")
        .env(env::LEDGER_TABLE, "ledger")
        .env(env::GEO_DATABASE, database)
        .env(env::ANONYMOUS_LIMIT, "2/day")
        .env(env::ANONYMOUS_SITE_LIMIT, "100/day")
        .env(env::ALERT_THRESHOLDS, "80,100")
        .env(env::ALERT_TOPIC, TOPIC)
        .env(env::ENDPOINT_SNS, sns)
        .env(env::ENDPOINT_KINESIS, sns)
        .env(env::STREAM, "ipgeo-prod-usage")
        .env(env::STREAM_REGION, "us-east-1")
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("bootstrap starts");
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    (child, lines)
}

/// The next line of a function's log. It is printed too, so that `.ci/run` searches it for API keys.
pub async fn next_line(lines: &mut Lines<BufReader<ChildStdout>>) -> std::io::Result<Option<String>> {
    let line = lines.next_line().await?;
    if let Some(line) = &line {
        let _ = writeln!(std::io::stderr(), "{line}");
    }
    Ok(line)
}
