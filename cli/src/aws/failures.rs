//! Reads the batches that Lambda gave up: the counter's in home's failure bucket, the forwarders' in the regions' buckets.

use ipgeo_contract::RegionName;
use ipgeo_runtime::store::StoreError;

use super::buckets::Bucket;
use super::refusal::Refusal;
use super::session::Session;
use crate::config::Config;
use crate::infra::stacks::{FORWARD_FAILURES, Names};
use crate::usage::stream::FailedBatches;

/// A bucket with batches that Lambda gave up on.
#[derive(Debug, Clone)]
pub(crate) struct FailureBucket {
    session: Session,
    region: RegionName,
    account: String,
    name: String,
    /// Prefix of the keys of batches: a region's bucket also holds artifacts.
    prefix: String,
}

impl FailureBucket {
    /// Home's bucket of the counter's batches, and each region's bucket, where its forwarder's batches are. The file may name
    /// the other log pipe by now.
    pub(crate) async fn of_account(config: &Config, profile: Option<&str>) -> anyhow::Result<Vec<Self>> {
        let session = Session::connect(config, profile).await?;
        let account = session.account().await?.to_owned();
        let names = Names::new(config);
        let bucket = |region: &RegionName, name: String, prefix: String| Self {
            session: session.clone(),
            region: region.clone(),
            account: account.clone(),
            name,
            prefix,
        };
        let home = bucket(&config.service.home, names.failure_bucket(&account), String::new());
        let regions = config.regions.iter().map(|region| &region.name);
        let edges =
            regions.map(|region| bucket(region, names.bucket(&account, region), FORWARD_FAILURES.to_owned()));
        Ok(std::iter::once(home).chain(edges).collect())
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
        StoreError { action: format!("{action} the bucket {}", self.name), source: refusal.into() }
    }
}

impl FailedBatches for FailureBucket {
    fn place(&self) -> String {
        self.name.clone()
    }

    async fn names(&self) -> Result<Vec<String>, StoreError> {
        self.bucket().list(&self.prefix).await.map_err(|refusal| self.failed("read of", refusal))
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
