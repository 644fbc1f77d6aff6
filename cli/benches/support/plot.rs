//! How a cost grows: its exponent, and a small plot for `docs/`.

use std::path::Path;

use plotters::prelude::*;

/// A cost against a size.
pub(crate) struct Curve {
    /// The name of the cost.
    pub(crate) name: &'static str,
    /// Sizes and costs.
    pub(crate) points: Vec<(f64, f64)>,
}

impl Curve {
    /// `cost ~ size^exponent`: the slope of the line through the points on logarithmic scales, by least squares.
    pub(crate) fn exponent(&self) -> f64 {
        let points: Vec<(f64, f64)> = self.points.iter().map(|(size, cost)| (size.ln(), cost.ln())).collect();
        let share = 1.0 / self.points.iter().map(|_| 1.0).sum::<f64>();
        let (x, y) =
            points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0 * share, y + point.1 * share));
        let (above, below) = points.iter().fold((0.0, 0.0), |(above, below), point| {
            (above + (point.0 - x) * (point.1 - y), below + (point.0 - x).powi(2))
        });
        above / below
    }
}

/// Room beside the outermost points, on a logarithmic scale.
fn range(values: impl Iterator<Item = f64> + Clone) -> std::ops::Range<f64> {
    let least = values.clone().fold(f64::INFINITY, f64::min);
    least / 1.5..values.fold(0.0, f64::max) * 1.5
}

/// Draws `docs/<file>`: curves on logarithmic scales, each with its exponent.
pub(crate) fn draw(file: &str, title: &str, [size, cost]: [&str; 2], curves: &[Curve]) {
    let out = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(file);
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let drawn = || -> Result<(), Box<dyn std::error::Error>> {
        let root = SVGBackend::new(&out, (640, 360)).into_drawing_area();
        root.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&root)
            .caption(title, ("sans-serif", 15))
            .margin(12)
            .x_label_area_size(36)
            .y_label_area_size(56)
            .build_cartesian_2d(
                range(points().map(|point| point.0)).log_scale(),
                range(points().map(|point| point.1)).log_scale(),
            )?;
        chart.configure_mesh().x_desc(size).y_desc(cost).light_line_style(WHITE).draw()?;
        for (curve, colour) in curves.iter().zip([BLUE, RED, GREEN, MAGENTA]) {
            chart
                .draw_series([PathElement::new(curve.points.clone(), colour.stroke_width(2))])?
                .label(format!("{}: ~ {size}^{:.2}", curve.name, curve.exponent()))
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour));
            chart.draw_series(curve.points.iter().map(|at| Circle::new(*at, 3, colour.filled())))?;
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .border_style(BLACK)
            .background_style(WHITE)
            .draw()?;
        root.present()?;
        Ok(())
    };
    drawn().expect("the plot is drawn");
}
