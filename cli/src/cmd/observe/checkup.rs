//! Where `ipgeo doctor` reads its facts: AWS, or the local service.

use std::collections::BTreeMap;
use std::time::Duration;

use ipgeo_contract::{
    ApiKey, Identity, Month, RegionName, UsageEvent, error_chain, probe_api_key, probe_record,
};
use ipgeo_runtime::store::{AccessRead as _, StoreError};
use jiff::{SignedDuration, Timestamp};

use crate::aws::{Aws, Home};
use crate::cmd::support::world_target;
use crate::config::Config;
use crate::infra::cloud::{CloudRead as _, ProbeTarget, ProbeTargets as _, Problem};
use crate::keys::KeyStore as _;
use crate::observe::doctor::{EdgeFacts, Examine, Fact, HomeFacts, UsagePath};
use crate::observe::logs::LogSource;
use crate::observe::probe::ProbeClient;
use crate::world::WorldFile;

/// The marked call: one lookup, charged to the probes' API key.
const MARKED_PATH: &str = "/8.8.8.8";
/// A clock may lag: a call may seem older than it is.
const CLOCK_SLACK: SignedDuration = SignedDuration::from_secs(60);
/// Tries to find the probes' API key in a region, and the pause between two.
const KNOWN_LOOKS: u32 = 100;
const KNOWN_PAUSE: Duration = Duration::from_millis(50);

/// A service on AWS.
pub(super) struct OnAws<'a> {
    pub(super) aws: &'a Aws,
    pub(super) config: &'a Config,
    pub(super) client: &'a ProbeClient,
}

impl Examine for OnAws<'_> {
    async fn account(&self) -> Fact<String> {
        self.aws.account().await.map(Some).into()
    }

    async fn home(&self) -> HomeFacts {
        self.aws.home_facts(self.config).await
    }

    async fn replicas(&self) -> Fact<BTreeMap<RegionName, String>> {
        let mut replicas = self.aws.replicas().await;
        if let Ok(replicas) = &mut replicas {
            // DynamoDB lists the others: where the list is read from is the first of them.
            replicas.insert(self.config.service.home.clone(), "ACTIVE".to_owned());
        }
        replicas.map(Some).into()
    }

    async fn edge(&self, region: &str) -> EdgeFacts {
        let Some(region) = self.config.regions.iter().find(|known| known.name == region) else {
            return EdgeFacts::default();
        };
        let account = self.aws.account().await.unwrap_or_default();
        let domain = self.config.service.domain.as_deref();
        let mut facts = self.aws.edge_facts(region, domain, &account).await;
        if matches!(facts.stack, Fact::Known(_)) {
            facts.health = Some(match self.aws.target(&region.name, domain).await {
                Ok(target) => health(self.client, &ProbeTarget { api_key: None, ..target }).await,
                Err(error) => Err(error.to_string()),
            });
        }
        facts
    }
}

async fn health(client: &ProbeClient, target: &ProbeTarget) -> Result<Option<String>, String> {
    client.health(target).await.map(|(_, health)| health.database_date)
}

/// AWS without credentials.
pub(super) struct NoAccount(pub(super) Problem);

impl Examine for NoAccount {
    async fn account(&self) -> Fact<String> {
        Fact::Unreadable(self.0.clone())
    }

    async fn home(&self) -> HomeFacts {
        HomeFacts::default()
    }

    async fn replicas(&self) -> Fact<BTreeMap<RegionName, String>> {
        Fact::NotRead
    }

    async fn edge(&self, _: &str) -> EdgeFacts {
        EdgeFacts::default()
    }
}

/// The local service.
pub(super) struct InWorld<'a> {
    pub(super) world: &'a WorldFile,
    pub(super) client: &'a ProbeClient,
}

impl Examine for InWorld<'_> {
    async fn account(&self) -> Fact<String> {
        Fact::NotRead
    }

    async fn home(&self) -> HomeFacts {
        HomeFacts::default()
    }

    async fn replicas(&self) -> Fact<BTreeMap<RegionName, String>> {
        // A replica that answers a read exists.
        let mut states = BTreeMap::from([(self.world.home.clone(), "ACTIVE".to_owned())]);
        for (region, access) in Home::replicas_of_world(self.world) {
            let state = match access.address_secret().await {
                Ok(Some(_)) => "ACTIVE",
                Ok(None) => "EMPTY",
                Err(_) => "UNREACHABLE",
            };
            states.insert(region, state.to_owned());
        }
        Fact::Known(states)
    }

    async fn edge(&self, region: &str) -> EdgeFacts {
        let health = match world_target(self.world, region) {
            Ok(target) => health(self.client, &target).await,
            Err(why) => Err(why),
        };
        EdgeFacts { reachable: Fact::Known(()), health: Some(health), ..EdgeFacts::default() }
    }
}

/// The path of a marked call.
pub(super) struct Marked<'a, L> {
    home: Home,
    key: ApiKey,
    logs: &'a L,
    targets: BTreeMap<RegionName, Result<ProbeTarget, String>>,
    client: &'a ProbeClient,
    world: Option<&'a WorldFile>,
}

fn unread(error: &StoreError) -> Problem {
    Problem::new(error_chain(error, ": "), "see the checks `credentials` and `replica`".to_owned())
}

impl<'a, L: LogSource> Marked<'a, L> {
    /// Calls are marked by the probes' API key, which follows from the address secret at home.
    pub(super) async fn new(
        home: Home,
        config: &Config,
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
        let key = probe_api_key(&config.service.key_prefix, &secret).map_err(|error| {
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
