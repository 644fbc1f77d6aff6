//! Compares compiled databases with their sources, read by Python's `maxminddb`, `csv` and `ipaddress`: random addresses, and the
//! first and last addresses of ranges.

#[path = "../../../cli/tests/support/python.rs"]
#[allow(dead_code, unreachable_pub, clippy::allow_attributes, reason = "each test file uses its part")]
mod python;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use ipgeo_geo::Database;
use ipgeo_geo::compile::{
    BuildSource, CountryTable, Crawler, DataDescription, Flags, NetworkUse, NoProgress, Parts, RangeFormat,
    RangeSet, Source, SourceData, SourceGives, build,
};
use mmdb_writer::{IpVersion, Value as Mmdb, Writer};
use python::{Venv, run};
use serde_json::Value;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/verification.py");

/// What a list gives, by its name: `is_tor.NAME.txt`, `crawler.NAME.txt`, `hosting.NAME.txt` or another use of a network.
fn gives(path: &Path) -> SourceGives {
    let stem = path.file_stem().expect("a name").to_string_lossy().into_owned();
    let (what, name) = stem.split_once('.').expect("two parts");
    let (mut gives, name) = (SourceGives::default(), name.to_owned());
    if let Some(flag) = Flags::named(what) {
        gives.flags = flag;
    } else if what == "crawler" {
        gives.crawler = Some(Crawler { name, operator: String::new() });
    } else {
        gives.network = Some(NetworkUse { kind: what.into(), name, domain: String::new() });
    }
    gives
}

/// The sources in a folder: databases of cities first, then AS numbers, then lists, each in the order of their names.
fn sources(folder: &Path) -> Vec<BuildSource> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    let kind = |path: &Path| {
        ["mmdb", "csv", "txt"]
            .into_iter()
            .position(|kind| path.extension().is_some_and(|found| found == kind))
    };
    paths.sort_by_key(|path| (kind(path), path.clone()));
    let open = |path: &PathBuf| match kind(path)? {
        0 => Some(Source::open(path).expect("a database").into()),
        index => {
            let format = [RangeFormat::Csv, RangeFormat::List][index - 1].clone();
            let ranges = RangeSet::read(path, &format, Parts::ALL, false).expect("ranges");
            let gives = if index == 2 { gives(path) } else { SourceGives::default() };
            Some(BuildSource { name: path.display().to_string(), data: SourceData::Ranges(ranges), gives })
        }
    };
    paths.iter().filter_map(open).collect()
}

