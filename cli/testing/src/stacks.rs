//! CloudFormation: stacks and their states.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::faults::FaultKind;
use crate::log::Log;
use crate::operation::{Failure, StackWork, Work, refused};
use crate::resources;
use crate::rules::Rules;
use crate::state::{ACCOUNT, CloudState, Contents, ResourceId, Stack, StackId};
use crate::text::hash_of;
use crate::values::Meaning;
use ipgeo::internals::infra::cloud::{Done, StepError, check_deletion, check_stack};
use ipgeo::internals::infra::plan::{Before, Op, PROTECTED, StackChange, compare};
use ipgeo::internals::infra::stacks::{Resource, StackKind, Template};

/// What an operation on a stack may use.
struct Site<'a> {
    contents: &'a mut Contents,
    log: &'a mut Log,
    rules: &'a Rules<'a>,
    id: &'a StackId,
}

/// Tests deploy the same few texts thousands of times, and most of the time of a deploy would be reading their YAML.
fn parse(text: &str) -> Result<Template, StepError> {
    thread_local! {
        static KNOWN: RefCell<HashMap<String, Template>> = RefCell::default();
    }
    if let Some(known) = KNOWN.with_borrow(|known| known.get(text).cloned()) {
        return Ok(known);
    }
    let template = Template::parse(text).map_err(|error| refused("ValidationError", error.to_string()))?;
    KNOWN.with_borrow_mut(|known| known.insert(text.to_owned(), template.clone()));
    Ok(template)
}

impl CloudState {
    /// Makes the change set and executes it.
    pub(crate) fn begin_stack(&mut self, region: &str, change: &StackChange) -> Result<Work, StepError> {
        let id: StackId = (region.to_owned(), change.name.clone());
        check_stack(change, self.observed(&id).as_ref())?;
        let never_created = |stack: &Stack| stack.status == "ROLLBACK_COMPLETE";
        if change.recreate && self.contents.stacks.get(&id).is_some_and(never_created) {
            self.delete_now(&id, None)?;
        }
        let template = parse(&change.text)?;
        template.check(&change.text).map_err(|error| refused("ValidationError", error.to_string()))?;
        // The adapter looks at what the template names before it makes a change set.
        let bucket = self.names.bucket(ACCOUNT, region);
        let held = self.contents.objects.get(&bucket).into_iter().flatten();
        let mut named = held.filter(|(key, _)| change.text.contains(*key));
        if let Some((key, _)) = named.find(|(key, _)| !self.contents.is_artifact(&bucket, key)) {
            return Err(StepError::new(format!("{key} is not what its name says")));
        }
        let there = self.contents.stacks.get(&id).filter(|stack| stack.status != "REVIEW_IN_PROGRESS");
        let creates = there.is_none();
        if let Some(there) = there {
            if !may_be_updated(&there.status) {
                let (name, status) = (&change.name, &there.status);
                let message = format!("Stack:{name} is in {status} state and can not be updated.");
                return Err(refused("ValidationError", message));
            }
            if *there.template == template && there.parameters == change.parameters {
                return Ok(Work::Nothing);
            }
            guard(&compare(Some(&there.template), &template), change)?;
        }
        let template = Arc::new(template);
        let mut work = StackWork { change: change.clone(), template, creates, doomed: None };
        work.doomed = self.try_out(&id, &work).err();
        let status = if creates { "CREATE_IN_PROGRESS" } else { "UPDATE_IN_PROGRESS" };
        let stack = self.contents.stacks.entry(id).or_insert_with(|| Stack {
            kind: change.kind,
            status: String::new(),
            text: Arc::from(change.text.as_str()),
            template: Arc::clone(&work.template),
            parameters: change.parameters.clone(),
            outputs: BTreeMap::new(),
            resources: BTreeMap::new(),
            protected: false,
        });
        status.clone_into(&mut stack.status);
        Ok(Work::Stack(Box::new(work)))
    }

    /// Whether the work would succeed if all that goes on now were to end in nothing.
    fn try_out(&mut self, id: &StackId, work: &StackWork) -> Result<(), Failure> {
        let (mut contents, mut log) = (self.contents.clone(), Log::default());
        let rules =
            Rules::new(&self.names, &self.unreachable, &self.taken_buckets, &self.zones, Duration::ZERO);
        let mut site = Site { contents: &mut contents, log: &mut log, rules: &rules, id };
        if work.creates { site.create(work, None, &mut BTreeMap::new()) } else { site.update(work, None) }
    }

