//! What AWS says of resource types and actions, reduced to what the rules here and the tests of policies need: CloudFormation's
//! registry schemas (properties, handlers with their permissions) and the resource formats of the Service Authorization
//! Reference. `registry.json` is generated; a test of `ipgeo` (`cli/tests/iam`) compares it with its sources.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use serde::Deserialize;

/// The whole table.
#[derive(Debug, Deserialize)]
pub struct Registry {
    /// By resource type.
    pub types: BTreeMap<String, ResourceType>,
    /// The ARN formats that an action takes. Empty: it has no resource level; `None`: IAM does not know it.
    pub actions: BTreeMap<String, Option<Vec<String>>>,
}

/// A resource type's schema.
#[derive(Debug, Deserialize)]
pub struct ResourceType {
    /// Properties that must be given.
    pub required: BTreeSet<String>,
    /// Properties whose change replaces the resource.
    pub create_only: BTreeSet<String>,
    /// Properties whose change may replace the resource.
    pub conditional_create_only: BTreeSet<String>,
    /// Attributes that can't be given.
    pub read_only: BTreeSet<String>,
    /// What identifies a resource.
    pub identifier: BTreeSet<String>,
    /// The permissions of `create`, `read`, `update`, `delete`, and of `tagging`.
    pub handlers: BTreeMap<String, Vec<String>>,
    /// The top-level properties.
    pub properties: BTreeMap<String, Limits>,
}

/// What a property may be.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Fewest characters.
    pub min_length: Option<usize>,
    /// Most characters.
    pub max_length: Option<usize>,
    /// The only values.
    #[serde(rename = "enum")]
    pub values: Option<Vec<serde_json::Value>>,
}

/// The table's text.
pub const TEXT: &str = include_str!("registry.json");

/// The table.
pub fn registry() -> &'static Registry {
    static READ: OnceLock<Registry> = OnceLock::new();
    READ.get_or_init(|| serde_json::from_str(TEXT).expect("registry.json is a table"))
}
