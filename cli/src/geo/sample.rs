//! The sample database: small, readable, and there without any download.

use std::io::Write as _;
use std::net::IpAddr;
use std::path::Path;

use super::build::{About, build_made, write_whole};
use super::error::BuildError;
use super::extract::{Network, Place, Said, network_number};
use super::source::Trie;

/// The sample's text: what it holds is said in its first lines.
const TEXT: &str = include_str!("sample.txt");

/// The name that the sample database goes by.
pub const SAMPLE_NAME: &str = "ipgeo sample";

/// Columns of a line.
const COLUMNS: usize = 10;

/// Compiles the sample database.
pub fn sample() -> Result<Vec<u8>, BuildError> {
    let about = About {
        name: SAMPLE_NAME.to_owned(),
        date: "2026-11-24".to_owned(),
        licence: "MIT OR Apache-2.0".to_owned(),
        build_epoch: 1_795_478_400,
        ..About::default()
    };
    sample_of(TEXT, &about)
}

/// Compiles a text of the sample's form.
pub(crate) fn sample_of(text: &str, about: &About) -> Result<Vec<u8>, BuildError> {
    let (trie, said) = read(text)?;
    build_made(&trie, &said, about)
}

/// Compiles the sample database into a file; whole or not at all.
pub fn write_sample(out: &Path) -> Result<(), BuildError> {
    write_whole(out, |file| file.write_all(&sample()?).map_err(BuildError::write(out)))
}

struct Line {
    bits: u128,
    length: u8,
    said: Said,
}

fn read(text: &str) -> Result<(Trie, Vec<Said>), BuildError> {
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if !line.is_empty() && !line.starts_with('#') {
            let parsed = read_line(line);
            lines.push(parsed.map_err(|fault| BuildError::Sample { line: index + 1, fault })?);
        }
    }
    // The longest prefix says most of an address.
    lines.sort_by_key(|line| std::cmp::Reverse(line.length));
    let mut trie = Trie::default();
    for (index, line) in lines.iter().enumerate() {
        trie.insert(line.bits, line.length, index);
    }
    Ok((trie, lines.into_iter().map(|line| line.said).collect()))
}

fn read_line(line: &str) -> Result<Line, String> {
    let columns: Vec<&str> = line.split('|').map(str::trim).collect();
    let &[network, country, region, region_code, city, postal, latitude, longitude, number, name] =
        columns.as_slice()
    else {
        return Err(format!("has {} columns instead of {COLUMNS}", columns.len()));
    };
    let (address, length) = network.split_once('/').ok_or("the network has no `/`")?;
    let address: IpAddr = address.parse().map_err(|_| format!("`{address}` is no address"))?;
    let length: u8 = length.parse().map_err(|_| format!("`{length}` is no prefix length"))?;
    let (bits, length) = match address {
        IpAddr::V4(v4) if length <= 32 => (u128::from(v4.to_bits()), length + 96),
        IpAddr::V6(v6) if length <= 128 => (v6.to_bits(), length),
        _ => return Err(format!("`{length}` is too long a prefix")),
    };
    for (what, number) in [("latitude", latitude), ("longitude", longitude)] {
        if !number.is_empty() && number.parse::<f64>().is_err() {
            return Err(format!("`{number}` is no {what}"));
        }
    }
    let network = match number {
        "" => None,
        text => Some(Network {
            number: network_number(text).ok_or_else(|| format!("`{text}` is no network number"))?,
            name: name.to_owned(),
            ..Network::default()
        }),
    };
    let place = Place {
        country_code: country.to_owned(),
        region: region.to_owned(),
        region_code: region_code.to_owned(),
        city: city.to_owned(),
        postal: postal.to_owned(),
        latitude: latitude.to_owned(),
        longitude: longitude.to_owned(),
        ..Place::default()
    };
    Ok(Line { bits, length, said: Said { place: Some(place), network } })
}

#[cfg(test)]
mod tests {
    use ipgeo_runtime::geo::Database;

    use super::*;

    #[test]
    fn a_wrong_line_is_named() {
        let good = "8.8.8.0/24 | US | | | | | | | | \n";
        let table = [
            ("8.8.8.0/24 | US", "has 2 columns instead of 10"),
            ("8.8.8.0 | US | | | | | | | | ", "the network has no `/`"),
            ("8.8.8/24 | US | | | | | | | | ", "`8.8.8` is no address"),
            ("8.8.8.0/33 | US | | | | | | | | ", "`33` is too long a prefix"),
            ("8.8.8.0/x | US | | | | | | | | ", "`x` is no prefix length"),
            ("8.8.8.0/24 | US | | | | | north | | | ", "`north` is no latitude"),
            ("8.8.8.0/24 | US | | | | | | | ASX | ", "`ASX` is no network number"),
        ];
        for (line, fault) in table {
            let error = read(&format!("# head\n{good}{line}")).map(|_| ()).expect_err(line);
            assert_eq!(error.to_string(), format!("line 3 of the sample: {fault}"));
        }
    }

    #[test]
    fn the_sample_answers_well_known_addresses_and_most_of_the_world() {
        let database = Database::from_bytes(sample().expect("the sample compiles")).expect("it opens");
        let told = |address: &str| {
            let mut out = String::new();
            database.lookup(address.parse().expect("an address")).expect(address).write_static(&mut out);
            out
        };
        assert!(told("8.8.8.8").contains(r#""city":"Mountain View""#), "{}", told("8.8.8.8"));
        assert!(
            told("8.8.8.8").contains(r#""asn":{"asn":"AS15169","name":"Google LLC","route":"8.8.8.0/24"}"#)
        );
        assert!(told("1.1.1.1").contains(r#""country_code":"AU""#));
        assert!(told("2606:4700:4700::1111").contains(r#""country_code":"US""#));
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
