//! Turns places and networks into the texts that are served, and stores each distinct text once.
//!
//! A city's texts differ from place to place, but those of its region and country (the area) are shared by thousands of
//! places, and those of a network by all places in it. So a record is only a few indexes into pools of texts.

use std::collections::BTreeMap;

use rustc_hash::{FxHashMap, FxHashSet};
use serde::Serialize;

use super::combine::{Combined, Origin, Prefix};
use super::countries::{self, CountryFacts, CountryTable};
use super::extract::{PLACE_FIELDS, SourceNetwork, SourcePlace};
use super::facts::{Blocklist, Crawler, Flags, NetworkUse};
use super::regions::RegionTable;
use super::threat;
use super::zone::ZoneFinder;
use crate::format::{FACTS_SEPARATOR, NETWORK_START, ROUTE_MARK};

/// A record of the result: indexes into the pools of a [`RecordSet`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct CompiledRecord {
    pub(super) place: Option<u32>,
    pub(super) area: Option<u32>,
    /// The text of the network, and the length of its route.
    pub(super) asn: Option<(u32, u8)>,
    pub(super) facts: Option<u32>,
    pub(super) origin: Option<u32>,
    /// The text of an AS number; such a record has nothing else.
    pub(super) number: Option<u32>,
}

/// The part of a record that many places share: the JSON members of the region, the country, and the time zone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct SharedArea {
    pub(super) text: String,
    /// The index of the country's text.
    pub(super) country: Option<u32>,
    pub(super) zone: String,
}

/// Distinct values, numbered in the order of their first use.
#[derive(Debug)]
pub(super) struct Pool<T> {
    known: FxHashMap<T, u32>,
    values: Vec<T>,
}

impl<T: Clone + Eq + std::hash::Hash> Pool<T> {
    fn new() -> Self {
        Self { known: FxHashMap::default(), values: Vec::new() }
    }

    fn index(&mut self, value: T) -> u32 {
        if let Some(index) = self.known.get(&value) {
            return *index;
        }
        let index = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        self.values.push(value.clone());
        self.known.insert(value, index);
        index
    }

    pub(super) fn values(&self) -> &[T] {
        &self.values
    }
}

/// All records of the result, and their texts.
pub(super) struct RecordSet {
    pub(super) records: Pool<CompiledRecord>,
    /// How often each record is likely to be looked up.
    weights: Vec<u64>,
    pub(super) places: Pool<String>,
    pub(super) areas: Pool<SharedArea>,
    /// The JSON members of countries.
    pub(super) country_texts: Pool<String>,
    pub(super) asns: Pool<String>,
    pub(super) numbers: Pool<String>,
    pub(super) facts: Pool<String>,
    /// The sources that decided, by index into `names`.
    pub(super) origins: Pool<Origin>,
    /// How often each origin is used.
    origin_uses: Vec<u64>,
    /// The name of each source.
    names: Vec<String>,
    /// The blocklist that each source is.
    blocklists: Vec<Option<Blocklist>>,
    /// The flags that any source covers, with those derived from them.
    spoken: Flags,
    /// The prefixes of every AS number. A prefix occurs once with every place in it.
    routes: FxHashSet<(u32, Prefix)>,
    /// The latest counted route: a walk meets the parts of one route one after the other.
    last_route: Option<(u32, Prefix)>,
    /// AS numbers seen, each with its data and its number of prefixes.
    networks: BTreeMap<u32, (SourceNetwork, u64)>,
    countries: CountryTable,
    regions: RegionTable,
    zones: ZoneFinder,
}

/// JSON members without braces.
#[derive(Default)]
struct Members(String);

impl Members {
    fn add(&mut self, name: &str, value: &impl Serialize) {
        // Texts, numbers and flat structs always serialise.
        self.add_raw(name, &serde_json::to_string(value).unwrap_or_default());
    }

    fn add_known(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.add(name, &value);
        }
    }

    /// Adds a number that is already decimal text.
    fn add_number(&mut self, name: &str, number: &str) {
        if !number.is_empty() {
            self.add_raw(name, number);
        }
    }

    /// Adds a prefix that a lookup completes from its address.
    fn add_prefix(&mut self, name: &str, prefix: Prefix) {
        self.add_raw(name, &format!("\"{ROUTE_MARK}{}{ROUTE_MARK}\"", prefix.length));
    }

    fn add_object(&mut self, name: &str, members: &Self) {
        self.add_raw(name, &format!("{{{}}}", members.0));
    }

    fn add_raw(&mut self, name: &str, value: &str) {
        if !self.0.is_empty() {
            self.0.push(',');
        }
        self.0.extend(["\"", name, "\":", value]);
    }
}

/// A number's record.
#[derive(Serialize)]
struct NumberMember<'a> {
    asn: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    domain: &'a str,
    #[serde(rename = "type", skip_serializing_if = "str::is_empty")]
    kind: &'a str,
    routes: u64,
}

#[derive(Serialize)]
struct CrawlerMember<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    operator: &'a str,
    verified: bool,
}

