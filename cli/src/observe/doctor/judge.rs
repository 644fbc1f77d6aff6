//! Turns facts into findings. Pure.

use jiff::civil::Date;

use super::check::Check;
use super::facts::{Concurrency, CopyFacts, DoctorFacts, EdgeFacts, HomeFacts, Read};
use crate::config::{Config, Region};
use crate::geo::licence::{Copy, Standing, standing};
use crate::ui::format::counted;

/// The clock error that is reported, s; AWS rejects signatures from 300 s on.
const CLOCK_WARN_S: f64 = 30.0;
const CLOCK_FAIL_S: f64 = 300.0;
/// AWS renews 60 days ahead: a certificate that was not renewed by then has a problem.
const CERTIFICATE_WARN_DAYS: i64 = 30;
/// The age of data that is reported, days; sources are published monthly.
const DATABASE_WARN_DAYS: i64 = 45;
/// A new account's limit of 10 environments leaves nothing for bursts.
const CONCURRENCY_MIN: u64 = 100;

const REDEPLOY: &str = "run `ipgeo plan` to see what is missing, `ipgeo deploy` to create it";

/// The findings of all facts. `dev`: of a local service.
pub fn judge(config: &Config, facts: &DoctorFacts, today: Date, dev: bool) -> Vec<Check> {
    let mut checks = vec![account(&facts.account)];
    home(&facts.home, config, dev, &mut checks);
    for (name, edge) in &facts.edges {
        if let Some(region) = config.regions.iter().find(|region| region.name == *name) {
            judge_edge(region, edge, config, dev, &mut checks);
        }
    }
    database(facts, config, today, dev, &mut checks);
    checks
}

fn account(account: &Read<Option<String>>) -> Check {
    match account {
        Ok(Some(number)) => Check::ok("credentials", format!("account {number}")),
        Ok(None) => Check::not_checked("credentials", "not needed for the local service"),
        Err(error) => Check::fail("credentials", error.what.clone(), error.remedy.clone()),
    }
}

/// The finding of a fact, or why there is none.
fn of<T>(name: &'static str, fact: Option<&Read<T>>, dev: bool, judge: impl FnOnce(&T) -> Check) -> Check {
    match fact {
        Some(Ok(value)) => judge(value),
        Some(Err(error)) => Check::unread(name, error),
        None if dev => Check::not_checked(name, "the local service has none"),
        None => Check::not_checked(name, "could not be read"),
    }
}

fn home(home: &HomeFacts, config: &Config, dev: bool, checks: &mut Vec<Check>) {
    checks.push(of("clock", home.clock_ahead_s.as_ref(), dev, |ahead| clock(*ahead)));
    checks.push(match &config.service.hosted_zone {
        None => Check::not_checked("zone", "regions.toml names no domain"),
        Some(zone) => of("zone", home.zone.as_ref(), dev, |there| {
            if *there {
                Check::ok("zone", format!("{zone} is in this account"))
            } else {
                let found = format!("this account has no public zone {zone}");
                Check::fail("zone", found, "create it in Route 53 and point the domain's name servers to it")
            }
        }),
    });
    checks.push(of("stream", home.stream.as_ref(), dev, |status| match status.as_deref() {
        Some("ACTIVE") => Check::ok("stream", "active"),
        Some(other) => Check::fail(
            "stream",
            format!("it is {other}"),
            "wait until it is active; calls stay in the logs for one day",
        ),
        None => Check::fail("stream", "the stream is missing: calls are not counted", REDEPLOY),
    }));
    checks.push(of("counter", home.counter.as_ref(), dev, |state| match state.as_deref() {
        Some("Enabled") => Check::ok("counter", "it reads the stream"),
        Some(state @ ("Creating" | "Enabling" | "Updating")) => {
            Check::warn("counter", format!("its event source mapping is {state}"), "check again in a minute")
        }
        Some(other) => Check::fail(
            "counter",
            format!("its event source mapping is {other}: calls stay in the stream for one day at most"),
            "enable it: aws lambda update-event-source-mapping --enabled --uuid …",
        ),
        None => Check::fail("counter", "nothing reads the stream: calls are not counted", REDEPLOY),
    }));
}

