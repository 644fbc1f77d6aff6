//! The access table: what the operator's verbs read and write.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use ipgeo_contract::{
    AddressSecret, Identity, KeyRecord, Limit, Month, Period, Published, SECRET_ID, SitePattern, Status,
    access_attr as attr,
};
use ipnet::IpNet;
use jiff::Timestamp;

use super::values::{networks, number, ours, string, strings, theirs};
use super::{LedgerTable, failed};
use crate::store::{MonthTotals, StoreError};
use crate::tables::{self, Item};

/// One region's access table, through the SDK.
pub type AccessTable = tables::AccessTable<Client>;

/// Maximum attempts of a change that conflicts with a publication by the counter.
const CHANGE_ROUNDS_MAX: usize = 8;

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
    /// The record of an API key as this region holds it now, read consistently.
    pub async fn key_now(&self, identity: &Identity) -> Result<Option<KeyRecord>, StoreError> {
        let item = self.item(identity.as_str(), true).await?;
        item.map(|item| tables::key_record(&item))
            .transpose()
            .map_err(|error| self.unreadable(identity.as_str(), error))
    }

    /// The record of an API key as this region holds it now, and the mark that was set last.
    pub async fn key_and_mark(
        &self,
        identity: &Identity,
    ) -> Result<Option<(KeyRecord, Option<Timestamp>)>, StoreError> {
        let Some(item) = self.item(identity.as_str(), true).await? else { return Ok(None) };
        let read =
            tables::key_record(&item).and_then(|record| Ok((record, tables::time(&item, attr::MARK)?)));
        read.map(Some).map_err(|error| self.unreadable(identity.as_str(), error))
    }

    /// Sets a mark in an API key's record, by which the way to other regions is measured.
    pub async fn mark_key(&self, identity: &Identity, at: Timestamp) -> Result<(), StoreError> {
        self.client()
            .update_item()
            .table_name(self.name())
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

    /// The successor of this API key, as stored in this region.
    pub async fn successor(&self, identity: &Identity) -> Result<Option<Identity>, StoreError> {
        let Some(item) = self.item(identity.as_str(), true).await? else { return Ok(None) };
        let text = tables::text_of(&item, attr::SUCCESSOR);
        let text = text.map_err(|error| self.unreadable(identity.as_str(), error))?;
        // An unreadable successor counts as none: it must not block a rotation.
        Ok(text.and_then(|text| text.parse().ok()))
    }

    /// Records the successor of this API key and this one's expiry, in one write.
    pub async fn supersede(
        &self,
        identity: &Identity,
        successor: &Identity,
        expires: Timestamp,
    ) -> Result<(), StoreError> {
        self.client()
            .update_item()
            .table_name(self.name())
            .key(attr::ID, string(identity.as_str()))
            .update_expression("SET #successor = :successor, #expires = :expires")
            .condition_expression("attribute_exists(#id)")
            .expression_attribute_names("#id", attr::ID)
            .expression_attribute_names("#successor", attr::SUCCESSOR)
            .expression_attribute_names("#expires", attr::EXPIRES)
            .expression_attribute_values(":successor", string(successor.as_str()))
            .expression_attribute_values(":expires", number(expires.as_millisecond()))
            .send()
            .await
            .map(drop)
            .map_err(|error| failed(self.write_action(), error))
    }

    /// Stores a new API key's record; never over another.
    pub async fn put_key(&self, identity: &Identity, record: &KeyRecord) -> Result<(), KeyWriteError> {
        let put = self
            .client()
            .put_item()
            .table_name(self.name())
            .set_item(Some(theirs(tables::key_item(identity, record))))
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

    /// Changes an API key's record and returns the new one. A change of limit also writes the ledger's exact usage in the
    /// limit's period: so far, usage was published at steps of the old limit, and not at all below the first.
    pub async fn update_key(
        &self,
        ledger: &LedgerTable,
        identity: &Identity,
        change: &KeyChange,
        now: Timestamp,
    ) -> Result<KeyRecord, KeyWriteError> {
        for _round in 0..CHANGE_ROUNDS_MAX {
            let old = self.key_now(identity).await?.ok_or(KeyWriteError::Missing)?;
            let usage = match change.limit {
                Some(limit) => exact_usage(ledger, identity, &old, limit, now).await?,
                None => None,
            };
            if let Some(item) = self.write_change(identity, Update::of(change, &old, usage)).await? {
                return tables::key_record(&item)
                    .map_err(|error| self.unreadable(identity.as_str(), error).into());
            }
        }
        Err(StoreError {
            action: self.write_action(),
            source: format!("usage was published {CHANGE_ROUNDS_MAX} times during the change").into(),
        }
        .into())
    }

    /// The item after the change; `None` if it is gone, or usage was published in the meantime.
    async fn write_change(&self, identity: &Identity, update: Update) -> Result<Option<Item>, StoreError> {
        let call = self
            .client()
            .update_item()
            .table_name(self.name())
            .key(attr::ID, string(identity.as_str()))
            .update_expression(update.expression())
            .condition_expression(update.condition())
            .set_expression_attribute_names(Some(update.names))
            .set_expression_attribute_values((!update.values.is_empty()).then_some(update.values))
            .return_values(ReturnValue::AllNew);
        match call.send().await {
            Ok(answer) => Ok(Some(answer.attributes.map(ours).unwrap_or_default())),
            Err(error)
                if error.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) =>
            {
                Ok(None)
            }
            Err(error) => Err(failed(self.write_action(), error)),
        }
    }

    /// Every API key's record, in no order.
    pub async fn list_keys(&self) -> Result<Vec<(Identity, KeyRecord)>, StoreError> {
        let mut pages = self
            .client()
            .scan()
            .table_name(self.name())
            .filter_expression("begins_with(#id, :key)")
            .expression_attribute_names("#id", attr::ID)
            .expression_attribute_values(":key", string("key#"))
            .into_paginator()
            .items()
            .send();
        let mut keys = Vec::new();
        while let Some(item) = pages.next().await {
            let item = ours(item.map_err(|error| failed(self.read_action(), error))?);
            let key = tables::identity(&item).and_then(|id| Ok((id, tables::key_record(&item)?)));
            keys.push(key.map_err(|error| self.unreadable("key#", error))?);
        }
        Ok(keys)
    }

    /// Stores `secret` unless there is one already; returns the one that holds.
    pub async fn ensure_address_secret(&self, secret: AddressSecret) -> Result<AddressSecret, StoreError> {
        let put = self
            .client()
            .put_item()
            .table_name(self.name())
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
}

/// An API key's usage in the ledger for the period of a limit, to publish with the limit; `None` if there is none, or if it
/// is published already. The ledger does not store the time of its latest event; with "as of now", no call within the limit
/// is refused because of calls that an edge counted itself.
async fn exact_usage(
    ledger: &LedgerTable,
    identity: &Identity,
    old: &KeyRecord,
    limit: Limit,
    now: Timestamp,
) -> Result<Option<Published>, StoreError> {
    let period = Period::of(limit.window, now);
    let item = ledger.item(identity, Month::of(now)).await?;
    let totals = item.map(|item| MonthTotals { charged: item.charged, days: item.days }).unwrap_or_default();
    let used = totals.used_in(period);
    let same_window = old.published.filter(|_| old.limit.window == limit.window);
    let is_known = same_window.is_some_and(|known| (known.period, known.used) >= (period, used));
    Ok((used > 0 && !is_known).then_some(Published { period, used, as_of: now }))
}

/// An update expression under construction.
#[derive(Default)]
struct Update {
    /// The publication that it read, if it writes usage: a newer one must not be overwritten.
    found: Option<Option<Published>>,
    set: Vec<String>,
    remove: Vec<String>,
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

impl Update {
    fn of(change: &KeyChange, old: &KeyRecord, usage: Option<Published>) -> Self {
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
        update.change(attr::NETWORKS, change.networks.as_ref().map(|list| networks(list)));
        if let Some(limit) = change.limit {
            update.change(attr::LIMIT, Some(Some(number(limit.calls))));
            update.change(attr::WINDOW, Some(Some(string(limit.window.as_str()))));
            if usage.is_some() || limit.window != old.limit.window {
                update.publish(usage, old.published);
            }
        }
        if update.set.is_empty() && update.remove.is_empty() {
            // Nothing to change: say the same again, so that the answer is the record all the same.
            update.change(attr::OWNER, Some(Some(string(&old.owner))));
        }
        update
    }

    /// Sets or removes published usage, on the condition that it has not changed since it was read.
    fn publish(&mut self, usage: Option<Published>, found: Option<Published>) {
        self.change(attr::PERIOD, Some(usage.map(|usage| string(usage.period.to_string()))));
        self.change(attr::USED, Some(usage.map(|usage| number(usage.used))));
        self.change(attr::AS_OF, Some(usage.map(|usage| number(usage.as_of.as_millisecond()))));
        if let Some(found) = found {
            self.values.insert(":found_period".to_owned(), string(found.period.to_string()));
            self.values.insert(":found_used".to_owned(), number(found.used));
        }
        self.found = Some(found);
    }

    fn condition(&self) -> &'static str {
        match self.found {
            None => "attribute_exists(#id)",
            Some(None) => "attribute_exists(#id) AND attribute_not_exists(#period)",
            Some(Some(_)) => "attribute_exists(#id) AND #period = :found_period AND #used = :found_used",
        }
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
