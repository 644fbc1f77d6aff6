//! What a deploy is, from top to bottom: [`plan`] compares the configuration with what was observed, and puts the
//! steps between the two into waves. A wave begins when all of the one before has succeeded.

use std::collections::BTreeSet;

use ipgeo_contract::RegionName;

use super::input::{Findings, PlanInput, PlanOptions};
use super::model::{Plan, WaveKind};
use super::observed::Observed;
use super::problem::PlanError;
use super::{artifacts, checks, edges, home, lifecycle, records, versions};
use crate::config::Config;
use crate::infra::stacks::{ArtifactSet, Renderer};

/// Plans a deploy, or reports every problem that blocks it.
pub fn plan(
    config: &Config,
    artifacts: &ArtifactSet,
    observed: &Observed,
    options: &PlanOptions,
) -> Result<Plan, PlanError> {
    let renderer = &Renderer::new(config, artifacts)?.for_account(&observed.account);
    let input = PlanInput { config, renderer, observed, options };
    let mut findings = Findings::default();
    checks::surroundings(&input, &mut findings);

    // A region is removed only by a deploy of all regions: `--regions a` must not remove `b`.
    let orphans = lifecycle::orphans(config, observed);
    let removed = if options.scope.whole { orphans.clone() } else { BTreeSet::new() };

    // What each stack needs, before any order: home first, because what it can't do now (a replica that the table has
    // and the stack does not declare) blocks the edges that need it.
    let buckets = artifacts::bucket_stacks(&input, &mut findings)?;
    let home = home::steps(&input, &mut findings)?;
    let edges = edges::stacks(&input, &mut findings)?;
    let (uploads, copies) = artifacts::transfers(&input, &mut findings, &home, &edges);
    let attach = records::to_attach(&input, &edges);
    records::note_left_domains(&input, &mut findings, &edges);

    let mut plan = input.empty_plan();
    // 1. Buckets and their content: CloudFormation creates a function or layer only if its zip is there. Home's bucket
    //    is filled first, the others from it.
    plan.push(WaveKind::Artifacts, buckets);
    plan.push(WaveKind::Upload, uploads);
    plan.push(WaveKind::Copy, copies);
    // 2. Home before any edge: creating an edge's log destination sends a test message to home's stream with home's
    //    role, an edge reads the replica that home's stack declares, and the counter must know every line that an edge
    //    writes. So the counter's new version serves before any gate; if the canary fails, `versions::switch_back` returns
    //    both. A counter that fails until then loses nothing: Lambda retries its batches.
    plan.push(WaveKind::Home, home);
    // 3. One edge, probed and watched, before all others: broken code or a broken database reaches one region, and that
    //    one is rolled back.
    edges::push_waves(&input, &mut plan, edges, &attach);
    // 4. DNS after the probes: records lead only to edges that have answered. The same batch takes out the regions that
    //    are removed, so callers move in one change.
    plan.push(WaveKind::Records, records::steps(&input, &mut findings, attach, &removed));
    // 5. Old versions, when the new ones have passed.
    let pruned = versions::prune_steps(&input, &plan);
    plan.push(WaveKind::Prune, pruned);
    // 6. Removals last, when everything that replaces them answers and no record leads to them.
    lifecycle::push_removals(&input, &mut findings, &mut plan, &removed)?;

    let kept = orphans.difference(&removed).map(RegionName::as_str).collect();
    checks::note_orphans(&mut findings, &kept);
    checks::note_drained(&input, &mut findings);
    checks::note_unreachable(&input, &mut findings, &removed);
    findings.conclude(plan)
}
