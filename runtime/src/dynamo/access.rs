//! The access table: what edges read, what home publishes, what the operator's verbs write.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes, ReturnValue};
use ipgeo_contract::{
    AddressSecret, Identity, IdentityKind, KeyRecord, Limit, Published, SECRET_ID, SitePattern, Status,
    access_attr as attr,
};
use ipnet::IpNet;
use jiff::Timestamp;

use super::failed;
use super::items::{self, Item, ItemError, number, string, strings};
use crate::store::{AccessRead, PublishWrite, StoreError};

/// Rounds of `BatchGetItem` before its unprocessed keys are given up.
const BATCH_ROUNDS_MAX: usize = 3;

/// One region's access table. Every write goes to home's.
#[derive(Clone, Debug)]
pub struct AccessTable {
    client: Client,
    table: String,
}

/// What to change in an API key's record; `None` leaves a field as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyChange {
    /// Who it was made for.
    pub owner: Option<String>,
    /// The tier's name.
    pub tier: Option<String>,
    /// The effective limit and window.
    pub limit: Option<Limit>,
    /// Whether it may be used.
    pub status: Option<Status>,
    /// From when on it is refused; `Some(None)`: never.
    pub expires: Option<Option<Timestamp>>,
    /// The sites it may be used from; empty: any.
    pub sites: Option<Vec<SitePattern>>,
    /// The networks it may be used from; empty: any.
    pub networks: Option<Vec<IpNet>>,
}

/// Why an API key's record was not written.
#[derive(Debug, thiserror::Error)]
pub enum KeyWriteError {
    /// An item with this hash is there already.
    #[error("this API key exists already")]
    Exists,
    /// There is no such item.
    #[error("there is no such API key")]
    Missing,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AccessTable {
    /// A table by name, through a client of its region.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    fn read_action(&self) -> String {
        format!("read of access table {}", self.table)
    }

    fn write_action(&self) -> String {
        format!("write to access table {}", self.table)
    }

    fn unreadable(&self, identity: &str, error: ItemError) -> StoreError {
        let kind = identity.split('#').next().unwrap_or_default();
        StoreError { action: format!("{} (a `{kind}#` item)", self.read_action()), source: Box::new(error) }
    }

    async fn item(&self, id: &str, consistent: bool) -> Result<Option<Item>, StoreError> {
        self.client
            .get_item()
            .table_name(&self.table)
            .key(attr::ID, string(id))
            .consistent_read(consistent)
            .send()
            .await
            .map(|answer| answer.item)
            .map_err(|error| failed(self.read_action(), error))
    }

    /// The record of an API key as this region holds it now, read consistently.
    pub async fn key_now(&self, identity: &Identity) -> Result<Option<KeyRecord>, StoreError> {
        let item = self.item(identity.as_str(), true).await?;
        item.map(|item| items::key_record(&item))
            .transpose()
            .map_err(|error| self.unreadable(identity.as_str(), error))
    }

    /// The record of an API key as this region holds it now, and the mark that was set last.
    pub async fn key_and_mark(
        &self,
        identity: &Identity,
    ) -> Result<Option<(KeyRecord, Option<Timestamp>)>, StoreError> {
        let Some(item) = self.item(identity.as_str(), true).await? else { return Ok(None) };
        let read = items::key_record(&item).and_then(|record| Ok((record, items::time(&item, attr::MARK)?)));
        read.map(Some).map_err(|error| self.unreadable(identity.as_str(), error))
    }

    /// Sets a mark in an API key's record, by which the way to other regions is measured.
    pub async fn mark_key(&self, identity: &Identity, at: Timestamp) -> Result<(), StoreError> {
        self.client
            .update_item()
            .table_name(&self.table)
            .key(attr::ID, string(identity.as_str()))
            .update_expression("SET #mark = :mark")
            .condition_expression("attribute_exists(#id)")
            .expression_attribute_names("#id", attr::ID)
            .expression_attribute_names("#mark", attr::MARK)
            .expression_attribute_values(":mark", number(at.as_millisecond()))
            .send()
            .await
            .map(drop)
            .map_err(|error| failed(self.write_action(), error))
    }

