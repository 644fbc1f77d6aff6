//! What can be known to block a plan before any stack is compared, and what an operator should know beside it.

use std::collections::BTreeSet;

use ipgeo_contract::RegionName;

use super::input::{Findings, PlanInput};
use super::observed::{Delegation, Zone};
use super::problem::Problem;
use crate::config::{Region, is_below};
use crate::infra::stacks::StackKind;

/// Reports what blocks a deploy outside its own stacks: unreachable regions, a missing hosted zone, DNS records of others, and a
/// home region that differs from the deployed one.
pub(super) fn surroundings(input: &PlanInput<'_>, findings: &mut Findings) {
    let home = input.home();
    let regions: BTreeSet<&RegionName> = input.selected().map(|region| &region.name).chain([home]).collect();
    for region in regions {
        let observed = input.observed.regions.get(region);
        if let Some(problem) = observed.and_then(|observed| observed.unreachable.as_ref()) {
            findings.problems.push(problem.clone().in_region(region));
        }
    }
    zone(input, findings);
    concurrency(input, findings);
    home_elsewhere(input, findings);
}

fn zone(input: &PlanInput<'_>, findings: &mut Findings) {
    let service = &input.config.service;
    let (Some(domain), Some(name)) = (&service.domain, &service.hosted_zone) else { return };
    let Some(zone) = &input.observed.zone else {
        let problem = Problem::new(
            format!("the account has no public Route 53 zone `{name}`"),
            format!("create it, or correct `hosted_zone`; without `domain = \"{domain}\"` none is needed"),
        );
        findings.problems.push(problem.in_region(input.home()));
        return;
    };
    findings.problems.extend(wrong_zone(zone, domain).map(|problem| problem.in_region(input.home())));
    delegation(input, findings, zone);
    // Route 53 refuses latency records beside a simple record of the same name and type, and anything beside a CNAME.
    findings.problems.extend(zone.foreign.iter().map(|record| {
        Problem::new(
            format!("{domain} has a record of another kind: {} {}", record.kind, record.what),
            "remove that record; latency records can't exist beside it",
        )
        .in_region(input.home())
    }));
}

/// Why no record may be written to the zone: other zones have its name, or it does not contain the domain.
pub(crate) fn wrong_zone(zone: &Zone, domain: &str) -> Option<Problem> {
    if !zone.others.is_empty() {
        let ids: Vec<&str> = std::iter::once(&zone.id).chain(&zone.others).map(String::as_str).collect();
        let (leads, id) = match zone.delegation {
            Delegation::Ours => (format!("; public DNS uses {}", zone.id), zone.id.as_str()),
            _ => (String::new(), "Z…"),
        };
        return Some(Problem::new(
            format!("{} public zones are named {}: {}{leads}", ids.len(), zone.name, ids.join(", ")),
            format!(
                "set `hosted_zone = \"{id}\"` in regions.toml to the zone that the domain's registrar names"
            ),
        ));
    }
    (!is_below(domain, &zone.name)).then(|| {
        Problem::new(
            format!("the zone {} is {}, which does not contain {domain}", zone.id, zone.name),
            "correct `hosted_zone` in regions.toml",
        )
    })
}

/// Checks whether public DNS delegates to the zone. Only a new edge needs that at once: its certificate waits for hours for
/// a record that nobody can see.
fn delegation(input: &PlanInput<'_>, findings: &mut Findings, zone: &Zone) {
    let name = &zone.name;
    if let Delegation::Unknown(why) = &zone.delegation {
        findings.notes.push(format!("not checked whether public DNS delegates to the zone {name}: {why}"));
    }
    let Some(Problem { what, remedy, .. }) = delegated_elsewhere(zone) else { return };
    let waits = |region: &Region| input.observed.stack(&region.name, StackKind::Edge).is_none();
    if input.selected().any(waits) {
        let what = format!("{what}: a certificate for it would never be issued");
        findings.problems.push(Problem::new(what, remedy).in_region(input.home()));
    } else {
        findings.notes.push(format!("{what}; {remedy}"));
    }
}

/// The problem if public DNS delegates to other name servers than the zone's.
pub(crate) fn delegated_elsewhere(zone: &Zone) -> Option<Problem> {
    let Delegation::Elsewhere(found) = &zone.delegation else { return None };
    let found: Vec<&str> = found.iter().map(String::as_str).collect();
    let found =
        if found.is_empty() { "to no name server".to_owned() } else { format!("to {}", found.join(", ")) };
    let ours: Vec<&str> = zone.name_servers.iter().map(String::as_str).collect();
    let (name, id) = (&zone.name, &zone.id);
    Some(Problem::new(
        format!("public DNS delegates {name} {found}, not to the zone {id}"),
        format!(
            "set the name servers of {name} at its registrar (or as NS records of the zone above it) to {}, then try again",
            ours.join(", ")
        ),
    ))
}

