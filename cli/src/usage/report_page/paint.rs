//! Colours that follow the reader's: the plotting crate paints in stand-ins, which become CSS variables of the page.

use plotters::style::RGBColor;

use crate::ui::output::escaped;

/// Texts and axes.
pub(super) const INK: RGBColor = RGBColor(1, 2, 3);
/// Lesser texts.
pub(super) const SOFT: RGBColor = RGBColor(2, 3, 4);
/// Lines behind.
pub(super) const GRID: RGBColor = RGBColor(3, 4, 5);
/// What is counted.
pub(super) const BAR: RGBColor = RGBColor(4, 5, 6);
/// What is counted and needs a look; its label says why.
pub(super) const WARN: RGBColor = RGBColor(5, 6, 7);
/// Behind a bar: all that there could be.
pub(super) const TRACK: RGBColor = RGBColor(6, 7, 8);

const VARIABLES: [(RGBColor, &str); 6] = [
    (INK, "--ink"),
    (SOFT, "--soft"),
    (GRID, "--grid"),
    (BAR, "--bar"),
    (WARN, "--warn"),
    (TRACK, "--track"),
];

/// A drawing with the page's colours, as wide as its place, and with a name for those who do not see it.
pub(super) fn finish(svg: &str, class: &str, name: &str) -> String {
    let mut svg = svg.to_owned();
    for (RGBColor(r, g, b), variable) in VARIABLES {
        svg = svg.replace(&format!("\"#{r:02X}{g:02X}{b:02X}\""), &format!("\"var({variable})\""));
    }
    let svg = svg.replace("font-family=\"sans-serif\"", "font-family=\"inherit\"");
    // The size in pixels would not shrink with the place; the view box does.
    let body = svg.find("viewBox").map_or(svg.as_str(), |at| &svg[at..]);
    format!("<svg class=\"{class}\" role=\"img\" aria-label=\"{}\" {body}", escaped(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stand_ins_become_variables_and_the_size_goes() {
        let svg = "<svg width=\"10\" height=\"5\" viewBox=\"0 0 10 5\"><rect fill=\"#040506\" stroke=\"#010203\"/></svg>";
        assert_eq!(
            finish(svg, "wide", "a \"name\""),
            "<svg class=\"wide\" role=\"img\" aria-label=\"a &quot;name&quot;\" viewBox=\"0 0 10 5\">\
             <rect fill=\"var(--bar)\" stroke=\"var(--ink)\"/></svg>"
        );
    }
}
