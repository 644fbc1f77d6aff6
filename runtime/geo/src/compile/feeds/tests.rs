//! Good and bad files of every form, and a comparison of the tree with a naive look-up.

mod bad;

use std::fmt::Write as _;
use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::Database;
use crate::compile::{BuildSource, DataDescription, Flags, NoProgress, SourceData, SourceGives, build};

fn paths(text: &str) -> RangeFormat {
    RangeFormat::Json(text.split(',').map(|path| path.trim().parse().expect(path)).collect())
}

/// The ranges of a file as text, each with the city, region code, country and network that it names.
fn read(text: &[u8], format: &RangeFormat, parts: Parts) -> Result<Vec<String>, String> {
    let found = parse(text, format, parts)?;
    let shown = found.ranges.iter().map(|(first, last, record)| {
        let SourceRecord { place, network, .. } = &found.records[*record as usize];
        let place = place.clone().unwrap_or_default();
        let network = network.as_ref().map(|network| format!("AS{} {}", network.number, network.name));
        let words = [place.city, place.region_code, place.country_code, network.unwrap_or_default()];
        let words = words.iter().filter(|word| !word.is_empty()).map(String::as_str);
        [network::shown((*first, *last)).as_str()].into_iter().chain(words).collect::<Vec<_>>().join(" ")
    });
    Ok(shown.collect())
}

#[test]
fn good_files_of_every_form_are_read() {
    let (csv, list, feed) = (RangeFormat::Csv, RangeFormat::List, RangeFormat::Geofeed);
    let table: &[(&str, &RangeFormat, &[&str])] = &[
        ("1.1.1.1\n2.2.2.0/24\n", &list, &["1.1.1.1", "2.2.2.0-2.2.2.255"]),
        (
            "\u{feff}# exits\r\n\r\n 1.1.1.1 ; one\r\n;two\r\n2.2.2.2-2.2.2.9#x",
            &list,
            &["1.1.1.1", "2.2.2.2-2.2.2.9"],
        ),
        ("10.0.0.0/8\n1.1.1.1\nfe80::/10", &list, &["1.1.1.1"]),
        ("::ffff:1.1.1.1\n::ffff:2.2.2.0/120\n::1.1.1.1\n::/96", &list, &["1.1.1.1", "2.2.2.0-2.2.2.255"]),
        (
            "281470698520832,281470698521087,13335,Cloudflare\n",
            &csv,
            &["1.0.1.0-1.0.1.255 AS13335 Cloudflare"],
        ),
        // ip-location-db: networks, networks by number, countries, cities.
        (
            "1.0.0.0,1.0.0.255,13335,\"Cloudflare, Inc.\"\n",
            &csv,
            &["1.0.0.0-1.0.0.255 AS13335 Cloudflare, Inc."],
        ),
        ("16777216,16777471,13335,Cloudflare\n", &csv, &["1.0.0.0-1.0.0.255 AS13335 Cloudflare"]),
        ("2001::,2001::ff,6939,HE\n", &csv, &["2001::-2001::ff AS6939 HE"]),
        (
            "1.0.0.0,1.0.0.255,AU\n2.0.0.0,2.0.0.255,FR",
            &csv,
            &["1.0.0.0-1.0.0.255 AU", "2.0.0.0-2.0.0.255 FR"],
        ),
        (
            "1.0.0.0,1.0.0.255,AU,Queensland,,Brisbane,4000,-27.4,153.0,\n",
            &csv,
            &["1.0.0.0-1.0.0.255 Brisbane AU"],
        ),
        // DB-IP's cities, a geofeed as CSV, countries of networks.
        ("1.0.0.0,1.0.0.255,OC,AU,Queensland,Brisbane,-27.4,153\n", &csv, &["1.0.0.0-1.0.0.255 Brisbane AU"]),
        ("172.224.226.0/27,GB,GB-EN,London,\n", &csv, &["172.224.226.0-172.224.226.31 London GB-EN GB"]),
        ("8.8.8.0/24,US\n", &csv, &["8.8.8.0-8.8.8.255 US"]),
        ("8.8.8.0/24,AS15169,Google\n", &csv, &["8.8.8.0-8.8.8.255 AS15169 Google"]),
        // Files with a header.
        (
            "network,country,country_code,continent,continent_code,asn,as_name,as_domain\n1.0.0.0/24,Australia,AU,Oceania,OC,AS13335,\"Cloudflare, Inc.\",cloudflare.com\n",
            &csv,
            &["1.0.0.0-1.0.0.255 AU AS13335 Cloudflare, Inc."],
        ),
        ("City,Start-IP,End IP,country\nParis,2.0.0.0,2.0.0.9,FR\n", &csv, &["2.0.0.0-2.0.0.9 Paris FR"]),
        // Overlapping and unsorted ranges are kept: the tree decides.
        ("2.0.0.0,2.0.0.9,FR\n1.0.0.0,2.0.0.3,AU\n", &csv, &["2.0.0.0-2.0.0.9 FR", "1.0.0.0-2.0.0.3 AU"]),
        ("1.0.0.0,1.0.0.255,0,\n", &csv, &["1.0.0.0-1.0.0.255"]),
        (
            "# feed\n8.8.8.0/24,US,us-ca,Mountain View,94043 # x,y\n8.8.4.0/24,US,,,#\n2001:4860::/32,us\n8.9.0.0/24,,,,\n",
            &feed,
            &[
                "8.8.8.0-8.8.8.255 Mountain View us-ca US",
                "8.8.4.0-8.8.4.255 US",
                "2001:4860::-2001:4860:ffff:ffff:ffff:ffff:ffff:ffff us",
            ],
        ),
    ];
    for (text, format, expected) in table {
        let expected = expected.iter().map(|text| (*text).to_owned()).collect();
        assert_eq!(read(text.as_bytes(), format, Parts::ALL), Ok(expected), "{text}");
    }
    let aws = r#"{"syncToken":"1","prefixes":[{"ip_prefix":"3.4.12.4/32"},{"ipv6":"x"}],"ipv6_prefixes":[{"ipv6_prefix":"2600:1f00::/24"}]}"#;
    assert_eq!(
        read(aws.as_bytes(), &paths("prefixes[].ip_prefix, ipv6_prefixes[].ipv6_prefix"), Parts::NONE),
        Ok(vec!["3.4.12.4".to_owned(), "2600:1f00::-2600:1fff:ffff:ffff:ffff:ffff:ffff:ffff".to_owned()])
    );
    let only = Parts { country: true, ..Parts::NONE };
    let city = b"1.0.0.0,1.0.0.255,AU,Queensland,,Brisbane,4000,-27.4,153.0,\n";
    assert_eq!(read(city, &csv, only), Ok(vec!["1.0.0.0-1.0.0.255 AU".to_owned()]));
    assert_eq!(
        read(b"8.8.8.0/24,a,b,c,d,e,f\n", &csv, Parts::NONE),
        Ok(vec!["8.8.8.0-8.8.8.255".to_owned()])
    );
}

