//! Drift: changes made outside CloudFormation. A stack update does not revert them where the template is unchanged, so a
//! repair is a step of its own.

use std::collections::BTreeMap;

use ipgeo_contract::RegionName;
use jiff::Timestamp;
use serde::Serialize;

use super::guards::PROTECTED;
use super::input::{Findings, PlanInput, PlanOptions};
use super::model::{Action, Plan, Step, Wave, WaveKind};
use super::problem::{PlanError, Problem};
use crate::infra::stacks::{Names, StackKind};
use crate::ui::format::counted;

/// A resource that differs from its stack's template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Drift {
    pub name: String,
    pub kind: String,
    /// `MODIFIED` or `DELETED`.
    pub status: String,
    /// Each property that differs: its path, the template's value and the actual one.
    pub properties: Vec<String>,
}

impl Drift {
    pub(super) fn is_deleted(&self) -> bool {
        self.status == "DELETED"
    }

    /// Whether it is an alias at another version. A rollback moves aliases on purpose, and the next deploy moves them forward.
    pub(crate) fn is_switched(&self) -> bool {
        self.kind == "AWS::Lambda::Alias" && !self.is_deleted()
    }
}

/// The drifted resources of stacks.
pub type Drifts = BTreeMap<(RegionName, StackKind), Vec<Drift>>;

/// CloudFormation's last drift detection on a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriftCheck {
    pub status: String,
    /// When, seconds since 1970; `None`: never.
    pub at_s: Option<i64>,
}

/// Puts repair steps before all others: an update must begin from the state that its plan has seen. Repaired edges are
/// probed.
pub fn repair_drift(
    mut plan: Plan,
    drifts: &Drifts,
    names: &Names,
    options: &PlanOptions,
) -> Result<Plan, PlanError> {
    let mut findings = Findings::default();
    let (mut repairs, mut probes) = (Vec::new(), Vec::new());
    let found = drifts.iter().filter(|((region, _), list)| {
        options.scope.includes(region) && list.iter().any(|drift| !drift.is_switched())
    });
    for ((region, kind), list) in found {
        if list.iter().any(Drift::is_switched) {
            // A repair covers the complete stack: it would move the alias, too.
            let problem = Problem::new(
                format!(
                    "the {kind} stack has drifted, and serves another version than its template: a repair would switch it"
                ),
                "deploy first (ipgeo deploy), which moves the alias through its gates; then repair the drift",
            );
            findings.problems.push(problem.in_region(region));
            continue;
        }
        let lost = |drift: &&Drift| {
            drift.is_deleted()
                && PROTECTED.contains(&drift.name.as_str())
                && !options.allow_replace.contains(&drift.name)
        };
        findings.problems.extend(list.iter().filter(lost).map(|drift| deleted(drift).in_region(region)));
        let action = Action::RepairDrift {
            kind: *kind,
            name: names.stack(*kind),
            drifts: list.clone(),
            allow_replace: options.allow_replace.clone(),
        };
        repairs.push(Step::new(region, action));
        if *kind == StackKind::Edge {
            probes.push(Step::new(region, Action::Probe(options.probe.clone())));
        }
    }
    let count: usize = repairs.len();
    let waves = [(WaveKind::Repair, repairs), (WaveKind::Probe, probes)];
    let waves = waves.into_iter().filter(|(_, steps)| !steps.is_empty());
    plan.waves.splice(0..0, waves.map(|(wave, steps)| Wave { wave, steps }));
    let mut notes = std::mem::take(&mut plan.notes);
    notes.retain(|note| !note.starts_with(CHECKED));
    notes.push(match count {
        0 => format!("{CHECKED} checked just now: nothing was changed outside CloudFormation"),
        count => format!("{CHECKED} checked just now: {} to repair", counted(count, "stack")),
    });
    findings.notes = notes;
    findings.conclude(plan)
}

/// The beginning of the note on drift.
const CHECKED: &str = "drift was";

fn deleted(drift: &Drift) -> Problem {
    Problem::new(
        format!(
            "{} ({}) was deleted outside CloudFormation; a repair creates an empty one",
            drift.name, drift.kind
        ),
        format!(
            "restore a backup under its name first, or pass --allow-replace {} to start with an empty one",
            drift.name
        ),
    )
}

pub(super) fn note_drift(input: &PlanInput<'_>, findings: &mut Findings) {
    let (mut drifted, mut unchecked, mut oldest) = (Vec::new(), 0, None::<i64>);
    for (name, region) in &input.observed.regions {
        let stacks = region.stacks.iter().filter(|_| input.options.scope.includes(name));
        for (kind, stack) in stacks {
            let Some(check) = &stack.drift else { continue };
            match check.at_s {
                Some(at) => oldest = Some(oldest.map_or(at, |oldest| oldest.min(at))),
                None => unchecked += 1,
            }
            if check.status == "DRIFTED" {
                drifted.push(format!("{kind} of {name}"));
            }
        }
    }
    let at = oldest.and_then(|at| Timestamp::from_second(at).ok());
    let when = match at {
        Some(at) if unchecked == 0 => format!("{CHECKED} last checked at {at} or later"),
        Some(at) => {
            format!("{CHECKED} last checked at {at} or later, and never in {}", counted(unchecked, "stack"))
        }
        // The stacks of a first deploy are too new to be checked.
        None if unchecked > 0 && input.observed.regions_with(StackKind::Edge).next().is_some() => {
            format!("{CHECKED} never checked; `ipgeo drift` checks it")
        }
        None => return,
    };
    findings.notes.push(if drifted.is_empty() {
        when
    } else {
        let drifted = drifted.join(", ");
        format!("{when}; drifted then: {drifted}. `ipgeo deploy --repair-drift` repairs them")
    });
}
