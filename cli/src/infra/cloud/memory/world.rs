//! What there is: stacks, resources, objects, tables, zones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::breaks::Break;
use super::log::Log;
use super::stacks::Operation;
use super::{ACCOUNT, Latency};
use crate::infra::cloud::{Done, StepError};
use crate::infra::plan::{AccessState, Foreign, ObservedRegion, ObservedStack, Record, Zone};
use crate::infra::stacks::{Names, StackKind, Template};

/// Region and name of a stack.
pub(super) type StackId = (String, String);

/// The cloud and everything about it.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) names: Names,
    pub(super) home: String,
    pub(super) facts: Facts,
    pub(super) zones: Vec<HostedZone>,
    pub(super) latency: Latency,
    pub(super) failed_creations_deleted: bool,
    pub(super) closed: BTreeMap<String, Closed>,
    pub(super) refused: Option<Closed>,
    pub(super) taken_buckets: BTreeSet<String>,
    pub(super) unhealthy: BTreeMap<String, String>,
    pub(super) bad_code: BTreeSet<String>,
    pub(super) breaks: Vec<Break>,
    pub(super) operations: Vec<Operation>,
    pub(super) ended: BTreeMap<u64, Result<Done, StepError>>,
    pub(super) next_operation: u64,
    pub(super) log: Log,
}

/// What stacks make and change; undone as a whole when a stack's update is.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    pub(super) stacks: BTreeMap<StackId, Stack>,
    pub(super) things: BTreeMap<ThingId, Thing>,
    pub(super) tables: BTreeMap<String, Table>,
    /// Objects by bucket.
    pub(super) objects: BTreeMap<String, BTreeSet<String>>,
    /// The next identifier that AWS makes up.
    pub(super) next_id: u64,
}

/// A refusal of every call.
#[derive(Debug, Clone)]
pub(super) struct Closed {
    pub(super) code: String,
    pub(super) message: String,
}

/// A stack.
#[derive(Debug, Clone)]
pub(super) struct Stack {
    pub(super) kind: StackKind,
    pub(super) status: String,
    pub(super) text: Arc<str>,
    pub(super) template: Arc<Template>,
    pub(super) parameters: BTreeMap<String, String>,
    pub(super) outputs: BTreeMap<String, String>,
    pub(super) resources: BTreeMap<String, ThingId>,
    /// Whether it is protected from being deleted.
    pub(super) protected: bool,
}

/// A resource by what must be unique: where (`global` for roles and buckets), type, name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ThingId {
    pub(super) scope: String,
    pub(super) kind: String,
    pub(super) name: String,
}

/// A resource.
#[derive(Debug, Clone)]
pub(super) struct Thing {
    pub(super) properties: Value,
    /// The stack that manages it; none: it was kept when its stack went.
    pub(super) owner: Option<StackId>,
    /// What AWS has made up for it.
    pub(super) id: u64,
}

/// A table.
#[derive(Debug, Clone)]
pub(super) struct Table {
    /// Regions that have it, and whether each is protected from deletion.
    pub(super) replicas: BTreeMap<String, bool>,
    /// Whether secret and probes' API key are in it.
    pub(super) ready: bool,
    pub(super) limits: BTreeMap<(String, String), u64>,
}

/// A hosted zone.
#[derive(Debug, Clone)]
pub(super) struct HostedZone {
    pub(super) name: String,
    pub(super) id: String,
    /// Our latency records, by domain.
    pub(super) records: Vec<(String, Record)>,
    pub(super) drained: BTreeSet<String>,
    /// Records of others, by name.
    pub(super) foreign: Vec<(String, Foreign)>,
    /// When records led to a target for the last time.
    pub(super) led_until: BTreeMap<String, Duration>,
}

impl HostedZone {
    pub(super) fn new(name: &str) -> Self {
        let record = |kind: &str| {
            (format!("www.{name}"), Foreign { kind: kind.to_owned(), what: "somebody's".to_owned() })
        };
        Self {
            name: name.to_owned(),
            id: "Z0123456789".to_owned(),
            records: Vec::new(),
            drained: BTreeSet::new(),
            foreign: vec![record("A"), record("TXT")],
            led_until: BTreeMap::new(),
        }
    }

