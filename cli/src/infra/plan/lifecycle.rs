//! Regions that are deployed and no longer in the file. They go in the order in which nothing is used that is gone:
//!
//! 1. records (in the wave of all records), so that no new caller is sent there;
//! 2. a wait, until resolvers have forgotten the records;
//! 3. the edge, which nobody calls now;
//! 4. its replica of the access table, which only the edge reads;
//! 5. its bucket. It goes last: until then, putting the region back into the file finds its artifacts.
//!
//! A run may stop between any two of them. What is left (a stack, a replica, a record) still shows that the region is
//! deployed, so the next run plans the rest.

use std::collections::BTreeSet;

use ipgeo_contract::RegionName;

use super::guards::stack_busy;
use super::home;
use super::input::{Findings, PlanInput};
use super::model::{Action, Before, BucketKind, Plan, Step, WaveKind};
use super::observed::{Observed, StackState, alias_of};
use crate::config::Config;
use crate::infra::stacks::{Names, RenderError, StackKind};

/// Seconds that a resolver may keep an alias record's answer (Route 53 gives alias records of AWS services
/// their target's TTL: 60).
pub(super) const RECORD_TTL_S: u64 = 60;

/// Regions in which something is deployed and that the file does not have. Home is never one of them: the file always
/// has it.
pub(super) fn orphans(config: &Config, observed: &Observed) -> BTreeSet<RegionName> {
    let mut deployed = observed.deployed_regions();
    for region in &config.regions {
        deployed.remove(&region.name);
    }
    deployed
}

/// Adds the waves that remove regions, after their records went. `plan` has all other waves.
pub(super) fn push_removals(
    input: &PlanInput<'_>,
    findings: &mut Findings,
    plan: &mut Plan,
    removed: &BTreeSet<RegionName>,
) -> Result<(), RenderError> {
    if removed.is_empty() {
        return Ok(());
    }
    check_busy(input.observed, findings, removed);
    plan.push(WaveKind::Drain, drain_wait(input, removed));
    plan.push(WaveKind::RemoveEdges, deletions(input.observed, input.names(), removed, StackKind::Edge));
    // The plan may itself update home's stack: the removals continue from there.
    let left_by_plan = plan.steps().filter_map(|(wave, step)| match &step.action {
        Action::Stack(stack) if wave == WaveKind::Home => Some(stack.text.clone()),
        _ => None,
    });
    let deployed = input.observed.home_stack(input.home()).map(|stack| stack.text.clone());
    if let Some(template) = left_by_plan.last().or(deployed) {
        let steps = home::replica_removals(input, findings, template, removed)?;
        plan.push(WaveKind::RemoveReplicas, steps);
    }
    plan.push(WaveKind::RemoveBuckets, bucket_removals(input.observed, input.names(), removed));
    Ok(())
}

/// CloudFormation refuses to delete a stack while an operation on it is under way.
pub(super) fn check_busy(observed: &Observed, findings: &mut Findings, regions: &BTreeSet<RegionName>) {
    for (name, region) in observed.regions.iter().filter(|(name, _)| regions.contains(*name)) {
        for (kind, stack) in region.stacks.iter().filter(|(_, stack)| stack.state() == StackState::Busy) {
            findings.problems.push(stack_busy(*kind, stack).in_region(name));
        }
    }
}

/// The wait for resolvers, if a removed edge has an address that they may still know. Whether records are there now says
/// too little: an interrupted run may have removed them a moment ago.
pub(super) fn drain_wait(input: &PlanInput<'_>, removed: &BTreeSet<RegionName>) -> Vec<Step> {
    let observed = input.observed;
    // No resolver knows an emulator's records.
    let seconds = if input.config.emulator.is_some() { 1 } else { RECORD_TTL_S };
    let attached = observed.attached();
    let has_address = |region: &&RegionName| {
        attached.contains(*region) || observed.stack(region, StackKind::Edge).and_then(alias_of).is_some()
    };
    // All regions wait at the same time, so one step is enough.
    let region = removed.iter().find(has_address);
    region.map(|region| wait_step(region, seconds)).into_iter().collect()
}

/// Waits until no resolver knows the removed records any more.
pub(super) fn wait_step(region: &RegionName, seconds: u64) -> Step {
    let why = "resolvers forget the removed records".to_owned();
    Step::new(region, Action::Wait { seconds, why })
}

/// The deletion of a kind of stack wherever there is one, even one that holds nothing.
pub(super) fn deletions(
    observed: &Observed,
    names: &Names,
    regions: &BTreeSet<RegionName>,
    kind: StackKind,
) -> Vec<Step> {
    let step = |region: &RegionName| {
        let stack = observed.regions.get(region)?.stacks.get(&kind)?;
        let before = Some(Box::new(Before::from(stack)));
        Some(Step::new(region, Action::DeleteStack { kind, name: names.stack(kind), before }))
    };
    regions.iter().filter_map(step).collect()
}

/// Bucket stacks, each after its bucket was emptied: CloudFormation does not delete a bucket that holds objects.
pub(super) fn bucket_removals(
    observed: &Observed,
    names: &Names,
    removed: &BTreeSet<RegionName>,
) -> Vec<Step> {
    deletions(observed, names, removed, StackKind::Artifacts)
        .into_iter()
        .flat_map(|deletion| {
            let empty = Action::EmptyBucket { bucket: BucketKind::Artifacts };
            [Step::new(&deletion.region, empty), deletion]
        })
        .collect()
}
