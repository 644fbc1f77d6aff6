//! Where edges are reached, and whether they answer.

use crate::aws::Aws;
use crate::config::Config;
use crate::infra::cloud::{Probe as _, ProbeTarget, ProbeTargets as _};
use crate::infra::plan::ProbeSpec;
use crate::probing::HttpProbe;
use crate::standing::Asked;
use crate::world::WorldFile;

/// Where a region of `ipgeo dev` is reached.
pub(crate) fn world_target(world: &WorldFile, region: &str) -> Result<ProbeTarget, String> {
    let edge = world.regions.iter().find(|edge| edge.region == region);
    let edge = edge.ok_or_else(|| format!("the running `ipgeo dev` has no region {region}; restart it"))?;
    let host = edge.url.trim_start_matches("http://").trim_end_matches('/').to_owned();
    Ok(ProbeTarget { region: region.to_owned(), host, connect: None, tls: false, api_key: None })
}

/// Probes an edge; any country is a correct answer.
pub(crate) async fn probe_edge(config: &Config, aws: &Aws, region: &str) -> Asked {
    let spec = ProbeSpec {
        address: "8.8.8.8".to_owned(),
        country_code: None,
        domain: config.service.domain.clone(),
    };
    match aws.target(region, spec.domain.as_deref()).await {
        Ok(target) => HttpProbe.probe(&target, &spec).await,
        Err(error) => Err(error.to_string()),
    }
}
