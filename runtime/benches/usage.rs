//! Counting without the store: gzipped envelopes to totals, compared with gunzip and a JSON parse alone; and a batch through
//! the handler, by number of identities.

#![expect(clippy::print_stdout, reason = "what was measured is the point")]

#[path = "../../cli/benches/support/curve.rs"]
mod curve;
#[path = "../../cli/benches/support/median.rs"]
mod median;

use std::hint::black_box;
use std::io::Read as _;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use curve::{Curve, save};
use flate2::read::MultiGzDecoder;
use ipgeo_contract::{Charge, Identity, Limit, Published, RegionName, UsageEvent, Verdict};
use ipgeo_runtime::store::{Applied, LedgerUpdate, LedgerWrite, MonthTotals, PublishWrite, StoreError};
use ipgeo_runtime::usage::{KinesisEvent, KinesisRecord, LogEvent, Totals, UsageHandler, decode, envelope};
use median::median;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

const RUNS: usize = 15;
const RECORDS: u64 = 200;
const LINES: u64 = 250;
/// Records of the batch with a growing number of identities: a million events.
const GROWN: u64 = 4_000;

/// A store that accepts everything immediately.
#[derive(Clone, Copy)]
struct Nothing;

impl LedgerWrite for Nothing {
    async fn apply(&self, _: &LedgerUpdate) -> Result<Applied, StoreError> {
        Ok(Applied::Added(MonthTotals::default()))
    }
}

impl PublishWrite for Nothing {
    async fn publish(&self, _: &Identity, _: Limit, _: Published) -> Result<Option<Limit>, StoreError> {
        Ok(None)
    }
}

/// A usage line of one of `identities` API keys.
fn line(event: u64, identities: u64) -> String {
    // All identities equally often, spread by a fixed hash, so that runs are comparable.
    let who = (event % identities).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let charge = Charge {
        identity: format!("key#{who:064x}").parse().expect("an identity"),
        limit: "2500000/month".parse().expect("a limit"),
    };
    UsageEvent {
        time: "2026-11-25T10:00:00Z".parse().expect("a time"),
        verdict: Verdict::Allowed,
        cost: 1,
        region: RegionName::new("eu-central-1"),
        request_id: String::new(),
        tier: String::new(),
        charges: vec![charge],
    }
    .to_line()
}

/// A batch of `records` records with `lines` lines each.
fn batch(records: u64, lines: u64, identities: u64) -> KinesisEvent {
    let record = |index: u64| {
        let events = (0..lines).map(|at| LogEvent {
            id: format!("{:056}", index * lines + at),
            timestamp: 1_795_600_800_000,
            message: line(index * lines + at, identities),
        });
        let data = envelope("/aws/lambda/ipgeo-prod-lookup", "2026/11/25/[$LATEST]1", events.collect());
        KinesisRecord::new("shardId-000000000000", &(100 + index).to_string(), &data.expect("packed"))
    };
    KinesisEvent { records: (0..records).map(record).collect() }
}

fn unpacked(record: &KinesisRecord) -> Vec<u8> {
    let packed = STANDARD.decode(&record.kinesis.data).expect("base64");
    let mut bytes = Vec::new();
    MultiGzDecoder::new(packed.as_slice()).read_to_end(&mut bytes).expect("gzip");
    bytes
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Lines {
    log_events: Vec<Message>,
}

#[derive(Deserialize)]
struct Message {
    message: String,
}

/// Gunzip alone.
fn gunzip(event: &KinesisEvent) {
    for record in &event.records {
        black_box(unpacked(record));
    }
}

/// Gunzip and a parse that discards everything: the minimum for any counter.
fn skimmed(event: &KinesisEvent) {
    for record in &event.records {
        let lines: Lines = serde_json::from_slice(&unpacked(record)).expect("an envelope");
        for line in lines.log_events {
            black_box(serde_json::from_str::<IgnoredAny>(&line.message).expect("JSON"));
        }
    }
}

/// Gunzip and a parse into generic values, as in a counter without its own types.
fn parsed(event: &KinesisEvent) {
    for record in &event.records {
        let lines: Value = serde_json::from_slice(&unpacked(record)).expect("an envelope");
        for line in lines["logEvents"].as_array().expect("lines") {
            let text = line["message"].as_str().expect("a line");
            black_box(serde_json::from_str::<Value>(text).expect("JSON"));
        }
    }
}

fn totals(event: &KinesisEvent) {
    black_box(Totals::fold(&decode(event, jiff::Timestamp::MAX).records));
}

type Work = (&'static str, fn(&KinesisEvent));

fn beside() {
    let event = batch(RECORDS, LINES, 500);
    let events = RECORDS * LINES;
    let works: [Work; 4] = [
        ("gunzip", gunzip),
        ("gunzip and skim JSON", skimmed),
        ("gunzip and parse JSON", parsed),
        ("totals", totals),
    ];
    let mut times = works.map(|_| Vec::with_capacity(RUNS));
    // Alternating, so that other load affects all alike.
    for _ in 0..RUNS {
        for ((_, work), times) in works.iter().zip(&mut times) {
            let begun = Instant::now();
            work(&event);
            times.push(begun.elapsed());
        }
    }
    println!("{events} events in {RECORDS} gzipped envelopes, one core; medians of {RUNS} runs in turns");
    let medians = times.map(|mut times| median(&mut times).as_secs_f64());
    for ((name, _), seconds) in works.iter().zip(medians) {
        let rate = f64::from(u32::try_from(events).expect("few")) / seconds / 1e6;
        println!("  {name:<22} {:>6.1} ms  {rate:.2} M events/s", seconds * 1e3);
    }
    println!("  totals run at {:.0} % of gunzip and skim", 100.0 * medians[1] / medians[3]);
    println!("  totals run at {:.0} % of gunzip and parse", 100.0 * medians[2] / medians[3]);
}

fn growth() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    println!("a batch of {} events through the handler, by identities; medians of 5 runs", GROWN * LINES);
    let mut curve = Curve { name: "a million events", points: Vec::new(), spread: Vec::new() };
    for identities in [100, 1_000, 10_000, 100_000, 1_000_000_u32] {
        let event = batch(GROWN, LINES, identities.into());
        let handler = || UsageHandler::new(Nothing, Nothing);
        let mut times: Vec<Duration> = (0..5)
            .map(|_| {
                let handler = handler();
                let begun = Instant::now();
                let (answer, report) = runtime.block_on(handler.handle(&event, jiff::Timestamp::MAX));
                assert!(answer.batch_item_failures.is_empty() && report.added == GROWN * LINES);
                begun.elapsed()
            })
            .collect();
        let seconds = median(&mut times).as_secs_f64();
        println!("  {identities:>8} identities  {:>7.1} ms  {:.2} us an event", seconds * 1e3, seconds);
        curve.points.push((f64::from(identities), seconds * 1e3));
    }
    println!("exponent {:.2}", curve.exponent());
    save("flush", "identities", &[curve]);
}

fn main() {
    beside();
    growth();
}
