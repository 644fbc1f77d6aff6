//! The plan: waves of steps. Steps of a wave may run together, one after the other within a region; each says
//! what must be true after it ("ensure"), so that it may run twice.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use ipgeo_contract::RegionName;
use serde::Serialize;

use super::bake::BakeSpec;
use super::diff::{Op, ResourceChange};
use super::drift::Drift;
use super::observed::{ObservedStack, Record};
use super::versions::{PrunedVersions, VersionSwitch};
use crate::infra::stacks::{ArtifactRef, StackKind};

/// Version of the JSON form.
pub(crate) const SCHEMA: u32 = 1;

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Plan {
    /// `ipgeo-prod`.
    pub service: String,
    pub account: String,
    pub home: RegionName,
    /// In order; none is empty.
    pub waves: Vec<Wave>,
    /// What an operator should know beside the steps.
    pub notes: Vec<String>,
}

/// Steps that may run together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Wave {
    pub wave: WaveKind,
    /// Its steps; those of one region in order.
    pub steps: Vec<Step>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WaveKind {
    /// Repairs of changes made outside CloudFormation.
    Repair,
    /// Buckets.
    Artifacts,
    /// Artifacts into home's bucket.
    Upload,
    /// Artifacts from home's bucket into the others.
    Copy,
    /// What exists once.
    Home,
    /// The first edge.
    Canary,
    CanaryProbe,
    /// A marked call through the canary, followed to the ledger.
    CanaryPipe,
    Edges,
    /// Probes of the other edges.
    Probe,
    /// Marked calls through new edges, followed to the ledger.
    Pipe,
    /// DNS.
    Records,
    /// Back to versions that served before.
    RollBack,
    /// Versions that are no longer needed for a rollback.
    Prune,
    /// Until resolvers have forgotten removed records.
    Drain,
    RemoveEdges,
    RemoveReplicas,
    /// Home, when the service is deleted.
    RemoveHome,
    RemoveBuckets,
}

impl WaveKind {
    /// Its heading in a printed plan.
    pub fn title(self) -> &'static str {
        match self {
            Self::Repair => "repair drift",
            Self::Artifacts => "artifact buckets",
            Self::Upload => "upload",
            Self::Copy => "copy",
            Self::Home => "home",
            Self::Canary => "canary",
            Self::CanaryProbe => "canary probe",
            Self::CanaryPipe => "canary log pipe",
            Self::Edges => "edges",
            Self::Probe => "probe",
            Self::Pipe => "log pipes",
            Self::Records => "records",
            Self::RollBack => "roll back",
            Self::Prune => "prune",
            Self::Drain => "drain",
            Self::RemoveEdges => "remove edges",
            Self::RemoveReplicas => "remove replicas",
            Self::RemoveHome => "remove home",
            Self::RemoveBuckets => "remove buckets",
        }
    }

    pub fn is_gate(self) -> bool {
        matches!(self, Self::CanaryProbe | Self::CanaryPipe | Self::Probe | Self::Pipe)
    }
}

/// One change in one region.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    pub region: RegionName,
    #[serde(flatten)]
    pub action: Action,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum Action {
    Stack(Box<StackChange>),
    /// A stack's resources are as its deployed template says.
    RepairDrift {
        kind: StackKind,
        name: String,
        drifts: Vec<Drift>,
        /// Logical names whose replacement was allowed.
        allow_replace: BTreeSet<String>,
    },
    DeleteStack {
        kind: StackKind,
        name: String,
        /// What is deployed then; `None`: whatever it is.
        #[serde(skip)]
        before: Option<Box<Before>>,
    },
    /// A local artifact is in the region's bucket.
    Upload(ArtifactFile),
    /// An artifact is copied from home's bucket.
    Copy {
        artifact: ArtifactRef,
        from: RegionName,
    },
    /// The address secret and the probes' API key are in the access table.
    Secret,
    /// API keys that had a tier's old limit have its new one.
    Tier(TierLimit),
    /// The edge answers as it should.
    Probe(ProbeSpec),
    /// The ledger counts a marked call through the edge.
    Follow(FollowSpec),
    /// The region's metrics stay within their thresholds for a while.
    Bake(BakeSpec),
    /// A function's alias leads to a version.
    Switch(VersionSwitch),
    /// Old versions of a function are deleted.
    Prune(PrunedVersions),
    /// The domain's records are as listed; one change batch.
    Records(RecordChange),
    /// Time has passed.
    Wait {
        seconds: u64,
        /// The reason, for people.
        why: String,
    },
    EmptyBucket {
        bucket: BucketKind,
    },
    /// Deletes data that no stack manages, including its deletion protection.
    DeleteData {
        data: DataKind,
        name: String,
        /// The replica's region, if it is not the step's region.
        #[serde(skip_serializing_if = "Option::is_none")]
        replica: Option<RegionName>,
    },
}

