//! A plan for people: one line for what several regions have in common; dangerous changes stand out.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ipgeo_contract::RegionName;
use serde_json::Value;

use super::diff::{Op, PropertyChange, ResourceChange};
use super::drift::Drift;
use super::guards::PROTECTED;
use super::model::{Action, Plan, RecordChange, StackChange, Step, Summary, short_key};
use crate::infra::stacks::StackKind;
use crate::ui::format::{counted, grouped_limit, size};

/// Up to so many regions are named one by one; more are counted.
const REGIONS_NAMED_MAX: usize = 3;
/// Characters of a value; longer ones are cut.
const VALUE_CHARS_MAX: usize = 40;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The changes, a line each.
    pub body: String,
    pub last_line: String,
}

/// Prints a plan; `verbose` also lists every resource of new stacks.
pub fn show(plan: &Plan, verbose: bool) -> Shown {
    let mut body = String::new();
    for wave in &plan.waves {
        let _ = writeln!(body, "{}", wave.wave.title());
        for (line, regions) in folded(&wave.steps, verbose) {
            for (index, text) in line.lines().enumerate() {
                if index == 0 {
                    let _ = writeln!(body, "  {}: {text}", named(&regions));
                } else {
                    let _ = writeln!(body, "      {text}");
                }
            }
        }
    }
    for note in &plan.notes {
        let _ = writeln!(body, "note: {note}");
    }
    Shown { body, last_line: last_line(plan.is_empty(), &plan.summary()) }
}

fn last_line(empty: bool, summary: &Summary) -> String {
    if empty {
        // Claim only what was compared: changes made outside CloudFormation are not read here.
        return "Nothing to do: the deployed templates, artifacts, limits and records match regions.toml. Changes \
                made outside CloudFormation are not checked; run `ipgeo drift` for those."
            .to_owned();
    }
    let stacks = match summary.stacks_to_remove {
        0 => String::new(),
        count => format!(", {} to remove", counted(count, "stack")),
    };
    format!(
        "{} to add, {} to change, {} to replace, {} to remove{stacks}; {} in {}.",
        summary.add,
        summary.change,
        summary.replace,
        summary.remove,
        counted(summary.steps, "step"),
        counted(summary.waves, "wave"),
    )
}

/// Lines with the regions that have them in common, in the order of their first appearance.
fn folded(steps: &[Step], verbose: bool) -> Vec<(String, Vec<&str>)> {
    let mut order: Vec<String> = Vec::new();
    let mut regions: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for step in steps {
        for line in lines(step, verbose) {
            let known = regions.entry(line.clone()).or_default();
            if known.is_empty() {
                order.push(line);
            }
            if known.last() != Some(&step.region.as_str()) {
                known.push(&step.region);
            }
        }
    }
    order.into_iter().filter_map(|line| regions.remove(&line).map(|regions| (line, regions))).collect()
}

fn named(regions: &[&str]) -> String {
    if regions.len() <= REGIONS_NAMED_MAX { regions.join(", ") } else { format!("{} regions", regions.len()) }
}

fn lines(step: &Step, verbose: bool) -> Vec<String> {
    match &step.action {
        Action::Stack(stack) => stack_lines(stack, verbose),
        Action::RepairDrift { kind, drifts, .. } => {
            drifts.iter().map(|drift| drift_line(*kind, drift)).collect()
        }
        Action::DeleteStack { kind, name, .. } => vec![format!("- {kind} stack {name}, whole")],
        Action::Upload(file) => vec![format!("+ {}, {}", short_key(&file.artifact), size(file.bytes))],
        Action::Copy { artifact, from } => vec![format!("+ {} from {from}", short_key(artifact))],
        Action::Secret => vec!["+ address secret and the probes' API key, if missing".to_owned()],
        Action::Tier(tier) => {
            let api_keys = counted(tier.api_keys, "API key");
            let [from, to] = [&tier.from, &tier.to].map(|limit| grouped_limit(limit));
            vec![format!("~ limit of {api_keys} of tier {}: {from} → {to}", tier.tier)]
        }
        Action::Bake(bake) => vec![format!("? errors, throttles and p99 for {} s", bake.seconds)],
        Action::Switch(switch) => {
            let from = switch.from.map(|from| format!("{from} → ")).unwrap_or_default();
            vec![format!("~ {} serves version {from}{}", switch.kind, switch.to)]
        }
        Action::Prune(pruned) => {
            let versions: Vec<String> = pruned.versions.iter().map(u64::to_string).collect();
            let function = pruned.kind;
            vec![format!("- {function} versions that are not retained: {}", versions.join(", "))]
        }
        Action::Probe(probe) => vec![format!("? /health, /{} and an API key", probe.address)],
        Action::Follow(spec) => {
            let else_what = if spec.required { "; a call that does not arrive halts the deploy" } else { "" };
            vec![format!("? a marked call reaches the ledger within {} s{else_what}", spec.patience_s)]
        }
        Action::Records(change) => record_lines(change),
        Action::Wait { seconds, why } => vec![format!("wait {seconds} s: {why}")],
        Action::EmptyBucket { .. } => vec!["- all objects of the bucket".to_owned()],
        Action::DeleteData { data, name, replica } => {
            let place = replica.as_ref().map(|region| format!(" in {region}")).unwrap_or_default();
            vec![format!("- {} {name}{place}  [DATA OR PIPE]", data.as_str())]
        }
    }
}