#[test]
fn what_is_passed_over_is_counted_with_the_first_place_and_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("feed.csv");
    for (bad, fault) in [
        (&b"x,US"[..], "`x` is not an address or network"),
        (b"8.8.9.0/24,US,,\"x,", "a quote is not closed"),
        (b"8.8.9.0/24,US,,M\xfcnchen,", "it is not UTF-8"),
        (
            b"8.8.9.9/24,US,,,",
            "`8.8.9.9/24` has bits after its prefix: write `8.8.9.0/24` for the network or `8.8.9.9` for the address",
        ),
        (
            b"8.8.9.0/24,US,US-BY,,",
            "`US-BY` is not a region code of US in ISO 3166-2: correct `region_code` or `country_code`",
        ),
        (b"8.8.9.0/24,US,CA,,", "`CA` is not a region code with its country, such as US-CA"),
        (b"8.8.9.0/24,U1,,,", "`U1` is not a country code of two letters"),
        (b"8.0.0.0/7,US,,,", "`8.0.0.0/7` is larger than a /8: probably a mistake"),
        (b"8.8.9.0-8.8.9.9,US,,,", "`8.8.9.0-8.8.9.9` is not a prefix"),
    ] {
        let text = [b"8.8.8.0/24,US,,,\n", bad, b"\n8.8.4.0/24,US,,,\n192.168.0.0/16,US,,,\n"].concat();
        std::fs::write(&path, text).expect("written");
        let set = RangeSet::read(&path, &RangeFormat::Geofeed, Parts::ALL, false).expect("read");
        let first_invalid = Some(format!("line 2: {fault}"));
        assert_eq!(*set.skipped(), Skipped { reserved: 1, invalid: 1, first_invalid });
    }
    let missing = RangeSet::read(&folder.path().join("none"), &RangeFormat::List, Parts::NONE, true);
    assert!(matches!(missing, Err(BuildError::Open { .. })));
}

/// The header row that is written.
const HEAD: &str =
    "network,city,region,region_code,country_code,postal,latitude,longitude,time_zone,note,date\n";

