//! Items of the access table, to and from the contract's types: the one place that knows both.

use std::fmt::Display;
use std::str::FromStr;

use ipgeo_contract::{
    Identity, KeyHash, KeyRecord, Limit, Published, access_attr as attr, canonical_network, hash_hint,
    is_hint,
};
use ipnet::IpNet;
use jiff::Timestamp;

use super::value::{Item, Value, number, string};

/// An attribute that is missing or not what it should be.
#[derive(Debug, thiserror::Error)]
#[error("attribute `{name}` {fault}")]
pub struct ItemError {
    name: &'static str,
    fault: String,
}

impl ItemError {
    fn new(name: &'static str, fault: impl Into<String>) -> Self {
        Self { name, fault: fault.into() }
    }
}

/// An attribute that holds a list of strings, or none for an empty list.
pub fn strings<T: Display>(list: &[T]) -> Option<Value> {
    let list: Vec<Value> = list.iter().map(|item| string(item.to_string())).collect();
    (!list.is_empty()).then_some(Value::L(list))
}

/// An attribute of networks in canonical form; `None` for an empty list.
pub fn networks(list: &[IpNet]) -> Option<Value> {
    let list: Vec<IpNet> = list.iter().copied().map(canonical_network).collect();
    strings(&list)
}

fn text<'a>(item: &'a Item, name: &'static str) -> Result<Option<&'a str>, ItemError> {
    match item.get(name) {
        None => Ok(None),
        Some(Value::S(text)) => Ok(Some(text)),
        Some(_) => Err(ItemError::new(name, "is not a string")),
    }
}

fn needed<T>(name: &'static str, value: Option<T>) -> Result<T, ItemError> {
    value.ok_or_else(|| ItemError::new(name, "is missing"))
}

fn parsed<T: FromStr<Err: Display>>(name: &'static str, text: &str) -> Result<T, ItemError> {
    text.parse().map_err(|error: T::Err| ItemError::new(name, error.to_string()))
}

fn integer<T: FromStr<Err: Display>>(item: &Item, name: &'static str) -> Result<Option<T>, ItemError> {
    match item.get(name) {
        None => Ok(None),
        Some(Value::N(digits)) => parsed(name, digits).map(Some),
        Some(_) => Err(ItemError::new(name, "is not a number")),
    }
}

/// An instant in an attribute, Unix milliseconds.
pub fn time(item: &Item, name: &'static str) -> Result<Option<Timestamp>, ItemError> {
    let Some(ms) = integer::<i64>(item, name)? else { return Ok(None) };
    Timestamp::from_millisecond(ms).map(Some).map_err(|error| ItemError::new(name, error.to_string()))
}

fn list<T: FromStr<Err: Display>>(item: &Item, name: &'static str) -> Result<Vec<T>, ItemError> {
    match item.get(name) {
        None => Ok(Vec::new()),
        Some(Value::L(values)) => values
            .iter()
            .map(|value| match value {
                Value::S(text) => parsed(name, text),
                _ => Err(ItemError::new(name, "holds something that is not a string")),
            })
            .collect(),
        Some(_) => Err(ItemError::new(name, "is not a list")),
    }
}

/// Published usage in an item; none when it was never published.
pub(super) fn published(item: &Item) -> Result<Option<Published>, ItemError> {
    let Some(period) = text(item, attr::PERIOD)? else { return Ok(None) };
    Ok(Some(Published {
        period: parsed(attr::PERIOD, period)?,
        used: needed(attr::USED, integer(item, attr::USED)?)?,
        as_of: needed(attr::AS_OF, time(item, attr::AS_OF)?)?,
    }))
}

/// The effective limit in an API key's item.
pub(super) fn limit(item: &Item) -> Result<Limit, ItemError> {
    let window = text(item, attr::WINDOW).and_then(|found| needed(attr::WINDOW, found))?;
    Ok(Limit {
        calls: needed(attr::LIMIT, integer(item, attr::LIMIT)?)?,
        window: parsed(attr::WINDOW, window)?,
    })
}

/// The record of an API key in an item.
pub fn key_record(item: &Item) -> Result<KeyRecord, ItemError> {
    let word = |name| text(item, name).and_then(|found| needed(name, found));
    Ok(KeyRecord {
        owner: word(attr::OWNER)?.to_owned(),
        tier: word(attr::TIER)?.to_owned(),
        limit: limit(item)?,
        status: parsed(attr::STATUS, word(attr::STATUS)?)?,
        expires: time(item, attr::EXPIRES)?,
        sites: list(item, attr::SITES)?,
        networks: list(item, attr::NETWORKS)?,
        hint: safe_hint(item, word(attr::HINT)?),
        created: needed(attr::CREATED, time(item, attr::CREATED)?)?,
        published: published(item)?,
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

/// The identity that an item belongs to.
pub fn identity(item: &Item) -> Result<Identity, ItemError> {
    let id = needed(attr::ID, text(item, attr::ID)?)?;
    parsed(attr::ID, id)
}

/// The text of an attribute, or nothing.
pub fn text_of(item: &Item, name: &'static str) -> Result<Option<String>, ItemError> {
    Ok(text(item, name)?.map(str::to_owned))
}

/// The item of an API key's record.
pub fn key_item(identity: &Identity, record: &KeyRecord) -> Item {
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
    add(attr::SITES, strings(&record.sites));
    add(attr::NETWORKS, networks(&record.networks));
    if let Some(published) = record.published {
        add(attr::PERIOD, Some(string(published.period.to_string())));
        add(attr::USED, Some(number(published.used)));
        add(attr::AS_OF, Some(number(published.as_of.as_millisecond())));
    }
    item
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
        (
            "\\PC{1,20}",
            1..Limit::CALLS_MAX,
            window,
            status,
            prop::option::of(time.clone()),
            sites,
            published,
            time,
        )
            .prop_map(|(owner, calls, window, status, expires, sites, published, created)| {
                KeyRecord {
                    owner,
                    tier: "startup".into(),
                    limit: Limit { calls, window },
                    status,
                    expires,
                    sites: sites.iter().map(|site| site.parse().expect("a site")).collect(),
                    networks: vec!["203.0.113.0/24".parse().expect("a network")],
                    hint: "ipg_…abcd".into(),
                    created,
                    published: published.map(|(used, as_of)| Published {
                        period: Period::of(window, as_of),
                        used,
                        as_of,
                    }),
                }
            })
    }

    #[test]
    fn a_stored_hint_that_may_hold_an_api_key_is_never_read() {
        let record = KeyRecord {
            owner: "acme".into(),
            tier: "startup".into(),
            limit: Limit { calls: 1, window: Window::Day },
            status: Status::Active,
            expires: None,
            sites: vec![],
            networks: vec![],
            hint: "sk_live_51aBcDeFgHiJ".into(),
            created: Timestamp::UNIX_EPOCH,
            published: None,
        };
        let mut item = key_item(&identity_of_tests(), &record);
        assert_eq!(key_record(&item).expect("a record").hint, "sha256 0f0f0f0f");
        item.insert(attr::HINT.to_owned(), string("…HiJ0"));
        assert_eq!(key_record(&item).expect("a record").hint, "…HiJ0");
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
    fn networks_are_stored_in_their_one_form() {
        let written =
            ["::ffff:203.0.113.0/120", "2001:db8::/32"].map(|text| text.parse().expect("a network"));
        let kept = ["203.0.113.0/24", "2001:db8::/32"].map(string).to_vec();
        assert_eq!(networks(&written), Some(Value::L(kept)));
        assert_eq!(networks(&[]), None);
    }
}
