//! API keys: rows of the access table with partition key `key#<hash>`. The operator writes the record, home publishes usage
//! into it, edges read both in one read.

use std::collections::HashMap;

use ipgeo_contract::{
    Identity, KeyHash, KeyRecord, Limit, Month, Period, Published, RateLimit, SitePattern, Status,
    access_attr as attr, canonical_network, hash_hint, is_hint,
};
use ipnet::IpNet;
use jiff::Timestamp;

use super::{key_of, published};
use crate::store::StoreError;
use crate::tables::access::AccessTable;
use crate::tables::attributes::{ItemError, integer, list, needed, needed_text, strings, text, time};
use crate::tables::calls::{Calls, Change, Updated};
use crate::tables::failed;
use crate::tables::ledger::LedgerTable;
use crate::tables::value::{Item, Value, number, string};

/// Maximum attempts of a change that conflicts with a publication by the counter.
const CHANGE_ROUNDS_MAX: usize = 8;

/// The networks in canonical form; `None` for an empty list.
fn networks(list: &[IpNet]) -> Option<Value> {
    let list: Vec<IpNet> = list.iter().copied().map(canonical_network).collect();
    strings(&list)
}

/// The mark of an API key whose answers may be explained. Others have none.
fn explain(may: bool) -> Option<Value> {
    may.then(|| number(1))
}

/// The effective limit in an API key's item.
pub(crate) fn limit(item: &Item) -> Result<Limit, ItemError> {
    Ok(Limit {
        calls: needed(attr::LIMIT, integer(item, attr::LIMIT)?)?,
        window: needed_text(item, attr::WINDOW)?,
    })
}

pub(crate) fn key_record(item: &Item) -> Result<KeyRecord, ItemError> {
    Ok(KeyRecord {
        owner: needed_text(item, attr::OWNER)?,
        tier: needed_text(item, attr::TIER)?,
        limit: limit(item)?,
        // An unreadable rate counts as none: a rate in a later release's format must not make an API key unusable.
        rate: text(item, attr::RATE).ok().flatten().and_then(|text| text.parse().ok()),
        status: needed_text(item, attr::STATUS)?,
        expires: time(item, attr::EXPIRES)?,
        sites: list(item, attr::SITES)?,
        networks: list(item, attr::NETWORKS)?,
        explain: integer::<u8>(item, attr::EXPLAIN)?.is_some_and(|number| number > 0),
        hint: safe_hint(item, needed(attr::HINT, text(item, attr::HINT)?)?),
        created: needed(attr::CREATED, time(item, attr::CREATED)?)?,
        published: published::read(item)?,
    })
}

/// A stored hint. Earlier imports accepted any text; one that could contain an API key is replaced by the hash's hint.
fn safe_hint(item: &Item, stored: &str) -> String {
    if is_hint(stored) {
        return stored.to_owned();
    }
    let hash = identity(item).ok().and_then(|identity| identity.name().parse::<KeyHash>().ok());
    hash.map_or_else(|| "…".to_owned(), |hash| hash_hint(&hash))
}

pub(crate) fn identity(item: &Item) -> Result<Identity, ItemError> {
    needed_text(item, attr::ID)
}

fn key_item(identity: &Identity, record: &KeyRecord) -> Item {
    let mut item: Item = [
        (attr::ID, string(identity.as_str())),
        (attr::OWNER, string(&record.owner)),
        (attr::TIER, string(&record.tier)),
        (attr::LIMIT, number(record.limit.calls)),
        (attr::WINDOW, string(record.limit.window.as_str())),
        (attr::STATUS, string(record.status.as_str())),
        (attr::HINT, string(&record.hint)),
        (attr::CREATED, number(record.created.as_millisecond())),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let mut add = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            item.insert(name.to_owned(), value);
        }
    };
    add(attr::EXPIRES, record.expires.map(|expires| number(expires.as_millisecond())));
    add(attr::RATE, record.rate.map(|rate| string(rate.to_string())));
    add(attr::SITES, strings(&record.sites));
    add(attr::NETWORKS, networks(&record.networks));
    add(attr::EXPLAIN, explain(record.explain));
    if let Some(published) = &record.published {
        item.extend(published::attributes(published));
    }
    item
}

/// What to change in an API key's record; `None` leaves a field as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyChange {
    /// Who it was created for.
    pub owner: Option<String>,
    /// The tier's name.
    pub tier: Option<String>,
    /// The effective limit and window.
    pub limit: Option<Limit>,
    /// Its own short rate; `Some(None)`: the tier's applies.
    pub rate: Option<Option<RateLimit>>,
    /// Whether it may be used.
    pub status: Option<Status>,
    /// When it expires; `Some(None)`: never.
    pub expires: Option<Option<Timestamp>>,
    /// The sites it may be used from; empty: any.
    pub sites: Option<Vec<SitePattern>>,
    /// The networks it may be used from; empty: any.
    pub networks: Option<Vec<IpNet>>,
    /// Whether its answers may be explained.
    pub explain: Option<bool>,
}