/// A row, and why it is refused; nothing: it is sound.
const CORRECTIONS: &[(&str, &str)] = &[
    ("8.8.8.0/24,Berlin,Berlin,BE,DE,10115,52.5,13.4,Europe/Berlin,\"a, b\",2026-11-28", ""),
    ("8.8.8.8,,,,DE,,,,,,", ""),
    ("8.8.8.8,,,,,,,,Europe/Berlin,,", ""),
    ("8.8.8.8,Berlin,,,,,,,,,", "line 2: a city, region or postal code needs `country_code`"),
    ("8.8.8.8,,,,XX,,,,,,", "line 2: `XX` is not a country code of two letters"),
    ("8.8.8.8,,,,DE,,91,0,,,", "line 2: `91, 0` is not a latitude and longitude"),
    ("8.8.8.8,,,,DE,,5,,,,", "line 2: latitude and longitude need each other"),
    ("8.8.8.8,,,,DE,,,,Mars/Base,,", "line 2: `Mars/Base` is not a time zone"),
    (
        "8.8.8.8,,,,,,,,,note,",
        "line 2: it corrects nothing: it needs a country, region, city, postal code, coordinates or time zone",
    ),
    ("10.0.0.1,,,,DE,,,,,,", "line 2: `10.0.0.1` has no public address"),
    ("8.0.0.0/6,,,,DE,,,,,,", "line 2: `8.0.0.0/6` is larger than a /8: probably a mistake"),
    (
        "9.9.9.9/8,,,,DE,,,,,,",
        "line 2: `9.9.9.9/8` has bits after its prefix: write `9.0.0.0/8` for the network or `9.9.9.9` for the address",
    ),
    ("8.8.8.8,,,UK-ENG,GB,,,,,,", ""),
    ("8.8.8.8,,,gb-eng,UK,,,,,,", ""),
    ("8.8.8.8,,,KKC,HK,,,,,,", ""),
    (
        "8.8.8.8,,,BY,US,,,,,,",
        "line 2: `BY` is not a region code of US in ISO 3166-2: correct `region_code` or `country_code`",
    ),
    (
        "8.8.8.8,,,DE-BY,US,,,,,,",
        "line 2: `DE-BY` is not a region code of US in ISO 3166-2: correct `region_code` or `country_code`",
    ),
    (
        "8.8.8.8,,Berlin,BY,DE,,,,,,",
        "line 2: `BY` is not the region code of Berlin, which is `BE`: correct `region_code` or `region`",
    ),
    ("8.8.8.8,\"Berlin,,,DE,,,,,,", "line 2: a quote is not closed"),
    ("8.8.8.8,,,,DE,,,,,\"a\nb\",", "line 2: a quote is not closed"),
    ("8.8.8.8,DE", "line 2: it has 2 columns, the header has 11"),
];

/// Nothing says which of two columns for one field is right, so neither silently wins.
#[test]
fn a_header_has_one_column_for_each_field() {
    for (text, fault) in [
        ("network,city,city\n", "line 1: columns 2 (`city`) and 3 (`city`) are for the same field"),
        ("network,lat,lon,latitude\n", "line 1: columns 2 (`lat`) and 4 (`latitude`) are for the same field"),
        (
            "start_ip,end_ip,country,First\n",
            "line 1: columns 1 (`start_ip`) and 4 (`First`) are for the same field",
        ),
        ("network,country,country_name\n8.8.8.8,DE,Germany\n", ""),
        ("network,country_code,x,x\n8.8.8.8,DE,1,2\n", ""),
    ] {
        let found = read(text.as_bytes(), &RangeFormat::Csv, Parts::ALL).err().unwrap_or_default();
        assert!(
            if fault.is_empty() { found.is_empty() } else { found.starts_with(fault) },
            "{text}: {found}"
        );
    }
}

#[test]
fn corrections_are_checked() {
    for (row, fault) in CORRECTIONS {
        let found = read(format!("{HEAD}{row}\n").as_bytes(), &RangeFormat::Corrections, Parts::ALL);
        assert_eq!(found.err().unwrap_or_default(), *fault, "{row}");
    }
}

