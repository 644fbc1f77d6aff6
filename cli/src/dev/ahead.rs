//! What was published while this machine's clock stood ahead. A publication is never replaced by one of an earlier period, so
//! that one of next January would switch a limit off until then. A start removes such publications and writes what the
//! ledger has of the period that is now.

use std::collections::HashMap;

use anyhow::Context;
use dynoxide::actions::scan::ScanRequest;
use dynoxide::actions::update_item::UpdateItemRequest;
use dynoxide::{AttributeValue, Database};
use ipgeo_contract::{Identity, IdentityKind, Limit, Month, Period, Published, access_attr as attr};
use ipgeo_runtime::dynamo::{AccessTable, LedgerTable};
use ipgeo_runtime::store::PublishWrite as _;
use jiff::{SignedDuration, Timestamp};

use crate::config::Config;

/// A clock may be corrected by so much without anything being said of it.
const AHEAD_MAX: SignedDuration = SignedDuration::from_hours(1);

/// Publishes anew, as of `now`, what home's access table has of a time to come.
pub(super) async fn publish_anew(
    config: &Config,
    home: &Database,
    access: &AccessTable,
    ledger: &LedgerTable,
    now: Timestamp,
) -> anyhow::Result<()> {
    let table = config.service.access_table();
    for id in published_ahead(home, &table, now)? {
        remove_publication(home, &table, &id)?;
        let Ok(identity) = id.parse::<Identity>() else { continue };
        let limit = match identity.kind() {
            IdentityKind::Key => access.key_now(&identity).await?.map(|record| record.limit),
            IdentityKind::Address => Some(config.tiers.anonymous.limit),
            IdentityKind::Site => Some(config.tiers.anonymous.site_limit),
        };
        let Some(limit) = limit else { continue };
        let item = ledger.item(&identity, Month::of(now)).await?;
        let used = item.map_or(0, |item| used(limit, &item, now));
        let published = Published { period: Period::of(limit.window, now), used, as_of: now };
        access.publish(&identity, limit, published).await?;
    }
    Ok(())
}

fn used(limit: Limit, item: &ipgeo_runtime::dynamo::LedgerItem, now: Timestamp) -> u64 {
    match Period::of(limit.window, now) {
        Period::Month(_) => item.charged,
        Period::Day(date) => item.days.get(&date.day()).copied().unwrap_or(0),
    }
}

/// The ids of items whose publication is of a time to come.
fn published_ahead(home: &Database, table: &str, now: Timestamp) -> anyhow::Result<Vec<String>> {
    let latest = now.saturating_add(AHEAD_MAX).unwrap_or(now).as_millisecond();
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let request = ScanRequest {
            table_name: table.to_owned(),
            filter_expression: Some("#as_of > :latest".to_owned()),
            expression_attribute_names: Some(names(&[("#as_of", attr::AS_OF)])),
            expression_attribute_values: Some(HashMap::from([(
                ":latest".to_owned(),
                AttributeValue::N(latest.to_string()),
            )])),
            exclusive_start_key: after,
            ..ScanRequest::default()
        };
        let page = home.scan(request).context("look for publications of a time to come")?;
        for item in page.items.unwrap_or_default() {
            if let Some(AttributeValue::S(id)) = item.get(attr::ID) {
                found.push(id.clone());
            }
        }
        after = page.last_evaluated_key;
        if after.is_none() {
            return Ok(found);
        }
    }
}

fn names(names: &[(&str, &str)]) -> HashMap<String, String> {
    names.iter().map(|(short, name)| ((*short).to_owned(), (*name).to_owned())).collect()
}

fn remove_publication(home: &Database, table: &str, id: &str) -> anyhow::Result<()> {
    let request = UpdateItemRequest {
        table_name: table.to_owned(),
        key: HashMap::from([(attr::ID.to_owned(), AttributeValue::S(id.to_owned()))]),
        update_expression: Some("REMOVE #period, #used, #as_of".to_owned()),
        expression_attribute_names: Some(names(&[
            ("#period", attr::PERIOD),
            ("#used", attr::USED),
            ("#as_of", attr::AS_OF),
        ])),
        ..UpdateItemRequest::default()
    };
    home.update_item(request).map(drop).context("remove a publication of a time to come")
}
