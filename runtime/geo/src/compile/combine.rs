//! Decides the answer about an address from the data of every source, and which source decided each field.
//!
//! Sources come in the order of their precedence. The first that knows a field decides it; a later one only fills gaps, and in
//! a place only if it means the same one. Flags are the union of all. `merge` uses the result for the compiled database and
//! `explain` for `ipgeo geo explain`, so both always agree.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::extract::{PLACE_FIELDS, PlaceFields, SourceNetwork, SourcePlace, SourceRecord};
use super::facts::{Crawler, Flags, NetworkUse};
use super::regions::RegionTable;
use crate::route;

/// The first `length` bits of an address; IPv4 addresses are those of `::/96`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Prefix {
    pub(super) bits: u128,
    pub(super) length: u8,
}

impl Prefix {
    /// The prefix of this length that holds an address.
    pub(super) fn of(address: u128, length: u8) -> Self {
        let bits = if length == 0 { 0 } else { address & (u128::MAX << (128 - u32::from(length))) };
        Self { bits, length }
    }
}

impl fmt::Display for Prefix {
    /// The usual notation; inside `::/96`, as an IPv4 prefix.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = match u32::try_from(self.bits) {
            Ok(ipv4) if self.length >= 96 => Ipv4Addr::from_bits(ipv4).into(),
            _ => Ipv6Addr::from_bits(self.bits).into(),
        };
        let mut text = String::new();
        route::write_prefix(address, self.length, &mut text);
        f.write_str(&text)
    }
}

/// One source's data about an address.
#[derive(Debug, Clone)]
pub(super) struct Statement {
    /// The source's number.
    pub(super) source: u16,
    /// The prefix that the data is about.
    pub(super) prefix: Prefix,
    pub(super) record: SourceRecord,
    /// Whether the place is a correction, by the operator or by the network's owner.
    pub(super) is_correction: bool,
}

/// The sources that decided, by number.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    /// In the order of [`PLACE_FIELDS`].
    pub(super) place: [Option<u16>; PLACE_FIELDS.len()],
    pub(super) network: Option<u16>,
    pub(super) usage: Option<u16>,
    pub(super) crawler: Option<u16>,
    /// Every source that set a flag, in order.
    pub(super) flags: Vec<u16>,
}

impl Origin {
    /// Whether `usual` has all sources of this one, and no other for time zone, company, crawler and flags: it then names the same
    /// source for every field that is known. (A time zone that no source states follows from the coordinates.)
    pub(super) fn is_within(&self, usual: &Self) -> bool {
        let holds = |mine: Option<u16>, theirs: Option<u16>| mine.is_none() || mine == theirs;
        let place = PLACE_FIELDS.iter().zip(self.place.iter().zip(usual.place));
        place.into_iter().all(|(field, (mine, theirs))| {
            *mine == theirs || mine.is_none() && field.set != PlaceFields::ZONE
        }) && holds(self.network, usual.network)
            && (self.usage, self.crawler, &self.flags) == (usual.usage, usual.crawler, &usual.flags)
    }
}

/// The answer about an address.
#[derive(Debug, Clone, Default)]
pub(super) struct Combined {
    pub(super) place: Option<SourcePlace>,
    /// Of the source that decided the coordinates.
    pub(super) accuracy_radius_km: Option<u16>,
    /// See [`confidence`].
    pub(super) confidence: Option<u8>,
    pub(super) network: Option<(SourceNetwork, Prefix)>,
    pub(super) usage: Option<(NetworkUse, Prefix)>,
    pub(super) crawler: Option<Crawler>,
    pub(super) flags: Flags,
    pub(super) origin: Origin,
}

impl Combined {
    /// Combines the data of sources, the most trusted first.
    pub(super) fn of(statements: &[Statement]) -> Self {
        let mut all = Self::default();
        for statement in statements {
            all.add(statement);
        }
        all.confidence = all.place.as_ref().and_then(|place| confidence(place, statements));
        all
    }

    /// Adds the code of the region if only its name is known.
    pub(super) fn with_region_code(mut self, regions: &RegionTable) -> Self {
        if let Some(place) = &mut self.place
            && place.region_code.is_empty()
            && !place.region.is_empty()
            && let Some(code) = regions.code(&place.country_code, &place.region)
        {
            code.clone_into(&mut place.region_code);
            let region = self.source_of(PlaceFields::REGION);
            self.set_origin(PlaceFields::REGION_CODE, region);
        }
        self
    }