#[test]
fn bad_files_of_corrections_are_refused() {
    for (text, fault) in [
        (
            &b"network,town\n8.8.8.8,x\n"[..],
            "line 1: `town` is not a column; the columns are network, city, region, region_code, country_code, postal, \
             latitude, longitude, time_zone, note, date",
        ),
        (b"# x\nnetwork,city,city\n", "line 2: columns 2 and 3 are both `city`"),
        (b"city,country_code\n", "line 1: it has no column `network`"),
        (
            b"network;country_code\n",
            "line 1: `network;country_code` is not a column; the columns are network",
        ),
        (b"<html>", "it is HTML or XML, not data"),
        (b"network,city,country_code\n8.8.8.8,M\xfcnchen,DE\n", "line 2: it is not UTF-8"),
    ] {
        let refused = read(text, &RangeFormat::Corrections, Parts::ALL).expect_err("refused");
        assert!(refused.starts_with(fault), "{refused}");
        assert_eq!(read_corrections(text), Err(refused));
    }
}

#[test]
fn corrections_are_written_as_they_are_read() {
    // Columns may be left out; an empty file is no fault.
    assert_eq!(
        read(b"network,country_code\n8.8.8.8,DE\n", &RangeFormat::Corrections, Parts::ALL),
        Ok(vec!["8.8.8.8 DE".to_owned()])
    );
    assert_eq!(read(b"", &RangeFormat::Corrections, Parts::ALL), Ok(vec![]));
    let all = vec![
        Correction {
            network: "8.8.8.8".into(),
            country_code: "DE".into(),
            note: "x y,\"".into(),
            ..Correction::default()
        },
        Correction { network: "8.8.4.0/24".into(), city: "Köln".into(), ..Correction::default() },
        // Not a network; but it must not become a comment.
        Correction { network: "#8.8.8.8".into(), note: "# kept".into(), ..Correction::default() },
    ];
    for all in [all, Vec::new()] {
        let text = write_corrections(&all).expect("written");
        let with_mark = [b"\xef\xbb\xbf", text.as_slice()].concat();
        assert_eq!(read_corrections(&with_mark), Ok(all.clone()));
        assert!(text.starts_with(HEAD.as_bytes()));
        assert_eq!(read_corrections(&text), Ok(all));
    }
    let note = Correction {
        network: "8.8.8.8".into(),
        country_code: "DE".into(),
        note: "x\ny".into(),
        ..Correction::default()
    };
    assert_eq!(note.problem().as_deref(), Some("`note` has a line break"));
}

/// The database of these files: corrections before sources, as the order of a build is.
fn compiled(files: &[(&str, RangeFormat)]) -> Database {
    let sources: Vec<BuildSource> = files
        .iter()
        .map(|(text, format)| {
            let found = parse(text.as_bytes(), format, Parts::ALL).expect(text);
            let is_correction = matches!(format, RangeFormat::Geofeed | RangeFormat::Corrections);
            let set =
                RangeSet::from_ranges("x".into(), &found.ranges, found.records).correcting(is_correction);
            BuildSource { name: "x".into(), data: SourceData::Ranges(set), gives: SourceGives::default() }
        })
        .collect();
    let compiled = build(&sources, &DataDescription::default(), &NoProgress).expect("it compiles");
    Database::from_bytes(compiled.to_bytes()).expect("it opens")
}

#[test]
fn a_correction_wins_and_never_mixes_two_places() {
    let overrides = "network,country_code,city,latitude,longitude\n\
                     8.8.8.8,DE,,,\n8.8.8.9,FR,Lyon,45.7,4.8\n8.8.8.10,US,,,\n";
    let feed = "8.8.8.0/28,US,US-CA,San Jose,\n8.8.8.8/32,GB,,,\n";
    let city = "8.8.8.0,8.8.8.255,US,Kansas,,Wichita,67202,37.7,-97.3,\n";
    let sources =
        [(overrides, RangeFormat::Corrections), (feed, RangeFormat::Geofeed), (city, RangeFormat::Csv)];
    let database = compiled(&sources);
    let member = |address: &str, name: &str| {
        let mut text = String::from("{");
        let location = database.lookup(address.parse::<IpAddr>().expect("an address")).expect(address);
        location.write_static(&mut text);
        let json: serde_json::Value = serde_json::from_str(&(text + "}")).expect("JSON");
        json[name].as_str().map_or_else(|| json[name].to_string(), str::to_owned)
    };
    for (address, expected) in [
        // Only the country is corrected: no city, region or point of another country stays.
        ("8.8.8.8", ["DE", "null", "null", "null"]),
        ("8.8.8.9", ["FR", "Lyon", "null", "45.7"]),
        // The same country: the geofeed's city, without the point of the source's city.
        ("8.8.8.10", ["US", "San Jose", "CA", "null"]),
        ("8.8.8.11", ["US", "San Jose", "CA", "null"]),
        ("8.8.8.100", ["US", "Wichita", "KS", "37.7"]),
    ] {
        let found = ["country_code", "city", "region_code", "latitude"].map(|name| member(address, name));
        assert_eq!(found, expected, "{address}");
        // Corrections are no votes, and one other source has nobody to agree with.
        assert_eq!(member(address, "confidence"), "null", "{address}");
    }
}