    pub(super) fn observe(&self, domain: &str) -> Zone {
        let ours = self.records.iter().filter(|(name, _)| name == domain);
        // Other types may stand beside latency records.
        let forbids = |foreign: &Foreign| matches!(foreign.kind.as_str(), "A" | "AAAA" | "CNAME");
        let foreign = self.foreign.iter().filter(|(name, foreign)| name == domain && forbids(foreign));
        Zone {
            id: self.id.clone(),
            records: ours.map(|(_, record)| record.clone()).collect(),
            drained: self.drained.clone(),
            foreign: foreign.map(|(_, foreign)| foreign.clone()).collect(),
        }
    }
}

impl World {
    pub(super) fn new(names: Names, home: &str) -> Self {
        Self {
            names,
            home: home.to_owned(),
            facts: Facts::default(),
            zones: Vec::new(),
            latency: Latency::default(),
            failed_creations_deleted: true,
            closed: BTreeMap::new(),
            refused: None,
            taken_buckets: BTreeSet::new(),
            unhealthy: BTreeMap::new(),
            bad_code: BTreeSet::new(),
            breaks: Vec::new(),
            operations: Vec::new(),
            ended: BTreeMap::new(),
            next_operation: 0,
            log: Log::default(),
        }
    }

    /// Begins time anew, `passed` after it began.
    pub(super) fn fork_at(&mut self, passed: Duration) {
        for operation in &mut self.operations {
            operation.ends = operation.ends.saturating_sub(passed);
        }
        for zone in &mut self.zones {
            zone.led_until.clear();
        }
    }

    pub(super) fn observe(&self, region: &str, artifacts: &[String]) -> ObservedRegion {
        let mut observed = ObservedRegion::default();
        for ((_, _), stack) in self.facts.stacks.iter().filter(|((place, _), _)| place == region) {
            let seen = ObservedStack {
                status: stack.status.clone(),
                text: stack.text.to_string(),
                parameters: stack.parameters.clone(),
                outputs: stack.outputs.clone(),
            };
            observed.stacks.insert(stack.kind, seen);
        }
        let bucket = self.names.bucket(ACCOUNT, region);
        if self.taken_buckets.contains(&bucket) && !observed.stacks.contains_key(&StackKind::Artifacts) {
            observed.closed = Some((
                format!("the bucket name {bucket} is taken by another account"),
                "choose another `name` or `environment` in regions.toml".to_owned(),
            ));
        }
        let held = self.facts.objects.get(&bucket);
        observed.artifacts =
            artifacts.iter().filter(|key| held.is_some_and(|held| held.contains(*key))).cloned().collect();
        observed
    }

    pub(super) fn access(&self) -> Option<AccessState> {
        let table = self.facts.tables.get(&self.names.access_table)?;
        table.replicas.get(&self.home)?;
        Some(AccessState {
            ready: table.ready,
            limits: table
                .limits
                .iter()
                .filter(|(_, count)| **count > 0)
                .map(|(k, n)| (k.clone(), *n))
                .collect(),
            replicas: table.replicas.keys().filter(|region| **region != self.home).cloned().collect(),
        })
    }

    /// What an edge answers to a probe.
    pub(super) fn probe(&self, region: &str) -> Result<f64, String> {
        if let Some(why) = self.unhealthy.get(region) {
            return Err(why.clone());
        }
        let id = (region.to_owned(), self.names.stack(StackKind::Edge));
        let stack = self.facts.stacks.get(&id).ok_or("nobody answers")?;
        let table = self.facts.tables.get(&self.names.access_table).ok_or("the access table is not there")?;
        if !table.replicas.contains_key(region) {
            return Err(format!("/health: the access table has no replica in {region}"));
        }
        if !table.ready {
            return Err("the probes' API key is unknown".to_owned());
        }
        if stack.outputs.get("Code").is_some_and(|code| self.bad_code.contains(code)) {
            return Err("/health: 502 Bad Gateway".to_owned());
        }
        Ok(12.0)
    }
}