/// Why an API key's record was not written.
#[derive(Debug, thiserror::Error)]
pub enum KeyWriteError {
    /// There is already an item with this hash.
    #[error("this API key exists already")]
    Exists,
    /// There is no item with this hash.
    #[error("there is no such API key")]
    Missing,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<C: Calls> AccessTable<C> {
    /// The record of an API key as this region holds it now, read consistently.
    pub async fn key_now(&self, identity: &Identity) -> Result<Option<KeyRecord>, StoreError> {
        self.read_key(identity, key_record).await
    }

    /// The record of an API key as this region holds it now, with the time of its latest [`AccessTable::mark_key`].
    pub async fn key_and_mark(
        &self,
        identity: &Identity,
    ) -> Result<Option<(KeyRecord, Option<Timestamp>)>, StoreError> {
        self.read_key(identity, |item| Ok((key_record(item)?, time(item, attr::MARK)?))).await
    }

    /// Sets the mark of an existing API key, to measure replication to other regions.
    pub async fn mark_key(&self, identity: &Identity, at: Timestamp) -> Result<(), StoreError> {
        let change = Change::new(key_of(identity.as_str()), "SET #mark = :mark")
            .name("#mark", attr::MARK)
            .value(":mark", number(at.as_millisecond()));
        self.change_existing(change).await
    }

    /// The successor of this API key, as stored in this region. An unreadable successor counts as none: it must not block a
    /// rotation.
    pub async fn successor(&self, identity: &Identity) -> Result<Option<Identity>, StoreError> {
        let successor =
            self.read_key(identity, |item| text(item, attr::SUCCESSOR).map(|text| text?.parse().ok()));
        Ok(successor.await?.flatten())
    }

    /// Records the successor of this API key and this one's expiry, in one write.
    pub async fn supersede(
        &self,
        identity: &Identity,
        successor: &Identity,
        expires: Timestamp,
    ) -> Result<(), StoreError> {
        let set = "SET #successor = :successor, #expires = :expires";
        let change = Change::new(key_of(identity.as_str()), set)
            .name("#successor", attr::SUCCESSOR)
            .name("#expires", attr::EXPIRES)
            .value(":successor", string(successor.as_str()))
            .value(":expires", number(expires.as_millisecond()));
        self.change_existing(change).await
    }

    /// Stores a new API key's record; never replaces an existing one.
    pub async fn put_key(&self, identity: &Identity, record: &KeyRecord) -> Result<(), KeyWriteError> {
        let change = Change::new_item(key_item(identity, record), &[attr::ID]);
        match self.update(change).await? {
            Updated::Done(_) => Ok(()),
            Updated::Refused(_) => Err(KeyWriteError::Exists),
        }
    }

    /// Changes an API key's record and returns the new one. A change of limit also writes the ledger's exact usage in the
    /// limit's period: so far, usage was published at steps of the old limit, and not at all below the first.
    pub async fn update_key(
        &self,
        ledger: &LedgerTable<C>,
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
            // Refused if the record is gone, or usage was published in the meantime.
            if let Updated::Done(item) =
                self.update(Update::new(change, &old, usage).into_change(identity)).await?
            {
                return key_record(&item).map_err(|error| self.unreadable(identity.as_str(), error).into());
            }
        }
        let fault = format!("usage was published {CHANGE_ROUNDS_MAX} times during the change");
        Err(failed(self.write_action(), fault).into())
    }

    async fn read_key<T>(
        &self,
        identity: &Identity,
        read: impl FnOnce(&Item) -> Result<T, ItemError>,
    ) -> Result<Option<T>, StoreError> {
        let item = self.item(identity.as_str(), true).await?;
        item.as_ref().map(read).transpose().map_err(|error| self.unreadable(identity.as_str(), error))
    }

    async fn change_existing(&self, change: Change) -> Result<(), StoreError> {
        match self.update(change.when("attribute_exists(#id)").name("#id", attr::ID)).await? {
            Updated::Done(_) => Ok(()),
            Updated::Refused(_) => Err(failed(self.write_action(), KeyWriteError::Missing)),
        }
    }
}

/// An API key's usage in the ledger for the period of a limit, to publish with the limit. `None` if the ledger has no usage for
/// the period, or if it is published already. The ledger does not store the time of its latest event; with "as of now", no call within the limit
/// is refused because of calls that an edge counted itself.
async fn exact_usage<C: Calls>(
    ledger: &LedgerTable<C>,
    identity: &Identity,
    old: &KeyRecord,
    limit: Limit,
    now: Timestamp,
) -> Result<Option<Published>, StoreError> {
    let period = Period::new(limit.window, now);
    let item = ledger.item(identity, Month::from_time(now)).await?;
    let used = item.map_or(0, |item| item.used_in(period));
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
    values: HashMap<String, Value>,
}

