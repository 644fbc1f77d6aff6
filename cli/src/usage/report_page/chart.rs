//! Columns and bars, by the plotting crate's SVG backend. Each is drawn twice, for wide and narrow screens, so that its
//! texts keep their size.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use serde::Serialize;

use super::map::Map;
use super::paint::{BAR, GRID, INK, SOFT, TRACK, WARN, shapes};
use crate::ui::format::short;
use crate::ui::output::PageError;

/// Widths that charts are drawn for.
#[derive(Clone, Copy)]
pub(super) struct Width {
    pub(super) class: &'static str,
    pixels: u32,
}

pub(super) const WIDE: Width = Width { class: "wide", pixels: 640 };
pub(super) const NARROW: Width = Width { class: "narrow", pixels: 340 };

/// A drawing for one width of screen; the template puts the `svg` element around it.
#[derive(Debug, Default, Serialize)]
pub(super) struct Drawing {
    pub(super) class: &'static str,
    pub(super) view_box: String,
    /// SVG by the plotting crate, which escapes the labels.
    pub(super) shapes: String,
    /// The map, in place of shapes.
    pub(super) map: Option<Map>,
}

impl Drawing {
    fn of_chart(width: Width, height: u32, svg: &str) -> Self {
        let view_box = format!("0 0 {} {height}", width.pixels);
        Self { class: width.class, view_box, shapes: shapes(svg), map: None }
    }
}

/// Height of a chart of columns.
const COLUMNS_HEIGHT: u32 = 300;
/// Height of one bar with its label above it, and of the space below the last.
const ROW: u32 = 40;
const FOOT: u32 = 6;
/// Size of texts.
const TEXT: f64 = 13.0;
/// Approximate width of a character, pixels.
const CHARACTER: u32 = 7;

fn failed(error: impl std::fmt::Display) -> PageError {
    PageError(error.to_string())
}

fn style(color: RGBColor, horizontal: HPos) -> TextStyle<'static> {
    ("sans-serif", TEXT).into_font().color(&color).pos(Pos::new(horizontal, VPos::Center))
}

/// The end of an axis: a round number, at least `most`.
#[expect(clippy::cast_precision_loss, reason = "an axis is not exact to the call")]
fn axis_end(most: u64) -> f64 {
    let most = (most as f64).max(4.0);
    let power = 10_f64.powf(most.log10().floor());
    [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0]
        .map(|step| step * power)
        .into_iter()
        .find(|end| *end >= most)
        .unwrap_or(most)
}

/// A column for each day.
#[expect(clippy::cast_precision_loss, reason = "a drawing is not exact to the call")]
pub(super) fn columns(days: &[(String, u64)], width: Width) -> Result<Drawing, PageError> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (width.pixels, COLUMNS_HEIGHT)).into_drawing_area();
        let end = axis_end(days.iter().map(|(_, n)| *n).max().unwrap_or(0));
        let count = days.len().max(1) as f64;
        let mut chart = ChartBuilder::on(&root)
            .margin_top(12)
            .margin_right(8)
            .x_label_area_size(26)
            .y_label_area_size(48)
            .build_cartesian_2d(0.0..count, 0.0..end)
            .map_err(failed)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .disable_x_axis()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(GRID)
            .y_labels(5)
            .y_label_formatter(&|n| short(*n))
            .y_label_style(style(SOFT, HPos::Right))
            .draw()
            .map_err(failed)?;
        let columns = days.iter().zip(0_u32..).map(|((_, n), index)| {
            let left = f64::from(index);
            Rectangle::new([(left + 0.15, 0.0), (left + 0.85, *n as f64)], BAR.filled())
        });
        chart.draw_series(columns).map_err(failed)?;
        // As many day numbers as there is room for.
        let every = (count * 24.0 / f64::from(width.pixels - 56)).ceil().max(1.0);
        for ((date, _), index) in days.iter().zip(0_u32..) {
            if f64::from(index) % every != 0.0 {
                continue;
            }
            let (x, y) = chart.backend_coord(&(f64::from(index) + 0.5, 0.0));
            let day = date.rsplit('-').next().unwrap_or_default().to_owned();
            root.draw(&Text::new(day, (x, y + 14), style(SOFT, HPos::Center))).map_err(failed)?;
        }
        root.present().map_err(failed)?;
    }
    Ok(Drawing::of_chart(width, COLUMNS_HEIGHT, &svg))
}