#[test]
fn overlapping_ranges_by_the_thousand_are_read() {
    let addresses =
        (0..100_000).map(|number: u128| (0x0800_0000 + number * 16, 0x0800_0000 + number * 16, 0));
    let duplicates = (0..100_000).map(|_| (0x0800_0000, 0x08ff_ffff, 1));
    let nested = (0..10_000).map(|number: u128| (0x0800_0000, 0x08ff_0000 + number, 2));
    let ranges: Vec<NumberedRange> = duplicates.chain(nested).chain(addresses).collect();
    let records = vec![SourceRecord::default(); 3];
    let set = RangeSet::from_ranges("x".into(), &ranges, records);
    for (address, record) in [(0x0800_0000, 0), (0x0800_0001, 2), (0x08ff_0000 + 9_999, 2), (0x08ff_ffff, 1)]
    {
        assert_eq!(set.find(address), Some(record), "{address:x}");
    }
}

#[test]
fn a_million_lines_are_read() {
    let mut text = String::new();
    for number in 0..1_000_000_u32 {
        let address = std::net::Ipv4Addr::from_bits(0x0800_0000 + number * 16);
        let _ = writeln!(text, "{address}");
    }
    let found = parse(text.as_bytes(), &RangeFormat::List, Parts::NONE).expect("read");
    assert_eq!(found.ranges.len(), 1_000_000);
    let set = RangeSet::from_ranges("x".into(), &found.ranges, found.records);
    assert!(set.trie().nodes() < 6_000_000, "{}", set.trie().nodes());
}

proptest! {
    /// The tree finds what a naive search does: the smallest range with the address, of equal ones the last.
    #[test]
    fn a_tree_of_ranges_equals_a_naive_search(
        ranges in prop::collection::vec((0_u128..400, 0_u128..60), 1..30),
        base in prop::sample::select(vec![0x0808_0800_u128, 0x2001_4860 << 96, u128::MAX - 500, 0xffff_ff00]),
    ) {
        let ranges: Vec<NumberedRange> = ranges
            .iter()
            .zip(0..)
            .map(|((first, more), number)| (base + first, (base + first).saturating_add(*more), number))
            .collect();
        let records = (0..30)
            .map(|bit: u32| SourceRecord {
                accuracy_radius_km: u16::try_from(bit).ok(),
                flags: Flags(1),
                ..SourceRecord::default()
            })
            .collect();
        let set = RangeSet::from_ranges("x".into(), &ranges, records);
        for address in (base..=base.saturating_add(480)).chain([0, 1 << 127, u128::MAX]) {
            let naive = ranges
                .iter()
                .filter(|(first, last, _)| (*first..=*last).contains(&address))
                .min_by_key(|(first, last, number)| (last - first, std::cmp::Reverse(*number)))
                .map(|(.., number)| *number as usize);
            prop_assert_eq!(set.find(address), naive, "{:x}", address);
        }
    }

    /// No bytes make a reader panic.
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[0-9a-f:./,\\-\"\n#;{}\\[\\]]{0,80}") {
        for format in [RangeFormat::Csv, RangeFormat::List, paths("a[].b"), RangeFormat::Geofeed, RangeFormat::Corrections] {
            for parts in [Parts::ALL, Parts::NONE] {
                let _ = parse(&bytes, &format, parts);
                if let Ok(found) = parse(text.as_bytes(), &format, parts) {
                    let _ = RangeSet::from_ranges("x".into(), &found.ranges, found.records);
                }
            }
        }
    }
}

/// A city or AS number may have a network of any size; a network type for half of the Internet is a mistake.
#[test]
fn a_giant_network_is_refused_where_the_source_says_what_its_networks_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.csv");
    std::fs::write(&path, "network,country_code\n0.0.0.0/0,US\n").expect("written");
    assert!(RangeSet::read(&path, &RangeFormat::Csv, Parts::ALL, false).is_ok());
    let refused = RangeSet::read(&path, &RangeFormat::Csv, Parts::ALL, true).expect_err("refused");
    assert!(
        matches!(&refused, BuildError::Feed { fault, .. } if fault.contains("`0.0.0.0-255.255.255.255` is larger than a /8")),
        "{refused:?}"
    );
}
