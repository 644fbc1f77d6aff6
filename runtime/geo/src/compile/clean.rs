//! Cleans source data: removes placeholders and impossible values, and normalises codes and names. Every record of every
//! layout passes through here, so a response holds known values or none.

use jiff::tz::TimeZone;

use super::countries::{self, CountryTable};
use super::extract::{SourceNetwork, SourcePlace, SourceRecord};

/// Maximum length of the name of a place or network.
const TEXT_BYTES_MAX: usize = 1_000;

/// Placeholders for "unknown", in lower case. A text without a letter or digit counts as one too. `None`, `Nan` and `NA`
/// are real places.
const PLACEHOLDERS: [&str; 8] =
    ["n/a", "#n/a", "null", "(null)", "unknown", "(unknown)", "undefined", "not available"];

impl SourceRecord {
    /// Returns the record without placeholders and invalid values.
    pub(super) fn cleaned(self, countries: &CountryTable) -> Self {
        Self {
            place: self.place.map(|place| clean_place(&place, countries)),
            network: self.network.and_then(|network| clean_network(&network)),
            ..self
        }
    }
}

fn clean_place(place: &SourcePlace, countries: &CountryTable) -> SourcePlace {
    let written = text(&place.country_code);
    let country = countries.code_of(&written);
    // Values for an invalid country code must not be applied to another country.
    let invalid_country = country.is_none() && !place.country_code.trim().is_empty();
    let (latitude, longitude) = point(&place.latitude, &place.longitude).unwrap_or_default();
    SourcePlace {
        country_code: country.unwrap_or_default().to_owned(),
        country_name: if invalid_country { String::new() } else { text(&place.country_name) },
        continent_code: countries::continent_code(place.continent_code.trim()).unwrap_or_default().to_owned(),
        is_eu: place.is_eu.filter(|_| !invalid_country),
        region: text(&place.region),
        region_code: region_code(&place.region_code, country, countries),
        city: text(&place.city),
        postal: text(&place.postal),
        latitude,
        longitude,
        time_zone: zone(&place.time_zone).unwrap_or_default(),
    }
}

fn clean_network(network: &SourceNetwork) -> Option<SourceNetwork> {
    (network.number != 0).then(|| SourceNetwork {
        number: network.number,
        name: text(&network.name),
        domain: text(&network.domain),
        kind: text(&network.kind),
    })
}

/// Normalises text to one line; empty if it is a placeholder.
pub(super) fn text(text: &str) -> String {
    if text.len() > TEXT_BYTES_MAX || !text.contains(char::is_alphanumeric) {
        return String::new();
    }
    let mut line = String::with_capacity(text.len());
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if PLACEHOLDERS.contains(&line.to_lowercase().as_str()) { String::new() } else { line }
}

/// The subdivision part of an ISO 3166-2 code: `CA` for `CA` and for `us-ca`; empty if the code is another country's.
fn region_code(code: &str, country: Option<&str>, countries: &CountryTable) -> String {
    let code = text(code).to_uppercase();
    match code.split_once('-') {
        None => code,
        Some((before, behind)) if country.is_some() && countries.code_of(before) == country => {
            behind.to_owned()
        }
        Some(_) => String::new(),
    }
}

/// Latitude and longitude as decimal text, if valid; (0, 0) is a placeholder.
pub(super) fn point(latitude: &str, longitude: &str) -> Option<(String, String)> {
    let number = |text: &str, most: f64| text.parse::<f64>().ok().filter(|number| number.abs() <= most);
    let (north, east) = (number(latitude, 90.0)?, number(longitude, 180.0)?);
    // Adding 0.0 turns -0.0 into 0.0, which is printed without a sign.
    (north != 0.0 || east != 0.0).then(|| ((north + 0.0).to_string(), (east + 0.0).to_string()))
}

/// A time zone's name in IANA's spelling.
fn zone(name: &str) -> Option<String> {
    let zone = TimeZone::get(name.trim()).ok().filter(|zone| !zone.is_unknown())?;
    zone.iana_name().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_count_as_unknown() {
        for (written, expected) in [
            ("Paris", "Paris"),
            ("  New\u{a0} York\t", "New York"),
            ("Bad\r\nHomburg\u{0}", "Bad Homburg"),
            ("None", "None"),
            ("Nan", "Nan"),
            ("Å", "Å"),
            ("東京", "東京"),
            ("", ""),
            ("-", ""),
            (" -- ", ""),
            ("?", ""),
            ("\u{200b}", ""),
            ("N/A", ""),
            ("NULL", ""),
            ("Unknown", ""),
            ("not  available", ""),
        ] {
            assert_eq!(text(written), expected, "{written:?}");
        }
        assert_eq!(text(&"x".repeat(TEXT_BYTES_MAX + 1)), "");
    }

    #[test]
    fn impossible_points_count_as_unknown() {
        let some = |north: &str, east: &str| Some((north.to_owned(), east.to_owned()));
        for (north, east, expected) in [
            ("52.52", "13.405", some("52.52", "13.405")),
            ("-90", "180", some("-90", "180")),
            ("0", "6.6", some("0", "6.6")),
            ("-0", "-78.5", some("0", "-78.5")),
            ("0", "0", None),
            ("0.0", "-0", None),
            ("91", "0", None),
            ("1", "180.1", None),
            ("NaN", "1", None),
            ("inf", "1", None),
            ("52.5", "", None),
            ("", "13", None),
        ] {
            assert_eq!(point(north, east), expected, "{north} {east}");
        }
    }

    #[test]
    fn names_of_zones_are_ianas() {
        for (written, expected) in [
            ("Europe/Berlin", Some("Europe/Berlin")),
            ("europe/berlin", Some("Europe/Berlin")),
            (" America/New_York ", Some("America/New_York")),
            ("Etc/Unknown", None),
            ("Mars/Olympus", None),
            ("+02:00", None),
            ("CET-1CEST,M3.5.0,M10.5.0/3", None),
            ("../../etc/passwd", None),
            ("-", None),
            ("", None),
        ] {
            assert_eq!(zone(written).as_deref(), expected, "{written}");
        }
    }

    #[test]
    fn codes_are_normalised_for_every_source() {
        let countries = CountryTable::new();
        let place = |code: &str, name: &str, continent: &str, region: &str| {
            let place = SourcePlace {
                country_code: code.into(),
                country_name: name.into(),
                continent_code: continent.into(),
                region_code: region.into(),
                is_eu: Some(true),
                ..SourcePlace::default()
            };
            let cleaned = SourceRecord { place: Some(place), ..SourceRecord::default() }
                .cleaned(&countries)
                .place
                .expect("a place");
            [
                cleaned.country_code,
                cleaned.country_name,
                cleaned.continent_code,
                cleaned.region_code,
                format!("{:?}", cleaned.is_eu),
            ]
        };
        assert_eq!(place("de", "Germany", "eu", "be"), ["DE", "Germany", "EU", "BE", "Some(true)"]);
        assert_eq!(place("UK", "-", "XX", "uk-eng"), ["GB", "", "", "ENG", "Some(true)"]);
        assert_eq!(place("UK", "-", "", "gb-eng")[3], "ENG");
        assert_eq!(place("US", "-", "", "DE-BY")[3], "");
        assert_eq!(place("ZZ", "Unknown or invalid", "-", "-"), ["", "", "", "", "None"]);
        assert_eq!(place("", "Somewhere", "AN", ""), ["", "Somewhere", "AN", "", "Some(true)"]);
        let none = SourceNetwork { number: 0, name: "-".into(), ..SourceNetwork::default() };
        assert_eq!(clean_network(&none), None);
    }
}
