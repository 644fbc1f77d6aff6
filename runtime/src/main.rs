//! `bootstrap`: the program that Lambda starts. `IPGEO_HANDLER` selects the handler: `lookup` at the edges, `usage` at home,
//! `forward` at edges whose log pipe is a forwarder.

use std::hint::black_box;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use ipgeo_contract::{EarlyReport, RELEASE_MARK, RegionName, Thresholds, env, error_chain};
use ipgeo_geo::Database;
use ipgeo_runtime::forward::LogsEvent;
use ipgeo_runtime::lookup::{Lookup, Settings, UsageSink};
use ipgeo_runtime::store::AccessRead as _;
use ipgeo_runtime::tables::{AccessTable, Effort, LedgerTable};
use ipgeo_runtime::usage::{AlertMessage, BatchResponse, KinesisEvent, Report, UsageHandler};
use ipgeo_runtime::wire::{Account, Client, Function, Stream, Topic};
use jiff::Timestamp;
use lambda_runtime::tower::ServiceExt;
use lambda_runtime::tower::layer::layer_fn;
use lambda_runtime::{Error, LambdaEvent, Runtime, service_fn};
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

type EdgeLookup = Lookup<AccessTable<Client>, Database, Stdout>;

async fn serve_lookup() -> Result<(), Error> {
    let (settings, database) = Settings::from_env(var)?;
    let account = Account::from_env(var)?;
    let client = Client::new(&account, Effort::Quick)?;
    // The connection to the store is opened while the database is opened and the first event arrives.
    let early = client.clone();
    tokio::spawn(async move { early.open_early().await });
    let access = AccessTable::new(client, needed(env::ACCESS_TABLE)?);
    let lookup = Lookup::new(access, Database::open(&database)?, Stdout, settings);
    let home = home_function(&account)?;
    let lookup = Arc::new(match home {
        Some(_) => lookup.reporting_as(format!("{:016x}", fastrand::u64(..))),
        None => lookup,
    });
    let answering = Arc::clone(&lookup);
    // The event is taken as text, so that even a malformed one gets an HTTP answer.
    let runtime = Runtime::new(service_fn(move |event: LambdaEvent<Box<RawValue>>| {
        let lookup = Arc::clone(&answering);
        async move {
            let answer = lookup.handle_json(event.payload.get().as_bytes(), Timestamp::now()).await;
            Ok::<_, Error>(answer)
        }
    }));
    let Some(home) = home else { return runtime.run().await };
    // A layer's future ends after the answer is posted and before the next event is requested, so no caller waits for it.
    // An internal extension would cost time at a cold start. Waiting for home's answer would occupy the environment, so that
    // Lambda starts more. If Lambda freezes the environment before the report is sent, it is sent after the next call.
    let reporting = layer_fn(move |service| {
        let (lookup, home) = (Arc::clone(&lookup), home.clone());
        ServiceExt::<lambda_runtime::LambdaInvocation>::then(service, move |posted| async move {
            report_early(&lookup, &home).await;
            posted
        })
    });
    runtime.layer(reporting).run().await
}

/// Home's counter, which early counts are reported to; `None` if it is not configured.
fn home_function(account: &Account) -> Result<Option<Function>, Error> {
    let Some(name) = var(env::HOME_FUNCTION) else { return Ok(None) };
    let region = RegionName::new(needed(env::HOME_REGION)?);
    Ok(Some(Function::new(account, region, &name, &needed(env::HOME_ALIAS)?)?))
}

/// Time for a report to leave this environment. Its response from another continent takes longer: it is read while the next
/// event is awaited or answered. If Lambda freezes the environment meanwhile, it is read afterwards.
const REPORT_LEAVES_WITHIN: Duration = Duration::from_millis(5);

/// Reports what is due to home.
async fn report_early(lookup: &Arc<EdgeLookup>, home: &Function) {
    let Some(report) = lookup.early_report(Timestamp::now()) else { return };
    let (lookup, home) = (Arc::clone(lookup), home.clone());
    let sending = tokio::spawn(async move {
        if let Err(error) = home.report(&report).await {
            lookup.report_failed(&report);
            warn(&error);
        }
    });
    let _sent_or_sending = tokio::time::timeout(REPORT_LEAVES_WITHIN, sending).await;
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
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Box<RawValue>>| {
        let home = Arc::clone(&home);
        async move {
            let event = event.payload.get();
            if EarlyReport::is_one(event) {
                home.count_early(event).await;
                return Ok(None);
            }
            let event: KinesisEvent = serde_json::from_str(event)?;
            let (mut response, report) = home.usage.handle(&event, Timestamp::now()).await;
            let level = if report.failures.is_empty() { "INFO" } else { "ERROR" };
            write_line(json!({ "level": level, "message": "batch counted", "batch": report }).to_string());
            home.follow_up(&event, &report, &mut response).await;
            Ok::<_, Error>(Some(response))
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

/// What home does besides counting.
struct Home {
    usage: UsageHandler<LedgerTable<Client>, AccessTable<Client>>,
    ledger: LedgerTable<Client>,
    access: AccessTable<Client>,
    topic: Option<Topic>,
}

impl Home {
    /// Adds a report of early counts. No failure is repeated: the ledger counts the calls too. Successes are not logged, because
    /// the log would cost more than the writes.
    async fn count_early(&self, event: &str) {
        match EarlyReport::from_json(event.as_bytes()) {
            Ok(report) => {
                let outcome = self.usage.count_early(&report, Timestamp::now()).await;
                if !outcome.failures.is_empty() || outcome.ignored > 0 {
                    let line = json!({ "level": "WARN", "message": "early counts", "report": outcome });
                    write_line(line.to_string());
                }
            }
            Err(error) => warn(&error),
        }
    }

    /// Saves the progress of a batch and sends its alerts. No failure to send one may fail the batch.
    async fn follow_up(&self, event: &KinesisEvent, report: &Report, response: &mut BatchResponse) {
        if let Err(error) = self.usage.note_or_redeliver(event, report, Timestamp::now(), response).await {
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
