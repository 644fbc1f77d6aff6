//! The step that creates or updates a stack to match its template.

use std::collections::{BTreeMap, BTreeSet};

use super::diff::compare;
use super::guards::{losses, stack_not_updatable};
use super::input::{Findings, PlanInput};
use super::model::{Action, Before, StackChange, Step};
use super::observed::{StackState, replicas_of};
use super::versions::VersionSwitch;
use crate::infra::stacks::{FunctionKind, Stack, StackKind, Template};

/// The step from the observed stack to this one; `None` if nothing would change, or if the stack's state forbids it.
pub(super) fn from_observed(
    input: &PlanInput<'_>,
    findings: &mut Findings,
    stack: Stack,
    parameters: BTreeMap<String, String>,
) -> Option<Step> {
    let observed = input.observed.stack(&stack.region, stack.kind);
    if let Some(observed) = observed {
        let problem = stack_not_updatable(
            &stack.region,
            stack.kind,
            &stack.name,
            observed,
            input.options.recreate_failed,
        );
        if let Some(problem) = problem {
            findings.problems.push(problem);
            return None;
        }
    }
    let recreate = observed.is_some_and(|observed| observed.state() == StackState::NeverCreated);
    let before = observed.filter(|_| !recreate).map(Before::from);
    step(input, findings, stack, before, parameters, recreate)
}

/// The step from the template that an earlier step of the same plan leaves. Only home's stack, which has no
/// parameters, is changed more than once in a plan.
pub(super) fn from_template(
    input: &PlanInput<'_>,
    findings: &mut Findings,
    stack: Stack,
    before: &str,
) -> Option<Step> {
    let before = Before { text: before.to_owned(), parameters: BTreeMap::new() };
    step(input, findings, stack, Some(before), BTreeMap::new(), false)
}

fn step(
    input: &PlanInput<'_>,
    findings: &mut Findings,
    stack: Stack,
    before: Option<Before>,
    parameters: BTreeMap<String, String>,
    recreate: bool,
) -> Option<Step> {
    // A deployed template that can't be parsed is not ours: everything in it counts as removed, so that nothing is
    // lost without being shown.
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
    findings.problems.extend(losses(&stack.region, &changes, &input.options.allow_replace));
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
        allow_replace: input.options.allow_replace.clone(),
        served_before: served_before(input, &stack.region, stack.kind),
    };
    Some(Step::new(&stack.region, Action::Stack(Box::new(change))))
}

fn served_before(input: &PlanInput<'_>, region: &str, stack: StackKind) -> Vec<VersionSwitch> {
    let functions = FunctionKind::ALL.into_iter().filter(|kind| kind.stack() == stack);
    let served = functions.filter_map(|kind| {
        let to = input.observed.function(region, kind)?.live?;
        Some(VersionSwitch { kind, function: input.names().function(kind).to_owned(), from: None, to })
    });
    served.collect()
}

/// Outputs without the digest: it also changes when only a comment of the template does.
fn outputs(template: &Template) -> BTreeMap<&String, &serde_json::Value> {
    template.outputs.iter().filter(|(name, _)| *name != "Digest").collect()
}
