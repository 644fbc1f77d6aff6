//! The sample database: a small set compiled from a text in this folder, so that `ipgeo dev` and the tests need no download.

use std::net::IpAddr;
use std::path::Path;

use super::build::{BuildSource, SourceData, build};
use super::error::BuildError;
use super::extract::{SourceNetwork, SourcePlace, SourceRecord, as_number};
use super::facts::SourceGives;
use super::progress::NoProgress;
use super::ranges::RangeSet;
use super::source::PrefixTrie;
use super::write::DataDescription;

/// The sample's text; its first lines describe the columns.
const TEXT: &str = include_str!("sample.txt");

/// The `name` in the sample database's description.
pub const SAMPLE_NAME: &str = "ipgeo sample";

/// Number of columns of a line.
const COLUMNS: usize = 10;

/// Compiles the sample database.
pub fn sample() -> Result<Vec<u8>, BuildError> {
    let description = DataDescription {
        name: SAMPLE_NAME.to_owned(),
        date: "2026-11-24".to_owned(),
        licence: "MIT OR Apache-2.0".to_owned(),
        build_epoch: 1_795_478_400,
        ..DataDescription::default()
    };
    compile_text(TEXT, &description)
}

/// Compiles a text in the sample's form: a line for each network, ten columns separated by `|`, `#` for comments.
pub fn compile_text(text: &str, description: &DataDescription) -> Result<Vec<u8>, BuildError> {
    let (trie, records) = read(text)?;
    let ranges = RangeSet::new(Path::new("(text)").to_owned(), trie, records);
    let source = BuildSource {
        name: SAMPLE_NAME.to_owned(),
        data: SourceData::Ranges(ranges),
        gives: SourceGives::default(),
    };
    Ok(build(&[source], description, &NoProgress)?.to_bytes())
}

struct SampleLine {
    bits: u128,
    length: u8,
    record: SourceRecord,
}

fn read(text: &str) -> Result<(PrefixTrie, Vec<SourceRecord>), BuildError> {
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if !line.is_empty() && !line.starts_with('#') {
            let parsed = read_line(line);
            lines.push(parsed.map_err(|fault| BuildError::Text { line: index + 1, fault })?);
        }
    }
    // The longest prefix of an address wins, and the trie keeps what was inserted first.
    lines.sort_by_key(|line| std::cmp::Reverse(line.length));
    let mut trie = PrefixTrie::default();
    for (index, line) in (0_u32..).zip(&lines) {
        trie.insert(line.bits, line.length, index);
    }
    Ok((trie, lines.into_iter().map(|line| line.record).collect()))
}

fn read_line(line: &str) -> Result<SampleLine, String> {
    let columns: Vec<&str> = line.split('|').map(str::trim).collect();
    let &[network, country, region, region_code, city, postal, latitude, longitude, number, name] =
        columns.as_slice()
    else {
        return Err(format!("there are {} columns instead of {COLUMNS}", columns.len()));
    };
    let (address, length) = network.split_once('/').ok_or("the network has no `/`")?;
    let address: IpAddr = address.parse().map_err(|_| format!("`{address}` is not an address"))?;
    let length: u8 = length.parse().map_err(|_| format!("`{length}` is not a prefix length"))?;
    let (bits, length) = match address {
        IpAddr::V4(v4) if length <= 32 => (u128::from(v4.to_bits()), length + 96),
        IpAddr::V6(v6) if length <= 128 => (v6.to_bits(), length),
        _ => return Err(format!("the prefix length `{length}` is too large")),
    };
    for (what, number) in [("latitude", latitude), ("longitude", longitude)] {
        if !number.is_empty() && number.parse::<f64>().is_err() {
            return Err(format!("`{number}` is not a {what}"));
        }
    }
    let network = match number {
        "" => None,
        text => Some(SourceNetwork {
            number: as_number(text).ok_or_else(|| format!("`{text}` is not an AS number"))?,
            name: name.to_owned(),
            ..SourceNetwork::default()
        }),
    };
    let place = SourcePlace {
        country_code: country.to_owned(),
        region: region.to_owned(),
        region_code: region_code.to_owned(),
        city: city.to_owned(),
        postal: postal.to_owned(),
        latitude: latitude.to_owned(),
        longitude: longitude.to_owned(),
        ..SourcePlace::default()
    };
    Ok(SampleLine {
        bits,
        length,
        record: SourceRecord { place: Some(place), network, ..SourceRecord::default() },
    })
}

#[cfg(test)]
mod tests {
    use crate::Database;

    use super::*;

    #[test]
    fn an_invalid_line_is_named() {
        let good = "8.8.8.0/24 | US | | | | | | | | \n";
        let table = [
            ("8.8.8.0/24 | US", "there are 2 columns instead of 10"),
            ("8.8.8.0 | US | | | | | | | | ", "the network has no `/`"),
            ("8.8.8/24 | US | | | | | | | | ", "`8.8.8` is not an address"),
            ("8.8.8.0/33 | US | | | | | | | | ", "the prefix length `33` is too large"),
            ("8.8.8.0/x | US | | | | | | | | ", "`x` is not a prefix length"),
            ("8.8.8.0/24 | US | | | | | north | | | ", "`north` is not a latitude"),
            ("8.8.8.0/24 | US | | | | | | | ASX | ", "`ASX` is not an AS number"),
        ];
        for (line, fault) in table {
            let error = read(&format!("# head\n{good}{line}")).map(|_| ()).expect_err(line);
            assert_eq!(error.to_string(), format!("line 3 of the text: {fault}"));
        }
    }

    #[test]
    fn the_sample_answers_well_known_addresses_and_most_of_the_world() {
        let database = Database::from_bytes(sample().expect("the sample compiles")).expect("it opens");
        let members = |address: &str| {
            let mut out = String::new();
            database.lookup(address.parse().expect("an address")).expect(address).write_static(&mut out);
            out
        };
        assert!(members("8.8.8.8").contains(r#""city":"Mountain View""#), "{}", members("8.8.8.8"));
        assert!(
            members("8.8.8.8")
                .contains(r#""asn":{"asn":"AS15169","name":"Google LLC","route":"8.8.8.0/24"}"#)
        );
        assert!(members("1.1.1.1").contains(r#""country_code":"AU""#));
        assert!(members("2606:4700:4700::1111").contains(r#""country_code":"US""#));
        assert!(database.asn(15_169).expect("known").contains(r#""name":"Google LLC""#));
        assert_eq!(database.asn(4_200_000_000), None);
        let mut random = fastrand::Rng::with_seed(1);
        let known = (0..1_000)
            .filter(|_| {
                let address = std::net::Ipv4Addr::from_bits(random.u32(0x0100_0000..0xe000_0000));
                database.lookup(address.into()).is_some()
            })
            .count();
        assert!(known > 800, "{known} of 1000");
    }
}
