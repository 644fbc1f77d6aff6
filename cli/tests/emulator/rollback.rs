//! Versions: a failed canary, rollbacks, plans in files, and the lock.

use serde_json::{Value, json};

use crate::service::{HOME, NAME, Service, Wish, until};
use crate::stage::{Stage, THREE, answers, memory, summary};

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