    pub(crate) fn finish_stack(
        &mut self,
        now: Duration,
        region: &str,
        work: &StackWork,
        fault: Option<FaultKind>,
    ) -> Result<Done, StepError> {
        let id: StackId = (region.to_owned(), work.change.name.clone());
        let (before, effects) = (self.contents.clone(), self.log.effects.len());
        let rules = Rules::new(&self.names, &self.unreachable, &self.taken_buckets, &self.zones, now);
        let mut site = Site { contents: &mut self.contents, log: &mut self.log, rules: &rules, id: &id };
        let ended = if work.creates {
            let mut made = BTreeMap::new();
            let ended = site.create(work, fault, &mut made);
            if ended.is_err() {
                site.undo_creation(&work.template, &made);
            }
            ended
        } else {
            site.update(work, fault)
        };
        match ended {
            Ok(()) => {
                let verb = if work.creates { "create" } else { "update" };
                let kind = work.change.kind;
                // A stack may be updated several times, each time to something else.
                let what = format!("{verb} {kind} {:08x}", hash_of(&work.change.text));
                self.log.effect(region, what);
                Ok(Done::Changed)
            }
            Err(failure) => {
                // What is undone was not done.
                self.log.effects.truncate(effects);
                if work.creates {
                    let gone = self.failed_creations_deleted && fault != Some(FaultKind::Stick);
                    if gone {
                        self.contents.stacks.remove(&id);
                    } else if let Some(stack) = self.contents.stacks.get_mut(&id) {
                        stack.status = failed("ROLLBACK", fault);
                    }
                } else {
                    self.contents = before;
                    self.contents.return_alias(&id, &work.template, &self.names);
                    if let Some(stack) = self.contents.stacks.get_mut(&id) {
                        stack.status = failed("UPDATE_ROLLBACK", fault);
                    }
                }
                Err(failure.into())
            }
        }
    }

    pub(crate) fn begin_deletion(
        &mut self,
        region: &str,
        kind: StackKind,
        name: &str,
        before: Option<&Before>,
    ) -> Result<Work, StepError> {
        let id: StackId = (region.to_owned(), name.to_owned());
        check_deletion(kind, before, self.observed(&id).as_ref())?;
        let Some(stack) = self.contents.stacks.get_mut(&id) else { return Ok(Work::Nothing) };
        if stack.status.ends_with("_IN_PROGRESS") && stack.status != "REVIEW_IN_PROGRESS" {
            let message = format!("Stack:{name} is in {} state and can not be deleted.", stack.status);
            return Err(refused("ValidationError", message));
        }
        if kind == StackKind::Home {
            stack.protected = false;
        }
        if stack.protected {
            return Err(refused("ValidationError", format!("{name} is protected from termination")));
        }
        "DELETE_IN_PROGRESS".clone_into(&mut stack.status);
        Ok(Work::Deletion(name.to_owned()))
    }

    pub(crate) fn finish_deletion(
        &mut self,
        now: Duration,
        region: &str,
        name: &str,
        fault: Option<FaultKind>,
    ) -> Result<Done, StepError> {
        let id: StackId = (region.to_owned(), name.to_owned());
        if let Some(fault) = fault {
            if let Some(stack) = self.contents.stacks.get_mut(&id) {
                "DELETE_FAILED".clone_into(&mut stack.status);
            }
            return Err(StepError::new(reason(fault)));
        }
        self.delete_now(&id, Some(now))
    }

    /// Deletes a stack; what can't be deleted stays in it.
    fn delete_now(&mut self, id: &StackId, now: Option<Duration>) -> Result<Done, StepError> {
        let Some(stack) = self.contents.stacks.get(id).cloned() else { return Ok(Done::AlreadySo) };
        // Without a clock it is long after: whoever repairs a stack by hand has waited.
        let now = now.unwrap_or(Duration::MAX);
        let rules = Rules::new(&self.names, &self.unreachable, &self.taken_buckets, &self.zones, now);
        let mut first = None;
        let mut left = stack.resources.clone();
        for name in order(&stack.template).into_iter().rev() {
            let Some(thing) = stack.resources.get(name) else { continue };
            let resource = &stack.template.resources[name];
            let mut site = Site { contents: &mut self.contents, log: &mut self.log, rules: &rules, id };
            match site.remove(resource, thing) {
                Ok(()) => drop(left.remove(name)),
                Err(reason) => {
                    let (name, kind) = (name.to_owned(), resource.kind.clone());
                    first.get_or_insert(Failure { name, kind, reason });
                }
            }
        }
        match first {
            None => {
                self.contents.stacks.remove(id);
                self.log.effect(&id.0, format!("delete {}", stack.kind));
                Ok(Done::Changed)
            }
            Some(failure) => {
                if let Some(stack) = self.contents.stacks.get_mut(id) {
                    "DELETE_FAILED".clone_into(&mut stack.status);
                    stack.resources = left;
                }
                Err(failure.into())
            }
        }
    }

