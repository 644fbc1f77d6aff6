//! Whether what a step is about to change is still what its plan has seen. A step that finds something else fails and
//! changes nothing: otherwise it would silently revert the change of another operator.
//!
//! What the step itself wants is fine as well, so a deploy can be resumed and every step can run twice.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use ipgeo_contract::RegionName;

use super::StepError;
use crate::infra::plan::{
    Alias, Before, ObservedStack, Record, RecordChange, RecordKind, ResourceChange, StackChange, StackState,
    Zone, compare,
};
use crate::infra::stacks::{StackKind, Template};

/// Number of changed resources that an error names.
const NAMED_MAX: usize = 3;

/// Fails if a stack is neither as the plan has seen it nor as it should become.
pub fn check_stack(change: &StackChange, found: Option<&ObservedStack>) -> Result<(), StepError> {
    let kind = change.kind;
    match (&change.before, existing(found)) {
        (_, Some(found)) if is_same(found, &change.text, &change.parameters) => Ok(()),
        (Some(before), Some(found)) => check_before(kind, before, found),
        (Some(_), None) => Err(stale(format!("the {kind} stack was deleted since this was planned"))),
        // It can't be updated: CloudFormation says so, or it is recreated.
        (None, Some(found)) if found.state() == StackState::NeverCreated => Ok(()),
        (None, Some(_)) => Err(stale(format!("the {kind} stack was created since this was planned"))),
        (None, None) => Ok(()),
    }
}

/// Fails if a stack that is about to be deleted is not as the plan has seen it.
pub fn check_deletion(
    kind: StackKind,
    before: Option<&Before>,
    found: Option<&ObservedStack>,
) -> Result<(), StepError> {
    match (before, existing(found)) {
        (Some(before), Some(found)) => check_before(kind, before, found),
        _ => Ok(()),
    }
}

/// Checks a change of records against the zone; `aliases` are the wanted targets. Returns the regions that are noted as
/// drained afterwards: what another operator has drained or attached since the plan stays so.
pub fn check_records(
    change: &RecordChange,
    aliases: &[(RegionName, Alias)],
    found: &Zone,
) -> Result<BTreeSet<RegionName>, StepError> {
    let drained_since = found.drained.difference(&change.drained_before);
    if let Some(region) = drained_since.into_iter().find(|region| change.attach.contains(*region)) {
        return Err(stale(format!("{region} was drained since this was planned")));
    }
    for region in change.attach.iter().chain(&change.detach) {
        let Some(before) = &change.before else { break };
        let now = records_of(&found.records, region);
        let wanted = match aliases.iter().find(|(known, _)| known == region) {
            Some((_, alias)) => now.len() == 2 && now.values().all(|record| leads_to(record, alias)),
            None => now.is_empty(),
        };
        if !wanted && now != records_of(before, region) {
            return Err(stale(format!("the records of {region} were changed since this was planned")));
        }
    }
    let attached = |records: &[Record]| -> bool {
        let kept = |record: &Record| !change.detach.contains(&record.region);
        !change.attach.is_empty() || records.iter().any(kept)
    };
    if !attached(&found.records) && change.others_stay {
        return Err(stale(format!(
            "the other regions of {} were detached since this was planned; it would lead nowhere",
            change.domain
        )));
    }
    let mut drained = found.drained.clone();
    drained.extend(change.drained.difference(&change.drained_before).cloned());
    drained.retain(|region| change.drained.contains(region) || !change.drained_before.contains(region));
    Ok(drained)
}

/// A stack, unless it exists in name only.
fn existing(found: Option<&ObservedStack>) -> Option<&ObservedStack> {
    found.filter(|stack| stack.state() != StackState::Hollow)
}

fn check_before(kind: StackKind, before: &Before, found: &ObservedStack) -> Result<(), StepError> {
    if is_same(found, &before.text, &before.parameters) {
        return Ok(());
    }
    let (old, new) = (Template::parse(&before.text), Template::parse(&found.text));
    let changes = match (old, new) {
        (Ok(old), Ok(new)) => compare(Some(&old), &new),
        _ => Vec::new(),
    };
    let what = if changes.is_empty() { "its outputs or parameters".to_owned() } else { named(&changes) };
    Err(stale(format!("the {kind} stack was changed since this was planned: {what}")))
}

/// Comments and order do not matter.
fn is_same(found: &ObservedStack, text: &str, parameters: &BTreeMap<String, String>) -> bool {
    let parsed = || match (Template::parse(&found.text), Template::parse(text)) {
        (Ok(found), Ok(text)) => found == text,
        _ => false,
    };
    found.parameters == *parameters && (found.text == text || parsed())
}

/// `LookupFunction (MemorySize), Api` and how many more.
fn named(changes: &[ResourceChange]) -> String {
    let name = |change: &ResourceChange| match change.properties.first() {
        Some(property) => format!("{} ({})", change.name, property.path),
        None => change.name.clone(),
    };
    let mut text = changes.iter().take(NAMED_MAX).map(name).collect::<Vec<_>>().join(", ");
    if let Some(more) = changes.len().checked_sub(NAMED_MAX).filter(|more| *more > 0) {
        let _ = write!(text, " and {more} more");
    }
    text
}

fn records_of<'a>(records: &'a [Record], region: &RegionName) -> BTreeMap<RecordKind, &'a Record> {
    records.iter().filter(|record| record.region == *region).map(|record| (record.kind, record)).collect()
}

fn leads_to(record: &Record, alias: &Alias) -> bool {
    record.alias == *alias && record.evaluates_health
}

fn stale(message: String) -> StepError {
    StepError {
        stale: true,
        remedy: Some("nothing was changed by this step; run `ipgeo plan` again".to_owned()),
        ..StepError::new(message)
    }
}
