//! What a run needed, step by step, and what fails when a part of the policies is taken out.

use std::collections::{BTreeMap, BTreeSet};

use super::needs::needs;
use super::policy::{Part, Policies, Request};
use super::resolve::{Place, Resolved};

/// A request and who made it in which step.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The step's number.
    pub step: usize,
    /// The call of the program, or the stack's resource and what CloudFormation does with it.
    pub what: String,
    /// What was asked of IAM.
    pub request: Request,
}

/// Everything that a run needed.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// The steps' names, in order.
    pub steps: Vec<String>,
    /// Every different request of a step.
    pub entries: BTreeSet<Entry>,
}

/// What becomes of a run without a part of the policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutant {
    /// The part that is taken out.
    pub part: Part,
    /// The first request that is refused; none: nothing misses the part.
    pub first: Option<Entry>,
}

impl Record {
    /// Begins a step.
    pub fn step(&mut self, name: &str) {
        self.steps.push(name.to_owned());
    }

    /// Adds what CloudFormation needs to change a stack so.
    pub fn add_stack(
        &mut self,
        before: &BTreeMap<String, Resolved>,
        after: &BTreeMap<String, Resolved>,
        place: &Place,
    ) {
        for need in needs(before, after, place) {
            let what = format!("{} {} {:?}", place.stack, need.resource, need.operation);
            need.requests.iter().for_each(|request| self.add(&what, request));
        }
    }

    /// Adds a request to the current step.
    pub(crate) fn add(&mut self, what: &str, request: &Request) {
        if self.steps.is_empty() {
            self.steps.push("start".to_owned());
        }
        let entry = Entry { step: self.steps.len() - 1, what: what.to_owned(), request: request.clone() };
        self.entries.insert(entry);
    }

    /// The first request that policies refuse.
    pub fn first_refused(&self, policies: &Policies) -> Option<&Entry> {
        self.entries.iter().find(|entry| !policies.allows(&entry.request))
    }

    /// Every part of the policies with the first request that is refused without it.
    pub fn mutants(&self, policies: &Policies) -> Vec<Mutant> {
        // Most requests recur; each is decided once.
        let mut first: BTreeMap<&Request, &Entry> = BTreeMap::new();
        for entry in &self.entries {
            first.entry(&entry.request).or_insert(entry);
        }
        let mut entries: Vec<&Entry> = first.into_values().collect();
        entries.sort_unstable();
        let mutant = |part: Part| {
            let rest = policies.without(&part);
            let first = entries.iter().find(|entry| !rest.allows(&entry.request));
            Mutant { first: first.map(|entry| (*entry).clone()), part }
        };
        policies.parts().into_iter().map(mutant).collect()
    }
}
