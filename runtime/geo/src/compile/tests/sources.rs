//! Compiling source databases of every layout, written by these tests, and refusing files that are not sources.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use mmdb_writer::{IpVersion, Value, Writer};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::check::check;
use crate::Database;
use crate::compile::{BuildError, BuildSource, DataDescription, NoProgress, Source, build, sample};

/// A source database with these records.
fn write(folder: &Path, name: &str, version: IpVersion, kind: &str, records: &[(&str, Json)]) -> PathBuf {
    let epoch = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_780_000_000);
    let mut writer = Writer::builder(kind).ip_version(version).build_epoch(epoch).build();
    for (network, record) in records {
        let network: ipnet::IpNet = network.parse().expect("a network");
        writer.insert_value(network, value(record)).expect("inserted");
    }
    let path = folder.join(name);
    std::fs::write(&path, writer.to_bytes().expect("bytes")).expect("written");
    path
}

/// JSON as the format's values.
fn value(json: &Json) -> Value {
    match json {
        Json::String(text) => Value::String(text.clone()),
        Json::Bool(truth) => Value::Bool(*truth),
        Json::Number(number) => match number.as_u64().and_then(|whole| u32::try_from(whole).ok()) {
            Some(whole) => Value::U32(whole),
            None => Value::Double(number.as_f64().expect("a number")),
        },
        Json::Array(list) => Value::Array(list.iter().map(value).collect()),
        Json::Object(map) => Value::Map(map.iter().map(|(name, json)| (name.clone(), value(json))).collect()),
        Json::Null => unreachable!("no source has null"),
    }
}

fn flat(country: &str, region: &str, city: &str, latitude: f64, longitude: f64) -> Json {
    json!({ "country_code": country, "state1": region, "state2": "", "city": city, "postcode": "",
            "latitude": latitude, "longitude": longitude, "timezone": "" })
}

fn location_of(database: &Database, address: &str) -> Json {
    let address: IpAddr = address.parse().expect("an address");
    let mut members = String::from("{");
    match database.lookup(address) {
        Some(location) => location.write_static(&mut members),
        None => return Json::Null,
    }
    serde_json::from_str(&(members + "}")).expect("JSON")
}

fn open(paths: &[PathBuf]) -> Vec<BuildSource> {
    paths.iter().map(|path| Source::open(path).expect("a source").into()).collect()
}

fn build_bytes(paths: &[PathBuf]) -> Vec<u8> {
    build(&open(paths), &DataDescription::default(), &NoProgress).expect("it compiles").to_bytes()
}

fn compiled(paths: &[PathBuf]) -> Database {
    Database::from_bytes(build_bytes(paths)).expect("it opens")
}

#[test]
fn flat_files_of_both_versions_become_one_database_with_facts_and_zones() {
    let folder = tempfile::tempdir().expect("a folder");
    let (berlin, tokyo) =
        (flat("DE", "Berlin", "Berlin", 52.52, 13.405), flat("JP", "Tokyo", "Tokyo", 35.6895, 139.692));
    let paths = [
        write(
            folder.path(),
            "4.mmdb",
            IpVersion::V4,
            "city ipv4",
            &[("5.0.0.0/9", berlin.clone()), ("5.128.0.0/10", tokyo.clone())],
        ),
        write(
            folder.path(),
            "6.mmdb",
            IpVersion::V6,
            "city ipv6",
            &[("2a00::/16", berlin), ("2400::/13", tokyo)],
        ),
    ];
    let database = compiled(&paths);
    for (address, city, country, eu, currency) in [
        ("5.1.2.3", "Berlin", "Germany", true, "EUR"),
        ("2a00::1", "Berlin", "Germany", true, "EUR"),
        ("5.191.255.255", "Tokyo", "Japan", false, "JPY"),
        ("2400:1::", "Tokyo", "Japan", false, "JPY"),
    ] {
        let location = location_of(&database, address);
        assert_eq!((&location["city"], &location["country_name"]), (&city.into(), &country.into()));
        assert_eq!((&location["is_eu"], &location["currency"]["code"]), (&eu.into(), &currency.into()));
    }
    assert_eq!(location_of(&database, "5.1.2.3")["latitude"], 52.52);
    let zone =
        |address: &str| database.lookup(address.parse().unwrap()).unwrap().time_zone().map(str::to_owned);
    assert_eq!(
        (zone("5.1.2.3").as_deref(), zone("2400::1").as_deref()),
        (Some("Europe/Berlin"), Some("Asia/Tokyo"))
    );
    for unknown in ["4.255.255.255", "5.192.0.0", "6.0.0.0", "2a01::", "::"] {
        assert_eq!(location_of(&database, unknown), Json::Null, "{unknown}");
    }
    for (path, ipv6) in paths.iter().zip([false, true]) {
        let checked = check(&database, path, ipv6, 2_000, 3).expect("the source reads");
        assert_eq!(checked.differences, Vec::<String>::new());
        assert!(checked.unknown > 0 && (checked.known > 0 || !ipv6), "{checked:?}");
    }
}