impl RecordSet {
    /// An empty pool; `sources` are their names and blocklists, and `spoken` the flags that any of them covers.
    pub(super) fn new<'a>(
        sources: impl Iterator<Item = (&'a str, Option<&'a Blocklist>)>,
        spoken: Flags,
    ) -> Self {
        let (names, blocklists) = sources.map(|(name, list)| (name.to_owned(), list.cloned())).unzip();
        Self {
            records: Pool::new(),
            weights: Vec::new(),
            places: Pool::new(),
            areas: Pool::new(),
            country_texts: Pool::new(),
            asns: Pool::new(),
            numbers: Pool::new(),
            facts: Pool::new(),
            origins: Pool::new(),
            origin_uses: Vec::new(),
            names,
            blocklists,
            spoken: threat::spoken_with_derived(spoken),
            routes: FxHashSet::default(),
            last_route: None,
            networks: BTreeMap::new(),
            countries: CountryTable::new(),
            regions: RegionTable::new(),
            zones: ZoneFinder::new(),
        }
    }

    pub(super) fn countries(&self) -> &CountryTable {
        &self.countries
    }

    /// The names of the flags that any source covers.
    pub(super) fn flags(&self) -> Vec<&'static str> {
        threat::names(self.spoken)
    }

    /// The index of the record for the data about an address; `None` if there is no data.
    pub(super) fn index(&mut self, all: Combined) -> Option<u32> {
        let mut all = all.with_region_code(&self.regions);
        let used_as = all.usage.as_ref().map(|(usage, _)| usage.kind.clone()).unwrap_or_default();
        let asn = all.network.take().map(|(network, route)| (self.asn(network, &used_as), route.length));
        let facts = self.facts(&all);
        let place = all.place.take().filter(SourcePlace::is_known);
        let area = place.as_ref().and_then(|place| self.area(place));
        let place = place.and_then(|place| {
            let text = place_text(&place, all.accuracy_radius_km, all.confidence);
            (!text.is_empty()).then(|| self.places.index(text))
        });
        if place.or(area).or(facts).is_none() && asn.is_none() {
            return None;
        }
        let origin = Some(self.origin(all.origin));
        Some(self.records.index(CompiledRecord { place, area, asn, facts, origin, number: None }))
    }

    fn origin(&mut self, origin: Origin) -> u32 {
        let index = self.origins.index(origin);
        if self.origin_uses.len() <= index as usize {
            self.origin_uses.push(0);
        }
        self.origin_uses[index as usize] += 1;
        index
    }

    /// The most frequent origin, which records need not name.
    pub(super) fn usual_origin(&self) -> Origin {
        let uses = self.origin_uses.iter().copied().zip(self.origins.values());
        // Of several with the same frequency, the first, so that the same sources give the same bytes.
        let most = uses.rev().max_by_key(|(uses, _)| *uses);
        most.map(|(_, origin)| origin.clone()).unwrap_or_default()
    }

    /// An origin as a JSON object: for each field the name of the source that decided it, for `threat` a list.
    pub(super) fn origin_text(&self, origin: &Origin) -> String {
        let name = |source: u16| self.names.get(usize::from(source)).map_or("", String::as_str);
        let mut members = Members::default();
        for (field, source) in PLACE_FIELDS.iter().zip(origin.place) {
            if let Some(source) = source {
                members.add(field.name, &name(source));
            }
        }
        for (field, source) in
            [("asn", origin.network), ("company", origin.usage), ("crawler", origin.crawler)]
        {
            if let Some(source) = source {
                members.add(field, &name(source));
            }
        }
        if !origin.flags.is_empty() {
            let sources: Vec<&str> = origin.flags.iter().map(|source| name(*source)).collect();
            members.add("threat", &sources);
        }
        format!("{{{}}}", members.0)
    }

    /// The text of company, crawler and flags; `None` if all are unknown.
    fn facts(&mut self, all: &Combined) -> Option<u32> {
        let mut members = Members::default();
        if let Some((usage, network)) = &all.usage {
            add_company(&mut members, usage, *network);
        }
        if let Some(crawler) = &all.crawler {
            add_crawler(&mut members, crawler);
        }
        let mut text = members.0;
        if all.flags == Flags::default() && text.is_empty() {
            return None;
        }
        text.push(FACTS_SEPARATOR);
        if all.flags != Flags::default() {
            text.push_str(&threat::members(threat::with_derived(all.flags), self.spoken));
            text.push_str(&self.blocklists_member(all));
        }
        Some(self.facts.index(text))
    }

    /// Adds to the weight of a record.
    pub(super) fn weigh(&mut self, record: u32, weight: u64) {
        let record = record as usize;
        if self.weights.len() <= record {
            self.weights.resize(record + 1, 0);
        }
        self.weights[record] = self.weights[record].saturating_add(weight);
    }

    /// The weight of a record.
    pub(super) fn weight(&self, record: usize) -> u64 {
        self.weights.get(record).copied().unwrap_or(0)
    }

    /// The blocklists among the sources that set a flag, after other members; empty without any.
    fn blocklists_member(&self, all: &Combined) -> String {
        let list = |source: &u16| self.blocklists.get(usize::from(*source)).and_then(Option::as_ref);
        let mut lists: Vec<&Blocklist> = all.origin.flags.iter().filter_map(list).collect();
        // A list in several files is one list.
        lists.dedup();
        if lists.is_empty() {
            return String::new();
        }
        let mut members = Members::default();
        members.add("blocklists", &lists);
        format!(",{}", members.0)
    }

    /// Counts a route of an AS number, once however many records it has.
    pub(super) fn count_route(&mut self, number: u32, route: Prefix) {
        if self.last_route != Some((number, route))
            && self.routes.insert((number, route))
            && let Some((_, routes)) = self.networks.get_mut(&number)
        {
            *routes += 1;
        }
        self.last_route = Some((number, route));
    }

    /// `used_as`: what the network is used for, if a source knows better than the one of the network.
    fn asn(&mut self, network: SourceNetwork, used_as: &str) -> u32 {
        let kind = if used_as.is_empty() { network.kind.as_str() } else { used_as };
        let mut member = Members::default();
        member.add("asn", &format!("AS{}", network.number));
        member.add_known("name", &network.name);
        member.add_known("domain", &network.domain);
        member.add_known("type", kind);
        // A lookup adds what every network has, and the route.
        let text = member.0.strip_prefix(NETWORK_START).unwrap_or(&member.0).to_owned();
        let index = self.asns.index(text);
        self.networks.entry(network.number).or_insert((network, 0));
        index
    }

    fn area(&mut self, place: &SourcePlace) -> Option<u32> {
        let zone = if place.time_zone.is_empty() {
            self.zones.find(&place.latitude, &place.longitude).to_owned()
        } else {
            place.time_zone.clone()
        };
        let country = country_text(place, self.countries.country(&place.country_code));
        let country = (!country.is_empty()).then(|| self.country_texts.index(country));
        let text = region_text(place);
        let known = !text.is_empty() || country.is_some() || !zone.is_empty();
        known.then(|| self.areas.index(SharedArea { text, country, zone }))
    }

    /// The records of all AS numbers seen, sorted by number.
    pub(super) fn numbers(&mut self) -> Vec<(u32, u32)> {
        let networks = std::mem::take(&mut self.networks);
        let mut found = Vec::with_capacity(networks.len());
        for (number, (network, routes)) in networks {
            let member = NumberMember {
                asn: format!("AS{number}"),
                name: &network.name,
                domain: &network.domain,
                kind: &network.kind,
                routes,
            };
            let text = serde_json::to_string(&member).unwrap_or_default();
            let number_text = Some(self.numbers.index(text));
            let record = CompiledRecord {
                place: None,
                area: None,
                asn: None,
                facts: None,
                origin: None,
                number: number_text,
            };
            found.push((number, self.records.index(record)));
        }
        found
    }
}

