//! `regions.toml` as a [`Config`], or all its faults: `check` compares the document with the schema, the rules here compare
//! fields with each other, and only a document without faults is deserialised.
//!
//! `serde` alone would stop at the first fault. `toml-span` (maintained, MIT or Apache-2.0, 3,000 lines) was tried on `[usage]`:
//! it collects the faults of a table, but stops at the first syntax error, names no field in a type fault, and still needs a
//! function per table beside the schema. The `toml` crate, in use already, gives the same spans and recovers from syntax errors.

use std::ops::Range;

use ipgeo_contract::{Limit, RegionName, Window};
use serde::Deserialize as _;
use toml::de::{DeTable, Error};
use toml::{Spanned, Value};

use super::geo_check::check_sources;
use super::model::{Config, File, Region};
use super::places::{self, other_partition};
use super::problems::{Collector, Problems};
use super::schema::SCHEMA;
use super::suggest::suggestion;
use super::{check, rules};

/// The tier of callers without an API key.
pub(crate) const ANONYMOUS: &str = "anonymous";

/// Parses `regions.toml`. `file` is its name in messages.
pub fn parse(file: &str, text: &str) -> Result<Config, Problems> {
    let mut out = Collector::default();
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        add_error(error, &mut out);
    }
    // After a syntax error, other faults are likely to be consequences.
    if out.is_empty() {
        check::table(SCHEMA.as_value(), "", document.get_ref(), &(0..0), &mut out);
        check_service(document.get_ref(), &mut out);
        check_anonymous(document.get_ref(), &mut out);
        check_bursts(document.get_ref(), &mut out);
        check_sources(document.get_ref(), &mut out);
    }
    if out.is_empty() {
        match build(document) {
            Ok(config) => return Ok(config),
            // The schema accepts only what the model accepts, so this is a fault of ours, but no reason to panic.
            Err(error) => add_error(&error, &mut out),
        }
    }
    Err(out.into_problems(file, text))
}

fn add_error(error: &Error, out: &mut Collector) {
    let message = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
    out.add(&error.span().unwrap_or(0..0), message);
}

fn build(document: Spanned<DeTable<'_>>) -> Result<Config, Error> {
    let order = in_file_order(document.get_ref(), "regions");
    let tier_order = in_file_order(document.get_ref(), "tiers");
    let mut values = toml::Table::deserialize(toml::de::Deserializer::from(document))?;
    let anonymous = values.get_mut("tiers").and_then(|tiers| tiers.get_mut(ANONYMOUS));
    if let Some(Value::Table(anonymous)) = anonymous
        && let Some(limit) = anonymous.get("limit").cloned()
    {
        anonymous.entry("site_limit").or_insert(limit);
    }
    let File {
        service,
        runtime,
        compat,
        web,
        geo,
        mut tiers,
        usage,
        deploy,
        alarms,
        alerts,
        mut emulator,
        mut regions,
    } = values.try_into()?;
    tiers.paid.sort_by_key(|tier| tier_order.iter().position(|name| *name == tier.name));
    if let Some(emulator) = &mut emulator {
        emulator.endpoint.truncate(emulator.endpoint.trim_end_matches('/').len());
    }
    let places = order.iter().filter_map(|name| places::find(name));
    let regions = places.map(|place| {
        let mut fields = runtime.clone();
        fields.extend(regions.remove(place.name).unwrap_or_default());
        let runtime = fields.try_into()?;
        let (name, city) = (RegionName::new(place.name), place.city);
        Ok(Region { name, city, latitude: place.latitude, longitude: place.longitude, runtime })
    });
    let regions = regions.collect::<Result<_, Error>>()?;
    Ok(Config { service, compat, web, geo, tiers, usage, deploy, alarms, alerts, emulator, regions })
}

/// The keys of a table: the parser sorts them by name.
fn in_file_order(document: &DeTable<'_>, name: &str) -> Vec<String> {
    let mut keys: Vec<_> = table(document, name).into_iter().flat_map(DeTable::keys).collect();
    keys.sort_by_key(|key| key.span().start);
    keys.into_iter().map(|key| key.get_ref().to_string()).collect()
}

pub(super) fn table<'a>(parent: &'a DeTable<'a>, name: &str) -> Option<&'a DeTable<'a>> {
    parent.get(name)?.get_ref().as_table()
}

pub(super) fn text<'a>(table: &'a DeTable<'a>, field: &str) -> Option<(&'a str, Range<usize>)> {
    let value = table.get(field)?;
    Some((value.get_ref().as_str()?, value.span()))
}

fn check_service(document: &DeTable<'_>, out: &mut Collector) {
    let Some(service) = table(document, "service") else { return };
    match (text(service, "domain"), text(service, "hosted_zone")) {
        (Some((_, at)), None) => {
            out.add(&at, "service.domain: needs `hosted_zone`, the Route 53 hosted zone that contains it");
        }
        (None, Some((_, at))) => out.add(&at, "service.hosted_zone: needs `domain`"),
        (Some((domain, at)), Some((zone, _)))
            if !rules::is_zone_id(zone) && !rules::is_below(domain, zone) =>
        {
            out.add(&at, format!("service.domain: `{domain}` is not in the zone `{zone}`"));
        }
        _ => {}
    }
    let regions = table(document, "regions").filter(|regions| !regions.is_empty());
    match (text(service, "home"), regions) {
        (Some((home, at)), _) if home.trim().is_empty() => {
            out.add(&at, "service.home: empty; set it to one of [regions], such as `eu-central-1`");
        }
        (Some((home, at)), Some(regions)) if !regions.contains_key(home) => {
            let hint = suggestion(home, regions.keys().map(|name| name.get_ref().as_ref()));
            let fault =
                other_partition(home).unwrap_or_else(|| format!("`{home}` is not in [regions]{hint}"));
            out.add(&at, format!("service.home: {fault}"));
        }
        _ => {}
    }
}

fn check_bursts(document: &DeTable<'_>, out: &mut Collector) {
    let tiers = table(document, "tiers").into_iter().flatten();
    for (name, fields) in tiers.filter_map(|(name, tier)| Some((name.get_ref(), tier.get_ref().as_table()?)))
    {
        for (burst, rate) in [("burst", "rate"), ("site_burst", "site_rate")] {
            // Other tiers have no `site_burst`; as an unknown field it is reported already.
            let is_known = burst == "burst" || name == ANONYMOUS;
            if let Some(found) = fields.get(burst).filter(|_| is_known && !fields.contains_key(rate)) {
                out.add(
                    &found.span(),
                    format!("tiers.{name}.{burst}: needs `{rate}`, such as `{rate} = \"10/s\"`"),
                );
            }
        }
    }
}

fn check_anonymous(document: &DeTable<'_>, out: &mut Collector) {
    let anonymous = table(document, "tiers").and_then(|tiers| table(tiers, ANONYMOUS));
    if let Some((limit, at)) = anonymous.and_then(|anonymous| text(anonymous, "limit"))
        && limit.parse::<Limit>().is_ok_and(|limit| limit.window != Window::Day)
    {
        // The hash of an address changes every day.
        let fault = "expected a limit per day, such as `1500/day`: addresses are not tracked longer";
        out.add(&at, format!("tiers.{ANONYMOUS}.limit: {fault}, found `{limit}`"));
    }
}
