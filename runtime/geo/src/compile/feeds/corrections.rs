//! Corrections: the operator's own, and geofeeds, in which networks state their own locations (RFC 8805).

use std::sync::LazyLock;

use csv::WriterBuilder;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::super::clean;
use super::super::countries::CountryTable;
use super::super::extract::{SourcePlace, SourceRecord};
use super::super::regions::RegionTable;
use super::line::CsvLine;
use super::{Found, kind, lines, network};

/// A correction of a network's location. For an empty text, the sources decide the field.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
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

/// The columns of a file of corrections.
const COLUMNS: [&str; 11] = [
    "network",
    "city",
    "region",
    "region_code",
    "country_code",
    "postal",
    "latitude",
    "longitude",
    "time_zone",
    "note",
    "date",
];

/// The countries and their regions.
struct Tables {
    countries: CountryTable,
    regions: RegionTable,
}

static TABLES: LazyLock<Tables> =
    LazyLock::new(|| Tables { countries: CountryTable::new(), regions: RegionTable::new() });

impl Correction {
    /// The first error in it.
    pub fn problem(&self) -> Option<String> {
        self.checked(&TABLES).err()
    }

    fn column(&mut self, name: &str) -> Option<&mut String> {
        Some(match name {
            "network" => &mut self.network,
            "city" => &mut self.city,
            "region" => &mut self.region,
            "region_code" => &mut self.region_code,
            "country_code" => &mut self.country_code,
            "postal" => &mut self.postal,
            "latitude" => &mut self.latitude,
            "longitude" => &mut self.longitude,
            "time_zone" => &mut self.time_zone,
            "note" => &mut self.note,
            "date" => &mut self.date,
            _ => return None,
        })
    }

