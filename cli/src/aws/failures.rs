//! Reads the failure bucket.

use ipgeo_contract::RegionName;
use ipgeo_runtime::store::StoreError;

use super::buckets::Bucket;
use super::refusal::Refusal;
use super::session::Session;
use crate::config::Config;
use crate::usage::stream::FailedBatches;

/// Home's failure bucket: the batches that Lambda gave up on.
#[derive(Debug, Clone)]
pub(crate) struct FailureBucket {
    session: Session,
    region: RegionName,
    account: String,
    name: String,
}

impl FailureBucket {
    pub(crate) async fn of_account(config: &Config, profile: Option<&str>) -> anyhow::Result<Self> {
        let session = Session::connect(config, profile).await?;
        let account = session.account().await?.to_owned();
        let name = crate::infra::stacks::Names::new(config).failure_bucket(&account);
        Ok(Self { session, region: config.service.home.clone(), account, name })
    }

    fn bucket(&self) -> Bucket<'_> {
        Bucket {
            session: &self.session,
            region: &self.region,
            name: self.name.clone(),
            account: &self.account,
        }
    }

    fn failed(&self, action: &str, refusal: Refusal) -> StoreError {
        StoreError { action: format!("{action} the failure bucket {}", self.name), source: refusal.into() }
    }
}

impl FailedBatches for FailureBucket {
    async fn names(&self) -> Result<Vec<String>, StoreError> {
        self.bucket().list().await.map_err(|refusal| self.failed("read of", refusal))
    }

    async fn read(&self, name: &str) -> Result<Vec<u8>, StoreError> {
        self.bucket().read(name).await.map_err(|refusal| self.failed("read of", refusal))
    }

    async fn remove(&self, name: &str) -> Result<(), StoreError> {
        self.bucket()
            .remove_object(name)
            .await
            .map_err(|refusal| self.failed("removal of an object from", refusal))
    }
}
