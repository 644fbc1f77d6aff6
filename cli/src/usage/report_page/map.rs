//! The world map: a circle for each region, its area by the calls, numbered as in the table. The template draws it.
//!
//! The outlines of land are from Natural Earth (public domain), made coarse: a line for each land mass, in half degrees
//! from 180° west and 84° north.

use serde::Serialize;

use super::facts::RegionCalls;
use crate::ui::drawing::percent;

const LAND: &str = include_str!("../../../../templates/pages/land.path");
/// The map's size: two units a degree, from 84° north to 60° south.
const SIZE: (f64, f64) = (720.0, 288.0);
const NORTH: f64 = 84.0;

/// How a map is drawn: a phone and paper show it at half the size, with marks twice as large.
#[derive(Clone, Copy)]
pub(super) struct Scale {
    class: &'static str,
    /// Radius of the smallest and the largest circle, and the height of its number.
    radius: (f64, f64),
    text: u32,
}

pub(super) const WIDE: Scale = Scale { class: "wide", radius: (11.0, 26.0), text: 16 };
pub(super) const NARROW: Scale = Scale { class: "narrow", radius: (18.0, 32.0), text: 28 };

/// What the template draws.
#[derive(Debug, Serialize)]
pub(super) struct Map {
    class: &'static str,
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
    /// The region's place, if its circle had to move away from it.
    place: Option<(String, String)>,
}

/// A circle while circles are moved apart.
#[derive(Clone, Copy)]
struct Circle {
    x: f64,
    y: f64,
    radius: f64,
}

/// Places regions on the map; their order is their number.
pub(super) fn map(regions: &[RegionCalls], scale: Scale) -> Map {
    let most = regions.iter().map(|region| region.calls).max().unwrap_or(0).max(1);
    let placed: Vec<(usize, &RegionCalls, Circle)> = regions
        .iter()
        .enumerate()
        .filter_map(|(index, region)| {
            let (latitude, longitude) = region.place?;
            let (x, y) = ((longitude + 180.0) * 2.0, (NORTH - latitude) * 2.0);
            let radius = if region.calls == 0 { 5.0 } else { radius(region.calls, most, scale.radius) };
            Some((index + 1, region, Circle { x, y, radius }))
        })
        .collect();
    let mut circles: Vec<Circle> = placed.iter().map(|(.., circle)| *circle).collect();
    move_apart(&mut circles);
    let mark = |((number, region, place), circle): ((usize, &RegionCalls, Circle), Circle)| MapMark {
        number,
        region: region.region.clone(),
        city: region.city.clone(),
        calls: region.calls,
        x: percent(circle.x),
        y: percent(circle.y),
        radius: percent(circle.radius),
        place: ((place.x - circle.x).hypot(place.y - circle.y) > 2.0)
            .then(|| (percent(place.x), percent(place.y))),
    };
    let marks = placed.into_iter().zip(circles).map(mark).collect();
    Map { class: scale.class, land: LAND.lines().collect(), text_size: scale.text, marks }
}

/// By area, so that twice the calls look like twice as much.
#[expect(clippy::cast_precision_loss, reason = "a drawing is not exact to the call")]
fn radius(calls: u64, most: u64, (least, largest): (f64, f64)) -> f64 {
    (largest * (calls as f64 / most as f64).sqrt()).max(least)
}

/// Pushes circles that overlap away from each other, each by half, until none does or the rounds are over: a map so full
/// has no better places.
fn move_apart(circles: &mut [Circle]) {
    const ROUNDS: usize = 200;
    const GAP: f64 = 2.0;
    for _ in 0..ROUNDS {
        let mut moved = false;
        for one in 0..circles.len() {
            for other in one + 1..circles.len() {
                let (a, b) = (circles[one], circles[other]);
                let (dx, dy) = (b.x - a.x, b.y - a.y);
                let distance = dx.hypot(dy);
                let push = (a.radius + b.radius + GAP - distance) / 2.0;
                if push <= 0.01 {
                    continue;
                }
                let (dx, dy) = if distance < 0.01 { (1.0, 0.0) } else { (dx / distance, dy / distance) };
                moved = true;
                for (index, way) in [(one, -push), (other, push)] {
                    let circle = &mut circles[index];
                    circle.x = (circle.x + dx * way).clamp(circle.radius, SIZE.0 - circle.radius);
                    circle.y = (circle.y + dy * way).clamp(circle.radius, SIZE.1 - circle.radius);
                }
            }
        }
        if !moved {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PLACES;

    #[test]
    fn every_region_has_its_number_at_its_place() {
        let region =
            |name: &str, place, calls| RegionCalls { region: name.into(), city: "City".into(), place, calls };
        let regions = [
            region("us-east-1", Some((39.0, -77.5)), 400),
            region("mars-north-1", None, 200),
            region("ap-southeast-2", Some((-33.9, 151.2)), 100),
        ];
        let marks = map(&regions, WIDE).marks;
        let found: Vec<_> = marks
            .iter()
            .map(|mark| format!("{} {} {} {}", mark.number, mark.x, mark.y, mark.radius))
            .collect();
        assert_eq!(found, ["1 205 90 26", "3 662.4 235.8 13"]);
        assert!(marks.iter().all(|mark| mark.place.is_none()));
    }

    #[test]
    fn no_circle_covers_another_whatever_the_regions() {
        for scale in [WIDE, NARROW] {
            // All places of AWS, the twelve busiest as large as can be.
            for count in [2, 10, PLACES.len()] {
                let regions: Vec<RegionCalls> = PLACES
                    .iter()
                    .zip((0..count as u64).rev())
                    .map(|(place, calls)| RegionCalls {
                        region: place.name.into(),
                        city: place.city.into(),
                        place: Some((place.latitude, place.longitude)),
                        calls: if count <= 10 { 100 } else { calls },
                    })
                    .collect();
                let marks = map(&regions, scale).marks;
                let read = |text: &str| -> f64 { text.parse().expect("a number") };
                for (index, a) in marks.iter().enumerate() {
                    for b in &marks[index + 1..] {
                        let distance = (read(&a.x) - read(&b.x)).hypot(read(&a.y) - read(&b.y));
                        // The number in the middle of a circle is never covered.
                        let least = read(&a.radius).max(read(&b.radius));
                        assert!(distance >= least, "{} and {} of {count}: {distance}", a.region, b.region);
                    }
                }
            }
        }
    }

    #[test]
    fn the_land_is_small_and_within_the_map() {
        assert!(LAND.len() < 4_000 && LAND.lines().count() > 30);
        assert!(LAND.lines().all(|line| line.starts_with('M') && line.ends_with('z')));
    }
}
