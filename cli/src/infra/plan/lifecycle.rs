//! Regions that are deployed and no longer in the file: records first, then time for resolvers to forget,
//! then the edge, the replica (released, then removed; one a stack update), the bucket.

use std::collections::{BTreeMap, BTreeSet};

use super::faults::Fault;
use super::home::replica_list;
use super::model::{Action, BucketKind, Plan, Step, WaveKind};
use super::observed::{Observed, StackState, alias_of, replica_states};
use super::planner::Planner;
use crate::config::Config;
use crate::infra::stacks::{DataPolicy, RenderError, StackKind};

/// Seconds that a resolver may keep an alias record's answer (Route 53 gives alias records of AWS services
/// their target's: 60).
pub(super) const RECORD_TTL_S: u64 = 60;

/// Regions in which something is deployed and that the file does not have. Home can't be one of them: the
/// file always has it.
pub(super) fn orphans(config: &Config, observed: &Observed) -> BTreeSet<String> {
    let mut deployed = observed.deployed_regions();
    for region in &config.regions {
        deployed.remove(&region.name);
    }
    deployed
}

/// The waves that remove regions, after their records went.
pub(super) fn push_removals(
    plan: &mut Plan,
    planner: &mut Planner<'_>,
    removed: &BTreeSet<String>,
) -> Result<(), RenderError> {
    if removed.is_empty() {
        return Ok(());
    }
    let observed = planner.observed;
    for region in removed {
        let stacks = observed.regions.get(region).map(|region| &region.stacks);
        for (kind, stack) in stacks.into_iter().flatten() {
            if stack.state() == StackState::Busy {
                planner.faults.push(Fault::new(
                    region,
                    format!("the {kind} stack is being changed ({})", stack.status),
                    "wait until that is done; `ipgeo deploy` does",
                ));
            }
        }
    }
    push_wait(plan, observed, removed);
    push_edges(plan, planner, removed);
    let home = planner.home_region().to_owned();
    let steps = replica_removals(plan, planner, &home, removed)?;
    plan.push(WaveKind::RemoveReplicas, steps);
    let buckets = bucket_removals(planner, removed);
    plan.push(WaveKind::RemoveBuckets, buckets);
    Ok(())
}

/// Time for resolvers, if an edge goes that records may have led to: they may have gone a moment ago, in a run
/// that did not come to its end.
pub(super) fn push_wait(plan: &mut Plan, observed: &Observed, removed: &BTreeSet<String>) {
    let has_address = |region: &&String| {
        observed.attached().contains(*region)
            || observed.stack(region, StackKind::Edge).and_then(alias_of).is_some()
    };
    let why = "resolvers forget the removed records".to_owned();
    let wait = |region: &String| Step::new(region, Action::Wait { seconds: RECORD_TTL_S, why });
    // One wait is enough for all.
    plan.push(WaveKind::Drain, removed.iter().find(has_address).map(wait).into_iter().collect());
}

fn push_edges(plan: &mut Plan, planner: &Planner<'_>, removed: &BTreeSet<String>) {
    plan.push(
        WaveKind::RemoveEdges,
        deletions(planner.observed, planner.renderer.names(), removed, StackKind::Edge),
    );
}

/// The deletion of a kind of stack wherever there is one, even in name only.
pub(super) fn deletions(
    observed: &Observed,
    names: &crate::infra::stacks::Names,
    regions: &BTreeSet<String>,
    kind: StackKind,
) -> Vec<Step> {
    let has = |region: &&String| observed.regions.get(*region).is_some_and(|r| r.stacks.contains_key(&kind));
    let name = names.stack(kind);
    regions
        .iter()
        .filter(has)
        .map(|region| Step::new(region, Action::DeleteStack { kind, name: name.clone() }))
        .collect()
}

/// Buckets: emptied, then removed.
pub(super) fn bucket_removals(planner: &Planner<'_>, removed: &BTreeSet<String>) -> Vec<Step> {
    let deletions = deletions(planner.observed, planner.renderer.names(), removed, StackKind::Artifacts);
    deletions
        .into_iter()
        .flat_map(|deletion| {
            let empty = Action::EmptyBucket { bucket: BucketKind::Artifacts };
            [Step::new(&deletion.region, empty), deletion]
        })
        .collect()
}

/// Replicas that go: each is released from its protection and then removed, an update each.
fn replica_removals(
    plan: &Plan,
    planner: &mut Planner<'_>,
    home: &str,
    removed: &BTreeSet<String>,
) -> Result<Vec<Step>, RenderError> {
    // What the home wave leaves is where this one begins.
    let left =
        plan.steps().filter(|(wave, _)| *wave == WaveKind::Home).filter_map(|(_, step)| match &step.action {
            Action::Stack(stack) => Some(stack.text.clone()),
            _ => None,
        });
    let observed = planner.observed.home_stack(home).map(|stack| stack.text.clone());
    let Some(mut now) = left.last().or(observed) else { return Ok(Vec::new()) };
    let mut replicas = replica_states(&now);
    let mut steps = Vec::new();
    for region in removed.iter().filter(|region| *region != home) {
        if !replicas.contains_key(region) {
            continue;
        }
        replicas.insert(region.clone(), false);
        let released = planner.renderer.home(&replica_list(&replicas), DataPolicy::Keep)?;
        replicas.remove(region);
        let without = planner.renderer.home(&replica_list(&replicas), DataPolicy::Keep)?;
        for stack in [released, without] {
            let text = stack.text.clone();
            steps.extend(planner.stack_step_from(stack, &now, BTreeMap::new()));
            now = text;
        }
    }
    Ok(steps)
}