fn clock(ahead_s: f64) -> Check {
    let off = ahead_s.abs();
    let direction = if ahead_s < 0.0 { "behind" } else { "ahead" };
    if off < CLOCK_WARN_S {
        return Check::ok("clock", "less than 30 s off");
    }
    let found = format!("this machine's clock is {off:.0} s {direction}");
    let remedy = "set it: timedatectl set-ntp true";
    if off < CLOCK_FAIL_S { Check::warn("clock", found, remedy) } else { Check::fail("clock", found, remedy) }
}

fn judge_edge(region: &Region, edge: &EdgeFacts, config: &Config, dev: bool, checks: &mut Vec<Check>) {
    let mut add = |check: Check| checks.push(check.at(&region.name));
    match &edge.open {
        Some(Err(error)) => {
            // Nothing else can be read of an unreachable region.
            return add(Check::fail("region", error.what.clone(), error.remedy.clone()));
        }
        Some(Ok(())) => add(Check::ok("region", "enabled and reachable")),
        None => add(Check::not_checked("region", "could not be read")),
    }
    let mut deployed = dev;
    add(of("edge", edge.stack.as_ref(), dev, |status| {
        deployed = status.is_some();
        stack(status.as_deref())
    }));
    if !deployed {
        return;
    }
    add(health(edge.health.as_ref(), dev));
    add(match &config.service.domain {
        None => Check::not_checked("certificate", "regions.toml names no domain"),
        Some(_) => of("certificate", edge.certificate.as_ref(), dev, |found| match found {
            Some(found) => certificate(&found.status, found.days_left),
            None => Check::fail("certificate", "missing", REDEPLOY),
        }),
    });
    add(of("concurrency", edge.concurrency.as_ref(), dev, |found| concurrency(*found, region)));
    add(of("rate", edge.rate.as_ref(), dev, |limit| rate(*limit, region)));
    let no_pipe = config.emulator.as_ref().is_some_and(|emulator| !emulator.log_pipe);
    add(of("subscription", edge.subscription.as_ref(), dev, |found| match found {
        None if no_pipe => {
            Check::not_checked("subscription", "regions.toml says that the emulator has no log pipe")
        }
        Some(_) => Check::ok("subscription", "the log is sent to the stream"),
        None => {
            Check::fail("subscription", "the log is not sent to the stream: calls are not counted", REDEPLOY)
        }
    }));
    add(of("replica", edge.replica.as_ref(), false, |status| match status.as_deref() {
        Some("ACTIVE") => Check::ok("replica", "the access table is active"),
        Some(other) => {
            Check::fail("replica", format!("the access table is {other}"), "wait, or run `ipgeo deploy`")
        }
        None => {
            let remedy = if dev { "restart `ipgeo dev`" } else { REDEPLOY };
            Check::fail("replica", "the access table is missing: API keys are refused", remedy)
        }
    }));
}

fn stack(status: Option<&str>) -> Check {
    match status {
        None => Check::fail("edge", "in regions.toml but not deployed", "run `ipgeo deploy`"),
        Some("CREATE_COMPLETE" | "UPDATE_COMPLETE" | "IMPORT_COMPLETE") => {
            Check::ok("edge", "its stack is complete")
        }
        Some("UPDATE_ROLLBACK_COMPLETE") => {
            let found = "its last update failed and was rolled back";
            Check::warn("edge", found, "run `ipgeo deploy` to retry; it names the reason")
        }
        Some(status) if status.ends_with("_IN_PROGRESS") => Check::warn(
            "edge",
            format!("its stack is being updated ({status})"),
            "check again when that has finished",
        ),
        Some("ROLLBACK_COMPLETE") => Check::fail(
            "edge",
            "its stack could not be created (ROLLBACK_COMPLETE)",
            "run `ipgeo deploy --recreate-failed` to delete and recreate it",
        ),
        Some(status) => {
            Check::fail("edge", format!("its stack is {status}"), "run `ipgeo plan` to see what to do")
        }
    }
}

