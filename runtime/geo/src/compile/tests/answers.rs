//! Answers of databases that are compiled from several sources: flags, companies, crawlers, agreement, and their explanation.

use std::net::IpAddr;

use serde_json::{Value as Json, json};

use crate::compile::extract::{SourceNetwork, SourcePlace, SourceRecord};
use crate::compile::{
    Blocklist, BuildSource, Crawler, DataDescription, Flags, NetworkUse, NoProgress, RangeSet, SourceData,
    SourceGives, build, explain,
};
use crate::{Database, FORMAT_VERSION};

fn bits(address: &str) -> u128 {
    match address.parse().expect("an address") {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// A source of networks in CIDR form, each with its record.
fn source(name: &str, gives: SourceGives, networks: &[(&str, SourceRecord)]) -> BuildSource {
    let mut ranges = Vec::new();
    for (index, (network, _)) in (0_u32..).zip(networks) {
        let network: ipnet::IpNet = network.parse().expect("a network");
        let [first, last] =
            [network.network(), network.broadcast()].map(|address| bits(&address.to_string()));
        ranges.push((first, last, index));
    }
    let records = networks.iter().map(|(_, record)| record.clone()).collect();
    let data = SourceData::Ranges(RangeSet::from_ranges(name.into(), &ranges, records));
    BuildSource { name: name.into(), data, gives }
}

/// A list: networks, and what each of them says.
fn list(name: &str, gives: SourceGives, networks: &[&str]) -> BuildSource {
    let networks: Vec<_> = networks.iter().map(|network| (*network, SourceRecord::default())).collect();
    source(name, gives, &networks)
}

fn flag(name: &str) -> SourceGives {
    SourceGives { flags: Flags::named(name).expect("a flag"), ..SourceGives::default() }
}

fn place(country: &str, city: &str) -> SourceRecord {
    let place = SourcePlace { country_code: country.into(), city: city.into(), ..SourcePlace::default() };
    SourceRecord { place: Some(place), ..SourceRecord::default() }
}

fn cloud() -> SourceGives {
    let network =
        NetworkUse { kind: "hosting".into(), name: "Example Cloud".into(), domain: "example.com".into() };
    SourceGives { network: Some(network), ..SourceGives::default() }
}

fn compiled(sources: &[BuildSource]) -> Database {
    let compiled = build(sources, &DataDescription::default(), &NoProgress).expect("it compiles");
    assert_eq!(
        compiled.to_bytes(),
        build(sources, &DataDescription::default(), &NoProgress).expect("it compiles").to_bytes(),
        "the same sources give the same bytes"
    );
    Database::from_bytes(compiled.to_bytes()).expect("it opens")
}

/// The members of an answer, with `threat`.
fn answer(database: &Database, address: &str) -> Json {
    let Some(location) = database.lookup(address.parse().expect("an address")) else { return Json::Null };
    let mut members = String::from("{");
    location.write_static(&mut members);
    if members.len() > 1 {
        members.push(',');
    }
    let text = format!("{members}\"threat\":{{{}}}}}", location.threat());
    serde_json::from_str(&text).expect(&text)
}

/// A city source, an ASN source, a list of Tor exits, a cloud and a crawler.
fn sources() -> Vec<BuildSource> {
    let network = |number, name: &str| SourceRecord {
        network: Some(SourceNetwork { number, name: name.into(), ..SourceNetwork::default() }),
        ..SourceRecord::default()
    };
    let crawler = Crawler { name: "Examplebot".into(), operator: "Example".into() };
    vec![
        source(
            "city",
            SourceGives::default(),
            &[("20.0.0.0/8", place("US", "Dallas")), ("2a00::/16", place("DE", "Berlin"))],
        ),
        source(
            "asn",
            SourceGives::default(),
            &[("20.1.0.0/16", network(7, "Seven")), ("2a00:1::/32", network(8, "Eight"))],
        ),
        list("tor", flag("is_tor"), &["20.1.2.3/32", "2a00:1::5/128", "30.0.0.1/32"]),
        list("cloud", cloud(), &["20.1.2.0/24", "2a00:1:1::/48"]),
        list("bots", SourceGives { crawler: Some(crawler), ..SourceGives::default() }, &["20.1.2.64/26"]),
    ]
}

#[test]
fn a_flag_that_no_source_speaks_of_is_left_out() {
    let sources = sources();
    let database = compiled(&sources);
    assert_eq!(database.info().flags, ["is_tor", "is_datacenter"]);
    let none = json!({ "is_tor": false, "is_datacenter": false });
    let hosted = json!({ "is_tor": false, "is_datacenter": true });
    let tor = json!({ "is_tor": true, "is_datacenter": false, "is_anonymous": true });
    let both = json!({ "is_tor": true, "is_datacenter": true, "is_anonymous": true });
    // (address, threat, whether company and crawler are known)
    for (address, threat, company, crawler) in [
        ("20.0.0.1", &none, false, false),
        ("20.1.0.1", &none, false, false),
        ("20.1.2.3", &both, true, false),
        ("20.1.2.4", &hosted, true, false),
        ("20.1.2.65", &hosted, true, true),
        ("2a00:1::5", &tor, false, false),
        ("2a00:1:1::5", &hosted, true, false),
        // Only its flag is known.
        ("30.0.0.1", &tor, false, false),
    ] {
        let answer = answer(&database, address);
        assert_eq!(&answer["threat"], threat, "{address}");
        let known = ["company", "crawler"].map(|name| answer.get(name).is_some());
        assert_eq!(known, [company, crawler], "{address}: {answer}");
    }
    assert_eq!(answer(&database, "30.0.0.2"), Json::Null);
    let without = compiled(&sources[..2]);
    assert_eq!(answer(&without, "20.1.2.3")["threat"], json!({}));
    assert!(without.info().flags.is_empty());
}

#[test]
fn blocklists_are_those_that_hold_the_address() {
    let named = |name: &str, site: &str, kind: &str| {
        let blocklist = Blocklist { name: name.into(), site: site.into(), kind: kind.into() };
        SourceGives { blocklist: Some(blocklist), ..flag("is_known_abuser") }
    };
    let drop = || named("DROP", "https://example.com/drop", "spam");
    let more = [
        // One list in two files.
        list("drop", drop(), &["20.1.2.0/28"]),
        list("drop", drop(), &["20.1.2.0/30", "2a00:1::5/128"]),
        list("plain", flag("is_known_attacker"), &["20.1.2.0/24"]),
        list("\"second\"", named("Second \"list\"", "", ""), &["20.1.2.3/32"]),
    ];
    let mut all = sources();
    all.extend(more);
    let database = compiled(&all);
    let drop = json!({ "name": "DROP", "site": "https://example.com/drop", "type": "spam" });
    let second = json!({ "name": "Second \"list\"" });
    for (address, lists) in [
        ("20.1.2.3", json!([drop, second])),
        ("20.1.2.9", json!([drop])),
        ("2a00:1::5", json!([drop])),
        ("20.1.2.129", Json::Null),
        ("20.0.0.1", Json::Null),
    ] {
        let answer = answer(&database, address);
        assert_eq!(answer["threat"].get("blocklists").cloned().unwrap_or_default(), lists, "{address}");
        assert_eq!(answer["threat"]["is_known_abuser"], !lists.is_null(), "{address}");
    }
    // Without such a list, nothing is stored.
    let without =
        build(&sources(), &DataDescription::default(), &NoProgress).expect("it compiles").to_bytes();
    assert!(!without.windows(10).any(|bytes| bytes == b"blocklists"));
}

#[test]
fn networks_and_routes_are_those_of_the_address() {
    let database = compiled(&sources());
    let hosted = answer(&database, "20.1.2.65");
    assert_eq!(
        hosted["company"],
        json!({ "name": "Example Cloud", "domain": "example.com", "network": "20.1.2.0/24", "type": "hosting" })
    );
    assert_eq!(hosted["crawler"], json!({ "name": "Examplebot", "operator": "Example", "verified": true }));
    // What the network is used for is known where it is hosted, and nowhere else in its route.
    for (address, asn) in [
        ("20.1.2.65", json!({ "asn": "AS7", "name": "Seven", "route": "20.1.0.0/16", "type": "hosting" })),
        ("20.1.9.9", json!({ "asn": "AS7", "name": "Seven", "route": "20.1.0.0/16" })),
        ("2a00:1:1::5", json!({ "asn": "AS8", "name": "Eight", "route": "2a00:1::/32", "type": "hosting" })),
    ] {
        assert_eq!(answer(&database, address)["asn"], asn, "{address}");
    }
    assert_eq!(database.asn(7), Some(r#"{"asn":"AS7","name":"Seven","routes":1}"#));
}

#[test]
fn the_sources_that_decided_are_stored_with_the_records() {
    let database = compiled(&sources());
    let origin = |address: &str| -> Json {
        let origin = database.origin(address.parse().expect("an address"));
        origin.map_or(Json::Null, |text| serde_json::from_str(text).expect(text))
    };
    // The usual origin may name fields that are not known of the address.
    let plain = origin("20.0.0.1");
    assert_eq!((&plain["country_code"], &plain["city"]), (&json!("city"), &json!("city")));
    let all = origin("20.1.2.3");
    assert_eq!(
        (&all["asn"], &all["company"], &all["threat"]),
        (&json!("asn"), &json!("cloud"), &json!(["tor", "cloud"]))
    );
    assert_eq!(origin("20.1.2.65")["crawler"], "bots");
    assert_eq!(origin("99.0.0.1"), Json::Null);
}

#[test]
fn the_stored_origin_of_any_address_is_what_the_sources_say() {
    let mut sources = sources();
    // A place whose records all have another origin than the usual one, and time zones that only some addresses have.
    sources.insert(0, source("overrides", SourceGives::default(), &[("20.1.2.0/25", place("US", "Reno"))]));
    let zone = SourcePlace { time_zone: "America/Chicago".into(), ..SourcePlace::default() };
    let zone = SourceRecord { place: Some(zone), ..SourceRecord::default() };
    sources.push(source("zones", SourceGives::default(), &[("20.0.0.0/9", zone)]));
    let database = compiled(&sources);
    for address in [
        "20.0.0.1",
        "20.1.0.1",
        "20.1.2.1",
        "20.1.2.3",
        "20.1.2.65",
        "20.1.2.129",
        "20.200.0.1",
        "2a00:1::5",
        "2a00:1:1::5",
    ] {
        let address: IpAddr = address.parse().expect("an address");
        let stored: Json = serde_json::from_str(database.origin(address).expect("an origin")).expect("JSON");
        let explained = explain(&sources, address).expect("explained");
        let name_of = |field: &str| field.split('.').next().expect("a name").to_owned();
        for field in &explained {
            let (name, source) = (name_of(&field.field), Json::from(field.decided.source.as_str()));
            let names = stored[&name].as_array().cloned().unwrap_or_else(|| vec![stored[&name].clone()]);
            assert!(names.contains(&source), "{address} {name}: {source}, stored {stored}");
        }
        for name in ["time_zone", "company", "crawler", "threat"] {
            let is_known = explained.iter().any(|field| name_of(&field.field) == name);
            assert_eq!(stored.get(name).is_some(), is_known, "{address} {name}: {stored}");
        }
    }
}

#[test]
fn agreement_of_several_sources_of_places_is_told() {
    let table = [
        (vec![place("US", "Dallas")], Json::Null, "Dallas"),
        (vec![place("US", "Dallas"), place("US", "Dallas")], json!(100), "Dallas"),
        (vec![place("US", "Dallas"), place("US", "Austin")], json!(50), "Dallas"),
        (vec![place("US", "Dallas"), place("MX", "Austin")], json!(0), "Dallas"),
        (vec![place("US", ""), place("US", "Austin")], json!(100), "Austin"),
    ];
    for (places, confidence, city) in table {
        let sources: Vec<BuildSource> = places
            .into_iter()
            .map(|one| source("s", SourceGives::default(), &[("20.0.0.0/8", one)]))
            .collect();
        let found = answer(&compiled(&sources), "20.0.0.1");
        assert_eq!(found.get("confidence").cloned().unwrap_or_default(), confidence, "{found}");
        assert_eq!(found["city"], city);
    }
}

#[test]
fn an_explanation_names_source_range_and_what_was_overridden() {
    let mut sources = sources();
    let correction = source("overrides", SourceGives::default(), &[("20.1.2.0/28", place("US", "Austin"))]);
    sources.insert(0, correction);
    let explained =
        |address: &str| explain(&sources, address.parse().expect("an address")).expect("it explains");
    let lines: Vec<String> = explained("20.1.2.3")
        .iter()
        .map(|field| {
            let texts = |list: &[crate::compile::SourceValue]| {
                let said = list.iter().map(|one| format!(" {}={}@{}", one.source, one.value, one.range));
                said.collect::<Vec<_>>().concat()
            };
            let one = texts(std::slice::from_ref(&field.decided));
            let (others, same) = (texts(&field.overridden), texts(&field.agreeing));
            format!("{}:{one} |{others} |{same}", field.field)
        })
        .collect();
    assert_eq!(
        lines,
        [
            "country_code: overrides=US@20.1.2.0/28 | | city=US@20.0.0.0/8",
            "city: overrides=Austin@20.1.2.0/28 | city=Dallas@20.0.0.0/8 |",
            "asn: asn=AS7 Seven@20.1.0.0/16 | |",
            "company.name: cloud=Example Cloud@20.1.2.0/24 | |",
            "company.domain: cloud=example.com@20.1.2.0/24 | |",
            "company.type: cloud=hosting@20.1.2.0/24 | |",
            "threat.is_tor: tor=true@20.1.2.3/32 | |",
            "threat.is_datacenter: cloud=true@20.1.2.0/24 | |",
            "threat.is_anonymous: tor=true@20.1.2.3/32 | |",
        ]
    );
    assert_eq!(explained("99.0.0.1"), []);
    // The compiled database names the same sources.
    let database = compiled(&sources);
    let origin: Json =
        serde_json::from_str(database.origin("20.1.2.3".parse().unwrap()).unwrap()).expect("JSON");
    assert_eq!((&origin["city"], &origin["asn"]), (&json!("overrides"), &json!("asn")));
}

#[test]
fn the_first_record_of_a_shared_place_names_its_own_sources() {
    let places = [("20.0.0.0/24", place("US", "Dallas")), ("30.0.0.0/24", place("FR", "Paris"))];
    let sources =
        [source("city", SourceGives::default(), &places), list("tor", flag("is_tor"), &["20.0.0.0/25"])];
    let database = compiled(&sources);
    let threat = |address: &str| -> Json {
        let origin = database.origin(address.parse().expect("an address")).expect("an origin");
        serde_json::from_str::<Json>(origin).expect("JSON")["threat"].clone()
    };
    assert_eq!([threat("20.0.0.1"), threat("20.0.0.129")], [json!(["tor"]), Json::Null]);
}

#[test]
fn a_database_of_another_version_is_refused() {
    let of_version = |version: &str| {
        let data = build(&sources()[..1], &DataDescription::default(), &NoProgress).expect("it compiles");
        let mut bytes = data.to_bytes();
        let name = b"ipgeo_format";
        let at =
            bytes.windows(name.len()).rposition(|window| window == name).expect("the name") + name.len() + 1;
        assert_eq!(&bytes[at..=at], FORMAT_VERSION.as_bytes());
        bytes[at] = version.as_bytes()[0];
        Database::from_bytes(bytes)
    };
    assert!(of_version(FORMAT_VERSION).is_ok());
    for version in ["2", "4"] {
        let refused = of_version(version).expect_err("another version").to_string();
        assert!(refused.contains("not one compiled by this version"), "{refused}");
    }
}
