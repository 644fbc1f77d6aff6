//! The world: land in outline, a circle for each region, its area by the calls, numbered as in the table.
//!
//! The outlines are of Natural Earth (public domain), made coarse: a line for each land mass, in half degrees from
//! 180° west and 84° north.

use std::fmt::Write as _;

use super::facts::RegionCalls;
use crate::ui::output::escaped;

const LAND: &str = include_str!("land.path");
/// The map's size: two units a degree, from 84° north to 60° south.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 288.0;
const NORTH: f64 = 84.0;

/// How a map is drawn: a phone shows it at half the size, with marks twice as large.
#[derive(Clone, Copy)]
pub(super) struct Scale {
    pub(super) class: &'static str,
    /// Radius of the smallest and the largest circle, and the height of its number.
    radius: (f64, f64),
    text: f64,
}

pub(super) const WIDE: Scale = Scale { class: "wide", radius: (8.0, 26.0), text: 11.0 };
pub(super) const NARROW: Scale = Scale { class: "narrow", radius: (15.0, 30.0), text: 20.0 };

/// Draws regions; their order is their number.
pub(super) fn map(regions: &[RegionCalls], scale: Scale, name: &str) -> String {
    let most = regions.iter().map(|region| region.calls).max().unwrap_or(0).max(1);
    let mut out = format!(
        "<svg class=\"{}\" role=\"img\" aria-label=\"{}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         xmlns=\"http://www.w3.org/2000/svg\">",
        scale.class,
        escaped(name)
    );
    for x in (0..=12).map(|step| step * 60) {
        let _ = write!(
            out,
            "<path d=\"M{x} 0V{HEIGHT}\" fill=\"none\" stroke=\"var(--grid)\" stroke-width=\".5\"/>"
        );
    }
    for degrees in [60.0, 30.0, 0.0, -30.0] {
        let y = (NORTH - degrees) * 2.0;
        let _ = write!(
            out,
            "<path d=\"M0 {y}H{WIDTH}\" fill=\"none\" stroke=\"var(--grid)\" stroke-width=\".5\"/>"
        );
    }
    let land: String = LAND.lines().collect();
    let _ =
        write!(out, "<path d=\"{land}\" fill=\"var(--land)\" stroke=\"var(--coast)\" stroke-width=\".6\"/>");
    for (index, region) in regions.iter().enumerate() {
        let Some((latitude, longitude)) = region.place else { continue };
        let (x, y) = ((longitude + 180.0) * 2.0, (NORTH - latitude) * 2.0);
        let radius = radius(region.calls, most, scale.radius);
        let dash = if region.calls == 0 { " stroke-dasharray=\"3 3\"" } else { "" };
        let (fill, stroke) =
            if region.calls == 0 { ("var(--card)", "var(--soft)") } else { ("var(--bar)", "var(--card)") };
        let title = escaped(&format!("{} {}: {} calls", region.region, region.city, region.calls));
        let _ = write!(
            out,
            "<g><title>{title}</title><circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\" fill=\"{fill}\" \
             fill-opacity=\".85\" stroke=\"{stroke}\" stroke-width=\"1.5\"{dash}/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" font-size=\"{}\" text-anchor=\"middle\" fill=\"{}\" \
             font-weight=\"600\">{}</text></g>",
            y + scale.text * 0.36,
            scale.text,
            if region.calls == 0 { "var(--ink)" } else { "var(--on-bar)" },
            index + 1,
        );
    }
    out.push_str("</svg>");
    out
}

/// By area, so that twice the calls look like twice as much.
#[expect(clippy::cast_precision_loss, reason = "a picture is not exact to the call")]
fn radius(calls: u64, most: u64, (least, largest): (f64, f64)) -> f64 {
    (largest * (calls as f64 / most as f64).sqrt()).max(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_region_has_its_number_at_its_place() {
        let region = |name: &str, place, calls| RegionCalls {
            region: name.into(),
            city: "<City>".into(),
            place,
            calls,
        };
        let regions = [
            region("us-east-1", Some((39.0, -77.5)), 400),
            region("mars-north-1", None, 200),
            region("ap-southeast-2", Some((-33.9, 151.2)), 100),
        ];
        let svg = map(&regions, WIDE, "calls by region");
        assert!(svg.contains("cx=\"205.0\" cy=\"90.0\" r=\"26.0\""), "{svg}");
        assert!(svg.contains("cx=\"662.4\" cy=\"235.8\" r=\"13.0\""), "{svg}");
        assert!(svg.contains(">1</text>") && !svg.contains(">2</text>") && svg.contains(">3</text>"));
        assert!(svg.contains("&lt;City&gt;") && !svg.contains("<City>"));
    }

    #[test]
    fn the_land_is_small_and_within_the_map() {
        assert!(LAND.len() < 4_000 && LAND.lines().count() > 30);
        assert!(LAND.lines().all(|line| line.starts_with('M') && line.ends_with('z')));
    }
}
