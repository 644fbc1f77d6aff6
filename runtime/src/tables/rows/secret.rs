//! The secret that addresses are hidden with: one row of the access table, written once.

use ipgeo_contract::{AddressSecret, SECRET_ID, access_attr as attr};

use super::key_of;
use crate::store::StoreError;
use crate::tables::access::AccessTable;
use crate::tables::attributes::text;
use crate::tables::calls::{Calls, Change, Updated};
use crate::tables::failed;
use crate::tables::value::string;

impl<C: Calls> AccessTable<C> {
    pub(crate) async fn secret(&self, consistent: bool) -> Result<Option<AddressSecret>, StoreError> {
        let Some(item) = self.item(SECRET_ID, consistent).await? else { return Ok(None) };
        let hex = text(&item, attr::SECRET).map_err(|error| self.unreadable(SECRET_ID, error))?;
        match hex.and_then(AddressSecret::from_hex) {
            Some(secret) => Ok(Some(secret)),
            None => {
                let fault = format!("item `{SECRET_ID}` does not contain a secret of 64 hex digits");
                Err(failed(self.read_action(), fault))
            }
        }
    }

    /// Stores `secret` unless there is one already; returns the stored one.
    pub async fn ensure_address_secret(&self, secret: AddressSecret) -> Result<AddressSecret, StoreError> {
        let mut item = key_of(SECRET_ID);
        item.insert(attr::SECRET.to_owned(), string(secret.to_hex()));
        match self.update(Change::new_item(item, &[attr::ID])).await? {
            Updated::Done(_) => Ok(secret),
            Updated::Refused(_) => Ok(self.secret(true).await?.unwrap_or(secret)),
        }
    }
}
