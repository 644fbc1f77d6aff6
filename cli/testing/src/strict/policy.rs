//! IAM's evaluation of identity-based policies: which statement allows or denies a request. Elements, operators and
//! condition keys that are not known here are errors, so that no document passes unread.

use std::collections::BTreeMap;

use serde_json::Value;

/// A call as IAM sees it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request {
    /// `service:Action`.
    pub action: String,
    /// An ARN; `*` for actions without a resource level.
    pub resource: String,
    /// Condition keys, in lower case, with their values.
    pub context: BTreeMap<String, String>,
}

impl Request {
    /// A request without context.
    pub fn new(action: impl Into<String>, resource: impl Into<String>) -> Self {
        Self { action: action.into(), resource: resource.into(), context: BTreeMap::new() }
    }

    /// The same with a condition key.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.context.insert(key.to_lowercase(), value.into());
        self
    }
}

/// What IAM decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// By the statement of this name.
    Allowed(String),
    /// No statement allows it.
    ImplicitDeny,
    /// The statement of this name denies it.
    ExplicitDeny(String),
}

/// A part of a policy that can be removed: a statement, or one of its actions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    /// The document's name.
    pub document: String,
    /// The statement's `Sid`.
    pub sid: String,
    /// One action; none: the whole statement.
    pub action: Option<String>,
}

/// The documents that are attached to one identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policies {
    statements: Vec<Statement>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Statement {
    document: String,
    sid: String,
    allows: bool,
    actions: Vec<String>,
    resources: Vec<String>,
    conditions: Vec<Condition>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Condition {
    operator: Operator,
    if_exists: bool,
    key: String,
    values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    StringEquals,
    StringNotEquals,
    StringLike,
    StringNotLike,
    ArnLike,
    ArnNotLike,
    Bool,
    Null,
}

/// Condition keys that requests have here when AWS's have them.
const KEYS: [&str; 12] = [
    "aws:calledvia",
    "aws:principalaccount",
    "aws:requestedregion",
    "aws:resourceaccount",
    "aws:securetransport",
    "cloudformation:rolearn",
    "iam:awsservicename",
    "iam:passedtoservice",
    "iam:permissionsboundary",
    "lambda:functionarn",
    "s3:prefix",
    "s3:resourceaccount",
];

impl Policies {
    /// Reads what `ipgeo iam policy` prints: a document, or an array of `{name, kind, document}`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let mut statements = Vec::new();
        match &value {
            Value::Array(documents) => {
                for named in documents {
                    let name = named["name"].as_str().ok_or("a document without a name")?;
                    known(
                        name,
                        named.as_object().into_iter().flat_map(|o| o.keys()),
                        &["name", "kind", "document"],
                    )?;
                    // Who may assume a role is not what it may do.
                    if named["kind"] == "trust" {
                        continue;
                    }
                    statements.extend(document(name, &named["document"])?);
                }
            }
            single => statements.extend(document("policy", single)?),
        }
        Ok(Self { statements })
    }

    /// Decides one request: an explicit deny wins, then any allow.
    pub fn decide(&self, request: &Request) -> Decision {
        let matching = |allows: bool| {
            let found = self.statements.iter().find(|one| one.allows == allows && one.covers(request));
            found.map(|statement| statement.sid.clone())
        };
        match (matching(false), matching(true)) {
            (Some(sid), _) => Decision::ExplicitDeny(sid),
            (None, Some(sid)) => Decision::Allowed(sid),
            (None, None) => Decision::ImplicitDeny,
        }
    }

    /// Whether a request is allowed.
    pub fn allows(&self, request: &Request) -> bool {
        matches!(self.decide(request), Decision::Allowed(_))
    }

    /// Every allowing statement and every one of its actions, in the order of the documents.
    pub fn parts(&self) -> Vec<Part> {
        let mut parts = Vec::new();
        for statement in self.statements.iter().filter(|statement| statement.allows) {
            let part = |action: Option<&String>| Part {
                document: statement.document.clone(),
                sid: statement.sid.clone(),
                action: action.cloned(),
            };
            parts.push(part(None));
            parts.extend(statement.actions.iter().map(|action| part(Some(action))));
        }
        parts
    }

    /// The same documents without a part.
    #[must_use]
    pub fn without(&self, part: &Part) -> Self {
        let mut rest = self.clone();
        let is_it = |one: &Statement| one.document == part.document && one.sid == part.sid;
        match &part.action {
            None => rest.statements.retain(|one| !is_it(one)),
            Some(action) => {
                for one in rest.statements.iter_mut().filter(|one| is_it(one)) {
                    one.actions.retain(|other| other != action);
                }
            }
        }
        rest
    }
}

