//! CloudFormation's own rules that the emulator ignores: what AWS refuses of a template, of a change, of a moment.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::needs::{replaces, schema};
use super::policy::Policies;
use super::resolve::Resolved;

/// A rule that can be switched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Roles with names need `CAPABILITY_NAMED_IAM`.
    Capabilities,
    /// A resource with a name of its own can't be replaced under that name.
    CreateOnly,
    /// Names that are left over fail the change set; its reason names no resource.
    EarlyValidation,
    /// Sizes that no schema has: templates, inline policies, environments.
    Limits,
    /// A global table gains or loses one replica in an update.
    OneReplica,
    /// A role that has just been created can't be assumed yet: the first function with it fails.
    RolePropagation,
    /// Required and unknown properties, lengths of names, by the registry's schemas.
    Schemas,
    /// Every few calls one is answered `Rate exceeded`.
    Throttling,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Capabilities,
        Self::CreateOnly,
        Self::EarlyValidation,
        Self::Limits,
        Self::OneReplica,
        Self::RolePropagation,
        Self::Schemas,
        Self::Throttling,
    ];
}

/// How strict the AWS is.
#[derive(Debug, Clone, Default)]
pub struct Strictness {
    /// What the program's credentials may do; none: everything.
    pub deployer: Option<Policies>,
    /// What CloudFormation may do when a role is passed; none: what the deployer may.
    pub service_role: Option<Policies>,
    /// The rules that hold.
    pub rules: BTreeSet<Rule>,
}

/// One call in so many is throttled.
pub(crate) const THROTTLED: u64 = 9;
/// CloudFormation quotas: bytes of a template in a call.
const TEMPLATE_BYTES: usize = 51_200;
/// IAM quotas: characters of all inline policies of a role, without white space.
const INLINE_POLICY_CHARACTERS: usize = 10_240;
/// Lambda quotas: bytes of a function's variables.
const ENVIRONMENT_BYTES: usize = 4_096;

/// Why a resource fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) resource: String,
    pub(crate) kind: String,
    pub(crate) reason: String,
    /// The name of what is left over.
    pub(crate) physical: String,
}

impl Failure {
    pub(crate) fn new(resource: &str, kind: &str, reason: impl Into<String>) -> Self {
        let physical = String::new();
        Self { resource: resource.to_owned(), kind: kind.to_owned(), reason: reason.into(), physical }
    }
}

/// Why a change set is refused when it is asked for: code and message.
pub(crate) fn refused(
    rules: &BTreeSet<Rule>,
    template: &str,
    resources: &BTreeMap<String, Resolved>,
    capabilities: &[&str],
) -> Option<(&'static str, String)> {
    if rules.contains(&Rule::Limits) && template.len() > TEMPLATE_BYTES {
        let why = format!(
            "1 validation error detected: Value at 'templateBody' failed to satisfy constraint: Member must have \
             length less than or equal to {TEMPLATE_BYTES}"
        );
        return Some(("ValidationError", why));
    }
    let named =
        resources.values().any(|one| one.kind == "AWS::IAM::Role" && one.properties["RoleName"].is_string());
    if rules.contains(&Rule::Capabilities) && named && !capabilities.contains(&"CAPABILITY_NAMED_IAM") {
        let why = "Requires capabilities : [CAPABILITY_NAMED_IAM]".to_owned();
        return Some(("InsufficientCapabilitiesException", why));
    }
    None
}

/// What the schemas have against a template.
pub(crate) fn invalid(resources: &BTreeMap<String, Resolved>) -> Vec<Failure> {
    let mut found = Vec::new();
    for (name, resource) in resources {
        let schema = schema(&resource.kind);
        let mut add = |reason: String| found.push(Failure::new(name, &resource.kind, reason));
        let given = resource.properties.as_object();
        for required in
            schema.required.iter().filter(|name| given.is_none_or(|given| !given.contains_key(*name)))
        {
            add(format!("Required property [{required}] not found (at /Resources/{name}/Properties)"));
        }
        for (property, value) in given.into_iter().flatten() {
            let Some(limits) = schema.properties.get(property) else {
                add(format!("Unsupported property [{property}] (at /Resources/{name}/Properties)"));
                continue;
            };
            if schema.read_only.contains(property) && !schema.create_only.contains(property) {
                add(format!("Read-only property [{property}] (at /Resources/{name}/Properties)"));
            }
            let Some(text) = value.as_str() else { continue };
            let length = text.chars().count();
            if limits.max_length.is_some_and(|most| length > most)
                || limits.min_length.is_some_and(|least| length < least)
            {
                add(format!(
                    "{property} has {length} characters (at /Resources/{name}/Properties/{property})"
                ));
            }
            if limits.values.as_ref().is_some_and(|values| !values.contains(value)) {
                add(format!(
                    "{text} is not a value of {property} (at /Resources/{name}/Properties/{property})"
                ));
            }
        }
    }
    found
}