    fn source_of(&self, field: PlaceFields) -> Option<u16> {
        let at = PLACE_FIELDS.iter().position(|one| one.set == field)?;
        self.origin.place[at]
    }

    fn add(&mut self, Statement { source, prefix, record, .. }: &Statement) {
        if let Some(place) = &record.place {
            let taken = self.place.get_or_insert_default().fill(place.clone());
            self.set_origin(taken, Some(*source));
            if taken.has(PlaceFields::POINT) {
                self.accuracy_radius_km = record.accuracy_radius_km;
            }
        }
        if let (None, Some(network)) = (&self.network, &record.network) {
            self.network = Some((network.clone(), *prefix));
            self.origin.network = Some(*source);
        }
        if let Some(usage) = &record.usage {
            match &mut self.usage {
                None => {
                    self.usage = Some((usage.clone(), *prefix));
                    self.origin.usage = Some(*source);
                }
                Some((known, _)) => fill_use(known, usage),
            }
        }
        if let (None, Some(crawler)) = (&self.crawler, &record.crawler) {
            self.crawler = Some(crawler.clone());
            self.origin.crawler = Some(*source);
        }
        if record.flags != Flags::default() {
            self.flags = self.flags.with(record.flags);
            self.origin.flags.push(*source);
        }
    }

    fn set_origin(&mut self, taken: PlaceFields, source: Option<u16>) {
        for (field, origin) in PLACE_FIELDS.iter().zip(&mut self.origin.place) {
            if taken.has(field.set) {
                *origin = source;
            }
        }
    }
}

/// Fills the gaps of a network's use from a less trusted source, if that means the same network.
fn fill_use(known: &mut NetworkUse, other: &NetworkUse) {
    if known.name.is_empty() || known.name == other.name {
        for (mine, theirs) in [(&mut known.name, &other.name), (&mut known.domain, &other.domain)] {
            if mine.is_empty() {
                mine.clone_from(theirs);
            }
        }
    }
    if known.kind.is_empty() {
        known.kind.clone_from(&other.kind);
    }
}

/// How far the sources of places agree, 0 to 100: for each of country, region and city that at least two sources state, the
/// share of the less trusted statements that equal the most trusted one; then the mean of these shares. `None` if no two
/// sources state the same of the three, or if one of the three is corrected: a correction is right whatever the sources state.
fn confidence(place: &SourcePlace, statements: &[Statement]) -> Option<u8> {
    let fields: [fn(&SourcePlace) -> &str; 3] =
        [|place| &place.country_code, |place| &place.region, |place| &place.city];
    let corrects = |one: &Statement| {
        let place = one.record.place.as_ref().filter(|_| one.is_correction);
        place.is_some_and(|place| fields.iter().any(|field| !field(place).is_empty()))
    };
    if statements.iter().any(corrects) {
        return None;
    }
    let (mut sum, mut counted) = (0, 0);
    for field in fields {
        let stated = statements.iter().filter_map(|statement| statement.record.place.as_ref());
        let stated: Vec<String> =
            stated.map(|place| letters(field(place))).filter(|text| !text.is_empty()).collect();
        if stated.len() < 2 {
            continue;
        }
        let answer = letters(field(place));
        // One of those that equal the answer is the source that decided it.
        let same = stated.iter().filter(|text| **text == answer).count().saturating_sub(1);
        sum += 100 * same / (stated.len() - 1);
        counted += 1;
    }
    (counted > 0).then(|| u8::try_from(sum / counted).unwrap_or(100))
}

