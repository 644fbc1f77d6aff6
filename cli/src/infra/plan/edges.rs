//! Edges: their stacks, and the waves in which they are updated and probed.

use std::collections::{BTreeMap, BTreeSet};

use ipgeo_contract::RegionName;

use super::input::{Findings, PlanInput};
use super::model::{Action, Plan, Step, WaveKind};
use super::stack_step;
use crate::infra::stacks::{
    FORWARD_FUNCTION, PipeParts, RenderError, StackKind, Template, USAGE_DESTINATION,
};

/// The edge stacks of the selected regions.
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
    }
    Ok(steps)
}

/// The log pipes that an edge has now, and keeps: a pipe that its subscription leaves may still carry lines. The operator may
/// name one to have it removed.
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

/// Whether a step may cut usage lines off from the ledger. Another database can't.
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

/// Whether a step creates an edge, or moves its log to another pipe.
fn begins_a_pipe(step: &Step) -> bool {
    let Action::Stack(stack) = &step.action else { return false };
    stack.before.is_none() || stack.changes.iter().any(|change| change.name == "UsageSubscription")
}

/// Adds the waves: the canary, its probe, the other edges, their probes. The canary is home's edge if it changes, else
/// the first one.
///
/// If home's edge is up to date already, it is probed before another canary. After a canary that did not answer, home
/// is up to date but broken; without this probe a second try would take the next region as its canary and break it,
/// too.
///
/// An edge may answer well while nothing of it is counted. So a marked call follows the probe of the canary, and of every
/// new edge, to the ledger.
pub(super) fn push_waves(
    input: &PlanInput<'_>,
    plan: &mut Plan,
    mut edges: Vec<Step>,
    attach: &BTreeSet<RegionName>,
) {
    let home = input.home();
    let probe = |region: &RegionName| Step::new(region, Action::Probe(input.options.probe.clone()));
    let follow = |region: &RegionName| {
        input.options.follow.clone().map(|spec| Step::new(region, Action::Follow(spec)))
    };
    let mut probed: BTreeSet<RegionName> = BTreeSet::new();
    let mut begun: Vec<RegionName> = Vec::new();
    if !edges.is_empty() {
        let at_home = edges.iter().position(|step| step.region == *home);
        let home_is_selected = input.selected().any(|region| region.name == *home);
        let home_has_edge = input.observed.stack(home, StackKind::Edge).is_some();
        if at_home.is_none() && home_is_selected && home_has_edge {
            probed.insert(home.clone());
            plan.push(WaveKind::CanaryProbe, vec![probe(home)]);
        }
        let canary = edges.remove(at_home.unwrap_or(0));
        probed.insert(canary.region.clone());
        let (check, followed) = (probe(&canary.region), follow(&canary.region));
        let home_changes = plan.steps().any(|(wave, step)| wave == WaveKind::Home && concerns_usage(step));
        let followed = followed.filter(|_| home_changes || concerns_usage(&canary));
        begun.extend(edges.iter().filter(|step| begins_a_pipe(step)).map(|step| step.region.clone()));
        plan.push(WaveKind::Canary, vec![canary]);
        plan.push(WaveKind::CanaryProbe, vec![check]);
        plan.push(WaveKind::CanaryPipe, followed.into_iter().collect());
    }
    // An unchanged edge is probed, too, before records lead to it.
    let others: Vec<Step> = input
        .selected()
        .map(|region| &region.name)
        .filter(|region| edges.iter().any(|step| step.region == **region) || attach.contains(*region))
        .filter(|region| !probed.contains(*region))
        .map(probe)
        .collect();
    plan.push(WaveKind::Edges, edges);
    plan.push(WaveKind::Probe, others);
    plan.push(WaveKind::Pipe, begun.iter().filter_map(follow).collect());
}
