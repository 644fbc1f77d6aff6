//! The IAM policies of a deployment, as narrow as resource names allow: of the deployer, of CloudFormation's service
//! role, and of the permissions boundary of the service's own roles. Pure.
//!
//! Without a service role, CloudFormation changes stacks with the deployer's rights, so the default includes both.

mod resources;
mod rights;

use serde::Serialize;
use serde_json::{Value, json};

use crate::config::Config;
use crate::infra::stacks::Names;
use rights::{By, If, RIGHTS};

/// A managed policy has at most this many characters without white space (IAM quotas).
const POLICY_CHARS_MAX: usize = 6_144;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Who runs `deploy --role-arn`: the tool's own calls.
    Deployer,
    /// CloudFormation's service role, with its trust policy.
    Cloudformation,
    /// The permissions boundary of the service's roles.
    Boundary,
}

/// What `ipgeo iam policy` prints.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub config: &'a Config,
    /// The account's number, or `*`.
    pub account: &'a str,
    /// `None`: a deployer without a service role.
    pub audience: Option<Audience>,
    /// The service role's ARN, for the deployer.
    pub role_arn: Option<&'a str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A managed policy.
    Policy,
    /// A role's trust policy.
    Trust,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Document {
    pub name: String,
    pub kind: Kind,
    pub document: Policy,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Policy {
    version: &'static str,
    pub statement: Vec<Statement>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Statement {
    /// Unique in all documents of a request.
    pub sid: &'static str,
    effect: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<Value>,
    /// `service:Action`, perhaps with `*` at the end.
    pub action: Vec<String>,
    /// Patterns of ARNs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resource: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condition: Option<Value>,
}

impl Policy {
    fn new(statement: Vec<Statement>) -> Self {
        Self { version: "2012-10-17", statement }
    }

    /// Characters, as IAM counts them: no name or pattern in it has white space.
    fn chars(&self) -> usize {
        serde_json::to_string(self).map_or(usize::MAX, |text| text.len())
    }
}

/// The documents of a request, in as few managed policies as they fit into.
pub fn documents(request: &Request<'_>) -> Vec<Document> {
    let names = Names::new(request.config);
    let who = match request.audience {
        None | Some(Audience::Deployer) => "deployer",
        Some(Audience::Cloudformation) => "cloudformation",
        Some(Audience::Boundary) => "boundary",
    };
    let mut policies: Vec<Policy> = Vec::new();
    for statement in statements(request, &names) {
        if let Some(last) = policies.last_mut() {
            last.statement.push(statement.clone());
            if last.chars() <= POLICY_CHARS_MAX {
                continue;
            }
            last.statement.pop();
        }
        policies.push(Policy::new(vec![statement]));
    }
    let mut found = Vec::new();
    if request.audience == Some(Audience::Cloudformation) {
        let name = format!("{}-cloudformation-trust", names.service);
        found.push(Document { name, kind: Kind::Trust, document: trust() });
    }
    found.extend(policies.into_iter().enumerate().map(|(at, document)| {
        let name = format!("{}-{who}-{}", names.service, at + 1);
        Document { name, kind: Kind::Policy, document }
    }));
    found
}

fn statements(request: &Request<'_>, names: &Names) -> Vec<Statement> {
    let service = &request.config.service;
    let mut found = Vec::new();
    for (sid, by, on, actions, when) in RIGHTS {
        let wanted = match request.audience {
            None => *by != By::Service && *sid != "PassServiceRole",
            Some(Audience::Deployer) => matches!(by, By::Tool | By::Both),
            Some(Audience::Cloudformation) => matches!(by, By::Handlers | By::Both),
            Some(Audience::Boundary) => *by == By::Service,
        };
        let condition = match (when, &service.permissions_boundary) {
            (If::Domain, _) if service.domain.is_none() => continue,
            (If::Boundary, None) => continue,
            (If::PassedTo(services), _) => {
                Some(json!({ "StringEquals": { "iam:PassedToService": services } }))
            }
            (If::Bounded | If::Boundary, Some(boundary)) => {
                Some(json!({ "StringEquals": { "iam:PermissionsBoundary": boundary } }))
            }
            _ => None,
        };
        let (service, actions) = actions.split_once(':').unwrap_or_default();
        if wanted {
            found.push(Statement {
                sid,
                effect: "Allow",
                principal: None,
                action: actions.split_whitespace().map(|action| format!("{service}:{action}")).collect(),
                resource: on.iter().flat_map(|on| on.arns(names, request)).collect(),
                condition,
            });
        }
    }
    found
}

/// Lets CloudFormation assume its service role.
fn trust() -> Policy {
    Policy::new(vec![Statement {
        sid: "CloudFormation",
        effect: "Allow",
        principal: Some(json!({ "Service": "cloudformation.amazonaws.com" })),
        action: vec!["sts:AssumeRole".to_owned()],
        resource: Vec::new(),
        condition: None,
    }])
}

#[cfg(test)]
mod tests;
