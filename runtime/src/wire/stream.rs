//! Home's usage stream: the forwarder of an edge puts records into it.

use std::sync::Arc;

use ipgeo_contract::RegionName;

use super::client::read_refusal;
use super::endpoint::{Account, EndpointError};
use super::signed::{Call, Signed, TARGET};
use crate::forward::LogsEvent;
use crate::store::StoreError;
use crate::tables::Effort;

/// A stream in a region.
#[derive(Clone)]
pub struct Stream {
    kinesis: Arc<Signed>,
    name: String,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Stream {
    /// The stream of this name in a region, which need not be the account's.
    pub fn new(account: &Account, region: RegionName, name: String) -> Result<Self, EndpointError> {
        let (endpoint, bounds) = (account.kinesis(&region)?, Effort::Patient.bounds());
        let credentials = account.credentials.clone();
        let kinesis = Signed::new(endpoint, "kinesis", region, credentials, bounds, read_refusal);
        Ok(Self { kinesis: Arc::new(kinesis), name })
    }

    /// Opens a connection for the first call. If it fails, the first call reports it.
    pub async fn open_early(&self) {
        let _ = self.kinesis.open_early().await;
    }

    /// Puts a batch into the stream, its bytes unchanged. If an answer is lost, the record may be in the stream twice; the
    /// counter recognises repeated lines.
    pub async fn put(&self, event: &LogsEvent) -> Result<(), StoreError> {
        let call = Call {
            path: "",
            content_type: "application/x-amz-json-1.1",
            header: Some((TARGET, "Kinesis_20131202.PutRecord")),
            body: event.to_put(&self.name).to_string().into(),
        };
        let put = self.kinesis.call(&call).await;
        put.map(drop).map_err(|fault| StoreError {
            action: format!("put into the stream {}", self.name),
            source: fault.into(),
        })
    }
}
