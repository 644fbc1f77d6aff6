//! Whether a plan rolls out a geo database and changes nothing else.

use super::diff::ResourceChange;
use super::model::{Action, Plan};
use crate::infra::stacks::StackKind;

/// Titles of what a plan would change beside the database, each once.
pub(crate) fn beside_database(plan: &Plan) -> Vec<String> {
    let mut beside = Vec::new();
    for (_, step) in plan.steps() {
        match &step.action {
            Action::Probe(_) | Action::Bake(_) | Action::Follow(_) | Action::Prune(_) => {}
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

/// The layer, and a function of which only the layers change.
fn follows_database(change: &ResourceChange) -> bool {
    match change.name.as_str() {
        "GeoLayer" => true,
        "LookupFunction" => change.properties.iter().all(|property| property.path.starts_with("Layers")),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use ipgeo_contract::RegionName;

    use super::*;
    use crate::infra::plan::{ArtifactFile, Before, ProbeSpec, StackChange, Step, WaveKind, compare};
    use crate::infra::stacks::{ArtifactRef, Renderer, test_artifacts, test_config};

    /// The plan that makes the first region's edge of one configuration and database into another's.
    fn plan_between(memory_mb: u32, database: &str) -> Plan {
        let config = test_config();
        let (mut after, mut artifacts) = (config.clone(), test_artifacts());
        let before = Renderer::new(&config, &artifacts).expect("templates").edge(&config.regions[0]);
        let before = before.expect("rendered");
        artifacts.geo = ArtifactRef::new("geo", database);
        artifacts.geo_description = "newer".to_owned();
        after.regions[0].runtime.memory_mb = memory_mb;
        let edge = Renderer::new(&after, &artifacts).expect("templates").edge(&after.regions[0]);
        let edge = edge.expect("rendered");
        let changes = compare(Some(&before.template), &edge.template);
        let stack = StackChange {
            kind: StackKind::Edge,
            name: edge.name.clone(),
            text: edge.text,
            parameters: BTreeMap::new(),
            before: Some(Before { text: before.text, parameters: BTreeMap::new() }),
            changes,
            recreate: false,
            replicas: BTreeSet::new(),
            allow_replace: BTreeSet::new(),
            served_before: Vec::new(),
        };
        let file = ArtifactFile { artifact: artifacts.geo, file: "x.zip".into(), bytes: 1 };
        let mut plan = Plan::default();
        plan.push(WaveKind::Upload, vec![Step::new(&RegionName::new("home"), Action::Upload(file))]);
        plan.push(WaveKind::Canary, vec![Step::new(&edge.region, Action::Stack(Box::new(stack)))]);
        plan.push(WaveKind::CanaryProbe, vec![Step::new(&edge.region, Action::Probe(ProbeSpec::default()))]);
        plan
    }

    #[test]
    fn a_change_of_the_database_alone_is_recognised() {
        let memory_mb = test_config().regions[0].runtime.memory_mb;
        let alone = plan_between(memory_mb, &"7".repeat(64));
        assert_eq!(beside_database(&alone), Vec::<String>::new(), "{alone:?}");
        let more = plan_between(memory_mb + 64, &"7".repeat(64));
        assert_eq!(beside_database(&more), ["edge LookupFunction"]);
        let mut secret = alone.clone();
        secret.push(WaveKind::Home, vec![Step::new(&RegionName::new("home"), Action::Secret)]);
        assert_eq!(beside_database(&secret), ["address secret and probe API key"]);
        let mut code = alone;
        let artifact = ArtifactRef::new("code", &"5".repeat(64));
        code.push(
            WaveKind::Copy,
            vec![Step::new(&RegionName::new("a"), Action::Copy { artifact, from: RegionName::new("b") })],
        );
        assert_eq!(beside_database(&code), ["copy code 55555555"]);
    }
}