impl Statement {
    fn covers(&self, request: &Request) -> bool {
        self.actions.iter().any(|pattern| matches_action(pattern, &request.action))
            && self.resources.iter().any(|pattern| matches_arn(pattern, &request.resource))
            && self.conditions.iter().all(|condition| condition.holds(request))
    }
}

impl Condition {
    fn holds(&self, request: &Request) -> bool {
        let found = request.context.get(&self.key);
        if self.operator == Operator::Null {
            return self.values.iter().any(|value| (value == "true") == found.is_none());
        }
        let negated = matches!(
            self.operator,
            Operator::StringNotEquals | Operator::StringNotLike | Operator::ArnNotLike
        );
        // A missing key fails an operator, unless it is negated or ends in IfExists.
        let Some(found) = found else { return self.if_exists || negated };
        let fits = |value: &String| match self.operator {
            Operator::StringEquals | Operator::StringNotEquals => value == found,
            Operator::StringLike | Operator::StringNotLike => matches(value, found),
            Operator::ArnLike | Operator::ArnNotLike => matches_arn(value, found),
            Operator::Bool => value.eq_ignore_ascii_case(found),
            Operator::Null => false,
        };
        self.values.iter().any(fits) != negated
    }
}

/// Whether an action matches a pattern. Action names ignore case (IAM user guide, "Action").
fn matches_action(pattern: &str, action: &str) -> bool {
    if !pattern.contains(['*', '?']) {
        return pattern.eq_ignore_ascii_case(action);
    }
    matches(&pattern.to_lowercase(), &action.to_lowercase())
}

/// Whether a pattern with `*` and `?` matches a whole text.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    // Most patterns are names, and every call is compared with all of them.
    if !pattern.contains(['*', '?']) {
        return pattern == text;
    }
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut star) = ((0, 0), None);
    while at.1 < text.len() {
        match pattern.get(at.0) {
            Some('*') => {
                star = Some(at);
                at.0 += 1;
            }
            Some(&one) if one == '?' || one == text[at.1] => at = (at.0 + 1, at.1 + 1),
            _ => {
                let Some(back) = star else { return false };
                star = Some((back.0, back.1 + 1));
                at = (back.0 + 1, back.1 + 1);
            }
        }
    }
    pattern[at.0..].iter().all(|&one| one == '*')
}

/// Whether an ARN matches a pattern. The six parts of an ARN are compared one by one, as the IAM user guide
/// recommends to write them; only the last contains colons.
fn matches_arn(pattern: &str, arn: &str) -> bool {
    if pattern == "*" {
        return true;
    }
    let (patterns, parts): (Vec<&str>, Vec<&str>) =
        (pattern.splitn(6, ':').collect(), arn.splitn(6, ':').collect());
    patterns.len() == parts.len() && patterns.iter().zip(&parts).all(|(pattern, part)| matches(pattern, part))
}