/// A bar: its label, the text at its end, its length, and whether it needs attention.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bar {
    pub(super) label: String,
    pub(super) value: String,
    pub(super) length: f64,
    pub(super) warn: bool,
}

/// Bars, one below the other, on a scale from 0 to `end`, with a line across at each of `lines`.
pub(super) fn bars(rows: &[Bar], end: f64, lines: &[f64], width: Width) -> Result<Drawing, PageError> {
    let mut svg = String::new();
    let height = u32::try_from(rows.len()).unwrap_or(u32::MAX).clamp(1, 1_000) * ROW + FOOT;
    {
        let root = SVGBackend::with_string(&mut svg, (width.pixels, height)).into_drawing_area();
        let end = end.max(f64::MIN_POSITIVE);
        let right = f64::from(width.pixels) - 2.0;
        let x = |value: f64| pixel(2.0 + (value / end).clamp(0.0, 1.0) * (right - 2.0));
        for (row, index) in rows.iter().zip(0_u32..) {
            let top = i32::try_from(index * ROW).unwrap_or(i32::MAX);
            let (text_y, bar_top, bar_bottom) = (top + 12, top + 22, top + 34);
            let room = usize::try_from(width.pixels / CHARACTER).unwrap_or(usize::MAX);
            let room = room.saturating_sub(row.value.chars().count() + 2);
            let label = Text::new(cut(&row.label, room), (2, text_y), style(INK, HPos::Left));
            let value = Text::new(row.value.clone(), (pixel(right), text_y), style(INK, HPos::Right));
            root.draw(&label).and_then(|()| root.draw(&value)).map_err(failed)?;
            let track = Rectangle::new([(x(0.0), bar_top), (x(end), bar_bottom)], TRACK.filled());
            let color = if row.warn { WARN } else { BAR };
            // The smallest number is visible too.
            let to = if row.length > 0.0 { x(row.length).max(x(0.0) + 2) } else { x(0.0) };
            let bar = Rectangle::new([(x(0.0), bar_top), (to, bar_bottom)], color.filled());
            root.draw(&track).and_then(|()| root.draw(&bar)).map_err(failed)?;
            for line in lines.iter().filter(|line| **line < end) {
                let line = PathElement::new([(x(*line), bar_top - 2), (x(*line), bar_bottom + 2)], INK);
                root.draw(&line).map_err(failed)?;
            }
        }
        root.present().map_err(failed)?;
    }
    Ok(Drawing::of_chart(width, height, &svg))
}

#[expect(clippy::cast_possible_truncation, reason = "a chart is some hundred pixels wide")]
fn pixel(x: f64) -> i32 {
    x.round() as i32
}

/// A text that fits, cut off with an ellipsis.
fn cut(text: &str, room: usize) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if clean.chars().count() <= room {
        return clean;
    }
    clean.chars().take(room.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        for (most, end, text) in [
            (0, 4.0, "4"),
            (7, 8.0, "8"),
            (11, 15.0, "15"),
            (1_234, 1_500.0, "1.5k"),
            (1_600_000, 2_000_000.0, "2M"),
            (45_000_000, 50_000_000.0, "50M"),
        ] {
            assert!((axis_end(most) - end).abs() < 1e-6, "{most}: {}", axis_end(most));
            assert_eq!(short(end), text);
        }
    }

    #[test]
    fn a_chart_has_its_bars_and_escapes_its_labels() {
        let row =
            |label: &str, length| Bar { label: label.into(), value: "7 calls".into(), length, warn: false };
        let rows = [row("<script>alert(1)</script>", 7.0), row(&"long ".repeat(50), 0.0)];
        let svg = bars(&rows, 10.0, &[8.0], NARROW).expect("drawn").shapes;
        assert!(svg.contains("&lt;script&gt;") && !svg.contains("<script"), "{svg}");
        assert!(svg.contains("var(--bar)") && !svg.contains("<svg"), "{svg}");
        assert!(svg.contains('…') && !svg.contains("#0"), "{svg}");
        let days = vec![("2026-11-01".to_owned(), 5), ("2026-11-02".to_owned(), 0)];
        let svg = columns(&days, WIDE).expect("drawn").shapes;
        assert!(svg.contains(">\n01\n<") || svg.contains(">01<"), "{svg}");
        assert!(columns(&[], WIDE).is_ok() && bars(&[], 0.0, &[], WIDE).is_ok());
    }
}
