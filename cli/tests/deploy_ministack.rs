//! The program as its operator runs it, against an emulator of AWS: ten regions from nothing to nothing, through
//! API Gateway and the function that Lambda would run.

#[path = "support/ministack.rs"]
mod ministack;
#[path = "support/python.rs"]
mod python;
#[path = "support/raw.rs"]
mod raw;
#[path = "support/replicas.rs"]
mod replicas;
#[path = "support/service.rs"]
mod service;

use std::collections::BTreeSet;
use std::io::Write as _;

use base64::Engine as _;
use ipgeo_contract::{ApiKey, Identity, UsageEvent};
use serde_json::{Value, json};

use ministack::Ministack;
use python::Venv;
use replicas::Replicas;
use service::{ACCOUNT, HOME, NAME, Service, Wish, until};

const TEN: [&str; 10] = [
    "us-east-1",
    "us-west-2",
    "sa-east-1",
    "eu-west-1",
    "eu-central-1",
    "af-south-1",
    "ap-south-1",
    "ap-southeast-1",
    "ap-northeast-1",
    "ap-southeast-2",
];

/// An emulator with a service on it, and what the emulator leaves out.
struct Stage {
    service: Service,
    _replicas: Replicas,
    // The last to go: the others speak to it.
    _ministack: Ministack,
}

impl Stage {
    fn set() -> Option<Self> {
        let venv = Venv::with("ministack", &ministack::PACKAGES)?;
        let ministack = Ministack::start(&venv);
        let service = Service::on(&ministack, &ministack.endpoint());
        let regions = TEN.map(str::to_owned);
        let replicas = Replicas::keep(&service.raw, NAME, HOME, &regions);
        Some(Self { service, _replicas: replicas, _ministack: ministack })
    }
}

/// What is there of a service in these regions, without a domain.
fn whole(regions: &[&str]) -> BTreeSet<String> {
    let mut there: BTreeSet<String> = kept(regions);
    there.insert(format!("{HOME} stack {NAME}-home"));
    for what in ["usage-behind", "usage-errors", "usage-failures"] {
        there.insert(format!("{HOME} alarm {NAME}-{what}"));
    }
    there.insert(format!("{HOME} function {NAME}-usage"));
    there.insert(format!("{HOME} log group /aws/lambda/{NAME}-usage"));
    there.insert(format!("{HOME} mapping arn:aws:lambda:{HOME}:{ACCOUNT}:function:{NAME}-usage:live"));
    for role in ["log-pipe", "usage"] {
        there.insert(format!("- role {NAME}-{role}"));
    }
    for region in regions {
        there.insert(format!("- bucket {NAME}-{ACCOUNT}-{region}"));
        there.insert(format!("- role {NAME}-lookup-{region}"));
        there.insert(format!("{region} api {NAME}"));
        there.insert(format!("{region} function {NAME}-lookup"));
        there.insert(format!("{region} layer {NAME}-geo"));
        there.insert(format!("{region} log group /aws/lambda/{NAME}-lookup"));
        for kind in ["artifacts", "edge"] {
            there.insert(format!("{region} stack {NAME}-{kind}"));
        }
    }
    there
}

/// What a service leaves when its data is kept.
fn kept(regions: &[&str]) -> BTreeSet<String> {
    let mut there: BTreeSet<String> =
        regions.iter().map(|region| format!("{region} table {NAME}-access")).collect();
    there.insert(format!("{HOME} table {NAME}-ledger"));
    there.insert(format!("{HOME} stream {NAME}-usage"));
    there.insert(format!("- bucket {NAME}-failures-{ACCOUNT}"));
    there
}

/// The memory of every lookup function, by region.
fn memory(service: &Service, regions: &[&str]) -> Vec<u64> {
    let path = format!("/2015-03-31/functions/{NAME}-lookup/configuration");
    let ask = |region: &&str| {
        let answer = service.raw.rest(region, "lambda", "GET", &path, "").expect("a function");
        serde_json::from_str::<Value>(&answer).expect("JSON")["MemorySize"].as_u64().unwrap_or_default()
    };
    regions.iter().map(ask).collect()
}

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

