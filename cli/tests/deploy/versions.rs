//! Published versions of the functions and the alias that leads to one.

use serde_yaml::Value;

use ipgeo::internals::infra::plan::{Action, Plan};
use ipgeo_cli_testing::MemoryCloud;
use ipgeo_cli_testing::harness::{FOUR, File, deployed, finish, planned};

use crate::carried_out::text;

/// A template as it was before functions were published: everything leads to the function itself.
fn without_versions(text: &str) -> String {
    let mut template: Value = serde_yaml::from_str(text).expect("YAML");
    let resources = template["Resources"].as_mapping_mut().expect("resources");
    resources.retain(|_, resource| {
        !["AWS::Lambda::Version", "AWS::Lambda::Alias"].iter().any(|kind| resource["Type"] == *kind)
    });
    for (name, property, value) in [
        ("ApiPermission", "FunctionName", "{Ref: LookupFunction}"),
        ("Integration", "IntegrationUri", "{'Fn::GetAtt': [LookupFunction, Arn]}"),
        ("UsageSource", "FunctionName", "{Ref: UsageFunction}"),
    ] {
        if let Some(resource) = resources.get_mut(name) {
            resource["Properties"][property] = serde_yaml::from_str(value).expect("YAML");
            resource.as_mapping_mut().expect("a resource").remove("DependsOn");
        }
    }
    if let Some(outputs) = template.get_mut("Outputs").and_then(Value::as_mapping_mut) {
        outputs.remove("Version");
    }
    serde_yaml::to_string(&template).expect("YAML")
}

/// The API must be allowed to call the alias before it does: the cloud in memory refuses the other order.
#[tokio::test(start_paused = true)]
async fn a_service_without_versions_gets_them_in_one_update() {
    let file = File::with_regions(&FOUR);
    let cloud = MemoryCloud::new(&file.config());
    let mut first: Plan = planned(&cloud, &file).await.expect("a plan");
    let steps = first.waves.iter_mut().flat_map(|wave| &mut wave.steps);
    for step in steps {
        match &mut step.action {
            Action::Stack(stack) => stack.text = without_versions(&stack.text),
            // Nothing of it answers as the cloud in memory knows it.
            Action::Probe(_) => step.action = Action::Secret,
            _ => {}
        }
    }
    let home = first.home.clone();
    for wave in &mut first.waves {
        wave.steps.retain(|step| !matches!(step.action, Action::Secret) || step.region == home);
    }
    finish(&cloud, &first).await;
    let plan = planned(&cloud, &file).await.expect("a plan");
    // Logical names have a hash.
    let shown = without_hashes(&text(&plan));
    insta::assert_snapshot!("to_versions", shown);
    finish(&cloud, &plan).await;
    assert!(planned(&cloud, &file).await.expect("a plan").is_empty());
    assert_eq!(cloud.picture(), deployed(&file).await.picture());
}

/// A plan without the hashes in logical names of versions.
fn without_hashes(text: &str) -> String {
    let cut = |line: &str| match line.find("Version") {
        Some(at) if line.contains("+ edge Lookup") || line.contains("+ home Usage") => {
            line[..at + "Version".len()].to_owned()
        }
        _ => line.to_owned(),
    };
    text.lines().map(cut).collect::<Vec<_>>().join("\n")
}
