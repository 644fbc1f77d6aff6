//! `bootstrap`: the program that Lambda starts. `IPGEO_HANDLER` selects the handler: `lookup` at the edges, `usage` at home,
//! `forward` at edges whose log pipe is a forwarder.

use std::hint::black_box;
use std::io::Write as _;
use std::sync::Arc;

use ipgeo_contract::{RELEASE_MARK, RegionName, Thresholds, env, error_chain};
use ipgeo_geo::Database;
use ipgeo_runtime::forward::LogsEvent;
use ipgeo_runtime::lookup::{Lookup, Settings, UsageSink};
use ipgeo_runtime::store::AccessRead as _;
use ipgeo_runtime::tables::{AccessTable, Effort, LedgerTable};
use ipgeo_runtime::usage::{AlertMessage, KinesisEvent, Report, UsageHandler};
use ipgeo_runtime::wire::{Account, Client, Stream, Topic};
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

/// Writes a line in one call, so that lines of the log never mix. Errors are ignored: a failing log must not fail a request.
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
        // Boxed, because compilers limit how deeply futures nest.
        env::HANDLER_LOOKUP => Box::pin(serve_lookup()).await,
        env::HANDLER_USAGE => Box::pin(serve_usage()).await,
        env::HANDLER_FORWARD => Box::pin(serve_forward()).await,
        // Opaque to the optimiser, which might otherwise split the mark in the binary.
        other => {
            let mark = black_box(RELEASE_MARK);
            Err(format!("{mark}: {} is `{other}`; it must be `lookup`, `usage` or `forward`", env::HANDLER)
                .into())
        }
    }
}

async fn serve_lookup() -> Result<(), Error> {
    let (settings, database) = Settings::from_env(var)?;
    let client = Client::new(&Account::from_env(var)?, Effort::Quick)?;
    // The connection to the store is opened while the database is opened and the first event arrives.
    let early = client.clone();
    tokio::spawn(async move { early.open_early().await });
    let access = AccessTable::new(client, needed(env::ACCESS_TABLE)?);
    let lookup = Arc::new(Lookup::new(access, Database::open(&database)?, Stdout, settings));
    // The event is taken as text, so that even a malformed one gets an HTTP answer.
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
    let account = Account::from_env(var)?;
    let client = Client::new(&account, Effort::Patient)?;
    let ledger = LedgerTable::new(client.clone(), needed(env::LEDGER_TABLE)?);
    let access = AccessTable::new(client, needed(env::ACCESS_TABLE)?);
    let thresholds: Thresholds = var(env::ALERT_THRESHOLDS).unwrap_or_default().parse()?;
    let topic = var(env::ALERT_TOPIC).map(|arn| Topic::new(&account, arn)).transpose()?;
    let home = Arc::new(Home {
        usage: UsageHandler::new(ledger.clone(), access.clone()).with_alerts(thresholds),
        ledger,
        access,
        topic,
    });
    lambda_runtime::run(service_fn(move |event: LambdaEvent<KinesisEvent>| {
        let home = Arc::clone(&home);
        async move {
            let (response, report) = home.usage.handle(&event.payload, Timestamp::now()).await;
            let level = if report.failures.is_empty() { "INFO" } else { "ERROR" };
            write_line(json!({ "level": level, "message": "batch counted", "batch": report }).to_string());
            home.follow_up(&report).await;
            Ok::<_, Error>(response)
        }
    }))
    .await
}

async fn serve_forward() -> Result<(), Error> {
    let region = RegionName::new(needed(env::STREAM_REGION)?);
    let stream = Stream::new(&Account::from_env(var)?, region, needed(env::STREAM)?)?;
    let early = stream.clone();
    tokio::spawn(async move { early.open_early().await });
    lambda_runtime::run(service_fn(move |event: LambdaEvent<LogsEvent>| {
        let stream = stream.clone();
        async move {
            // A failed invocation is repeated by Lambda, and its batch is stored in the end.
            stream.put(&event.payload).await.map_err(|error| {
                let message = error_chain(&error, ": ");
                write_line(json!({ "level": "ERROR", "message": message }).to_string());
                Error::from(message)
            })
        }
    }))
    .await
}

/// What home does besides counting. No failure of it may fail a batch.
struct Home {
    usage: UsageHandler<LedgerTable<Client>, AccessTable<Client>>,
    ledger: LedgerTable<Client>,
    access: AccessTable<Client>,
    topic: Option<Topic>,
}

impl Home {
    async fn follow_up(&self, report: &Report) {
        if let Err(error) = self.usage.note(report, Timestamp::now()).await {
            warn(&error);
        }
        let Some(topic) = &self.topic else { return };
        for alert in &report.alerts {
            // Without the record, the alert names the API key by the beginning of its hash.
            let record = self.access.key(&alert.identity).await.ok().flatten();
            let message = AlertMessage::new(alert, record.as_ref());
            let sent = match topic.send(&message).await {
                Ok(()) => self.ledger.alert_was_sent(alert, Timestamp::now()).await,
                failed => failed,
            };
            if let Err(error) = sent {
                warn(&error);
            }
        }
    }
}

fn warn(error: &(dyn std::error::Error + 'static)) {
    write_line(json!({ "level": "WARN", "message": error_chain(error, ": ") }).to_string());
}
