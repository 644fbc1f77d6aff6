//! From what should be and what there is to a plan, or to what forbids one.

use std::collections::{BTreeMap, BTreeSet};

use super::diff::compare;
use super::faults::{self, Fault};
use super::lifecycle;
use super::model::{Action, ArtifactFile, Before, Plan, ProbeSpec, StackChange, Step, WaveKind};
use super::observed::{Observed, StackState, replicas_of};
use crate::config::Config;
use crate::infra::stacks::{ArtifactRef, ArtifactSet, RenderError, Renderer, Stack, StackKind, Template};

/// The regions that a deploy is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// Regions of the file.
    pub regions: BTreeSet<String>,
    /// Whether it is all of them: only then are regions removed that the file no longer has.
    pub whole: bool,
}

/// What a plan is made for.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanOptions {
    /// Which regions.
    pub scope: Scope,
    /// Logical names that may be replaced or removed.
    pub allow_replace: BTreeSet<String>,
    /// Whether stacks whose creation failed are made anew.
    pub recreate_failed: bool,
    /// Artifacts that are here.
    pub files: Vec<ArtifactFile>,
    /// How edges are asked.
    pub probe: ProbeSpec,
}

/// A plan, or everything that forbids it. Rendering fails only by a fault of this program or a template that
/// has grown too large. The templates are rendered here for the observed account: without an account they would
/// differ from every deployed one.
pub fn plan(
    config: &Config,
    artifacts: &ArtifactSet,
    observed: &Observed,
    options: &PlanOptions,
) -> Result<Result<Plan, Vec<Fault>>, RenderError> {
    let renderer = &Renderer::new(config, artifacts)?.for_account(&observed.account);
    let mut planner = Planner { config, renderer, observed, options, faults: Vec::new() };
    planner.check_surroundings();
    let mut plan = Plan {
        service: renderer.names().service.clone(),
        home: config.service.home.clone(),
        ..Plan::default()
    };
    let orphans = lifecycle::orphans(config, observed);
    let removed = if options.scope.whole { orphans.clone() } else { BTreeSet::new() };
    let buckets = planner.buckets()?;
    let home = planner.home(&mut plan.notes)?;
    let edges = planner.edges()?;
    let (uploads, copies) = planner.transfers(&home, &edges);
    plan.push(WaveKind::Artifacts, buckets);
    plan.push(WaveKind::Upload, uploads);
    plan.push(WaveKind::Copy, copies);
    plan.push(WaveKind::Home, home);
    let attach = planner.to_attach(&edges);
    planner.note_left_domains(&edges, &mut plan.notes);
    planner.push_edges(&mut plan, edges, &attach);
    plan.push(WaveKind::Records, planner.records(attach, &removed));
    lifecycle::push_removals(&mut plan, &mut planner, &removed)?;
    planner.note_orphans(&mut plan.notes, orphans.difference(&removed));
    planner.note_unread(&mut plan.notes, &removed);
    planner.faults.sort_by(|a, b| a.region.cmp(&b.region));
    Ok(if planner.faults.is_empty() { Ok(plan) } else { Err(planner.faults) })
}

pub(super) struct Planner<'a> {
    pub(super) config: &'a Config,
    pub(super) renderer: &'a Renderer<'a>,
    pub(super) observed: &'a Observed,
    pub(super) options: &'a PlanOptions,
    pub(super) faults: Vec<Fault>,
}

