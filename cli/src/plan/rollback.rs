//! Returning every region that a run has touched: its finished changes in reverse, from what was there before.

use std::collections::BTreeSet;

use super::diff::compare;
use super::model::{Action, Before, Plan, RecordChange, StackChange, Step, Wave, WaveKind};
use crate::stacks::{StackKind, Template};

/// The plan that undoes the finished steps of a plan (`done`: wave index and step index). Artifacts, secrets
/// and limits of tiers stay: they harm nobody. So does a stack that is new and is home: it holds data.
pub fn rollback(plan: &Plan, done: &BTreeSet<(usize, usize)>) -> Plan {
    let mut undone = Plan {
        service: plan.service.clone(),
        home: plan.home.clone(),
        notes: vec![format!("returns what this run has changed in {}", plan.service)],
        ..Plan::default()
    };
    for (wave_index, wave) in plan.waves.iter().enumerate().rev() {
        let finished = wave.steps.iter().enumerate().rev();
        let steps: Vec<Step> = finished
            .filter(|(step_index, _)| done.contains(&(wave_index, *step_index)))
            .filter_map(|(_, step)| undo(step))
            .collect();
        if !steps.is_empty() {
            undone.waves.push(Wave { wave: undo_wave(wave.wave), steps });
        }
    }
    undone
}

fn undo_wave(wave: WaveKind) -> WaveKind {
    match wave {
        WaveKind::Canary | WaveKind::Edges => WaveKind::Edges,
        other => other,
    }
}

fn undo(step: &Step) -> Option<Step> {
    match &step.action {
        Action::Stack(stack) => match &stack.before {
            Some(before) => Some(Step::new(&step.region, Action::Stack(Box::new(back(stack, before)?)))),
            None if stack.kind == StackKind::Edge => {
                let (kind, name) = (stack.kind, stack.name.clone());
                Some(Step::new(&step.region, Action::DeleteStack { kind, name }))
            }
            None => None,
        },
        Action::Records(change) => {
            // What a run attaches had no right record before; an edge that stays is attached again by the
            // next deploy.
            let undone = RecordChange {
                attach: BTreeSet::new(),
                detach: change.attach.clone(),
                drained: change.drained_before.clone(),
                drained_before: change.drained.clone(),
                ..change.clone()
            };
            Some(Step::new(&step.region, Action::Records(undone)))
        }
        _ => None,
    }
}

fn back(stack: &StackChange, before: &Before) -> Option<StackChange> {
    let (old, new) = (Template::parse(&before.text).ok()?, Template::parse(&stack.text).ok()?);
    let changes = compare(Some(&new), &old);
    let removed = |change: &super::ResourceChange| change.op != super::Op::Modify;
    Some(StackChange {
        kind: stack.kind,
        name: stack.name.clone(),
        text: before.text.clone(),
        parameters: before.parameters.clone(),
        before: Some(Before { text: stack.text.clone(), parameters: stack.parameters.clone() }),
        replicas: if stack.kind == StackKind::Home {
            super::observed::replicas_of(&old)
        } else {
            BTreeSet::new()
        },
        // What this run has made goes as it came.
        allow_replace: changes.iter().filter(|change| removed(change)).map(|c| c.name.clone()).collect(),
        changes,
        recreate: false,
    })
}