#[test]
fn maxmind_city_and_asn_are_merged_and_the_route_is_the_networks_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let london = json!({
        "city": { "names": { "en": "London", "fr": "Londres" } },
        "continent": { "code": "EU", "names": { "en": "Europe" } },
        "country": { "iso_code": "GB", "names": { "en": "United Kingdom" } },
        "location": { "latitude": 51.5142, "longitude": -0.0931, "time_zone": "Europe/London" },
        "postal": { "code": "EC1A" },
        "subdivisions": [{ "iso_code": "ENG", "names": { "en": "England" } }],
    });
    let asn = |number: u32, name: &str| json!({ "autonomous_system_number": number, "autonomous_system_organization": name });
    let paths = [
        write(folder.path(), "city.mmdb", IpVersion::V6, "GeoLite2-City", &[("81.2.69.0/24", london)]),
        write(
            folder.path(),
            "asn.mmdb",
            IpVersion::V6,
            "GeoLite2-ASN",
            &[
                ("81.2.69.128/25", asn(20_712, "Andrews & Arnold \"Ltd\"")),
                ("81.2.70.0/24", asn(64_496, "Example")),
                ("2a00:1450::/32", asn(15_169, "Google LLC")),
            ],
        ),
    ];
    let database = compiled(&paths);
    let location = location_of(&database, "81.2.69.142");
    let expected = json!({ "asn": "AS20712", "name": "Andrews & Arnold \"Ltd\"", "route": "81.2.69.128/25" });
    assert_eq!(
        (&location["city"], &location["region_code"], &location["asn"]),
        (&"London".into(), &"ENG".into(), &expected)
    );
    assert_eq!(location_of(&database, "81.2.69.1").get("asn"), None);
    assert_eq!(
        location_of(&database, "81.2.70.1"),
        json!({ "asn": { "asn": "AS64496", "name": "Example", "route": "81.2.70.0/24" } })
    );
    assert_eq!(location_of(&database, "2a00:1450::1")["asn"]["route"], "2a00:1450::/32");
    assert_eq!(database.asn(64_496), Some(r#"{"asn":"AS64496","name":"Example","routes":1}"#));
    assert_eq!(database.asn(1), None);
}

#[test]
fn ipinfo_lite_gives_country_and_network_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let record = json!({ "asn": "AS13335", "as_name": "Cloudflare, Inc.", "as_domain": "cloudflare.com", "country": "Australia",
                         "country_code": "AU", "continent": "Oceania", "continent_code": "OC" });
    let path = write(folder.path(), "lite.mmdb", IpVersion::V6, "ipinfo lite", &[("1.1.1.0/24", record)]);
    let location = location_of(&compiled(&[path]), "1.1.1.1");
    let expected = json!({ "asn": "AS13335", "name": "Cloudflare, Inc.", "domain": "cloudflare.com", "route": "1.1.1.0/24" });
    assert_eq!(
        (&location["country_name"], &location["continent_code"], &location["asn"]),
        (&"Australia".into(), &"OC".into(), &expected)
    );
}

