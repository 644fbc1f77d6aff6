//! The program as its operator runs it, against an emulator of AWS: ten regions from nothing to nothing, through
//! API Gateway and the function that Lambda would run.

use std::collections::BTreeSet;
use std::io::Write as _;

use base64::Engine as _;
use ipgeo_contract::{ApiKey, Identity, UsageEvent};
use serde_json::{Value, json};

use crate::service::{ACCOUNT, HOME, NAME, Service, Wish, until};
use crate::stage::{Stage, TEN, answers, kept, memory, summary, whole};

/// Usage lines that the functions of these regions have written.
fn usage_lines(service: &Service, regions: &[&str]) -> Vec<String> {
    let mut lines = Vec::new();
    for region in regions {
        let body = json!({ "logGroupName": format!("/aws/lambda/{NAME}-lookup") });
        let answer =
            service.raw.json(region, "logs", "Logs_20140328.FilterLogEvents", &body).expect("events");
        let events = answer["events"].as_array().cloned().unwrap_or_default();
        let text = events.iter().filter_map(|event| event["message"].as_str()).flat_map(str::lines);
        lines.extend(text.filter(|line| line.starts_with("{\"ipgeo\":1")).map(str::to_owned));
    }
    lines
}

/// Puts lines on the usage stream, as CloudWatch Logs does: one gzipped envelope.
fn put_on_stream(service: &Service, lines: &[String]) {
    let events: Vec<Value> = lines
        .iter()
        .enumerate()
        .map(|(index, line)| json!({ "id": index.to_string(), "timestamp": 0, "message": line }))
        .collect();
    let envelope = json!({
        "messageType": "DATA_MESSAGE", "owner": ACCOUNT, "logGroup": "lookup", "logStream": "1",
        "subscriptionFilters": ["usage"], "logEvents": events,
    });
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(envelope.to_string().as_bytes()).expect("written");
    let data = base64::engine::general_purpose::STANDARD.encode(gzip.finish().expect("a member"));
    let body = json!({ "StreamName": format!("{NAME}-usage"), "PartitionKey": "1", "Data": data });
    service.raw.json(HOME, "kinesis", "Kinesis_20131202.PutRecord", &body).expect("put");
}

/// Every change of a resource that a plan has: `region logical-name`.
fn changes(plan: &Value) -> Vec<String> {
    let waves = plan["plan"]["waves"].as_array().expect("waves");
    let steps = waves.iter().flat_map(|wave| wave["steps"].as_array().expect("steps"));
    let mut found = Vec::new();
    for step in steps {
        let region = step["region"].as_str().unwrap_or_default();
        let changes = step["changes"].as_array().into_iter().flatten();
        found.extend(
            changes.map(|change| format!("{region} {}", change["name"].as_str().unwrap_or_default())),
        );
    }
    found
}

#[test]
fn ten_regions_from_nothing_to_nothing() {
    let Some(stage) = Stage::set() else { return };
    let service = &stage.service;
    let mut wish = Wish { regions: TEN.to_vec(), memory_mb: 256, domain: false };
    service.wish(&wish);
    assert_eq!(service.census(&TEN), BTreeSet::new());
    assert!(!service.plan().1);
    assert_eq!(service.census(&TEN), BTreeSet::new(), "a plan changes nothing");
    service.deploy();
    service.settles(&TEN, &whole(&TEN));
    assert_eq!(memory(service, &TEN), [256; 10]);
    let key = service
        .exits(0, &["keys", "create", "--owner", "acme", "--tier", "startup"])
        .stdout
        .trim()
        .to_owned();
    for region in TEN {
        answers(service, region, None).expect("an answer");
        until("the API key is known", || answers(service, region, Some(&key)));
        assert_eq!(service.get(region, "/8.8.8.8", Some("ipg_unknown")).status, 401);
    }
    usage_is_counted(service, &key);

    let (plan, empty) = service.plan();
    assert!(empty, "{plan:#}");
    assert!(service.deploy().stdout.contains("Nothing to do"));

    wish.memory_mb = 512;
    service.wish(&wish);
    let (plan, _) = service.plan();
    assert_eq!(summary(&plan), [0, 10, 0, 0]);
    let functions: BTreeSet<String> = TEN.iter().map(|region| format!("{region} LookupFunction")).collect();
    assert_eq!(changes(&plan).into_iter().collect::<BTreeSet<_>>(), functions);
    service.deploy();
    assert_eq!(memory(service, &TEN), [512; 10]);
    service.settles(&TEN, &whole(&TEN));

    wish.regions.retain(|region| *region != "sa-east-1");
    service.wish(&wish);
    service.deploy();
    service.settles(&TEN, &whole(&wish.regions));
    assert!(service.plan().1);

    data_is_retained(service, &wish);
}

/// What every edge has written about an API key reaches the report, once.
fn usage_is_counted(service: &Service, key: &str) {
    let mark = UsageEvent::mark(&Identity::key(&key.parse::<ApiKey>().expect("an API key").hash()));
    let keyed = |lines: &[String]| lines.iter().filter(|line| line.contains(&mark)).count();
    let lines = until("a line for every call", || {
        let lines = usage_lines(service, &TEN);
        let keyed = keyed(&lines);
        if keyed >= TEN.len() { Ok(lines) } else { Err(format!("{keyed} lines")) }
    });
    let calls = keyed(&lines) as u64;
    // Logs may deliver twice: the second envelope is the first once more.
    put_on_stream(service, &lines);
    put_on_stream(service, &lines);
    let report = |part: &str| {
        let ran = service.exits(0, &["usage", "report", "--json", "--by", part, "--kind", "key"]);
        serde_json::from_str::<Value>(&ran.stdout).expect("JSON").as_array().cloned().expect("rows")
    };
    until("the usage is counted", || {
        let rows = report("key");
        let row = rows.iter().find(|row| row["owner"] == "acme").ok_or("no row")?;
        if row["calls"] == calls { Ok(()) } else { Err(format!("{row}, not {calls}")) }
    });
    let regions: BTreeSet<String> =
        report("region").iter().filter_map(|row| row["part"].as_str()).map(str::to_owned).collect();
    assert_eq!(regions, TEN.iter().map(|region| (*region).to_owned()).collect());
    // The stream counted again changes nothing, however often.
    let counts = || service.exits(0, &["usage", "export"]).stdout;
    let before = counts();
    for _ in 0..2 {
        service.exits(0, &["usage", "replay", "--from", "1h"]);
        assert_eq!(counts(), before);
    }
    let answer = service.get(HOME, "/8.8.8.8", Some(key));
    assert_eq!(answer.json["count"], json!((calls + 1).to_string()), "the edge knows what was counted");
}

/// Without `--delete-data` the data stays.
fn data_is_retained(service: &Service, wish: &Wish) {
    let wrong = service.exits(2, &["destroy", "--confirm", "another", "--no-input"]);
    assert!(wrong.stderr.contains(NAME), "{}", wrong.stderr);
    assert_eq!(service.census(&TEN), whole(&wish.regions));
    service.exits(0, &["destroy", "--confirm", NAME, "--no-input"]);
    service.settles(&TEN, &kept(&wish.regions));
}
