//! Buckets, and what must be in them: a function's code and layer can only be read from a bucket of its own region
//! (Lambda's limit), so every region has one, and home's is the source of the others.

use std::collections::{BTreeMap, BTreeSet};

use ipgeo_contract::RegionName;

use super::input::{Findings, PlanInput};
use super::model::{Action, Step, short_key};
use super::problem::Problem;
use super::stack_step;
use crate::infra::stacks::{ArtifactRef, RenderError};

/// The bucket stacks of the selected regions, and of home in any case.
pub(super) fn bucket_stacks(
    input: &PlanInput<'_>,
    findings: &mut Findings,
) -> Result<Vec<Step>, RenderError> {
    let home = input.home().clone();
    let mut regions: Vec<RegionName> = input.selected().map(|region| region.name.clone()).collect();
    if !regions.contains(&home) {
        regions.insert(0, home);
    }
    let mut steps = Vec::new();
    for region in regions {
        let stack = input.renderer.artifacts(&region)?;
        steps.extend(stack_step::from_observed(input, findings, stack, BTreeMap::new()));
    }
    Ok(steps)
}

/// The artifacts that changed stacks name and their buckets lack: uploads to home, and copies from there to the other
/// regions, because a copy within AWS is faster than an operator's uplink.
pub(super) fn transfers(
    input: &PlanInput<'_>,
    findings: &mut Findings,
    home_steps: &[Step],
    edge_steps: &[Step],
) -> (Vec<Step>, Vec<Step>) {
    let home = input.home();
    let mut missing: BTreeSet<ArtifactRef> = BTreeSet::new();
    let mut copies = Vec::new();
    for step in home_steps.iter().chain(edge_steps) {
        let Action::Stack(stack) = &step.action else { continue };
        for artifact in named_artifacts(input, &stack.text) {
            let lacks = !bucket_holds(input, &step.region, &artifact);
            note_altered(input, findings, &step.region, &artifact);
            if step.region != *home && lacks {
                let action = Action::Copy { artifact: artifact.clone(), from: home.clone() };
                copies.push(Step::new(&step.region, action));
            }
            if lacks && !bucket_holds(input, home, &artifact) {
                missing.insert(artifact);
            }
        }
    }
    let mut uploads = Vec::new();
    for artifact in missing {
        match input.options.files.iter().find(|file| file.artifact == artifact) {
            Some(file) => uploads.push(Step::new(home, Action::Upload(file.clone()))),
            None => findings.problems.push(
                Problem::new(
                    format!("{} is neither on this machine nor in the bucket", artifact.key),
                    "build it with `ipgeo deploy`, or pass the function's with --artifact FILE",
                )
                .in_region(home),
            ),
        }
    }
    (uploads, copies)
}

/// The known artifacts that a template names. A template of an earlier deploy may name older ones: those are in its
/// bucket already.
fn named_artifacts(input: &PlanInput<'_>, text: &str) -> Vec<ArtifactRef> {
    let set = input.renderer.artifact_set();
    let known = input.options.files.iter().map(|file| &file.artifact);
    let known = known.chain(set.code.values()).chain([&set.geo]);
    let mut named: Vec<ArtifactRef> =
        known.filter(|artifact| text.contains(&artifact.key)).cloned().collect();
    named.sort();
    named.dedup();
    named
}

/// Notes that an object is replaced. The list of steps only shows that it is written.
fn note_altered(input: &PlanInput<'_>, findings: &mut Findings, region: &RegionName, artifact: &ArtifactRef) {
    let observed = input.observed.regions.get(region);
    if observed.is_some_and(|observed| observed.altered.contains(&artifact.key)) {
        let name = short_key(artifact);
        let note = format!(
            "{name} in the bucket of {region} is not what its name says (incomplete or replaced); it is written again"
        );
        if !findings.notes.contains(&note) {
            findings.notes.push(note);
        }
    }
}

fn bucket_holds(input: &PlanInput<'_>, region: &str, artifact: &ArtifactRef) -> bool {
    input.observed.regions.get(region).is_some_and(|region| region.artifacts.contains(&artifact.key))
}