/// A database compiled from sources of every layout, with their placeholders for unknown values.
fn of_dirty_sources(folder: &Path) -> Database {
    let mut dirty = flat("uk", "-", " New\u{a0}Town ", 91.0, 0.0);
    dirty["postcode"] = json!("N/A");
    dirty["timezone"] = json!("europe/london");
    let maxmind = json!({
        "city": { "names": { "en": "Unknown" } },
        "continent": { "code": "eu" },
        "country": { "iso_code": "zz", "names": { "en": "Nowhere" }, "is_in_european_union": true },
        "registered_country": { "iso_code": "fr", "names": { "en": "France" } },
        "location": { "latitude": 0.0, "longitude": 0.0, "time_zone": "-" },
        "postal": { "code": " 75001 " },
        "subdivisions": [{ "iso_code": "fr-idf", "names": { "en": "Île-de-France\t" } }],
    });
    let ipinfo = json!({ "asn": "as64496", "as_name": "-", "as_domain": "", "country": "Unknown", "country_code": "ZZ",
                         "continent": "Nowhere", "continent_code": "XX" });
    let networks = [
        (
            "8.0.0.0/24",
            json!({ "autonomous_system_number": 0, "autonomous_system_organization": "Not routed" }),
        ),
        (
            "8.1.0.0/24",
            json!({ "autonomous_system_number": 64_497, "autonomous_system_organization": " - " }),
        ),
    ];
    let null_island = flat("de", "", "", 0.0, 0.0);
    let nothing = flat("-", " ", "", 200.0, 500.0);
    let write = |name: &str, records: &[(&str, Json)]| write(folder, name, IpVersion::V6, name, records);
    compiled(&[
        write("flat.mmdb", &[("1.0.0.0/8", dirty), ("2.0.0.0/8", null_island), ("3.0.0.0/8", nothing)]),
        write("maxmind.mmdb", &[("4.0.0.0/8", maxmind)]),
        write("ipinfo.mmdb", &[("5.0.0.0/8", ipinfo)]),
        write("asn.mmdb", &networks),
    ])
}

#[test]
fn placeholders_in_sources_are_served_as_unknown() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = of_dirty_sources(folder.path());
    let of = |address: &str, names: &[&str]| {
        let location = location_of(&database, address);
        names.iter().map(|name| location[name].clone()).collect::<Vec<Json>>()
    };
    let place = [
        "country_code",
        "country_name",
        "continent_code",
        "region",
        "region_code",
        "city",
        "postal",
        "latitude",
    ];
    let null = Json::Null;
    assert_eq!(
        of("1.1.1.1", &place),
        [
            json!("GB"),
            json!("United Kingdom"),
            json!("EU"),
            null.clone(),
            null.clone(),
            json!("New Town"),
            null.clone(),
            null.clone()
        ]
    );
    assert_eq!(
        of("2.1.1.1", &["country_code", "latitude", "longitude"]),
        [json!("DE"), null.clone(), null.clone()]
    );
    assert_eq!(location_of(&database, "3.1.1.1"), null);
    assert_eq!(
        of("4.1.1.1", &place),
        [
            json!("FR"),
            json!("France"),
            json!("EU"),
            json!("Île-de-France"),
            json!("IDF"),
            null.clone(),
            json!("75001"),
            null.clone()
        ]
    );
    assert_eq!(
        location_of(&database, "5.1.1.1"),
        json!({ "asn": { "asn": "AS64496", "route": "5.0.0.0/8" } })
    );
    assert_eq!(location_of(&database, "8.0.0.1"), null);
    assert_eq!(
        location_of(&database, "8.1.0.1"),
        json!({ "asn": { "asn": "AS64497", "route": "8.1.0.0/24" } })
    );
    let zone = |address: &str| database.lookup(address.parse().unwrap()).and_then(|found| found.time_zone());
    assert_eq!((zone("1.1.1.1"), zone("2.1.1.1"), zone("4.1.1.1")), (Some("Europe/London"), None, None));
}

/// Everything that a database answers about an address at an instant.
fn answer(database: &Database, address: IpAddr) -> Option<String> {
    let mut out = String::new();
    let location = database.lookup(address)?;
    location.write_static(&mut out);
    out.push('|');
    location.write_time_zone("2026-11-24T12:00:00Z".parse().expect("a timestamp"), &mut out);
    Some(out)
}

