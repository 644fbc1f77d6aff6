//! Where edges are reached, and whether they answer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use ipgeo_contract::RegionName;

use super::quick_probe;
use crate::aws::Aws;
use crate::config::Config;
use crate::infra::cloud::{Probe as _, ProbeTarget, ProbeTargets as _};
use crate::observe::probe::ProbeClient;
use crate::observe::status::EdgeAnswer;
use crate::ui::format::decimal;
use crate::ui::output::{self, Format};
use crate::world::WorldFile;

pub(crate) const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// Where a region of `ipgeo dev` is reached.
pub(crate) fn world_target(world: &WorldFile, region: &str) -> Result<ProbeTarget, String> {
    let edge = world.regions.iter().find(|edge| edge.region == region);
    let edge = edge.ok_or_else(|| format!("the running `ipgeo dev` has no region {region}; restart it"))?;
    let host = edge.url.trim_start_matches("http://").trim_end_matches('/').to_owned();
    Ok(ProbeTarget { region: RegionName::new(region), host, connect: None, tls: false, api_key: None })
}

/// Probes the edges of these regions; any country is a correct answer.
pub(crate) async fn probe_edges(
    config: &Config,
    aws: &Aws,
    regions: BTreeSet<RegionName>,
) -> anyhow::Result<BTreeMap<RegionName, EdgeAnswer>> {
    let client = ProbeClient::with_native_roots(PROBE_TIMEOUT)?;
    let spec = quick_probe(config);
    let answers = join_all(regions.iter().map(async |region| {
        let target = aws.target(region, spec.domain.as_deref()).await.map_err(|error| error.to_string())?;
        client.probe(&target, &spec).await.map_err(|error| error.to_string())
    }))
    .await;
    Ok(regions.into_iter().zip(answers).collect())
}

/// The cell of a probe: its time, or that it failed; why is printed below the table.
pub(crate) fn probe_cell(probe_ms: Option<f64>, error: Option<&str>) -> String {
    match (probe_ms, error) {
        (Some(ms), _) => format!("{} ms", decimal(ms, 0)),
        (None, Some(_)) => "failed".to_owned(),
        (None, None) => String::new(),
    }
}

/// Prints why probes failed, below their table.
pub(crate) fn report_probes<'a>(
    probes: impl Iterator<Item = (&'a RegionName, Option<&'a str>)>,
    format: Format,
) {
    for (region, error) in probes.filter(|_| format == Format::Table) {
        if let Some(error) = error {
            output::print_note(&format!("{region}: {error}"));
        }
    }
}
