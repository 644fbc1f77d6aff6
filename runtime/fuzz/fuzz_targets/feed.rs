//! A source of geo data of any bytes, in each format: ranges, or an error; and every address of a range finds a record.
#![no_main]

use std::path::Path;

use ipgeo_geo::compile::{JsonPath, Parts, RangeFormat, RangeSet};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [format, flags, data @ ..] = data else { return };
    let path = |text: &str| text.parse::<JsonPath>().expect("a path");
    let format = match format % 6 {
        0 => RangeFormat::Csv,
        1 => RangeFormat::List,
        2 => RangeFormat::Json(vec![path("prefixes[].ip_prefix"), path("prefixes[].ipv6_prefix")]),
        3 => RangeFormat::Json(vec![path("[]"), path("*.cidrs[]")]),
        4 => RangeFormat::Geofeed,
        _ => RangeFormat::Corrections,
    };
    let parts = Parts { country: flags & 1 > 0, city: flags & 2 > 0, asn: flags & 4 > 0 };
    let name = Path::new("feed");
    match RangeSet::from_bytes(name, data, &format, parts, flags & 8 > 0) {
        Ok(ranges) => assert_eq!(ranges.path(), name),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