#[test]
fn an_answer_does_not_depend_on_those_before_it() {
    // More areas than any cache has slots, and every time zone.
    const AREAS: u32 = 12_000;
    let folder = tempfile::tempdir().expect("a folder");
    let zones: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
    assert!(zones.len() > 400, "{}", zones.len());
    let zone_of = |area: u32| &zones[area as usize % zones.len()];
    let record = |area: u32| json!({ "country_code": "DE", "state1": format!("R{area}"), "city": "", "timezone": zone_of(area) });
    let address = |area: u32| IpAddr::from(std::net::Ipv4Addr::from_bits((20 << 24) + (area << 8) + 7));
    let records: Vec<(String, Json)> = (0..AREAS)
        .map(|area| (format!("{}/24", std::net::Ipv4Addr::from_bits((20 << 24) + (area << 8))), record(area)))
        .collect();
    let records: Vec<(&str, Json)> =
        records.iter().map(|(network, json)| (network.as_str(), json.clone())).collect();
    let path = write(folder.path(), "areas.mmdb", IpVersion::V4, "city", &records);
    let bytes = build_bytes(&[path]);
    let old = Database::from_bytes(bytes.clone()).expect("it opens");
    for round in 0..2 {
        for area in 0..AREAS {
            let text = answer(&old, address(area)).expect("known");
            let name = old.lookup(address(area)).and_then(|found| found.time_zone()).map(str::to_owned);
            assert!(text.starts_with(&format!("\"region\":\"R{area}\",")), "{round} {area}: {text}");
            assert!(
                text.contains(&format!("|\"time_zone\":{{\"name\":\"{}\"", name.expect("a zone"))),
                "{round} {area}: {text}"
            );
        }
    }
    let mut random = fastrand::Rng::with_seed(6);
    for _ in 0..40 {
        let fresh = Database::from_bytes(bytes.clone()).expect("it opens");
        let some = address(random.u32(0..AREAS + 100));
        assert_eq!(answer(&old, some), answer(&fresh, some), "{some}");
    }
}

#[test]
fn the_same_sources_give_the_same_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let records: Vec<(String, Json)> = (0..200_u8)
        .map(|n| {
            (format!("5.{n}.0.0/16"), flat("DE", "R", &format!("City {}", n % 7), f64::from(n % 7), 9.5))
        })
        .collect();
    let records: Vec<(&str, Json)> =
        records.iter().map(|(network, json)| (network.as_str(), json.clone())).collect();
    let path = write(folder.path(), "4.mmdb", IpVersion::V4, "city", &records);
    let bytes = || build_bytes(std::slice::from_ref(&path));
    assert_eq!(bytes(), bytes());
}

#[test]
fn files_that_are_not_sources_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = write(
        folder.path(),
        "good.mmdb",
        IpVersion::V4,
        "city",
        &[("5.0.0.0/8", flat("DE", "", "Berlin", 52.5, 13.4))],
    );
    let other =
        write(folder.path(), "other.mmdb", IpVersion::V4, "x", &[("5.0.0.0/8", json!({ "colour": "red" }))]);
    let junk = folder.path().join("junk.mmdb");
    std::fs::write(&junk, b"not a database").expect("written");
    let bytes = std::fs::read(&good).expect("bytes");
    let cut = folder.path().join("cut.mmdb");
    // All but the metadata and a few bytes before it is gone.
    let marker = bytes.windows(11).position(|window| window == b"MaxMind.com").expect("a marker") - 3;
    std::fs::write(&cut, &bytes[marker - 8..]).expect("written");
    assert!(matches!(Source::open(&folder.path().join("none.mmdb")), Err(BuildError::Open { .. })));
    for path in [&junk, &cut] {
        let text = Source::open(path).map(|_| ()).expect_err("refused").to_string();
        assert!(text.contains(&path.display().to_string()) && text.contains("ipgeo geo fetch"), "{text}");
    }
    let refused = build(&open(&[other]), &DataDescription::default(), &NoProgress).map(|_| ());
    assert!(matches!(refused, Err(BuildError::Layout { .. })), "{refused:?}");
}

