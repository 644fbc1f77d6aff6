//! [`MemoryCloud`]: the handle that tests hold, and the traits of the cloud on it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use ipgeo_contract::RegionName;
use tokio::sync::Notify;
use tokio::time::Instant;

use ipgeo::internals::config::Config;
use ipgeo::internals::infra::cloud::{
    CloudRead, CloudWrite, Done, Probe, ProbeError, ProbeTarget, ProbeTargets, Problem, Progress, Report,
    StepError, explain,
};
use ipgeo::internals::infra::plan::{
    AccessState, Action, Delegation, Drift, Drifts, Foreign, KeptData, ObservedRegion, ProbeSpec, Zone,
};
use ipgeo::internals::infra::stacks::{Names, StackKind};

use crate::faults::InjectedFault;
use crate::log::Log;
use crate::state::{ACCOUNT, CloudState, HostedZone, Latency, Refusal};

/// A cloud in memory.
#[derive(Debug)]
pub struct MemoryCloud {
    state: Mutex<CloudState>,
    began: Instant,
    killed: Notify,
}

impl MemoryCloud {
    /// An empty account whose regions are all enabled. It has the configuration's zone, if one is named, with
    /// records of others in it.
    pub fn new(config: &Config) -> Self {
        let zones = config.service.hosted_zone.iter().map(|name| HostedZone::new(name)).collect();
        let mut state = CloudState::new(Names::new(config), &config.service.home);
        state.zones = zones;
        Self::from_state(state)
    }

    fn from_state(state: CloudState) -> Self {
        Self { state: Mutex::new(state), began: Instant::now(), killed: Notify::new() }
    }

    /// The same cloud once more; what happens to one does not happen to the other.
    #[must_use]
    pub fn fork(&self) -> Self {
        let mut state = self.now().clone();
        state.fork_at(self.began.elapsed());
        Self::from_state(state)
    }

    /// How long operations take from now on; nothing at first.
    pub fn set_latency(&self, latency: Latency) {
        self.now().latency = latency;
    }

    /// Whether a stack whose creation fails is deleted, as the adapter asks for, or stays as
    /// `ROLLBACK_COMPLETE`, as it does when somebody else made it.
    pub fn set_failed_creations_deleted(&self, deleted: bool) {
        self.now().failed_creations_deleted = deleted;
    }

    /// Every call to a region is refused with a code and message, as when it is not enabled or a permission is
    /// missing.
    pub fn make_unreachable(&self, region: &str, code: &str, message: &str) {
        let refusal = Refusal { code: code.to_owned(), message: message.to_owned() };
        self.now().unreachable.insert(region.to_owned(), refusal);
    }

    /// Every call is refused with a code and message, as when credentials have expired or the clock is off.
    pub fn refuse_all(&self, code: &str, message: &str) {
        self.now().refused = Some(Refusal { code: code.to_owned(), message: message.to_owned() });
    }

    /// Takes `refuse_all` back.
    pub fn accept_all(&self) {
        self.now().refused = None;
    }

    /// Somebody else has the bucket of this name.
    pub fn take_bucket(&self, name: &str) {
        self.now().taken_buckets.insert(name.to_owned());
    }

    /// Puts an object into a bucket, as a function does that can't count a batch.
    pub fn put_object(&self, bucket: &str, key: &str) {
        // An object that is named as an artifact is that artifact.
        let content = key.rsplit('/').next().and_then(|name| name.strip_suffix(".zip")).unwrap_or_default();
        self.now()
            .contents
            .objects
            .entry(bucket.to_owned())
            .or_default()
            .insert(key.to_owned(), content.to_owned());
    }

    /// Somebody overwrites an artifact in a region's bucket, or an upload of another tool breaks off.
    pub fn alter_object(&self, region: &str, key: &str, content: &str) {
        let mut state = self.now();
        let bucket = state.names.bucket(ACCOUNT, region);
        let held = state.contents.objects.get_mut(&bucket).and_then(|held| held.get_mut(key));
        content.clone_into(held.expect("an object"));
    }

    /// The account's quota of concurrent executions in a region.
    pub fn set_concurrency(&self, region: &str, limit: u64) {
        self.now().concurrency.insert(RegionName::new(region), limit);
    }

