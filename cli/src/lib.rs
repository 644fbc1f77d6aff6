//! The operator's side of ipgeo: from one `regions.toml` to a worldwide, metered IP-geolocation API.

// The SDK's futures are nested deeper than the compiler's default patience.
#![recursion_limit = "256"]
#![expect(missing_docs, reason = "no library for others: a doc comment that only repeats a name is left out")]

mod args;
mod aws;
mod cli;
mod cmd;
mod completion;
mod config;
mod cost;
mod dev;
mod fs;
mod geo;
mod infra;
mod interrupt;
mod keys;
mod lookup;
mod observe;
#[cfg(test)]
mod pictures;
mod quota;
mod simulate;
mod ui;
mod usage;
mod world;

pub use cli::main;

/// What benches and integration tests use. Not an interface for others: it changes without notice.
#[doc(hidden)]
pub mod internals {
    pub mod aws {
        pub use crate::aws::Home;
    }
    pub mod config {
        pub use crate::config::{Config, PLACES, is_opt_in, parse};
    }
    pub mod dev {
        pub use crate::dev::{Options, World};
    }
    pub mod geo {
        pub mod sources {
            pub use crate::geo::sources::{
                FetchError, FetchOutcome, Lock, LockError, PathLock, Places, SourceFile, Web, compile, fetch,
                fetched, pin, sha256_of, verify,
            };
        }
    }
    pub mod infra {
        pub mod cloud {
            pub use crate::infra::cloud::{
                Ask, CloudRead, CloudWrite, Done, Probe, ProbeError, ProbeTarget, ProbeTargets, Problem,
                Progress, Report, StepError, check_deletion, check_records, check_stack, explain, observe,
            };
        }
        pub mod deploy {
            pub use crate::infra::deploy::{
                DatabaseRollout, DeployOutcome, Event, EventLine, ExecuteOptions, RolloutError, Run, SCHEMA,
                Sink, Stop, execute, plan_rollout, served_digests,
            };
        }
        pub mod iam {
            pub use crate::infra::iam::{Audience, Document, Kind, Request, documents};
        }
        pub mod lock {
            pub use crate::infra::lock::{Claim, LEASE, Lock, LockError, LockItem, LockStore, Put, TRUST};
        }
        pub mod plan {
            pub use crate::infra::plan::{
                AccessState, Action, Alias, ArtifactFile, Before, BucketKind, CREATE_ONLY, DataKind,
                Delegation, DestroyOptions, Drift, DriftCheck, Drifts, FollowSpec, Foreign, KeptData,
                Observed, ObservedFunction, ObservedRegion, ObservedStack, Op, PROTECTED, Plan, PlanError,
                PlanOptions, ProbeSpec, Problem, PrunedVersions, Record, RecordChange, RecordKind,
                ResourceChange, Scope, StackChange, Step, TierLimit, TrafficChange, TrafficError,
                VersionSwitch, WantedVersion, Wave, WaveKind, Zone, compare, destroy, drain_or_attach, plan,
                repair_drift, replaces, replicas_of, roll_back, rollback, show, switch_back,
            };
        }
        pub mod stacks {
            pub use crate::infra::stacks::{
                ArtifactRef, ArtifactSet, DataPolicy, FunctionKind, Names, RenderError, Renderer, Replica,
                Resource, Stack, StackKind, Template,
            };
        }
    }
    pub mod keys {
        pub use crate::keys::KeyStore;
    }
    pub mod observe {
        pub mod probe {
            pub use crate::observe::probe::{ProbeClient, ProbeState, ProbedEdge, measure_all, summarise};
        }
    }
    pub mod usage {
        pub mod report {
            pub use crate::usage::report::{DayRange, GroupBy, LagRow, Sums};
        }
        pub mod report_page {
            pub use crate::usage::report_page::{
                CallerCalls, CountingLag, Headroom, KeyCalls, MonthBefore, MonthCost, PageFacts, Projection,
                RegionCalls, TierCalls, page,
            };
        }
    }
    pub mod world {
        pub use crate::world::WorldFile;
    }
}
