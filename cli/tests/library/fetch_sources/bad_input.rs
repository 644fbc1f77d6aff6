//! Files of every format with every fault: refused with place and reason, and the file in use stays.

use std::fs;

use ipgeo::internals::geo::sources::FetchOutcome::New;
use ipgeo::internals::geo::sources::{Lock, fetched};
use ipgeo_geo::compile::sample;

use super::{Place, TOR, config, gz, message, no_npm};

/// The fields of a source in JSON.
const JSON: &str = "json\"\npath = \"a[]";

/// Format, sound content, other content, and what the error says.
type Case<'a> = (&'a str, &'a [u8], &'a [u8], &'a str);

fn assert_refused(cases: &[Case<'_>]) {
    let place = Place::new();
    let mine = place.folder.path().join("mine");
    for (format, good, bad, fault) in cases {
        let _first = fs::remove_dir_all(place.source(""));
        let config = config(&format!("file = \"mine\"\nformat = \"{format}\"\n{TOR}"));
        fs::write(&mine, good).expect("written");
        let mut lock = Lock::default();
        assert_eq!(place.fetch_locked(&config, no_npm(), &mut lock).expect(fault), [New]);
        let before = (place.entries(), lock.sources.clone());
        fs::write(&mine, bad).expect("written");
        let error = message(place.fetch_locked(&config, no_npm(), &mut lock).expect_err(fault));
        assert!(error.contains(fault), "{error}, expected {fault}");
        let files = fetched(&config, &place.state()).expect("the old file");
        assert_eq!(fs::read(&files[0].path).expect("a file"), *good, "{fault}");
        assert_eq!((place.entries(), lock.sources.clone()), before, "{fault}");
    }
}

#[test]
fn a_bad_file_is_refused_with_its_place_and_the_old_one_stays() {
    let list = b"1.1.1.1\n2.2.2.0/24\n";
    let csv = b"1.0.0.0,1.0.0.9,5,A\n";
    let json = b"{\"a\":[\"1.1.1.1\"]}";
    let feed = b"1.1.1.0/24,AU,,,\n";
    let packed = gz(&list.repeat(100));
    assert_refused(&[
        // Another page or file than expected.
        ("list", list, b"<!doctype html>\n<p>Not found", "it is HTML or XML, not data"),
        ("csv", csv, b"\n\n<html>", "it is HTML or XML, not data"),
        (JSON, json, b"<html>", "it is HTML or XML, not data"),
        ("geofeed", feed, b"\xef\xbb\xbf<html>", "it is HTML or XML, not data"),
        ("list", list, b"PK\x03\x04\x14\0\0\0", "it is a zip archive; unpack it first"),
        ("csv", csv, b"BZh91AY&SY", "it is compressed with bzip2; unpack it first"),
        ("csv", csv, b"\xfd7zXZ\0\0", "it is compressed with xz; unpack it first"),
        ("list", list, b"", "it has no network"),
        ("list", list, b"# nothing today\n", "it has no network"),
        // Cut off.
        ("list", list, &packed[..packed.len() / 2], "its gzip data is truncated or damaged"),
        ("csv", csv, b"1.0.0.0,1.0.0.9,5,A\n1.0.1.0,1.0", "line 2: it has 2 columns"),
        ("csv", csv, b"1.0.0.0,1.0.0.9,5,A\n1.0.1.0,1.0.1.9,6,\"B", "line 2: a quote is not closed"),
        (JSON, json, b"{\"a\":[\"1.1.1.1\"", "it is not JSON"),
        ("list", list, b"1.1.1.1\n", "it has 8 bytes, the one in use 19 bytes"),
        // Another encoding.
        ("list", list, b"\xff\xfe1\0.\x001\0", "it is UTF-16; save it as UTF-8"),
        ("csv", csv, b"1.0.0.0,1.0.0.9,5,M\xfcnchen\n", "line 1: it is not UTF-8"),
        (
            "csv",
            csv,
            b"1.0.0.0,1.0.0.9,5,A\n1.0.1.0,1.0.1.9,6,\0\n",
            "line 2: it is not text: it has a NUL byte",
        ),
        ("geofeed", feed, b"1.1.1.0/24,AU,,K\xf6ln,\n", "line 1: it is not UTF-8"),
        // Other content.
        ("list", list, b"1.1.1.1\nToo many requests\n", "line 2: `Too many requests` is not an address"),
        ("list", list, b"{\"message\":\"slow down\"}\n", "line 1: `{"),
        (JSON, json, b"{\"b\":[\"1.1.1.1\"]}", "it has nothing at `a[]`"),
        (
            "csv",
            csv,
            b"{\"message\":\"slow down\"}\n",
            "line 1: it is neither a header with `network` nor a row",
        ),
        ("csv", csv, b"1.0.0.0,1.0.0.9,5,\"A\n1.0.1.0,1.0.1.9,6,B\n", "line 1: a quote is not closed"),
        // Impossible networks.
        ("list", list, b"1.1.1.1\n\n0.0.0.0/0\n", "line 3: `0.0.0.0/0` is larger than a /8"),
        ("list", list, b"1.1.1.1\n::/0\n", "line 2: `::/0` is larger than a /16"),
        ("list", list, b"10.0.0.0/8\n192.168.1.1\n", "it has no network with public addresses"),
        ("csv", csv, b"1.0.0.9,1.0.0.0,5,A\n", "line 1: the range from `1.0.0.9` ends before it begins"),
        (
            "csv",
            csv,
            b"1.0.0.0,2001::,5,A\n",
            "line 1: the range from `1.0.0.0` to `2001::` mixes IPv4 and IPv6",
        ),
        ("geofeed", feed, b"1.1.1.0/24,XX,,,\n", "line 1: `XX` is not a country code"),
        ("geofeed", feed, b"1.1.1.1/24,AU,,,\n", "line 1: `1.1.1.1/24` has bits after its prefix"),
        ("geofeed", feed, b"1.1.1.0/24,AU,AU-BY,,\n", "line 1: `AU-BY` is not a region code of AU"),
    ]);
}

#[test]
fn a_bad_database_is_refused_and_the_old_one_stays() {
    let good = sample().expect("it compiles");
    let marker = good.windows(11).rposition(|window| window == b"MaxMind.com").expect("a marker") - 3;
    assert_refused(&[
        ("mmdb", &good, b"<html>not found</html>", "it is HTML or XML, not data"),
        ("mmdb", &good, b"PK\x03\x04", "it is a zip archive; unpack it first"),
        ("mmdb", &good, &good[..good.len() / 2], "no metadata"),
        ("mmdb", &good, &good[marker - 100..], "it is truncated"),
        ("mmdb", &good, b"", "no metadata"),
        ("mmdb", &good, &gz(&good)[..1_000], "its gzip data is truncated or damaged"),
    ]);
}

#[test]
fn unusual_files_are_read_and_what_is_skipped_is_counted() {
    let place = Place::new();
    let mine = place.folder.path().join("mine");
    let list = b"1.1.1.1\n2.2.2.0/24\n";
    let parts = [gz(b"1.1.1.1\n"), gz(b"2.2.2.0/24\n")].concat();
    let cases: [(&str, &[u8], &str); 12] = [
        ("list", b"\xef\xbb\xbf1.1.1.1\r\n\r\n2.2.2.0/24\r\n", ""),
        ("list", &gz(list), ""),
        // Compressed in parts, of which a careless reader takes the first.
        ("list", &parts, ""),
        ("csv", &gz(b"1.0.0.0,1.0.0.9,5,A\n"), ""),
        ("list", b"1.1.1.1\n10.0.0.0/8\n", "skipped 1 network without public addresses"),
        ("list", b"::ffff:1.1.1.1\nfe80::1\n::1.1.1.1\n", "skipped 2 networks without public addresses"),
        ("list", b"2.2.2.2\n1.1.1.1\n1.1.1.1\n1.1.1.0/24\n1.1.1.0-1.1.1.9\n", ""),
        ("list", b"# caf\xe9\n1.1.1.1\n", ""),
        ("csv", b"# x\r\n1.0.0.0,1.0.0.9,5,\"A, B\"\r\n1.0.0.0,1.0.0.9,6,C\r\n", ""),
        (
            "csv",
            b"0.0.0.0,0.255.255.255,0,-\n1.0.0.0,1.0.0.9,5,A\n",
            "skipped 1 network without public addresses",
        ),
        (
            "geofeed",
            b"1.1.1.0/24,AU,,,\nx,AU\n2.2.2.0/24,FR,,,\n",
            "skipped 1 invalid line, line 2: `x` is not an address or network",
        ),
        (
            "geofeed",
            b"1.1.1.0/24,AU,,,\nx,AU\ny,AU\n2.2.2.0/24,FR,,,\n10.0.0.0/8,FR\n",
            "skipped 1 network without public addresses and 2 invalid lines, the first is line 2: `x` is not an address or network",
        ),
    ];
    for (format, text, warning) in cases {
        let _first = fs::remove_dir_all(place.source(""));
        fs::write(&mine, text).expect("written");
        let says = if format == "geofeed" { "" } else { TOR };
        let config = config(&format!("file = \"mine\"\nformat = \"{format}\"\n{says}"));
        let found = place.fetch_warned(&config, no_npm(), &mut Lock::default()).expect(format);
        assert_eq!(found, [(New, warning.to_owned())]);
        assert_eq!(place.entries().len(), 1);
    }
}
