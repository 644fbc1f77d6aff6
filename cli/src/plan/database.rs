//! Whether a plan gives regions a geo database and does nothing else.

use super::diff::ResourceChange;
use super::model::{Action, Plan};
use crate::stacks::StackKind;

/// What a plan would do beside giving regions a database, in few words each; the same of several regions once.
pub fn beside_database(plan: &Plan) -> Vec<String> {
    let mut beside = Vec::new();
    for (_, step) in plan.steps() {
        match &step.action {
            Action::Probe(_) => {}
            Action::Upload(file) if is_database(&file.artifact.key) => {}
            Action::Copy { artifact, .. } if is_database(&artifact.key) => {}
            Action::Stack(stack) if stack.kind == StackKind::Edge && stack.before.is_some() => {
                let others = stack.changes.iter().filter(|change| !follows_database(change));
                beside.extend(others.map(|change| format!("edge {}", change.name)));
            }
            _ => beside.push(step.title()),
        }
    }
    beside.sort();
    beside.dedup();
    beside
}

fn is_database(key: &str) -> bool {
    key.starts_with("geo/")
}

/// The layer, and the function for nothing but its layer.
fn follows_database(change: &ResourceChange) -> bool {
    match change.name.as_str() {
        "GeoLayer" => true,
        "LookupFunction" => change.properties.iter().all(|property| property.path.starts_with("Layers")),
        _ => false,
    }
}
