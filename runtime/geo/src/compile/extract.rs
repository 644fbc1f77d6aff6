//! Reads the records of source databases, whatever their layout, into one common shape.

use crate::raw::Value;

use super::countries::CountryTable;
use super::error::BuildError;
use super::facts::{Crawler, Flags, NetworkUse};
use super::source::{Parts, Source};

/// A source's data about a place; an empty text or `None` means unknown.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct SourcePlace {
    pub(super) country_code: String,
    pub(super) country_name: String,
    pub(super) continent_code: String,
    pub(super) is_eu: Option<bool>,
    pub(super) region: String,
    pub(super) region_code: String,
    pub(super) city: String,
    pub(super) postal: String,
    /// Decimal text that parses to exactly the source's number; likewise the longitude.
    pub(super) latitude: String,
    pub(super) longitude: String,
    pub(super) time_zone: String,
}

/// A source's data about the autonomous system that announces a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SourceNetwork {
    pub(super) number: u32,
    pub(super) name: String,
    pub(super) domain: String,
    pub(super) kind: String,
}

/// One record of a source.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct SourceRecord {
    pub(super) place: Option<SourcePlace>,
    pub(super) network: Option<SourceNetwork>,
    pub(super) flags: Flags,
    pub(super) usage: Option<NetworkUse>,
    pub(super) crawler: Option<Crawler>,
    pub(super) accuracy_radius_km: Option<u16>,
}

/// The supported layouts of a source's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SourceLayout {
    /// ip-location-db: `country_code`, `state1`, `city`, `latitude`, …, without nesting.
    Flat,
    /// `MaxMind`'s City and Country: nested maps with names by language.
    MaxMindPlace,
    /// AS numbers, as `MaxMind` and ip-location-db write them.
    Asn,
    /// `IPinfo` Lite: country and network as texts, without nesting.
    IpInfo,
}

fn text(value: &Value<'_>, name: &str) -> String {
    match value.get(name) {
        Some(Value::Text(text)) => (*text).to_owned(),
        // Some tools store postal codes and the like as numbers.
        Some(Value::Uint(number)) => number.to_string(),
        _ => String::new(),
    }
}

fn name_in_english(value: Option<&Value<'_>>) -> String {
    let name = value.and_then(|value| value.at(&["names", "en"])).and_then(Value::text);
    name.unwrap_or_default().to_owned()
}

/// A coordinate as the shortest text that parses to the same number in the source's precision.
fn coordinate(value: Option<&Value<'_>>) -> String {
    match value {
        Some(Value::Double(number)) if number.is_finite() => number.to_string(),
        Some(Value::Float(number)) if number.is_finite() => number.to_string(),
        Some(Value::Uint(number)) => number.to_string(),
        Some(Value::Int(number)) => number.to_string(),
        Some(Value::Text(text)) if text.parse::<f64>().is_ok_and(f64::is_finite) => {
            text.parse::<f64>().unwrap_or_default().to_string()
        }
        _ => String::new(),
    }
}

/// Parses an AS number, written `AS15169` or `15169`.
pub(super) fn as_number(text: &str) -> Option<u32> {
    let text = text.trim();
    let named = text.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("as"));
    let digits = if named { &text[2..] } else { text };
    let valid = digits.bytes().all(|digit| digit.is_ascii_digit());
    digits.parse().ok().filter(|number| valid && *number != 0)
}

impl SourceLayout {
    /// Detects a source's layout from its first records. `leaves` are their offsets.
    pub(super) fn detect(source: &Source, leaves: &[usize]) -> Result<Self, BuildError> {
        for data in leaves.iter().take(100) {
            let value = source.value(*data)?;
            let has = |name: &str| value.get(name).is_some();
            if has("autonomous_system_number") {
                return Ok(Self::Asn);
            }
            if has("as_name") || has("as_domain") {
                return Ok(Self::IpInfo);
            }
            if has("country_code") {
                return Ok(Self::Flat);
            }
            if ["country", "city", "location", "registered_country", "continent"].into_iter().any(has) {
                return Ok(Self::MaxMindPlace);
            }
        }
        Err(BuildError::Layout { path: source.path().to_owned() })
    }

    /// A record's raw values; see [`SourceRecord::cleaned`].
    pub(super) fn read(self, value: &Value<'_>, countries: &CountryTable) -> SourceRecord {
        match self {
            Self::Flat => SourceRecord { place: Some(flat(value)), ..SourceRecord::default() },
            Self::MaxMindPlace => {
                SourceRecord { place: Some(maxmind(value, countries)), ..SourceRecord::default() }
            }
            Self::Asn => SourceRecord { network: asn(value), ..SourceRecord::default() },
            Self::IpInfo => ipinfo(value),
        }
    }
}

