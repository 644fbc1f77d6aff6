//! What there is: stacks, resources, objects, tables, zones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ipgeo_contract::RegionName;
use serde_json::Value;

use crate::faults::InjectedFault;
use crate::log::Log;
use crate::operation::Operation;
use crate::versions::Published;
use ipgeo::internals::infra::cloud::{Done, Problem, StepError};
use ipgeo::internals::infra::lock::LockItem;
use ipgeo::internals::infra::plan::{
    AccessState, Delegation, Drifts, Foreign, ObservedRegion, ObservedStack, Record, Zone,
};
use ipgeo::internals::infra::stacks::{FunctionKind, Names, StackKind, Template};

/// The account's number.
pub const ACCOUNT: &str = "123456789012";

/// How long operations take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Latency {
    /// A stack's creation, update or removal.
    pub stack: Duration,
    /// An upload, a copy, a change of records or items.
    pub other: Duration,
}

/// Region and name of a stack.
pub(crate) type StackId = (String, String);

/// The cloud and everything about it.
#[derive(Debug, Clone)]
pub(crate) struct CloudState {
    pub(crate) names: Names,
    pub(crate) home: RegionName,
    pub(crate) contents: Contents,
    pub(crate) zones: Vec<HostedZone>,
    pub(crate) latency: Latency,
    pub(crate) failed_creations_deleted: bool,
    pub(crate) unreachable: BTreeMap<String, Refusal>,
    pub(crate) refused: Option<Refusal>,
    pub(crate) taken_buckets: BTreeSet<String>,
    /// What was changed outside CloudFormation.
    pub(crate) drifts: Drifts,
    /// Logical names of resources that a drift-aware change set does not set back.
    pub(crate) unrepairable: BTreeSet<String>,
    /// When the newest replica was made, if that is less than a day ago.
    pub(crate) replica_made_s: Option<i64>,
    /// Quotas of concurrent executions, by region.
    pub(crate) concurrency: BTreeMap<RegionName, u64>,
    pub(crate) unhealthy: BTreeMap<RegionName, String>,
    pub(crate) bad_code: BTreeSet<String>,
    pub(crate) dead_pipes: BTreeSet<String>,
    /// Regions whose edge does not answer while it serves this version.
    pub(crate) broken: BTreeMap<RegionName, u64>,
    /// Regions whose metrics are bad while they serve this version.
    pub(crate) failing: BTreeMap<RegionName, u64>,
    pub(crate) faults: Vec<InjectedFault>,
    pub(crate) operations: Vec<Operation>,
    pub(crate) ended: BTreeMap<u64, Result<Done, StepError>>,
    pub(crate) next_operation: u64,
    pub(crate) log: Log,
}

/// What stacks make and change; undone as a whole when a stack's update is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Contents {
    pub(crate) stacks: BTreeMap<StackId, Stack>,
    pub(crate) resources: BTreeMap<ResourceId, HeldResource>,
    pub(crate) tables: BTreeMap<String, Table>,
    /// Objects by bucket: what each contains, by key. An artifact contains its digest.
    pub(crate) objects: BTreeMap<String, BTreeMap<String, String>>,
    /// Published versions, by the function's region and name.
    pub(crate) functions: BTreeMap<(String, String), Published>,
    /// The next identifier that AWS makes up.
    pub(crate) next_id: u64,
}

impl Contents {
    /// Whether an object is there and is the artifact that its key names.
    pub(crate) fn is_artifact(&self, bucket: &str, key: &str) -> bool {
        let content = self.objects.get(bucket).and_then(|held| held.get(key));
        content.is_some_and(|content| key.ends_with(&format!("/{content}.zip")))
    }
}

/// A refusal of every call.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) code: String,
    pub(crate) message: String,
}

#[derive(Debug, Clone)]
pub(crate) struct Stack {
    pub(crate) kind: StackKind,
    pub(crate) status: String,
    pub(crate) text: Arc<str>,
    pub(crate) template: Arc<Template>,
    pub(crate) parameters: BTreeMap<String, String>,
    pub(crate) outputs: BTreeMap<String, String>,
    pub(crate) resources: BTreeMap<String, ResourceId>,
    /// Whether it is protected from being deleted.
    pub(crate) protected: bool,
}

/// A resource by what must be unique: where (`global` for roles and buckets), type, name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ResourceId {
    pub(crate) scope: String,
    pub(crate) kind: String,
    pub(crate) name: String,
}

/// A resource.
#[derive(Debug, Clone)]
pub(crate) struct HeldResource {
    pub(crate) properties: Value,
    /// The stack that manages it; none: it was kept when its stack went.
    pub(crate) owner: Option<StackId>,
    /// What AWS has made up for it.
    pub(crate) id: u64,
}

/// A table.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    /// Regions that have it, and whether each is protected from deletion.
    pub(crate) replicas: BTreeMap<RegionName, bool>,
    /// Whether secret and probes' API key are in it.
    pub(crate) ready: bool,
    pub(crate) limits: BTreeMap<(String, String), u64>,
    /// Who changes the service.
    pub(crate) lock: Option<LockItem>,
}

/// A hosted zone.
#[derive(Debug, Clone)]
pub(crate) struct HostedZone {
    pub(crate) name: String,
    pub(crate) id: String,
    /// Other public zones of the same name.
    pub(crate) others: Vec<String>,
    /// Where public DNS leads for the name.
    pub(crate) delegation: Delegation,
    /// Our latency records, by domain.
    pub(crate) records: Vec<(String, Record)>,
    pub(crate) drained: BTreeSet<RegionName>,
    /// Records of others, by name.
    pub(crate) foreign: Vec<(String, Foreign)>,
    /// When records led to a target for the last time.
    pub(crate) led_until: BTreeMap<String, Duration>,
}

