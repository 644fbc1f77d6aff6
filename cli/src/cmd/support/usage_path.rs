//! Makes marked calls and follows them to the ledger. Used by `ipgeo doctor --online` and a deploy's gates.

use std::collections::BTreeMap;
use std::time::Duration;

use ipgeo_contract::{
    ApiKey, Identity, Month, RegionName, UsageEvent, error_chain, probe_api_key, probe_record,
};
use ipgeo_runtime::store::{AccessRead as _, StoreError};
use jiff::{SignedDuration, Timestamp};

use crate::aws::{Aws, Home};
use crate::config::{Config, LogPipe};
use crate::infra::cloud::{Done, ProbeTarget, ProbeTargets as _, Problem, Progress, Report, StepError};
use crate::infra::plan::FollowSpec;
use crate::keys::KeyStore as _;
use crate::observe::doctor::{Mark, TracePace, TracedCall, UsagePath, judge_path, trace};
use crate::observe::logs::LogSource;
use crate::observe::probe::{Follow, ProbeClient};
use crate::quota::Pipeline;
use crate::world::WorldFile;

/// The marked call: one lookup, charged to the probes' API key.
const MARKED_PATH: &str = "/8.8.8.8";
/// Tolerance for clocks that lag: a call may seem older than it is.
const CLOCK_SLACK: SignedDuration = SignedDuration::from_secs(60);
/// Attempts to find the probes' API key in a region, and the pause between two.
const KNOWN_LOOKS: u32 = 100;
const KNOWN_PAUSE: Duration = Duration::from_millis(50);
/// Pause between two reads of log and ledger.
const LOOK_PAUSE: Duration = Duration::from_secs(3);

/// Seconds that log pipe and counter may take, rounded up.
pub(crate) fn counting_lag(config: &Config) -> Duration {
    Duration::from_secs_f64(Pipeline::from_config(config).counting_s().ceil())
}

/// How a deploy follows marked calls; `None`: an emulator that does not deliver log lines.
pub(crate) fn follow_spec(config: &Config) -> Option<FollowSpec> {
    let pipe = config.usage.pipe;
    // Emulators invoke a subscription's function, but do not support log destinations.
    let delivers =
        config.emulator.as_ref().is_none_or(|emulator| emulator.log_pipe && pipe == LogPipe::Forwarder);
    let remedy = match pipe {
        LogPipe::Destination => {
            "run `ipgeo doctor`: the subscription must point to the log destination, and the log pipe's role to the stream; \
             if they do and lines still do not arrive, set `pipe = \"forwarder\"` in [usage] and deploy"
        }
        LogPipe::Forwarder => {
            "run `ipgeo doctor`: the subscription must point to the forwarder; then see the forwarder's log, \
             /aws/lambda/…-forward in that region, and the counter's errors at home"
        }
    };
    delivers.then(|| FollowSpec {
        domain: config.service.domain.clone(),
        patience_s: counting_lag(config).as_secs(),
        required: false,
        remedy: remedy.to_owned(),
    })
}

pub(crate) struct Follower<'a> {
    pub(crate) aws: &'a Aws,
    pub(crate) client: &'a ProbeClient,
}

impl Follow for Follower<'_> {
    async fn follow(
        &self,
        region: &RegionName,
        spec: &FollowSpec,
        report: Report<'_>,
    ) -> Result<Done, StepError> {
        let failed =
            |problem: Problem| StepError { remedy: Some(problem.remedy), ..StepError::new(problem.what) };
        let target = self.aws.target(region, spec.domain.as_deref()).await?;
        let targets = BTreeMap::from([(region.clone(), Ok(target))]);
        let (home, prefix) = (self.aws.tables(), self.aws.key_prefix());
        let path = Marked::new(home, prefix, self.aws, targets, self.client, None).await.map_err(failed)?;
        let lag = Duration::from_secs(spec.patience_s);
        let pace = TracePace { pause: LOOK_PAUSE, patience: lag, lag };
        let looked = |traced: &[TracedCall]| {
            let is_logged = traced.iter().any(|one| one.logged_after_s.is_some());
            let phase = if is_logged { "in the log, not counted yet" } else { "not in the log yet" };
            report(Progress { phase: phase.to_owned(), done: 0, total: 0 });
        };
        let regions = std::slice::from_ref(region);
        let traced = trace(&path, regions, pace, Timestamp::now(), &looked).await.map_err(failed)?;
        arrived(&traced, pace, spec)
    }
}

/// Judges the region's log pipe by a traced call.
fn arrived(traced: &[TracedCall], pace: TracePace, spec: &FollowSpec) -> Result<Done, StepError> {
    for (check, one) in judge_path(traced, pace).into_iter().zip(traced) {
        if !matches!(check.mark, Mark::Ok | Mark::Warn) {
            // Between log and ledger, what to check depends on the kind of pipe.
            let in_pipe = check.mark == Mark::Fail && one.logged_after_s.is_some();
            let remedy = if in_pipe { Some(spec.remedy.clone()) } else { check.remedy };
            return Err(StepError { remedy, ..StepError::new(check.found) });
        }
    }
    Ok(Done::AlreadySo)
}

fn unread(error: &StoreError) -> Problem {
    Problem::new(error_chain(error, ": "), "see the checks `credentials` and `replica`".to_owned())
}

