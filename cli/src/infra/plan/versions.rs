//! Which published version of each function serves: back to the one before, forward to the stack's, and old ones pruned.
//!
//! A stack's update publishes a version and moves the alias to it. A rollback moves the alias back at once and leaves the
//! stack as it is, so the next deploy finds an alias that differs from its stack, and moves it forward again. A rollback by an
//! update of the stack would take minutes and can itself fail.
//!
//! The counter's new version serves before the canary's, because it must understand every line that an edge writes; both are
//! rolled back together. A forwarder is published, switched, pruned and rolled back with its edge.

use std::collections::{BTreeMap, BTreeSet};

use ipgeo_contract::RegionName;
use serde::Serialize;

use super::input::{Findings, PlanInput, Scope};
use super::model::{Action, Plan, ProbeSpec, StackChange, Step, WaveKind};
use super::observed::Observed;
use super::problem::{PlanError, Problem};
use crate::config::Config;
use crate::infra::cloud::StepError;
use crate::infra::stacks::{FunctionKind, Names, StackKind, Template};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObservedFunction {
    /// The version that its alias serves, whoever moved it there.
    pub live: Option<u64>,
    /// Their descriptions, by number.
    pub versions: BTreeMap<u64, String>,
}

/// An alias that is moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VersionSwitch {
    pub kind: FunctionKind,
    pub function: String,
    /// The version that it serves before; `None`: a stack's update has just published it.
    pub from: Option<u64>,
    pub to: u64,
}

impl VersionSwitch {
    /// Whether the alias is where the plan has seen it.
    pub fn check(&self, serves: Option<u64>) -> Result<(), StepError> {
        match (self.from, serves) {
            (Some(from), Some(serves)) if from != serves => Err(StepError {
                remedy: Some("nothing was changed by this step; run `ipgeo plan` again".to_owned()),
                ..StepError::new(format!("{} serves version {serves}, not {from} as planned", self.function))
            }),
            _ => Ok(()),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PrunedVersions {
    pub kind: FunctionKind,
    pub function: String,
    pub versions: Vec<u64>,
}

/// The version that an operator wants to return to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WantedVersion {
    /// The one before the stack's.
    Previous,
    Number(u64),
    /// The newest version whose code's digest begins with this.
    Code(String),
}

/// What a version's description says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Release<'a> {
    /// The first characters of the code's digest.
    pub(crate) code: Option<&'a str>,
    /// The same of the geo database.
    pub(crate) database: Option<&'a str>,
    /// The last day on which the database's licence allows to serve it.
    pub(crate) until: Option<&'a str>,
}

impl<'a> Release<'a> {
    pub(crate) fn read(description: &'a str) -> Self {
        let words: Vec<&str> = description.split([' ', ',']).filter(|word| !word.is_empty()).collect();
        let after = |name: &str| words.iter().skip_while(|word| **word != name).nth(1).copied();
        Self { code: after("code"), database: after("database"), until: after("until") }
    }

    /// Whether its database must no longer be served on a day.
    fn has_expired(self, today: &str) -> bool {
        self.until.is_some_and(|until| until < today)
    }
}

impl ObservedFunction {
    pub(crate) fn release(&self, version: u64) -> Release<'_> {
        self.versions.get(&version).map(|description| Release::read(description)).unwrap_or_default()
    }
}

impl Observed {
    pub fn function(&self, region: &str, kind: FunctionKind) -> Option<&ObservedFunction> {
        self.regions.get(region)?.functions.get(&kind)
    }

    /// The version of a function that its stack has published last.
    pub(crate) fn stack_version(&self, region: &str, kind: FunctionKind) -> Option<u64> {
        self.stack(region, kind.stack())?.outputs.get(kind.version_output())?.parse().ok()
    }
}

/// Whether a stack's update publishes a version of a function, and moves its alias.
fn publishes(change: &StackChange, kind: FunctionKind) -> bool {
    let version =
        |text: &str| Template::parse(text).ok().and_then(|one| one.version(kind).map(str::to_owned));
    change.before.as_ref().is_none_or(|before| version(&before.text) != version(&change.text))
}