    /// Stores a new API key's record; never over another.
    pub async fn put_key(&self, identity: &Identity, record: &KeyRecord) -> Result<(), KeyWriteError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(items::key_item(identity, record)))
            .condition_expression("attribute_not_exists(#id)")
            .expression_attribute_names("#id", attr::ID);
        match put.send().await {
            Ok(_) => Ok(()),
            Err(error)
                if error.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) =>
            {
                Err(KeyWriteError::Exists)
            }
            Err(error) => Err(failed(self.write_action(), error).into()),
        }
    }

    /// Changes an API key's record and returns it as it is then. A change of window clears the
    /// published usage: it was counted in another kind of period.
    pub async fn update_key(
        &self,
        identity: &Identity,
        change: &KeyChange,
    ) -> Result<KeyRecord, KeyWriteError> {
        let old = self.key_now(identity).await?.ok_or(KeyWriteError::Missing)?;
        let update = Update::of(change, &old);
        let call = self
            .client
            .update_item()
            .table_name(&self.table)
            .key(attr::ID, string(identity.as_str()))
            .update_expression(update.expression())
            .condition_expression("attribute_exists(#id)")
            .set_expression_attribute_names(Some(update.names))
            .set_expression_attribute_values((!update.values.is_empty()).then_some(update.values))
            .return_values(ReturnValue::AllNew);
        match call.send().await {
            Ok(answer) => items::key_record(&answer.attributes.unwrap_or_default())
                .map_err(|error| self.unreadable(identity.as_str(), error).into()),
            Err(error)
                if error.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) =>
            {
                Err(KeyWriteError::Missing)
            }
            Err(error) => Err(failed(self.write_action(), error).into()),
        }
    }

    /// Every API key's record, in no order.
    pub async fn list_keys(&self) -> Result<Vec<(Identity, KeyRecord)>, StoreError> {
        let mut pages = self
            .client
            .scan()
            .table_name(&self.table)
            .filter_expression("begins_with(#id, :key)")
            .expression_attribute_names("#id", attr::ID)
            .expression_attribute_values(":key", string("key#"))
            .into_paginator()
            .items()
            .send();
        let mut keys = Vec::new();
        while let Some(item) = pages.next().await {
            let item = item.map_err(|error| failed(self.read_action(), error))?;
            let key = items::identity(&item).and_then(|id| Ok((id, items::key_record(&item)?)));
            keys.push(key.map_err(|error| self.unreadable("key#", error))?);
        }
        Ok(keys)
    }

    /// Stores `secret` unless there is one already; returns the one that holds.
    pub async fn ensure_address_secret(&self, secret: AddressSecret) -> Result<AddressSecret, StoreError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .item(attr::ID, string(SECRET_ID))
            .item(attr::SECRET, string(secret.to_hex()))
            .condition_expression("attribute_not_exists(#id)")
            .expression_attribute_names("#id", attr::ID);
        match put.send().await {
            Ok(_) => Ok(secret),
            Err(error)
                if error.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) =>
            {
                let found = self.secret(true).await?;
                Ok(found.unwrap_or(secret))
            }
            Err(error) => Err(failed(self.write_action(), error)),
        }
    }

    async fn secret(&self, consistent: bool) -> Result<Option<AddressSecret>, StoreError> {
        let Some(item) = self.item(SECRET_ID, consistent).await? else { return Ok(None) };
        let text = items::text_of(&item, attr::SECRET).map_err(|error| self.unreadable(SECRET_ID, error))?;
        match text.as_deref().and_then(AddressSecret::from_hex) {
            Some(secret) => Ok(Some(secret)),
            None => Err(StoreError {
                action: self.read_action(),
                source: format!("item `{SECRET_ID}` holds no secret of 64 hex digits").into(),
            }),
        }
    }
}

/// An update expression under construction.
#[derive(Default)]
struct Update {
    set: Vec<String>,
    remove: Vec<String>,
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

impl Update {
    fn of(change: &KeyChange, old: &KeyRecord) -> Self {
        let mut update = Self::default();
        update.names.insert("#id".to_owned(), attr::ID.to_owned());
        update.change(attr::OWNER, change.owner.as_ref().map(|owner| Some(string(owner))));
        update.change(attr::TIER, change.tier.as_ref().map(|tier| Some(string(tier))));
        update.change(attr::STATUS, change.status.map(|status| Some(string(status.as_str()))));
        update.change(
            attr::EXPIRES,
            change.expires.map(|expires| expires.map(|time| number(time.as_millisecond()))),
        );
        update.change(attr::SITES, change.sites.as_ref().map(|sites| strings(sites)));
        update.change(attr::NETWORKS, change.networks.as_ref().map(|networks| strings(networks)));
        if let Some(limit) = change.limit {
            update.change(attr::LIMIT, Some(Some(number(limit.calls))));
            update.change(attr::WINDOW, Some(Some(string(limit.window.as_str()))));
            if limit.window != old.limit.window {
                for name in [attr::PERIOD, attr::USED, attr::AS_OF] {
                    update.change(name, Some(None));
                }
            }
        }
        if update.set.is_empty() && update.remove.is_empty() {
            // Nothing to change: say the same again, so that the answer is the record all the same.
            update.change(attr::OWNER, Some(Some(string(&old.owner))));
        }
        update
    }

