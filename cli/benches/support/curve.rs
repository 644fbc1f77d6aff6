//! How a cost grows: its exponent, and the data file of its picture in `docs/`.

use std::fmt::Write as _;
use std::path::Path;

/// A cost against a size.
pub(crate) struct Curve {
    /// The name of the cost.
    pub(crate) name: &'static str,
    /// Sizes and costs.
    pub(crate) points: Vec<(f64, f64)>,
    /// Least and greatest cost of each size; empty if they were not measured.
    pub(crate) spread: Vec<[f64; 2]>,
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

/// Writes `docs/pictures/measured/<name>.tsv`, which `docs/pictures/make` draws: a row for each size of the first curve.
pub(crate) fn save(name: &str, size: &str, curves: &[Curve]) {
    let mut text = size.to_owned();
    for curve in curves {
        text = text + "\t" + curve.name;
    }
    for (row, (size, _)) in curves[0].points.iter().enumerate() {
        let _infallible = write!(text, "\n{size}");
        for curve in curves {
            let _infallible = write!(text, "\t{:.3}", curve.points[row].1);
            for end in curve.spread.get(row).into_iter().flatten() {
                let _infallible = write!(text, " {end:.3}");
            }
        }
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/pictures/measured");
    std::fs::write(folder.join(format!("{name}.tsv")), text + "\n").expect("written");
    println!("written: docs/pictures/measured/{name}.tsv; docs/pictures/make draws it");
}