fn document(name: &str, value: &Value) -> Result<Vec<Statement>, String> {
    let object = value.as_object().ok_or_else(|| format!("{name} is not a document"))?;
    known(name, object.keys(), &["Version", "Id", "Statement"])?;
    if value["Version"] != "2012-10-17" {
        return Err(format!("{name} has not the version 2012-10-17"));
    }
    let statements = match &value["Statement"] {
        Value::Array(many) => many.clone(),
        one => vec![one.clone()],
    };
    let found: Result<Vec<_>, _> = statements.iter().map(|one| statement(name, one)).collect();
    let found = found?;
    for (index, one) in found.iter().enumerate() {
        if found[..index].iter().any(|other| other.sid == one.sid) {
            return Err(format!("{name} has two statements {}", one.sid));
        }
    }
    Ok(found)
}

fn statement(document: &str, value: &Value) -> Result<Statement, String> {
    let object = value.as_object().ok_or_else(|| format!("{document} has a statement that is no object"))?;
    known(document, object.keys(), &["Sid", "Effect", "Action", "Resource", "Condition"])?;
    let sid = value["Sid"].as_str().unwrap_or_default().to_owned();
    // IAM refuses other characters in a Sid.
    if sid.is_empty() || !sid.chars().all(char::is_alphanumeric) {
        return Err(format!("{document} has a statement without a valid Sid: {sid:?}"));
    }
    let allows = match value["Effect"].as_str() {
        Some("Allow") => true,
        Some("Deny") => false,
        other => return Err(format!("{document} {sid} has the effect {other:?}")),
    };
    let (actions, resources) = (texts(&value["Action"])?, texts(&value["Resource"])?);
    if let Some(bad) = actions.iter().find(|action| *action != "*" && action.split(':').count() != 2) {
        return Err(format!("{document} {sid} has the action {bad:?}"));
    }
    let is_arn = |text: &String| text == "*" || (text.starts_with("arn:") && text.split(':').count() >= 6);
    if let Some(bad) = resources.iter().find(|resource| !is_arn(resource) || resource.contains("${")) {
        return Err(format!("{document} {sid} has the resource {bad:?}"));
    }
    if actions.is_empty() || resources.is_empty() {
        return Err(format!("{document} {sid} has no actions or no resources"));
    }
    let mut conditions = Vec::new();
    for (operator, keys) in value["Condition"].as_object().into_iter().flatten() {
        for (key, values) in keys.as_object().ok_or("a condition that is no object")? {
            conditions.push(condition(operator, key, values)?);
        }
    }
    Ok(Statement { document: document.to_owned(), sid, allows, actions, resources, conditions })
}

fn condition(operator: &str, key: &str, values: &Value) -> Result<Condition, String> {
    let (name, if_exists) = operator.strip_suffix("IfExists").map_or((operator, false), |name| (name, true));
    let operator = match name {
        "StringEquals" => Operator::StringEquals,
        "StringNotEquals" => Operator::StringNotEquals,
        "StringLike" => Operator::StringLike,
        "StringNotLike" => Operator::StringNotLike,
        // IAM treats the two alike.
        "ArnLike" | "ArnEquals" => Operator::ArnLike,
        "ArnNotLike" | "ArnNotEquals" => Operator::ArnNotLike,
        "Bool" => Operator::Bool,
        "Null" if !if_exists => Operator::Null,
        other => return Err(format!("the condition operator {other} is not known here")),
    };
    let key = key.to_lowercase();
    if !KEYS.contains(&key.as_str()) {
        return Err(format!("the condition key {key} is not known here"));
    }
    Ok(Condition { operator, if_exists, key, values: texts(values)? })
}

fn known<'a>(name: &str, found: impl Iterator<Item = &'a String>, known: &[&str]) -> Result<(), String> {
    let unknown: Vec<_> = found.filter(|key| !known.contains(&key.as_str())).collect();
    if unknown.is_empty() { Ok(()) } else { Err(format!("{name} has elements not known here: {unknown:?}")) }
}

fn texts(value: &Value) -> Result<Vec<String>, String> {
    let text = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(flag) => Ok(flag.to_string()),
        other => Err(format!("{other} is not text")),
    };
    match value {
        Value::Array(many) => many.iter().map(text).collect(),
        one => Ok(vec![text(one)?]),
    }
}