    /// Somebody changes or deletes a resource outside CloudFormation.
    pub fn drift(&self, region: &str, kind: StackKind, drift: Drift) {
        self.now().drifts.entry((RegionName::new(region), kind)).or_default().push(drift);
    }

    /// A drift-aware change set does not set this resource back.
    pub fn set_unrepairable(&self, name: &str) {
        self.now().unrepairable.insert(name.to_owned());
    }

    /// What a drift detection of every stack finds.
    pub fn drifts(&self) -> Drifts {
        self.now().drifts.clone()
    }

    /// The access table has made a replica at this time, seconds since 1970.
    pub fn set_replica_made(&self, at_s: i64) {
        self.now().replica_made_s = Some(at_s);
    }

    /// Takes the zone away.
    pub fn remove_zone(&self) {
        self.now().zones.clear();
    }

    /// Another public zone gets the same name.
    pub fn add_zone_of_same_name(&self, id: &str) {
        for zone in &mut self.now().zones {
            zone.others.push(id.to_owned());
        }
    }

    /// Public DNS leads elsewhere, or to the zone again.
    pub fn set_delegation(&self, delegation: &Delegation) {
        for zone in &mut self.now().zones {
            zone.delegation = delegation.clone();
        }
    }

    /// Somebody adds a record to the zone.
    pub fn add_foreign_record(&self, name: &str, kind: &str) {
        for zone in &mut self.now().zones {
            zone.foreign.push((name.to_owned(), Foreign { kind: kind.to_owned(), what: name.to_owned() }));
        }
    }

    /// API keys with a tier's limit.
    pub fn set_api_keys(&self, tier: &str, limit: &str, count: u64) {
        let mut state = self.now();
        let name = state.names.access_table.clone();
        if let Some(table) = state.contents.tables.get_mut(&name) {
            table.limits.insert((tier.to_owned(), limit.to_owned()), count);
        }
    }

    /// Adds a replica outside CloudFormation.
    pub fn add_stray_replica(&self, region: &str) {
        let mut state = self.now();
        let name = state.names.access_table.clone();
        if let Some(table) = state.contents.tables.get_mut(&name) {
            table.replicas.insert(RegionName::new(region), false);
        }
    }

    /// The edge of a region does not answer as it should any more; none: it does again.
    pub fn set_unhealthy(&self, region: &str, why: Option<&str>) {
        let mut state = self.now();
        match why {
            Some(why) => drop(state.unhealthy.insert(RegionName::new(region), why.to_owned())),
            None => drop(state.unhealthy.remove(region)),
        }
    }

    /// Functions with code of this digest answer nothing.
    pub fn set_bad_code(&self, digest: &str) {
        self.now().bad_code.insert(digest.to_owned());
    }

    /// Lines of a region's log do not arrive, although everything is deployed.
    pub fn kill_pipe(&self, region: &str) {
        self.now().dead_pipes.insert(region.to_owned());
    }

    /// The ARNs that the subscriptions of a region's lookup log lead to.
    pub fn subscriptions(&self, region: &str) -> Vec<String> {
        crate::resources::subscriptions(&self.now().contents, region)
    }

    /// Whether a log destination or a function takes lines from CloudWatch Logs.
    pub fn takes_lines(&self, arn: &str) -> bool {
        crate::resources::takes_lines(&self.now().contents, arn)
    }

    /// The edge of a region answers no probe while it serves this version.
    pub fn set_broken(&self, region: &str, version: u64) {
        self.now().broken.insert(RegionName::new(region), version);
    }

    /// Callers of a region get errors while it serves this version.
    pub fn set_failing(&self, region: &str, version: u64) {
        self.now().failing.insert(RegionName::new(region), version);
    }

    /// Makes a step fail.
    pub fn inject(&self, broken: InjectedFault) {
        self.now().faults.push(broken);
    }

    /// Forgets what was to fail.
    pub fn clear_faults(&self) {
        self.now().faults.clear();
    }

    /// Resolves when a step with `FaultKind::Kill` has begun: the moment to drop the deploy.
    pub async fn killed(&self) {
        self.killed.notified().await;
    }

    /// The operator's remedy for a stuck stack: continue its rollback, or delete it.
    pub fn repair_stuck_stacks(&self) {
        self.now().repair();
    }