fn flat(value: &Value<'_>) -> SourcePlace {
    SourcePlace {
        country_code: text(value, "country_code"),
        region: text(value, "state1"),
        city: text(value, "city"),
        postal: text(value, "postcode"),
        latitude: coordinate(value.get("latitude")),
        longitude: coordinate(value.get("longitude")),
        time_zone: text(value, "timezone"),
        ..SourcePlace::default()
    }
}

fn maxmind(value: &Value<'_>, countries: &CountryTable) -> SourcePlace {
    // The country where the address is used; if that is unknown, the one where it is registered.
    let known = |country: &&Value<'_>| countries.code_of(&text(country, "iso_code")).is_some();
    let [country, registered] = ["country", "registered_country"].map(|name| value.get(name));
    let country = country.filter(known).or_else(|| registered.filter(known)).or(country);
    let subdivision = match value.get("subdivisions") {
        Some(Value::Array(divisions)) => divisions.first(),
        _ => None,
    };
    let code =
        |value: Option<&Value<'_>>, name: &str| value.map(|value| text(value, name)).unwrap_or_default();
    let eu = country.and_then(|country| country.get("is_in_european_union"));
    SourcePlace {
        country_code: code(country, "iso_code"),
        country_name: name_in_english(country),
        continent_code: code(value.get("continent"), "code"),
        is_eu: match eu {
            Some(Value::Bool(is)) => Some(*is),
            _ => None,
        },
        region: name_in_english(subdivision),
        region_code: code(subdivision, "iso_code"),
        city: name_in_english(value.get("city")),
        postal: code(value.get("postal"), "code"),
        latitude: coordinate(value.at(&["location", "latitude"])),
        longitude: coordinate(value.at(&["location", "longitude"])),
        time_zone: code(value.get("location"), "time_zone"),
    }
}

fn asn(value: &Value<'_>) -> Option<SourceNetwork> {
    let number = value.get("autonomous_system_number").and_then(|number| match number {
        Value::Uint(number) => u32::try_from(*number).ok(),
        Value::Text(text) => as_number(text),
        _ => None,
    })?;
    let name = text(value, "autonomous_system_organization");
    Some(SourceNetwork { number, name, ..SourceNetwork::default() })
}

fn ipinfo(value: &Value<'_>) -> SourceRecord {
    let network = as_number(&text(value, "asn")).map(|number| SourceNetwork {
        number,
        name: text(value, "as_name"),
        domain: text(value, "as_domain"),
        kind: String::new(),
    });
    let place = SourcePlace {
        country_code: text(value, "country_code"),
        country_name: text(value, "country"),
        continent_code: text(value, "continent_code"),
        ..SourcePlace::default()
    };
    SourceRecord { place: Some(place), network, ..SourceRecord::default() }
}

/// A set of the fields of a place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct PlaceFields(u8);

impl PlaceFields {
    const COUNTRY: Self = Self(1);
    pub(super) const REGION: Self = Self(2);
    pub(super) const REGION_CODE: Self = Self(4);
    const CITY: Self = Self(8);
    const POSTAL: Self = Self(16);
    pub(super) const POINT: Self = Self(32);
    pub(super) const ZONE: Self = Self(64);

