//! What the verbs ask of the store of API keys.

use std::future::Future;

use ipgeo_contract::{Identity, KeyRecord};
use ipgeo_runtime::dynamo::{KeyChange, KeyWriteError};
use ipgeo_runtime::store::StoreError;

/// Records of API keys, at home.
pub trait KeyStore {
    /// Every record, in no order.
    fn list(&self) -> impl Future<Output = Result<Vec<(Identity, KeyRecord)>, StoreError>> + Send;

    /// Stores a new record; never over another.
    fn put(
        &self,
        identity: &Identity,
        record: &KeyRecord,
    ) -> impl Future<Output = Result<(), KeyWriteError>> + Send;

    /// Changes a record and returns it as it is then.
    fn change(
        &self,
        identity: &Identity,
        change: &KeyChange,
    ) -> impl Future<Output = Result<KeyRecord, KeyWriteError>> + Send;
}
