//! Everything that a plan must know, read at once: every region that AWS has is asked, so that nothing that
//! is deployed can be forgotten.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::StreamExt as _;
use futures_util::stream;

use super::{CloudError, CloudRead};
use crate::config::Config;
use crate::plan::Observed;
use crate::stacks::ArtifactSet;

/// API keys by tier and limit.
pub type KeyLimits = BTreeMap<(String, String), u64>;

/// What to look for.
#[derive(Debug, Clone)]
pub struct Ask<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// Keys of artifacts that buckets may hold.
    pub artifacts: Vec<String>,
    /// Regions to ask.
    pub regions: BTreeSet<String>,
}

impl<'a> Ask<'a> {
    /// Asks every region that AWS has for these artifacts.
    pub fn everywhere(config: &'a Config, artifacts: Option<&ArtifactSet>) -> Self {
        let keys = artifacts.map(|set| set.code.values().chain([&set.geo]).map(|a| a.key.clone()).collect());
        Self {
            config,
            artifacts: keys.unwrap_or_default(),
            regions: crate::config::PLACES.iter().map(|place| place.name.to_owned()).collect(),
        }
    }
}

/// Reads what there is, all regions at once.
pub async fn observe<C: CloudRead>(cloud: &C, ask: &Ask<'_>) -> Result<Observed, CloudError> {
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
    Ok(Observed { account, regions, access: access?, zone: zone? })
}
