//! Taking a service down: records, edges, home, buckets. Data stays unless it is told to go.

use std::collections::{BTreeMap, BTreeSet};

use super::faults::Fault;
use super::lifecycle::{bucket_removals, deletions, push_wait};
use super::model::{Action, BucketKind, Plan, ProbeSpec, RecordChange, Step, WaveKind};
use super::observed::{Observed, StackState};
use super::planner::{PlanOptions, Planner, Scope, replicas_of_regions};
use crate::config::Config;
use crate::stacks::{DataPolicy, RenderError, Renderer, StackKind};

/// How a service is taken down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DestroyOptions {
    /// Whether tables, stream and failure bucket go too.
    pub delete_data: bool,
}

/// The plan that takes a service down, or what forbids it.
pub fn destroy(
    config: &Config,
    renderer: &Renderer<'_>,
    observed: &Observed,
    options: DestroyOptions,
) -> Result<Result<Plan, Vec<Fault>>, RenderError> {
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
    let steps = home_removal(&mut planner, options)?;
    plan.push(WaveKind::RemoveHome, steps);
    plan.push(WaveKind::RemoveBuckets, bucket_removals(&planner, &everywhere));
    note_data(&mut plan, &planner, options);
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

fn home_removal(planner: &mut Planner<'_>, options: DestroyOptions) -> Result<Vec<Step>, RenderError> {
    let home = planner.home_region().to_owned();
    let names = planner.renderer.names().clone();
    let regions = BTreeSet::from([home.clone()]);
    let deletion = deletions(planner.observed, &names, &regions, StackKind::Home);
    let Some(there) = planner.observed.stack(&home, StackKind::Home).filter(|_| options.delete_data) else {
        return Ok(deletion);
    };
    let mut steps = Vec::new();
    if there.state() == StackState::Settled {
        // The stack deletes its data by itself once it is declared so and nothing protects it.
        let replicas = planner.observed.replicas(&home);
        let released = planner.renderer.home(&replicas_of_regions(&replicas), DataPolicy::Delete)?;
        let text = there.text.clone();
        steps.extend(planner.stack_step_from(released, &text, BTreeMap::new()));
    }
    steps.push(Step::new(&home, Action::EmptyBucket { bucket: BucketKind::Failures }));
    steps.extend(deletion);
    Ok(steps)
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

fn note_data(plan: &mut Plan, planner: &Planner<'_>, options: DestroyOptions) {
    let (names, home) = (planner.renderer.names(), planner.home_region());
    let data = format!(
        "tables {} and {}, stream {}, bucket {}",
        names.access_table,
        names.ledger_table,
        names.stream,
        names.failure_bucket(&planner.observed.account)
    );
    let has_home = planner.observed.stack(home, StackKind::Home).is_some();
    if options.delete_data && !has_home && planner.observed.access.is_some() {
        plan.notes.push(format!(
            "home's stack is gone and its data is kept in {home}: {data}; deploy once more to adopt it, then destroy"
        ));
    } else if !options.delete_data && has_home {
        plan.notes.push(format!(
            "kept in {home}: {data}; a later deploy adopts them; until then the stream alone costs about $11 a month"
        ));
    }
}
