use std::collections::BTreeSet;

use super::super::check::Mark;
use super::super::facts::{Certificate, DatabaseFacts, HomeFacts};
use super::*;
use crate::infra::cloud::Problem;
use crate::infra::lock::LockItem;
use crate::infra::plan::Zone;
use crate::infra::stacks::test_config;

fn error() -> Problem {
    Problem::new("a permission is missing", "grant it")
}

/// Facts without a fault.
fn healthy(config: &Config) -> DoctorFacts {
    let edge = EdgeFacts {
        reachable: Fact::Known(()),
        stack: Fact::Known("UPDATE_COMPLETE".into()),
        health: Some(Ok(Some("2026-11-01".into()))),
        certificate: Fact::Known(Certificate { status: "ISSUED".into(), days_left: Some(200) }),
        concurrency: Fact::Known(Concurrency { limit: 1_000, unreserved: 1_000 }),
        rate: Fact::Known(10_000.0),
        subscription: Fact::Known(Subscription { destination: "d".into(), pattern: "p".into(), count: 1 }),
        unforwarded: Fact::Known(0),
        replica: Fact::Known("ACTIVE".into()),
    };
    DoctorFacts {
        account: Fact::Known("123456789012".into()),
        home: HomeFacts {
            stream: Fact::Known("ACTIVE".into()),
            counter: Fact::Known("Enabled".into()),
            alarms: Fact::Known(Vec::new()),
            zone: Fact::Known(Zone { name: "example.com".into(), ..Zone::default() }),
            run: Fact::Absent,
            clock_ahead_s: Fact::Known(1.0),
        },
        edges: config.regions.iter().map(|region| (region.name.clone(), edge.clone())).collect(),
        database: Some(Ok(DatabaseFacts {
            name: "DB-IP City Lite".into(),
            date: "2026-11-01".into(),
            licence: "CC BY 4.0".into(),
            attribution: "IP Geolocation by DB-IP".into(),
            lock: Ok(()),
        })),
    }
}

fn run() -> LockItem {
    let time = jiff::Timestamp::UNIX_EPOCH;
    let [token, owner, operation] = ["1", "anna@laptop", "deploy"].map(str::to_owned);
    LockItem { token, owner, operation, since: time, until: time }
}

fn today() -> Date {
    "2026-11-25".parse().expect("a date")
}

fn worst<'a>(checks: &'a [Check], name: &str) -> &'a Check {
    let rank =
        |mark: Mark| [Mark::NotChecked, Mark::Ok, Mark::Warn, Mark::Fail].iter().position(|m| *m == mark);
    let matching = checks.iter().filter(|check| check.check == name);
    matching.max_by_key(|check| rank(check.mark)).unwrap_or_else(|| panic!("no check {name}: {checks:?}"))
}

#[test]
fn without_a_fault_every_check_is_ok() {
    let config = test_config();
    let checks = judge(&config, &healthy(&config), today(), false);
    let faults: Vec<&Check> = checks.iter().filter(|check| check.mark != Mark::Ok).collect();
    let domain = config.service.domain.is_some();
    assert!(
        faults.iter().all(|check| !domain && ["zone", "certificate"].contains(&check.check)),
        "{faults:?}"
    );
}

#[test]
fn every_check_is_explained_in_the_guide() {
    let guide = include_str!("../../../../../docs/FIRST_DEPLOY.md");
    let table = guide.split("### What each check means").nth(1).and_then(|rest| rest.split("###").next());
    let rows = table.expect("a table").lines().filter(|line| line.starts_with("| `"));
    let cells = rows.filter_map(|line| line.split('|').nth(1));
    let explained: BTreeSet<&str> = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    let config = test_config();
    let checks = judge(&config, &healthy(&config), today(), false);
    let known: BTreeSet<&str> = checks.iter().map(|check| check.check).chain(["usage path"]).collect();
    assert_eq!(explained, known);
}

/// A change to the facts, the check that must notice it, its mark, and a part of its text or remedy.
type Case = (fn(&mut DoctorFacts), &'static str, Mark, &'static str);

