//! A deployed home template with one change applied: for updates of home's stack that must not bring the rest of it
//! up to date, or can't, because it was rendered from files that this machine does not have.

use std::collections::BTreeSet;

use ipgeo_contract::RegionName;
use serde_yaml::Value;

use crate::config::is_opt_in;
use crate::infra::stacks::{LOGS_SERVICE, regional_logs_service};

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

/// The template with a log pipe role that CloudWatch Logs may also assume in these regions; `None` if it already may, or if
/// the text is not a home template.
pub(super) fn with_log_regions(text: &str, regions: &BTreeSet<RegionName>) -> Option<String> {
    edited(text, |template| {
        let role = template.get_mut("Resources")?.get_mut("LogPipeRole")?;
        let trust = role.get_mut("Properties")?.get_mut("AssumeRolePolicyDocument")?.get_mut("Statement")?;
        let services = trust.get_mut(0)?.get_mut("Principal")?.get_mut("Service")?;
        let before: BTreeSet<String> = match &*services {
            Value::String(one) => BTreeSet::from([one.clone()]),
            Value::Sequence(all) => all.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => return None,
        };
        let new =
            regions.iter().filter(|region| is_opt_in(region)).map(|region| regional_logs_service(region));
        let after: BTreeSet<String> = before.iter().cloned().chain(new).collect();
        // `logs.amazonaws.com` sorts after some regions and is rendered first.
        let mut list: Vec<&String> = after.iter().collect();
        list.sort_by_key(|name| (*name != LOGS_SERVICE, *name));
        *services = list.into_iter().cloned().map(Value::from).collect();
        (after != before).then_some(())
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
        let two = keep(&[(home, true), ("us-east-1", true)]);
        let free = keep(&[(home, true), ("us-east-1", false)]);
        let gone = render(&[(home, true), ("us-east-1", true)], DataPolicy::Delete);
        let east = BTreeSet::from([RegionName::new("us-east-1")]);
        let table = [
            ("added", with_replica(&one, home, "us-east-1"), two.clone()),
            ("released", released(&two, &east), free),
            ("released for good", all_released(&two), gone),
        ];
        for (what, edited, rendered) in table {
            let resources = |text: &str| Template::parse(text).expect("a template").resources;
            assert_eq!(resources(&edited.expect(what)), resources(&rendered), "{what}");
        }
    }

    /// A region that must be enabled first can be deployed without the rest of home.
    #[test]
    fn an_edited_trust_is_what_would_be_rendered() {
        let (mut config, artifacts) = (test_config(), test_artifacts());
        let mut render = |regions: &[&str]| {
            config.regions.retain(|region| !is_opt_in(&region.name));
            let like = config.regions[0].clone();
            let named = regions.iter().map(|name| RegionName::new(*name));
            config.regions.extend(named.map(|name| crate::config::Region { name, ..like.clone() }));
            let renderer = Renderer::new(&config, &artifacts).expect("templates");
            renderer.home(&[], DataPolicy::Keep).expect("rendered").text
        };
        let (none, one) = (render(&[]), render(&["af-south-1"]));
        let two = render(&["me-south-1", "af-south-1"]);
        let set = |names: &[&str]| names.iter().map(|name| RegionName::new(*name)).collect();
        for (before, regions, after) in [
            (&none, &["af-south-1", "eu-west-1"][..], Some(&one)),
            (&one, &["me-south-1"], Some(&two)),
            (&one, &["af-south-1"], None),
            (&none, &["eu-west-1"], None),
        ] {
            let edited = with_log_regions(before, &set(regions));
            let resources = |text: &String| Template::parse(text).expect("a template").resources;
            assert_eq!(edited.as_ref().map(resources), after.map(resources), "{regions:?}");
        }
    }

    #[test]
    fn a_text_that_is_not_a_home_template_is_unchanged() {
        for text in ["", "Resources: {}", "Resources: {AccessTable: 1}", "a: [b"] {
            assert_eq!(with_replica(text, "a", "b"), None, "{text}");
            assert_eq!(
                with_log_regions(text, &BTreeSet::from([RegionName::new("af-south-1")])),
                None,
                "{text}"
            );
            assert_eq!(all_released(text), None, "{text}");
        }
    }
}
