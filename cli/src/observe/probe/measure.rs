//! Health checks of every region, several from each: the samples that `ipgeo probe` summarises.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use ipgeo_contract::RegionName;
use serde::Deserialize;

use super::client::{PhaseTimes, ProbeClient};
use crate::infra::cloud::ProbeTarget;

/// Needs no API key and is not metered.
const HEALTH_PATH: &str = "/health";
/// Regions that are measured in parallel; within a region samples follow one another.
const REGIONS_IN_PARALLEL: usize = 8;
/// Between two samples of a region, so that they do not look like a flood.
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbedEdge {
    pub target: ProbeTarget,
    /// The city that its region is near.
    pub near: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Health {
    pub region: Option<RegionName>,
    pub database_date: Option<String>,
    pub version: Option<String>,
    pub attribution: Option<Attribution>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, serde::Serialize)]
pub struct Attribution {
    pub text: String,
    pub link: String,
}

/// One health check, or why it failed.
pub(crate) type ProbeSample = Result<(PhaseTimes, Health), String>;

impl ProbeClient {
    /// Checks an edge's health. A status other than 200 is a failure, and so is another region's answer.
    pub async fn health(&self, target: &ProbeTarget) -> ProbeSample {
        let reply = self.get(target, HEALTH_PATH).await?;
        if reply.status != 200 {
            return Err(format!("{HEALTH_PATH} answers {}", reply.status));
        }
        let health: Health = serde_json::from_str(&reply.body).unwrap_or_default();
        match health.region {
            Some(region) if region != target.region => Err(format!("{region} answers in its place")),
            _ => Ok((reply.times, health)),
        }
    }
}

/// Checks every edge `count` times; `progress` is called with the region after every check.
pub async fn measure_all(
    client: &ProbeClient,
    edges: &[ProbedEdge],
    count: u32,
    progress: &(dyn Fn(&str) + Sync),
) -> Vec<Vec<ProbeSample>> {
    stream::iter(edges)
        .map(|edge| async move {
            let mut samples = Vec::new();
            for index in 0..count {
                if index > 0 {
                    tokio::time::sleep(PAUSE).await;
                }
                samples.push(client.health(&edge.target).await);
                progress(&edge.target.region);
            }
            samples
        })
        .buffered(REGIONS_IN_PARALLEL)
        .collect()
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_health_answer_is_parsed() {
        let text = r#"{"status":"ok","version":"0.1.0","region":"eu-west-1","database_date":"2026-11-01","attribution":{"text":"by us","link":"https://a.test"}}"#;
        let expected = Health {
            region: Some(RegionName::new("eu-west-1")),
            database_date: Some("2026-11-01".into()),
            version: Some("0.1.0".into()),
            attribution: Some(Attribution { text: "by us".into(), link: "https://a.test".into() }),
        };
        assert_eq!(serde_json::from_str::<Health>(text).expect("JSON"), expected);
    }
}
