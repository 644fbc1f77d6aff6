//! From what should be and what there is to a plan, or to what forbids one.

use std::collections::{BTreeMap, BTreeSet};

use super::diff::{Op, compare};
use super::faults::{self, Fault};
use super::lifecycle;
use super::model::{
    Action, ArtifactFile, Before, Plan, ProbeSpec, RecordChange, StackChange, Step, TierLimit, WaveKind,
};
use super::observed::{Observed, ObservedStack, RecordKind, StackState, alias_of, replicas_of};
use crate::config::Config;
use crate::stacks::{
    ArtifactRef, DataPolicy, RenderError, Renderer, Replica, Stack, StackKind, Template, tier_limits,
};

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
/// has grown too large.
pub fn plan(
    config: &Config,
    renderer: &Renderer<'_>,
    observed: &Observed,
    options: &PlanOptions,
) -> Result<Result<Plan, Vec<Fault>>, RenderError> {
    let mut planner = Planner { config, renderer, observed, options, faults: Vec::new() };
    planner.check_surroundings();
    let mut plan = Plan {
        service: renderer.names().service.clone(),
        home: config.service.home.clone(),
        ..Plan::default()
    };
    let buckets = planner.buckets()?;
    let home = planner.home(&mut plan.notes)?;
    let edges = planner.edges()?;
    let (uploads, copies) = planner.transfers(&home, &edges);
    plan.push(WaveKind::Artifacts, buckets);
    plan.push(WaveKind::Upload, uploads);
    plan.push(WaveKind::Copy, copies);
    plan.push(WaveKind::Home, home);
    let attach = planner.to_attach(&edges);
    planner.push_edges(&mut plan, edges, &attach);
    let orphans = lifecycle::orphans(config, observed);
    let removed = if options.scope.whole { orphans.clone() } else { BTreeSet::new() };
    plan.push(WaveKind::Records, planner.records(attach, &removed));
    lifecycle::push_removals(&mut plan, &mut planner, &removed)?;
    planner.note_orphans(&mut plan.notes, orphans.difference(&removed));
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
    fn selected(&self) -> impl Iterator<Item = &crate::config::Region> {
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
        for other in self.observed.regions_with(StackKind::Home).filter(|region| *region != home) {
            faults.push(Fault::new(
                &home,
                format!("`home` is {home}, and this service's home is {other}; it can't be moved"),
                format!("set `home = \"{other}\"` in regions.toml, or name another `environment`"),
            ));
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

    /// Home's steps: limits of tiers, the stack, replicas one at a time, secrets.
    fn home(&mut self, notes: &mut Vec<String>) -> Result<Vec<Step>, RenderError> {
        let home = self.home_region().to_owned();
        let there = self.observed.stack(&home, StackKind::Home).cloned();
        let there = there.filter(|stack| stack.state() != StackState::NeverCreated);
        let wanted: BTreeSet<String> = self.selected().map(|region| region.name.clone()).collect();
        let current = self.observed.replicas(&home);
        let missing: Vec<String> =
            wanted.difference(&current).filter(|region| **region != home).cloned().collect();
        if there.is_some() && missing.is_empty() && !wanted.contains(&home) {
            return Ok(Vec::new());
        }
        let mut steps = self.tier_steps(there.as_ref(), notes);
        let mut before = there.as_ref().map(|stack| (stack.text.clone(), stack.parameters.clone()));
        let mut replicas = match there {
            None => wanted.iter().cloned().chain([home.clone()]).collect(),
            Some(_) => current,
        };
        let first = self.renderer.home(&replicas_of_regions(&replicas), DataPolicy::Keep)?;
        let mut now = first.text.clone();
        if let Some(step) = self.stack_step(first, BTreeMap::new()) {
            before = Some((now.clone(), BTreeMap::new()));
            steps.push(step);
        } else if let Some((text, _)) = &before {
            now.clone_from(text);
        }
        if before.is_some() {
            for region in missing.iter().filter(|region| !replicas.contains(*region)).collect::<Vec<_>>() {
                replicas.insert(region.clone());
                let stack = self.renderer.home(&replicas_of_regions(&replicas), DataPolicy::Keep)?;
                let text = stack.text.clone();
                steps.extend(self.stack_step_from(stack, &now, BTreeMap::new()));
                now = text;
            }
        }
        if !self.observed.access.as_ref().is_some_and(|access| access.ready) {
            steps.push(Step::new(&home, Action::Secret));
        }
        Ok(steps)
    }

    fn tier_steps(&self, home: Option<&ObservedStack>, notes: &mut Vec<String>) -> Vec<Step> {
        let told = home.and_then(|stack| stack.outputs.get("Tiers")).map(String::as_str).unwrap_or_default();
        let wanted = tier_limits(&self.config.tiers);
        let wanted: BTreeMap<&str, &str> =
            wanted.split(' ').filter_map(|tier| tier.split_once('=')).collect();
        let limits = self.observed.access.as_ref().map(|access| &access.limits);
        let mut steps = Vec::new();
        for (tier, from) in told.split(' ').filter_map(|tier| tier.split_once('=')) {
            let key = (tier.to_owned(), from.to_owned());
            let api_keys = limits.and_then(|limits| limits.get(&key)).copied().unwrap_or(0);
            match wanted.get(tier) {
                Some(to) if *to != from && api_keys > 0 => {
                    let (tier, from, to) = (tier.to_owned(), from.to_owned(), (*to).to_owned());
                    let limit = TierLimit { tier, from, to, api_keys };
                    steps.push(Step::new(self.home_region(), Action::Tier(limit)));
                }
                None if api_keys > 0 => notes.push(format!(
                    "tier `{tier}` is no longer in the file; its {api_keys} API keys keep {from}"
                )),
                _ => {}
            }
        }
        steps
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

    /// Regions whose records are missing or lead elsewhere, or whose edge gets another address.
    fn to_attach(&self, edges: &[Step]) -> BTreeSet<String> {
        let (Some(_), Some(zone)) = (&self.config.service.domain, &self.observed.zone) else {
            return BTreeSet::new();
        };
        let moves = |region: &str| {
            edges.iter().filter(|step| step.region == region).any(|step| match &step.action {
                Action::Stack(stack) => {
                    stack.changes.iter().any(|c| c.name == "Domain" && c.op != Op::Modify)
                }
                _ => false,
            })
        };
        let right = |region: &str| {
            let alias = self.observed.stack(region, StackKind::Edge).and_then(alias_of);
            RecordKind::ALL.iter().all(|kind| {
                zone.records.iter().any(|record| {
                    record.region == *region
                        && record.kind == *kind
                        && record.evaluates_health
                        && Some(&record.alias) == alias.as_ref()
                })
            })
        };
        self.selected()
            .map(|region| region.name.clone())
            .filter(|region| !zone.drained.contains(region) && (moves(region) || !right(region)))
            .collect()
    }

    /// The canary, its probe, the other edges, their probes.
    fn push_edges(&self, plan: &mut Plan, mut edges: Vec<Step>, attach: &BTreeSet<String>) {
        let home = self.home_region();
        let probe = |region: &str| Step::new(region, Action::Probe(self.options.probe.clone()));
        let canary = edges.iter().position(|step| step.region == home).unwrap_or(0);
        let mut probed: BTreeSet<String> = BTreeSet::new();
        if !edges.is_empty() {
            let canary = edges.remove(canary);
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

    /// One change batch for all that is attached and removed.
    fn records(&self, attach: BTreeSet<String>, removed: &BTreeSet<String>) -> Vec<Step> {
        let (Some(domain), Some(zone)) = (&self.config.service.domain, &self.observed.zone) else {
            return Vec::new();
        };
        let detach: BTreeSet<String> = self.observed.attached().intersection(removed).cloned().collect();
        let drained: BTreeSet<String> = zone.drained.difference(removed).cloned().collect();
        if attach.is_empty() && detach.is_empty() && drained == zone.drained {
            return Vec::new();
        }
        let change = RecordChange {
            domain: domain.clone(),
            zone: zone.id.clone(),
            attach,
            detach,
            drained,
            drained_before: zone.drained.clone(),
        };
        vec![Step::new(self.home_region(), Action::Records(change))]
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

    /// The step from what was observed to a stack, if there is anything to do.
    fn stack_step(&mut self, stack: Stack, parameters: BTreeMap<String, String>) -> Option<Step> {
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

pub(super) fn replicas_of_regions(regions: &BTreeSet<String>) -> Vec<Replica> {
    regions.iter().map(|region| Replica { region: region.clone(), protected: true }).collect()
}
