//! What can be known to block a plan before any stack is compared, and what an operator should know beside it.

use std::collections::BTreeSet;

use ipgeo_contract::RegionName;

use super::input::{Findings, PlanInput};
use super::problem::Problem;
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
    // Route 53 refuses latency records beside a simple record of the same name and type, and anything beside a CNAME.
    findings.problems.extend(zone.foreign.iter().map(|record| {
        Problem::new(
            format!("{domain} has a record of another kind: {} {}", record.kind, record.what),
            "remove that record; latency records can't exist beside it",
        )
        .in_region(input.home())
    }));
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