#[test]
#[expect(clippy::too_many_lines, reason = "a table, a line a fault")]
fn each_fault_is_found_and_has_a_remedy() {
    fn edge(facts: &mut DoctorFacts) -> &mut EdgeFacts {
        &mut facts.edges[0].1
    }
    fn pipe(facts: &mut DoctorFacts) -> &mut Subscription {
        match &mut edge(facts).subscription {
            Fact::Known(found) => found,
            other => panic!("{other:?}"),
        }
    }
    fn copy(facts: &mut DoctorFacts) -> &mut DatabaseFacts {
        facts.database.as_mut().expect("a database").as_mut().expect("read")
    }
    let table: [Case; 36] = [
        (|f| f.home.run = Fact::Known(run()), "deploys", Mark::Warn, "--break-lock"),
        (|f| f.account = Fact::Unreadable(error()), "credentials", Mark::Fail, "grant it"),
        (|f| f.home.clock_ahead_s = Fact::Known(-45.0), "clock", Mark::Warn, "45 s behind"),
        (|f| f.home.clock_ahead_s = Fact::Known(301.0), "clock", Mark::Fail, "301 s ahead"),
        (|f| f.home.clock_ahead_s = Fact::NotRead, "clock", Mark::NotChecked, "could not be read"),
        (|f| f.home.stream = Fact::Known("UPDATING".into()), "stream", Mark::Fail, "UPDATING"),
        (|f| f.home.stream = Fact::Absent, "stream", Mark::Fail, "not counted"),
        (|f| f.home.stream = Fact::Unreadable(error()), "stream", Mark::NotChecked, "a permission"),
        (|f| f.home.counter = Fact::Known("Disabled".into()), "counter", Mark::Fail, "--enabled"),
        (|f| f.home.counter = Fact::Known("Enabling".into()), "counter", Mark::Warn, "Enabling"),
        (
            |f| f.home.alarms = Fact::Known(vec!["ipgeo-prod-usage-silent".into()]),
            "alarms",
            Mark::Fail,
            "doctor --online",
        ),
        (|f| f.home.alarms = Fact::Known(vec!["ipgeo-prod-x".into()]), "alarms", Mark::Warn, "ipgeo-prod-x"),
        (|f| pipe(f).count = 2, "subscription", Mark::Fail, "twice"),
        (
            |f| pipe(f).destination = "arn:aws:lambda:r:1:function:f".into(),
            "subscription",
            Mark::Warn,
            "move",
        ),
        (|f| f.home.counter = Fact::Absent, "counter", Mark::Fail, "ipgeo deploy"),
        (|f| edge(f).reachable = Fact::Unreadable(error()), "region", Mark::Fail, "grant it"),
        (|f| edge(f).stack = Fact::Absent, "edge", Mark::Fail, "not deployed"),
        (|f| edge(f).stack = Fact::Known("ROLLBACK_COMPLETE".into()), "edge", Mark::Fail, "ROLLBACK"),
        (
            |f| edge(f).stack = Fact::Known("UPDATE_ROLLBACK_COMPLETE".into()),
            "edge",
            Mark::Warn,
            "rolled back",
        ),
        (|f| edge(f).stack = Fact::Known("UPDATE_IN_PROGRESS".into()), "edge", Mark::Warn, "being updated"),
        (|f| edge(f).health = Some(Err("no answer".into())), "health", Mark::Fail, "drain"),
        (
            |f| edge(f).concurrency = Fact::Known(Concurrency { limit: 10, unreserved: 10 }),
            "concurrency",
            Mark::Warn,
            "request-service-quota-increase",
        ),
        (|f| edge(f).rate = Fact::Known(10.0), "rate", Mark::Warn, "Throttle rate"),
        (|f| edge(f).subscription = Fact::Absent, "subscription", Mark::Fail, "not counted"),
        (|f| edge(f).unforwarded = Fact::Known(3), "forwarder", Mark::Fail, "usage recover"),
        (|f| edge(f).replica = Fact::Absent, "replica", Mark::Fail, "API keys are refused"),
        (|f| edge(f).replica = Fact::Known("CREATING".into()), "replica", Mark::Fail, "CREATING"),
        (
            |f| edge(f).health = Some(Ok(Some("2026-10-01".into()))),
            "served data",
            Mark::Warn,
            "2026-10-01 and 2026-11-01",
        ),
        (|f| f.database = None, "database", Mark::Warn, "not built"),
        (|f| f.database = Some(Err("broken".into())), "database", Mark::Fail, "broken"),
        (|f| copy(f).date = "2026-09-01".into(), "database", Mark::Warn, "85 days old"),
        (|f| copy(f).lock = Err("another".into()), "lock", Mark::Fail, "another"),
        (|f| copy(f).licence = String::new(), "licence", Mark::Warn, "no licence"),
        (|f| copy(f).attribution = String::new(), "licence", Mark::Fail, "attribution"),
        (
            |f| {
                copy(f).name = "GeoLite City".into();
                copy(f).date = "2026-10-01".into();
            },
            "licence",
            Mark::Fail,
            "until 2026-10-31",
        ),
        (|f| copy(f).name = "GeoLite City".into(), "licence", Mark::Warn, "until 2026-12-01"),
    ];
    let config = test_config();
    for (change, name, mark, part) in table {
        let mut facts = healthy(&config);
        change(&mut facts);
        let checks = judge(&config, &facts, today(), false);
        let found = worst(&checks, name);
        let text = format!("{} {}", found.found, found.remedy.as_deref().unwrap_or_default());
        assert!(found.mark == mark && text.contains(part), "{name}: {found:?}");
        assert!(mark != Mark::Fail || found.remedy.is_some(), "{name} has no remedy");
    }
}