    /// Whether any field of `other` is in the set.
    pub(super) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// A field of a place that one source decides.
pub(super) struct PlaceField {
    /// Its name in an answer.
    pub(super) name: &'static str,
    pub(super) set: PlaceFields,
    /// Its value; empty if unknown.
    pub(super) value: fn(&SourcePlace) -> &str,
}

/// The fields of a place that sources decide one by one, in the order of an answer. The members of the country that are not
/// named follow from its code, and the longitude comes with the latitude.
pub(super) const PLACE_FIELDS: [PlaceField; 7] = [
    PlaceField { name: "country_code", set: PlaceFields::COUNTRY, value: |place| &place.country_code },
    PlaceField { name: "region", set: PlaceFields::REGION, value: |place| &place.region },
    PlaceField { name: "region_code", set: PlaceFields::REGION_CODE, value: |place| &place.region_code },
    PlaceField { name: "city", set: PlaceFields::CITY, value: |place| &place.city },
    PlaceField { name: "postal", set: PlaceFields::POSTAL, value: |place| &place.postal },
    PlaceField { name: "latitude", set: PlaceFields::POINT, value: |place| &place.latitude },
    PlaceField { name: "time_zone", set: PlaceFields::ZONE, value: |place| &place.time_zone },
];

impl SourceRecord {
    /// The record with only the selected parts.
    pub(super) fn restricted(mut self, parts: Parts) -> Self {
        if !parts.asn {
            self.network = None;
        }
        if !parts.city {
            self.accuracy_radius_km = None;
            self.place = self.place.filter(|_| parts.country).map(|place| SourcePlace {
                country_code: place.country_code,
                country_name: place.country_name,
                continent_code: place.continent_code,
                is_eu: place.is_eu,
                ..SourcePlace::default()
            });
        }
        self
    }
}

impl SourcePlace {
    /// Fills the gaps from a less trusted source. Returns the fields that it filled.
    pub(super) fn fill(&mut self, other: Self) -> PlaceFields {
        let mut taken = PlaceFields::default();
        // Data of another country would give a mixture of two places.
        if !self.country_code.is_empty()
            && !other.country_code.is_empty()
            && self.country_code != other.country_code
        {
            return taken;
        }
        // Coordinates and postal code belong to the other source's city: take them only if it names the same one.
        let same_city = self.city.is_empty() || self.city == other.city;
        let mut fill = |mine: &mut String, theirs: String, field: PlaceFields| {
            if mine.is_empty() && !theirs.is_empty() {
                *mine = theirs;
                taken.add(field);
            }
        };
        fill(&mut self.country_code, other.country_code, PlaceFields::COUNTRY);
        fill(&mut self.country_name, other.country_name, PlaceFields::COUNTRY);
        fill(&mut self.continent_code, other.continent_code, PlaceFields::default());
        self.is_eu = self.is_eu.or(other.is_eu);
        if same_city {
            if self.region.is_empty() || self.region == other.region {
                fill(&mut self.region, other.region, PlaceFields::REGION);
                fill(&mut self.region_code, other.region_code, PlaceFields::REGION_CODE);
            }
            fill(&mut self.city, other.city, PlaceFields::CITY);
            fill(&mut self.postal, other.postal, PlaceFields::POSTAL);
            fill(&mut self.time_zone, other.time_zone, PlaceFields::ZONE);
            if self.latitude.is_empty() && self.longitude.is_empty() {
                fill(&mut self.latitude, other.latitude, PlaceFields::POINT);
                fill(&mut self.longitude, other.longitude, PlaceFields::POINT);
            }
        }
        taken
    }

    /// Whether any field is known.
    pub(super) fn is_known(&self) -> bool {
        *self != Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_read_back_to_the_same_number() {
        let table = [
            (Value::Float(37.422_f32), "37.422"),
            (Value::Float(-122.085_f32), "-122.085"),
            (Value::Double(51.5142), "51.5142"),
            (Value::Double(0.0), "0"),
            (Value::Uint(52), "52"),
            (Value::Int(-13), "-13"),
            (Value::Text("52.5200"), "52.52"),
            (Value::Text("north"), ""),
            (Value::Double(f64::NAN), ""),
            (Value::Float(f32::INFINITY), ""),
            (Value::Bool(true), ""),
        ];
        for (value, expected) in table {
            assert_eq!(coordinate(Some(&value)), expected, "{value:?}");
        }
        assert_eq!(coordinate(None), "");
    }

    #[test]
    fn a_postal_code_may_be_a_number() {
        let record = Value::Map(vec![("postcode", Value::Uint(94_043)), ("city", Value::Bool(true))]);
        let place = flat(&record);
        assert_eq!((place.postal.as_str(), place.city.as_str()), ("94043", ""));
    }

    #[test]
    fn a_later_source_fills_gaps_and_nothing_else() {
        let place = |country: &str, city: &str, latitude: &str| SourcePlace {
            country_code: country.into(),
            city: city.into(),
            latitude: latitude.into(),
            longitude: latitude.into(),
            ..SourcePlace::default()
        };
        // (first, later, city and latitude of the result)
        let table = [
            (place("FR", "Paris", ""), place("FR", "Paris", "48"), ("Paris", "48")),
            (place("FR", "Paris", ""), place("FR", "Lyon", "45"), ("Paris", "")),
            (place("FR", "", ""), place("FR", "Lyon", "45"), ("Lyon", "45")),
            (place("FR", "", ""), place("DE", "Berlin", "52"), ("", "")),
            (place("", "", ""), place("DE", "Berlin", "52"), ("Berlin", "52")),
        ];
        for (mut first, later, expected) in table {
            first.fill(later);
            assert_eq!((first.city.as_str(), first.latitude.as_str()), expected);
        }
    }

    #[test]
    fn as_numbers() {
        for (text, expected) in [
            ("AS15169", Some(15_169)),
            ("15169", Some(15_169)),
            (" as15169 ", Some(15_169)),
            ("AS0", None),
            ("ASX", None),
            ("AASS1", None),
            ("AS+1", None),
            ("AS-", None),
            ("AS", None),
            ("", None),
            ("é1", None),
        ] {
            assert_eq!(as_number(text), expected, "{text}");
        }
    }
}
