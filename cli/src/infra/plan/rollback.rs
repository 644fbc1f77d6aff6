//! Returning every region that a run has touched: its changes in reverse, from what was there before.

use std::collections::BTreeSet;

use super::diff::{Op, compare};
use super::edit;
use super::lifecycle::RECORD_TTL_S;
use super::model::{Action, Before, Plan, RecordChange, StackChange, Step, WaveKind};
use super::observed::replica_states;
use crate::infra::stacks::{StackKind, Template};

/// The plan that undoes a run, from its steps (wave index and step index) that were done and that have failed. A
/// failed step may have done its work all the same; CloudFormation undoes a failed change of home by itself.
///
/// Artifacts, secrets and limits of tiers stay: they harm nobody. So does a home stack that is new: it holds
/// data. Once a run has begun to remove regions, all that it brought up has answered: nothing is returned then.
pub fn rollback(plan: &Plan, done: &BTreeSet<(usize, usize)>, failed: &BTreeSet<(usize, usize)>) -> Plan {
    let mut undone = Plan { service: plan.service.clone(), home: plan.home.clone(), ..Plan::default() };
    let touched: BTreeSet<(usize, usize)> = done.union(failed).copied().collect();
    if touched.iter().any(|(wave, _)| plan.waves.get(*wave).is_some_and(|wave| removes(wave.wave))) {
        undone.notes.push(
            "nothing is returned: every region that was changed answers, and what is left is to remove regions"
                .to_owned(),
        );
        return undone;
    }
    undone.notes.push(format!("returns what this run has changed in {}", plan.service));
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
            let why = "resolvers forget the removed records".to_owned();
            undone.push(
                WaveKind::Drain,
                vec![Step::new(&plan.home, Action::Wait { seconds: RECORD_TTL_S, why })],
            );
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
        Action::Records(change) => vec![Action::Records(RecordChange {
            // What a run attaches had no right record before; an edge that stays is attached again by the
            // next deploy.
            attach: change.detach.clone(),
            detach: change.attach.clone(),
            drained: change.drained_before.clone(),
            drained_before: change.drained.clone(),
            ..change.clone()
        })],
        _ => Vec::new(),
    };
    actions.into_iter().map(|action| Step::new(&step.region, action)).collect()
}

fn undo_stack(stack: &StackChange) -> Vec<Action> {
    let Some(before) = &stack.before else {
        let (kind, name) = (stack.kind, stack.name.clone());
        let goes = kind == StackKind::Edge;
        return goes.then_some(Action::DeleteStack { kind, name }).into_iter().collect();
    };
    let now = Before { text: stack.text.clone(), parameters: stack.parameters.clone() };
    // A replica that was added is protected: it is released, and then it goes.
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

/// The change from one state of a stack to another; none when nothing differs.
fn change(stack: &StackChange, from: &Before, to: &Before) -> Option<StackChange> {
    let (old, new) = (Template::parse(&from.text).ok()?, Template::parse(&to.text).ok()?);
    if old == new && from.parameters == to.parameters {
        return None;
    }
    let changes = compare(Some(&old), &new);
    // What this run has made goes as it came.
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
        replicas: if stack.kind == StackKind::Home {
            replica_states(&to.text).into_keys().collect()
        } else {
            BTreeSet::new()
        },
    })
}
