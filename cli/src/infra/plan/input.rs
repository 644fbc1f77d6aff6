//! What a plan is made from, and what is found on the way.

use std::collections::BTreeSet;

use ipgeo_contract::RegionName;

use super::model::{ArtifactFile, FollowSpec, Plan, ProbeSpec};
use super::observed::Observed;
use super::problem::{PlanError, Problem};
use crate::config::{Config, Region};
use crate::infra::stacks::{Names, Renderer};

/// The regions that a deploy is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    pub regions: BTreeSet<RegionName>,
    /// Whether it is all of them: only then are regions removed that the file no longer has.
    pub whole: bool,
}

impl Scope {
    /// Whether a deployed region is selected. A deploy of everything also covers regions that are no longer in the file.
    pub(super) fn includes(&self, region: &RegionName) -> bool {
        self.whole || self.regions.contains(region)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct PlanOptions {
    pub scope: Scope,
    /// Logical names of protected resources that may be replaced or removed.
    pub allow_replace: BTreeSet<String>,
    /// Whether stacks whose creation failed are deleted and created again.
    pub recreate_failed: bool,
    /// Artifacts on this machine.
    pub files: Vec<ArtifactFile>,
    pub probe: ProbeSpec,
    /// How marked calls are followed to the ledger; `None`: they are not.
    pub follow: Option<FollowSpec>,
    /// Today, UTC: `2026-12-01`.
    pub today: String,
}

/// Everything that a plan follows from.
pub(super) struct PlanInput<'a> {
    pub(super) config: &'a Config,
    /// Renders for the observed account: without an account every template would differ from the deployed one.
    pub(super) renderer: &'a Renderer<'a>,
    pub(super) observed: &'a Observed,
    pub(super) options: &'a PlanOptions,
}

impl PlanInput<'_> {
    pub(super) fn home(&self) -> &RegionName {
        &self.config.service.home
    }

    pub(super) fn names(&self) -> &Names {
        self.renderer.names()
    }

    /// The regions of the file that this deploy is about, in the order of the file.
    pub(super) fn selected(&self) -> impl Iterator<Item = &Region> {
        self.config.regions.iter().filter(|region| self.options.scope.regions.contains(&region.name))
    }

    pub(super) fn empty_plan(&self) -> Plan {
        Plan {
            service: self.names().service.clone(),
            account: self.observed.account.clone(),
            home: self.home().to_owned(),
            ..Plan::default()
        }
    }
}

/// What planning found beside the steps. All problems are collected before any is reported, so that an operator
/// fixes them in one go.
#[derive(Default)]
pub(super) struct Findings {
    pub(super) problems: Vec<Problem>,
    pub(super) notes: Vec<String>,
}

impl Findings {
    /// The plan with its notes, unless something blocks it.
    pub(super) fn conclude(mut self, mut plan: Plan) -> Result<Plan, PlanError> {
        if !self.problems.is_empty() {
            self.problems.sort_by(|a, b| a.region.cmp(&b.region));
            return Err(PlanError::Blocked(self.problems));
        }
        plan.notes = self.notes;
        Ok(plan)
    }
}
