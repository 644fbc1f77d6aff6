//! What a deploy would do, as a value. Pure: it compares what should be with what was observed, and holds no
//! handle to change anything. `planner` is where to begin reading: its `plan` says what a deploy is, in order.

mod artifacts;
mod bake;
mod checks;
mod database;
mod destroy;
mod diff;
mod drift;
mod edges;
mod edit;
mod file;
mod guards;
mod home;
mod input;
mod kept;
mod lifecycle;
mod model;
mod observed;
mod planner;
mod problem;
mod records;
mod replacement;
mod rollback;
mod show;
mod stack_step;
mod templates;
mod traffic;
mod versions;
mod widening;

pub(crate) use bake::{BakeSpec, Vitals};
pub(crate) use checks::{CONCURRENCY_MIN, delegated_elsewhere, raise_concurrency, wrong_zone};
pub(crate) use database::beside_database;
pub use destroy::{DestroyOptions, destroy};
pub use diff::{Op, ResourceChange, compare};
pub use drift::{Drift, DriftCheck, Drifts, repair_drift};
pub(crate) use file::{BYTES_MAX, PlanFile, PlanFileError, PlannedFlags, PlannedFrom, keys_of};
pub use guards::PROTECTED;
pub use input::{PlanOptions, Scope};
pub use model::{
    Action, ArtifactFile, Before, BucketKind, DataKind, FollowSpec, Plan, ProbeSpec, RecordChange,
    StackChange, Step, TierLimit, Wave, WaveKind,
};
pub(crate) use model::{SCHEMA, Summary};
pub use observed::{
    AccessState, Alias, Delegation, Foreign, KeptData, Observed, ObservedRegion, ObservedStack, Record,
    RecordKind, Zone, replicas_of,
};
pub(crate) use observed::{StackState, alias_of};
pub use planner::plan;
pub(crate) use problem::problems_block;
pub use problem::{PlanError, Problem};
pub use replacement::{CREATE_ONLY, replaces};
pub use rollback::rollback;
pub use show::show;
#[cfg(test)]
pub(crate) use templates::Templates;
pub(crate) use templates::{templates_after, templates_now};
pub use traffic::{TrafficChange, TrafficError, drain_or_attach};
pub use versions::{ObservedFunction, PrunedVersions, VersionSwitch, WantedVersion, roll_back, switch_back};
