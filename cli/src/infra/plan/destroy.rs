//! Taking a service down: records, edges, home, buckets. Data stays unless it is told to go.

use std::collections::{BTreeMap, BTreeSet};

use super::edit;
use super::faults::{self, Fault};
use super::kept;
use super::lifecycle::{bucket_removals, deletions, push_wait};
use super::model::{Action, BucketKind, Plan, ProbeSpec, RecordChange, Step, WaveKind};
use super::observed::{Observed, StackState};
use super::planner::{PlanOptions, Planner, Scope};
use crate::config::Config;
use crate::infra::stacks::{ArtifactSet, RenderError, Renderer, StackKind};

/// How a service is taken down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DestroyOptions {
    /// Whether tables, stream and failure bucket go too.
    pub delete_data: bool,
}

/// The plan that takes a service down, or everything that forbids it.
pub fn destroy(
    config: &Config,
    artifacts: &ArtifactSet,
    observed: &Observed,
    options: DestroyOptions,
) -> Result<Result<Plan, Vec<Fault>>, RenderError> {
    let renderer = &Renderer::new(config, artifacts)?.for_account(&observed.account);
    let everywhere = observed.deployed_regions();
    let plan_options = PlanOptions {
        scope: Scope { regions: everywhere.clone(), whole: true },
        allow_replace: super::PROTECTED.iter().map(|name| (*name).to_owned()).collect(),
        recreate_failed: true,
        files: Vec::new(),
        probe: ProbeSpec::default(),
    };
    let home = config.service.home.clone();
    let mut planner = Planner { config, renderer, observed, options: &plan_options, faults: Vec::new() };
    let mut plan = Plan { service: renderer.names().service.clone(), home: home.clone(), ..Plan::default() };
    plan.push(WaveKind::Records, detach_all(config, observed));
    push_wait(&mut plan, observed, &everywhere);
    plan.push(WaveKind::RemoveEdges, deletions(observed, renderer.names(), &everywhere, StackKind::Edge));
    plan.push(WaveKind::RemoveHome, home_removal(&mut planner, options));
    plan.push(WaveKind::RemoveBuckets, bucket_removals(&planner, &everywhere));
    // A stack whose creation failed manages nothing: existing data was retained from an earlier one.
    let owned = observed.home_stack(&home).is_some();
    if !options.delete_data {
        plan.notes.extend(kept::notes(observed, renderer.names(), &home, owned));
    } else if let Some((what, remedy)) = observed.regions.get(&home).and_then(|home| home.closed.clone()) {
        // Without access to home's stack it is unknown whether it still manages the data.
        planner.faults.push(Fault::new(&home, what, remedy));
    } else if !owned {
        kept::push_deletions(&mut plan, observed, renderer.names());
    }
    planner.note_unread(&mut plan.notes, &everywhere);
    planner.check_home();
    planner.faults.extend(busy(observed));
    Ok(if planner.faults.is_empty() { Ok(plan) } else { Err(planner.faults) })
}

fn detach_all(config: &Config, observed: &Observed) -> Vec<Step> {
    let (Some(domain), Some(zone)) = (&config.service.domain, &observed.zone) else { return Vec::new() };
    let detach = observed.attached();
    if detach.is_empty() && zone.drained.is_empty() {
        return Vec::new();
    }
    let change = RecordChange {
        domain: domain.clone(),
        zone: zone.id.clone(),
        detach,
        drained_before: zone.drained.clone(),
        ..RecordChange::default()
    };
    vec![Step::new(&config.service.home, Action::Records(change))]
}

fn home_removal(planner: &mut Planner<'_>, options: DestroyOptions) -> Vec<Step> {
    let home = planner.home_region().to_owned();
    let names = planner.renderer.names().clone();
    let regions = BTreeSet::from([home.clone()]);
    let deletion = deletions(planner.observed, &names, &regions, StackKind::Home);
    let Some(there) = planner.observed.home_stack(&home).filter(|_| options.delete_data) else {
        return deletion;
    };
    // The stack deletes its data by itself once it is declared so and nothing protects it. All else stays as it
    // is deployed: what is here may name artifacts that are not there.
    let released = edit::all_released(&there.text).and_then(|text| planner.home_stack_of(text));
    let mut steps = Vec::new();
    match released {
        Some(stack) => steps.extend(planner.stack_step_from(stack, &there.text, BTreeMap::new())),
        None => planner.faults.push(Fault::new(
            &home,
            "the home stack's template can't be read, so its data can't be released",
            "bring it up to date first: ipgeo deploy",
        )),
    }
    if !steps.is_empty() {
        let name = names.stack(StackKind::Home);
        planner.faults.extend(faults::of_state(&home, StackKind::Home, &name, there, true));
    }
    steps.push(Step::new(&home, Action::EmptyBucket { bucket: BucketKind::Failures }));
    steps.extend(deletion);
    steps
}

fn busy(observed: &Observed) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (name, region) in &observed.regions {
        for (kind, stack) in region.stacks.iter().filter(|(_, stack)| stack.state() == StackState::Busy) {
            faults.push(Fault::new(
                name,
                format!("the {kind} stack is being changed ({})", stack.status),
                "wait until that is done",
            ));
        }
    }
    faults
}
