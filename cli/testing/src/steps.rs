//! Steps: begun, checked, and brought to their end when their time has come.

use std::time::Duration;

use crate::faults::FaultKind;
use crate::operation::{Operation, Work, refused};
use crate::records;
use crate::state::{ACCOUNT, CloudState};
use ipgeo::internals::infra::cloud::{Done, StepError};
use ipgeo::internals::infra::plan::{Action, BucketKind, FollowSpec, TierLimit};
use ipgeo::internals::infra::stacks::{ArtifactRef, StackKind};
use ipgeo_contract::RegionName;

/// A step that goes on.
pub(crate) struct Begun {
    pub(crate) operation: u64,
    pub(crate) takes: Duration,
    /// Whether whoever waits for it dies.
    pub(crate) dies: bool,
    pub(crate) phase: &'static str,
    pub(crate) parts: usize,
}

impl CloudState {
    /// Begins a step, or refuses it.
    pub(crate) fn begin(&mut self, now: Duration, region: &str, action: &Action) -> Result<Begun, StepError> {
        let title = action.title();
        let broken = self.take_fault(region, &title);
        self.log.calls.push((region.to_owned(), title));
        let is_stack = matches!(action, Action::Stack(_) | Action::DeleteStack { .. });
        match broken {
            Some(FaultKind::Refuse) => return Err(refused("InternalFailure", "broken on purpose")),
            Some(FaultKind::Fail | FaultKind::Stick) if !is_stack => {
                return Err(refused("InternalFailure", "broken on purpose"));
            }
            Some(FaultKind::Early) if !is_stack => {
                return Err(refused("PriorRequestNotComplete", "try again"));
            }
            Some(FaultKind::Throttle(_)) => return Err(refused("ThrottlingException", "Rate exceeded")),
            _ => {}
        }
        let (work, phase, parts) = match action {
            Action::Stack(change) => (self.begin_stack(region, change)?, "updating", change.changes.len()),
            Action::DeleteStack { kind, name, before } => {
                (self.begin_deletion(region, *kind, name, before.as_deref())?, "removing", 0)
            }
            other => (Work::Other(other.clone()), "changing", 0),
        };
        let takes = match &work {
            Work::Nothing | Work::Other(Action::Probe(_)) => Duration::ZERO,
            Work::Other(Action::Bake(spec)) => Duration::from_secs(spec.seconds),
            Work::Other(_) => self.latency.other,
            _ => self.latency.stack,
        };
        let id = self.next_operation;
        self.next_operation += 1;
        self.operations.push(Operation {
            id,
            region: region.to_owned(),
            ends: now + takes,
            work,
            fault: broken
                .filter(|kind| matches!(kind, FaultKind::Fail | FaultKind::Stick | FaultKind::Early)),
            loses_answer: broken == Some(FaultKind::LoseAnswer),
        });
        Ok(Begun { operation: id, takes, dies: broken == Some(FaultKind::Kill), phase, parts })
    }

    /// The break of this call, if there is one.
    fn take_fault(&mut self, region: &str, title: &str) -> Option<FaultKind> {
        let nth = self.log.calls.iter().filter(|(at, step)| at == region && step == title).count();
        let is_it = |index: &usize| {
            let broken = &self.faults[*index];
            broken.region == region && broken.step == title && broken.nth == nth
        };
        let index = (0..self.faults.len()).find(is_it)?;
        let kind = self.faults[index].kind;
        match &mut self.faults[index] {
            broken if matches!(broken.kind, FaultKind::Throttle(left) if left > 1) => {
                if let FaultKind::Throttle(left) = &mut broken.kind {
                    *left -= 1;
                }
                broken.nth += 1;
            }
            _ => drop(self.faults.remove(index)),
        }
        Some(kind)
    }

    /// Finishes everything whose time has come.
    pub(crate) fn settle(&mut self, now: Duration) {
        while let Some(index) = (0..self.operations.len())
            .filter(|index| self.operations[*index].ends <= now)
            .min_by_key(|index| (self.operations[*index].ends, self.operations[*index].id))
        {
            let operation = self.operations.remove(index);
            self.finish(operation);
        }
    }

    fn finish(&mut self, operation: Operation) {
        let at = operation.ends;
        let result = match operation.work {
            Work::Nothing => Ok(Done::AlreadySo),
            Work::Other(action) => self.other(at, &operation.region, &action),
            Work::Stack(work) => self.finish_stack(at, &operation.region, &work, operation.fault),
            Work::Deletion(name) => self.finish_deletion(at, &operation.region, &name, operation.fault),
        };
        let result = if operation.loses_answer {
            Err(StepError::new("the connection was lost before an answer came"))
        } else {
            result
        };
        self.ended.insert(operation.id, result);
    }

    /// The answer to a step.
    pub(crate) fn end(&mut self, id: u64) -> Result<Done, StepError> {
        if let Some(index) = self.operations.iter().position(|operation| operation.id == id) {
            // A timer may wake a moment early.
            let operation = self.operations.remove(index);
            self.finish(operation);
        }
        self.ended.remove(&id).unwrap_or(Ok(Done::AlreadySo))
    }

