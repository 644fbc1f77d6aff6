//! Judges the parts that a service has only once (stream, counter, zone, alarms, lock), and this machine's clock.

use super::check::Check;
use super::facts::HomeFacts;
use super::judge::{REDEPLOY, resource, value};
use crate::config::Config;
use crate::infra::plan::{Delegation, Zone, delegated_elsewhere, wrong_zone};
use crate::ui::format::counted;

/// The clock error from which a problem is reported, s; AWS rejects signatures from 300 s on.
const CLOCK_WARN_S: f64 = 30.0;
const CLOCK_FAIL_S: f64 = 300.0;
/// Judges what exists once.
pub(super) fn home(home: &HomeFacts, config: &Config, dev: bool, checks: &mut Vec<Check>) {
    checks.push(value("clock", &home.clock_ahead_s, dev, |ahead| clock(*ahead)));
    checks.push(match (&config.service.domain, &config.service.hosted_zone) {
        (Some(domain), Some(name)) => resource("zone", &home.zone, dev, |found| zone(found, name, domain)),
        _ => Check::not_checked("zone", "regions.toml names no domain"),
    });
    checks.push(resource("deploys", &home.run, dev, |run| match run {
        None => Check::ok("deploys", "none is running"),
        Some(run) => Check::warn(
            "deploys",
            format!("{} is changing this service: ipgeo {}, since {}", run.owner, run.operation, run.since),
            "wait for it; if that process is gone, pass --break-lock to the next deploy",
        ),
    }));
    checks.push(resource("stream", &home.stream, dev, |status| match status.map(String::as_str) {
        Some("ACTIVE") => Check::ok("stream", "active"),
        Some(other) => Check::fail(
            "stream",
            format!("it is {other}"),
            "wait until it is active; calls stay in the logs for one day",
        ),
        None => Check::fail("stream", "the stream is missing: calls are not counted", REDEPLOY),
    }));
    checks.push(value("alarms", &home.alarms, dev, |found| alarms(found, config)));
    checks.push(resource("counter", &home.counter, dev, |state| match state.map(String::as_str) {
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

/// Judges home's alarms. The silence alarm means that no line arrives, or that nobody calls.
fn alarms(found: &[String], config: &Config) -> Check {
    let name = "alarms";
    if found.iter().any(|alarm| alarm.ends_with("-usage-silent")) {
        let hours = counted(u64::from(config.alarms.silence_h), "hour");
        return Check::fail(
            name,
            format!("no usage line has reached the stream for {hours}"),
            "unless nobody has called, follow a call: ipgeo doctor --online",
        );
    }
    match found {
        [] if config.alarms.silence_h == 0 => {
            Check::ok(name, "none is going off; silence of the stream is not watched (silence_h in [alarms])")
        }
        [] => Check::ok(name, "none is going off"),
        some => Check::warn(name, format!("going off: {}", some.join(", ")), "look at them in CloudWatch"),
    }
}

/// The domain's zone: there is one, it contains the domain, and public DNS uses its name servers.
fn zone(found: Option<&Zone>, name: &str, domain: &str) -> Check {
    let Some(found) = found else {
        let found = format!("this account has no public zone {name}");
        return Check::fail("zone", found, "create it in Route 53 and point the domain's name servers to it");
    };
    if let Some(problem) = wrong_zone(found, domain).or_else(|| delegated_elsewhere(found)) {
        return Check::fail("zone", problem.what, problem.remedy);
    }
    let delegation = match &found.delegation {
        Delegation::Ours => ", and public DNS uses its name servers".to_owned(),
        Delegation::Unknown(why) => format!("; whether public DNS uses its name servers is unknown: {why}"),
        Delegation::NotChecked | Delegation::Elsewhere(_) => String::new(),
    };
    Check::ok("zone", format!("{name} is in this account{delegation}"))
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

#[cfg(test)]
mod tests {
    use super::super::check::Mark;
    use super::*;

    #[test]
    fn a_zone_is_judged_by_its_name_and_by_public_dns() {
        let with = |delegation| Zone {
            id: "Z1".into(),
            name: "example.com".into(),
            name_servers: ["ns-1.awsdns-1.org".to_owned()].into(),
            delegation,
            ..Zone::default()
        };
        let ours = with(Delegation::Ours);
        let two = Zone { others: vec!["Z2".into()], ..ours.clone() };
        let elsewhere = with(Delegation::Elsewhere(["ns.old.example".to_owned()].into()));
        let unknown = with(Delegation::Unknown("no answer".into()));
        let table = [
            (Some(&ours), "api.example.com", Mark::Ok, "public DNS uses its name servers"),
            (Some(&unknown), "api.example.com", Mark::Ok, "is unknown: no answer"),
            (Some(&two), "api.example.com", Mark::Fail, "2 public zones are named example.com: Z1, Z2"),
            (Some(&elsewhere), "api.example.com", Mark::Fail, "to ns.old.example, not to the zone Z1"),
            (Some(&ours), "api.example.org", Mark::Fail, "does not contain api.example.org"),
            (None, "api.example.com", Mark::Fail, "no public zone example.com"),
        ];
        for (found, domain, mark, part) in table {
            let check = zone(found, "example.com", domain);
            assert!(check.mark == mark && check.found.contains(part), "{check:?}");
            assert_eq!(check.remedy.is_some(), mark == Mark::Fail, "{check:?}");
        }
    }
}