/// Whether a step publishes a version of a function, and moves its alias.
fn step_publishes(step: &Step, kind: FunctionKind) -> bool {
    matches!(&step.action, Action::Stack(change) if change.kind == kind.stack() && publishes(change, kind))
}

/// Moves an alias to its stack's version: after a rollback it serves another, and an update of the stack that publishes
/// nothing leaves it there.
pub(super) fn to_stack(
    input: &PlanInput<'_>,
    region: &RegionName,
    kind: FunctionKind,
    steps: &[Step],
) -> Option<Step> {
    let to = input.observed.stack_version(region, kind)?;
    let from = input.observed.function(region, kind)?.live.filter(|live| *live != to)?;
    if steps.iter().any(|step| step.region == *region && step_publishes(step, kind)) {
        return None;
    }
    let function = input.names().function(kind).to_owned();
    Some(Step::new(region, Action::Switch(VersionSwitch { kind, function, from: Some(from), to })))
}

/// Deletes versions that are no longer needed for a rollback: beyond the number that is retained, with a database that must no longer be
/// served, or newer than the one that serves: those were rolled back. Lambda keeps a layer's content as long as a version
/// uses it, so an expired database goes with the last version that has it.
pub(super) fn prune_steps(input: &PlanInput<'_>, plan: &Plan) -> Vec<Step> {
    let mut steps = Vec::new();
    for region in input.selected().map(|region| &region.name) {
        for kind in FunctionKind::ALL {
            let Some(observed) = input.observed.function(region, kind) else { continue };
            let mut steps_of_plan = plan.steps();
            let replaced =
                steps_of_plan.any(|(_, step)| step.region == *region && step_publishes(step, kind));
            let current = input.observed.stack_version(region, kind).filter(|_| !replaced);
            let versions = superfluous(input, observed, current);
            if !versions.is_empty() {
                let function = input.names().function(kind).to_owned();
                steps.push(Step::new(region, Action::Prune(PrunedVersions { kind, function, versions })));
            }
        }
    }
    steps
}

/// `current`: the version that serves after the deploy, unless that is a new one.
fn superfluous(input: &PlanInput<'_>, observed: &ObservedFunction, current: Option<u64>) -> Vec<u64> {
    let retained = input.config.deploy.keep_versions.saturating_sub(1) as usize;
    let served = observed.live.or(current).unwrap_or(u64::MAX);
    let others = observed.versions.keys().rev().filter(|version| Some(**version) != current);
    let (served, rejected): (Vec<u64>, Vec<u64>) = others.partition(|version| **version <= served);
    let expired = |version: &&u64| observed.release(**version).has_expired(&input.options.today);
    let beyond = served.iter().skip(retained).chain(served.iter().take(retained).filter(expired));
    let mut versions: Vec<u64> = beyond.chain(&rejected).copied().collect();
    versions.sort_unstable();
    versions
}