pub(crate) struct Marked<'a, L> {
    home: Home,
    key: ApiKey,
    logs: &'a L,
    targets: BTreeMap<RegionName, Result<ProbeTarget, String>>,
    client: &'a ProbeClient,
    world: Option<&'a WorldFile>,
}

impl<'a, L: LogSource> Marked<'a, L> {
    /// Calls are marked by the probes' API key, which follows from the address secret at home.
    pub(crate) async fn new(
        home: Home,
        key_prefix: &str,
        logs: &'a L,
        targets: BTreeMap<RegionName, Result<ProbeTarget, String>>,
        client: &'a ProbeClient,
        world: Option<&'a WorldFile>,
    ) -> Result<Self, Problem> {
        let secret = home.access.address_secret().await.map_err(|error| unread(&error))?;
        let secret = secret.ok_or_else(|| {
            Problem::new(
                "the access table has no address secret".to_owned(),
                "run `ipgeo deploy` to create it".to_owned(),
            )
        })?;
        let key = probe_api_key(key_prefix, &secret).map_err(|error| {
            Problem::new(error.to_string(), "correct `key_prefix` in regions.toml".to_owned())
        })?;
        Ok(Self { home, key, logs, targets, client, world })
    }

    fn identity(&self) -> Identity {
        Identity::key(&self.key.hash())
    }
}

impl<L: LogSource> UsagePath for Marked<'_, L> {
    async fn ready(&self) -> Result<(), Problem> {
        let identity = self.identity();
        if self.home.access.key_now(&identity).await.map_err(|error| unread(&error))?.is_some() {
            return Ok(());
        }
        let Some(world) = self.world else {
            return Err(Problem::new(
                "the probes' API key is not in the access table".to_owned(),
                "run `ipgeo deploy` to create it".to_owned(),
            ));
        };
        let record = probe_record(&self.key, Timestamp::now());
        self.home.put(&identity, &record).await.map_err(|error| {
            Problem::new(
                format!("cannot write the probes' API key: {error}"),
                "restart `ipgeo dev`".to_owned(),
            )
        })?;
        for (_, access) in Home::replicas_of_world(world) {
            for _look in 0..KNOWN_LOOKS {
                if access.key_now(&identity).await.is_ok_and(|found| found.is_some()) {
                    break;
                }
                tokio::time::sleep(KNOWN_PAUSE).await;
            }
        }
        Ok(())
    }

    async fn call(&self, region: &str) -> Result<(), String> {
        let target = self.targets.get(region).cloned().unwrap_or_else(|| Err("it has no edge".to_owned()))?;
        let target = ProbeTarget { api_key: Some(self.key.clone()), ..target };
        let reply = self.client.get(&target, MARKED_PATH).await?;
        if reply.status == 200 { Ok(()) } else { Err(format!("{MARKED_PATH} answers {}", reply.status)) }
    }

    async fn logged(&self, region: &RegionName, since: Timestamp) -> Result<bool, Problem> {
        let since = since.checked_sub(CLOCK_SLACK).unwrap_or(since);
        let mark = UsageEvent::mark(&self.identity());
        Ok(!self.logs.lines(region, since, Some(&mark)).await?.is_empty())
    }

    async fn counted(&self) -> Result<BTreeMap<String, u64>, Problem> {
        let item = self.home.ledger.item(&self.identity(), Month::from_time(Timestamp::now())).await;
        Ok(item.map_err(|error| unread(&error))?.map(|item| item.regions).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infra::stacks::test_config;

    #[test]
    fn a_call_that_does_not_arrive_says_what_to_check_by_the_kind_of_pipe() {
        let one = |logged, counted| TracedCall {
            region: RegionName::new("eu-west-1"),
            answered: Ok(()),
            logged_after_s: logged,
            counted_after_s: counted,
            unread: None,
        };
        let mut config = test_config();
        for (pipe, expected) in
            [(LogPipe::Destination, "log destination"), (LogPipe::Forwarder, "forwarder's log")]
        {
            config.usage.pipe = pipe;
            let spec = follow_spec(&config).expect("it is followed");
            assert_eq!(spec.patience_s, 485, "log, window, counting");
            let lag = Duration::from_secs(spec.patience_s);
            let pace = TracePace { pause: LOOK_PAUSE, patience: lag, lag };
            assert_eq!(arrived(&[one(Some(2.0), Some(301.0))], pace, &spec), Ok(Done::AlreadySo));
            let stuck = arrived(&[one(Some(2.0), None)], pace, &spec).expect_err("not counted");
            assert!(stuck.message.contains("stuck between log and ledger"), "{stuck}");
            assert!(stuck.remedy.as_ref().is_some_and(|remedy| remedy.contains(expected)), "{stuck:?}");
            let silent = arrived(&[one(None, None)], pace, &spec).expect_err("not logged");
            assert!(silent.remedy.is_some_and(|remedy| remedy.contains("logs:PutLogEvents")));
        }
        let emulator = |log_pipe| crate::config::Emulator {
            endpoint: "http://127.0.0.1:4566".to_owned(),
            geo_database: None,
            log_pipe,
        };
        for (pipe, log_pipe, is_followed) in [
            (LogPipe::Destination, true, false),
            (LogPipe::Forwarder, true, true),
            (LogPipe::Forwarder, false, false),
        ] {
            config.usage.pipe = pipe;
            config.emulator = Some(emulator(log_pipe));
            assert_eq!(follow_spec(&config).is_some(), is_followed, "{pipe:?} {log_pipe}");
        }
    }
}