    /// Sets a stack's state, as somebody else's doings leave it.
    pub fn set_stack_status(&self, region: &str, name: &str, status: &str) {
        let mut state = self.now();
        if let Some(stack) = state.contents.stacks.get_mut(&(region.to_owned(), name.to_owned())) {
            status.clone_into(&mut stack.status);
        }
    }

    /// Calls and their effects so far.
    pub fn log(&self) -> Log {
        self.now().log.clone()
    }

    /// Clears the log.
    pub fn clear_log(&self) {
        self.now().log = Log::default();
    }

    /// Everything that there is, a line each, without what differs from run to run.
    pub fn picture(&self) -> Vec<String> {
        self.now().picture()
    }

    /// The zone's records of others, to be held against what they were.
    pub fn foreign_records(&self) -> Vec<String> {
        let state = self.now();
        let foreign = state.zones.iter().flat_map(|zone| &zone.foreign);
        foreign.map(|(name, record)| format!("{name} {}", record.kind)).collect()
    }

    /// The state at this moment: what has come to its end by now is finished.
    fn now(&self) -> MutexGuard<'_, CloudState> {
        // A test that fails in between must not fail all others.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.settle(self.began.elapsed());
        state
    }

    fn refusal(&self, region: &str) -> Option<Problem> {
        let state = self.now();
        let refusal = state.refused.as_ref().or_else(|| state.unreachable.get(region))?;
        Some(explain(region, Some(&refusal.code), &refusal.message))
    }

    pub(crate) fn home(&self) -> RegionName {
        self.now().home.clone()
    }

    /// Counts a reading call.
    pub(crate) fn read(&self, region: &str) -> Result<MutexGuard<'_, CloudState>, Problem> {
        self.now().log.reads += 1;
        match self.refusal(region) {
            Some(error) => Err(error),
            None => Ok(self.now()),
        }
    }
}

impl CloudRead for MemoryCloud {
    async fn account(&self) -> Result<String, Problem> {
        let home = self.now().home.clone();
        drop(self.read(&home)?);
        Ok(ACCOUNT.to_owned())
    }

    async fn region(&self, region: &RegionName, _account: &str, artifacts: &[String]) -> ObservedRegion {
        match self.read(region) {
            Ok(state) => state.observe(region, artifacts),
            Err(problem) => ObservedRegion { unreachable: Some(problem), ..ObservedRegion::default() },
        }
    }

    async fn access(&self) -> Result<Option<AccessState>, Problem> {
        let home = self.now().home.clone();
        Ok(self.read(&home)?.access())
    }

    async fn kept(&self, _account: &str) -> Result<KeptData, Problem> {
        let home = self.now().home.clone();
        Ok(self.read(&home)?.kept())
    }

    async fn zone(&self, zone: &str, domain: &str) -> Result<Option<Zone>, Problem> {
        let state = self.read("Route 53")?;
        Ok(state
            .zones
            .iter()
            .find(|known| known.name == zone || known.id == zone)
            .map(|known| known.observe(domain)))
    }
}

impl CloudWrite for MemoryCloud {
    async fn ensure(
        &self,
        region: &RegionName,
        action: &Action,
        report: Report<'_>,
    ) -> Result<Done, StepError> {
        if let Some(error) = self.refusal(region) {
            return Err(StepError { remedy: Some(error.remedy), ..StepError::new(error.what) });
        }
        let begun = self.now().begin(self.began.elapsed(), region, action)?;
        report(Progress { phase: begun.phase.to_owned(), done: 0, total: begun.parts });
        if begun.dies {
            self.killed.notify_one();
            std::future::pending::<()>().await;
        }
        if !begun.takes.is_zero() {
            tokio::time::sleep(begun.takes).await;
        }
        self.now().end(begun.operation)
    }
}

impl Probe for MemoryCloud {
    async fn probe(&self, target: &ProbeTarget, _spec: &ProbeSpec) -> Result<f64, ProbeError> {
        self.now().probe(&target.region).map_err(ProbeError::Wrong)
    }
}

impl ProbeTargets for MemoryCloud {
    async fn target(&self, region: &RegionName, domain: Option<&str>) -> Result<ProbeTarget, StepError> {
        let host = domain.map_or_else(|| format!("edge.{region}.example"), str::to_owned);
        Ok(ProbeTarget { region: region.clone(), host, connect: None, tls: true, api_key: None })
    }
}
