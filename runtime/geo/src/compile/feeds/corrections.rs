//! Corrections: the operator's own, and geofeeds, in which networks state their own locations (RFC 8805).

use csv::{ReaderBuilder, StringRecord, Trim, Writer};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::super::clean;
use super::super::countries::CountryTable;
use super::super::extract::{SourcePlace, SourceRecord};
use super::{Found, lines, network};

/// A correction of a network's location. For an empty text, the sources decide the field.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Correction {
    /// A network, an address or a range.
    pub network: String,
    /// City.
    pub city: String,
    /// Name of the region.
    pub region: String,
    /// ISO 3166-2 code of the region, with or without the country.
    pub region_code: String,
    /// ISO 3166 code of two letters.
    pub country_code: String,
    /// Postal code.
    pub postal: String,
    /// Degrees north.
    pub latitude: String,
    /// Degrees east.
    pub longitude: String,
    /// IANA's name.
    pub time_zone: String,
    /// The reason.
    pub note: String,
    /// When it was made.
    pub date: String,
}

impl Correction {
    /// The first error in it.
    pub fn problem(&self) -> Option<String> {
        self.checked(&CountryTable::new()).err()
    }

    /// Its range and record.
    fn checked(&self, countries: &CountryTable) -> Result<(network::Range, SourceRecord), String> {
        let range = network::range(self.network.trim())?;
        network::refuse_giant(&self.network, range)?;
        if network::is_reserved(range) {
            return Err(format!("`{}` has no public address", self.network.trim()));
        }
        let code = self.country_code.trim();
        if !code.is_empty() && countries.code_of(code).is_none() {
            return Err(format!("`{code}` is not a country code of two letters"));
        }
        let local = [&self.city, &self.region, &self.region_code, &self.postal];
        if code.is_empty() && local.iter().any(|text| !text.trim().is_empty()) {
            return Err("a city, region or postal code needs `country_code`".to_owned());
        }
        let point = (self.latitude.trim(), self.longitude.trim());
        if point != ("", "") && clean::point(point.0, point.1).is_none() {
            return Err(format!("`{}, {}` is not a latitude and longitude", point.0, point.1));
        }
        let zone = self.time_zone.trim();
        if !zone.is_empty() && TimeZone::get(zone).is_err() {
            return Err(format!("`{zone}` is not a time zone"));
        }
        let place = SourcePlace {
            country_code: code.to_owned(),
            region: self.region.trim().to_owned(),
            region_code: self.region_code.trim().to_owned(),
            city: self.city.trim().to_owned(),
            postal: self.postal.trim().to_owned(),
            latitude: point.0.to_owned(),
            longitude: point.1.to_owned(),
            time_zone: zone.to_owned(),
            ..SourcePlace::default()
        };
        if !place.is_known() {
            return Err("it corrects nothing".to_owned());
        }
        Ok((range, SourceRecord { place: Some(place), ..SourceRecord::default() }))
    }

    /// Number of its addresses, and its first.
    pub fn addresses(&self) -> Option<(u128, std::net::IpAddr)> {
        let range = network::range(self.network.trim()).ok()?;
        Some((
            (range.1 - range.0).saturating_add(1),
            network::address(&network::shown((range.0, range.0))).ok()?,
        ))
    }

    /// Its network in the usual notation, so that any notation finds it.
    pub fn range_text(&self) -> Option<String> {
        network::range(self.network.trim()).ok().map(network::shown)
    }
}

/// Reads a file of corrections, with a header.
pub fn read_corrections(bytes: &[u8]) -> Result<Vec<Correction>, String> {
    Ok(numbered(bytes)?.into_iter().map(|(_, correction)| correction).collect())
}

fn numbered(bytes: &[u8]) -> Result<Vec<(u64, Correction)>, String> {
    let mut reader = ReaderBuilder::new().trim(Trim::All).comment(Some(b'#')).from_reader(bytes);
    let headers = reader.headers().map_err(|error| error.to_string())?.clone();
    let mut all = Vec::new();
    let mut row = StringRecord::new();
    while reader.read_record(&mut row).map_err(|error| error.to_string())? {
        let line = row.position().map_or(0, csv::Position::line);
        let read = row.deserialize(Some(&headers));
        all.push((line, read.map_err(|error| format!("line {line}: {error}"))?));
    }
    Ok(all)
}

