//! Turns facts into findings. Pure.

use jiff::civil::Date;

use super::check::Check;
use super::database::database;
use super::facts::{Concurrency, DoctorFacts, EdgeFacts, Fact, Subscription};
use super::home::home;
use super::rates::short_rates;
use crate::config::{Config, LogPipe, Region};
use crate::infra::plan::{CONCURRENCY_MIN, raise_concurrency};
use crate::ui::format::counted;

/// AWS renews 60 days ahead: a certificate that was not renewed by then has a problem.
const CERTIFICATE_WARN_DAYS: i64 = 30;

const NOT_READ: &str = "could not be read";
pub(super) const REDEPLOY: &str = "run `ipgeo plan` to see what is missing, `ipgeo deploy` to create it";

/// Judges all facts; `dev`: those of a local service.
pub(crate) fn judge(config: &Config, facts: &DoctorFacts, today: Date, dev: bool) -> Vec<Check> {
    let mut checks = vec![account(&facts.account)];
    home(&facts.home, config, dev, &mut checks);
    short_rates(config, &mut checks);
    for (name, edge) in &facts.edges {
        if let Some(region) = config.regions.iter().find(|region| region.name == *name) {
            judge_edge(region, edge, config, dev, &mut checks);
        }
    }
    if let Fact::Unreadable(_) = facts.account {
        let unread = |check: &&mut Check| check.found == NOT_READ;
        checks
            .iter_mut()
            .filter(unread)
            .for_each(|check| "the check `credentials` failed".clone_into(&mut check.found));
    }
    database(facts, config, today, dev, &mut checks);
    checks
}

fn account(account: &Fact<String>) -> Check {
    match account {
        Fact::Known(number) => Check::ok("credentials", format!("account {number}")),
        Fact::Unreadable(problem) => Check::fail("credentials", problem.what.clone(), problem.remedy.clone()),
        Fact::Absent | Fact::NotRead => Check::not_checked("credentials", "not needed for the local service"),
    }
}

/// Judges a resource, `None` if it is absent.
pub(super) fn resource<T>(
    name: &'static str,
    fact: &Fact<T>,
    dev: bool,
    judge: impl FnOnce(Option<&T>) -> Check,
) -> Check {
    match fact {
        Fact::Known(value) => judge(Some(value)),
        Fact::Absent => judge(None),
        Fact::Unreadable(problem) => Check::unread(name, problem),
        Fact::NotRead if dev => Check::not_checked(name, "the local service has none"),
        Fact::NotRead => Check::not_checked(name, NOT_READ),
    }
}

/// Judges a value that always exists.
pub(super) fn value<T>(
    name: &'static str,
    fact: &Fact<T>,
    dev: bool,
    judge: impl FnOnce(&T) -> Check,
) -> Check {
    resource(name, fact, dev, |value| value.map_or_else(|| Check::not_checked(name, NOT_READ), judge))
}

/// Whether a region's log has exactly one subscription, to the pipe in the file.
fn subscription(found: &Subscription, config: &Config) -> Check {
    let name = "subscription";
    let has = |part: &str| found.destination.contains(part);
    let is_as_wanted = match config.usage.pipe {
        LogPipe::Destination => !has(":function:"),
        LogPipe::Forwarder => !has(":destination:"),
    };
    if found.count > 1 {
        let found = format!("the log has {} subscriptions: calls may be counted twice", found.count);
        return Check::fail(name, found, "remove the others: aws logs delete-subscription-filter");
    }
    if !is_as_wanted {
        let found = format!("the log is sent to {}, not as regions.toml says", found.destination);
        return Check::warn(name, found, "run `ipgeo deploy` to move it");
    }
    let kind = if has(":function:") { "the forwarder" } else { "the stream" };
    Check::ok(name, format!("the log is sent to {kind}"))
}

fn judge_edge(region: &Region, edge: &EdgeFacts, config: &Config, dev: bool, checks: &mut Vec<Check>) {
    let mut add = |check: Check| checks.push(check.at(&region.name));
    match &edge.reachable {
        Fact::Unreadable(problem) => {
            // Nothing else can be read of an unreachable region.
            return add(Check::fail("region", problem.what.clone(), problem.remedy.clone()));
        }
        Fact::Known(()) => add(Check::ok("region", "enabled and reachable")),
        Fact::Absent | Fact::NotRead => add(Check::not_checked("region", NOT_READ)),
    }
    let mut deployed = dev;
    add(resource("edge", &edge.stack, dev, |status| {
        deployed = status.is_some();
        stack(status.map(String::as_str))
    }));
    if !deployed {
        return;
    }
    add(health(edge.health.as_ref(), dev));
    add(match &config.service.domain {
        None => Check::not_checked("certificate", "regions.toml names no domain"),
        Some(_) => resource("certificate", &edge.certificate, dev, |found| match found {
            Some(found) => certificate(&found.status, found.days_left),
            None => Check::fail("certificate", "missing", REDEPLOY),
        }),
    });
    add(value("concurrency", &edge.concurrency, dev, |found| concurrency(*found, region)));
    add(value("rate", &edge.rate, dev, |limit| rate(*limit, region)));
    let no_pipe = config.emulator.as_ref().is_some_and(|emulator| !emulator.log_pipe);
    add(resource("subscription", &edge.subscription, dev, |found| match found {
        None if no_pipe => Check::not_checked("subscription", "the emulator has no log pipe (regions.toml)"),
        Some(found) => subscription(found, config),
        None => {
            Check::fail("subscription", "the log is not sent to the stream: calls are not counted", REDEPLOY)
        }
    }));
    // Without forwarders there is nothing to report, unless an earlier one has left batches.
    if config.usage.pipe == LogPipe::Forwarder || matches!(edge.unforwarded, Fact::Known(1..)) {
        add(value("forwarder", &edge.unforwarded, dev, |batches| match batches {
            0 => Check::ok("forwarder", "it has given up no batch of usage lines"),
            some => {
                let found = format!("batches of usage lines that it gave up: {some}");
                Check::fail(
                    "forwarder",
                    found,
                    "run `ipgeo usage recover`; see the forwarder's log for the cause",
                )
            }
        }));
    }
    add(resource("replica", &edge.replica, false, |status| match status.map(String::as_str) {
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
        None => Check::not_checked("health", NOT_READ),
        Some(Ok(Some(date))) => Check::ok("health", format!("it answers with data of {date}")),
        Some(Ok(None)) => Check::ok("health", "it answers"),
        Some(Err(why)) => Check::fail(
            "health",
            format!("it does not answer: {why}"),
            if dev {
                "check `ipgeo logs --dev --all`, or restart `ipgeo dev`"
            } else {
                "check `ipgeo logs --all`; drain it with `ipgeo traffic drain`"
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
    let raise = format!("request a higher quota: {}", raise_concurrency(&region.name));
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

#[cfg(test)]
mod tests;
