//! Reads everything that a plan must know. Every region that AWS has is asked, not only those of the file, so that no
//! deployed region is forgotten.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::StreamExt as _;
use futures_util::stream;
use ipgeo_contract::RegionName;

use super::{CloudRead, Problem};
use crate::config::Config;
use crate::infra::plan::{KeptData, Observed};
use crate::infra::stacks::ArtifactSet;

/// When to look for data at home that a deleted stack has retained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    Never,
    /// A deploy adopts it if home has no stack.
    WithoutHome,
    Always,
}

#[derive(Debug, Clone)]
pub struct Ask<'a> {
    pub config: &'a Config,
    /// Keys of artifacts that buckets may hold.
    pub artifacts: Vec<String>,
    pub regions: BTreeSet<RegionName>,
    /// Whether to look for data at home that a deleted stack has retained.
    pub kept: Kept,
}

impl<'a> Ask<'a> {
    /// Every region that AWS has, and these artifacts.
    pub fn everywhere(config: &'a Config, artifacts: Option<&ArtifactSet>) -> Self {
        let keys = artifacts.map(|set| set.code.values().chain([&set.geo]).map(|a| a.key.clone()).collect());
        Self {
            config,
            artifacts: keys.unwrap_or_default(),
            regions: crate::config::PLACES.iter().map(|place| RegionName::new(place.name)).collect(),
            kept: if artifacts.is_some() { Kept::WithoutHome } else { Kept::Never },
        }
    }

    /// Also looks for data that a deleted stack has retained.
    #[must_use]
    pub fn with_kept_data(mut self) -> Self {
        self.kept = Kept::Always;
        self
    }
}

/// Reads what is deployed, all regions in parallel.
pub async fn observe<C: CloudRead>(cloud: &C, ask: &Ask<'_>) -> Result<Observed, Problem> {
    let account = cloud.account().await?;
    let regions = stream::iter(ask.regions.iter().cloned())
        .map(|region| {
            let account = account.clone();
            async move {
                let observed = cloud.region(&region, &account, &ask.artifacts).await;
                (region, observed)
            }
        })
        .buffer_unordered(ask.regions.len().max(1))
        .collect::<BTreeMap<_, _>>();
    let service = &ask.config.service;
    let zone = async {
        match (&service.hosted_zone, &service.domain) {
            (Some(zone), Some(domain)) => cloud.zone(zone, domain).await,
            _ => Ok(None),
        }
    };
    let (regions, access, zone) = futures_util::join!(regions, cloud.access(), zone);
    let (access, zone) = (access?, zone?);
    let mut observed = Observed { account, regions, access, zone, kept: KeptData::default() };
    let home = service.home.as_str();
    let reachable = observed.regions.get(home).is_some_and(|region| region.unreachable.is_none());
    let wanted = match ask.kept {
        Kept::Never => false,
        Kept::WithoutHome => reachable && observed.home_stack(home).is_none(),
        Kept::Always => true,
    };
    if wanted {
        // Boxed: it would enlarge every other caller's future.
        observed.kept = Box::pin(cloud.kept(&observed.account)).await?;
    }
    Ok(observed)
}
