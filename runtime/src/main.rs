//! `bootstrap`: what Lambda starts. `IPGEO_HANDLER` picks the handler: `lookup` at the edges, `usage` at home.

// The SDK's futures are nested deeper than the compiler's default patience.
#![recursion_limit = "256"]

use std::io::Write as _;
use std::sync::Arc;

use ipgeo_contract::env;
use ipgeo_runtime::dynamo::{AccessTable, Effort, LedgerTable, client_from_env};
use ipgeo_runtime::geo::Database;
use ipgeo_runtime::lookup::{Lookup, Settings, UsageSink};
use ipgeo_runtime::usage::{KinesisEvent, UsageHandler};
use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::json;
use serde_json::value::RawValue;

fn var(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn needed(name: &str) -> Result<String, Error> {
    var(name).ok_or_else(|| format!("environment variable {name} is not set").into())
}

/// One line in one write, so that lines of a log never mix. A log that can't be written to is no reason
/// to refuse a caller.
fn write_line(mut line: String) {
    line.push('\n');
    let _ = std::io::stdout().write_all(line.as_bytes());
}

/// Lambda's log: CloudWatch Logs reads standard output.
struct Stdout;

impl UsageSink for Stdout {
    fn usage(&self, line: String) {
        write_line(line);
    }

    fn warn(&self, message: String) {
        write_line(json!({ "level": "WARN", "message": message }).to_string());
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    match needed(env::HANDLER)?.as_str() {
        env::HANDLER_LOOKUP => serve_lookup().await,
        env::HANDLER_USAGE => serve_usage().await,
        other => Err(format!("{} is `{other}`; it is `lookup` or `usage`", env::HANDLER).into()),
    }
}

async fn serve_lookup() -> Result<(), Error> {
    let (settings, database) = Settings::from_env(var)?;
    let access = AccessTable::new(client_from_env(var, Effort::Quick)?, needed(env::ACCESS_TABLE)?);
    let lookup = Arc::new(Lookup::new(access, Database::open(&database)?, Stdout, settings));
    // The event is taken as text: one that is not what API Gateway sends is answered all the same.
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Box<RawValue>>| {
        let lookup = Arc::clone(&lookup);
        async move {
            let answer = lookup.handle_json(event.payload.get().as_bytes(), Timestamp::now()).await;
            Ok::<_, Error>(answer)
        }
    }))
    .await
}

async fn serve_usage() -> Result<(), Error> {
    let client = client_from_env(var, Effort::Patient)?;
    let ledger = LedgerTable::new(client.clone(), needed(env::LEDGER_TABLE)?);
    let access = AccessTable::new(client, needed(env::ACCESS_TABLE)?);
    let usage = Arc::new(UsageHandler::new(ledger, access));
    lambda_runtime::run(service_fn(move |event: LambdaEvent<KinesisEvent>| {
        let usage = Arc::clone(&usage);
        async move {
            let (response, report) = usage.handle(&event.payload).await;
            let level = if report.failures.is_empty() { "INFO" } else { "ERROR" };
            write_line(json!({ "level": level, "message": "batch counted", "batch": report }).to_string());
            Ok::<_, Error>(response)
        }
    }))
    .await
}