/// The country that an edge tells of an address, and the region that answered.
fn answers(service: &Service, region: &str, api_key: Option<&str>) -> Result<(), String> {
    let answer = service.get(region, "/8.8.8.8", api_key);
    if answer.status != 200 || answer.json["country_code"] != "US" {
        return Err(format!("{region}: {} {}", answer.status, answer.json));
    }
    let health = service.get(region, "/health/", None);
    if health.json["region"] == region { Ok(()) } else { Err(format!("{region}: {}", health.json)) }
}

/// `add change replace remove` of a plan.
fn summary(plan: &Value) -> Vec<u64> {
    let number = |name: &str| plan["summary"][name].as_u64().expect("a number");
    ["add", "change", "replace", "remove"].map(number).to_vec()
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

const THREE: [&str; 3] = [HOME, "us-east-1", "ap-south-1"];

/// The public zone `example.com`, with records of somebody else: beside the domain's, and under its name.
fn make_zone(service: &Service) -> String {
    let namespace = "xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"";
    let zone = format!(
        "<CreateHostedZoneRequest {namespace}><Name>example.com</Name><CallerReference>1</CallerReference>\
         </CreateHostedZoneRequest>"
    );
    let made =
        service.raw.rest("us-east-1", "route53", "POST", "/2013-04-01/hostedzone", &zone).expect("a zone");
    let id = made
        .split("/hostedzone/")
        .nth(1)
        .and_then(|rest| rest.split('<').next())
        .expect("its name")
        .to_owned();
    let record = |name: &str, kind: &str, value: &str| {
        format!(
            "<Change><Action>CREATE</Action><ResourceRecordSet><Name>{name}</Name><Type>{kind}</Type><TTL>60</TTL>\
             <ResourceRecords><ResourceRecord><Value>{value}</Value></ResourceRecord></ResourceRecords>\
             </ResourceRecordSet></Change>"
        )
    };
    let changes = format!(
        "<ChangeResourceRecordSetsRequest {namespace}><ChangeBatch><Changes>{}{}</Changes></ChangeBatch>\
         </ChangeResourceRecordSetsRequest>",
        record("www.example.com", "A", "192.0.2.1"),
        record("api.example.com", "MX", "10 mail.example.com"),
    );
    let path = format!("/2013-04-01/hostedzone/{id}/rrset");
    service.raw.rest("us-east-1", "route53", "POST", &path, &changes).expect("records");
    id
}

/// The zone's records beside its own two: `name type region`.
fn records(service: &Service, zone: &str) -> BTreeSet<String> {
    let path = format!("/2013-04-01/hostedzone/{zone}/rrset");
    let answer = service.raw.rest("us-east-1", "route53", "GET", &path, "").expect("records");
    let one = |set: &str, element: &str| raw::texts(set, element).pop().unwrap_or_default();
    raw::texts(&answer, "ResourceRecordSet")
        .iter()
        .map(|set| {
            format!("{} {} {}", one(set, "Name").trim_end_matches('.'), one(set, "Type"), one(set, "Region"))
        })
        .filter(|record| !record.starts_with("example.com "))
        .collect()
}

/// The records that there should be, with these regions attached and perhaps a note of drained ones.
fn expected_records(regions: &[&str], drained: bool) -> BTreeSet<String> {
    let mut records = BTreeSet::from(["www.example.com A ".to_owned(), "api.example.com MX ".to_owned()]);
    for region in regions {
        records.extend(["A", "AAAA"].map(|kind| format!("api.example.com {kind} {region}")));
    }
    if drained {
        records.insert("_ipgeo-drained.api.example.com TXT ".to_owned());
    }
    records
}

#[test]
fn a_domain_has_its_records_and_nobody_elses_are_touched() {
    let Some(venv) = Venv::with("ministack", &ministack::PACKAGES) else { return };
    let ministack = Ministack::start(&venv);
    let service = Service::on(&ministack, &ministack.endpoint());
    let _replicas = Replicas::keep(&service.raw, NAME, HOME, &THREE.map(str::to_owned));
    service.wish(&Wish { regions: THREE.to_vec(), memory_mb: 256, domain: true });
    let answer = service.exits(1, &service.deploy_arguments()).stderr;
    assert!(
        answer.contains("no public Route 53 zone `example.com`") && answer.contains("nothing was changed"),
        "{answer}"
    );
    assert_eq!(service.census(&THREE), BTreeSet::new());

    let zone = make_zone(&service);
    service.deploy();
    assert_eq!(records(&service, &zone), expected_records(&THREE, false));
    let quietly = ["--yes", "--no-input", "--progress", "none"];
    let traffic = |code: i32, verb: &str, region: &str| {
        service.exits(code, &[&["traffic", verb, region][..], &quietly].concat()).stderr
    };
    traffic(0, "drain", "us-east-1");
    assert_eq!(records(&service, &zone), expected_records(&[HOME, "ap-south-1"], true));
    assert!(service.plan().1, "a drained region stays drained");
    traffic(0, "drain", "ap-south-1");
    let refused = traffic(1, "drain", HOME);
    assert!(refused.contains("is the last attached region that answers"), "{refused}");
    assert_eq!(records(&service, &zone), expected_records(&[HOME], true));
    traffic(0, "attach", "us-east-1");
    traffic(0, "attach", "ap-south-1");
    assert_eq!(records(&service, &zone), expected_records(&THREE, false));
    assert!(traffic(0, "attach", "ap-south-1").contains("is already attached"));

    service.exits(0, &["destroy", "--confirm", NAME, "--delete-data", "--no-input"]);
    assert_eq!(records(&service, &zone), expected_records(&[], false));
    service.settles(&THREE, &BTreeSet::new());
}

/// The version that every edge serves, as `ipgeo status` shows it.
fn versions(service: &Service, regions: &[&str]) -> Vec<Value> {
    let ran = service.exits(0, &["status", "--json"]);
    let rows: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let row = |region: &&str| rows.as_array().expect("rows").iter().find(|row| row["region"] == *region);
    regions.iter().map(|region| row(region).expect("a row")["version"].clone()).collect()
}

#[test]
fn a_failed_canary_is_rolled_back_and_a_rollback_moves_aliases() {
    let Some(stage) = Stage::set() else { return };
    let service = &stage.service;
    let mut wish = Wish { regions: THREE.to_vec(), memory_mb: 256, domain: false };
    service.wish(&wish);
    service.deploy();
    assert_eq!(versions(service, &THREE), [1, 1, 1]);

    // The canary's function can't start: it is returned, and nobody else is touched.
    // The function can't start with a database that does not exist.
    service.edit("ipgeo.mmdb", "missing.mmdb");
    let failed = service.exits(5, &service.deploy_arguments()).stderr;
    assert!(failed.contains("rolled back: us-east-1 serves version 1 again"), "{failed}");
    assert_eq!(versions(service, &THREE), [1, 1, 1]);
    until("the version before answers", || answers(service, "us-east-1", None));
    let kept = service.exits(5, &[&service.deploy_arguments()[..], &["--no-rollback"]].concat()).stderr;
    assert!(!kept.contains("rolled back"), "{kept}");
    let ran = service.run(&["status"]);
    assert_eq!(ran.status.code(), Some(4), "{}", ran.stdout);
    service.exits(0, &["rollback", "--yes", "--no-input", "--regions", "us-east-1"]);
    assert_eq!(versions(service, &THREE), [1, 1, 1]);

    // Repaired, and changed.
    wish.memory_mb = 512;
    service.wish(&wish);
    service.deploy();
    assert!(service.plan().1);
    assert_eq!(versions(service, &THREE), [2, 3, 2], "us-east-1 has published once more");
    service.exits(0, &["rollback", "--yes", "--no-input"]);
    assert_eq!(versions(service, &THREE), [1, 1, 1]);
    assert!(service.exits(0, &["rollback"]).stderr.contains("already serves"), "twice is once");
    for region in THREE {
        answers(service, region, None).expect("an answer");
    }
    let status = service.exits(0, &["status"]).stdout;
    assert_eq!(status.matches("1 (rolled back)").count(), 3, "{status}");
    // Forward again.
    let (plan, empty) = service.plan();
    assert!(!empty && summary(&plan) == [0, 3, 0, 0], "{plan:#}");
    service.deploy();
    assert_eq!(versions(service, &THREE), [2, 3, 2]);
    let wrong = service.exits(1, &["rollback", "--yes", "--to", "9"]).stderr;
    assert!(wrong.contains("there is no version 9"), "{wrong}");
    a_plan_in_a_file_runs_as_it_was_shown(service, &mut wish);
    a_lock_is_seen_before_anybody_is_asked(service, &mut wish);
}

fn a_plan_in_a_file_runs_as_it_was_shown(service: &Service, wish: &mut Wish) {
    let path = service.path("first.plan");
    let deploy = |code: i32, file: &str| {
        let ran = service.exits(code, &[&service.deploy_arguments()[..], &[file]].concat());
        (ran.stdout, ran.stderr)
    };
    let plan = |memory_mb: u32, wish: &mut Wish, file: &str| {
        wish.memory_mb = memory_mb;
        service.wish(wish);
        let artifact = service.deploy_arguments();
        let artifact = &artifact[artifact.len() - 2..];
        service.exits(0, &[&["plan", "--out", file][..], artifact].concat())
    };
    let planned = plan(300, wish, &path);
    assert!(
        planned.stderr.contains(&format!("run this plan with: ipgeo deploy {path}")),
        "{}",
        planned.stderr
    );
    assert_eq!(memory(service, &THREE), [512; 3], "a plan changes nothing");
    assert!(deploy(0, &path).1.contains("done: "));
    assert_eq!(memory(service, &THREE), [300; 3]);
    assert!(deploy(0, &path).0.contains("Nothing to do"), "twice is once");

    // Somebody else deploys something between the plan and its deploy.
    let stale = service.path("stale.plan");
    plan(310, wish, &stale);
    wish.memory_mb = 320;
    service.wish(wish);
    assert!(deploy(1, &stale).1.contains("is not run: regions.toml has changed since it was made"));
    service.deploy();
    wish.memory_mb = 310;
    service.wish(wish);
    let refused = deploy(1, &stale).1;
    let why = format!("{stale} is not run: what is deployed has changed since it was made");
    assert!(refused.contains(&why) && refused.contains("nothing was changed"), "{refused}");
    assert!(refused.contains(&format!("help: create a new plan: ipgeo plan --out {stale}")), "{refused}");
    assert_eq!(memory(service, &THREE), [320; 3]);

    // Damaged: another number, half a file, no plan at all.
    plan(310, wish, &stale);
    let text = std::fs::read_to_string(&stale).expect("a file");
    let edited = text.replace("310", "999");
    assert_ne!(edited, text);
    let table = [
        (edited.as_str(), "it was edited or damaged: its SHA-256 does not match"),
        (&text[..text.len() / 2], "it is not a plan of `ipgeo plan --out`"),
        ("", "it is not a plan of `ipgeo plan --out`"),
    ];
    for (damaged, why) in table {
        std::fs::write(&stale, damaged).expect("a file");
        let refused = deploy(1, &stale).1;
        assert!(refused.contains(&format!("is not run: {why}")), "{refused}");
    }
    assert_eq!(memory(service, &THREE), [320; 3]);
    std::fs::write(&stale, text).expect("a file");
    deploy(0, &stale);
    assert_eq!(memory(service, &THREE), [310; 3]);
}

fn a_lock_is_seen_before_anybody_is_asked(service: &Service, wish: &mut Wish) {
    let item = |minutes: i64| {
        let time = |at: jiff::Timestamp| json!({ "S": at.to_string() });
        let now = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second()).expect("a time");
        json!({
            "TableName": format!("{NAME}-access"),
            "Item": {
                "id": { "S": "lock" }, "token": { "S": "1f" }, "owner": { "S": "anna@laptop" },
                "operation": { "S": "deploy" }, "since": time(now),
                "until": time(now + jiff::SignedDuration::from_mins(minutes)),
            },
        })
    };
    let put = |minutes: i64| {
        service.raw.json(HOME, "dynamodb", "DynamoDB_20120810.PutItem", &item(minutes)).expect("stored");
    };
    wish.memory_mb = 330;
    service.wish(wish);
    put(15);
    let artifact = service.deploy_arguments();
    let artifact = &artifact[artifact.len() - 2..];
    // Without --yes there is nobody to ask; the lock is reported before that.
    let refused = service.exits(1, &[&["deploy", "--json"][..], artifact].concat());
    let says = "anna@laptop is changing this service: ipgeo deploy, since ";
    assert!(refused.stderr.contains(says) && refused.stderr.contains("--break-lock"), "{}", refused.stderr);
    let last = refused.stdout.lines().last().expect("an event");
    let event: Value = serde_json::from_str(last).expect("JSON");
    assert_eq!(event["event"], "refused");
    let fault = &event["faults"][0];
    assert!(fault["what"].as_str().is_some_and(|what| what.contains(says)), "{event}");
    assert!(fault["remedy"].as_str().is_some_and(|remedy| remedy.contains("--break-lock")), "{event}");
    let checks: Value = serde_json::from_str(&service.run(&["doctor", "--json"]).stdout).expect("JSON");
    let deploys = checks.as_array().expect("checks").iter().find(|check| check["check"] == "deploys");
    assert_eq!(deploys.expect("a check")["mark"], "warn");
    assert_eq!(memory(service, &THREE), [310; 3]);
    let broken = service.exits(0, &[&service.deploy_arguments()[..], &["--break-lock"]].concat()).stderr;
    assert!(broken.contains("took the lock of anna@laptop"), "{broken}");
    // One that has ended is in nobody's way.
    put(-1);
    service.exits(0, &["rollback", "--yes", "--no-input", "--progress", "none"]);
}

