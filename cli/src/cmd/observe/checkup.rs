//! Where `ipgeo doctor` reads its facts: AWS, or the local service.

use std::collections::BTreeMap;

use ipgeo_contract::RegionName;
use ipgeo_runtime::store::AccessRead as _;

use crate::aws::{Aws, Home};
use crate::cmd::support::world_target;
use crate::config::Config;
use crate::infra::cloud::{CloudRead as _, ProbeTarget, ProbeTargets as _, Problem};
use crate::observe::doctor::{EdgeFacts, Examine, Fact, HomeFacts};
use crate::observe::probe::ProbeClient;
use crate::world::WorldFile;

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
        Box::pin(self.aws.home_facts(self.config)).await
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
