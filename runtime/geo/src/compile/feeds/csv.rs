//! CSV with ranges: ip-location-db's, DB-IP's and `IPinfo`'s files, and any file with a header.

use std::collections::HashMap;

use super::super::extract::{SourceNetwork, SourcePlace, SourceRecord, as_number};
use super::super::source::Parts;
use super::line::CsvLine;
use super::{Found, kind, lines, network};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Network,
    First,
    Last,
    CountryCode,
    CountryName,
    ContinentCode,
    Region,
    RegionCode,
    City,
    Postal,
    Latitude,
    Longitude,
    TimeZone,
    AsNumber,
    AsName,
    AsDomain,
    Radius,
    Ignored,
}

use Column::{
    AsDomain, AsName, AsNumber, City, ContinentCode, CountryCode, CountryName, First, Ignored, Last,
    Latitude, Longitude, Network, Postal, Radius, Region, RegionCode, TimeZone,
};

/// The columns after the range of files without a header, distinguished by their number: countries, networks (ip-location-db
/// and DB-IP), Apple's and other geofeeds as CSV, DB-IP's cities, ip-location-db's cities.
const WITHOUT_HEADER: [&[Column]; 5] = [
    &[CountryCode],
    &[AsNumber, AsName],
    &[CountryCode, RegionCode, City, Postal],
    &[ContinentCode, CountryCode, Region, City, Latitude, Longitude],
    &[CountryCode, Region, Ignored, City, Postal, Latitude, Longitude, TimeZone],
];

/// The names of columns in headers, in lower case and without `_`, ` ` and `-`.
fn named(name: &str) -> Column {
    match name {
        "network" | "prefix" | "cidr" | "ipprefix" | "range" | "iprange" | "subnet" => Network,
        "start" | "startip" | "iprangestart" | "rangestart" | "first" | "ipfrom" | "ipstart" => First,
        "end" | "endip" | "iprangeend" | "rangeend" | "last" | "ipto" | "ipend" => Last,
        "countrycode" | "countryiso" | "countryisocode" | "alpha2code" => CountryCode,
        "country" | "countryname" => CountryName,
        "continentcode" => ContinentCode,
        "region" | "regionname" | "state" | "state1" | "subdivision" | "stateprov" => Region,
        "regioncode" | "subdivisioncode" => RegionCode,
        "city" | "cityname" => City,
        "postal" | "postalcode" | "postcode" | "zip" | "zipcode" => Postal,
        "latitude" | "lat" => Latitude,
        "longitude" | "lon" | "lng" | "long" => Longitude,
        "timezone" => TimeZone,
        "asn" | "asnumber" | "autonomoussystemnumber" => AsNumber,
        "asname" | "asorganization" | "autonomoussystemorganization" | "organization" | "org" => AsName,
        "asdomain" => AsDomain,
        "accuracyradius" | "accuracyradiuskm" => Radius,
        _ => Ignored,
    }
}

/// The columns of a file and their number.
struct Layout {
    columns: Vec<Column>,
    width: usize,
}

fn column(name: &[u8]) -> Column {
    let name = String::from_utf8_lossy(name).to_lowercase();
    named(&name.replace(['_', ' ', '-'], ""))
}

/// The columns of a file, by its first row; whether that row is a header.
fn columns(row: &CsvLine, parts: Parts) -> Result<(Vec<Column>, bool), String> {
    let number = |text: &str| text.parse::<u128>().is_ok();
    let (first, second) = (row.text(0), row.text(1));
    let address = |text: &str| network::address(text).is_ok();
    let range = if number(&first) { number(&second) } else { address(&first) && address(&second) };
    let mut columns = if range { vec![First, Last] } else { vec![Network] };
    if !range && network::range(&first).is_err() {
        let mut columns: Vec<Column> = row.iter().map(column).collect();
        let ranges = columns.contains(&First) && columns.contains(&Last);
        if !ranges && !columns.contains(&Network) {
            let fault = network::address(&first).err().unwrap_or_default();
            return Err(format!("it is neither a header with `network` nor a row of data: {fault}"));
        }
        if !columns.contains(&CountryCode) {
            // Without a column for the code, `country` is the code.
            if let Some(country) = columns.iter_mut().find(|column| **column == CountryName) {
                *country = CountryCode;
            }
        }
        refuse_repeated(row, &columns)?;
        let says = |column: &Column| !matches!(column, Network | First | Last | Ignored);
        if parts != Parts::NONE && !columns.iter().any(says) {
            return Err("no column of the header is known besides the network".to_owned());
        }
        return Ok((columns, true));
    }
    let rest = row.len() - columns.len();
    match WITHOUT_HEADER.iter().find(|layout| layout.len() == rest) {
        Some(layout) => columns.extend(*layout),
        None if parts == Parts::NONE => columns.extend(std::iter::repeat_n(Ignored, rest)),
        None => {
            return Err(format!("cannot tell what its {} columns are; add a header row", row.len()));
        }
    }
    Ok((columns, false))
}

