//! Adapters to AWS for the operator: stacks, buckets, tables, DNS records, logs. Only this district and `dev` import AWS
//! crates. `cloud` implements the traits of `infra::cloud`; every failed call becomes a `Refusal`. Services that need few
//! calls have no SDK crate: `signed` signs and sends their requests.

mod bake;
mod buckets;
mod cloud;
mod credentials;
mod delegation;
mod dns;
mod drift;
mod endpoints;
mod failures;
mod kept;
mod lock;
mod logs;
mod opt_in;
mod origin;
mod refusal;
mod s3;
mod session;
mod settings;
mod signed;
mod stack_events;
mod stacks;
mod stream;
mod tables;
mod versions;
mod vitals;
mod zones;

pub(crate) use cloud::Aws;
pub(crate) use failures::FailureBucket;
pub(crate) use origin::NoCredentials;
pub(crate) use settings::{AwsSetting, aws_settings};
pub(crate) use stream::UsageStream;

use anyhow::bail;
use aws_credential_types::Credentials;
use aws_sdk_dynamodb::Client;
use ipgeo_contract::{Identity, KeyRecord, RegionName};
use ipgeo_runtime::dynamo::{AccessTable, Effort, KeyChange, KeyWriteError, LedgerTable, client};
use ipgeo_runtime::store::StoreError;
use jiff::Timestamp;

use crate::config::Config;
use crate::keys::KeyStore;
use crate::world::WorldFile;

/// The two tables in the home region.
#[derive(Debug, Clone)]
pub struct Home {
    /// API keys and published usage.
    pub access: AccessTable,
    /// Exact counts.
    pub ledger: LedgerTable,
}

impl Home {
    /// The tables of a running `ipgeo dev`.
    pub fn of_world(world: &WorldFile) -> anyhow::Result<Self> {
        let Some(endpoint) = world.home_dynamodb() else { bail!("the local service has no home region") };
        let client = client(Some(endpoint), &world.home, credentials_of(world), Effort::Patient);
        Ok(Self::new(client, &world.access_table, &world.ledger_table))
    }

    /// The tables on AWS.
    pub async fn of_account(config: &Config, profile: Option<&str>) -> anyhow::Result<Self> {
        let client = session::Session::connect(config, profile).await?.dynamodb(&config.service.home);
        Ok(Self::new(client, &config.service.access_table(), &config.service.ledger_table()))
    }

    /// The access tables of a local service's regions outside home.
    pub fn replicas_of_world(world: &WorldFile) -> Vec<(RegionName, AccessTable)> {
        let others = world.regions.iter().filter(|region| region.region != world.home);
        others
            .map(|region| {
                let at = Some(region.dynamodb.as_str());
                let client = client(at, &region.region, credentials_of(world), Effort::Patient);
                (region.region.clone(), AccessTable::new(client, &world.access_table))
            })
            .collect()
    }

    /// The access tables of all regions on AWS, home first.
    pub async fn replicas_of_account(
        config: &Config,
        profile: Option<&str>,
    ) -> anyhow::Result<Vec<(RegionName, AccessTable)>> {
        let session = session::Session::connect(config, profile).await?;
        let table = config.service.access_table();
        let mut names: Vec<&RegionName> = config.regions.iter().map(|region| &region.name).collect();
        names.sort_by_key(|name| **name != config.service.home);
        let of = |name: &RegionName| (name.clone(), AccessTable::new(session.dynamodb(name), &table));
        Ok(names.into_iter().map(of).collect())
    }

    fn new(client: Client, access: &str, ledger: &str) -> Self {
        Self { access: AccessTable::new(client.clone(), access), ledger: LedgerTable::new(client, ledger) }
    }
}

fn credentials_of(world: &WorldFile) -> Credentials {
    Credentials::new(&world.key.access, &world.key.secret, None, None, "ipgeo dev")
}

impl KeyStore for Home {
    async fn list(&self) -> Result<Vec<(Identity, KeyRecord)>, StoreError> {
        self.access.list_keys().await
    }

    async fn put(&self, identity: &Identity, record: &KeyRecord) -> Result<(), KeyWriteError> {
        self.access.put_key(identity, record).await
    }

    async fn change(&self, identity: &Identity, change: &KeyChange) -> Result<KeyRecord, KeyWriteError> {
        self.access.update_key(&self.ledger, identity, change, Timestamp::now()).await
    }
}
