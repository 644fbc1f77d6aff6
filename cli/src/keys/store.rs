//! The store of API key records as the commands use it: DynamoDB in the home region, or `ipgeo dev`. Tests have one in
//! memory.

use std::future::Future;

use ipgeo_contract::{Identity, KeyRecord};
use ipgeo_runtime::dynamo::{KeyChange, KeyWriteError};
use ipgeo_runtime::store::StoreError;

pub trait KeyStore {
    /// All records, in any order.
    fn list(&self) -> impl Future<Output = Result<Vec<(Identity, KeyRecord)>, StoreError>> + Send;

    /// Stores a new record; fails if one exists.
    fn put(
        &self,
        identity: &Identity,
        record: &KeyRecord,
    ) -> impl Future<Output = Result<(), KeyWriteError>> + Send;

    /// Changes a record and returns the new one.
    fn change(
        &self,
        identity: &Identity,
        change: &KeyChange,
    ) -> impl Future<Output = Result<KeyRecord, KeyWriteError>> + Send;
}
