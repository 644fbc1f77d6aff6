//! The rules of DynamoDB's tables, the global one before all: a new one may have any number of replicas; after
//! that one replica is added or removed in an update, never the one in the stack's own region, and never one
//! that is protected from deletion.

use std::collections::{BTreeMap, BTreeSet};

use ipgeo_contract::RegionName;
use serde_json::Value;

use crate::log::Log;
use crate::rules::Rules;
use crate::state::{Contents, ResourceId, StackId, Table};
use crate::text::list;
use ipgeo::internals::infra::stacks::Template;

/// Regions of a table's declared replicas, and whether each is protected.
fn declared(properties: &Value) -> BTreeMap<RegionName, bool> {
    let replicas = properties.get("Replicas").and_then(Value::as_array).into_iter().flatten();
    let replica = |replica: &Value| {
        let protected = replica.get("DeletionProtectionEnabled") == Some(&Value::Bool(true));
        Some((RegionName::new(replica.get("Region")?.as_str()?), protected))
    };
    replicas.filter_map(replica).collect()
}

fn name(properties: &Value) -> String {
    properties.get("TableName").and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn regions(replicas: &BTreeMap<RegionName, bool>) -> BTreeSet<RegionName> {
    replicas.keys().cloned().collect()
}

pub(crate) fn create_global(
    contents: &mut Contents,
    rules: &Rules<'_>,
    stack: &StackId,
    properties: &Value,
) -> Result<(), String> {
    let replicas = declared(properties);
    if !replicas.contains_key(stack.0.as_str()) {
        return Err(format!("the stack's own region {} must have a replica", stack.0));
    }
    if let Some(region) = replicas.keys().find(|region| rules.unreachable.contains_key(region.as_str())) {
        return Err(format!("{region} is not enabled"));
    }
    let table = Table { replicas, ready: false, limits: BTreeMap::new(), lock: None };
    contents.tables.insert(name(properties), table);
    Ok(())
}

pub(crate) fn create(contents: &mut Contents, stack: &StackId, properties: &Value) {
    let replicas = BTreeMap::from([(RegionName::new(stack.0.as_str()), is_protected(properties))]);
    contents
        .tables
        .insert(name(properties), Table { replicas, ready: false, limits: BTreeMap::new(), lock: None });
}

fn is_protected(properties: &Value) -> bool {
    properties.get("DeletionProtectionEnabled") == Some(&Value::Bool(true))
}

pub(crate) fn update(contents: &mut Contents, stack: &StackId, properties: &Value) {
    if let Some(table) = contents.tables.get_mut(&name(properties)) {
        table.replicas.insert(RegionName::new(stack.0.as_str()), is_protected(properties));
    }
}

/// A table is adopted as it is: a template that declares other replicas than it has is a lie from then on.
pub(crate) fn check_adopted(
    contents: &Contents,
    log: &mut Log,
    name: &str,
    properties: &Value,
) -> Result<(), String> {
    let there = contents.tables.get(name).map(|table| regions(&table.replicas)).unwrap_or_default();
    let declared_regions = regions(&declared(properties));
    if there == declared_regions {
        return Ok(());
    }
    illegal(
        log,
        format!("{name} has replicas in {} and is declared with {}", list(&there), list(&declared_regions)),
    )
}

/// Rejects a call that should never be made.
fn illegal(log: &mut Log, what: String) -> Result<(), String> {
    log.harm.push(what.clone());
    Err(what)
}

pub(crate) fn update_global(
    contents: &mut Contents,
    log: &mut Log,
    rules: &Rules<'_>,
    stack: &StackId,
    before: &Value,
    after: &Value,
) -> Result<(), String> {
    let (old, new) = (declared(before), declared(after));
    let added: BTreeSet<RegionName> = regions(&new).difference(&regions(&old)).cloned().collect();
    let removed: BTreeSet<RegionName> = regions(&old).difference(&regions(&new)).cloned().collect();
    let Some(table) = contents.tables.get_mut(&name(after)) else {
        return Err("the table is not there".to_owned());
    };
    if added.len() + removed.len() > 1 {
        let (added, removed) = (list(&added), list(&removed));
        return illegal(log, format!("one replica in an update: +({added}) -({removed})"));
    }
    if removed.contains(stack.0.as_str()) {
        return illegal(log, "home's own replica can't be removed".to_owned());
    }
    for region in &removed {
        if table.replicas.get(region) == Some(&true) {
            return illegal(log, format!("the replica in {region} is protected from deletion"));
        }
        let function = ResourceId {
            scope: region.to_string(),
            kind: "AWS::Lambda::Function".to_owned(),
            name: rules.names.lookup_function.clone(),
        };
        if contents.resources.contains_key(&function) {
            return illegal(log, format!("the replica in {region} goes while an edge reads it"));
        }
        table.replicas.remove(region);
        log.effect(&stack.0, format!("remove replica {region}"));
    }
    for region in &added {
        if rules.unreachable.contains_key(region.as_str()) {
            return Err(format!("{region} is not enabled"));
        }
        if table.replicas.contains_key(region) {
            return Err(format!("a replica already exists in {region}"));
        }
        log.effect(&stack.0, format!("add replica {region}"));
    }
    table.replicas.extend(new);
    Ok(())
}

/// AWS: "we recommend submitting an update that contains only that change".
pub(crate) fn check_alone(log: &mut Log, before: &Template, after: &Template, changed: &[&str]) {
    let of = |template: &Template| {
        let table = template.resources.get("AccessTable");
        table.map(|table| declared(&table.properties)).unwrap_or_default()
    };
    let (old, new) = (of(before), of(after));
    if regions(&old) == regions(&new) {
        return;
    }
    let others: Vec<&&str> = changed.iter().filter(|name| **name != "AccessTable").collect();
    let settings = old.iter().any(|(region, protected)| new.get(region).is_some_and(|now| now != protected));
    if !others.is_empty() || settings {
        log.harm.push(format!("a replica is added or removed together with other changes: {others:?}"));
    }
}

pub(crate) fn delete(contents: &mut Contents, name: &str) -> Result<(), String> {
    let protected = contents.tables.get(name).is_some_and(|table| table.replicas.values().any(|p| *p));
    if protected {
        return Err(format!("{name} is protected from deletion"));
    }
    contents.tables.remove(name);
    Ok(())
}
