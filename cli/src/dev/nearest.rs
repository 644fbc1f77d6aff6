//! Finds the nearest region by distance on the globe, in place of Route 53's latency records.

/// A point on the globe, degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    pub(crate) latitude: f64,
    pub(crate) longitude: f64,
}

impl Point {
    /// The angle between two points, seen from the centre of the Earth, in radians (haversine formula).
    fn angle_to(self, other: Self) -> f64 {
        let (lat, other_lat) = (self.latitude.to_radians(), other.latitude.to_radians());
        let d_lat = (other_lat - lat) / 2.0;
        let d_lon = (other.longitude - self.longitude).to_radians() / 2.0;
        let h = d_lat.sin().powi(2) + lat.cos() * other_lat.cos() * d_lon.sin().powi(2);
        2.0 * h.clamp(0.0, 1.0).sqrt().asin()
    }
}

/// The index of the point nearest to `from`; 0 when there are no `points`.
pub(crate) fn nearest(from: Point, points: impl IntoIterator<Item = Point>) -> usize {
    points
        .into_iter()
        .enumerate()
        .min_by(|(_, a), (_, b)| from.angle_to(*a).total_cmp(&from.angle_to(*b)))
        .map_or(0, |(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(latitude: f64, longitude: f64) -> Point {
        Point { latitude, longitude }
    }

    #[test]
    fn callers_reach_the_nearest_region() {
        let (virginia, frankfurt, tokyo, sydney) =
            (point(38.9, -77.4), point(50.1, 8.7), point(35.7, 139.7), point(-33.9, 151.2));
        let regions = [virginia, frankfurt, tokyo, sydney];
        let table = [
            ("New York", point(40.7, -74.0), 0),
            ("Madrid", point(40.4, -3.7), 1),
            ("Seoul", point(37.6, 127.0), 2),
            ("Auckland", point(-36.8, 174.8), 3),
            ("Honolulu, nearer across the date line", point(21.3, -157.9), 2),
        ];
        for (city, from, expected) in table {
            assert_eq!(nearest(from, regions), expected, "{city}");
        }
        assert_eq!(nearest(virginia, []), 0);
    }
}
