//! Published versions of functions, and the alias that points to one.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::state::{Contents, ResourceId, StackId};
use ipgeo::internals::infra::plan::{ObservedFunction, PrunedVersions};
use ipgeo::internals::infra::stacks::{FunctionKind, Names, Template};

/// What was published of a function.
#[derive(Debug, Clone, Default)]
pub(crate) struct Published {
    /// The number of the newest version ever published.
    newest: u64,
    pub(crate) versions: BTreeMap<u64, PublishedContent>,
    /// The version that the alias serves, whoever moved it there.
    pub(crate) live: Option<u64>,
}

/// A version.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PublishedContent {
    /// Its logical name in the stack that published it.
    pub(crate) logical: String,
    pub(crate) description: String,
    /// The function's properties at that time.
    properties: Value,
}

impl PublishedContent {
    /// The digest of its code.
    pub(crate) fn code(&self) -> &str {
        let key = self.properties["Code"]["S3Key"].as_str().unwrap_or_default();
        key.trim_start_matches("code/").trim_end_matches(".zip")
    }
}

/// `<function>:<version or alias>` of a resource.
pub(crate) fn qualified(id: &ResourceId) -> (String, &str) {
    let (function, qualifier) = id.name.split_once(':').unwrap_or((&id.name, ""));
    (function.to_owned(), qualifier)
}

impl Contents {
    /// Publishes a function as it is; returns the version's name, `<function>:<number>`.
    pub(crate) fn publish(
        &mut self,
        region: &str,
        function: &str,
        logical: &str,
        description: &str,
    ) -> Result<String, String> {
        let kind = "AWS::Lambda::Function".to_owned();
        let id = ResourceId { scope: region.to_owned(), kind, name: function.to_owned() };
        let resource = self.resources.get(&id).ok_or_else(|| format!("no function {function}"))?;
        let mut properties = resource.properties.clone();
        if let Some(members) = properties.as_object_mut() {
            members.remove("ReservedConcurrentExecutions");
        }
        let published = self.functions.entry((region.to_owned(), function.to_owned())).or_default();
        if let Some((number, _)) =
            published.versions.last_key_value().filter(|(_, v)| v.properties == properties)
        {
            return Err(format!(
                "A version for this Lambda function exists ( {number} ). Modify the function to create a new version."
            ));
        }
        published.newest += 1;
        let (logical, description) = (logical.to_owned(), description.to_owned());
        published.versions.insert(published.newest, PublishedContent { logical, description, properties });
        Ok(format!("{function}:{}", published.newest))
    }

    /// Moves a function's alias.
    pub(crate) fn switch(&mut self, region: &str, function: &str, version: &str) -> Result<(), String> {
        let published = self.functions.entry((region.to_owned(), function.to_owned())).or_default();
        let number = version.parse().ok().filter(|number| published.versions.contains_key(number));
        published.live = Some(number.ok_or_else(|| format!("Function not found: {function}:{version}"))?);
        Ok(())
    }

    /// What a function serves; `None`: it has no alias.
    pub(crate) fn live(&self, region: &str, function: &str) -> Option<&PublishedContent> {
        let published = self.functions.get(&(region.to_owned(), function.to_owned()))?;
        published.versions.get(&published.live?)
    }

    pub(crate) fn observed_function(&self, region: &str, function: &str) -> ObservedFunction {
        let published = self.functions.get(&(region.to_owned(), function.to_owned()));
        let versions = published.into_iter().flat_map(|published| &published.versions);
        ObservedFunction {
            live: published.and_then(|published| published.live),
            versions: versions.map(|(number, version)| (*number, version.description.clone())).collect(),
        }
    }

    /// Deletes versions; the first refusal ends it.
    pub(crate) fn prune(&mut self, region: &str, pruned: &PrunedVersions) -> Result<bool, String> {
        let mut any = false;
        for number in &pruned.versions {
            let function = &pruned.function;
            let id = ResourceId {
                scope: region.to_owned(),
                kind: "AWS::Lambda::Version".to_owned(),
                name: format!("{function}:{number}"),
            };
            if self.resources.get(&id).is_some_and(|version| version.owner.is_some()) {
                return Err(format!("{} belongs to a stack", id.name));
            }
            let published = self.functions.entry((region.to_owned(), function.clone())).or_default();
            if published.live == Some(*number) {
                return Err(format!("an alias refers to {}", id.name));
            }
            any |= published.versions.remove(number).is_some();
            self.resources.remove(&id);
        }
        Ok(any)
    }

    /// A failed update that had moved the stack's aliases moves them back to the stack's own versions, whatever they led to.
    pub(crate) fn return_alias(&mut self, stack: &StackId, failed: &Template, names: &Names) {
        let Some(deployed) = self.stacks.get(stack).map(|stack| &stack.template) else { return };
        let is_moved = |kind: &FunctionKind| deployed.version(*kind) != failed.version(*kind);
        let moved: Vec<&str> = FunctionKind::ALL
            .iter()
            .filter(|kind| is_moved(kind))
            .map(|kind| names.function(*kind))
            .collect();
        let aliases = self
            .resources
            .iter()
            .filter(|(id, alias)| id.kind == "AWS::Lambda::Alias" && alias.owner.as_ref() == Some(stack));
        let aliases: Vec<(String, String)> = aliases
            .map(|(id, alias)| {
                let version = alias.properties["FunctionVersion"].as_str().unwrap_or_default();
                (qualified(id).0, version.to_owned())
            })
            .filter(|(function, _)| moved.contains(&function.as_str()))
            .collect();
        for (function, version) in aliases {
            // It was there when the update began.
            let _ = self.switch(&stack.0, &function, &version);
        }
    }

    /// Deletes a function with all its versions and aliases.
    pub(crate) fn forget_function(&mut self, id: &ResourceId) {
        self.functions.remove(&(id.scope.clone(), id.name.clone()));
        let is_its = |other: &ResourceId| {
            other.scope == id.scope
                && matches!(other.kind.as_str(), "AWS::Lambda::Version" | "AWS::Lambda::Alias")
                && qualified(other).0 == id.name
        };
        self.resources.retain(|other, _| !is_its(other));
    }
}