/// The plan that returns the functions of a failed run to the versions that served before, from its steps (wave index and
/// step index) that succeeded and that failed: those of regions that failed a gate, and of stacks that failed. When the
/// canary has failed, the counter goes back with it: it was changed for it. An edge that is new served nothing before, and
/// no record leads to it yet.
///
/// `CloudFormation` returns a failed stack by itself, but to the version that the stack had, which may have been rolled back.
pub fn switch_back(plan: &Plan, done: &BTreeSet<(usize, usize)>, failed: &BTreeSet<(usize, usize)>) -> Plan {
    let at = |(wave, step): &(usize, usize)| {
        let wave = plan.waves.get(*wave)?;
        Some((wave.wave, wave.steps.get(*step)?))
    };
    let failing = || failed.iter().filter_map(at);
    let is_of_canary = |wave| matches!(wave, WaveKind::Home | WaveKind::Canary | WaveKind::CanaryProbe);
    let is_of_edges = |wave| matches!(wave, WaveKind::Edges | WaveKind::Probe) || is_of_canary(wave);
    let canary = failing().any(|(wave, _)| is_of_canary(wave));
    let regions: BTreeSet<&RegionName> =
        failing().filter(|(wave, _)| is_of_edges(*wave)).map(|(_, step)| &step.region).collect();
    let mut back: BTreeMap<(FunctionKind, &RegionName), VersionSwitch> = BTreeMap::new();
    for (_, step) in done.union(failed).filter_map(at) {
        for switch in served_before(step) {
            let concerned = match switch.kind {
                FunctionKind::Counter => canary,
                FunctionKind::Edge | FunctionKind::Forwarder => regions.contains(&step.region),
            };
            if concerned {
                back.entry((switch.kind, &step.region)).or_insert(switch);
            }
        }
    }
    let steps: Vec<_> = back.into_iter().map(|((_, region), switch)| (region.clone(), switch)).collect();
    let probe = plan.steps().find_map(|(_, step)| match &step.action {
        Action::Probe(spec) => Some(spec),
        _ => None,
    });
    let empty = Plan { waves: Vec::new(), notes: Vec::new(), ..plan.clone() };
    switches(empty, &steps, probe)
}

/// How to undo a step that has moved aliases.
fn served_before(step: &Step) -> Vec<VersionSwitch> {
    match &step.action {
        Action::Switch(switch) => {
            let back = |to| VersionSwitch { from: Some(switch.to), to, ..switch.clone() };
            switch.from.map(back).into_iter().collect()
        }
        Action::Stack(change) => {
            let moved = change.served_before.iter().filter(|switch| publishes(change, switch.kind));
            moved.cloned().collect()
        }
        _ => Vec::new(),
    }
}

/// Moves aliases, edges first and then the counter, which reads every line that an older edge writes, and probes the edges.
fn switches(mut plan: Plan, steps: &[(RegionName, VersionSwitch)], probe: Option<&ProbeSpec>) -> Plan {
    let edges: BTreeSet<RegionName> = steps
        .iter()
        .filter(|(_, switch)| switch.kind == FunctionKind::Edge)
        .map(|(region, _)| region.clone())
        .collect();
    for stack in [StackKind::Edge, StackKind::Home] {
        let of_kind = steps.iter().filter(|(_, switch)| switch.kind.stack() == stack);
        let of_kind = of_kind.map(|(region, switch)| Step::new(region, Action::Switch(switch.clone())));
        plan.push(WaveKind::RollBack, of_kind.collect());
    }
    if let Some(probe) = probe {
        let probes = edges.iter().map(|region| Step::new(region, Action::Probe(probe.clone())));
        plan.push(WaveKind::Probe, probes.collect());
    }
    plan
}

/// The plan that rolls regions back to an older version, all at once: a rollback is urgent, so it has no canary.
pub fn roll_back(
    config: &Config,
    observed: &Observed,
    scope: &Scope,
    wanted: &WantedVersion,
    probe: &ProbeSpec,
    today: &str,
) -> Result<Plan, PlanError> {
    let names = Names::new(config);
    let mut findings = Findings::default();
    let mut steps = Vec::new();
    let regions = config.regions.iter().map(|region| &region.name);
    for region in regions.filter(|region| scope.regions.contains(*region)) {
        if let Some(problem) = observed.regions.get(region).and_then(|region| region.unreachable.clone()) {
            findings.problems.push(problem.in_region(region));
            continue;
        }
        match target(observed, region, wanted, today) {
            Ok((from, to)) => {
                let kind = FunctionKind::Edge;
                let function = names.lookup_function.clone();
                if from != to {
                    let from = Some(from);
                    steps.push((region.clone(), VersionSwitch { kind, function, from, to }));
                }
                let followers = [FunctionKind::Forwarder, FunctionKind::Counter];
                let followers = followers.map(|kind| follower(observed, &names, region, kind, to));
                steps.extend(followers.into_iter().flatten().map(|switch| (region.clone(), switch)));
            }
            Err(problem) => findings.problems.push(problem.in_region(region)),
        }
    }
    let (service, account) = (names.service, observed.account.clone());
    let plan = Plan { service, account, home: config.service.home.clone(), ..Plan::default() };
    let plan = switches(plan, &steps, Some(probe));
    if !plan.is_empty() {
        let note = "regions.toml stays as it is: the next `ipgeo deploy` serves the newer version again";
        findings.notes.push(note.to_owned());
    }
    findings.conclude(plan)
}

