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

/// What to read.
#[derive(Debug, Clone)]
pub struct Ask<'a> {
    pub config: &'a Config,
    /// Keys of artifacts that buckets may hold.
    pub artifacts: Vec<String>,
    /// Regions to ask.
    pub regions: BTreeSet<RegionName>,
    /// Whether to look for data at home that a deleted stack has retained.
    pub kept: bool,
}

impl<'a> Ask<'a> {
    /// Every region that AWS has, and these artifacts.
    pub fn everywhere(config: &'a Config, artifacts: Option<&ArtifactSet>) -> Self {
        let keys = artifacts.map(|set| set.code.values().chain([&set.geo]).map(|a| a.key.clone()).collect());
        Self {
            config,
            artifacts: keys.unwrap_or_default(),
            regions: crate::config::PLACES.iter().map(|place| RegionName::new(place.name)).collect(),
            kept: false,
        }
    }

    /// Also looks for data that a deleted stack has retained.
    #[must_use]
    pub fn with_kept_data(mut self) -> Self {
        self.kept = true;
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
    // Boxed: only a destroy needs this, and it would enlarge every other caller's future.
    let kept =
        async { if ask.kept { Box::pin(cloud.kept(&account)).await } else { Ok(KeptData::default()) } };
    let (regions, access, zone, kept) = futures_util::join!(regions, cloud.access(), zone, kept);
    let (access, zone, kept) = (access?, zone?, kept?);
    Ok(Observed { account, regions, access, zone, kept })
}
