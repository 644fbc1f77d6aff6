//! A deploy's gates: a plan's probe steps are sent to the edge, which gets a minute to come up before the step fails; its
//! marked calls are followed to the ledger.

use std::future::Future;
use std::time::Duration;

use ipgeo_contract::RegionName;
use tokio::time::Instant;

use crate::infra::cloud::{CloudWrite, Done, Probe, ProbeTargets, Progress, Report, StepError};
use crate::infra::plan::{Action, FollowSpec, ProbeSpec};

/// Between two probes of an edge.
const PAUSE: Duration = Duration::from_secs(1);
/// Until an edge has failed. A new API key reaches every replica within seconds, and a new certificate's endpoint works
/// after about half a minute.
const PATIENCE: Duration = Duration::from_mins(1);

/// Follows a marked call from an edge to the ledger.
pub(crate) trait Follow: Sync {
    /// Succeeds once the call is counted.
    fn follow(
        &self,
        region: &RegionName,
        spec: &FollowSpec,
        report: Report<'_>,
    ) -> impl Future<Output = Result<Done, StepError>> + Send;
}

/// A cloud, the probe of its edges, and the way to its ledger.
#[derive(Debug)]
pub(crate) struct Gated<'a, C, P, F> {
    cloud: &'a C,
    probe: &'a P,
    follow: &'a F,
}

impl<'a, C: CloudWrite + ProbeTargets, P: Probe, F: Follow> Gated<'a, C, P, F> {
    /// Sends a plan's probes to `probe`, its marked calls to `follow`, and everything else to `cloud`.
    pub(crate) fn new(cloud: &'a C, probe: &'a P, follow: &'a F) -> Self {
        Self { cloud, probe, follow }
    }

    async fn pass(
        &self,
        region: &RegionName,
        spec: &ProbeSpec,
        report: Report<'_>,
    ) -> Result<Done, StepError> {
        let target = self.cloud.target(region, spec.domain.as_deref()).await?;
        if target.api_key.is_none() {
            // Without an API key the probe does not show that the edge can read the access table.
            return Err(StepError {
                remedy: Some("deploy again: a missing key is recreated".to_owned()),
                ..StepError::new("the probes' API key is not in the access table")
            });
        }
        let started = Instant::now();
        loop {
            match self.probe.probe(&target, spec).await {
                Ok(_) => return Ok(Done::AlreadySo),
                Err(why) if started.elapsed() + PAUSE > PATIENCE => {
                    return Err(StepError {
                        remedy: Some(format!("check its log: ipgeo logs --regions {region}")),
                        ..StepError::new(why)
                    });
                }
                Err(why) => {
                    report(Progress { phase: why, done: 0, total: 0 });
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

impl<C: CloudWrite + ProbeTargets, P: Probe, F: Follow> CloudWrite for Gated<'_, C, P, F> {
    async fn ensure(
        &self,
        region: &RegionName,
        action: &Action,
        report: Report<'_>,
    ) -> Result<Done, StepError> {
        match action {
            Action::Probe(spec) => self.pass(region, spec, report).await,
            Action::Follow(spec) => self.follow.follow(region, spec, report).await,
            other => self.cloud.ensure(region, other, report).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use ipgeo_contract::{AddressSecret, ApiKey, probe_api_key};

    use super::*;
    use crate::infra::cloud::ProbeTarget;

    /// An edge that fails so often before it answers, and a cloud that has the API key or not.
    struct Edge {
        api_key: Option<ApiKey>,
        fails: Mutex<u32>,
    }

    impl CloudWrite for Edge {
        async fn ensure(&self, _: &RegionName, _: &Action, _: Report<'_>) -> Result<Done, StepError> {
            Ok(Done::Changed)
        }
    }

    impl ProbeTargets for Edge {
        async fn target(&self, region: &RegionName, _: Option<&str>) -> Result<ProbeTarget, StepError> {
            let (region, host) = (region.clone(), "api.example.com".to_owned());
            Ok(ProbeTarget { region, host, connect: None, tls: true, api_key: self.api_key.clone() })
        }
    }

    impl Probe for Edge {
        async fn probe(&self, target: &ProbeTarget, _: &ProbeSpec) -> Result<f64, String> {
            assert!(target.api_key.is_some());
            let mut fails = self.fails.lock().expect("no panic");
            if *fails == 0 {
                return Ok(1.0);
            }
            *fails -= 1;
            Err("/health/ answers 500".to_owned())
        }
    }

    impl Follow for Edge {
        async fn follow(&self, _: &RegionName, _: &FollowSpec, _: Report<'_>) -> Result<Done, StepError> {
            Ok(Done::AlreadySo)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_edge_is_retried_and_probed_with_an_api_key() {
        let key = || probe_api_key("ipg", &AddressSecret::new([1; 32])).ok();
        let table = [
            (key(), 0, None),
            (key(), 59, None),
            (key(), 61, Some(("/health/ answers 500", "ipgeo logs --regions eu-west-1"))),
            (None, 0, Some(("the probes' API key is not in the access table", "deploy again"))),
        ];
        for (api_key, fails, expected) in table {
            let edge = Edge { api_key, fails: Mutex::new(fails) };
            let gated = Gated::new(&edge, &edge, &edge);
            let action = Action::Probe(ProbeSpec::default());
            let ended = gated.ensure(&RegionName::new("eu-west-1"), &action, &|_| {}).await;
            match (ended, expected) {
                (Ok(done), None) => assert_eq!(done, Done::AlreadySo),
                (Err(error), Some((message, remedy))) => {
                    assert_eq!(error.message, message);
                    assert!(error.remedy.is_some_and(|text| text.contains(remedy)), "{remedy}");
                }
                (ended, expected) => panic!("{fails}: {ended:?}, not {expected:?}"),
            }
            let other = gated.ensure(&RegionName::new("eu-west-1"), &Action::Secret, &|_| {}).await;
            assert_eq!(other, Ok(Done::Changed), "everything else goes to the cloud");
        }
    }
}