#[test]
fn maxminds_own_test_files_compile_and_equal_themselves() {
    // Apache-2.0 OR MIT, from MaxMind-DB; not part of this repository, and tested if present.
    let folder = std::env::var_os("IPGEO_MAXMIND_TEST_FILES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/mmdb"),
        PathBuf::from,
    );
    let paths = ["GeoIP2-City-Test.mmdb", "GeoLite2-ASN-Test.mmdb"].map(|name| folder.join(name));
    if !paths.iter().all(|path| path.is_file()) {
        return;
    }
    let database = compiled(&paths);
    let london = location_of(&database, "81.2.69.160");
    assert_eq!((&london["city"], &london["time_zone"]), (&"London".into(), &Json::Null));
    assert_eq!(location_of(&database, "1.128.0.1")["asn"]["asn"], "AS1221");
    for ipv6 in [false, true] {
        let checked = check(&database, &paths[0], ipv6, 20_000, 5).expect("the source reads");
        assert_eq!(checked.differences, Vec::<String>::new());
    }
}

#[test]
fn any_reader_of_the_format_opens_the_result() {
    let bytes = sample().expect("it compiles");
    let reader = maxminddb::Reader::from_source(bytes).expect("it opens");
    assert_eq!(reader.metadata().database_type, "ipgeo");
    let record: Json =
        reader.lookup("8.8.8.8".parse().unwrap()).expect("a lookup").decode().expect("a record").unwrap();
    // Networks of one place share it.
    let base = &record["base"];
    assert_eq!(base["area"]["zone"], "America/Los_Angeles");
    assert!(base["place"].as_str().expect("text").starts_with("\"city\":\"Mountain View\""));
    assert!(record["n120"].as_str().expect("text").starts_with("15169\",\"name\":\"Google"));
    reader.verify().expect("it is sound");
}

#[test]
fn a_lookup_reads_few_pages_and_as_many_as_it_says() {
    let database = Database::from_bytes(sample().expect("it compiles")).expect("it opens");
    let mut random = fastrand::Rng::with_seed(4);
    let mut most = 0;
    for _ in 0..20_000 {
        let address: IpAddr = if random.bool() {
            std::net::Ipv4Addr::from_bits(random.u32(..)).into()
        } else {
            std::net::Ipv6Addr::from_bits(0x2 << 124 | random.u128(..) >> 4).into()
        };
        let pages = database.pages(address);
        assert!(pages.iter().all(|page| *page as u64 * 4_096 < database.info().bytes));
        // A record, its area and its network take at most a page each; the walk before them takes at least one.
        let known = database.lookup(address).is_some();
        assert!((if known { 2 } else { 1 }..=6).contains(&pages.len()), "{address}: {pages:?}");
        most = most.max(pages.len());
    }
    assert!(most >= 3, "{most}");
}

/// Looks up everything; that the answers are UTF-8 is checked by their type.
fn look_around(database: &Database) {
    let now = "2026-11-24T12:00:00Z".parse().expect("a timestamp");
    let mut out = String::new();
    for n in 0..=255_u8 {
        for address in
            [IpAddr::from([n, n, n, n]), IpAddr::from([0x2600_u16 + u16::from(n), 1, 2, 3, 4, 5, 6, 7])]
        {
            if let Some(location) = database.lookup(address) {
                location.write_static(&mut out);
                location.write_time_zone(now, &mut out);
            }
        }
    }
    database.asn(15_169);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn a_damaged_database_never_panics(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40), cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        static SAMPLE: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
        let mut bytes = SAMPLE.get_or_init(|| sample().expect("it compiles")).clone();
        for (at, byte) in flips {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.drain(..cut.index(bytes.len()) / 2);
        }
        if let Ok(database) = Database::from_bytes(bytes) {
            look_around(&database);
        }
    }

    #[test]
    fn bytes_that_are_no_database_are_refused(bytes: Vec<u8>) {
        prop_assert!(Database::from_bytes(bytes).is_err());
    }
}
