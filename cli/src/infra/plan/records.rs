//! What changes in DNS, and whether a region's records are right.

use std::collections::BTreeSet;

use ipgeo_contract::RegionName;

use super::diff::Op;
use super::input::{Findings, PlanInput};
use super::model::{Action, RecordChange, StackChange, Step};
use super::observed::{Observed, RecordKind, Zone, alias_of};
use super::problem::Problem;
use crate::infra::stacks::{StackKind, Template};

/// Whether both of a region's records lead to its edge.
pub(super) fn are_right(observed: &Observed, region: &str) -> bool {
    let Some(alias) = observed.stack(region, StackKind::Edge).and_then(alias_of) else { return false };
    let records = || observed.zone.iter().flat_map(|zone| &zone.records);
    RecordKind::ALL.iter().all(|kind| {
        records().any(|record| {
            record.region == *region
                && record.kind == *kind
                && record.evaluates_health
                && record.alias == alias
        })
    })
}

/// Regions whose records are missing or wrong, or whose edge gets another address.
pub(super) fn to_attach(input: &PlanInput<'_>, edges: &[Step]) -> BTreeSet<RegionName> {
    let (Some(_), Some(zone)) = (&input.config.service.domain, &input.observed.zone) else {
        return BTreeSet::new();
    };
    let gets_address = |region: &str| {
        edges.iter().filter(|step| step.region == region).filter_map(stack_of).any(|stack| {
            stack.changes.iter().any(|change| change.name == "Domain" && change.op != Op::Modify)
        })
    };
    input
        .selected()
        .map(|region| region.name.clone())
        .filter(|region| !zone.drained.contains(region))
        .filter(|region| gets_address(region) || !are_right(input.observed, region))
        .collect()
}

/// One change batch for all that is attached and removed: Route 53 applies a batch as a whole, so there is no moment at
/// which callers are sent nowhere.
pub(super) fn steps(
    input: &PlanInput<'_>,
    findings: &mut Findings,
    attach: BTreeSet<RegionName>,
    removed: &BTreeSet<RegionName>,
) -> Vec<Step> {
    let (Some(domain), Some(zone)) = (&input.config.service.domain, &input.observed.zone) else {
        return Vec::new();
    };
    let attached = input.observed.attached();
    let detach: BTreeSet<RegionName> = attached.intersection(removed).cloned().collect();
    let nobody_left = attached.union(&attach).all(|region| detach.contains(region));
    if let Some(last) = detach.first().filter(|_| nobody_left) {
        let problem = Problem::new(
            format!("{domain} would lead nowhere: no other region has records"),
            "attach one that stays first: ipgeo traffic attach REGION",
        );
        findings.problems.push(problem.in_region(last));
    }
    let in_file = |region: &&RegionName| input.config.regions.iter().any(|known| known.name == **region);
    let whole = input.options.scope.whole;
    let drained: BTreeSet<RegionName> =
        zone.drained.iter().filter(|region| !whole || in_file(region)).cloned().collect();
    let change = record_change(domain, zone, attach, detach, drained);
    change.map(|change| Step::new(input.home(), Action::Records(change))).into_iter().collect()
}

/// The change of the domain's records; `None` if they are as wanted.
pub(super) fn record_change(
    domain: &str,
    zone: &Zone,
    attach: BTreeSet<RegionName>,
    detach: BTreeSet<RegionName>,
    drained: BTreeSet<RegionName>,
) -> Option<RecordChange> {
    let is_unchanged = attach.is_empty() && detach.is_empty() && drained == zone.drained;
    let changed = |region: &RegionName| attach.contains(region) || detach.contains(region);
    let before = zone.records.iter().filter(|record| changed(&record.region)).cloned().collect();
    let others_stay = zone.records.iter().any(|record| !detach.contains(&record.region));
    (!is_unchanged).then(|| RecordChange {
        domain: domain.to_owned(),
        zone: zone.id.clone(),
        before: Some(before),
        others_stay,
        attach,
        detach,
        drained,
        drained_before: zone.drained.clone(),
    })
}

/// Notes domains that edges stop serving. Their records stay: this service may not have created them.
pub(super) fn note_left_domains(input: &PlanInput<'_>, findings: &mut Findings, edges: &[Step]) {
    let now = input.config.service.domain.as_deref();
    let left: BTreeSet<String> = edges
        .iter()
        .filter_map(stack_of)
        .filter_map(|stack| domain_of(&stack.before.as_ref()?.text))
        .filter(|domain| Some(domain.as_str()) != now)
        .collect();
    findings.notes.extend(left.iter().map(|domain| {
        format!("records of {domain} are left as they are; remove them when nobody uses the domain any more")
    }));
}

fn stack_of(step: &Step) -> Option<&StackChange> {
    match &step.action {
        Action::Stack(stack) => Some(stack),
        _ => None,
    }
}

fn domain_of(text: &str) -> Option<String> {
    let template = Template::parse(text).ok()?;
    Some(template.resources.get("Domain")?.property("DomainName")?.as_str()?.to_owned())
}
