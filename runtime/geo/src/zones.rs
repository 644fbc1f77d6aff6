//! Time zones, each parsed once per process, and the member `time_zone` at an instant.

use std::sync::{Mutex, OnceLock};

use jiff::Timestamp;
use jiff::tz::{Dst, TimeZone};

/// Slots for zones: 1.5 times the number of IANA names, so that probing stays short.
const SLOTS: usize = 1_024;

/// A zone with its latest text.
#[derive(Debug)]
struct NamedZone {
    name: Box<str>,
    zone: TimeZone,
    /// The text of a second of Unix time: most lookups of a zone share the second with the one before.
    latest: Mutex<Option<(i64, String)>>,
}

impl NamedZone {
    /// Appends the member `time_zone` at `now`.
    fn write(&self, now: Timestamp, out: &mut String) {
        // Whoever holds the lock writes the text itself: waiting would take longer.
        let Ok(mut latest) = self.latest.try_lock() else { return write(&self.zone, now, out) };
        let second = now.as_second();
        match &*latest {
            Some((known, text)) if *known == second => out.push_str(text),
            _ => {
                let start = out.len();
                write(&self.zone, now, out);
                *latest = Some((second, out[start..].to_owned()));
            }
        }
    }
}

/// Zones by IANA name. Filled on first use, never emptied, found without a lock. Only valid names take a slot, so no file
/// can fill the table; a zone without a slot is looked up each time, so responses never depend on earlier ones.
#[derive(Debug)]
pub(super) struct ZoneCache {
    /// Boxed, so that opening a database touches little memory.
    slots: Box<[OnceLock<Box<NamedZone>>]>,
}

/// The first slot to probe for a name.
#[inline]
fn hash(name: &str) -> usize {
    // FNV-1a: names are short, and differ in their last letters.
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    usize::try_from(hash >> 32).unwrap_or(0) % SLOTS
}

impl ZoneCache {
    pub(super) fn new() -> Self {
        Self { slots: (0..SLOTS).map(|_| OnceLock::new()).collect() }
    }

    /// Appends `"time_zone":{…}` at `now`. Returns false, and appends nothing, if IANA does not have the name.
    #[inline]
    pub(super) fn write(&self, name: &str, now: Timestamp, out: &mut String) -> bool {
        let start = hash(name);
        for slot in (start..start + SLOTS).map(|index| &self.slots[index % SLOTS]) {
            match slot.get() {
                Some(known) if *known.name == *name => {
                    known.write(now, out);
                    return true;
                }
                Some(_) => {}
                None => break,
            }
        }
        self.learn(name).is_some_and(|zone| {
            write(&zone, now, out);
            true
        })
    }

    /// Looks a name up, and remembers its zone.
    #[cold]
    fn learn(&self, name: &str) -> Option<TimeZone> {
        let zone = TimeZone::get(name).ok().filter(|zone| !zone.is_unknown())?;
        // Names match in any case; only IANA's spelling is cached.
        if zone.iana_name() == Some(name) {
            let start = hash(name);
            for slot in (start..start + SLOTS).map(|index| &self.slots[index % SLOTS]) {
                let latest = Mutex::new(None);
                let new = || Box::new(NamedZone { name: name.into(), zone: zone.clone(), latest });
                // Another thread may have taken the slot, for this or another name.
                if *slot.get_or_init(new).name == *name {
                    break;
                }
            }
        }
        Some(zone)
    }
}

/// Two decimal digits.
#[inline]
fn two(out: &mut String, number: u32) {
    out.push(char::from(b'0' + u8::try_from(number / 10 % 10).unwrap_or(0)));
    out.push(char::from(b'0' + u8::try_from(number % 10).unwrap_or(0)));
}

/// Appends `"time_zone":{…}` at `now`, with the zone's name as IANA writes it.
fn write(zone: &TimeZone, now: Timestamp, out: &mut String) {
    let info = zone.to_offset_info(now);
    let seconds = info.offset().seconds();
    let local = info.offset().to_datetime(now);
    let sign = if seconds < 0 { '-' } else { '+' };
    let minutes = seconds.unsigned_abs() / 60;

    out.push_str("\"time_zone\":{\"name\":\"");
    out.push_str(zone.iana_name().unwrap_or_default());
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

    /// Twice, for the remembered text.
    fn written(zones: &ZoneCache, name: &str, now: &str) -> Option<[String; 2]> {
        let now = now.parse().expect("a timestamp");
        let texts =
            [String::new(), String::new()].map(|mut out| zones.write(name, now, &mut out).then_some(out));
        let [first, second] = texts;
        Some([first?, second?])
    }

    #[test]
    fn an_instant_is_written_in_local_time() {
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
        let zones = ZoneCache::new();
        for _ in 0..2 {
            for (zone, now, expected) in table {
                assert_eq!(written(&zones, zone, now), Some([expected, expected].map(str::to_owned)));
            }
        }
    }

    #[test]
    fn a_text_is_that_of_its_own_second() {
        let zones = ZoneCache::new();
        for (now, expected) in [
            ("2026-11-24T11:05:09.9Z", "12:05:09"),
            ("2026-11-24T11:05:09.1Z", "12:05:09"),
            ("2026-11-24T11:05:10Z", "12:05:10"),
            ("2026-11-24T11:05:09Z", "12:05:09"),
        ] {
            let [first, second] = written(&zones, "Europe/Berlin", now).expect("a zone");
            assert!(first.contains(expected) && first == second, "{now} {first} {second}");
        }
    }

    #[test]
    fn every_iana_name_has_its_slot_whatever_comes_before() {
        let zones = ZoneCache::new();
        let names: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
        assert!(names.len() > 400 && names.len() < SLOTS * 3 / 4, "{}", names.len());
        let now = "2026-11-24T11:05:09Z";
        for round in 0..2 {
            for number in 0..3 * SLOTS {
                assert!(written(&zones, &format!("No/Such{number}"), now).is_none());
            }
            for name in &names {
                let known = TimeZone::get(name).ok().filter(|zone| !zone.is_unknown());
                let expected = known.map(|zone| {
                    let mut out = String::new();
                    write(&zone, now.parse().expect("a timestamp"), &mut out);
                    [out.clone(), out]
                });
                assert_eq!(written(&zones, name, now), expected, "{name} {round}");
                assert_eq!(written(&zones, &name.to_ascii_lowercase(), now), expected, "{name}");
            }
        }
        let taken = zones.slots.iter().filter(|slot| slot.get().is_some()).count();
        assert!(taken <= names.len() && taken > 400, "{taken} of {}", names.len());
    }
}
