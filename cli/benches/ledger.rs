//! Verbs that read whole tables, by the number of API keys and ledger rows: time, processor time and memory of complete
//! processes. A server on loopback answers as DynamoDB does, with rows that it makes up, so that the program alone is measured:
//! it pages, decodes, sums, sorts and prints. A page has 1,000 rows that were read, with those of them that the filter wants.
//!
//! `IPGEO_BENCH_ROWS` is the largest number of rows (default: 1,000,000), and `IPGEO_PROGRAM` names another build of `ipgeo`.
//! Needs GNU `time`.

#![expect(clippy::print_stdout, reason = "what was measured is the point")]

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::http::HeaderMap;
use serde_json::{Value, json};

const PAGE_ROWS: u64 = 1_000;
const CONFIG: &str = "[service]\nname = \"ipgeo\"\nhome = \"eu-central-1\"\n[tiers.anonymous]\nlimit = \"1500/day\"\n\
    [tiers.startup]\nlimit = \"100_000/month\"\n[regions.eu-central-1]\n";

/// The tables: each API key has a row for each of the last months.
#[derive(Debug, Default)]
struct Tables {
    keys: AtomicU64,
    months: AtomicU64,
    /// Whether API keys are hidden, so that all are new to an import.
    is_new: AtomicU64,
}

/// The month `back` months ago.
fn month(back: u64) -> String {
    let today = jiff::tz::TimeZone::UTC.to_datetime(jiff::Timestamp::now()).date();
    let back = i64::try_from(back).expect("few");
    today.first_of_month().saturating_sub(jiff::Span::new().months(back)).strftime("%Y-%m").to_string()
}

/// A row of the ledger: four days, two regions, two verdicts.
fn add_row(text: &mut String, key: &str, month: &str) {
    let comma = if text.is_empty() { "" } else { "," };
    let _infallible = write!(
        text,
        "{comma}{{\"id\":{{\"S\":\"{key}\"}},\"month\":{{\"S\":\"{month}\"}},\"n\":{{\"N\":\"410\"}},\
         \"d#01\":{{\"N\":\"100\"}},\"d#07\":{{\"N\":\"101\"}},\"d#13\":{{\"N\":\"102\"}},\"d#21\":{{\"N\":\"107\"}},\
         \"r#eu-central-1\":{{\"N\":\"400\"}},\"r#us-east-1\":{{\"N\":\"10\"}},\
         \"v#allowed\":{{\"N\":\"410\"}},\"v#over_quota\":{{\"N\":\"3\"}},\
         \"w#shardId-000000000000\":{{\"S\":\"0000000049590338271490256608559692538361571095921575989136588898\"}}}}"
    );
}

fn key(number: u64) -> String {
    format!("key#{number:064x}")
}

/// A record of an API key.
fn add_record(text: &mut String, number: u64) {
    let comma = if text.is_empty() { "" } else { "," };
    let _infallible = write!(
        text,
        "{comma}{{\"id\":{{\"S\":\"{}\"}},\"owner\":{{\"S\":\"customer {number}\"}},\"tier\":{{\"S\":\"startup\"}},\
         \"limit\":{{\"N\":\"100000\"}},\"window\":{{\"S\":\"month\"}},\"status\":{{\"S\":\"active\"}},\
         \"hint\":{{\"S\":\"ipg_…{:04}\"}},\"created\":{{\"N\":\"1767225600000\"}}}}",
        key(number),
        number % 10_000
    );
}

/// A page of a scan from `start` on, of `all` rows.
fn page(start: u64, all: u64, mut add: impl FnMut(&mut String, u64)) -> String {
    let (mut items, end) = (String::new(), all.min(start + PAGE_ROWS));
    for number in start..end {
        add(&mut items, number);
    }
    let next = if end < all {
        format!(",\"LastEvaluatedKey\":{{\"id\":{{\"S\":\"{end}\"}}}}")
    } else {
        String::new()
    };
    format!("{{\"Items\":[{items}]{next}}}")
}

impl Tables {
    fn answer(&self, operation: &str, request: &Value) -> String {
        let (keys, months) = (self.keys.load(Ordering::Relaxed), self.months.load(Ordering::Relaxed));
        let start = request["ExclusiveStartKey"]["id"]["S"].as_str().and_then(|text| text.parse().ok());
        let start = start.unwrap_or(0);
        let is_ledger = |table: &str| table.ends_with("ledger");
        match operation {
            "Scan" if is_ledger(request["TableName"].as_str().expect("a name")) => {
                let value = |name: &str| request["ExpressionAttributeValues"][name]["S"].as_str();
                // Before, a scan was of one month.
                let first = value(":first").or(value(":month")).unwrap_or("0000");
                let last = value(":last").or(value(":month")).unwrap_or("9999");
                let names: Vec<String> = (0..months).map(month).collect();
                page(start, keys * months, |items, row| {
                    let month = &names[usize::try_from(row % months).expect("few")];
                    if (first..=last).contains(&month.as_str()) {
                        add_row(items, &key(row / months), month);
                    }
                })
            }
            "Scan" if self.is_new.load(Ordering::Relaxed) > 0 => page(0, 0, add_record),
            "Scan" => page(start, keys, add_record),
            "BatchGetItem" => {
                let (table, wanted) =
                    request["RequestItems"].as_object().expect("tables").iter().next().expect("one");
                let mut items = String::new();
                for wanted in wanted["Keys"].as_array().expect("keys") {
                    let text = |name: &str| wanted[name]["S"].as_str().expect("a text");
                    add_row(&mut items, text("id"), text("month"));
                }
                format!("{{\"Responses\":{{\"{table}\":[{items}]}},\"UnprocessedKeys\":{{}}}}")
            }
            "Query" => json!({ "Items": [] }).to_string(),
            _ => "{}".to_owned(),
        }
    }
}

