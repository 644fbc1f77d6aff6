//! Reads a record: the texts of a location, borrowed from the file.

#![expect(clippy::inline_always, reason = "calls within a lookup take a third of its time")]

use std::net::IpAddr;

use jiff::Timestamp;

use super::format::{
    AREA, ASN_START, BASE, COUNTRY, FACTS, FACTS_SEPARATOR, NUMBER, ORIGIN, PLACE, TEXT, ZONE, route_length,
};
use super::raw::{Data, Unread, Value};
use super::route;
use super::starts::WalkStarts;
use super::trace::Trace;
use super::utf8::Utf8Cache;
use super::zones::ZoneCache;

/// Maximum number of entries to read of a record: a valid one has at most five.
const ENTRIES_MAX: usize = 8;
/// Maximum bytes of a text to read: a valid one fits in a page. A hostile file may have megabytes for every address.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// About as much as the routes of an answer and its separators take.
const ROUTES_BYTES: usize = 128;

/// What a database holds about an address.
#[derive(Debug, Clone, Copy)]
pub struct Location<'a> {
    zones: &'a ZoneCache,
    address: IpAddr,
    place: Option<&'a str>,
    area: Option<&'a str>,
    country: Option<&'a str>,
    /// The time zone's name.
    zone: Option<&'a str>,
    /// The member `asn` without its route, and the length of that.
    network: Option<(&'a str, u8)>,
    /// Company and crawler, with marks for prefixes.
    facts: &'a str,
    /// The members of `threat`.
    threat: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EntryName {
    Place,
    Area,
    Text,
    Country,
    Zone,
    Base,
    /// With the length of the route.
    Network(u8),
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
            COUNTRY => EntryName::Country,
            ZONE => EntryName::Zone,
            BASE => EntryName::Base,
            FACTS => EntryName::Facts,
            ORIGIN => EntryName::Origin,
            _ => route_length(text).map_or(EntryName::Other, EntryName::Network),
        }
    }

    /// The name at `at`, and its value.
    #[inline(always)]
    fn at<T: Trace>(&self, data: Data<'_, T>, at: usize) -> Option<(EntryName, Unread)> {
        if let Some((target, value)) = data.short_pointer(at)
            && let Some(name) = self.0.get(target).filter(|name| **name != EntryName::Other)
        {
            return Some((*name, value));
        }
        let (text, next) = data.text(at)?;
        Some((Self::of(text), data.unread(next)?))
    }
}

/// What lookups remember about a database.
pub(super) struct ReaderCaches {
    names: EntryNames,
    checked: Utf8Cache,
    zones: ZoneCache,
    pub(super) starts: WalkStarts,
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
            starts: WalkStarts::new(),
            no_flags: members.join(","),
        }
    }
}

/// A text that is not checked yet: its offset, and its bytes.
type Unchecked<'a> = (usize, &'a [u8]);

/// A text within the maximum length, and the offset after it.
#[inline(always)]
fn short_text<T: Trace>(data: Data<'_, T>, value: Unread) -> Option<(Unchecked<'_>, usize)> {
    let (start, bytes, next) = data.text_bytes(value)?;
    (bytes.len() <= TEXT_BYTES_MAX).then_some(((start, bytes), next))
}

/// A map behind a pointer: its number of entries, and the offset of the first.
type Behind = (usize, usize);

/// The texts of a record. All are found before any is read, so that the processor waits for their memory at once and not one
/// after the other.
#[derive(Default)]
struct RecordTexts<'a> {
    place: Option<Unchecked<'a>>,
    area: Option<Unchecked<'a>>,
    country: Option<Unchecked<'a>>,
    zone: Option<Unchecked<'a>>,
    network: Option<(Unchecked<'a>, u8)>,
    facts: Option<Unchecked<'a>>,
}

impl<'a> RecordTexts<'a> {
    #[inline(always)]
    fn find<T: Trace>(data: Data<'a, T>, offset: usize, names: &EntryNames) -> Option<Self> {
        let mut texts = Self::default();
        let (entries, at, _) = data.map(data.unread(offset)?)?;
        let (mut base, mut area) = (None, None);
        texts.entries(data, (entries, at), names, Some(&mut base), &mut area)?;
        if let Some(base) = base {
            texts.entries(data, base, names, None, &mut area)?;
        }
        if let Some(area) = area {
            texts.area_entries(data, area, names)?;
        }
        Some(texts)
    }