    /// `Some(Some(value))` sets, `Some(None)` removes, `None` leaves the attribute alone.
    fn change(&mut self, name: &str, value: Option<Option<AttributeValue>>) {
        let Some(value) = value else { return };
        self.names.insert(format!("#{name}"), name.to_owned());
        match value {
            Some(value) => {
                self.set.push(format!("#{name} = :{name}"));
                self.values.insert(format!(":{name}"), value);
            }
            None => self.remove.push(format!("#{name}")),
        }
    }

    fn expression(&self) -> String {
        let clause = |word: &str, parts: &[String]| match parts {
            [] => String::new(),
            parts => format!("{word} {} ", parts.join(", ")),
        };
        clause("SET", &self.set) + &clause("REMOVE", &self.remove)
    }
}

impl AccessRead for AccessTable {
    async fn key(&self, identity: &Identity) -> Result<Option<KeyRecord>, StoreError> {
        let item = self.item(identity.as_str(), false).await?;
        item.map(|item| items::key_record(&item))
            .transpose()
            .map_err(|error| self.unreadable(identity.as_str(), error))
    }

    async fn published(&self, identities: &[Identity]) -> Result<Vec<Option<Published>>, StoreError> {
        let key = |identity: &Identity| HashMap::from([(attr::ID.to_owned(), string(identity.as_str()))]);
        let keys = KeysAndAttributes::builder()
            .set_keys(Some(identities.iter().map(key).collect()))
            .build()
            .map_err(|error| failed(self.read_action(), error))?;
        let mut found: HashMap<Identity, Option<Published>> = HashMap::new();
        let mut pending = Some(HashMap::from([(self.table.clone(), keys)]));
        for _round in 0..BATCH_ROUNDS_MAX {
            let Some(request) = pending.take().filter(|pending| !pending.is_empty()) else { break };
            let answer = self.client.batch_get_item().set_request_items(Some(request)).send().await;
            let answer = answer.map_err(|error| failed(self.read_action(), error))?;
            for item in answer.responses.into_iter().flatten().flat_map(|(_, items)| items) {
                let read = items::identity(&item).and_then(|id| Ok((id, items::published(&item)?)));
                let (identity, published) = read.map_err(|error| self.unreadable("addr#", error))?;
                found.insert(identity, published);
            }
            pending = answer.unprocessed_keys;
        }
        if pending.is_some_and(|pending| !pending.is_empty()) {
            return Err(StoreError { action: self.read_action(), source: "throttled".into() });
        }
        Ok(identities.iter().map(|identity| found.get(identity).copied().flatten()).collect())
    }

    async fn address_secret(&self) -> Result<Option<AddressSecret>, StoreError> {
        self.secret(false).await
    }
}

impl PublishWrite for AccessTable {
    async fn publish(
        &self,
        identity: &Identity,
        limit: Limit,
        published: Published,
    ) -> Result<(), StoreError> {
        let period = published.period.to_string();
        // A period of another length (`2026-11` after `2026-11-24`) belongs to another window: it is
        // neither earlier nor later, it is obsolete.
        let newer = "attribute_not_exists(#period) OR size(#period) <> :length OR #period < :period \
                     OR (#period = :period AND #used < :used)";
        let mut update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key(attr::ID, string(identity.as_str()))
            .update_expression("SET #period = :period, #used = :used, #as_of = :as_of")
            .expression_attribute_names("#period", attr::PERIOD)
            .expression_attribute_names("#used", attr::USED)
            .expression_attribute_names("#as_of", attr::AS_OF)
            .expression_attribute_values(":length", number(period.len()))
            .expression_attribute_values(":period", string(period))
            .expression_attribute_values(":used", number(published.used))
            .expression_attribute_values(":as_of", number(published.as_of.as_millisecond()));
        update = match identity.kind() {
            IdentityKind::Key => update
                .condition_expression(format!("attribute_exists(#id) AND #window = :window AND ({newer})"))
                .expression_attribute_names("#id", attr::ID)
                .expression_attribute_names("#window", attr::WINDOW)
                .expression_attribute_values(":window", string(limit.window.as_str())),
            IdentityKind::Address | IdentityKind::Site => update.condition_expression(newer),
        };
        match update.send().await {
            Ok(_) => Ok(()),
            Err(error)
                if error.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) =>
            {
                Ok(())
            }
            Err(error) => Err(failed(self.write_action(), error)),
        }
    }
}
