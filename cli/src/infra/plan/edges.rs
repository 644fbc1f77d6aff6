//! Edges: their stacks, and the waves in which they are updated and probed.

use std::collections::{BTreeMap, BTreeSet};

use ipgeo_contract::RegionName;

use super::bake::BakeSpec;
use super::input::{Findings, PlanInput};
use super::model::{Action, Plan, Step, WaveKind};
use super::{stack_step, versions};
use crate::infra::stacks::{RenderError, StackKind};

/// The edge stacks of the selected regions.
pub(super) fn stacks(input: &PlanInput<'_>, findings: &mut Findings) -> Result<Vec<Step>, RenderError> {
    let zone = input.observed.zone.as_ref().map(|zone| zone.id.clone());
    let mut steps = Vec::new();
    for region in input.selected() {
        let stack = input.renderer.edge(region)?;
        let mut parameters = BTreeMap::new();
        if input.config.service.domain.is_some() {
            parameters.extend(zone.clone().map(|id| ("HostedZoneId".to_owned(), id)));
        }
        steps.extend(stack_step::from_observed(input, findings, stack, parameters));
        let switch = versions::to_stack(input, &region.name, StackKind::Edge, &steps);
        steps.extend(switch);
    }
    Ok(steps)
}

/// Adds the waves: the canary, its gate, the other edges, their gates. The canary is an edge outside home, because home's
/// stack has what exists once; of the changed ones, the first in the file.
///
/// If the file's first such edge is up to date already, it is probed before another canary. After a canary that failed and
/// was not rolled back, it is up to date but broken; without this probe a second try would take the next region as its
/// canary and break it, too.
pub(super) fn push_waves(
    input: &PlanInput<'_>,
    plan: &mut Plan,
    edges: Vec<Step>,
    attach: &BTreeSet<RegionName>,
) {
    let home = input.home();
    let regions: Vec<&RegionName> = input.selected().map(|region| &region.name).collect();
    let changed: Vec<&RegionName> =
        regions.iter().copied().filter(|region| edges.iter().any(|step| step.region == **region)).collect();
    let first = |of: &[&RegionName]| {
        of.iter().copied().find(|region| *region != home).or(of.first().copied()).cloned()
    };
    let mut passed: BTreeSet<RegionName> = BTreeSet::new();
    if let Some(usual) = first(&regions).filter(|usual| !changed.is_empty() && !changed.contains(&usual))
        && input.observed.stack(&usual, StackKind::Edge).is_some()
    {
        plan.push(WaveKind::CanaryProbe, vec![probe(input, &usual)]);
        passed.insert(usual);
    }
    let canary = first(&changed);
    let (canary_steps, others): (Vec<Step>, Vec<Step>) =
        edges.into_iter().partition(|step| Some(&step.region) == canary.as_ref());
    if let Some(canary) = canary {
        plan.push(WaveKind::Canary, canary_steps);
        plan.push(WaveKind::CanaryProbe, gate(input, &canary));
        passed.insert(canary);
    }
    // An unchanged edge is probed, too, before records lead to it.
    let mut gates = Vec::new();
    for region in regions.into_iter().filter(|region| !passed.contains(*region)) {
        if others.iter().any(|step| step.region == *region) {
            gates.extend(gate(input, region));
        } else if attach.contains(region) {
            gates.push(probe(input, region));
        }
    }
    plan.push(WaveKind::Edges, others);
    plan.push(WaveKind::Probe, gates);
}

fn probe(input: &PlanInput<'_>, region: &RegionName) -> Step {
    Step::new(region, Action::Probe(input.options.probe.clone()))
}

/// What a changed edge must pass. One that serves already is also watched: a new one has no callers yet, and an emulator
/// has no metrics.
fn gate(input: &PlanInput<'_>, region: &RegionName) -> Vec<Step> {
    let mut steps = vec![probe(input, region)];
    let seconds = u64::from(input.config.deploy.bake_s);
    let serves =
        input.observed.function(region, StackKind::Edge).is_some_and(|function| function.live.is_some());
    if serves && seconds > 0 && input.config.emulator.is_none() {
        let function = input.names().lookup_function.clone();
        steps.push(Step::new(region, Action::Bake(BakeSpec { function, seconds })));
    }
    steps
}
