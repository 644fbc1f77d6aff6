//! The time zone of a place, by its coordinates.

use std::collections::HashMap;

use tzf_rs::DefaultFinder;

/// Finds time zones, and remembers them by point: many networks are at the same one.
pub(super) struct ZoneFinder {
    finder: DefaultFinder,
    known: HashMap<(String, String), String>,
}

impl ZoneFinder {
    pub(super) fn new() -> Self {
        Self { finder: DefaultFinder::new(), known: HashMap::new() }
    }

    /// The IANA name of the zone at a latitude and longitude in decimal text; empty if they are not a valid point. Points
    /// at sea have nautical zones (`Etc/GMT+3`).
    pub(super) fn find(&mut self, latitude: &str, longitude: &str) -> &str {
        let point = (latitude.to_owned(), longitude.to_owned());
        let finder = &self.finder;
        self.known.entry(point).or_insert_with(|| {
            let number = |text: &str, most: f64| {
                text.parse::<f64>().ok().filter(|number| number.is_finite() && number.abs() <= most)
            };
            match (number(latitude, 90.0), number(longitude, 180.0)) {
                (Some(latitude), Some(longitude)) => finder.get_tz_name(longitude, latitude).to_owned(),
                _ => String::new(),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_zone_that_can_be_found_is_known_to_the_reader() {
        let finder = DefaultFinder::new();
        let names = finder.timezonenames();
        let unknown: Vec<&&str> =
            names.iter().filter(|name| jiff::tz::TimeZone::get(name).is_err()).collect();
        assert!(names.len() > 400 && unknown.is_empty(), "{} names, unknown: {unknown:?}", names.len());
    }

    #[test]
    fn points_have_zones() {
        let mut finder = ZoneFinder::new();
        let table = [
            ("52.52", "13.405", "Europe/Berlin"),
            ("37.422", "-122.085", "America/Los_Angeles"),
            ("-33.8688", "151.209", "Australia/Sydney"),
            ("", "", ""),
            ("91", "0", ""),
            ("0", "-500", ""),
            ("north", "0", ""),
        ];
        for (latitude, longitude, expected) in table {
            assert_eq!(finder.find(latitude, longitude), expected, "{latitude} {longitude}");
        }
    }
}