/// The version that an edge serves, and the one that it should.
fn target(
    observed: &Observed,
    region: &str,
    wanted: &WantedVersion,
    today: &str,
) -> Result<(u64, u64), Problem> {
    let function = observed.function(region, FunctionKind::Edge);
    let Some((function, live)) = function.and_then(|function| Some((function, function.live?))) else {
        return Err(Problem::new("the edge has no published version", "`ipgeo deploy` publishes one"));
    };
    let retained = || {
        let numbers: Vec<String> = function.versions.keys().map(u64::to_string).collect();
        format!("versions that it has: {}; `ipgeo status` shows the one that serves", numbers.join(", "))
    };
    // From the stack's version, so that a rollback that was interrupted is continued and not doubled.
    let newest = observed.stack_version(region, FunctionKind::Edge).unwrap_or(live);
    let found = match wanted {
        WantedVersion::Previous => function.versions.range(..newest).next_back().map(|(number, _)| *number),
        WantedVersion::Number(number) => function.versions.contains_key(number).then_some(*number),
        WantedVersion::Code(digest) => {
            let has =
                |number: &&u64| function.release(**number).code.is_some_and(|code| code.starts_with(digest));
            function.versions.keys().rev().find(has).copied()
        }
    };
    let Some(to) = found else {
        let what = match wanted {
            WantedVersion::Previous => format!("no version before {newest} is retained"),
            WantedVersion::Number(number) => format!("there is no version {number}"),
            WantedVersion::Code(digest) => format!("no version has code {digest}"),
        };
        return Err(Problem::new(what, retained()));
    };
    let release = function.release(to);
    if let Some(until) = release.until.filter(|_| release.has_expired(today)) {
        let what = format!("version {to} has a database that its licence allowed to serve until {until}");
        return Err(Problem::new(what, retained()));
    }
    Ok((live, to))
}

/// The version switch of a function that follows the edge: the forwarder follows its region's edge to other code, and the
/// counter that of home. A change of memory, variables or database does not affect them.
fn follower(
    observed: &Observed,
    names: &Names,
    region: &RegionName,
    kind: FunctionKind,
    to: u64,
) -> Option<VersionSwitch> {
    let edge = observed.function(region, FunctionKind::Edge)?;
    let newest = observed.stack_version(region, FunctionKind::Edge)?;
    let (left, wanted) = (edge.release(newest).code?, edge.release(to).code?);
    let follower = observed.function(region, kind)?;
    let from = follower.live.filter(|live| left != wanted && follower.release(*live).code == Some(left))?;
    let has = |number: &&u64| follower.release(**number).code == Some(wanted);
    let to = *follower.versions.keys().rev().find(has)?;
    Some(VersionSwitch { kind, function: names.function(kind).to_owned(), from: Some(from), to })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_read() {
        let table = [
            (
                "code 3f2a9c1b, database 9d1e5a07 until 2026-12-01",
                (Some("3f2a9c1b"), Some("9d1e5a07"), Some("2026-12-01")),
            ),
            ("code 3f2a9c1b", (Some("3f2a9c1b"), None, None)),
            ("somebody's", (None, None, None)),
            ("", (None, None, None)),
        ];
        for (text, (code, database, until)) in table {
            assert_eq!(Release::read(text), Release { code, database, until }, "{text}");
        }
        let release = Release { until: Some("2026-12-01"), ..Release::default() };
        assert!(!release.has_expired("2026-12-01") && release.has_expired("2026-12-02"));
    }
}