/// Serves the tables; returns the URL.
fn serve(tables: Arc<Tables>) -> String {
    let (told, port) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
            told.send(listener.local_addr().expect("an address")).expect("sent");
            let answer = move |head: HeaderMap, body: axum::body::Bytes| async move {
                let target = head["x-amz-target"].to_str().expect("text").to_owned();
                let request = serde_json::from_slice(&body).expect("JSON");
                tables.answer(target.split('.').next_back().expect("a name"), &request)
            };
            axum::serve(listener, Router::new().fallback(answer)).await.expect("it serves");
        });
    });
    format!("http://{}", port.recv().expect("a port"))
}

/// A state folder in which `ipgeo` finds the tables as those of a running `ipgeo dev`; the file is its lock.
fn found_by_verbs(state: &Path, url: &str) -> File {
    let mut lock = File::create(state.join("world.lock")).expect("a file");
    lock.lock().expect("locked");
    lock.write_all(json!({ "pid": std::process::id(), "nonce": "bench" }).to_string().as_bytes())
        .expect("written");
    let world = json!({
        "schema": 1, "pid": std::process::id(), "nonce": "bench", "nearest": url, "home": "eu-central-1",
        "access_table": "ipgeo-access", "ledger_table": "ipgeo-ledger", "stream": state.join("stream"),
        "key": { "access": "bench", "secret": "bench" },
        "regions": [{ "region": "eu-central-1", "url": url, "dynamodb": url }],
    });
    std::fs::write(state.join("world.json"), world.to_string()).expect("written");
    lock
}

/// Runs a verb and prints its figures as cells of a table.
fn measure(folder: &Path, verb: &str) {
    let program = std::env::var_os("IPGEO_PROGRAM").unwrap_or(env!("CARGO_BIN_EXE_ipgeo").into());
    let output = Command::new("/usr/bin/time")
        .args(["-f", "%e %U %S %M"])
        .arg(program)
        .args(["--config", "regions.toml", "--state", "."])
        .args(verb.split(' '))
        .arg("--dev")
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(File::create(folder.join("output")).expect("a file"))
        .output()
        .expect("GNU time");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{verb}: {said}");
    let figures: Vec<f64> = said
        .lines()
        .last()
        .expect("a line")
        .split(' ')
        .map(|figure| figure.parse().expect("a number"))
        .collect();
    let bytes = std::fs::metadata(folder.join("output")).expect("a file").len();
    println!(
        "| `{verb}` | {:.1} | {:.1} | {:.0} | {bytes} |",
        figures[0],
        figures[1] + figures[2],
        figures[3] / 1_024.0
    );
}

/// A file of API keys to import.
fn write_import(path: &Path, keys: u64) {
    let mut text = "owner,tier,hash\n".to_owned();
    for number in 0..keys {
        let _infallible = writeln!(text, "customer {number},startup,{number:064x}");
    }
    std::fs::write(path, text).expect("written");
}

fn main() {
    let most = std::env::var("IPGEO_BENCH_ROWS").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let only = std::env::var("IPGEO_BENCH_VERBS").unwrap_or_default();
    let tables = Arc::new(Tables::default());
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let _lock = found_by_verbs(folder, &serve(Arc::clone(&tables)));
    std::fs::write(folder.join("regions.toml"), CONFIG).expect("written");
    for (keys, months) in [(1_000, 10), (10_000, 10), (100_000, 10), (100_000, 100)] {
        if keys * months > most {
            break;
        }
        tables.keys.store(keys, Ordering::Relaxed);
        tables.months.store(months, Ordering::Relaxed);
        println!("\n{keys} API keys, {} ledger rows\n", keys * months);
        println!("| verb | s | processor s | MiB | bytes printed |\n| --- | ---: | ---: | ---: | ---: |");
        write_import(&folder.join("keys.csv"), keys);
        for verb in [
            "usage report",
            "usage report -o json",
            "usage report -o csv",
            "usage report --by key --since 36500d",
            "usage report --html page.html",
            "usage export",
            "usage export -o json",
            "keys list",
            "keys list --sort used --limit 50",
            "keys export",
            "keys import keys.csv",
        ] {
            tables.is_new.store(u64::from(verb.starts_with("keys import")), Ordering::Relaxed);
            if only.is_empty() || only.split(',').any(|only| only == verb) {
                measure(folder, verb);
            }
        }
    }
}