    /// Finds the texts of a record or, without a `base`, of a base: a base has no base, so a hostile file can't nest them.
    /// Returns the offset after the last entry.
    #[inline(always)]
    fn entries<T: Trace>(
        &mut self,
        data: Data<'a, T>,
        (entries, mut at): Behind,
        names: &EntryNames,
        mut base: Option<&mut Option<Behind>>,
        area: &mut Option<Behind>,
    ) -> Option<usize> {
        for _ in 0..entries.min(ENTRIES_MAX) {
            let (name, value) = names.at(data, at)?;
            at = match (name, &mut base) {
                (EntryName::Area, _) => {
                    let (entries, first, next) = data.map(value)?;
                    match next {
                        Some(next) => {
                            *area = Some((entries, first));
                            next
                        }
                        None => self.area_entries(data, (entries, first), names)?,
                    }
                }
                (EntryName::Base, Some(base)) => {
                    let (entries, first, next) = data.map(value)?;
                    match next {
                        Some(next) => {
                            **base = Some((entries, first));
                            next
                        }
                        None => self.entries(data, (entries, first), names, None, area)?,
                    }
                }
                _ => self.text(data, name, value)?,
            };
        }
        Some(at)
    }

    #[inline(always)]
    fn area_entries<T: Trace>(
        &mut self,
        data: Data<'a, T>,
        (entries, mut at): Behind,
        names: &EntryNames,
    ) -> Option<usize> {
        for _ in 0..entries.min(ENTRIES_MAX) {
            let (name, value) = names.at(data, at)?;
            let (text, next) = short_text(data, value)?;
            match name {
                EntryName::Text => self.area = Some(text),
                EntryName::Country => self.country = Some(text),
                EntryName::Zone => self.zone = Some(text),
                _ => {}
            }
            at = next;
        }
        Some(at)
    }

    #[inline(always)]
    fn text<T: Trace>(&mut self, data: Data<'a, T>, name: EntryName, value: Unread) -> Option<usize> {
        // A pointer to a text that is not needed is not followed: that would read another page.
        if name == EntryName::Origin
            && let Some((_, next)) = data.pointer(value)
        {
            return Some(next);
        }
        let (text, next) = short_text(data, value)?;
        match name {
            EntryName::Place => self.place = Some(text),
            EntryName::Network(length) => self.network = Some((text, length)),
            EntryName::Facts => self.facts = Some(text),
            _ => {}
        }
        Some(next)
    }
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
        let texts = RecordTexts::find(data, offset, &known.names)?;
        // Most places occur in one record, so remembering them would only push others out.
        let place = match texts.place {
            Some((_, bytes)) => Some(std::str::from_utf8(bytes).ok()?),
            None => None,
        };
        let checked = |text: Option<Unchecked<'a>>| match text {
            Some((start, bytes)) => known.checked.text(start, bytes).map(Some),
            None => Some(None),
        };
        let (area, country) = (checked(texts.area)?, checked(texts.country)?);
        let (zone, network) = (checked(texts.zone)?, checked(texts.network.map(|(text, _)| text))?);
        let facts = checked(texts.facts)?.map(|text| text.split_once(FACTS_SEPARATOR).unwrap_or((text, "")));
        let network =
            network.zip(texts.network.map(|(_, length)| length)).filter(|(text, _)| !text.is_empty());
        if place.or(area).or(country).is_none() && network.is_none() && facts.is_none() {
            return None;
        }
        let (facts, flags) = facts.unwrap_or_default();
        Some(Self {
            zones: &known.zones,
            address,
            place,
            area,
            country,
            zone,
            network,
            facts,
            threat: if flags.is_empty() { &known.no_flags } else { flags },
        })
    }

    /// Appends the JSON members that do not depend on the time, without braces: all except `ip`, `time_zone`, `threat` and
    /// `count`.
    #[inline]
    pub fn write_static(&self, out: &mut String) {
        let places = [self.place, self.area, self.country];
        let length: usize = places.iter().flatten().map(|text| text.len()).sum();
        // Once for all: growing bit by bit would copy the answer.
        out.reserve(
            length + self.network.map_or(0, |(text, _)| text.len()) + self.facts.len() + ROUTES_BYTES,
        );
        let before = out.len();
        for text in places.into_iter().flatten().filter(|text| !text.is_empty()) {
            out.push_str(text);
            out.push(',');
        }
        if let Some((network, length)) = self.network {
            out.push_str(ASN_START);
            out.push_str(network);
            out.push_str(",\"route\":\"");
            route::write_prefix(self.address, length, out);
            out.push_str("\"},");
        }
        if !self.facts.is_empty() {
            route::write_marked(self.facts, self.address, out);
            out.push(',');
        }
        // The last separator.
        if out.len() > before {
            out.pop();
        }
    }

    /// Appends the member `time_zone` at the instant `now`. Returns false, and appends nothing, if the zone is unknown.
    #[inline]
    pub fn write_time_zone(&self, now: Timestamp, out: &mut String) -> bool {
        self.zone.is_some_and(|name| self.zones.write(name, now, out))
    }

    /// The members of `threat` that any source covers, in JSON without braces; may be empty.
    pub fn threat(&self) -> &'a str {
        self.threat
    }

    /// IANA's name of the time zone.
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
    let (entries, at, _) = data.map(data.unread(offset)?)?;
    let (key, value) = data.text(at)?;
    (entries == 1 && key == NUMBER).then(|| data.text(value).map(|(text, _)| text)).flatten()
}