impl Planner<'_> {
    pub(super) fn selected(&self) -> impl Iterator<Item = &crate::config::Region> {
        self.config.regions.iter().filter(|region| self.options.scope.regions.contains(&region.name))
    }

    pub(super) fn home_region(&self) -> &str {
        &self.config.service.home
    }

    /// What can be known to fail before any stack is looked at.
    fn check_surroundings(&mut self) {
        let home = self.home_region().to_owned();
        let asked = self.selected().map(|region| region.name.clone()).chain([home.clone()]);
        let mut faults = Vec::new();
        for region in asked.collect::<BTreeSet<_>>() {
            let closed = self.observed.regions.get(&region).map(|observed| &observed.closed);
            if let Some(Some((what, remedy))) = closed {
                faults.push(Fault::new(&region, what.clone(), remedy.clone()));
            }
        }
        if let (Some(domain), Some(name)) = (&self.config.service.domain, &self.config.service.hosted_zone) {
            match &self.observed.zone {
                None => faults.push(Fault::new(
                    &home,
                    format!("the account has no public Route 53 zone `{name}`"),
                    format!(
                        "make it, or correct `hosted_zone`; without `domain = \"{domain}\"` none is needed"
                    ),
                )),
                Some(zone) => faults.extend(zone.foreign.iter().map(|record| {
                    Fault::new(
                        &home,
                        format!("{domain} has a record of another kind: {} {}", record.kind, record.what),
                        "remove that record; latency records can't stand beside it",
                    )
                })),
            }
        }
        self.faults.extend(faults);
        self.check_home();
    }

    /// Home can't be moved: what exists once is where it is.
    pub(super) fn check_home(&mut self) {
        let home = self.home_region().to_owned();
        for other in self.observed.regions_with(StackKind::Home).filter(|region| *region != home) {
            self.faults.push(Fault::new(
                &home,
                format!("`home` is {home}, and this service's home is {other}; it can't be moved"),
                format!("set `home = \"{other}\"` in regions.toml, or name another `environment`"),
            ));
        }
    }

    fn buckets(&mut self) -> Result<Vec<Step>, RenderError> {
        let home = self.home_region().to_owned();
        let mut regions: Vec<String> = self.selected().map(|region| region.name.clone()).collect();
        if !regions.contains(&home) {
            regions.insert(0, home);
        }
        let mut steps = Vec::new();
        for region in regions {
            let stack = self.renderer.artifacts(&region)?;
            steps.extend(self.stack_step(stack, BTreeMap::new()));
        }
        Ok(steps)
    }

    fn edges(&mut self) -> Result<Vec<Step>, RenderError> {
        let zone = self.observed.zone.as_ref().map(|zone| zone.id.clone());
        let regions: Vec<_> = self.selected().cloned().collect();
        let mut steps = Vec::new();
        for region in regions {
            let stack = self.renderer.edge(&region)?;
            let mut parameters = BTreeMap::new();
            if self.config.service.domain.is_some() {
                parameters.extend(zone.clone().map(|id| ("HostedZoneId".to_owned(), id)));
            }
            steps.extend(self.stack_step(stack, parameters));
        }
        Ok(steps)
    }

    /// Artifacts that changed stacks name and their buckets lack: to home, and from there to the others.
    fn transfers(&mut self, home: &[Step], edges: &[Step]) -> (Vec<Step>, Vec<Step>) {
        let home_region = self.home_region().to_owned();
        let mut wanted: BTreeSet<ArtifactRef> = BTreeSet::new();
        let mut copies = Vec::new();
        for step in home.iter().chain(edges) {
            let Action::Stack(stack) = &step.action else { continue };
            for artifact in self.named_artifacts(&stack.text) {
                let lacks = !self.bucket_holds(&step.region, &artifact);
                if step.region != home_region && lacks {
                    let from = home_region.clone();
                    copies.push(Step::new(&step.region, Action::Copy { artifact: artifact.clone(), from }));
                }
                if lacks && !self.bucket_holds(&home_region, &artifact) {
                    wanted.insert(artifact);
                }
            }
        }
        let mut uploads = Vec::new();
        for artifact in wanted {
            match self.options.files.iter().find(|file| file.artifact == artifact) {
                Some(file) => uploads.push(Step::new(&home_region, Action::Upload(file.clone()))),
                None => self.faults.push(Fault::new(
                    &home_region,
                    format!("{} is neither here nor in the bucket", artifact.key),
                    "build it: `ipgeo deploy` does, or bring the function's with --artifact FILE",
                )),
            }
        }
        (uploads, copies)
    }

    fn named_artifacts(&self, text: &str) -> Vec<ArtifactRef> {
        let known = self.options.files.iter().map(|file| &file.artifact);
        let known = known
            .chain(self.renderer.artifact_set().code.values())
            .chain([&self.renderer.artifact_set().geo]);
        let mut named: Vec<ArtifactRef> =
            known.filter(|artifact| text.contains(&artifact.key)).cloned().collect();
        named.sort();
        named.dedup();
        named
    }

    fn bucket_holds(&self, region: &str, artifact: &ArtifactRef) -> bool {
        self.observed.regions.get(region).is_some_and(|region| region.artifacts.contains(&artifact.key))
    }

    /// The canary, its probe, the other edges, their probes. When home's edge is as it should be already, it is
    /// asked first: after a canary that did not answer, a second try must not do the next region the same harm.
    fn push_edges(&self, plan: &mut Plan, mut edges: Vec<Step>, attach: &BTreeSet<String>) {
        let home = self.home_region();
        let probe = |region: &str| Step::new(region, Action::Probe(self.options.probe.clone()));
        let has_edge = self.observed.stack(home, StackKind::Edge).is_some();
        let home_is_asked = self.selected().any(|region| region.name == home) && has_edge;
        let at_home = edges.iter().position(|step| step.region == home);
        let mut probed: BTreeSet<String> = BTreeSet::new();
        if !edges.is_empty() {
            if at_home.is_none() && home_is_asked {
                probed.insert(home.to_owned());
                plan.push(WaveKind::CanaryProbe, vec![probe(home)]);
            }
            let canary = edges.remove(at_home.unwrap_or(0));
            probed.insert(canary.region.clone());
            let check = probe(&canary.region);
            plan.push(WaveKind::Canary, vec![canary]);
            plan.push(WaveKind::CanaryProbe, vec![check]);
        }
        let others: Vec<String> = self
            .selected()
            .map(|region| region.name.clone())
            .filter(|region| edges.iter().any(|step| step.region == *region) || attach.contains(region))
            .filter(|region| !probed.contains(region))
            .collect();
        plan.push(WaveKind::Edges, edges);
        plan.push(WaveKind::Probe, others.iter().map(|region| probe(region)).collect());
    }

    fn note_orphans<'o>(&self, notes: &mut Vec<String>, orphans: impl Iterator<Item = &'o String>) {
        let orphans: Vec<&str> = orphans.map(String::as_str).collect();
        if !orphans.is_empty() {
            notes.push(format!(
                "deployed and not in the file: {}; a deploy of all regions removes them",
                orphans.join(", ")
            ));
        }
        let drained = self.observed.zone.iter().flat_map(|zone| &zone.drained);
        let drained: Vec<&str> = drained.map(String::as_str).collect();
        if !drained.is_empty() {
            notes.push(format!("drained, and left so: {}", drained.join(", ")));
        }
    }

    /// Regions that go and can't be read: what else is there stays there.
    pub(super) fn note_unread(&self, notes: &mut Vec<String>, removed: &BTreeSet<String>) {
        for region in removed {
            let observed = self.observed.regions.get(region);
            if let Some((what, _)) = observed.and_then(|observed| observed.closed.as_ref()) {
                notes.push(format!("stacks of {region} are not known, and stay: {what}"));
            }
        }
    }

    /// The step from what was observed to a stack, if there is anything to do.
    pub(super) fn stack_step(&mut self, stack: Stack, parameters: BTreeMap<String, String>) -> Option<Step> {
        let observed = self.observed.regions.get(&stack.region).and_then(|r| r.stacks.get(&stack.kind));
        let observed = observed.filter(|there| there.state() != StackState::Hollow);
        if let Some(there) = observed {
            let fault =
                faults::of_state(&stack.region, stack.kind, &stack.name, there, self.options.recreate_failed);
            if let Some(fault) = fault {
                self.faults.push(fault);
                return None;
            }
        }
        let recreate = observed.is_some_and(|there| there.state() == StackState::NeverCreated);
        let before = observed
            .filter(|_| !recreate)
            .map(|there| Before { text: there.text.clone(), parameters: there.parameters.clone() });
        self.change(stack, before, parameters, recreate)
    }

    /// The step from a template that an earlier step leaves.
    pub(super) fn stack_step_from(
        &mut self,
        stack: Stack,
        before: &str,
        parameters: BTreeMap<String, String>,
    ) -> Option<Step> {
        let before = Before { text: before.to_owned(), parameters: parameters.clone() };
        self.change(stack, Some(before), parameters, false)
    }

    fn change(
        &mut self,
        stack: Stack,
        before: Option<Before>,
        parameters: BTreeMap<String, String>,
        recreate: bool,
    ) -> Option<Step> {
        // A template that can't be read was not ours: everything in it counts as gone.
        let old = before.as_ref().map(|before| {
            Template::parse(&before.text)
                .unwrap_or(Template { resources: BTreeMap::new(), outputs: BTreeMap::new() })
        });
        let changes = compare(old.as_ref(), &stack.template);
        let same_outputs = old.as_ref().is_some_and(|old| outputs(old) == outputs(&stack.template));
        let same_parameters = before.as_ref().is_some_and(|before| before.parameters == parameters);
        if changes.is_empty() && same_outputs && same_parameters {
            return None;
        }
        self.faults.extend(faults::of_changes(&stack.region, &changes, &self.options.allow_replace));
        let replicas = match stack.kind {
            StackKind::Home => replicas_of(&stack.template),
            _ => BTreeSet::new(),
        };
        let change = StackChange {
            kind: stack.kind,
            name: stack.name,
            text: stack.text,
            parameters,
            before,
            changes,
            recreate,
            replicas,
            allow_replace: self.options.allow_replace.clone(),
        };
        Some(Step::new(&stack.region, Action::Stack(Box::new(change))))
    }
}

/// Outputs without the digest, which also moves when a comment does.
fn outputs(template: &Template) -> BTreeMap<&String, &serde_json::Value> {
    template.outputs.iter().filter(|(name, _)| *name != "Digest").collect()
}
