//! A location: where its texts stand in the file.

use jiff::Timestamp;

use super::format::{AREA, ASN, NUMBER, PLACE, TEXT, ZONE};
use super::raw::Data;
use super::zones::{self, Zones};

/// Entries of a record that are looked at: a sound one has at most four.
const ENTRIES_MAX: usize = 8;

/// What the database knows of an address.
#[derive(Debug, Clone, Copy)]
pub struct Location<'a> {
    zones: &'a Zones,
    place: Option<&'a str>,
    area: Option<&'a str>,
    /// The zone's name and where it stands.
    zone: Option<(&'a str, usize)>,
    asn: Option<&'a str>,
}

impl<'a> Location<'a> {
    /// Reads the record at `offset`; `None` when it is not one of ours, or empty.
    #[inline]
    pub(super) fn read(data: Data<'a>, offset: usize, zones: &'a Zones) -> Option<Self> {
        let mut location = Self { zones, place: None, area: None, zone: None, asn: None };
        let (entries, mut at, _) = data.map(offset)?;
        for _ in 0..entries.min(ENTRIES_MAX) {
            let (key, value) = data.text(at)?;
            if key == AREA {
                at = location.read_area(data, value)?;
                continue;
            }
            let (text, next) = data.text(value)?;
            match key {
                PLACE => location.place = Some(text),
                ASN => location.asn = Some(text),
                _ => {}
            }
            at = next;
        }
        let known = location.place.is_some() || location.area.is_some() || location.asn.is_some();
        known.then_some(location)
    }

    #[inline]
    fn read_area(&mut self, data: Data<'a>, at: usize) -> Option<usize> {
        let (entries, mut entry, next) = data.map(at)?;
        for _ in 0..entries.min(ENTRIES_MAX) {
            let (key, value) = data.text(entry)?;
            let (text, after) = data.text(value)?;
            match key {
                TEXT => self.area = Some(text),
                ZONE => self.zone = Some((text, data.target(value)?)),
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
        let Some((name, offset)) = self.zone else { return false };
        let Some(zone) = self.zones.get(offset, name) else { return false };
        zones::write(name, zone, now, out);
        true
    }

    /// The name of the time zone.
    pub fn time_zone(&self) -> Option<&'a str> {
        self.zone.map(|(name, _)| name)
    }
}

/// What is known of a network number, from its record.
pub(super) fn number(data: Data<'_>, offset: usize) -> Option<&str> {
    let (entries, at, _) = data.map(offset)?;
    let (key, value) = data.text(at)?;
    (entries == 1 && key == NUMBER).then(|| data.text(value).map(|(text, _)| text)).flatten()
}
