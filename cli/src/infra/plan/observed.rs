//! What is deployed, as it was read.

use std::collections::{BTreeMap, BTreeSet};

use ipgeo_contract::RegionName;
use serde::Serialize;

use super::drift::DriftCheck;
use super::problem::Problem;
use super::versions::ObservedFunction;
use crate::infra::stacks::{FunctionKind, StackKind, Template};

/// Everything that was read of one service.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observed {
    pub account: String,
    /// Every region that was read, by name.
    pub regions: BTreeMap<RegionName, ObservedRegion>,
    /// What the access table holds; `None`: the table does not exist.
    pub access: Option<AccessState>,
    /// The domain's zone; `None`: there is no domain, or no such zone.
    pub zone: Option<Zone>,
    /// The service's other data at home, if requested.
    pub kept: KeptData,
}

/// Data at home beside the access table, whether a stack manages it or not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeptData {
    pub ledger: bool,
    pub stream: bool,
    pub failure_bucket: bool,
    /// When the access table's newest replica was created, seconds since 1970.
    pub replica_made_s: Option<i64>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct ObservedRegion {
    /// Why it could not be read, or can't be deployed to.
    pub unreachable: Option<Problem>,
    pub stacks: BTreeMap<StackKind, ObservedStack>,
    /// Published versions of its stacks' functions.
    pub functions: BTreeMap<FunctionKind, ObservedFunction>,
    /// Keys of artifacts that its bucket holds, of those that were requested.
    pub artifacts: BTreeSet<String>,
    /// The account's quota of concurrent executions in the region, if it was read.
    pub concurrency: Option<u64>,
    /// Keys of objects that are not the artifacts that they are named after.
    pub altered: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ObservedStack {
    /// Its status in CloudFormation.
    pub status: String,
    /// Its template as it was sent.
    pub text: String,
    pub parameters: BTreeMap<String, String>,
    pub outputs: BTreeMap<String, String>,
    /// Its last drift detection; `None`: unknown.
    pub drift: Option<DriftCheck>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StackState {
    /// It may be updated.
    Settled,
    /// It exists in name only: a change set was made and never executed.
    Hollow,
    Busy,
    /// Its creation failed and was rolled back; it holds nothing and can't be updated.
    NeverCreated,
    /// An operation and its rollback failed; an operator must act.
    Stuck,
}

impl ObservedStack {
    pub fn state(&self) -> StackState {
        match self.status.as_str() {
            "CREATE_COMPLETE"
            | "UPDATE_COMPLETE"
            | "UPDATE_ROLLBACK_COMPLETE"
            | "IMPORT_COMPLETE"
            | "IMPORT_ROLLBACK_COMPLETE" => StackState::Settled,
            "REVIEW_IN_PROGRESS" => StackState::Hollow,
            "ROLLBACK_COMPLETE" => StackState::NeverCreated,
            status if status.ends_with("_IN_PROGRESS") => StackState::Busy,
            _ => StackState::Stuck,
        }
    }
}

/// What the access table holds beside API keys and usage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccessState {
    /// Whether the address secret and the probes' API key exist.
    pub ready: bool,
    /// How many API keys have a tier and a limit: `(tier, limit) → count`.
    pub limits: BTreeMap<(String, String), u64>,
    /// Regions beside home in which the table has a replica; home's stack may declare others.
    pub replicas: BTreeSet<RegionName>,
}

/// A hosted zone, as far as it concerns the domain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Zone {
    /// Its identifier, `Z…`.
    pub id: String,
    /// Its name, without a final dot.
    pub name: String,
    /// Identifiers of the account's other public zones of this name.
    pub others: Vec<String>,
    /// The name servers that Route 53 gave it.
    pub name_servers: BTreeSet<String>,
    pub delegation: Delegation,
    /// The domain's latency records.
    pub records: Vec<Record>,
    /// Regions that an operator has drained.
    pub drained: BTreeSet<RegionName>,
    /// Records under the domain's name that are not ours and forbid ours.
    pub foreign: Vec<Foreign>,
}

/// The name servers to which public DNS delegates a zone's name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Delegation {
    /// An emulator's zone is not in public DNS.
    #[default]
    NotChecked,
    /// Public DNS could not be queried; the reason.
    Unknown(String),
    /// To the zone's name servers.
    Ours,
    /// To these other name servers; empty: to none.
    Elsewhere(BTreeSet<String>),
}

/// A record under the domain's name that this service did not make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// `A`, `CNAME`, …
    pub kind: String,
    /// What it is, for people.
    pub what: String,
}

