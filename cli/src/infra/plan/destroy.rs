//! Deleting the service: records, edges, home, buckets. Data is retained unless its deletion is requested.

use std::collections::BTreeSet;

use super::checks;
use super::edit;
use super::guards::{home_template_unreadable, stack_not_updatable};
use super::home::stack_from_text;
use super::input::{Findings, PlanInput, PlanOptions, Scope};
use super::kept;
use super::lifecycle::{bucket_removals, check_busy, deletions, drain_wait};
use super::model::{Action, Before, BucketKind, Plan, ProbeSpec, Step, WaveKind};
use super::observed::Observed;
use super::problem::PlanError;
use super::records::record_change;
use super::stack_step;
use crate::config::Config;
use crate::infra::stacks::{ArtifactSet, Renderer, StackKind};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DestroyOptions {
    /// Whether tables, stream and failure bucket are deleted, too.
    pub delete_data: bool,
    /// Now, seconds since 1970.
    pub now_s: i64,
}

/// Plans the deletion of a service, or reports every problem that blocks it.
pub fn destroy(
    config: &Config,
    artifacts: &ArtifactSet,
    observed: &Observed,
    options: DestroyOptions,
) -> Result<Plan, PlanError> {
    let renderer = &Renderer::new(config, artifacts)?.for_account(&observed.account);
    // All AWS regions were read, so what a changed file no longer names is deleted, too.
    let everywhere = observed.deployed_regions();
    let plan_options = PlanOptions {
        scope: Scope { regions: everywhere.clone(), whole: true },
        allow_replace: super::PROTECTED.iter().map(|name| (*name).to_owned()).collect(),
        recreate_failed: true,
        files: Vec::new(),
        probe: ProbeSpec::default(),
        follow: None,
        today: String::new(),
    };
    let input = PlanInput { config, renderer, observed, options: &plan_options };
    let mut findings = Findings::default();
    let (home, names) = (input.home(), input.names());
    checks::home_elsewhere(&input, &mut findings);
    if let Some((zone, domain)) = observed.zone.as_ref().zip(config.service.domain.as_ref()) {
        findings.problems.extend(checks::wrong_zone(zone, domain).map(|problem| problem.in_region(home)));
    }
    check_busy(observed, &mut findings, &everywhere);

    let mut plan = input.empty_plan();
    // The order is that of removed regions: callers first, then what they call, then what that reads. Edges go before
    // home: if stream or role vanish first, usage lines of calls that are still answered are lost.
    plan.push(WaveKind::Records, detach_all(config, observed));
    plan.push(WaveKind::Drain, drain_wait(&input, &everywhere));
    plan.push(WaveKind::RemoveEdges, deletions(observed, names, &everywhere, StackKind::Edge));
    plan.push(WaveKind::RemoveHome, home_removal(&input, &mut findings, options));
    plan.push(WaveKind::RemoveBuckets, bucket_removals(observed, names, &everywhere));
    // A stack whose creation failed manages nothing: existing data was retained from an earlier one.
    let owned = observed.home_stack(home).is_some();
    if !options.delete_data {
        findings.notes.extend(kept::notes(observed, names, home, owned));
    } else if let Some(problem) = observed.regions.get(home).and_then(|region| region.unreachable.as_ref()) {
        // Without access to home's stack it is unknown whether it still manages the data.
        findings.problems.push(problem.clone().in_region(home));
    } else if let Some(problem) = kept::too_early(observed, names, options.now_s) {
        findings.problems.push(problem.in_region(home));
    } else if !owned {
        kept::push_deletions(&mut plan, observed, names);
    }
    checks::note_unreachable(&input, &mut findings, &everywhere);
    findings.conclude(plan)
}

fn detach_all(config: &Config, observed: &Observed) -> Vec<Step> {
    let (Some(domain), Some(zone)) = (&config.service.domain, &observed.zone) else { return Vec::new() };
    let detach = observed.attached();
    let change = record_change(domain, zone, BTreeSet::new(), detach, BTreeSet::new());
    change.map(|change| Step::new(&config.service.home, Action::Records(change))).into_iter().collect()
}

fn home_removal(input: &PlanInput<'_>, findings: &mut Findings, options: DestroyOptions) -> Vec<Step> {
    let home = input.home();
    let regions = BTreeSet::from([home.to_owned()]);
    let mut deletion = deletions(input.observed, input.names(), &regions, StackKind::Home);
    let Some(deployed) = input.observed.home_stack(home).filter(|_| options.delete_data) else {
        return deletion;
    };
    // A stack retains what its template declares as `Retain` and can't delete what is protected. So an update first
    // declares the data as deletable. The deployed template is edited, not rendered: this machine's artifacts may be
    // others than those in the bucket, and an update that names a missing one fails.
    let released = edit::all_released(&deployed.text).and_then(|text| stack_from_text(input, text));
    let mut steps = Vec::new();
    match released {
        Some(stack) => steps.extend(stack_step::from_template(input, findings, stack, &deployed.text)),
        None => findings.problems.push(home_template_unreadable(home)),
    }
    if let Some(Action::Stack(change)) = steps.last().map(|step: &Step| &step.action) {
        let released = Before { text: change.text.clone(), parameters: change.parameters.clone() };
        for step in &mut deletion {
            if let Action::DeleteStack { before, .. } = &mut step.action {
                *before = Some(Box::new(released.clone()));
            }
        }
        let name = input.names().stack(StackKind::Home);
        findings.problems.extend(stack_not_updatable(home, StackKind::Home, &name, deployed, true));
    }
    steps.push(Step::new(home, Action::EmptyBucket { bucket: BucketKind::Failures }));
    steps.extend(deletion);
    steps
}