/// Data that is retained when home's stack is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DataKind {
    /// The access table in a region that is not home.
    Replica,
    /// The access table at home.
    AccessTable,
    Ledger,
    Stream,
    /// The bucket of batches that could not be counted.
    FailureBucket,
}

impl DataKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Replica => "replica",
            Self::AccessTable => "access table",
            Self::Ledger => "ledger",
            Self::Stream => "stream",
            Self::FailureBucket => "failure bucket",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BucketKind {
    /// A region's artifacts.
    Artifacts,
    /// Home's batches that could not be counted.
    Failures,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StackChange {
    pub kind: StackKind,
    pub name: String,
    #[serde(skip)]
    pub text: String,
    pub parameters: BTreeMap<String, String>,
    /// What is deployed; `None`: the stack is new.
    #[serde(skip)]
    pub before: Option<Before>,
    pub changes: Vec<ResourceChange>,
    /// Whether a stack whose creation failed is deleted first.
    pub recreate: bool,
    /// Regions whose replica of the access table must be active afterwards; home's stack only.
    pub replicas: BTreeSet<RegionName>,
    /// Logical names whose replacement was allowed.
    pub allow_replace: BTreeSet<String>,
    /// How to roll back to the versions that its functions served before.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub served_before: Vec<VersionSwitch>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Before {
    pub text: String,
    pub parameters: BTreeMap<String, String>,
}

impl From<&ObservedStack> for Before {
    fn from(stack: &ObservedStack) -> Self {
        Self { text: stack.text.clone(), parameters: stack.parameters.clone() }
    }
}

/// An artifact and its file on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ArtifactFile {
    #[serde(flatten)]
    pub artifact: ArtifactRef,
    pub file: PathBuf,
    pub bytes: u64,
}

/// A tier whose limit has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TierLimit {
    pub tier: String,
    /// The limit that its API keys have.
    pub from: String,
    /// The limit that they get.
    pub to: String,
    /// The number of API keys with the old limit.
    pub api_keys: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ProbeSpec {
    pub address: String,
    /// The country code that the answer must have, if known.
    pub country_code: Option<String>,
    /// The domain that the request names, if there is one.
    pub domain: Option<String>,
}

/// A marked call that is followed from an edge to the ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FollowSpec {
    /// The domain that the call names, if there is one.
    pub domain: Option<String>,
    /// How long the log pipe and the counter may take, s.
    pub patience_s: u64,
    /// Whether the run halts if the call does not arrive; otherwise that is a warning. Chosen for a run, so not in the
    /// plan's JSON form.
    #[serde(skip)]
    pub required: bool,
    /// What to check if the call is in the log and not in the ledger.
    pub remedy: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RecordChange {
    pub domain: String,
    /// The zone's identifier.
    pub zone: String,
    /// Regions whose records lead to their edge afterwards.
    pub attach: BTreeSet<RegionName>,
    /// Regions that have no record afterwards.
    pub detach: BTreeSet<RegionName>,
    /// Regions that are noted as drained afterwards.
    pub drained: BTreeSet<RegionName>,
    /// Regions that are noted as drained before.
    pub drained_before: BTreeSet<RegionName>,
    /// The records that regions of `attach` and `detach` have before; `None`: an earlier step of the run has set them.
    #[serde(skip)]
    pub before: Option<Vec<Record>>,
    /// Whether other regions stay attached, so that the domain leads somewhere.
    #[serde(skip)]
    pub others_stay: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    pub add: usize,
    pub change: usize,
    pub replace: usize,
    pub remove: usize,
    pub stacks_to_remove: usize,
    pub steps: usize,
    pub waves: usize,
}

