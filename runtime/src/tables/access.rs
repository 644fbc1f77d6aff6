//! The access table: what edges read, what home publishes.

use std::collections::HashMap;

use ipgeo_contract::{
    AddressSecret, Identity, IdentityKind, KeyRecord, Limit, Published, SECRET_ID, access_attr as attr,
};

use super::calls::{Calls, Change, Updated};
use super::failed;
use super::items::{self, ItemError};
use super::value::{Item, number, string};
use crate::store::{AccessRead, PublishWrite, StoreError};

/// Rounds of `BatchGetItem` before its unprocessed keys are given up.
const BATCH_ROUNDS_MAX: usize = 3;

/// One region's access table. Every write goes to home's.
#[derive(Clone, Debug)]
pub struct AccessTable<C> {
    client: C,
    table: String,
}

fn key_of(id: &str) -> Item {
    Item::from([(attr::ID.to_owned(), string(id))])
}

impl<C> AccessTable<C> {
    /// A table by name, through a client of its region.
    pub fn new(client: C, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// The client.
    pub fn client(&self) -> &C {
        &self.client
    }

    /// The table's name.
    pub fn name(&self) -> &str {
        &self.table
    }

    pub(crate) fn read_action(&self) -> String {
        format!("read of access table {}", self.table)
    }

    pub(crate) fn write_action(&self) -> String {
        format!("write to access table {}", self.table)
    }

    pub(crate) fn unreadable(&self, identity: &str, error: ItemError) -> StoreError {
        let kind = identity.split('#').next().unwrap_or_default();
        failed(format!("{} (a `{kind}#` item)", self.read_action()), error)
    }
}

impl<C: Calls> AccessTable<C> {
    pub(crate) async fn item(&self, id: &str, consistent: bool) -> Result<Option<Item>, StoreError> {
        let item = self.client.get(&self.table, key_of(id), consistent).await;
        item.map_err(|cause| failed(self.read_action(), cause))
    }

    pub(crate) async fn secret(&self, consistent: bool) -> Result<Option<AddressSecret>, StoreError> {
        let Some(item) = self.item(SECRET_ID, consistent).await? else { return Ok(None) };
        let text = items::text_of(&item, attr::SECRET).map_err(|error| self.unreadable(SECRET_ID, error))?;
        match text.as_deref().and_then(AddressSecret::from_hex) {
            Some(secret) => Ok(Some(secret)),
            None => {
                let fault = format!("item `{SECRET_ID}` holds no secret of 64 hex digits");
                Err(failed(self.read_action(), fault))
            }
        }
    }
}

impl<C: Calls> AccessRead for AccessTable<C> {
    async fn key(&self, identity: &Identity) -> Result<Option<KeyRecord>, StoreError> {
        let item = self.item(identity.as_str(), false).await?;
        item.map(|item| items::key_record(&item))
            .transpose()
            .map_err(|error| self.unreadable(identity.as_str(), error))
    }

    async fn published(&self, identities: &[Identity]) -> Result<Vec<Option<Published>>, StoreError> {
        let mut found: HashMap<Identity, Option<Published>> = HashMap::new();
        let mut left: Vec<Item> = identities.iter().map(|identity| key_of(identity.as_str())).collect();
        for _round in 0..BATCH_ROUNDS_MAX {
            if left.is_empty() {
                break;
            }
            let answer = self.client.batch_get(&self.table, left).await;
            let answer = answer.map_err(|cause| failed(self.read_action(), cause))?;
            for item in answer.items {
                let read = items::identity(&item).and_then(|id| Ok((id, items::published(&item)?)));
                let (identity, published) = read.map_err(|error| self.unreadable("addr#", error))?;
                found.insert(identity, published);
            }
            left = answer.left;
        }
        if !left.is_empty() {
            return Err(failed(self.read_action(), "throttled"));
        }
        Ok(identities.iter().map(|identity| found.get(identity).copied().flatten()).collect())
    }

    async fn address_secret(&self) -> Result<Option<AddressSecret>, StoreError> {
        self.secret(false).await
    }
}

impl<C: Calls> PublishWrite for AccessTable<C> {
    async fn publish(
        &self,
        identity: &Identity,
        limit: Limit,
        published: Published,
    ) -> Result<Option<Limit>, StoreError> {
        match self.client.update(&self.table, publication(identity, limit, published)).await {
            Ok(Updated::Done(item) | Updated::Refused(item)) => Ok(items::limit(&item).ok()),
            Err(cause) => Err(failed(self.write_action(), cause)),
        }
    }
}

fn publication(identity: &Identity, limit: Limit, published: Published) -> Change {
    let period = published.period.to_string();
    // A period of another length (`2026-11` after `2026-11-24`) belongs to another window: it is
    // neither earlier nor later, it is obsolete.
    let newer = "attribute_not_exists(#period) OR size(#period) <> :length OR #period < :period \
                 OR (#period = :period AND #used < :used)";
    let change =
        Change::of(key_of(identity.as_str()), "SET #period = :period, #used = :used, #as_of = :as_of")
            .name("#period", attr::PERIOD)
            .name("#used", attr::USED)
            .name("#as_of", attr::AS_OF)
            .value(":length", number(period.len()))
            .value(":period", string(period))
            .value(":used", number(published.used))
            .value(":as_of", number(published.as_of.as_millisecond()));
    match identity.kind() {
        IdentityKind::Key => Change { returns_item: true, ..change }
            .when(format!("attribute_exists(#id) AND #window = :window AND ({newer})"))
            .name("#id", attr::ID)
            .name("#window", attr::WINDOW)
            .value(":window", string(limit.window.as_str())),
        IdentityKind::Address | IdentityKind::Site => change.when(newer),
    }
}