/// The two types of address record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum RecordKind {
    A,
    Aaaa,
}

impl RecordKind {
    pub const ALL: [Self; 2] = [Self::A, Self::Aaaa];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Alias {
    /// A domain name of AWS.
    pub domain: String,
    pub zone: String,
}

/// A latency record of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its region, and its set identifier.
    pub region: RegionName,
    pub kind: RecordKind,
    pub alias: Alias,
    /// Whether Route 53 omits it while its target is unhealthy.
    pub evaluates_health: bool,
}

impl Observed {
    /// A region's stack of a kind, unless it exists in name only.
    pub fn stack(&self, region: &str, kind: StackKind) -> Option<&ObservedStack> {
        let stack = self.regions.get(region)?.stacks.get(&kind)?;
        (stack.state() != StackState::Hollow).then_some(stack)
    }

    /// Regions that have a stack of a kind.
    pub fn regions_with(&self, kind: StackKind) -> impl Iterator<Item = &RegionName> {
        self.regions.keys().filter(move |region| self.stack(region, kind).is_some())
    }

    /// Regions in which anything of the service is deployed, whatever its state.
    pub fn deployed_regions(&self) -> BTreeSet<RegionName> {
        let with_stack = self.regions.iter().filter(|(_, region)| !region.stacks.is_empty());
        let mut regions: BTreeSet<RegionName> = with_stack.map(|(name, _)| name.clone()).collect();
        let homes: Vec<RegionName> = self.regions_with(StackKind::Home).cloned().collect();
        regions.extend(homes.iter().flat_map(|home| self.replicas(home)));
        if homes.is_empty() {
            regions.extend(self.access.iter().flat_map(|access| access.replicas.clone()));
        }
        regions.extend(self.attached());
        regions
    }

    /// Home's stack, if it holds something.
    pub fn home_stack(&self, home: &str) -> Option<&ObservedStack> {
        self.stack(home, StackKind::Home).filter(|stack| stack.state() != StackState::NeverCreated)
    }

    /// The regions of the access table: those that home's stack declares, or without a stack those of a retained table.
    pub fn replicas(&self, home: &RegionName) -> BTreeSet<RegionName> {
        match (self.home_stack(home), &self.access) {
            (Some(stack), _) => replica_states(&stack.text).into_keys().collect(),
            (None, Some(kept)) => kept.replicas.iter().cloned().chain([home.clone()]).collect(),
            (None, None) => BTreeSet::new(),
        }
    }

    /// Replicas that the access table has and home's stack does not declare: a failed addition may leave one.
    pub fn undeclared_replicas(&self, home: &RegionName) -> BTreeSet<RegionName> {
        let declared = self.replicas(home);
        let there = self.access.iter().flat_map(|access| &access.replicas);
        there.filter(|region| *region != home && !declared.contains(*region)).cloned().collect()
    }

    /// The regions that the domain's records lead to.
    pub fn attached(&self) -> BTreeSet<RegionName> {
        let records = self.zone.iter().flat_map(|zone| &zone.records);
        records.map(|record| record.region.clone()).collect()
    }
}

/// The regions in which a home template has the access table.
pub fn replicas_of(home: &Template) -> BTreeSet<RegionName> {
    let replicas = home.resources.get("AccessTable").and_then(|table| table.property("Replicas"));
    let replicas = replicas.and_then(|replicas| replicas.as_array()).into_iter().flatten();
    replicas.filter_map(|replica| Some(RegionName::new(replica.get("Region")?.as_str()?))).collect()
}

/// The same of a template's text, each with whether it is protected; empty if it is no home template.
pub(super) fn replica_states(text: &str) -> BTreeMap<RegionName, bool> {
    let Ok(home) = Template::parse(text) else { return BTreeMap::new() };
    let replicas = home.resources.get("AccessTable").and_then(|table| table.property("Replicas"));
    let replicas = replicas.and_then(|replicas| replicas.as_array()).into_iter().flatten();
    let state = |replica: &serde_json::Value| {
        let protected = replica.get("DeletionProtectionEnabled").is_some_and(|value| value == true);
        Some((RegionName::new(replica.get("Region")?.as_str()?), protected))
    };
    replicas.filter_map(state).collect()
}

/// The target of an edge's records, from its outputs.
pub(crate) fn alias_of(edge: &ObservedStack) -> Option<Alias> {
    Some(Alias {
        domain: edge.outputs.get("RegionalDomainName")?.clone(),
        zone: edge.outputs.get("RegionalHostedZoneId")?.clone(),
    })
}
