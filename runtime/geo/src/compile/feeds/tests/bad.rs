//! Files that are refused, each with the place and the reason.

use super::*;

/// A file, its format, and why it is refused.
const BAD_FILES: &[(&[u8], &RangeFormat, &str)] = &[
    (b"", &RangeFormat::List, "it has no network"),
    (b"# nothing\n", &RangeFormat::List, "it has no network"),
    (b"10.0.0.0/8\n", &RangeFormat::List, "it has no network with public addresses"),
    (b"\n <!DOCTYPE html><p>404", &RangeFormat::List, "it is HTML or XML, not data"),
    (b"<html>", &RangeFormat::Csv, "it is HTML or XML, not data"),
    (b"PK\x03\x04\0\0", &RangeFormat::Csv, "it is a zip archive; unpack it first"),
    (b"\x1f\x8b\x08\0", &RangeFormat::List, "it is compressed with gzip; unpack it first"),
    (b"BZh91AY", &RangeFormat::List, "it is compressed with bzip2; unpack it first"),
    (b"\xfd7zXZ\0", &RangeFormat::List, "it is compressed with xz; unpack it first"),
    (b"\x28\xb5\x2f\xfd", &RangeFormat::List, "it is compressed with zstd; unpack it first"),
    (b"%PDF-1.7", &RangeFormat::List, "it is a PDF, not data"),
    (b"\xff\xfe1\0.\0", &RangeFormat::List, "it is UTF-16; save it as UTF-8"),
    (b"\xfe\xff\x001\x00.", &RangeFormat::Csv, "it is UTF-16; save it as UTF-8"),
    (b"1.1.1.1\n\x002\x00.\x00", &RangeFormat::List, "line 2: it is not text: it has a NUL byte"),
    (b"1.1.1.1\r2.2.2.2\r", &RangeFormat::List, "line 1: `1.1.1.1\\r2.2.2.2` is not an address or network"),
    (
        b"1.0.0.0,1.0.0.255,AU\r1.0.1.0,1.0.1.255,AU",
        &RangeFormat::Csv,
        "line 1: the line has a carriage return within it",
    ),
    // Names in Latin-1.
    (
        b"1.0.0.0,1.0.0.255,5,A\n1.0.1.0,1.0.1.255,6,M\xfcnchen\n",
        &RangeFormat::Csv,
        "line 2: it is not UTF-8; convert the file, for example with `iconv -f LATIN1 -t UTF-8`",
    ),
    // An unclosed quote: before other rows, before another unclosed quote, and where the file is cut off.
    (b"1.0.0.0,1.0.0.255,5,\"A\n1.0.1.0,1.0.1.255,6,B\n", &RangeFormat::Csv, "line 1: a quote is not closed"),
    (
        b"1.0.0.0,1.0.0.255,5,\"A\n1.0.1.0,1.0.1.255,6,\"B\n",
        &RangeFormat::Csv,
        "line 1: a quote is not closed",
    ),
    (
        b"# c\r\n\r\n1.0.0.0,1.0.0.255,5,A\r\n# d\r\n1.0.1.0,1.0.1.255,6,\"B",
        &RangeFormat::Csv,
        "line 5: a quote is not closed",
    ),
    (
        b"# c\n\nnetwork,geoname_id\n",
        &RangeFormat::Csv,
        "line 3: no column of the header is known besides the network",
    ),
    (b"1.1.1.1\nrate limited\n", &RangeFormat::List, "line 2: `rate limited` is not an address or network"),
    (
        b"1.1.1.9-1.1.1.1\n",
        &RangeFormat::List,
        "line 1: the range from `1.1.1.9` ends before it begins, at `1.1.1.1`",
    ),
    (
        b"1.1.1.1-2001::\n",
        &RangeFormat::List,
        "line 1: the range from `1.1.1.1` to `2001::` mixes IPv4 and IPv6",
    ),
    (b"\n0.0.0.0/0\n", &RangeFormat::List, "line 2: `0.0.0.0/0` is larger than a /8: probably a mistake"),
    (b"2000::/3\n", &RangeFormat::List, "line 1: `2000::/3` is larger than a /16: probably a mistake"),
    (b"\xe91\n", &RangeFormat::List, "line 1: `\u{fffd}1` is not an address or network"),
    (
        b"1.0.0.0,1.0.0.255,AU\n1.0.1.0,1.0.1\n",
        &RangeFormat::Csv,
        "line 2: it has 2 columns, the first row has 3",
    ),
    (b"1.0.0.0,1.0.0.255,AU\n1.0.1.0,x,AU\n", &RangeFormat::Csv, "line 2: `x` is not an address or network"),
    (
        b"1.0.0.9,1.0.0.0,AU\n",
        &RangeFormat::Csv,
        "line 1: the range from `1.0.0.9` ends before it begins, at `1.0.0.0`",
    ),
    (b"1.0.0.0,1.0.0.9,x,One\n", &RangeFormat::Csv, "line 1: `x` is not an AS number"),
    (
        b"1.0.0.0,1.0.0.9,a,b,c,d,e\n",
        &RangeFormat::Csv,
        "line 1: cannot tell what its 7 columns are; add a header row",
    ),
    (
        b"network,geoname_id\n1.0.0.0/24,5\n",
        &RangeFormat::Csv,
        "line 1: no column of the header is known besides the network",
    ),
    (
        b"address,city\n1.0.0.0,x\n",
        &RangeFormat::Csv,
        "line 1: it is neither a header with `network` nor a row of data: `address` is not an address or network",
    ),
    (
        b"8.8.8.0/24,XX,,,\n",
        &RangeFormat::Geofeed,
        "most of its lines are invalid, the first is line 1: `XX` is not a country code of two letters",
    ),
    (
        b"8.8.8.0/24,US,DE-BE,,\n",
        &RangeFormat::Geofeed,
        "most of its lines are invalid, the first is line 1: `DE-BE` is not a region code of US in ISO 3166-2: correct `region_code` or `country_code`",
    ),
    (
        b"8.8.8.0/24\n",
        &RangeFormat::Geofeed,
        "most of its lines are invalid, the first is line 1: it has no country",
    ),
];