/// Moments of a deploy at which it is killed.
const KILLS: u64 = 20;

#[test]
fn a_deploy_that_is_killed_is_continued_by_the_next() {
    let Some(stage) = Stage::set() else { return };
    let service = &stage.service;
    let mut random = fastrand::Rng::with_seed(20_261_125);
    for round in 0..KILLS {
        // A change in every round; now and then from nothing, and with a region more or less.
        let regions = if round % 2 == 0 { &THREE[..] } else { &THREE[..2] };
        service.wish(&Wish {
            regions: regions.to_vec(),
            memory_mb: 256 + u32::try_from(round).expect("small"),
            domain: false,
        });
        let pause = std::time::Duration::from_millis(random.u64(100..2_500));
        let mut killed = service.start(&service.deploy_arguments());
        std::thread::sleep(pause);
        // It may have ended by itself.
        let _ = killed.kill();
        let ended = killed.wait().expect("it ends");
        service.deploy();
        let place = format!("round {round}, killed after {pause:?} ({ended})");
        service.settles(&THREE, &whole(regions));
        assert!(service.plan().1, "{place}");
        assert_eq!(memory(service, regions), vec![256 + round; regions.len()], "{place}");
        if round % 5 == 4 {
            service.exits(0, &["destroy", "--confirm", NAME, "--delete-data", "--no-input"]);
        }
    }
}