    /// `continue-update-rollback` where that is asked for, `delete-stack` elsewhere.
    pub(crate) fn repair(&mut self) {
        let failed = |(id, stack): (&StackId, &Stack)| {
            stack.status.ends_with("_FAILED").then(|| (id.clone(), stack.status.clone()))
        };
        let stuck: Vec<(StackId, String)> = self.contents.stacks.iter().filter_map(failed).collect();
        for (id, status) in stuck {
            if status == "UPDATE_ROLLBACK_FAILED" {
                if let Some(stack) = self.contents.stacks.get_mut(&id) {
                    "UPDATE_ROLLBACK_COMPLETE".clone_into(&mut stack.status);
                }
            } else {
                // What can't be deleted stays as it was.
                let _ = self.delete_now(&id, None);
            }
        }
    }
}

impl Site<'_> {
    fn create(
        &mut self,
        work: &StackWork,
        fault: Option<FaultKind>,
        made: &mut BTreeMap<String, ResourceId>,
    ) -> Result<(), Failure> {
        for name in order(&work.template) {
            let resource = &work.template.resources[name];
            let fails = |reason| Failure { name: name.to_owned(), kind: resource.kind.clone(), reason };
            let properties = self.resolve(&resource.properties, work, made).map_err(fails)?;
            let thing =
                resources::create(self.contents, self.log, self.rules, self.id, name, resource, properties)
                    .map_err(fails)?;
            made.insert(name.to_owned(), thing);
        }
        self.come_to_its_end(work, fault, made)?;
        if let Some(stack) = self.contents.stacks.get_mut(self.id) {
            "CREATE_COMPLETE".clone_into(&mut stack.status);
        }
        Ok(())
    }

    /// What a failed creation leaves: nothing but what is declared to be kept.
    fn undo_creation(&mut self, template: &Template, made: &BTreeMap<String, ResourceId>) {
        for name in order(template).into_iter().rev() {
            let Some(thing) = made.get(name) else { continue };
            // Undoing is not a deploy's doing: nothing of it is harm.
            let mut log = Log::default();
            let mut site = Site { contents: self.contents, log: &mut log, rules: self.rules, id: self.id };
            if site.remove(&template.resources[name], thing).is_err() {
                self.contents.let_go(thing);
            }
        }
    }

    fn update(&mut self, work: &StackWork, fault: Option<FaultKind>) -> Result<(), Failure> {
        let Some(stack) = self.contents.stacks.get(self.id).cloned() else { return Ok(()) };
        let mut resources = stack.resources.clone();
        let (mut left, mut changed) = (Vec::new(), Vec::new());
        for name in order(&work.template) {
            let resource = &work.template.resources[name];
            let fails = |reason| Failure { name: name.to_owned(), kind: resource.kind.clone(), reason };
            let properties = self.resolve(&resource.properties, work, &resources).map_err(fails)?;
            let thing = match resources.get(name) {
                None => {
                    changed.push(name);
                    resources::create(
                        self.contents,
                        self.log,
                        self.rules,
                        self.id,
                        name,
                        resource,
                        properties,
                    )
                    .map_err(fails)?
                }
                Some(old) => {
                    let old = old.clone();
                    if self.contents.resources.get(&old).is_some_and(|thing| thing.properties == properties) {
                        continue;
                    }
                    changed.push(name);
                    let new = resources::update(
                        self.contents,
                        self.log,
                        self.rules,
                        self.id,
                        name,
                        &old,
                        resource,
                        properties,
                    )
                    .map_err(fails)?;
                    if new != old {
                        left.push((name, old));
                    }
                    new
                }
            };
            resources.insert(name.to_owned(), thing);
        }
        crate::tables::check_alone(self.log, &stack.template, &work.template, &changed);
        self.come_to_its_end(work, fault, &resources)?;
        for (name, thing) in &stack.resources {
            if !work.template.resources.contains_key(name) {
                left.push((name, thing.clone()));
                if let Some(stack) = self.contents.stacks.get_mut(self.id) {
                    stack.resources.remove(name);
                }
            }
        }
        // Cleaning up: what can't be removed is let go of.
        for (name, thing) in left {
            let resource = &stack.template.resources[name];
            if self.remove(resource, &thing).is_err() {
                self.contents.let_go(&thing);
            }
        }
        if let Some(stack) = self.contents.stacks.get_mut(self.id) {
            "UPDATE_COMPLETE".clone_into(&mut stack.status);
        }
        Ok(())
    }

    /// The last moment at which an operation may fail; then its outputs are there.
    fn come_to_its_end(
        &mut self,
        work: &StackWork,
        fault: Option<FaultKind>,
        resources: &BTreeMap<String, ResourceId>,
    ) -> Result<(), Failure> {
        if let Some(failure) = &work.doomed {
            return Err(failure.clone());
        }
        if let Some(fault) = fault {
            let last = order(&work.template).last().map(|name| (*name).to_owned()).unwrap_or_default();
            let kind = work.template.resources.get(&last).map(|last| last.kind.clone()).unwrap_or_default();
            return Err(Failure { name: last, kind, reason: reason(fault).to_owned() });
        }
        let mut outputs = BTreeMap::new();
        for (name, output) in &work.template.outputs {
            let value = output.get("Value").unwrap_or(&Value::Null);
            let fails = |reason| Failure { name: name.clone(), kind: "output".to_owned(), reason };
            let value = self.resolve(value, work, resources).map_err(fails)?;
            outputs.insert(name.clone(), value.as_str().unwrap_or_default().to_owned());
        }
        if let Some(stack) = self.contents.stacks.get_mut(self.id) {
            stack.text = Arc::from(work.change.text.as_str());
            stack.template = Arc::clone(&work.template);
            stack.parameters.clone_from(&work.change.parameters);
            stack.outputs = outputs;
            stack.resources.clone_from(resources);
            stack.protected = work.change.kind == StackKind::Home;
        }
        Ok(())
    }

    fn resolve(
        &self,
        value: &Value,
        work: &StackWork,
        resources: &BTreeMap<String, ResourceId>,
    ) -> Result<Value, String> {
        let parameters = &work.change.parameters;
        Meaning { contents: self.contents, region: &self.id.0, parameters, resources }.resolve(value)
    }

    /// Removes a resource, or lets go of it when its policy says so.
    fn remove(&mut self, resource: &Resource, thing: &ResourceId) -> Result<(), String> {
        if resource.deletion_policy.as_deref().is_some_and(|policy| policy.starts_with("Retain")) {
            self.contents.let_go(thing);
            return Ok(());
        }
        resources::delete(self.contents, self.log, self.rules, thing)
    }
}