impl Update {
    fn new(change: &KeyChange, old: &KeyRecord, usage: Option<Published>) -> Self {
        let mut update = Self::default();
        update.assign(attr::OWNER, change.owner.as_ref().map(|owner| Some(string(owner))));
        update.assign(attr::TIER, change.tier.as_ref().map(|tier| Some(string(tier))));
        update.assign(attr::STATUS, change.status.map(|status| Some(string(status.as_str()))));
        update.assign(
            attr::EXPIRES,
            change.expires.map(|expires| expires.map(|time| number(time.as_millisecond()))),
        );
        update.assign(attr::RATE, change.rate.map(|rate| rate.map(|rate| string(rate.to_string()))));
        update.assign(attr::SITES, change.sites.as_ref().map(|sites| strings(sites)));
        update.assign(attr::NETWORKS, change.networks.as_ref().map(|list| networks(list)));
        update.assign(attr::EXPLAIN, change.explain.map(explain));
        if let Some(limit) = change.limit {
            update.assign(attr::LIMIT, Some(Some(number(limit.calls))));
            update.assign(attr::WINDOW, Some(Some(string(limit.window.as_str()))));
            if usage.is_some() || limit.window != old.limit.window {
                update.publish(usage, old.published);
            }
        }
        if update.set.is_empty() && update.remove.is_empty() {
            // Nothing to change: write the owner again, because only a write returns the record.
            update.assign(attr::OWNER, Some(Some(string(&old.owner))));
        }
        update
    }

    /// Sets or removes published usage, on the condition that it has not changed since it was read.
    fn publish(&mut self, usage: Option<Published>, found: Option<Published>) {
        self.assign(attr::PERIOD, Some(usage.map(|usage| string(usage.period.to_string()))));
        self.assign(attr::USED, Some(usage.map(|usage| number(usage.used))));
        self.assign(attr::AS_OF, Some(usage.map(|usage| number(usage.as_of.as_millisecond()))));
        if let Some(found) = found {
            self.values.insert(":found_period".to_owned(), string(found.period.to_string()));
            self.values.insert(":found_used".to_owned(), number(found.used));
        }
        self.found = Some(found);
    }

    /// `Some(Some(value))` sets, `Some(None)` removes, `None` leaves the attribute alone.
    fn assign(&mut self, name: &str, value: Option<Option<Value>>) {
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

    fn into_change(self, identity: &Identity) -> Change {
        let condition = match self.found {
            None => "attribute_exists(#id)",
            Some(None) => "attribute_exists(#id) AND attribute_not_exists(#period)",
            Some(Some(_)) => "attribute_exists(#id) AND #period = :found_period AND #used = :found_used",
        };
        let clause = |word: &str, parts: &[String]| match parts {
            [] => String::new(),
            parts => format!("{word} {} ", parts.join(", ")),
        };
        let expression = clause("SET", &self.set) + &clause("REMOVE", &self.remove);
        let change = Change {
            expression_attribute_names: self.names,
            expression_attribute_values: self.values,
            returns_item: true,
            ..Change::new(key_of(identity.as_str()), expression)
        };
        change.when(condition).name("#id", attr::ID)
    }
}

#[cfg(test)]
mod tests {
    use ipgeo_contract::{KeyHash, Period, Status, Window};
    use proptest::prelude::*;

    use super::*;

    fn identity_of_tests() -> Identity {
        Identity::key(&"0f".repeat(32).parse::<KeyHash>().expect("a hash"))
    }

    fn any_record() -> impl Strategy<Value = KeyRecord> {
        let time =
            (0_i64..4_000_000_000_000).prop_map(|ms| Timestamp::from_millisecond(ms).expect("in range"));
        let window = prop_oneof![Just(Window::Day), Just(Window::Month)];
        let status = prop_oneof![Just(Status::Active), Just(Status::Disabled), Just(Status::Revoked)];
        let sites = prop::collection::vec("[a-z]{1,8}\\.test", 0..3);
        let published = prop::option::of((0_u64..1_000_000_000, time.clone()));
        let rate = (1_u32..=10_000, 1_u32..=10_000).prop_map(|(calls, burst)| format!("{calls}/s:{burst}"));
        (
            "\\PC{1,20}",
            1..Limit::CALLS_MAX,
            window,
            status,
            prop::option::of(time.clone()),
            sites,
            any::<bool>(),
            published,
            time,
            prop::option::of(rate),
        )
            .prop_map(
                |(owner, calls, window, status, expires, sites, explain, published, created, rate)| {
                    KeyRecord {
                        owner,
                        tier: "startup".into(),
                        limit: Limit { calls, window },
                        rate: rate.map(|rate| rate.parse().expect("a rate")),
                        status,
                        expires,
                        sites: sites.iter().map(|site| site.parse().expect("a site")).collect(),
                        networks: vec!["203.0.113.0/24".parse().expect("a network")],
                        explain,
                        hint: "ipg_…abcd".into(),
                        created,
                        published: published.map(|(used, as_of)| Published {
                            period: Period::new(window, as_of),
                            used,
                            as_of,
                        }),
                    }
                },
            )
    }

