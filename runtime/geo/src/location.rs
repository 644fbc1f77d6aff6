//! Reads a record: the texts of a location, borrowed from the file.

use std::net::IpAddr;

use jiff::Timestamp;

use super::format::{
    AREA, ASN, BASE, FACTS, FACTS_SEPARATOR, NETWORK_START, NUMBER, ORIGIN, PLACE, TEXT, ZONE, route_length,
};
use super::raw::{Data, Value};
use super::route;
use super::trace::Trace;
use super::utf8::Utf8Cache;
use super::zones::{self, ZoneCache};

/// Maximum number of entries to read of a record: a valid one has at most five.
const ENTRIES_MAX: usize = 8;
/// Maximum bytes of a text to read: a valid one fits in a page. A hostile file may have megabytes for every address.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// What a database holds about an address.
#[derive(Debug, Clone, Copy)]
pub struct Location<'a> {
    zones: &'a ZoneCache,
    address: IpAddr,
    place: Option<&'a str>,
    area: Option<&'a str>,
    /// The time zone's name.
    zone: Option<&'a str>,
    /// The member `asn`, complete or, with the length of its route, a part of it.
    network: &'a str,
    /// Length of the route that completes `network`.
    route_length: Option<u8>,
    /// Company and crawler, with marks for prefixes.
    facts: Option<&'a str>,
    /// The members of `threat`.
    threat: &'a str,
}

/// The name of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EntryName {
    Place,
    Area,
    Text,
    Zone,
    Base,
    /// With the length of the route if the text does not contain the route.
    Network(Option<u8>),
    Facts,
    Origin,
    Other,
}

/// Bytes at the start of the data that may have names of entries: enough for one name for each length of a route.
const NAMES_BYTES: usize = 1_024;

/// The names of entries by their offsets. Read once, so that a lookup recognises a name by the pointer to it, without
/// reading the text.
#[derive(Debug, Clone)]
struct EntryNames(Box<[EntryName]>);

impl EntryNames {
    /// Reads the names at the start of a compiled database's data.
    fn read(data: Data<'_>) -> Self {
        let mut names = vec![EntryName::Other; NAMES_BYTES];
        let mut at = 0;
        while let Some(slot) = names.get_mut(at) {
            let Some((text, next)) = data.text(at).filter(|(_, next)| *next > at) else { break };
            *slot = Self::of(text);
            at = next;
        }
        Self(names.into())
    }

    fn of(text: &str) -> EntryName {
        match text {
            PLACE => EntryName::Place,
            AREA => EntryName::Area,
            TEXT => EntryName::Text,
            ZONE => EntryName::Zone,
            BASE => EntryName::Base,
            ASN => EntryName::Network(None),
            FACTS => EntryName::Facts,
            ORIGIN => EntryName::Origin,
            _ => route_length(text).map_or(EntryName::Other, |length| EntryName::Network(Some(length))),
        }
    }

    /// The name at `at`, and the offset of its value.
    #[inline]
    fn at<T: Trace>(&self, data: Data<'_, T>, at: usize) -> Option<(EntryName, usize)> {
        if let Some((target, next)) = data.pointed(at)
            && let Some(name) = self.0.get(target).filter(|name| **name != EntryName::Other)
        {
            return Some((*name, next));
        }
        let (text, next) = data.text(at)?;
        Some((Self::of(text), next))
    }
}

/// What lookups remember about a database.
pub(super) struct ReaderCaches {
    names: EntryNames,
    checked: Utf8Cache,
    zones: ZoneCache,
    /// The members of `threat` of a record that has no flags.
    no_flags: String,
}

impl ReaderCaches {
    /// The state before the first lookup. `flags` are those that any source covers.
    pub(super) fn new(data: Data<'_>, flags: &[String]) -> Self {
        let members: Vec<String> = flags.iter().map(|name| format!("\"{name}\":false")).collect();
        Self {
            names: EntryNames::read(data),
            checked: Utf8Cache::new(),
            zones: ZoneCache::new(),
            no_flags: members.join(","),
        }
    }
}

/// A text within the maximum length: its offset, its bytes, and the offset after it.
#[inline]
fn short_text<T: Trace>(data: Data<'_, T>, at: usize) -> Option<(usize, &[u8], usize)> {
    data.text_bytes(at).filter(|(_, bytes, _)| bytes.len() <= TEXT_BYTES_MAX)
}

impl<'a> Location<'a> {
    /// Reads the record at `offset`; `None` if it is invalid or empty.
    #[inline]
    pub(super) fn read<T: Trace>(
        data: Data<'a, T>,
        offset: usize,
        address: IpAddr,
        known: &'a ReaderCaches,
    ) -> Option<Self> {
        let mut location = Self {
            zones: &known.zones,
            address,
            place: None,
            area: None,
            zone: None,
            network: "",
            route_length: None,
            facts: None,
            threat: &known.no_flags,
        };
        location.read_entries(data, offset, known)?;
        let found = location.place.is_some()
            || location.area.is_some()
            || !location.network.is_empty()
            || location.facts.is_some();
        found.then_some(location)
    }