    /// Its range and record.
    fn checked(&self, tables: &Tables) -> Result<(network::Range, SourceRecord), String> {
        let mut copy = self.clone();
        // A file of corrections has one a line.
        let broken = |name: &&&str| copy.column(name).is_some_and(|text| text.contains(['\n', '\r']));
        if let Some(name) = COLUMNS.iter().find(broken) {
            return Err(format!("`{name}` has a line break"));
        }
        let range = network::range(self.network.trim())?;
        network::refuse_host_bits(&self.network)?;
        network::refuse_giant(&self.network, range)?;
        if network::is_reserved(range) {
            return Err(format!("`{}` has no public address", self.network.trim()));
        }
        let code = self.country_code.trim();
        let country = tables.countries.code_of(code).unwrap_or_default();
        if country.is_empty() && !code.is_empty() {
            return Err(format!("`{code}` is not a country code of two letters"));
        }
        let local = [&self.city, &self.region, &self.region_code, &self.postal];
        if code.is_empty() && local.iter().any(|text| !text.trim().is_empty()) {
            return Err("a city, region or postal code needs `country_code`".to_owned());
        }
        refuse_foreign_region(country, &self.region_code, &self.region, tables)?;
        let point = (self.latitude.trim(), self.longitude.trim());
        if point.0.is_empty() != point.1.is_empty() {
            return Err("latitude and longitude need each other".to_owned());
        }
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
            return Err(
                "it corrects nothing: it needs a country, region, city, postal code, coordinates or time zone"
                    .to_owned(),
            );
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

/// Refuses the code of a region that is not in the country, or that is not the code of the named region.
fn refuse_foreign_region(country: &str, code: &str, name: &str, tables: &Tables) -> Result<(), String> {
    let (code, name) = (code.trim().to_uppercase(), name.trim());
    if code.is_empty() {
        return Ok(());
    }
    let own = match code.split_once('-') {
        None => Some(code.as_str()),
        Some((before, own)) => (tables.countries.code_of(before) == Some(country)).then_some(own),
    };
    let Some(own) = own.filter(|own| tables.regions.has_code(country, own)) else {
        let code = code.escape_debug();
        return Err(format!(
            "`{code}` is not a region code of {country} in ISO 3166-2: correct `region_code` or `country_code`"
        ));
    };
    match tables.regions.code(country, name) {
        Some(other) if other != own => Err(format!(
            "`{own}` is not the region code of {name}, which is `{other}`: correct `region_code` or `region`"
        )),
        _ => Ok(()),
    }
}

/// Reads a file of corrections, with a header.
pub fn read_corrections(bytes: &[u8]) -> Result<Vec<Correction>, String> {
    Ok(numbered(kind::text(bytes)?)?.into_iter().map(|(_, correction)| correction).collect())
}

fn numbered(bytes: &[u8]) -> Result<Vec<(usize, Correction)>, String> {
    kind::refuse_other_encoding(bytes)?;
    let mut row = CsvLine::new();
    let mut header: Option<Vec<&str>> = None;
    let mut all = Vec::new();
    for (line, text) in lines(bytes) {
        let at_line = |fault: String| format!("line {line}: {fault}");
        row.split(text).map_err(at_line)?;
        let Some(names) = &header else {
            header = Some(header_of(&row).map_err(at_line)?);
            continue;
        };
        if row.len() != names.len() {
            return Err(at_line(format!("it has {} columns, the header has {}", row.len(), names.len())));
        }
        let mut correction = Correction::default();
        for (index, name) in names.iter().enumerate() {
            if let Some(column) = correction.column(name) {
                *column = row.text(index).into_owned();
            }
        }
        all.push((line, correction));
    }
    Ok(all)
}

/// The names of the columns in a header.
fn header_of(row: &CsvLine) -> Result<Vec<&'static str>, String> {
    let mut names = Vec::new();
    for index in 0..row.len() {
        let text = row.text(index);
        let Some(name) = COLUMNS.into_iter().find(|name| *name == text) else {
            let columns = COLUMNS.join(", ");
            return Err(format!("`{}` is not a column; the columns are {columns}", text.escape_debug()));
        };
        if let Some(first) = names.iter().position(|known| *known == name) {
            return Err(format!("columns {} and {} are both `{name}`", first + 1, index + 1));
        }
        names.push(name);
    }
    if names.contains(&"network") { Ok(names) } else { Err("it has no column `network`".to_owned()) }
}

/// The text of a file of corrections.
pub fn write_corrections(corrections: &[Correction]) -> Result<Vec<u8>, String> {
    // A text that starts with `#` is quoted, so that it is not read as a comment.
    let mut writer = WriterBuilder::new().comment(Some(b'#')).from_writer(Vec::new());
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
    let mut found = Found::default();
    for (line, correction) in numbered(bytes)? {
        let (range, record) = correction.checked(&TABLES).map_err(|fault| format!("line {line}: {fault}"))?;
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
    let (mut row, mut found) = (CsvLine::new(), Found::default());
    let mut silent = 0;
    for (line, text) in lines(bytes) {
        let read = geofeed_line(text, &mut row).and_then(|correction| match correction {
            Some(one) if network::range(&one.network).is_ok_and(network::is_reserved) => {
                found.skipped.reserved += 1;
                Ok(None)
            }
            Some(one) => one.checked(&TABLES).map(Some),
            // The network's owner asks not to be located.
            None => {
                silent += 1;
                Ok(None)
            }
        });
        match read {
            Ok(Some((range, record))) => add(&mut found, range, record)?,
            Ok(None) => {}
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
fn geofeed_line(line: &[u8], row: &mut CsvLine) -> Result<Option<Correction>, String> {
    let line = std::str::from_utf8(line).map_err(|_| "it is not UTF-8")?;
    // A comment may follow the columns.
    row.split(line.split('#').next().unwrap_or_default().trim().as_bytes())?;
    let field = |index: usize| row.text(index).into_owned();
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
    if country.len() != 2 {
        return Err(format!("`{}` is not a country code of two letters", country.escape_debug()));
    }
    if !region_code.is_empty() && !region_code.contains('-') {
        let code = region_code.escape_debug();
        return Err(format!("`{code}` is not a region code with its country, such as US-CA"));
    }
    let place =
        Correction { network, country_code: country, region_code, city, postal, ..Correction::default() };
    Ok(Some(place))
}
