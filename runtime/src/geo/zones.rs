//! Time zones of a database, each parsed once, and the member `time_zone` at an instant.

use std::sync::OnceLock;

use jiff::Timestamp;
use jiff::tz::{Dst, TimeZone};

/// Places for zones: twice as many as the world has, so that probing stays short.
const PLACES: usize = 1_024;

/// Where a name stands, and the zone of that name.
type Known = (usize, Option<TimeZone>);

/// Zones by where their name stands in the file. Filled on first use, never emptied, read without a lock.
#[derive(Debug)]
pub(super) struct Zones {
    places: Box<[OnceLock<Known>]>,
}

impl Zones {
    pub(super) fn new() -> Self {
        Self { places: (0..PLACES).map(|_| OnceLock::new()).collect() }
    }

    /// The zone whose name stands at `offset`; `None` when nobody knows the name, or when a hostile file
    /// has more names than there are places.
    #[inline]
    pub(super) fn get(&self, offset: usize, name: &str) -> Option<&TimeZone> {
        // Multiplicative hashing spreads neighbouring offsets.
        let start = offset.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54;
        for place in (start..start + PLACES).map(|place| &self.places[place % PLACES]) {
            let (known, zone) = place.get_or_init(|| (offset, TimeZone::get(name).ok()));
            if *known == offset {
                return zone.as_ref();
            }
        }
        None
    }
}

/// Two decimal digits.
#[inline]
fn two(out: &mut String, number: u32) {
    out.push(char::from(b'0' + u8::try_from(number / 10 % 10).unwrap_or(0)));
    out.push(char::from(b'0' + u8::try_from(number % 10).unwrap_or(0)));
}

/// Appends `"time_zone":{…}` for `name` at `now`.
pub(super) fn write(name: &str, zone: &TimeZone, now: Timestamp, out: &mut String) {
    let info = zone.to_offset_info(now);
    let seconds = info.offset().seconds();
    let local = info.offset().to_datetime(now);
    let sign = if seconds < 0 { '-' } else { '+' };
    let minutes = seconds.unsigned_abs() / 60;

    out.push_str("\"time_zone\":{\"name\":\"");
    out.push_str(name);
    out.push_str("\",\"abbr\":\"");
    out.push_str(info.abbreviation());
    out.push_str("\",\"offset\":\"");
    out.push(sign);
    two(out, minutes / 60);
    two(out, minutes % 60);
    out.push_str("\",\"is_dst\":");
    out.push_str(if info.dst() == Dst::Yes { "true" } else { "false" });
    out.push_str(",\"current_time\":\"");
    let year = u32::try_from(local.year()).unwrap_or(0);
    two(out, year / 100);
    two(out, year % 100);
    for (before, number) in [
        ('-', local.month()),
        ('-', local.day()),
        ('T', local.hour()),
        (':', local.minute()),
        (':', local.second()),
    ] {
        out.push(before);
        two(out, number.unsigned_abs().into());
    }
    out.push(sign);
    two(out, minutes / 60);
    out.push(':');
    two(out, minutes % 60);
    out.push_str("\"}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(name: &str, now: &str) -> String {
        let zones = Zones::new();
        let mut out = String::new();
        let zone = zones.get(7, name).expect("a zone");
        write(name, zone, now.parse().expect("a timestamp"), &mut out);
        out
    }

    #[test]
    fn an_instant_is_told_in_local_time() {
        let table = [
            (
                "America/Los_Angeles",
                "2026-11-24T11:05:09.9Z",
                r#""time_zone":{"name":"America/Los_Angeles","abbr":"PST","offset":"-0800","is_dst":false,"current_time":"2026-11-24T03:05:09-08:00"}"#,
            ),
            (
                "Europe/Berlin",
                "2026-07-01T22:30:00Z",
                r#""time_zone":{"name":"Europe/Berlin","abbr":"CEST","offset":"+0200","is_dst":true,"current_time":"2026-07-02T00:30:00+02:00"}"#,
            ),
            (
                "Asia/Kathmandu",
                "2026-01-01T00:00:00Z",
                r#""time_zone":{"name":"Asia/Kathmandu","abbr":"+0545","offset":"+0545","is_dst":false,"current_time":"2026-01-01T05:45:00+05:45"}"#,
            ),
            (
                "America/St_Johns",
                "2026-01-01T00:00:00Z",
                r#""time_zone":{"name":"America/St_Johns","abbr":"NST","offset":"-0330","is_dst":false,"current_time":"2025-12-31T20:30:00-03:30"}"#,
            ),
        ];
        for (zone, now, expected) in table {
            assert_eq!(written(zone, now), expected);
        }
    }

    #[test]
    fn every_name_has_its_place_and_a_hostile_file_does_no_harm() {
        let zones = Zones::new();
        for offset in 0..3 * PLACES {
            let found = zones.get(offset, if offset == 5 { "Europe/Paris" } else { "No/Such" });
            assert_eq!(found.is_some(), offset == 5, "{offset}");
        }
        assert!(zones.get(5, "Europe/Paris").is_some());
    }
}
