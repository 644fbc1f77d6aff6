//! The operator's side of AWS: where the tables are, and talking to them. Beside `dev`, the only room
//! that imports an AWS crate.

use anyhow::{Context, bail};
use aws_credential_types::Credentials;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::Region;
use aws_smithy_http_client::tls;
use ipgeo_contract::{Identity, KeyRecord};
use ipgeo_runtime::dynamo::{AccessTable, Effort, KeyChange, KeyWriteError, LedgerTable, client};
use ipgeo_runtime::store::StoreError;

use crate::config::Config;
use crate::keys::KeyStore;
use crate::world::WorldFile;

/// Home's two tables.
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
        let Some(endpoint) = world.home_dynamodb() else { bail!("the running world has no home region") };
        let credentials = Credentials::new("dev", "dev", None, None, "ipgeo dev");
        let client = client(Some(endpoint), &world.home, credentials, Effort::Patient);
        Ok(Self::new(client, &world.access_table, &world.ledger_table))
    }

    /// The tables on AWS: credentials and endpoints as every AWS tool reads them, in the home region.
    pub async fn of_account(config: &Config, profile: Option<&str>) -> anyhow::Result<Self> {
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
            .build_https();
        let mut loader = aws_config::defaults(aws_config::BehaviorVersion::latest())
            .http_client(http)
            .region(Region::new(config.service.home.clone()));
        if let Some(profile) = profile {
            loader = loader.profile_name(profile);
        }
        let shared = loader.load().await;
        // Asked for once here, so that their lack is told as what it is.
        let provider = shared.credentials_provider().context("no AWS credentials are set up")?;
        aws_credential_types::provider::ProvideCredentials::provide_credentials(&provider).await.context(
            "no AWS credentials: set AWS_PROFILE, run `aws sso login`, or use `--dev` for the world on this machine",
        )?;
        let client = Client::new(&shared);
        Ok(Self::new(client, &config.service.access_table(), &config.service.ledger_table()))
    }

    /// The access tables of a running world's other regions, by region.
    pub fn replicas_of_world(world: &WorldFile) -> Vec<(String, AccessTable)> {
        let others = world.regions.iter().filter(|region| region.region != world.home);
        others
            .map(|region| {
                let credentials = Credentials::new("dev", "dev", None, None, "ipgeo dev");
                let client = client(Some(&region.dynamodb), &region.region, credentials, Effort::Patient);
                (region.region.clone(), AccessTable::new(client, &world.access_table))
            })
            .collect()
    }

    fn new(client: Client, access: &str, ledger: &str) -> Self {
        Self { access: AccessTable::new(client.clone(), access), ledger: LedgerTable::new(client, ledger) }
    }
}

impl KeyStore for Home {
    async fn list(&self) -> Result<Vec<(Identity, KeyRecord)>, StoreError> {
        self.access.list_keys().await
    }

    async fn put(&self, identity: &Identity, record: &KeyRecord) -> Result<(), KeyWriteError> {
        self.access.put_key(identity, record).await
    }

    async fn change(&self, identity: &Identity, change: &KeyChange) -> Result<KeyRecord, KeyWriteError> {
        self.access.update_key(identity, change).await
    }
}