    fn other(&mut self, now: Duration, region: &str, action: &Action) -> Result<Done, StepError> {
        match action {
            Action::Upload(file) => self.put(region, &file.artifact, "upload"),
            Action::Copy { artifact, from } => {
                let bucket = self.names.bucket(ACCOUNT, from);
                let source = self.contents.objects.get(&bucket);
                if !source.is_some_and(|held| held.contains_key(&artifact.key)) {
                    return Err(refused("NoSuchKey", format!("{} is not in {from}", artifact.key)));
                }
                // The adapter checks its copy.
                if !self.contents.is_artifact(&bucket, &artifact.key) {
                    return Err(StepError::new(format!("{} is not what its name says", artifact.key)));
                }
                self.put(region, artifact, "copy")
            }
            Action::Secret => self.secret(region),
            Action::Tier(tier) => self.tier(region, tier),
            Action::Probe(_) => self.probe(region).map(|_| Done::AlreadySo).map_err(StepError::new),
            Action::Follow(spec) => self.follow(region, spec),
            Action::Bake(spec) => match self.failing.get(region) {
                Some(version)
                    if self.contents.observed_function(region, &spec.function).live == Some(*version) =>
                {
                    Err(StepError::new("9 of 100 calls failed, more than 1 %"))
                }
                _ => Ok(Done::AlreadySo),
            },
            Action::Switch(wanted) => {
                let (function, to) = (&wanted.function, wanted.to.to_string());
                let serves = self.contents.observed_function(region, function).live;
                if serves == Some(wanted.to) {
                    return Ok(Done::AlreadySo);
                }
                wanted.check(serves)?;
                let moved = self.contents.switch(region, function, &to);
                moved.map_err(|why| refused("ResourceNotFoundException", why))?;
                self.log.effect(region, format!("switch {} {to}", wanted.kind));
                Ok(Done::Changed)
            }
            Action::Prune(pruned) => {
                let any = self.contents.prune(region, pruned);
                let any = any.map_err(|why| refused("ResourceConflictException", why))?;
                Ok(if any { Done::Changed } else { Done::AlreadySo })
            }
            Action::Records(change) => records::ensure(self, now, change),
            Action::EmptyBucket { bucket } => {
                let name = match bucket {
                    BucketKind::Artifacts => self.names.bucket(ACCOUNT, region),
                    BucketKind::Failures => self.names.failure_bucket(ACCOUNT),
                };
                match self.contents.objects.get_mut(&name) {
                    Some(held) if !held.is_empty() => {
                        held.clear();
                        self.log.effect(region, format!("empty {name}"));
                        Ok(Done::Changed)
                    }
                    _ => Ok(Done::AlreadySo),
                }
            }
            Action::DeleteData { data, name, replica } => {
                self.delete_data(region, *data, name, replica.as_deref())
            }
            Action::RepairDrift { kind, .. } => self.repair_drift(region, *kind),
            Action::Wait { .. } | Action::Stack(_) | Action::DeleteStack { .. } => Ok(Done::AlreadySo),
        }
    }

    /// A stack is compared with its resources, and what differs is set back.
    fn repair_drift(&mut self, region: &str, kind: StackKind) -> Result<Done, StepError> {
        let id = (RegionName::new(region), kind);
        let left = self.drifts.remove(&id).unwrap_or_default();
        let (left, repaired): (Vec<_>, Vec<_>) =
            left.into_iter().partition(|drift| self.unrepairable.contains(&drift.name));
        for drift in &repaired {
            self.log.effect(region, format!("repair {kind} {}", drift.name));
        }
        match left.first() {
            Some(first) => {
                let error = StepError::new(format!("{} still differs from the template", first.name));
                self.drifts.insert(id, left);
                Err(error)
            }
            None if repaired.is_empty() => Ok(Done::AlreadySo),
            None => Ok(Done::Changed),
        }
    }

    /// Whether a region's lines reach the counter.
    fn follow(&self, region: &str, spec: &FollowSpec) -> Result<Done, StepError> {
        let targets = crate::resources::subscriptions(&self.contents, region);
        let arrives = targets.iter().any(|target| crate::resources::takes_lines(&self.contents, target));
        if arrives && !self.dead_pipes.contains(region) {
            return Ok(Done::AlreadySo);
        }
        Err(StepError {
            remedy: Some(spec.remedy.clone()),
            ..StepError::new("the marked call is not in the ledger")
        })
    }

    fn put(&mut self, region: &str, artifact: &ArtifactRef, how: &str) -> Result<Done, StepError> {
        let bucket = self.names.bucket(ACCOUNT, region);
        let held = self.contents.objects.get_mut(&bucket);
        let held = held.ok_or_else(|| refused("NoSuchBucket", format!("{bucket} does not exist")))?;
        let before = held.insert(artifact.key.clone(), artifact.digest.clone());
        if before.is_some_and(|before| before == artifact.digest) {
            return Ok(Done::AlreadySo);
        }
        self.log.effect(region, format!("{how} {}", artifact.key));
        Ok(Done::Changed)
    }

    fn secret(&mut self, region: &str) -> Result<Done, StepError> {
        let table = self.contents.tables.get_mut(&self.names.access_table);
        let table = table.filter(|table| table.replicas.contains_key(region));
        let table =
            table.ok_or_else(|| refused("ResourceNotFoundException", "the access table is not there"))?;
        if std::mem::replace(&mut table.ready, true) {
            return Ok(Done::AlreadySo);
        }
        self.log.effect(region, "secret");
        Ok(Done::Changed)
    }

    fn tier(&mut self, region: &str, tier: &TierLimit) -> Result<Done, StepError> {
        let table = self.contents.tables.get_mut(&self.names.access_table);
        let table =
            table.ok_or_else(|| refused("ResourceNotFoundException", "the access table is not there"))?;
        let Some(count) = table.limits.remove(&(tier.tier.clone(), tier.from.clone())) else {
            return Ok(Done::AlreadySo);
        };
        *table.limits.entry((tier.tier.clone(), tier.to.clone())).or_default() += count;
        self.log.effect(region, format!("tier {} from {} to {}", tier.tier, tier.from, tier.to));
        Ok(Done::Changed)
    }
}
