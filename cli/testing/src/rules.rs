//! What stays as it is while one stack changes: the names, what is refused, the zones, the clock.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ipgeo::internals::infra::stacks::Names;

use crate::state::{HostedZone, Refusal};

/// What is fixed while a stack changes.
pub(crate) struct Rules<'a> {
    pub(crate) names: &'a Names,
    pub(crate) unreachable: &'a BTreeMap<String, Refusal>,
    pub(crate) taken_buckets: &'a BTreeSet<String>,
    pub(crate) zones: &'a [HostedZone],
    pub(crate) now: Duration,
}

impl<'a> Rules<'a> {
    pub(crate) fn new(
        names: &'a Names,
        unreachable: &'a BTreeMap<String, Refusal>,
        taken_buckets: &'a BTreeSet<String>,
        zones: &'a [HostedZone],
        now: Duration,
    ) -> Self {
        Self { names, unreachable, taken_buckets, zones, now }
    }
}
