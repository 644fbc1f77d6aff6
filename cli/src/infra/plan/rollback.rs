//! Rolling back every region that a run has changed: its changes in reverse order, to the state before.

use std::collections::BTreeSet;

use super::diff::{Op, compare};
use super::edit;
use super::lifecycle::{RECORD_TTL_S, wait_step};
use super::model::{Action, Before, Plan, RecordChange, StackChange, Step, WaveKind};
use super::observed::replica_states;
use super::versions::VersionSwitch;
use crate::infra::stacks::{StackKind, Template};

/// The plan that rolls a run back, from its steps (wave index and step index) that succeeded and that failed. A failed
/// step may have had its effect all the same (its answer was lost), so it is rolled back, too; except for home, where
/// CloudFormation rolls a failed update back by itself.
///
/// Artifacts, secrets and limits of tiers stay: they do no harm. So does a new home stack: it holds data. Once a run has
/// begun to remove regions, everything that it deployed has answered, so there is nothing to roll back.
pub fn rollback(plan: &Plan, done: &BTreeSet<(usize, usize)>, failed: &BTreeSet<(usize, usize)>) -> Plan {
    let mut undone = Plan { waves: Vec::new(), notes: Vec::new(), ..plan.clone() };
    let touched: BTreeSet<(usize, usize)> = done.union(failed).copied().collect();
    if touched.iter().any(|(wave, _)| plan.waves.get(*wave).is_some_and(|wave| removes(wave.wave))) {
        undone.notes.push(
            "nothing to roll back: every changed region answers, and what is left is to remove regions"
                .to_owned(),
        );
        return undone;
    }
    undone.notes.push(format!("rolls back what this run has changed in {}", plan.service));
    for (wave_index, wave) in plan.waves.iter().enumerate().rev() {
        let mut steps: Vec<Step> = Vec::new();
        for (step_index, step) in wave.steps.iter().enumerate().rev() {
            let at = (wave_index, step_index);
            if done.contains(&at) || (failed.contains(&at) && wave.wave != WaveKind::Home) {
                steps.extend(undo(step));
            }
        }
        let loses_records = matches!(wave.wave, WaveKind::Records) && !steps.is_empty();
        let wave = if wave.wave == WaveKind::Canary { WaveKind::Edges } else { wave.wave };
        undone.push(wave, steps);
        if loses_records {
            undone.push(WaveKind::Drain, vec![wait_step(&plan.home, RECORD_TTL_S)]);
        }
    }
    undone
}

fn removes(wave: WaveKind) -> bool {
    matches!(
        wave,
        WaveKind::RemoveEdges | WaveKind::RemoveReplicas | WaveKind::RemoveHome | WaveKind::RemoveBuckets
    )
}

fn undo(step: &Step) -> Vec<Step> {
    let actions = match &step.action {
        Action::Stack(stack) => undo_stack(stack),
        Action::Switch(switch) => switch
            .from
            .map(|to| Action::Switch(VersionSwitch { from: Some(switch.to), to, ..switch.clone() }))
            .into_iter()
            .collect(),
        Action::Records(change) => vec![Action::Records(RecordChange {
            // What a run attaches had no right record before; an edge that stays is attached again by the
            // next deploy.
            attach: change.detach.clone(),
            detach: change.attach.clone(),
            drained: change.drained_before.clone(),
            drained_before: change.drained.clone(),
            before: None,
            others_stay: false,
            ..change.clone()
        })],
        _ => Vec::new(),
    };
    actions.into_iter().map(|action| Step::new(&step.region, action)).collect()
}

fn undo_stack(stack: &StackChange) -> Vec<Action> {
    let now = Before { text: stack.text.clone(), parameters: stack.parameters.clone() };
    let Some(before) = &stack.before else {
        let (kind, name) = (stack.kind, stack.name.clone());
        let goes = kind == StackKind::Edge;
        let before = Some(Box::new(now));
        return goes.then_some(Action::DeleteStack { kind, name, before }).into_iter().collect();
    };
    // An added replica is protected from deletion, so an update of its own releases it first.
    let declared = replica_states(&before.text);
    let added = replica_states(&stack.text).into_keys().filter(|region| !declared.contains_key(region));
    let released = edit::released(&stack.text, &added.collect())
        .filter(|_| stack.kind == StackKind::Home)
        .map(|text| Before { text, parameters: stack.parameters.clone() });
    let mut actions = Vec::new();
    let mut from = now;
    for to in released.into_iter().chain([before.clone()]) {
        actions.extend(change(stack, &from, &to).map(|change| Action::Stack(Box::new(change))));
        from = to;
    }
    actions
}

/// The change from one state of a stack to another; `None` if nothing differs.
fn change(stack: &StackChange, from: &Before, to: &Before) -> Option<StackChange> {
    let (old, new) = (Template::parse(&from.text).ok()?, Template::parse(&to.text).ok()?);
    if old == new && from.parameters == to.parameters {
        return None;
    }
    let changes = compare(Some(&old), &new);
    // What this run has created may be removed again without being named.
    let gone = changes.iter().filter(|change| change.op != Op::Modify).map(|change| change.name.clone());
    Some(StackChange {
        kind: stack.kind,
        name: stack.name.clone(),
        text: to.text.clone(),
        parameters: to.parameters.clone(),
        before: Some(from.clone()),
        allow_replace: gone.collect(),
        changes,
        recreate: false,
        served_before: Vec::new(),
        replicas: if stack.kind == StackKind::Home {
            replica_states(&to.text).into_keys().collect()
        } else {
            BTreeSet::new()
        },
    })
}
