//! A location: where its texts stand in the file.

use jiff::Timestamp;

use super::checked::Checked;
use super::format::{AREA, ASN, NUMBER, PLACE, TEXT, ZONE};
use super::raw::Data;
use super::trace::Trace;
use super::zones::{self, Zones};

/// Entries of a record that are looked at: a sound one has at most four.
const ENTRIES_MAX: usize = 8;
/// Maximum bytes of a text to read: a valid one fits in a page. A hostile file may have megabytes for every address.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// What the database knows of an address.
#[derive(Debug, Clone, Copy)]
pub struct Location<'a> {
    zones: &'a Zones,
    place: Option<&'a str>,
    area: Option<&'a str>,
    /// The zone's name.
    zone: Option<&'a str>,
    asn: Option<&'a str>,
}

/// A name of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    Place,
    Area,
    Text,
    Zone,
    Asn,
    Other,
}

/// The names of entries, and where they stand in a database: learnt once, so that a lookup knows a name by what
/// points to it and does not read it.
#[derive(Debug, Clone)]
struct Names([(usize, Name); 5]);

impl Names {
    /// Reads the names with which a compiled database's data starts.
    fn read(data: Data<'_>) -> Self {
        let mut names = Self([(usize::MAX, Name::Other); 5]);
        let mut at = 0;
        for _ in 0..ENTRIES_MAX {
            let Some((text, next)) = data.text(at) else { break };
            let name = Self::of(text);
            if name != Name::Other
                && let Some(free) = names.0.iter_mut().find(|(_, name)| *name == Name::Other)
            {
                *free = (at, name);
            }
            at = next;
        }
        names
    }

    fn of(text: &str) -> Name {
        match text {
            PLACE => Name::Place,
            AREA => Name::Area,
            TEXT => Name::Text,
            ZONE => Name::Zone,
            ASN => Name::Asn,
            _ => Name::Other,
        }
    }

    /// The name at `at` and where its value starts.
    #[inline]
    fn at<T: Trace>(&self, data: Data<'_, T>, at: usize) -> Option<(Name, usize)> {
        if let Some((target, next)) = data.pointed(at)
            && let Some((_, name)) = self.0.iter().find(|(known, _)| *known == target)
        {
            return Some((*name, next));
        }
        let (text, next) = data.text(at)?;
        Some((Self::of(text), next))
    }
}

/// What is learnt of a database once, or little by little.
pub(super) struct Known {
    names: Names,
    checked: Checked,
    zones: Zones,
}

impl Known {
    /// What is known of a database whose data this is, before the first lookup.
    pub(super) fn new(data: Data<'_>) -> Self {
        Self { names: Names::read(data), checked: Checked::new(), zones: Zones::new() }
    }
}

/// A text within the maximum length: its offset, its bytes, and the offset after it.
#[inline]
fn short_text<T: Trace>(data: Data<'_, T>, at: usize) -> Option<(usize, &[u8], usize)> {
    data.text_bytes(at).filter(|(_, bytes, _)| bytes.len() <= TEXT_BYTES_MAX)
}

impl<'a> Location<'a> {
    /// Reads the record at `offset`; `None` when it is not one of ours, or empty.
    #[inline]
    pub(super) fn read<T: Trace>(data: Data<'a, T>, offset: usize, known: &'a Known) -> Option<Self> {
        let mut location = Self { zones: &known.zones, place: None, area: None, zone: None, asn: None };
        let (entries, mut at, _) = data.map(offset)?;
        for _ in 0..entries.min(ENTRIES_MAX) {
            let (name, value) = known.names.at(data, at)?;
            if name == Name::Area {
                at = location.read_area(data, value, known)?;
                continue;
            }
            let (_, bytes, next) = short_text(data, value)?;
            let text = std::str::from_utf8(bytes).ok()?;
            match name {
                Name::Place => location.place = Some(text),
                Name::Asn => location.asn = Some(text),
                _ => {}
            }
            at = next;
        }
        let found = location.place.is_some() || location.area.is_some() || location.asn.is_some();
        found.then_some(location)
    }

    #[inline]
    fn read_area<T: Trace>(&mut self, data: Data<'a, T>, at: usize, known: &Known) -> Option<usize> {
        let (entries, mut entry, next) = data.map(at)?;
        for _ in 0..entries.min(ENTRIES_MAX) {
            let (name, value) = known.names.at(data, entry)?;
            let (start, bytes, after) = short_text(data, value)?;
            let text = known.checked.text(start, bytes)?;
            match name {
                Name::Text => self.area = Some(text),
                Name::Zone => self.zone = Some(text),
                _ => {}
            }
            entry = after;
        }
        Some(next.unwrap_or(entry))
    }

    /// Appends the JSON members of all that does not depend on the clock, without braces: everything but
    /// `ip`, `time_zone`, `threat` and `count`. Nothing when nothing is known.
    #[inline]
    pub fn write_static(&self, out: &mut String) {
        let mut separator = "";
        for text in [self.place, self.area, self.asn].into_iter().flatten().filter(|text| !text.is_empty()) {
            out.push_str(separator);
            out.push_str(text);
            separator = ",";
        }
    }

    /// Appends the member `time_zone` as it is at `now`; false and nothing when the zone is not known.
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

/// What is known of a network number, from its record.
pub(super) fn number(data: Data<'_>, offset: usize) -> Option<&str> {
    let (entries, at, _) = data.map(offset)?;
    let (key, value) = data.text(at)?;
    (entries == 1 && key == NUMBER).then(|| data.text(value).map(|(text, _)| text)).flatten()
}
