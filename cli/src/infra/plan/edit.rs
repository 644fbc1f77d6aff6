//! A deployed home template with one change applied: for updates of home's stack that must not bring the rest of it
//! up to date, or can't, because it was rendered from files that this machine does not have.

use std::collections::BTreeSet;

use ipgeo_contract::RegionName;
use serde_yaml::Value;

const PROTECTED: &str = "DeletionProtectionEnabled";

/// With one more replica, which gets home's settings; `None` if the text is no home template.
pub(super) fn with_replica(text: &str, home: &str, region: &str) -> Option<String> {
    edited(text, |template| {
        let replicas = replicas(template)?;
        let like = replicas.iter().find(|replica| is_in(replica, home)).or(replicas.first())?;
        let mut new = like.clone();
        new["Region"] = Value::from(region);
        new[PROTECTED] = Value::from(true);
        replicas.push(new);
        replicas.sort_by_key(|replica| {
            let name = replica["Region"].as_str().unwrap_or_default().to_owned();
            (name != home, name)
        });
        Some(())
    })
}

/// With these replicas unprotected, so that they can be removed.
pub(super) fn released(text: &str, regions: &BTreeSet<RegionName>) -> Option<String> {
    edited(text, |template| {
        for replica in replicas(template)? {
            if regions.iter().any(|region| is_in(replica, region)) {
                replica[PROTECTED] = Value::from(false);
            }
        }
        Some(())
    })
}

/// With all data declared to be deleted with the stack, and unprotected.
pub(super) fn all_released(text: &str) -> Option<String> {
    edited(text, |template| {
        for replica in replicas(template)? {
            replica[PROTECTED] = Value::from(false);
        }
        for (_, resource) in template.get_mut("Resources")?.as_mapping_mut()? {
            if resource.get("DeletionPolicy").is_some_and(|policy| policy == "Retain") {
                resource["DeletionPolicy"] = Value::from("Delete");
            }
            let properties = resource.get_mut("Properties");
            if let Some(protected) = properties.and_then(|properties| properties.get_mut(PROTECTED)) {
                *protected = Value::from(false);
            }
        }
        Some(())
    })
}

fn edited(text: &str, edit: impl FnOnce(&mut Value) -> Option<()>) -> Option<String> {
    let mut template: Value = serde_yaml::from_str(text).ok()?;
    edit(&mut template)?;
    serde_yaml::to_string(&template).ok()
}

fn replicas(template: &mut Value) -> Option<&mut Vec<Value>> {
    let table = template.get_mut("Resources")?.get_mut("AccessTable")?;
    table.get_mut("Properties")?.get_mut("Replicas")?.as_sequence_mut()
}

fn is_in(replica: &Value, region: &str) -> bool {
    replica.get("Region").is_some_and(|name| name == region)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infra::stacks::{DataPolicy, Renderer, Replica, Template, test_artifacts, test_config};

    /// What an edit leaves is what would be rendered so: the two must never drift apart.
    #[test]
    fn an_edited_template_is_what_would_be_rendered() {
        let (config, artifacts) = (test_config(), test_artifacts());
        let renderer = Renderer::new(&config, &artifacts).expect("templates");
        let render = |replicas: &[(&str, bool)], policy| {
            let replica = |(region, protected): &(&str, bool)| Replica {
                region: RegionName::new(*region),
                protected: *protected,
            };
            let replicas: Vec<Replica> = replicas.iter().map(replica).collect();
            renderer.home(&replicas, policy).expect("rendered").text
        };
        let keep = |replicas: &[(&str, bool)]| render(replicas, DataPolicy::Keep);
        let home = "eu-central-1";
        let one = keep(&[(home, true)]);
        let two = keep(&[(home, true), ("af-south-1", true)]);
        let free = keep(&[(home, true), ("af-south-1", false)]);
        let gone = render(&[(home, true), ("af-south-1", true)], DataPolicy::Delete);
        let south = BTreeSet::from([RegionName::new("af-south-1")]);
        let table = [
            ("added", with_replica(&one, home, "af-south-1"), two.clone()),
            ("released", released(&two, &south), free),
            ("released for good", all_released(&two), gone),
        ];
        for (what, edited, rendered) in table {
            let resources = |text: &str| Template::parse(text).expect("a template").resources;
            assert_eq!(resources(&edited.expect(what)), resources(&rendered), "{what}");
        }
    }

    #[test]
    fn a_text_that_is_not_a_home_template_is_unchanged() {
        for text in ["", "Resources: {}", "Resources: {AccessTable: 1}", "a: [b"] {
            assert_eq!(with_replica(text, "a", "b"), None, "{text}");
            assert_eq!(all_released(text), None, "{text}");
        }
    }
}
