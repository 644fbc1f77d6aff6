//! Home's steps: limits of tiers, the stack, replicas of the access table one at a time, secrets.

use std::collections::{BTreeMap, BTreeSet};

use super::edit;
use super::faults::{self, Fault};
use super::model::{Action, Step, TierLimit};
use super::observed::{ObservedStack, replica_states};
use super::planner::Planner;
use crate::infra::stacks::{DataPolicy, RenderError, Replica, Stack, StackKind, Template, tier_limits};

/// Regions of the access table and whether each is protected from deletion.
type Replicas = BTreeMap<String, bool>;

impl Planner<'_> {
    /// Home's steps. What home itself is like changes only when home is asked for; an edge's replica is declared
    /// in home's stack all the same. A replica is never added together with anything else.
    pub(super) fn home(&mut self, notes: &mut Vec<String>) -> Result<Vec<Step>, RenderError> {
        let home = self.home_region().to_owned();
        let there = self.observed.home_stack(&home).cloned();
        let wanted: BTreeSet<String> = self.selected().map(|region| region.name.clone()).collect();
        let mut replicas = self.begin_with(there.as_ref(), &wanted);
        let missing: Vec<String> =
            wanted.iter().filter(|region| !replicas.contains_key(*region)).cloned().collect();
        let whole = there.is_none() || wanted.contains(&home);
        let (mut steps, mut now) = if whole {
            self.brought_up_to_date(there.as_ref(), &replicas, notes)?
        } else {
            (Vec::new(), there.as_ref().map(|stack| stack.text.clone()).unwrap_or_default())
        };
        if let Some(stack) = there.as_ref().filter(|_| !whole && !missing.is_empty()) {
            let name = self.renderer.names().stack(StackKind::Home);
            let recreate = self.options.recreate_failed;
            self.faults.extend(faults::of_state(&home, StackKind::Home, &name, stack, recreate));
        }
        self.check_undeclared(&missing, notes);
        for region in missing {
            replicas.insert(region.clone(), true);
            let next = if whole {
                Some(self.renderer.home(&replica_list(&replicas), DataPolicy::Keep)?)
            } else {
                edit::with_replica(&now, &home, &region).and_then(|text| self.home_stack_of(text))
            };
            let Some(next) = next else {
                self.faults.push(Fault::new(
                    &home,
                    "the home stack's template can't be read",
                    "bring it up to date first: ipgeo deploy",
                ));
                break;
            };
            let text = next.text.clone();
            steps.extend(self.stack_step_from(next, &now, BTreeMap::new()));
            now = text;
        }
        if !self.observed.access.as_ref().is_some_and(|access| access.ready) {
            steps.push(Step::new(&home, Action::Secret));
        }
        Ok(steps)
    }

    /// The replicas to begin with: those that are declared. A table that an earlier stack has kept is adopted as
    /// it is, for adopting changes nothing; a new one may have any number.
    fn begin_with(&self, there: Option<&ObservedStack>, wanted: &BTreeSet<String>) -> Replicas {
        let home = self.home_region().to_owned();
        let mut replicas = match there {
            Some(stack) => replica_states(&stack.text),
            None => {
                let kept = self.observed.replicas(&home);
                let begin = if kept.is_empty() { wanted } else { &kept };
                begin.iter().map(|region| (region.clone(), true)).collect()
            }
        };
        replicas.insert(home, true);
        // A replica that was released to be removed stays so, unless the file has its region again.
        for region in &self.config.regions {
            replicas.entry(region.name.clone()).and_modify(|protected| *protected = true);
        }
        replicas
    }

    /// Limits of tiers and the stack itself; returns the template that is there afterwards too.
    fn brought_up_to_date(
        &mut self,
        there: Option<&ObservedStack>,
        replicas: &Replicas,
        notes: &mut Vec<String>,
    ) -> Result<(Vec<Step>, String), RenderError> {
        let mut steps = self.tier_steps(there, notes);
        let stack = self.renderer.home(&replica_list(replicas), DataPolicy::Keep)?;
        let rendered = stack.text.clone();
        let step = self.stack_step(stack, BTreeMap::new());
        let now = match (&step, there) {
            (None, Some(there)) => there.text.clone(),
            _ => rendered,
        };
        steps.extend(step);
        Ok((steps, now))
    }

    /// The home stack with a text of its own.
    pub(super) fn home_stack_of(&self, text: String) -> Option<Stack> {
        let template = Template::parse(&text).ok()?;
        let name = self.renderer.names().stack(StackKind::Home);
        Some(Stack { kind: StackKind::Home, region: self.home_region().to_owned(), name, text, template })
    }

    fn check_undeclared(&mut self, missing: &[String], notes: &mut Vec<String>) {
        let home = self.home_region().to_owned();
        let table = self.renderer.names().access_table.clone();
        for region in self.observed.undeclared_replicas(&home) {
            let what = format!("the access table has a replica in {region} that home's stack does not know");
            let remedy = format!(
                "remove it: aws dynamodb update-table --table-name {table} --region {home} --replica-updates 'Delete={{RegionName={region}}}'"
            );
            if missing.contains(&region) {
                self.faults.push(Fault::new(&home, what, remedy));
            } else {
                notes.push(format!("{what}; {remedy}"));
            }
        }
    }

    fn tier_steps(&self, home: Option<&ObservedStack>, notes: &mut Vec<String>) -> Vec<Step> {
        let told = home.and_then(|stack| stack.outputs.get("Tiers")).map(String::as_str).unwrap_or_default();
        let wanted = tier_limits(&self.config.tiers);
        let wanted: BTreeMap<&str, &str> =
            wanted.split(' ').filter_map(|tier| tier.split_once('=')).collect();
        let limits = self.observed.access.as_ref().map(|access| &access.limits);
        let mut steps = Vec::new();
        for (tier, from) in told.split(' ').filter_map(|tier| tier.split_once('=')) {
            let key = (tier.to_owned(), from.to_owned());
            let api_keys = limits.and_then(|limits| limits.get(&key)).copied().unwrap_or(0);
            match wanted.get(tier) {
                Some(to) if *to != from && api_keys > 0 => {
                    let (tier, from, to) = (tier.to_owned(), from.to_owned(), (*to).to_owned());
                    let limit = TierLimit { tier, from, to, api_keys };
                    steps.push(Step::new(self.home_region(), Action::Tier(limit)));
                }
                None if api_keys > 0 => notes.push(format!(
                    "tier `{tier}` is no longer in the file; its {api_keys} API keys keep {from}"
                )),
                _ => {}
            }
        }
        steps
    }
}

/// Replicas as a template takes them.
pub(super) fn replica_list(replicas: &Replicas) -> Vec<Replica> {
    let replica =
        |(region, protected): (&String, &bool)| Replica { region: region.clone(), protected: *protected };
    replicas.iter().map(replica).collect()
}