impl HostedZone {
    pub(crate) fn new(name: &str) -> Self {
        let record = |kind: &str| {
            (format!("www.{name}"), Foreign { kind: kind.to_owned(), what: "somebody's".to_owned() })
        };
        Self {
            name: name.to_owned(),
            id: "Z0123456789".to_owned(),
            others: Vec::new(),
            delegation: Delegation::Ours,
            records: Vec::new(),
            drained: BTreeSet::new(),
            foreign: vec![record("A"), record("TXT")],
            led_until: BTreeMap::new(),
        }
    }

    pub(crate) fn observe(&self, domain: &str) -> Zone {
        let ours = self.records.iter().filter(|(name, _)| name == domain);
        // Other types may stand beside latency records.
        let forbids = |foreign: &Foreign| matches!(foreign.kind.as_str(), "A" | "AAAA" | "CNAME");
        let foreign = self.foreign.iter().filter(|(name, foreign)| name == domain && forbids(foreign));
        Zone {
            id: self.id.clone(),
            name: self.name.clone(),
            others: self.others.clone(),
            name_servers: [format!("ns-1.{}.awsdns.test", self.id.to_lowercase())].into(),
            delegation: self.delegation.clone(),
            records: ours.map(|(_, record)| record.clone()).collect(),
            drained: self.drained.clone(),
            foreign: foreign.map(|(_, foreign)| foreign.clone()).collect(),
        }
    }
}

impl Stack {
    fn observed(&self) -> ObservedStack {
        ObservedStack {
            status: self.status.clone(),
            text: self.text.to_string(),
            parameters: self.parameters.clone(),
            outputs: self.outputs.clone(),
            drift: None,
        }
    }
}

impl CloudState {
    /// A stack as it is read.
    pub(crate) fn observed(&self, id: &StackId) -> Option<ObservedStack> {
        self.contents.stacks.get(id).map(Stack::observed)
    }

    pub(crate) fn new(names: Names, home: &str) -> Self {
        Self {
            names,
            home: RegionName::new(home),
            contents: Contents::default(),
            zones: Vec::new(),
            latency: Latency::default(),
            failed_creations_deleted: true,
            unreachable: BTreeMap::new(),
            refused: None,
            taken_buckets: BTreeSet::new(),
            drifts: Drifts::new(),
            unrepairable: BTreeSet::new(),
            replica_made_s: None,
            concurrency: BTreeMap::new(),
            unhealthy: BTreeMap::new(),
            bad_code: BTreeSet::new(),
            dead_pipes: BTreeSet::new(),
            broken: BTreeMap::new(),
            failing: BTreeMap::new(),
            faults: Vec::new(),
            operations: Vec::new(),
            ended: BTreeMap::new(),
            next_operation: 0,
            log: Log::default(),
        }
    }

    /// Begins time anew, `passed` after it began.
    pub(crate) fn fork_at(&mut self, passed: Duration) {
        for operation in &mut self.operations {
            operation.ends = operation.ends.saturating_sub(passed);
        }
        for zone in &mut self.zones {
            zone.led_until.clear();
        }
    }

    pub(crate) fn observe(&self, region: &str, artifacts: &[String]) -> ObservedRegion {
        let concurrency = self.concurrency.get(region).copied();
        let mut observed = ObservedRegion { concurrency, ..ObservedRegion::default() };
        for ((_, _), stack) in self.contents.stacks.iter().filter(|((place, _), _)| place == region) {
            let seen = stack.observed();
            for kind in FunctionKind::ALL.into_iter().filter(|kind| kind.stack() == stack.kind) {
                if seen.outputs.contains_key(kind.version_output()) {
                    let function = self.contents.observed_function(region, self.names.function(kind));
                    observed.functions.insert(kind, function);
                }
            }
            observed.stacks.insert(stack.kind, seen);
        }
        let bucket = self.names.bucket(ACCOUNT, region);
        if self.taken_buckets.contains(&bucket) && !observed.stacks.contains_key(&StackKind::Artifacts) {
            observed.unreachable = Some(Problem::new(
                format!("the bucket name {bucket} is taken by another account"),
                "choose another `name` or `environment` in regions.toml",
            ));
        }
        let held = self.contents.objects.get(&bucket);
        let there = artifacts.iter().filter(|key| held.is_some_and(|held| held.contains_key(*key)));
        (observed.artifacts, observed.altered) =
            there.cloned().partition(|key| self.contents.is_artifact(&bucket, key));
        observed
    }

    pub(crate) fn access(&self) -> Option<AccessState> {
        let table = self.contents.tables.get(&self.names.access_table)?;
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
    pub(crate) fn probe(&self, region: &str) -> Result<f64, String> {
        if let Some(why) = self.unhealthy.get(region) {
            return Err(why.clone());
        }
        let id = (region.to_owned(), self.names.stack(StackKind::Edge));
        if !self.contents.stacks.contains_key(&id) {
            return Err("nobody answers".to_owned());
        }
        let table =
            self.contents.tables.get(&self.names.access_table).ok_or("the access table is not there")?;
        if !table.replicas.contains_key(region) {
            return Err(format!("/health: the access table has no replica in {region}"));
        }
        if !table.ready {
            return Err("the probes' API key is unknown".to_owned());
        }
        let serves = self.contents.observed_function(region, &self.names.lookup_function).live;
        if serves.is_some() && self.broken.get(region).copied() == serves {
            return Err("/health: 502 Bad Gateway".to_owned());
        }
        let live = self.contents.live(region, &self.names.lookup_function);
        let live = live.ok_or("/health: the API leads to no version")?;
        if self.bad_code.contains(live.code()) {
            return Err("/health: 502 Bad Gateway".to_owned());
        }
        Ok(12.0)
    }
}