impl Plan {
    pub fn is_empty(&self) -> bool {
        self.waves.is_empty()
    }

    pub fn steps(&self) -> impl Iterator<Item = (WaveKind, &Step)> {
        self.waves.iter().flat_map(|wave| wave.steps.iter().map(move |step| (wave.wave, step)))
    }

    /// Adds a wave, unless it would be empty.
    pub(super) fn push(&mut self, wave: WaveKind, steps: Vec<Step>) {
        if !steps.is_empty() {
            self.waves.push(Wave { wave, steps });
        }
    }

    pub fn summary(&self) -> Summary {
        let mut summary =
            Summary { steps: self.steps().count(), waves: self.waves.len(), ..Summary::default() };
        for (_, step) in self.steps() {
            match &step.action {
                Action::Stack(stack) => {
                    for change in &stack.changes {
                        match change.op {
                            Op::Add => summary.add += 1,
                            Op::Modify => summary.change += 1,
                            Op::Replace => summary.replace += 1,
                            Op::Remove => summary.remove += 1,
                        }
                    }
                }
                Action::RepairDrift { drifts, .. } => {
                    let deleted = drifts.iter().filter(|drift| drift.is_deleted()).count();
                    summary.add += deleted;
                    summary.change += drifts.len() - deleted;
                }
                Action::Switch(_) => summary.change += 1,
                Action::DeleteStack { .. } => summary.stacks_to_remove += 1,
                Action::DeleteData { .. } => summary.remove += 1,
                _ => {}
            }
        }
        summary
    }
}

impl Step {
    pub fn new(region: &RegionName, action: Action) -> Self {
        Self { region: region.clone(), action }
    }

    /// A short title, also used in events.
    pub fn title(&self) -> String {
        self.action.title()
    }
}

impl Action {
    /// A short title, also used in events.
    pub fn title(&self) -> String {
        match self {
            Self::Stack(stack) => format!("{} stack", stack.kind),
            Self::RepairDrift { kind, .. } => format!("repair {kind} stack"),
            Self::DeleteStack { kind, .. } => format!("remove {kind} stack"),
            Self::Upload(file) => format!("upload {}", short_key(&file.artifact)),
            Self::Copy { artifact, .. } => format!("copy {}", short_key(artifact)),
            Self::Secret => "address secret and probe API key".to_owned(),
            Self::Tier(tier) => format!("limit of tier {}", tier.tier),
            Self::Probe(_) => "probe".to_owned(),
            Self::Follow(_) => "marked call to the ledger".to_owned(),
            Self::Bake(_) => "watch".to_owned(),
            Self::Switch(switch) => format!("{} version {}", switch.kind, switch.to),
            Self::Prune(pruned) => format!("prune {} versions", pruned.kind),
            Self::Records(_) => "records".to_owned(),
            Self::Wait { seconds, .. } => format!("wait {seconds} s"),
            Self::EmptyBucket { .. } => "empty bucket".to_owned(),
            Self::DeleteData { data, replica: Some(region), .. } => {
                format!("delete {} in {region}", data.as_str())
            }
            Self::DeleteData { data, .. } => format!("delete {}", data.as_str()),
        }
    }
}

/// `code 3f2a9c1b`: an artifact for people.
pub(super) fn short_key(artifact: &ArtifactRef) -> String {
    let kind = artifact.key.split('/').next().unwrap_or_default();
    format!("{kind} {}", artifact.digest.get(..8).unwrap_or(&artifact.digest))
}