/// The text of a file of corrections.
pub fn write_corrections(corrections: &[Correction]) -> Result<Vec<u8>, String> {
    let mut writer = Writer::from_writer(Vec::new());
    if corrections.is_empty() {
        writer.serialize(Correction::default()).map_err(|error| error.to_string())?;
        let bytes = writer.into_inner().map_err(|error| error.to_string())?;
        // The header alone.
        let end = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1);
        return Ok(bytes[..end].to_vec());
    }
    for correction in corrections {
        writer.serialize(correction).map_err(|error| error.to_string())?;
    }
    writer.into_inner().map_err(|error| error.to_string())
}

pub(super) fn parse(bytes: &[u8]) -> Result<Found, String> {
    let countries = CountryTable::new();
    let mut found = Found::default();
    for (line, correction) in numbered(bytes)? {
        let (range, record) =
            correction.checked(&countries).map_err(|fault| format!("line {line}: {fault}"))?;
        add(&mut found, range, record)?;
    }
    Ok(found)
}

fn add(found: &mut Found, range: network::Range, record: SourceRecord) -> Result<(), String> {
    let number = u32::try_from(found.records.len()).map_err(|_| "it has too many records")?;
    found.records.push(record);
    found.add(range, number);
    Ok(())
}

/// Reads a geofeed. Invalid lines are skipped (RFC 8805, section 2.1.1); if most lines are invalid, the file is refused.
pub(super) fn geofeed(bytes: &[u8]) -> Result<Found, String> {
    let countries = CountryTable::new();
    let mut found = Found::default();
    let mut silent = 0;
    for (line, text) in lines(bytes) {
        let correction = match geofeed_line(&text, &countries) {
            Ok(Some(correction)) => correction,
            // The network's owner asks not to be located.
            Ok(None) => {
                silent += 1;
                continue;
            }
            Err(fault) => {
                found.skipped.invalid += 1;
                found.skipped.first_invalid.get_or_insert(format!("line {line}: {fault}"));
                continue;
            }
        };
        if network::range(&correction.network).is_ok_and(network::is_reserved) {
            found.skipped.reserved += 1;
            continue;
        }
        match correction.checked(&countries) {
            Ok((range, record)) => add(&mut found, range, record)?,
            Err(fault) => {
                found.skipped.invalid += 1;
                found.skipped.first_invalid.get_or_insert(format!("line {line}: {fault}"));
            }
        }
    }
    match &found.skipped.first_invalid {
        Some(first) if found.skipped.invalid > found.ranges.len() + silent => {
            Err(format!("most of its lines are invalid, the first is {first}"))
        }
        _ => Ok(found),
    }
}

/// A line of a geofeed; `None` if it has no location.
fn geofeed_line(text: &str, countries: &CountryTable) -> Result<Option<Correction>, String> {
    let mut reader = ReaderBuilder::new().has_headers(false).trim(Trim::All).from_reader(text.as_bytes());
    let row = reader.records().next().transpose().map_err(|error| error.to_string())?.unwrap_or_default();
    let field = |index: usize| row.get(index).unwrap_or_default().to_owned();
    let (network, country, region_code, city, postal) = (field(0), field(1), field(2), field(3), field(4));
    network::range(&network)?;
    if network.contains('-') {
        return Err(format!("`{network}` is not a prefix"));
    }
    if row.len() < 2 {
        return Err("it has no country".to_owned());
    }
    if [&country, &region_code, &city, &postal].iter().all(|text| text.is_empty()) {
        return Ok(None);
    }
    let two_letters = country.len() == 2 && country.bytes().all(|byte| byte.is_ascii_alphabetic());
    if !two_letters || countries.code_of(&country).is_none() {
        return Err(format!("`{}` is not a country code of two letters", country.escape_debug()));
    }
    if !region_code.is_empty() && !is_region_code(&region_code, &country) {
        return Err(format!("`{}` is not a region code of {country}", region_code.escape_debug()));
    }
    Ok(Some(Correction {
        network,
        country_code: country,
        region_code,
        city,
        postal,
        ..Correction::default()
    }))
}

/// Whether a text has the form of an ISO 3166-2 code of a country: `US-CA`.
fn is_region_code(text: &str, country: &str) -> bool {
    text.split_once('-').is_some_and(|(before, behind)| {
        before.eq_ignore_ascii_case(country)
            && (1..=3).contains(&behind.len())
            && behind.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}
