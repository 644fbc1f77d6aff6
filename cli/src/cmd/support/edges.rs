//! Where edges are reached, and whether they answer.

use crate::aws::Aws;
use crate::config::Config;
use crate::infra::cloud::{Probe as _, ProbeTarget, ProbeTargets as _};
use crate::infra::plan::ProbeSpec;
use crate::probing::HttpProbe;
use crate::standing::Asked;
use crate::world::WorldFile;

/// Where a region of a world is reached.
pub(crate) fn world_target(world: &WorldFile, region: &str) -> Result<ProbeTarget, String> {
    let there = world.regions.iter().find(|there| there.region == region);
    let there = there.ok_or_else(|| format!("the running world has no {region}; start it again"))?;
    let host = there.url.trim_start_matches("http://").trim_end_matches('/').to_owned();
    Ok(ProbeTarget { region: region.to_owned(), host, connect: None, tls: false, api_key: None })
}

/// Asks an edge whatever it may answer.
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
