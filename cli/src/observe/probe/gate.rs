//! A deploy's gates: a plan's probe steps are sent to the edge, which has five minutes to become reachable and then a minute
//! to answer correctly before the step fails; its marked calls are followed to the ledger.

use std::future::Future;
use std::time::Duration;

use ipgeo_contract::RegionName;
use tokio::time::Instant;

use crate::infra::cloud::{CloudWrite, Done, Probe, ProbeError, ProbeTargets, Progress, Report, StepError};
use crate::infra::plan::{Action, FollowSpec, ProbeSpec};

/// Between two probes of an edge.
const PAUSE: Duration = Duration::from_secs(1);
/// How long an edge may answer incorrectly before it fails. A new API key reaches every replica within seconds.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long an edge may be unreachable before it fails. A new regional domain gets its DNS name and certificate within minutes.
const PATIENCE_UNREACHED: Duration = Duration::from_mins(5);

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
        // When it was reached for the first time.
        let mut reached: Option<Instant> = None;
        loop {
            let Err(error) = self.probe.probe(&target, spec).await else { return Ok(Done::AlreadySo) };
            if let ProbeError::Wrong(_) = error {
                reached.get_or_insert_with(Instant::now);
            }
            let ended = reached.is_some_and(|at| at.elapsed() + PAUSE > PATIENCE)
                || started.elapsed() + PAUSE > PATIENCE_UNREACHED;
            if ended {
                return Err(failed(region, &error));
            }
            let phase = match &error {
                ProbeError::NotReady(why) => format!("not reachable yet: {why}"),
                ProbeError::Wrong(why) => why.clone(),
            };
            report(Progress { phase, done: 0, total: 0 });
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn failed(region: &RegionName, error: &ProbeError) -> StepError {
    let remedy = match error {
        ProbeError::NotReady(_) => {
            "a new domain may need longer: wait some minutes, then run the same command again".to_owned()
        }
        ProbeError::Wrong(_) => format!("check its log: ipgeo logs --all --regions {region}"),
    };
    StepError { remedy: Some(remedy), ..StepError::new(error.to_string()) }
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

    /// An edge that can't be reached so often and then answers wrong so often, and a cloud that has the API key or not.
    struct Edge {
        api_key: Option<ApiKey>,
        unreached: Mutex<u32>,
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
        async fn probe(&self, target: &ProbeTarget, _: &ProbeSpec) -> Result<f64, ProbeError> {
            assert!(target.api_key.is_some());
            let left = |count: &Mutex<u32>| {
                let mut count = count.lock().expect("no panic");
                *count = count.saturating_sub(1);
                *count > 0
            };
            if left(&self.unreached) {
                return Err(ProbeError::NotReady("d-1 can't be looked up".to_owned()));
            }
            if left(&self.fails) {
                return Err(ProbeError::Wrong("/health/ answers 500".to_owned()));
            }
            Ok(1.0)
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
            (key(), 0, 0, None),
            (key(), 0, 60, None),
            (key(), 0, 62, Some(("/health/ answers 500", "ipgeo logs --all --regions eu-west-1"))),
            (key(), 240, 60, None),
            (key(), 300, 0, None),
            (key(), 302, 0, Some(("d-1 can't be looked up", "a new domain may need longer"))),
            (key(), 120, 62, Some(("/health/ answers 500", "ipgeo logs --all --regions eu-west-1"))),
            (None, 0, 0, Some(("the probes' API key is not in the access table", "deploy again"))),
        ];
        for (api_key, unreached, fails, expected) in table {
            let edge = Edge { api_key, unreached: Mutex::new(unreached), fails: Mutex::new(fails) };
            let gated = Gated::new(&edge, &edge, &edge);
            let action = Action::Probe(ProbeSpec::default());
            let ended = gated.ensure(&RegionName::new("eu-west-1"), &action, &|_| {}).await;
            match (ended, expected) {
                (Ok(done), None) => assert_eq!(done, Done::AlreadySo),
                (Err(error), Some((message, remedy))) => {
                    assert_eq!(error.message, message);
                    assert!(error.remedy.is_some_and(|text| text.contains(remedy)), "{remedy}");
                }
                (ended, expected) => panic!("{unreached} {fails}: {ended:?}, not {expected:?}"),
            }
            let other = gated.ensure(&RegionName::new("eu-west-1"), &Action::Secret, &|_| {}).await;
            assert_eq!(other, Ok(Done::Changed), "everything else goes to the cloud");
        }
    }
}