#[test]
fn bad_files_are_refused_with_place_and_reason() {
    for (text, format, fault) in BAD_FILES {
        let text = (*text, String::from_utf8_lossy(text));
        assert_eq!(read(text.0, format, Parts::ALL), Err((*fault).to_owned()), "{}", text.1);
    }
    let giant = read(b"0.0.0.0/1,x\n", &RangeFormat::Csv, Parts::NONE).expect_err("refused");
    assert!(giant.contains("larger than a /8"), "{giant}");
}

#[test]
fn bad_json_is_refused_with_the_path_and_the_reason() {
    for (text, path, fault) in [
        ("{\"a\":", "a", "it is not JSON: EOF while parsing a value at line 1 column 5"),
        ("not found", "a", "it is not JSON: expected ident at line 1 column 2"),
        ("{\"b\":[]}", "a[].p", "it has nothing at `a[].p`"),
        ("{\"a\":[{\"p\":\"1.1.1.1\"},{\"p\":5}]}", "a[].p", "a[1].p: expected a network as text"),
        ("{\"a\":[{\"p\":\"::/0\"}]}", "a[].p", "a[0].p: `::/0` is larger than a /16: probably a mistake"),
        ("{\"a\":[{\"p\":\"1.1.1.0/40\"}]}", "a[].p", "a[0].p: `40` is not a prefix length"),
    ] {
        assert_eq!(read(text.as_bytes(), &paths(path), Parts::ALL), Err(fault.to_owned()), "{text}");
    }
    let deep = "[".repeat(100_000);
    assert!(
        read(deep.as_bytes(), &paths("[]"), Parts::ALL).expect_err("refused").starts_with("it is not JSON")
    );
}