/// Why a change fails while it is carried out.
pub(crate) fn fails(
    rules: &BTreeSet<Rule>,
    before: &BTreeMap<String, Resolved>,
    after: &BTreeMap<String, Resolved>,
) -> Option<Failure> {
    let has = |rule: Rule| rules.contains(&rule);
    for (name, resource) in after {
        let fail = |reason: String| Some(Failure::new(name, &resource.kind, reason));
        if has(Rule::Limits)
            && let Some(reason) = too_large(resource)
        {
            return fail(reason);
        }
        let Some(old) = before.get(name).filter(|old| old.kind == resource.kind) else { continue };
        if has(Rule::CreateOnly) && replaces(old, resource) && keeps_its_name(old, resource) {
            return fail(
                "CloudFormation cannot update a stack when a custom-named resource requires replacing."
                    .to_owned(),
            );
        }
        if has(Rule::OneReplica) {
            let (old, new) = (replicas(old), replicas(resource));
            let changed = old.symmetric_difference(&new).count();
            if changed > 1 {
                return fail(
                    "Cannot add, delete, or update more than one replica in a single update (Service: DynamoDb, \
                     Status Code: 400)"
                        .to_owned(),
                );
            }
        }
    }
    None
}

/// Whether a resource that is replaced has an identifier of its own that stays.
fn keeps_its_name(old: &Resolved, new: &Resolved) -> bool {
    let identifier = &schema(&new.kind).identifier;
    let given: Vec<_> = identifier.iter().filter(|name| new.properties[name.as_str()].is_string()).collect();
    !given.is_empty()
        && given.iter().all(|name| old.properties[name.as_str()] == new.properties[name.as_str()])
}

fn replicas(resource: &Resolved) -> BTreeSet<&str> {
    let replicas = resource.properties["Replicas"].as_array().into_iter().flatten();
    replicas.filter_map(|replica| replica["Region"].as_str()).collect()
}

fn too_large(resource: &Resolved) -> Option<String> {
    let text = |value: &Value| if value.is_null() { String::new() } else { value.to_string() };
    match resource.kind.as_str() {
        "AWS::IAM::Role" => {
            let policies = resource.properties["Policies"].as_array().into_iter().flatten();
            let size: usize = policies.map(|policy| text(&policy["PolicyDocument"]).len()).sum();
            (size > INLINE_POLICY_CHARACTERS)
                .then(|| format!("Maximum policy size of {INLINE_POLICY_CHARACTERS} bytes exceeded for role"))
        }
        "AWS::Lambda::Function" => {
            let size = text(&resource.properties["Environment"]["Variables"]).len();
            (size > ENVIRONMENT_BYTES).then(|| {
                "Lambda was unable to configure your environment variables because the environment variables you \
                 have provided exceeded the 4KB limit."
                    .to_owned()
            })
        }
        _ => None,
    }
}

/// The roles that a change creates and gives to a function that it creates: logical name of the function, role.
pub(crate) fn fresh_roles(
    before: &BTreeMap<String, Resolved>,
    after: &BTreeMap<String, Resolved>,
) -> Vec<(String, String)> {
    let new = || after.iter().filter(|(name, _)| !before.contains_key(*name));
    let roles: BTreeSet<&str> = new()
        .filter(|(_, resource)| resource.kind == "AWS::IAM::Role")
        .filter_map(|(_, resource)| resource.properties["RoleName"].as_str())
        .collect();
    new()
        .filter(|(_, resource)| resource.kind == "AWS::Lambda::Function")
        .filter_map(|(name, resource)| {
            let role = resource.properties["Role"].as_str()?.rsplit('/').next()?;
            roles.contains(role).then(|| (name.clone(), role.to_owned()))
        })
        .collect()
}
