//! What a deploy would do, as a value. Pure: it compares what should be with what was observed, and holds no
//! handle to change anything.
//!
//! `observed` is what there is, `diff` compares two templates, `planner` makes the steps, `home` those of home,
//! `kept` those that delete retained data, `records` those of DNS, `lifecycle` those that remove regions, `faults` lists what blocks a deploy, `show`
//! prints a plan, `templates` tells what it leaves.

mod database;
mod destroy;
mod diff;
mod edit;
mod faults;
mod home;
mod kept;
mod lifecycle;
mod model;
mod observed;
mod planner;
mod records;
mod replacement;
mod rollback;
mod show;
mod templates;
mod traffic;
mod widening;

pub use database::beside_database;
pub use destroy::{DestroyOptions, destroy};
pub use diff::{Op, PropertyChange, ResourceChange, compare};
pub use faults::{Fault, PROTECTED};
pub use model::{
    Action, ArtifactFile, Before, BucketKind, DataKind, Plan, ProbeSpec, RecordChange, SCHEMA, StackChange,
    Step, Summary, TierLimit, Wave, WaveKind,
};
pub use observed::{
    AccessState, Alias, Foreign, KeptData, Observed, ObservedRegion, ObservedStack, Record, RecordKind,
    StackState, Zone, alias_of, replicas_of,
};
pub use planner::{PlanOptions, Scope, plan};
pub use replacement::{CREATE_ONLY, replaces};
pub use rollback::rollback;
pub(crate) use show::counted;
pub use show::{Shown, show};
pub use templates::{Templates, templates_after, templates_now};
pub use traffic::{TrafficChange, TrafficError, drain_or_attach, drained_after};
pub use widening::Widening;
