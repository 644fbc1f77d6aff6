//! The world map: a circle for each region, its area by the calls, numbered as in the table. The template draws it.
//!
//! The outlines of land are from Natural Earth (public domain), made coarse: a line for each land mass, in half degrees
//! from 180° west and 84° north.

use serde::Serialize;

use super::chart::Drawing;
use super::facts::RegionCalls;

const LAND: &str = include_str!("../../../../templates/pages/land.path");
/// The map's size: two units a degree, from 84° north to 60° south.
const VIEW_BOX: &str = "0 0 720 288";
const NORTH: f64 = 84.0;

/// How a map is drawn: a phone shows it at half the size, with marks twice as large.
#[derive(Clone, Copy)]
pub(super) struct Scale {
    class: &'static str,
    /// Radius of the smallest and the largest circle, and the height of its number.
    radius: (f64, f64),
    text: u32,
}

pub(super) const WIDE: Scale = Scale { class: "wide", radius: (8.0, 26.0), text: 11 };
pub(super) const NARROW: Scale = Scale { class: "narrow", radius: (15.0, 30.0), text: 20 };

/// What the template draws.
#[derive(Debug, Serialize)]
pub(super) struct Map {
    land: String,
    text_size: u32,
    marks: Vec<MapMark>,
}

/// A region's circle.
#[derive(Debug, Serialize)]
struct MapMark {
    number: usize,
    region: String,
    city: String,
    calls: u64,
    x: String,
    y: String,
    radius: String,
}

/// Places regions on the map; their order is their number.
pub(super) fn map(regions: &[RegionCalls], scale: Scale) -> Drawing {
    let most = regions.iter().map(|region| region.calls).max().unwrap_or(0).max(1);
    let mark = |(index, region): (usize, &RegionCalls)| {
        let (latitude, longitude) = region.place?;
        Some(MapMark {
            number: index + 1,
            region: region.region.clone(),
            city: region.city.clone(),
            calls: region.calls,
            x: format!("{:.1}", (longitude + 180.0) * 2.0),
            y: format!("{:.1}", (NORTH - latitude) * 2.0),
            radius: format!("{:.1}", radius(region.calls, most, scale.radius)),
        })
    };
    let marks = regions.iter().enumerate().filter_map(mark).collect();
    let map = Map { land: LAND.lines().collect(), text_size: scale.text, marks };
    Drawing { class: scale.class, view_box: VIEW_BOX.to_owned(), map: Some(map), ..Drawing::default() }
}

/// By area, so that twice the calls look like twice as much.
#[expect(clippy::cast_precision_loss, reason = "a drawing is not exact to the call")]
fn radius(calls: u64, most: u64, (least, largest): (f64, f64)) -> f64 {
    (largest * (calls as f64 / most as f64).sqrt()).max(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_region_has_its_number_at_its_place() {
        let region =
            |name: &str, place, calls| RegionCalls { region: name.into(), city: "City".into(), place, calls };
        let regions = [
            region("us-east-1", Some((39.0, -77.5)), 400),
            region("mars-north-1", None, 200),
            region("ap-southeast-2", Some((-33.9, 151.2)), 100),
        ];
        let marks = map(&regions, WIDE).map.expect("a map").marks;
        let found: Vec<_> = marks
            .iter()
            .map(|mark| format!("{} {} {} {}", mark.number, mark.x, mark.y, mark.radius))
            .collect();
        assert_eq!(found, ["1 205.0 90.0 26.0", "3 662.4 235.8 13.0"]);
    }

    #[test]
    fn the_land_is_small_and_within_the_map() {
        assert!(LAND.len() < 4_000 && LAND.lines().count() > 30);
        assert!(LAND.lines().all(|line| line.starts_with('M') && line.ends_with('z')));
    }
}