    #[inline]
    fn read_entries<T: Trace>(
        &mut self,
        data: Data<'a, T>,
        at: usize,
        known: &'a ReaderCaches,
    ) -> Option<()> {
        let (entries, mut at, _) = data.map(at)?;
        for _ in 0..entries.min(ENTRIES_MAX) {
            let (name, value) = known.names.at(data, at)?;
            at = match name {
                EntryName::Area => self.read_area(data, value, known)?,
                EntryName::Base => self.read_base(data, value, known)?,
                _ => self.read_text(data, name, value, known)?,
            };
        }
        Some(())
    }

    /// A base has no base, so a hostile file can't nest them.
    #[inline]
    fn read_base<T: Trace>(
        &mut self,
        data: Data<'a, T>,
        at: usize,
        known: &'a ReaderCaches,
    ) -> Option<usize> {
        let (entries, mut at, after) = data.map(at)?;
        for _ in 0..entries.min(ENTRIES_MAX) {
            let (name, value) = known.names.at(data, at)?;
            at = if name == EntryName::Area {
                self.read_area(data, value, known)?
            } else {
                self.read_text(data, name, value, known)?
            };
        }
        Some(after.unwrap_or(at))
    }

    #[inline]
    fn read_text<T: Trace>(
        &mut self,
        data: Data<'a, T>,
        name: EntryName,
        at: usize,
        known: &'a ReaderCaches,
    ) -> Option<usize> {
        // A pointer to a text that is not needed is not followed: that would read another page.
        if name == EntryName::Origin
            && let Some((_, next)) = data.pointed(at)
        {
            return Some(next);
        }
        let (start, bytes, next) = short_text(data, at)?;
        match name {
            EntryName::Place => self.place = Some(std::str::from_utf8(bytes).ok()?),
            EntryName::Network(length) => {
                self.network = known.checked.text(start, bytes)?;
                self.route_length = length;
            }
            EntryName::Facts => self.set_facts(known.checked.text(start, bytes)?),
            _ => {}
        }
        Some(next)
    }

    #[inline]
    fn set_facts(&mut self, text: &'a str) {
        let (facts, flags) = text.split_once(FACTS_SEPARATOR).unwrap_or((text, ""));
        self.facts = Some(facts);
        if !flags.is_empty() {
            self.threat = flags;
        }
    }

    #[inline]
    fn read_area<T: Trace>(&mut self, data: Data<'a, T>, at: usize, known: &ReaderCaches) -> Option<usize> {
        let (entries, mut entry, next) = data.map(at)?;
        for _ in 0..entries.min(ENTRIES_MAX) {
            let (name, value) = known.names.at(data, entry)?;
            let (start, bytes, after) = short_text(data, value)?;
            let text = known.checked.text(start, bytes)?;
            match name {
                EntryName::Text => self.area = Some(text),
                EntryName::Zone => self.zone = Some(text),
                _ => {}
            }
            entry = after;
        }
        Some(next.unwrap_or(entry))
    }

    /// Appends the JSON members that do not depend on the time, without braces: all except `ip`, `time_zone`, `threat` and
    /// `count`.
    #[inline]
    pub fn write_static(&self, out: &mut String) {
        let mut separator = "";
        for text in [self.place, self.area].into_iter().flatten().filter(|text| !text.is_empty()) {
            out.push_str(separator);
            out.push_str(text);
            separator = ",";
        }
        if !self.network.is_empty() {
            out.push_str(separator);
            if let Some(length) = self.route_length {
                out.push_str("\"asn\":{");
                out.push_str(NETWORK_START);
                out.push_str(self.network);
                out.push_str(",\"route\":\"");
                route::write_prefix(self.address, length, out);
                out.push_str("\"}");
            } else {
                out.push_str(self.network);
            }
            separator = ",";
        }
        if let Some(facts) = self.facts.filter(|facts| !facts.is_empty()) {
            out.push_str(separator);
            route::write_marked(facts, self.address, out);
        }
    }

    /// Appends the member `time_zone` at the instant `now`. Returns false, and appends nothing, if the zone is unknown.
    #[inline]
    pub fn write_time_zone(&self, now: Timestamp, out: &mut String) -> bool {
        let Some(zone) = self.zone.and_then(|name| self.zones.get(name)) else { return false };
        zones::write(&zone, now, out);
        true
    }

    /// The members of `threat` that any source covers, in JSON without braces; may be empty.
    pub fn threat(&self) -> &'a str {
        self.threat
    }

    /// The name of the time zone.
    pub fn time_zone(&self) -> Option<&'a str> {
        self.zone
    }
}

/// The origin in the record at `offset`: a JSON object from fields to the names of their sources.
pub(super) fn origin(data: Data<'_>, offset: usize) -> Option<&str> {
    // Entries before it can be whole maps, which this reads too. Only an explanation needs it.
    data.value(offset).ok()?.0.get(ORIGIN).and_then(Value::text)
}

/// The JSON object in an AS number's record.
pub(super) fn number(data: Data<'_>, offset: usize) -> Option<&str> {
    let (entries, at, _) = data.map(offset)?;
    let (key, value) = data.text(at)?;
    (entries == 1 && key == NUMBER).then(|| data.text(value).map(|(text, _)| text)).flatten()
}
