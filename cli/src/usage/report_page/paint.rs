//! Colours that follow the reader's light or dark scheme: the plotting crate paints in placeholders, which become CSS
//! variables of the page.

use plotters::style::RGBColor;

/// Texts.
pub(super) const INK: RGBColor = RGBColor(1, 2, 3);
/// Secondary texts.
pub(super) const SOFT: RGBColor = RGBColor(2, 3, 4);
/// Grid lines.
pub(super) const GRID: RGBColor = RGBColor(3, 4, 5);
/// Bars.
pub(super) const BAR: RGBColor = RGBColor(4, 5, 6);
/// Bars that need attention; their labels say why.
pub(super) const WARN: RGBColor = RGBColor(5, 6, 7);
/// The rest of a bar's scale.
pub(super) const TRACK: RGBColor = RGBColor(6, 7, 8);

const VARIABLES: [(RGBColor, &str); 6] = [
    (INK, "--ink"),
    (SOFT, "--soft"),
    (GRID, "--grid"),
    (BAR, "--bar"),
    (WARN, "--warn"),
    (TRACK, "--track"),
];

/// The shapes of a drawing in the page's colours, without the `svg` element around them: its size in pixels would not
/// shrink with the screen.
pub(super) fn shapes(svg: &str) -> String {
    let inner = svg.split_once('>').and_then(|(_, rest)| rest.rsplit_once("</svg>"));
    let mut shapes = inner.map_or("", |(inner, _)| inner).trim().to_owned();
    for (RGBColor(r, g, b), variable) in VARIABLES {
        shapes = shapes.replace(&format!("\"#{r:02X}{g:02X}{b:02X}\""), &format!("\"var({variable})\""));
    }
    shapes.replace("font-family=\"sans-serif\"", "font-family=\"inherit\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_become_variables_and_the_size_goes() {
        let svg = "<svg width=\"10\" height=\"5\" viewBox=\"0 0 10 5\">\n<rect fill=\"#040506\" stroke=\"#010203\"/>\n</svg>\n";
        assert_eq!(shapes(svg), "<rect fill=\"var(--bar)\" stroke=\"var(--ink)\"/>");
    }
}
