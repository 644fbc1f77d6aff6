//! A cloud whose probes really ask: a new edge gets time to come up before it is called down.

use std::time::Duration;

use tokio::time::Instant;

use crate::cloud::{CloudWrite, Done, Probe, ProbeTargets, Progress, StepError};
use crate::plan::{Action, ProbeSpec};

/// Between two tries of an edge.
const PAUSE: Duration = Duration::from_secs(1);
/// Until an edge is called down. A new API key is in every replica within seconds, a new certificate's
/// endpoint within about half a minute.
const PATIENCE: Duration = Duration::from_mins(1);

/// A cloud and who asks its edges.
#[derive(Debug)]
pub struct Gated<'a, C, P> {
    cloud: &'a C,
    probe: &'a P,
}

impl<'a, C: CloudWrite + ProbeTargets, P: Probe> Gated<'a, C, P> {
    /// Leads a plan's probes to `probe` and everything else to `cloud`.
    pub fn new(cloud: &'a C, probe: &'a P) -> Self {
        Self { cloud, probe }
    }

    async fn ask(
        &self,
        region: &str,
        spec: &ProbeSpec,
        tell: &(dyn Fn(Progress) + Sync),
    ) -> Result<Done, StepError> {
        let target = self.cloud.target(region, spec.domain.as_deref()).await?;
        let began = Instant::now();
        loop {
            match self.probe.probe(&target, spec).await {
                Ok(_) => return Ok(Done::AlreadySo),
                Err(why) if began.elapsed() + PAUSE > PATIENCE => {
                    return Err(StepError {
                        remedy: Some(format!("see what it logs: ipgeo logs --regions {region}")),
                        ..StepError::of(why)
                    });
                }
                Err(why) => {
                    tell(Progress { phase: why, done: 0, total: 0 });
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

impl<C: CloudWrite + ProbeTargets, P: Probe> CloudWrite for Gated<'_, C, P> {
    async fn ensure(
        &self,
        region: &str,
        action: &Action,
        tell: &(dyn Fn(Progress) + Sync),
    ) -> Result<Done, StepError> {
        match action {
            Action::Probe(spec) => self.ask(region, spec, tell).await,
            other => self.cloud.ensure(region, other, tell).await,
        }
    }
}