fn health(health: Option<&Result<Option<String>, String>>, dev: bool) -> Check {
    match health {
        None => Check::not_checked("health", "could not be read"),
        Some(Ok(Some(date))) => Check::ok("health", format!("it answers with data of {date}")),
        Some(Ok(None)) => Check::ok("health", "it answers"),
        Some(Err(why)) => Check::fail(
            "health",
            format!("it does not answer: {why}"),
            if dev {
                "check `ipgeo logs --dev`, or restart `ipgeo dev`"
            } else {
                "check `ipgeo logs`; drain it with `ipgeo traffic drain`"
            },
        ),
    }
}

fn certificate(status: &str, days_left: Option<i64>) -> Check {
    let name = "certificate";
    match (status, days_left) {
        ("ISSUED", Some(days)) if days < 0 => {
            Check::fail(name, "it has expired", "check that its validation record is in the zone")
        }
        ("ISSUED", Some(days)) if days < CERTIFICATE_WARN_DAYS => {
            let found = format!("it expires in {} and was not renewed", counted(days, "day"));
            Check::warn(name, found, "check that its validation record is in the zone")
        }
        ("ISSUED", _) => Check::ok(name, "issued"),
        ("PENDING_VALIDATION", _) => Check::fail(
            name,
            "it is waiting for its validation record",
            "check that the domain's name servers are the zone's",
        ),
        (other, _) => Check::fail(name, format!("it is {other}"), "check it in AWS Certificate Manager"),
    }
}

fn concurrency(found: Concurrency, region: &Region) -> Check {
    let name = "concurrency";
    let limit = format!("{} concurrent environments", found.limit);
    let raise = "raise the quota: Service Quotas, AWS Lambda, Concurrent executions";
    if let Some(reserved) = region.runtime.reserved_concurrency
        && u64::from(reserved) > found.limit
    {
        let found = format!("{reserved} are reserved in regions.toml, and the account has {}", found.limit);
        return Check::fail(name, found, raise);
    }
    if found.unreserved < CONCURRENCY_MIN {
        return Check::warn(name, format!("{limit}, {} of them unreserved", found.unreserved), raise);
    }
    Check::ok(name, limit)
}

fn rate(limit: f64, region: &Region) -> Check {
    let wanted = f64::from(region.runtime.throttle_rate);
    if wanted > limit {
        let found = format!("regions.toml allows {wanted:.0} requests/s, the account {limit:.0}");
        return Check::warn(
            "rate",
            found,
            "raise the quota: Service Quotas, Amazon API Gateway, Throttle rate",
        );
    }
    Check::ok("rate", format!("{limit:.0} requests/s"))
}

fn database(facts: &DoctorFacts, config: &Config, today: Date, dev: bool, checks: &mut Vec<Check>) {
    let renew = if dev {
        "ipgeo geo fetch && ipgeo geo build, then restart `ipgeo dev`"
    } else {
        "ipgeo geo fetch && ipgeo geo build && ipgeo geo rollout"
    };
    let copy = match &facts.database {
        None => {
            // Without sources there is nothing to fetch.
            let remedy = if config.geo.sources.is_empty() {
                "add a source under [[geo.sources]] in regions.toml, or run ipgeo geo build --sample"
            } else {
                "ipgeo geo fetch && ipgeo geo build"
            };
            checks.push(Check::warn("database", "not built here", remedy));
            return;
        }
        Some(Err(why)) => {
            checks.push(Check::fail("database", why.clone(), "ipgeo geo build"));
            return;
        }
        Some(Ok(copy)) => copy,
    };
    let age =
        copy.date.parse::<Date>().ok().and_then(|date| today.since(date).ok()).map(|span| span.get_days());
    checks.push(match age {
        Some(days) if i64::from(days) > DATABASE_WARN_DAYS => Check::warn(
            "database",
            format!("{} of {}: {} old", copy.name, copy.date, counted(days, "day")),
            renew,
        ),
        _ => Check::ok("database", format!("{} of {}", copy.name, copy.date)),
    });
    let mut served: Vec<&str> =
        facts.edges.iter().filter_map(|(_, edge)| edge.health.as_ref()?.as_ref().ok()?.as_deref()).collect();
    served.sort_unstable();
    served.dedup();
    if served.len() > 1 {
        let found = format!("regions serve data of {}", served.join(" and "));
        checks.push(Check::warn("served data", found, "ipgeo geo rollout"));
    }
    checks.push(licence(copy, today, renew));
    if let Err(why) = &copy.lock {
        checks.push(Check::fail("lock", why.clone(), "ipgeo geo build"));
    } else {
        checks.push(Check::ok("lock", "the database matches geo.lock"));
    }
}

