//! Reads a record: the texts of a location, borrowed from the file.

use jiff::Timestamp;

use super::format::{AREA, ASN, NUMBER, PLACE, TEXT, ZONE};
use super::raw::Data;
use super::trace::Trace;
use super::utf8::Utf8Cache;
use super::zones::{self, ZoneCache};

/// Maximum number of entries to read of a record: a valid one has at most four.
const ENTRIES_MAX: usize = 8;
/// Maximum bytes of a text to read: a valid one fits in a page. A hostile file may have megabytes for every address.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// What a database holds about an address.
#[derive(Debug, Clone, Copy)]
pub struct Location<'a> {
    zones: &'a ZoneCache,
    place: Option<&'a str>,
    area: Option<&'a str>,
    /// The time zone's name.
    zone: Option<&'a str>,
    asn: Option<&'a str>,
}

/// The name of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EntryName {
    Place,
    Area,
    Text,
    Zone,
    Asn,
    Other,
}

/// The names of entries with their offsets. Read once, so that a lookup recognises a name by the pointer to it, without
/// reading the text.
#[derive(Debug, Clone)]
struct EntryNames([(usize, EntryName); 5]);

impl EntryNames {
    /// Reads the names at the start of a compiled database's data.
    fn read(data: Data<'_>) -> Self {
        let mut names = Self([(usize::MAX, EntryName::Other); 5]);
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
            ASN => EntryName::Asn,
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
}

impl ReaderCaches {
    /// Before the first lookup.
    pub(super) fn new(data: Data<'_>) -> Self {
        Self { names: EntryNames::read(data), checked: Utf8Cache::new(), zones: ZoneCache::new() }
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
    pub(super) fn read<T: Trace>(data: Data<'a, T>, offset: usize, known: &'a ReaderCaches) -> Option<Self> {
        let mut location = Self { zones: &known.zones, place: None, area: None, zone: None, asn: None };
        let (entries, mut at, _) = data.map(offset)?;
        for _ in 0..entries.min(ENTRIES_MAX) {
            let (name, value) = known.names.at(data, at)?;
            if name == EntryName::Area {
                at = location.read_area(data, value, known)?;
                continue;
            }
            let (_, bytes, next) = short_text(data, value)?;
            let text = std::str::from_utf8(bytes).ok()?;
            match name {
                EntryName::Place => location.place = Some(text),
                EntryName::Asn => location.asn = Some(text),
                _ => {}
            }
            at = next;
        }
        let found = location.place.is_some() || location.area.is_some() || location.asn.is_some();
        found.then_some(location)
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
        for text in [self.place, self.area, self.asn].into_iter().flatten().filter(|text| !text.is_empty()) {
            out.push_str(separator);
            out.push_str(text);
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

    /// The name of the time zone.
    pub fn time_zone(&self) -> Option<&'a str> {
        self.zone
    }
}

/// The JSON object in an AS number's record.
pub(super) fn number(data: Data<'_>, offset: usize) -> Option<&str> {
    let (entries, at, _) = data.map(offset)?;
    let (key, value) = data.text(at)?;
    (entries == 1 && key == NUMBER).then(|| data.text(value).map(|(text, _)| text)).flatten()
}