impl Contents {
    /// A resource that no stack manages any more.
    fn let_go(&mut self, thing: &ResourceId) {
        if let Some(thing) = self.resources.get_mut(thing) {
            thing.owner = None;
        }
    }
}

fn may_be_updated(status: &str) -> bool {
    matches!(status, "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "UPDATE_ROLLBACK_COMPLETE" | "IMPORT_COMPLETE")
}

fn failed(what: &str, fault: Option<FaultKind>) -> String {
    let end = if fault == Some(FaultKind::Stick) { "FAILED" } else { "COMPLETE" };
    format!("{what}_{end}")
}

/// As the adapter's: what must not be lost is not replaced or removed.
fn guard(
    changes: &[ipgeo::internals::infra::plan::ResourceChange],
    change: &StackChange,
) -> Result<(), StepError> {
    let lost = changes.iter().find(|resource| {
        matches!(resource.op, Op::Replace | Op::Remove)
            && PROTECTED.contains(&resource.name.as_str())
            && !change.allow_replace.contains(&resource.name)
    });
    match lost {
        Some(lost) => Err(StepError {
            resource: Some(format!("{} ({})", lost.name, lost.kind)),
            ..StepError::new("CloudFormation would replace or delete it; nothing was changed")
        }),
        None => Ok(()),
    }
}

/// Logical names, each after those that it refers to.
pub(crate) fn order(template: &Template) -> Vec<&str> {
    fn visit<'t>(template: &'t Template, name: &'t str, ordered: &mut Vec<&'t str>) {
        if ordered.contains(&name) {
            return;
        }
        let Some((name, resource)) = template.resources.get_key_value(name) else { return };
        for to in resource.refers_to().into_iter().chain(resource.depends_on.iter().cloned()) {
            // Templates have no cycles: CloudFormation refuses them.
            if let Some((to, _)) = template.resources.get_key_value(&to).filter(|(to, _)| *to != name) {
                visit(template, to, ordered);
            }
        }
        if !ordered.contains(&name.as_str()) {
            ordered.push(name);
        }
    }
    let mut ordered = Vec::with_capacity(template.resources.len());
    for name in template.resources.keys() {
        visit(template, name, &mut ordered);
    }
    ordered
}

/// The reason that CloudFormation gives for a fault.
fn reason(fault: FaultKind) -> &'static str {
    if fault == FaultKind::Early {
        "The role defined for the function cannot be assumed by Lambda."
    } else {
        "broken on purpose"
    }
}