fn licence(copy: &CopyFacts, today: Date, renew: &str) -> Check {
    let of =
        Copy { name: &copy.name, licence: &copy.licence, attribution: &copy.attribution, date: &copy.date };
    match standing(of, today) {
        Standing::Kept => Check::ok("licence", copy.licence.clone()),
        Standing::Unnamed => {
            Check::warn("licence", "the data has no licence", "set `licence` in [geo] of regions.toml")
        }
        Standing::EndsSoon { last_day } => {
            Check::warn("licence", format!("the data may be used until {last_day}"), renew)
        }
        Standing::Ended { last_day } => {
            Check::fail("licence", format!("the data could be used until {last_day}"), renew)
        }
        Standing::NoCredit => Check::fail(
            "licence",
            "it requires a credit and none is sent",
            "set `attribution` in [geo] of regions.toml, then ipgeo geo build",
        ),
        Standing::NoDate => {
            Check::fail("licence", "it limits the days of use and the data has no date", renew)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::Mark;
    use super::super::facts::{Certificate, Subscription};
    use super::*;
    use crate::infra::cloud::Problem;
    use crate::infra::stacks::test_config;

    fn error() -> Problem {
        Problem::new("a permission is missing", "grant it")
    }

    /// Facts without a fault.
    fn well(config: &Config) -> DoctorFacts {
        let edge = EdgeFacts {
            open: Some(Ok(())),
            stack: Some(Ok(Some("UPDATE_COMPLETE".into()))),
            health: Some(Ok(Some("2026-11-01".into()))),
            certificate: Some(Ok(Some(Certificate { status: "ISSUED".into(), days_left: Some(200) }))),
            concurrency: Some(Ok(Concurrency { limit: 1_000, unreserved: 1_000 })),
            rate: Some(Ok(10_000.0)),
            subscription: Some(Ok(Some(Subscription { destination: "d".into(), pattern: "p".into() }))),
            replica: Some(Ok(Some("ACTIVE".into()))),
        };
        DoctorFacts {
            account: Ok(Some("123456789012".into())),
            home: HomeFacts {
                stream: Some(Ok(Some("ACTIVE".into()))),
                counter: Some(Ok(Some("Enabled".into()))),
                zone: Some(Ok(true)),
                clock_ahead_s: Some(Ok(1.0)),
            },
            edges: config.regions.iter().map(|region| (region.name.clone(), edge.clone())).collect(),
            database: Some(Ok(CopyFacts {
                name: "DB-IP City Lite".into(),
                date: "2026-11-01".into(),
                licence: "CC BY 4.0".into(),
                attribution: "IP Geolocation by DB-IP".into(),
                lock: Ok(()),
            })),
        }
    }

    fn today() -> Date {
        "2026-11-25".parse().expect("a date")
    }

    fn worst<'a>(checks: &'a [Check], name: &str) -> &'a Check {
        let rank =
            |mark: Mark| [Mark::NotChecked, Mark::Ok, Mark::Warn, Mark::Fail].iter().position(|m| *m == mark);
        let of = checks.iter().filter(|check| check.check == name);
        of.max_by_key(|check| rank(check.mark)).unwrap_or_else(|| panic!("no check {name}: {checks:?}"))
    }

    #[test]
    fn without_a_fault_every_check_is_ok() {
        let config = test_config();
        let checks = judge(&config, &well(&config), today(), false);
        let bad: Vec<&Check> = checks.iter().filter(|check| check.mark != Mark::Ok).collect();
        let domain = config.service.domain.is_some();
        assert!(bad.iter().all(|check| !domain && ["zone", "certificate"].contains(&check.check)), "{bad:?}");
    }

    /// A change to the facts, the check that must notice it, its mark, and a part of its text or remedy.
    type Case = (fn(&mut DoctorFacts), &'static str, Mark, &'static str);

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table, a line a fault")]
    fn each_fault_is_found_and_has_a_remedy() {
        fn edge(facts: &mut DoctorFacts) -> &mut EdgeFacts {
            &mut facts.edges[0].1
        }
        fn copy(facts: &mut DoctorFacts) -> &mut CopyFacts {
            facts.database.as_mut().expect("a database").as_mut().expect("read")
        }
        let table: [Case; 30] = [
            (|f| f.account = Err(error()), "credentials", Mark::Fail, "grant it"),
            (|f| f.home.clock_ahead_s = Some(Ok(-45.0)), "clock", Mark::Warn, "45 s behind"),
            (|f| f.home.clock_ahead_s = Some(Ok(301.0)), "clock", Mark::Fail, "301 s ahead"),
            (|f| f.home.clock_ahead_s = None, "clock", Mark::NotChecked, "could not be read"),
            (|f| f.home.stream = Some(Ok(Some("UPDATING".into()))), "stream", Mark::Fail, "UPDATING"),
            (|f| f.home.stream = Some(Ok(None)), "stream", Mark::Fail, "not counted"),
            (|f| f.home.stream = Some(Err(error())), "stream", Mark::NotChecked, "a permission"),
            (|f| f.home.counter = Some(Ok(Some("Disabled".into()))), "counter", Mark::Fail, "--enabled"),
            (|f| f.home.counter = Some(Ok(Some("Enabling".into()))), "counter", Mark::Warn, "Enabling"),
            (|f| f.home.counter = Some(Ok(None)), "counter", Mark::Fail, "ipgeo deploy"),
            (|f| edge(f).open = Some(Err(error())), "region", Mark::Fail, "grant it"),
            (|f| edge(f).stack = Some(Ok(None)), "edge", Mark::Fail, "not deployed"),
            (|f| edge(f).stack = Some(Ok(Some("ROLLBACK_COMPLETE".into()))), "edge", Mark::Fail, "ROLLBACK"),
            (
                |f| edge(f).stack = Some(Ok(Some("UPDATE_ROLLBACK_COMPLETE".into()))),
                "edge",
                Mark::Warn,
                "rolled back",
            ),
            (
                |f| edge(f).stack = Some(Ok(Some("UPDATE_IN_PROGRESS".into()))),
                "edge",
                Mark::Warn,
                "being updated",
            ),
            (|f| edge(f).health = Some(Err("no answer".into())), "health", Mark::Fail, "drain"),
            (
                |f| edge(f).concurrency = Some(Ok(Concurrency { limit: 10, unreserved: 10 })),
                "concurrency",
                Mark::Warn,
                "Service Quotas",
            ),
            (|f| edge(f).rate = Some(Ok(10.0)), "rate", Mark::Warn, "Throttle rate"),
            (|f| edge(f).subscription = Some(Ok(None)), "subscription", Mark::Fail, "not counted"),
            (|f| edge(f).replica = Some(Ok(None)), "replica", Mark::Fail, "API keys are refused"),
            (|f| edge(f).replica = Some(Ok(Some("CREATING".into()))), "replica", Mark::Fail, "CREATING"),
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
        for (change, name, mark, says) in table {
            let mut facts = well(&config);
            change(&mut facts);
            let checks = judge(&config, &facts, today(), false);
            let found = worst(&checks, name);
            let text = format!("{} {}", found.found, found.remedy.as_deref().unwrap_or_default());
            assert!(found.mark == mark && text.contains(says), "{name}: {found:?}");
            assert!(mark != Mark::Fail || found.remedy.is_some(), "{name} has no remedy");
        }
    }

    #[test]
    fn no_remedy_names_a_verb_that_does_not_fit() {
        let mut config = test_config();
        let mut facts = well(&config);
        facts.edges[0].1.health = Some(Err("no answer".into()));
        facts.edges[1].1.replica = Some(Ok(None));
        facts.edges[2].1.stack = Some(Ok(Some("ROLLBACK_COMPLETE".into())));
        facts.database.as_mut().expect("a database").as_mut().expect("read").date = "2026-09-01".into();
        let remedies = |facts: &DoctorFacts, config: &Config, dev| {
            let checks = judge(config, facts, today(), dev);
            checks.into_iter().filter_map(|check| check.remedy).collect::<Vec<_>>().join("\n")
        };
        // A local service is not deployed, drained or rolled out to.
        let mut local = facts.clone();
        local.edges[2].1.stack = None;
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
}