fn answer(database: &Database, address: IpAddr) -> Value {
    let Some(location) = database.lookup(address) else { return Value::Null };
    let mut members = String::from("{");
    location.write_static(&mut members);
    let separator = if members.len() > 1 { "," } else { "" };
    let text = format!("{members}{separator}\"threat\":{{{}}}}}", location.threat());
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Why an answer is not as the sources say.
fn difference(expected: &Value, found: &Value, countries: &CountryTable) -> Option<String> {
    let text =
        |value: &Value| value.as_str().map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
    let country = text(&expected["country_code"]).filter(|code| countries.country(code).is_some());
    let named = |value: &Value, name: &str| text(value.get(name).unwrap_or(&Value::Null));
    let pairs = [
        ("country_code", country, text(&found["country_code"])),
        (
            "city",
            text(&expected["city"]).filter(|city| city.contains(char::is_alphanumeric)),
            text(&found["city"]),
        ),
        ("asn", text(&expected["asn"]), named(&found["asn"], "asn")),
        ("company", text(&expected["company"]), named(&found["company"], "name")),
        ("crawler", text(&expected["crawler"]), named(&found["crawler"], "name")),
    ];
    let other = pairs.iter().find(|(_, expected, found)| expected != found);
    if let Some((field, expected, found)) = other {
        return Some(format!("{field}: source {expected:?}, compiled {found:?}"));
    }
    for field in ["latitude", "longitude"] {
        let [expected, found] = [expected, found].map(|value| value[field].as_f64().unwrap_or(0.0));
        if (expected - found).abs() > 1e-4 {
            return Some(format!("{field}: source {expected}, compiled {found}"));
        }
    }
    let flags: Vec<&str> =
        expected["flags"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let threat = found["threat"].as_object().cloned().unwrap_or_default();
    let mut set: Vec<&str> =
        threat.iter().filter(|(_, value)| **value == true).map(|(name, _)| name.as_str()).collect();
    // It follows from the others.
    set.retain(|name| *name != "is_anonymous");
    set.sort_unstable();
    (set != flags).then(|| format!("threat: source {flags:?}, compiled {set:?}"))
}

/// Compares `database` with the sources in a folder; returns the number of addresses.
fn compare(venv: &Venv, database: &Database, folder: &Path, count: u32) -> usize {
    let printed = run(venv.python().arg(SCRIPT).arg(folder).arg(count.to_string())).expect("it runs");
    let countries = CountryTable::new();
    let mut differences = Vec::new();
    for line in printed.lines() {
        let expected: Value = serde_json::from_str(line).expect(line);
        let address: IpAddr = expected["ip"].as_str().expect("an address").parse().expect("an address");
        let found = answer(database, address);
        differences.extend(difference(&expected, &found, &countries).map(|why| format!("{address}: {why}")));
    }
    assert!(
        differences.is_empty(),
        "{} differ: {:#?}",
        differences.len(),
        &differences[..differences.len().min(10)]
    );
    printed.lines().count()
}

fn compile(folder: &Path, out: &Path) -> Database {
    // Some readers refuse a database dated 1970.
    let description = DataDescription { build_epoch: 1_780_000_000, ..DataDescription::default() };
    let compiled = build(&sources(folder), &description, &NoProgress).expect("it compiles");
    let mut file = std::io::BufWriter::new(std::fs::File::create(out).expect("a file"));
    compiled.write(&mut file).expect("written");
    std::io::Write::flush(&mut file).expect("written");
    Database::open(out).expect("it opens")
}

/// Small sources of every kind, drawn from a seed.
fn generate(folder: &Path) {
    let mut random = fastrand::Rng::with_seed(3);
    let write = |name: &str, text: String| std::fs::write(folder.join(name), text).expect("written");
    for (version, name) in [(IpVersion::V4, "city-ipv4.mmdb"), (IpVersion::V6, "city-ipv6.mmdb")] {
        let epoch = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_780_000_000);
        let mut writer = Writer::builder("city").ip_version(version).build_epoch(epoch).build();
        for index in 0..400_u32 {
            let (network, length) = network(&mut random, version == IpVersion::V6);
            let text = |text: &str| Mmdb::String(text.to_owned());
            let country = ["DE", "FR", "US", "JP"][index as usize % 4];
            let record = [
                ("country_code", text(country)),
                ("city", text(&format!("City {}", index % 50))),
                ("latitude", Mmdb::Double(f64::from(index % 50) + 0.5)),
                ("longitude", Mmdb::Double(-f64::from(index % 70) - 0.25)),
            ];
            let record = record.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            let network: ipnet::IpNet = format!("{network}/{length}").parse().expect("a network");
            writer.insert_value(network.trunc(), Mmdb::Map(record)).expect("inserted");
        }
        std::fs::write(folder.join(name), writer.to_bytes().expect("bytes")).expect("written");
    }
    for (name, is_ipv6) in [("asn-ipv4.csv", false), ("asn-ipv6.csv", true)] {
        // Disjoint ranges whose ends are not those of networks.
        let mut bounds: Vec<u128> = (0..600).map(|_| address_bits(&mut random, is_ipv6)).collect();
        bounds.sort_unstable();
        bounds.dedup();
        let line = |(number, ends): (u32, &[u128])| {
            let [first, last] = [ends[0], ends[1]].map(|bits| address(bits, is_ipv6));
            format!("{first},{last},{number},\"Network {number}, Inc.\"\n")
        };
        write(name, (1..).zip(bounds.chunks_exact(2)).map(line).collect());
    }
    for name in ["is_tor.x", "is_vpn.x", "hosting.One", "hosting.Two", "cdn.Three", "crawler.Bot"] {
        let line = |_| {
            let is_ipv6 = random.bool();
            let (network, length) = network(&mut random, is_ipv6);
            let network: ipnet::IpNet = format!("{network}/{length}").parse().expect("a network");
            format!("{}\n", network.trunc())
        };
        write(&format!("{name}.txt"), (0..200).map(line).collect());
    }
}

fn address_bits(random: &mut fastrand::Rng, is_ipv6: bool) -> u128 {
    if is_ipv6 { 0x2a00 << 112 | random.u128(..) >> 16 } else { random.u32(0x1400_0000..0x1600_0000).into() }
}

fn address(bits: u128, is_ipv6: bool) -> IpAddr {
    if is_ipv6 { IpAddr::V6(bits.into()) } else { IpAddr::V4(u32::try_from(bits).unwrap_or(0).into()) }
}

fn network(random: &mut fastrand::Rng, is_ipv6: bool) -> (IpAddr, u8) {
    let length = if is_ipv6 { random.u8(20..=64) } else { random.u8(10..=32) };
    (address(address_bits(random, is_ipv6), is_ipv6), length)
}

#[test]
fn generated_sources_are_served_as_other_programs_read_them() {
    let Some(venv) = Venv::with("geo-verification", &["maxminddb==3.2.0"]) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    generate(folder.path());
    let database = compile(folder.path(), &folder.path().join("out.bin"));
    assert!(compare(&venv, &database, folder.path(), 4_000) > 4_000);
}

/// `IPGEO_FULL_SOURCES` names a folder of sources as [`sources`] reads them: DB-IP City, ip-location-db's AS numbers, lists.
#[test]
#[ignore = "needs the full source set"]
#[expect(clippy::print_stderr, reason = "what was measured is the point")]
fn the_full_set_is_served_as_other_programs_read_it_and_within_limits() {
    let Some(venv) = Venv::with("geo-verification", &["maxminddb==3.2.0"]) else { return };
    let folder =
        std::env::var("IPGEO_FULL_SOURCES").expect("IPGEO_FULL_SOURCES names the folder of the sources");
    let (folder, start) = (Path::new(&folder), Instant::now());
    let out = std::env::temp_dir().join("ipgeo-verified.mmdb");
    let database = compile(folder, &out);
    eprintln!("{:?} in {:?}", database.info(), start.elapsed());
    assert!(database.info().bytes <= 160_000_000, "{} bytes", database.info().bytes);
    let networks = ipgeo_geo::compile::Networks::open(&out).expect("it opens");
    let mut random = fastrand::Rng::with_seed(9);
    for is_ipv6 in [false, true] {
        let mut counts: Vec<usize> = (0..100_000)
            .filter_map(|_| networks.address(is_ipv6, random.u64(0..networks.len(is_ipv6)), random.u128(..)))
            .map(|address| database.pages(address).len())
            .collect();
        counts.sort_unstable();
        let (p99, most) = (counts[counts.len() * 99 / 100], counts[counts.len() - 1]);
        eprintln!("pages of 4 KiB that a lookup reads, IPv6 {is_ipv6}: p99 {p99}, at most {most}");
        assert!(p99 <= 7, "{p99}");
    }
    let compared = compare(&venv, &database, folder, 200_000);
    eprintln!("{compared} addresses are as the sources say");
}
