//! The templates of every region, before and after a plan: what `cost` prices.

use std::collections::BTreeMap;

use ipgeo_contract::RegionName;

use super::model::{Action, Plan};
use super::observed::{Observed, StackState};
use crate::infra::stacks::{StackKind, Template};

pub(crate) type Templates = BTreeMap<(RegionName, StackKind), Template>;

/// The templates of the deployed stacks. Stacks that hold nothing or have no readable template are omitted.
pub(crate) fn templates_now(observed: &Observed) -> Templates {
    let mut found = Templates::new();
    for (name, region) in &observed.regions {
        for (kind, stack) in &region.stacks {
            let holds = !matches!(stack.state(), StackState::Hollow | StackState::NeverCreated);
            if let (true, Ok(template)) = (holds, Template::parse(&stack.text)) {
                found.insert((name.clone(), *kind), template);
            }
        }
    }
    found
}

/// The same after a plan was executed.
pub(crate) fn templates_after(observed: &Observed, plan: &Plan) -> Templates {
    let mut found = templates_now(observed);
    for (_, step) in plan.steps() {
        match &step.action {
            Action::Stack(change) => {
                if let Ok(template) = Template::parse(&change.text) {
                    found.insert((step.region.clone(), change.kind), template);
                }
            }
            Action::DeleteStack { kind, .. } => {
                found.remove(&(step.region.clone(), *kind));
            }
            _ => {}
        }
    }
    found
}