fn add_company(members: &mut Members, usage: &NetworkUse, network: Prefix) {
    if !usage.name.is_empty() {
        let mut member = Members::default();
        member.add("name", &usage.name);
        member.add_known("domain", &usage.domain);
        member.add_prefix("network", network);
        member.add_known("type", &usage.kind);
        members.add_object("company", &member);
    }
}

fn add_crawler(members: &mut Members, crawler: &Crawler) {
    // The operator publishes the list, so an address on it is the crawler's.
    let member = CrawlerMember { name: &crawler.name, operator: &crawler.operator, verified: true };
    members.add("crawler", &member);
}

fn place_text(place: &SourcePlace, accuracy_radius_km: Option<u16>, confidence: Option<u8>) -> String {
    let mut members = Members::default();
    members.add_known("city", &place.city);
    members.add_known("postal", &place.postal);
    members.add_number("latitude", &place.latitude);
    members.add_number("longitude", &place.longitude);
    if let Some(radius) = accuracy_radius_km {
        members.add("accuracy_radius_km", &radius);
    }
    if let Some(percent) = confidence {
        members.add("confidence", &percent);
    }
    members.0
}

fn region_text(place: &SourcePlace) -> String {
    let mut members = Members::default();
    members.add_known("region", &place.region);
    members.add_known("region_code", &place.region_code);
    members.0
}

fn country_text(place: &SourcePlace, facts: Option<&CountryFacts>) -> String {
    let mut members = Members::default();
    if let Some(is_eu) = place.is_eu.or(facts.map(|facts| facts.is_eu)) {
        members.add("is_eu", &is_eu);
    }
    let name = facts.map_or(place.country_name.as_str(), |facts| facts.name);
    members.add_known("country_name", name);
    members.add_known("country_code", &place.country_code);
    let continent_code = facts.map_or(place.continent_code.as_str(), |facts| facts.continent_code);
    members.add_known("continent_name", countries::continent_name(continent_code).unwrap_or_default());
    members.add_known("continent_code", continent_code);
    if let Some(facts) = facts {
        members.add("calling_code", &facts.calling_code);
        members.add("flag", &facts.flag);
        members.add("emoji_flag", &facts.emoji_flag);
        members.add("emoji_unicode", &facts.emoji_unicode);
        if !facts.languages.is_empty() {
            members.add("languages", &facts.languages);
        }
        if let Some(currency) = &facts.currency {
            members.add("currency", currency);
        }
    }
    members.0
}