    #[test]
    fn a_stored_hint_that_may_hold_an_api_key_is_never_read() {
        let record = KeyRecord::new(
            "sk_live_51aBcDeFgHiJ",
            "acme",
            "startup",
            Limit { calls: 1, window: Window::Day },
            Timestamp::UNIX_EPOCH,
        );
        let mut item = key_item(&identity_of_tests(), &record);
        assert_eq!(key_record(&item).expect("a record").hint, "sha256 0f0f0f0f");
        item.insert(attr::HINT.to_owned(), string("…HiJ0"));
        assert_eq!(key_record(&item).expect("a record").hint, "…HiJ0");
    }

    /// Other releases read and write these items too.
    #[test]
    fn an_item_without_a_rate_is_as_before_and_an_unknown_form_of_rate_is_none() {
        let limit = Limit { calls: 1, window: Window::Day };
        let mut record = KeyRecord::new("ipg_…abcd", "acme", "startup", limit, Timestamp::UNIX_EPOCH);
        let names = |item: &Item| {
            let mut names: Vec<String> = item.keys().cloned().collect();
            names.sort_unstable();
            names.join(" ")
        };
        let item = key_item(&identity_of_tests(), &record);
        assert_eq!(names(&item), "created hint id limit owner status tier window");
        assert_eq!(key_record(&item).expect("a record").rate, None);
        record.rate = Some("10/s:20".parse().expect("a rate"));
        let mut item = key_item(&identity_of_tests(), &record);
        assert_eq!(names(&item), "created hint id limit owner rate status tier window");
        assert_eq!(item[attr::RATE], string("10/s:20"));
        for other in [string("10/fortnight"), number(10_u64), Value::Foreign] {
            item.insert(attr::RATE.to_owned(), other);
            assert_eq!(key_record(&item).expect("a record").rate, None);
        }
    }

    proptest! {
        #[test]
        fn a_record_survives_its_item(record in any_record()) {
            let item = key_item(&identity_of_tests(), &record);
            prop_assert_eq!(identity(&item).expect("an identity"), identity_of_tests());
            prop_assert_eq!(key_record(&item).expect("a record"), record);
        }

        #[test]
        fn a_damaged_item_is_named_by_its_attribute(record in any_record(), which in 1_usize..8, as_bool: bool) {
            let names = [attr::ID, attr::OWNER, attr::TIER, attr::LIMIT, attr::WINDOW, attr::STATUS, attr::HINT, attr::CREATED];
            let mut item = key_item(&identity_of_tests(), &record);
            item.remove(names[which]);
            if as_bool {
                item.insert(names[which].to_owned(), Value::Foreign);
            }
            let error = key_record(&item).expect_err("a damaged item").to_string();
            prop_assert!(error.contains(names[which]), "{}", error);
        }
    }

    #[test]
    fn only_a_record_that_may_explain_has_the_mark() {
        let limit = Limit { calls: 1, window: Window::Day };
        let plain = KeyRecord::new("ipg_…abcd", "acme", "startup", limit, Timestamp::UNIX_EPOCH);
        let item = |explain| key_item(&identity_of_tests(), &KeyRecord { explain, ..plain.clone() });
        let (mut without, with) = (item(false), item(true));
        // Releases that do not know the mark write and read the same item.
        assert!(!without.contains_key(attr::EXPLAIN));
        assert!(!key_record(&without).expect("a record").explain);
        without.insert(attr::EXPLAIN.to_owned(), number(0));
        assert!(!key_record(&without).expect("a record").explain);
        without.insert(attr::EXPLAIN.to_owned(), number(1));
        assert_eq!(without, with);
    }

    #[test]
    fn networks_are_stored_in_their_one_form() {
        let written =
            ["::ffff:203.0.113.0/120", "2001:db8::/32"].map(|text| text.parse().expect("a network"));
        let kept = ["203.0.113.0/24", "2001:db8::/32"].map(string).to_vec();
        assert_eq!(networks(&written), Some(Value::L(kept)));
        assert_eq!(networks(&[]), None);
    }
}