/// A new account's quota of 10 concurrent executions leaves nothing for bursts.
pub(crate) const CONCURRENCY_MIN: u64 = 100;
/// Executions that Lambda does not let an account reserve.
const UNRESERVED_MIN: u64 = 10;

/// The command that requests a larger quota of concurrent executions (`L-B99A9384`).
pub(crate) fn raise_concurrency(region: &str) -> String {
    format!(
        "aws service-quotas request-service-quota-increase --service-code lambda --quota-code L-B99A9384 --desired-value 1000 --region {region}"
    )
}

/// Checks the quotas of concurrent executions: AWS refuses to reserve more than the quota, and answers 429 beyond it.
fn concurrency(input: &PlanInput<'_>, findings: &mut Findings) {
    let mut few: Vec<(&RegionName, u64)> = Vec::new();
    for region in input.selected() {
        let observed = input.observed.regions.get(&region.name);
        let Some(limit) = observed.and_then(|observed| observed.concurrency) else { continue };
        let reserved = region.runtime.reserved_concurrency.map_or(0, u64::from);
        if reserved > 0 && reserved + UNRESERVED_MIN > limit {
            let problem = Problem::new(
                format!(
                    "reserved_concurrency is {reserved}, and the account has {limit} concurrent executions, {UNRESERVED_MIN} of which can't be reserved"
                ),
                format!(
                    "lower or remove it in regions.toml, or request a higher quota: {}",
                    raise_concurrency(&region.name)
                ),
            );
            findings.problems.push(problem.in_region(&region.name));
        } else if limit < CONCURRENCY_MIN {
            few.push((&region.name, limit));
        }
    }
    let Some((first, fewest)) = few.iter().min_by_key(|(_, limit)| limit).copied() else { return };
    let names: Vec<&str> = few.iter().map(|(name, _)| name.as_str()).collect();
    let each = if few.len() > 1 { ", and the same for the other regions" } else { "" };
    findings.notes.push(format!(
        "the account runs at most {fewest} calls at once in {} (as new accounts do); more are answered with 429. Request a higher quota (it takes hours to days): {}{each}",
        names.join(", "),
        raise_concurrency(first)
    ));
}

/// Home can't be moved: its tables and stream exist once, where they are.
pub(super) fn home_elsewhere(input: &PlanInput<'_>, findings: &mut Findings) {
    let home = input.home();
    for other in input.observed.regions_with(StackKind::Home).filter(|region| *region != home) {
        let problem = Problem::new(
            format!("`home` is {home}, and this service's home is {other}; it can't be moved"),
            format!("set `home = \"{other}\"` in regions.toml, or name another `environment`"),
        );
        findings.problems.push(problem.in_region(home));
    }
}

/// Notes data that a deleted service of this name has left: CloudFormation imports it when home's stack is created.
pub(super) fn note_adopted(input: &PlanInput<'_>, findings: &mut Findings) {
    let (observed, names) = (input.observed, input.names());
    if observed.home_stack(input.home()).is_some() {
        return;
    }
    let bucket = names.failure_bucket(&observed.account);
    let found: Vec<&str> = [
        (observed.access.is_some(), names.access_table.as_str()),
        (observed.kept.ledger, &names.ledger_table),
        (observed.kept.stream, &names.stream),
        (observed.kept.failure_bucket, &bucket),
    ]
    .into_iter()
    .filter_map(|(there, name)| there.then_some(name))
    .collect();
    if !found.is_empty() {
        findings.notes.push(format!(
            "existing data is adopted as it is: {}. If it is not this service's, choose another `name` or `environment`",
            found.join(", ")
        ));
    }
}

/// Notes deployed regions that the file does not have and this deploy keeps.
pub(super) fn note_orphans(findings: &mut Findings, kept: &BTreeSet<&str>) {
    if !kept.is_empty() {
        let regions: Vec<&str> = kept.iter().copied().collect();
        findings.notes.push(format!(
            "deployed and not in the file: {}; a deploy of all regions removes them",
            regions.join(", ")
        ));
    }
}

/// Notes regions that an operator has drained: a deploy leaves them so.
pub(super) fn note_drained(input: &PlanInput<'_>, findings: &mut Findings) {
    let drained = input.observed.zone.iter().flat_map(|zone| &zone.drained);
    let drained: Vec<&str> = drained.map(RegionName::as_str).collect();
    if !drained.is_empty() {
        findings.notes.push(format!("drained, and left so: {}", drained.join(", ")));
    }
}

/// Notes regions that are removed and can't be read: their stacks stay.
pub(super) fn note_unreachable(
    input: &PlanInput<'_>,
    findings: &mut Findings,
    removed: &BTreeSet<RegionName>,
) {
    for region in removed {
        let observed = input.observed.regions.get(region);
        if let Some(problem) = observed.and_then(|observed| observed.unreachable.as_ref()) {
            findings.notes.push(format!("stacks of {region} are unknown and stay: {}", problem.what));
        }
    }
}
