//! Reads a record: the texts of a location, borrowed from the file.

use std::net::IpAddr;

use jiff::Timestamp;

use super::format::{AREA, ASN, FACTS, FACTS_SEPARATOR, NETWORK, NUMBER, ORIGIN, PLACE, TEXT, ZONE};
use super::raw::Data;
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
    /// The member `asn`; with marks, as company and crawler.
    network: &'a str,
    /// Company and crawler.
    facts: &'a str,
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
    Network,
    Facts,
    Origin,
    Other,
}

/// The names of entries with their offsets. Read once, so that a lookup recognises a name by the pointer to it, without
/// reading the text.
#[derive(Debug, Clone)]
struct EntryNames([(usize, EntryName); 8]);

impl EntryNames {
    /// Reads the names at the start of a compiled database's data.
    fn read(data: Data<'_>) -> Self {
        let mut names = Self([(usize::MAX, EntryName::Other); 8]);
        let mut at = 0;
        for _ in 0..ENTRIES_MAX {
            let Some((text, next)) = data.text(at) else { break };
            let name = Self::of(text);
            if name != EntryName::Other
                && let Some(free) = names.0.iter_mut().find(|(_, name)| *name == EntryName::Other)
            {
                *free = (at, name);
            }
            at = next;
        }
        names
    }

    fn of(text: &str) -> EntryName {
        match text {
            PLACE => EntryName::Place,
            AREA => EntryName::Area,
            TEXT => EntryName::Text,
            ZONE => EntryName::Zone,
            NETWORK | ASN => EntryName::Network,
            FACTS => EntryName::Facts,
            ORIGIN => EntryName::Origin,
            _ => EntryName::Other,
        }
    }

    /// The name at `at`, and the offset of its value.
    #[inline]
    fn at<T: Trace>(&self, data: Data<'_, T>, at: usize) -> Option<(EntryName, usize)> {
        if let Some((target, next)) = data.pointed(at)
            && let Some((_, name)) = self.0.iter().find(|(known, _)| *known == target)
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
    /// Before the first lookup. `flags` are those of which any source speaks.
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
            facts: "",
            threat: &known.no_flags,
        };
        let mut found = false;
        let (entries, mut at, _) = data.map(offset)?;
        for _ in 0..entries.min(ENTRIES_MAX) {
            let (name, value) = known.names.at(data, at)?;
            if name == EntryName::Area {
                at = location.read_area(data, value, known)?;
                found = true;
                continue;
            }
            // A pointer to a text that is not needed is not followed: that would read another page.
            if name == EntryName::Origin
                && let Some((_, next)) = data.pointed(value)
            {
                at = next;
                continue;
            }
            let (start, bytes, next) = short_text(data, value)?;
            found |= name != EntryName::Other;
            match name {
                EntryName::Place => location.place = Some(std::str::from_utf8(bytes).ok()?),
                EntryName::Network => location.network = known.checked.text(start, bytes)?,
                EntryName::Facts => location.set_facts(known.checked.text(start, bytes)?),
                _ => {}
            }
            at = next;
        }
        found.then_some(location)
    }

    #[inline]
    fn set_facts(&mut self, text: &'a str) {
        let (facts, flags) = text.split_once(FACTS_SEPARATOR).unwrap_or((text, ""));
        self.facts = facts;
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
        for text in [self.network, self.facts].into_iter().filter(|text| !text.is_empty()) {
            out.push_str(separator);
            route::write_marked(text, self.address, out);
            separator = ",";
        }
    }

    /// Appends the member `time_zone` at the instant `now`. Returns false, and appends nothing, if the zone is unknown.
    #[inline]
    pub fn write_time_zone(&self, now: Timestamp, out: &mut String) -> bool {
        let Some(zone) = self.zone.and_then(|name| self.zones.get(name)) else { return false };
        zones::write(&zone, now, out);
        true
    }

    /// The members of `threat` of which any source speaks, in JSON without braces; may be empty.
    pub fn threat(&self) -> &'a str {
        self.threat
    }

    /// The name of the time zone.
    pub fn time_zone(&self) -> Option<&'a str> {
        self.zone
    }
}

/// The origin in the record at `offset`: a JSON object from fields to the names of their sources.
pub(super) fn origin<'a>(data: Data<'a>, offset: usize, known: &ReaderCaches) -> Option<&'a str> {
    let (entries, mut at, _) = data.map(offset)?;
    for _ in 0..entries.min(ENTRIES_MAX) {
        let (name, value) = known.names.at(data, at)?;
        if name == EntryName::Origin {
            let (_, bytes, _) = short_text(data, value)?;
            return std::str::from_utf8(bytes).ok();
        }
        at = match data.pointed(value) {
            Some((_, next)) => next,
            None => short_text(data, value)?.2,
        };
    }
    None
}

/// The JSON object in an AS number's record.
pub(super) fn number(data: Data<'_>, offset: usize) -> Option<&str> {
    let (entries, at, _) = data.map(offset)?;
    let (key, value) = data.text(at)?;
    (entries == 1 && key == NUMBER).then(|| data.text(value).map(|(text, _)| text)).flatten()
}
