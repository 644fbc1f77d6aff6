//! Turns places and networks into the texts that are served, and stores each distinct text once.
//!
//! A city's texts differ from place to place, but those of its region and country (the area) are shared by thousands of
//! places, and those of a network by all places in it. So a record is only four indexes into pools of texts.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use serde::Serialize;

use super::countries::{self, CountryFacts, CountryTable};
use super::extract::{SourceNetwork, SourcePlace};
use super::zone::ZoneFinder;

/// A record of the result: indexes into the pools of a [`RecordSet`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct CompiledRecord {
    pub(super) place: Option<u32>,
    pub(super) area: Option<u32>,
    pub(super) asn: Option<u32>,
    /// The text of an AS number; such a record has nothing else.
    pub(super) number: Option<u32>,
}

/// The part of a record that many places share: the JSON members of region and country, and the time zone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct SharedArea {
    pub(super) text: String,
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
    pub(super) places: Pool<String>,
    pub(super) areas: Pool<SharedArea>,
    pub(super) asns: Pool<String>,
    pub(super) numbers: Pool<String>,
    /// AS numbers seen, each with its data and its number of prefixes.
    networks: BTreeMap<u32, (SourceNetwork, u64)>,
    countries: CountryTable,
    zones: ZoneFinder,
}

/// JSON members without braces.
#[derive(Default)]
struct Members(String);

impl Members {
    fn add(&mut self, name: &str, value: &impl Serialize) {
        if !self.0.is_empty() {
            self.0.push(',');
        }
        // Texts, numbers and flat structs always serialise.
        let value = serde_json::to_string(value).unwrap_or_default();
        self.0.extend(["\"", name, "\":", &value]);
    }

    fn add_known(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.add(name, &value);
        }
    }

    /// Adds a number that is already decimal text.
    fn add_number(&mut self, name: &str, number: &str) {
        if !number.is_empty() {
            if !self.0.is_empty() {
                self.0.push(',');
            }
            self.0.extend(["\"", name, "\":", number]);
        }
    }
}

#[derive(Serialize)]
struct AsnMember<'a> {
    asn: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    domain: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    route: &'a str,
    #[serde(rename = "type", skip_serializing_if = "str::is_empty")]
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    routes: Option<u64>,
}

impl RecordSet {
    pub(super) fn new() -> Self {
        Self {
            records: Pool::new(),
            places: Pool::new(),
            areas: Pool::new(),
            asns: Pool::new(),
            numbers: Pool::new(),
            networks: BTreeMap::new(),
            countries: CountryTable::new(),
            zones: ZoneFinder::new(),
        }
    }

    pub(super) fn countries(&self) -> &CountryTable {
        &self.countries
    }

    /// The index of the record for a place and a network with its prefix; `None` if nothing is known about either.
    pub(super) fn index(
        &mut self,
        place: Option<SourcePlace>,
        network: Option<(SourceNetwork, String)>,
    ) -> Option<u32> {
        let asn = network.map(|(network, route)| self.asn(network, &route));
        let place = place.filter(SourcePlace::is_known);
        if asn.is_none() && place.is_none() {
            return None;
        }
        let area = place.as_ref().and_then(|place| self.area(place));
        let place = place.and_then(|place| {
            let text = place_text(&place);
            (!text.is_empty()).then(|| self.places.index(text))
        });
        (place.or(area).or(asn).is_some())
            .then(|| self.records.index(CompiledRecord { place, area, asn, number: None }))
    }

    fn asn(&mut self, network: SourceNetwork, route: &str) -> u32 {
        let member = AsnMember {
            asn: format!("AS{}", network.number),
            name: &network.name,
            domain: &network.domain,
            route,
            kind: &network.kind,
            routes: None,
        };
        let mut members = Members::default();
        members.add("asn", &member);
        let index = self.asns.index(members.0);
        self.networks.entry(network.number).or_insert((network, 0)).1 += 1;
        index
    }

    fn area(&mut self, place: &SourcePlace) -> Option<u32> {
        let zone = if place.time_zone.is_empty() {
            self.zones.find(&place.latitude, &place.longitude).to_owned()
        } else {
            place.time_zone.clone()
        };
        let text = area_text(place, self.countries.country(&place.country_code));
        (!text.is_empty() || !zone.is_empty()).then(|| self.areas.index(SharedArea { text, zone }))
    }

    /// The records of all AS numbers seen, sorted by number.
    pub(super) fn numbers(&mut self) -> Vec<(u32, u32)> {
        let networks = std::mem::take(&mut self.networks);
        let mut found = Vec::with_capacity(networks.len());
        for (number, (network, routes)) in networks {
            let member = AsnMember {
                asn: format!("AS{number}"),
                name: &network.name,
                domain: &network.domain,
                route: "",
                kind: &network.kind,
                routes: Some(routes),
            };
            let text = serde_json::to_string(&member).unwrap_or_default();
            let number_text = Some(self.numbers.index(text));
            let record = CompiledRecord { place: None, area: None, asn: None, number: number_text };
            found.push((number, self.records.index(record)));
        }
        found
    }
}

fn place_text(place: &SourcePlace) -> String {
    let mut members = Members::default();
    members.add_known("city", &place.city);
    members.add_known("postal", &place.postal);
    members.add_number("latitude", &place.latitude);
    members.add_number("longitude", &place.longitude);
    members.0
}

fn area_text(place: &SourcePlace, facts: Option<&CountryFacts>) -> String {
    let mut members = Members::default();
    members.add_known("region", &place.region);
    members.add_known("region_code", &place.region_code);
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