/// Refuses two columns of a header for one field, such as `lat` and `latitude`: nothing says which is right.
fn refuse_repeated(row: &CsvLine, columns: &[Column]) -> Result<(), String> {
    for (second, column) in columns.iter().enumerate().filter(|(_, column)| **column != Ignored) {
        if let Some(first) = columns[..second].iter().position(|before| before == column) {
            let name = |at: usize| format!("{} (`{}`)", at + 1, row.text(at).escape_debug());
            return Err(format!(
                "columns {} and {} are for the same field; rename or remove one",
                name(first),
                name(second)
            ));
        }
    }
    Ok(())
}

pub(super) fn parse(bytes: &[u8], parts: Parts) -> Result<Found, String> {
    kind::refuse_other_encoding(bytes)?;
    let mut row = CsvLine::new();
    let mut layout: Option<Layout> = None;
    let mut found = Found::default();
    // Many ranges have the same data: each record is built once, by the text of its columns.
    let mut known: HashMap<Vec<u8>, u32> = HashMap::new();
    let mut key = Vec::new();
    for (line, text) in lines(bytes) {
        let at_line = |fault: String| format!("line {line}: {fault}");
        row.split(text).map_err(at_line)?;
        let layout = match &layout {
            Some(layout) => layout,
            None => {
                let (columns, is_header) = columns(&row, parts).map_err(at_line)?;
                let layout = layout.insert(Layout { columns, width: row.len() });
                if is_header {
                    continue;
                }
                layout
            }
        };
        // It may be cut off.
        if row.len() != layout.width {
            let fault = format!("it has {} columns, the first row has {}", row.len(), layout.width);
            return Err(at_line(fault));
        }
        let columns = &layout.columns;
        let range = range_of(&row, columns, parts).map_err(at_line)?;
        key.clear();
        for (column, text) in columns.iter().zip(row.iter()) {
            if !matches!(column, Network | First | Last | Ignored) {
                key.extend_from_slice(text);
                key.push(0);
            }
        }
        let number = match known.get(&key) {
            Some(number) => *number,
            None => {
                let record = record(&row, columns).map_err(at_line)?;
                let number = u32::try_from(found.records.len()).map_err(|_| "it has too many records")?;
                found.records.push(record.restricted(parts));
                known.insert(key.clone(), number);
                number
            }
        };
        found.add(range, number);
    }
    Ok(found)
}

fn range_of(row: &CsvLine, columns: &[Column], parts: Parts) -> Result<network::Range, String> {
    let text = |wanted: Column| columns.iter().position(|column| *column == wanted).map(|at| row.text(at));
    let range = match (text(Network), text(First), text(Last)) {
        (_, Some(first), Some(last)) => network::between(&first, &last)?,
        (Some(network), ..) => network::range(&network)?,
        _ => return Err("the row has no network".to_owned()),
    };
    if parts == Parts::NONE {
        network::refuse_giant(&text(Network).unwrap_or_else(|| network::shown(range).into()), range)?;
    }
    Ok(range)
}

fn record(row: &CsvLine, columns: &[Column]) -> Result<SourceRecord, String> {
    let mut place = SourcePlace::default();
    let mut network = SourceNetwork::default();
    let mut radius = None;
    for (column, bytes) in columns.iter().zip(row.iter()) {
        let text = String::from_utf8_lossy(bytes).into_owned();
        match column {
            CountryCode => place.country_code = text,
            CountryName => place.country_name = text,
            ContinentCode => place.continent_code = text,
            Region => place.region = text,
            RegionCode => place.region_code = text,
            City => place.city = text,
            Postal => place.postal = text,
            Latitude => place.latitude = text,
            Longitude => place.longitude = text,
            TimeZone => place.time_zone = text,
            AsNumber => network.number = number(&text)?,
            AsName => network.name = text,
            AsDomain => network.domain = text,
            Radius => radius = text.parse().ok(),
            Network | First | Last | Ignored => {}
        }
    }
    Ok(SourceRecord {
        place: place.is_known().then_some(place),
        network: (network.number != 0).then_some(network),
        accuracy_radius_km: radius,
        ..SourceRecord::default()
    })
}

/// An AS number; 0 if it is unknown. Another text means that the columns are not the expected ones.
fn number(text: &str) -> Result<u32, String> {
    match text {
        "" | "-" | "0" | "AS0" => Ok(0),
        text => as_number(text).ok_or_else(|| format!("`{}` is not an AS number", text.escape_debug())),
    }
}
