//! Edges: their stacks, and the waves in which they are updated and probed.

use std::collections::{BTreeMap, BTreeSet};

use ipgeo_contract::RegionName;

use super::bake::BakeSpec;
use super::input::{Findings, PlanInput};
use super::model::{Action, Plan, Step, WaveKind};
use super::{stack_step, versions};
use crate::infra::stacks::{
    FORWARD_FUNCTION, FunctionKind, PipeParts, RenderError, StackKind, Template, USAGE_DESTINATION,
};

pub(super) fn stacks(input: &PlanInput<'_>, findings: &mut Findings) -> Result<Vec<Step>, RenderError> {
    let zone = input.observed.zone.as_ref().map(|zone| zone.id.clone());
    let mut steps = Vec::new();
    for region in input.selected() {
        let stack = input.renderer.edge_with(region, left_pipes(input, &region.name))?;
        let mut parameters = BTreeMap::new();
        if input.config.service.domain.is_some() {
            parameters.extend(zone.clone().map(|id| ("HostedZoneId".to_owned(), id)));
        }
        steps.extend(stack_step::from_observed(input, findings, stack, parameters));
        for function in [FunctionKind::Edge, FunctionKind::Forwarder] {
            let switch = versions::to_stack(input, &region.name, function, &steps);
            steps.extend(switch);
        }
    }
    Ok(steps)
}

/// The deployed log pipes that an edge retains: one that the subscription no longer uses may still carry lines. The operator
/// may name one to have it removed.
fn left_pipes(input: &PlanInput<'_>, region: &RegionName) -> PipeParts {
    let deployed = input.observed.stack(region, StackKind::Edge);
    let deployed = deployed.and_then(|stack| Template::parse(&stack.text).ok());
    let parts = deployed.as_ref().map(PipeParts::deployed).unwrap_or_default();
    let stays = |name: &str| !input.options.allow_replace.contains(name);
    PipeParts {
        destination: parts.destination && stays(USAGE_DESTINATION),
        forwarder: parts.forwarder && stays(FORWARD_FUNCTION),
    }
}

/// Parts of home and of an edge that carry usage lines, or count them.
const USAGE_PARTS: [&str; 5] = ["Forward", "LogGroup", "LogPipeRole", "LookupRole", "Usage"];

/// Whether a step may stop usage lines from reaching the ledger. A change of the database can't.
fn concerns_usage(step: &Step) -> bool {
    let Action::Stack(stack) = &step.action else { return false };
    let is_code = |path: &str| !path.starts_with("Layers") && !path.starts_with("MemorySize");
    stack.before.is_none()
        || stack.changes.iter().any(|change| {
            USAGE_PARTS.iter().any(|part| change.name.starts_with(part))
                || change.name == "LookupFunction"
                    && change.properties.iter().any(|property| is_code(&property.path))
        })
}

/// Whether a step creates an edge, or switches its log to another pipe.
fn begins_a_pipe(step: &Step) -> bool {
    let Action::Stack(stack) = &step.action else { return false };
    stack.before.is_none() || stack.changes.iter().any(|change| change.name == "UsageSubscription")
}

/// Adds the waves: the canary, its gate, the other edges, their gates. The canary is an edge outside home, because home's
/// stack has what exists once; of the changed ones, the first in the file.
///
/// If the file's first such edge is up to date already, it is probed before another canary. After a canary that failed and
/// was not rolled back, it is up to date but broken; without this probe a second try would take the next region as its
/// canary and break it, too.
///
/// An edge may answer correctly while none of its calls is counted. So after the gate of the canary, and of every edge that
/// is new or has switched its log pipe, a marked call is followed to the ledger.
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
        let home_changes = plan.steps().any(|(wave, step)| wave == WaveKind::Home && concerns_usage(step));
        let concerned = home_changes || canary_steps.iter().any(concerns_usage);
        plan.push(WaveKind::Canary, canary_steps);
        plan.push(WaveKind::CanaryProbe, gate(input, &canary));
        plan.push(WaveKind::CanaryPipe, follow(input, &canary).filter(|_| concerned).into_iter().collect());
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
    let begun = others.iter().filter(|step| begins_a_pipe(step));
    let followed = begun.filter_map(|step| follow(input, &step.region)).collect();
    plan.push(WaveKind::Edges, others);
    plan.push(WaveKind::Probe, gates);
    plan.push(WaveKind::Pipe, followed);
}

/// A marked call through an edge, if they are followed.
fn follow(input: &PlanInput<'_>, region: &RegionName) -> Option<Step> {
    input.options.follow.clone().map(|spec| Step::new(region, Action::Follow(spec)))
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
        input.observed.function(region, FunctionKind::Edge).is_some_and(|function| function.live.is_some());
    if serves && seconds > 0 && input.config.emulator.is_none() {
        let function = input.names().lookup_function.clone();
        steps.push(Step::new(region, Action::Bake(BakeSpec { function, seconds })));
    }
    steps
}