#[test]
fn remedies_name_only_verbs_that_apply() {
    let mut config = test_config();
    let mut facts = healthy(&config);
    facts.edges[0].1.health = Some(Err("no answer".into()));
    facts.edges[1].1.replica = Fact::Absent;
    facts.edges[2].1.stack = Fact::Known("ROLLBACK_COMPLETE".into());
    facts.database.as_mut().expect("a database").as_mut().expect("read").date = "2026-09-01".into();
    let remedies = |facts: &DoctorFacts, config: &Config, dev| {
        let checks = judge(config, facts, today(), dev);
        checks.into_iter().filter_map(|check| check.remedy).collect::<Vec<_>>().join("\n")
    };
    // A local service is not deployed, drained or rolled out to.
    let mut local = facts.clone();
    local.edges[2].1.stack = Fact::NotRead;
    let text = remedies(&local, &config, true);
    for verb in ["ipgeo deploy", "ipgeo plan", "traffic", "rollout"] {
        assert!(!text.contains(verb), "{text}");
    }
    assert!(remedies(&facts, &config, false).contains("--recreate-failed"));
    // Without sources there is nothing to fetch.
    config.geo.sources.clear();
    facts.database = None;
    let text = remedies(&facts, &config, false);
    assert!(text.contains("[[geo.sources]]") && !text.contains("geo fetch"), "{text}");
}

#[test]
fn certificates_by_their_state() {
    for (status, days, mark) in [
        ("ISSUED", Some(200), Mark::Ok),
        ("ISSUED", None, Mark::Ok),
        ("ISSUED", Some(29), Mark::Warn),
        ("ISSUED", Some(-1), Mark::Fail),
        ("PENDING_VALIDATION", None, Mark::Fail),
        ("VALIDATION_TIMED_OUT", None, Mark::Fail),
    ] {
        assert_eq!(certificate(status, days).mark, mark, "{status} {days:?}");
    }
}

#[test]
fn a_reserve_above_the_accounts_limit_fails() {
    let config = test_config();
    let mut region = config.regions[0].clone();
    region.runtime.reserved_concurrency = Some(500);
    let found = concurrency(Concurrency { limit: 100, unreserved: 100 }, &region);
    assert!(found.mark == Mark::Fail && found.found.contains("500 are reserved"), "{found:?}");
}