/// The letters and digits of a name in lower case, to compare two spellings.
fn letters(name: &str) -> String {
    name.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_have_the_usual_notation() {
        assert_eq!(Prefix::of(0x0808_0808, 120).to_string(), "8.8.8.0/24");
        assert_eq!(Prefix::of(0x2001_4860 << 96, 32).to_string(), "2001:4860::/32");
        assert_eq!(Prefix::of(0, 0).to_string(), "::/0");
    }

    fn says(source: u16, country: &str, region: &str, city: &str) -> Statement {
        let place = SourcePlace {
            country_code: country.into(),
            region: region.into(),
            city: city.into(),
            latitude: format!("{source}"),
            longitude: "1".into(),
            ..SourcePlace::default()
        };
        let record = SourceRecord {
            place: Some(place),
            accuracy_radius_km: Some(10 + source),
            ..SourceRecord::default()
        };
        Statement { source, prefix: Prefix::of(0, 96), record, is_correction: false }
    }

    #[test]
    fn confidence_is_the_agreement_of_the_other_sources() {
        let paris = says(0, "FR", "Île-de-France", "Paris");
        let corrected = |statement| Statement { is_correction: true, ..statement };
        let table = [
            (vec![paris.clone()], None),
            (vec![paris.clone(), says(1, "", "", "")], None),
            (vec![paris.clone(), says(1, "FR", "", "")], Some(100)),
            (vec![paris.clone(), says(1, "FR", "Île de France", "PARIS")], Some(100)),
            (vec![paris.clone(), says(1, "DE", "", "")], Some(0)),
            (vec![paris.clone(), says(1, "FR", "", "Lyon")], Some(50)),
            (vec![paris.clone(), says(1, "FR", "", "Lyon"), says(2, "FR", "", "Paris")], Some(75)),
            // The region is the second source's own: nobody else states one.
            (vec![says(0, "FR", "", ""), says(1, "FR", "Bretagne", "Brest")], Some(100)),
            (vec![says(0, "FR", "", "Paris"), says(1, "DE", "Berlin", "Berlin")], Some(0)),
            // A correction is no vote, and nobody votes on it.
            (vec![corrected(says(0, "FR", "", "")), says(1, "DE", "", "")], None),
            (vec![corrected(says(0, "FR", "", "")), says(1, "FR", "", ""), says(2, "FR", "", "")], None),
            // One of only the time zone or the point leaves the sources' agreement.
            (vec![corrected(says(0, "", "", "")), says(1, "FR", "", ""), says(2, "FR", "", "")], Some(100)),
        ];
        for (statements, expected) in table {
            let stated: Vec<_> = statements.iter().map(|one| &one.record.place).collect();
            assert_eq!(Combined::of(&statements).confidence, expected, "{stated:?}");
        }
    }

    #[test]
    fn every_field_has_the_source_that_decided_it() {
        let mut first = says(0, "FR", "", "");
        if let Some(place) = &mut first.record.place {
            (place.latitude, place.longitude) = (String::new(), String::new());
        }
        let mut third = says(2, "FR", "Bretagne", "Brest");
        third.record.network = Some(SourceNetwork { number: 7, ..SourceNetwork::default() });
        third.record.flags = Flags(0b101);
        third.record.usage = Some(NetworkUse { kind: "hosting".into(), ..NetworkUse::default() });
        let mut fourth = says(3, "DE", "Berlin", "Berlin");
        fourth.record.flags = Flags(0b10);
        fourth.record.network = Some(SourceNetwork { number: 8, ..SourceNetwork::default() });
        fourth.record.usage =
            Some(NetworkUse { kind: "isp".into(), name: "Example".into(), domain: "a.test".into() });
        fourth.record.crawler = Some(Crawler { name: "Bot".into(), operator: "Example".into() });
        let all = Combined::of(&[first, third, fourth]);
        let place = all.place.expect("a place");
        assert_eq!((place.city.as_str(), place.latitude.as_str()), ("Brest", "2"));
        assert_eq!(all.accuracy_radius_km, Some(12));
        let deciding = |name: &str| {
            let at = PLACE_FIELDS.iter().position(|field| field.name == name).expect(name);
            all.origin.place[at]
        };
        for (field, source) in
            [("country_code", Some(0)), ("city", Some(2)), ("latitude", Some(2)), ("postal", None)]
        {
            assert_eq!(deciding(field), source, "{field}");
        }
        assert_eq!(all.network.map(|(network, _)| network.number), Some(7));
        let usage = all.usage.expect("a use").0;
        assert_eq!(
            (usage.kind.as_str(), usage.name.as_str(), usage.domain.as_str()),
            ("hosting", "Example", "a.test")
        );
        assert_eq!(all.flags, Flags(0b111));
        let origin = &all.origin;
        assert_eq!((origin.network, origin.usage, origin.crawler), (Some(2), Some(2), Some(3)));
        assert_eq!(origin.flags, [2, 3]);
    }
}