fn drift_line(kind: StackKind, drift: &Drift) -> String {
    if drift.is_deleted() {
        let data = if PROTECTED.contains(&drift.name.as_str()) { "  [DATA OR PIPE]" } else { "" };
        return format!("+ {kind} {}: was deleted, is created again{data}", drift.name);
    }
    format!("~ {kind} {}: set back, was changed: {}", drift.name, drift.properties.join("; "))
}

fn stack_lines(stack: &StackChange, verbose: bool) -> Vec<String> {
    if stack.before.is_none() {
        let again = if stack.recreate { ", replacing one whose creation failed" } else { "" };
        let mut lines = vec![format!(
            "+ {} stack: {}{again}{}",
            stack.kind,
            counted(stack.changes.len(), "resource"),
            if stack.changes.iter().any(|change| !change.widens.is_empty()) { "  [IAM]" } else { "" }
        )];
        if verbose {
            lines.extend(stack.changes.iter().map(|change| format!("  + {} ({})", change.name, change.kind)));
        }
        return lines;
    }
    if stack.changes.is_empty() {
        return vec![format!("~ {} stack: outputs or parameters only", stack.kind)];
    }
    stack.changes.iter().map(|change| resource_line(stack, change)).collect()
}

fn resource_line(stack: &StackChange, change: &ResourceChange) -> String {
    let mut line = format!("{} {} {}", change.op.sign(), stack.kind, change.name);
    match change.op {
        Op::Add => {}
        Op::Remove if change.kept => line.push_str(": no longer managed, retained"),
        Op::Remove => line.push_str(": removed"),
        Op::Modify | Op::Replace => {
            let properties: Vec<String> = change.properties.iter().map(property).collect();
            let _ = write!(line, ": {}", properties.join("; "));
        }
    }
    if publishes(change) {
        line.push_str("  [new version]");
    }
    if matches!(change.op, Op::Remove | Op::Replace) && PROTECTED.contains(&change.name.as_str()) {
        line.push_str("  [DATA OR PIPE]");
    }
    for widening in &change.widens {
        let _ = write!(line, "\n  [IAM] new right: {}", widening.right);
    }
    line
}

/// Whether a change publishes a version of a function that is reached through its alias.
fn publishes(change: &ResourceChange) -> bool {
    matches!(change.name.as_str(), "LookupFunction" | "UsageFunction")
        && change.op == Op::Modify
        && change.properties.iter().any(|property| property.path != "ReservedConcurrentExecutions")
}

fn property(change: &PropertyChange) -> String {
    let region = change.path.strip_prefix("Replicas[").and_then(|rest| rest.strip_suffix(']'));
    match (region, &change.before, &change.after) {
        (Some(region), None, Some(_)) => return format!("new replica in {region}"),
        (Some(region), Some(_), None) => return format!("replica in {region} removed"),
        _ => {}
    }
    let text = |value: &Option<Value>| {
        value
            .as_ref()
            .map(|value| shortened(&value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
    };
    match (text(&change.before), text(&change.after)) {
        (Some(before), Some(after)) => format!("{} {before} → {after}", change.path),
        (None, Some(after)) => format!("{} {after}", change.path),
        (Some(before), None) => format!("{} {before} → none", change.path),
        (None, None) => change.path.clone(),
    }
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= VALUE_CHARS_MAX {
        return text.to_owned();
    }
    let head: String = text.chars().take(VALUE_CHARS_MAX - 1).collect();
    format!("{head}…")
}

fn record_lines(change: &RecordChange) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let list = |regions: &std::collections::BTreeSet<RegionName>| {
        regions.iter().map(RegionName::as_str).collect::<Vec<_>>().join(", ")
    };
    if !change.attach.is_empty() {
        lines.push(format!("+ {} A and AAAA, by latency: {}  [DNS]", change.domain, list(&change.attach)));
    }
    if !change.detach.is_empty() {
        lines.push(format!("- {} A and AAAA: {}  [DNS]", change.domain, list(&change.detach)));
    }
    if change.drained != change.drained_before {
        let now = if change.drained.is_empty() { "none".to_owned() } else { list(&change.drained) };
        lines.push(format!("~ drained regions: {now}"));
    }
    lines
}
