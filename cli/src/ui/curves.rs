//! Charts whose axes are logarithmic: the cost page's, and the pictures of the documents. Pure.

use super::drawing::{Note, Shape, Tick, line, percent, tick};

/// Steps of an axis within a power of ten.
const STEPS: [f64; 3] = [1.0, 2.0, 5.0];
/// Tolerance, so that rounding errors do not hide a power of ten.
const ALMOST: f64 = 1e-9;
/// On an axis with more powers of ten than this, only the powers of ten have marks.
const FINE_DECADES: f64 = 2.5;

/// A logarithmic axis between two round numbers, as powers of ten.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogAxis {
    from: f64,
    to: f64,
}

/// The round numbers next to a number: at most and at least it.
fn round_numbers(value: f64) -> (f64, f64) {
    let power = 10_f64.powf((value.log10() + ALMOST).floor());
    let mantissa = value / power;
    let below = STEPS.iter().rev().find(|step| **step <= mantissa * (1.0 + ALMOST)).unwrap_or(&1.0);
    let above = STEPS.iter().find(|step| **step >= mantissa * (1.0 - ALMOST)).unwrap_or(&10.0);
    (below * power, above * power)
}

impl LogAxis {
    /// The shortest axis that holds all values. Zero and less have no logarithm: they are at its start.
    pub(crate) fn over(values: impl Iterator<Item = f64>) -> Self {
        let (least, most) = values
            .filter(|value| *value > 0.0)
            .fold((f64::INFINITY, 0.0), |(least, most): (f64, f64), value| {
                (least.min(value), most.max(value))
            });
        if least > most {
            return Self { from: 0.0, to: 1.0 };
        }
        let from = round_numbers(least).0.log10();
        Self { from, to: round_numbers(most).1.log10().max(from + STEPS[1].log10()) }
    }

    /// Percent of the axis; what lies outside is at its end.
    pub(crate) fn at(self, value: f64) -> f64 {
        let log = value.max(f64::MIN_POSITIVE).log10();
        ((log - self.from) / (self.to - self.from) * 100.0).clamp(0.0, 100.0)
    }

    pub(crate) fn holds(self, value: f64) -> bool {
        (self.from - ALMOST..=self.to + ALMOST).contains(&value.max(f64::MIN_POSITIVE).log10())
    }

    /// Marks at powers of ten; on a short axis also at twice and five times as much.
    pub(crate) fn ticks(self, label: impl Fn(f64) -> String) -> Vec<Tick> {
        let steps = if self.to - self.from > FINE_DECADES { &STEPS[..1] } else { &STEPS };
        let exponents = std::iter::successors(Some(self.from.floor()), |exponent| Some(exponent + 1.0));
        let values = exponents
            .take_while(|exponent| *exponent <= self.to + ALMOST)
            .flat_map(|exponent| steps.iter().map(move |step| step * 10_f64.powf(exponent)));
        values
            .filter(|value| self.holds(*value))
            .map(|value| tick(self.at(value), label(value), false))
            .collect()
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Axes {
    pub(crate) x: LogAxis,
    pub(crate) y: LogAxis,
}

impl Axes {
    /// Percent from the left and from the top.
    pub(crate) fn place(self, (x, y): (f64, f64)) -> (f64, f64) {
        (self.x.at(x), 100.0 - self.y.at(y))
    }

    pub(crate) fn curve(self, class: &'static str, points: impl Iterator<Item = (f64, f64)>) -> Shape {
        Shape { class, path: line(points.map(|point| self.place(point))), title: String::new() }
    }

    pub(crate) fn note(self, class: &'static str, at: (f64, f64), text: impl Into<String>) -> Note {
        let (left, top) = self.place(at);
        Note { class, left: percent(left), top: percent(top), text: text.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers_and_have_few_marks() {
        for (values, marks) in [
            (&[1e6, 1e10][..], "1e6 1e7 1e8 1e9 1e10"),
            (&[817.0, 6_324_784.0], "1e3 1e4 1e5 1e6 1e7"),
            (&[109.0, 784.0], "1e2 2e2 5e2 1e3"),
            (&[0.8, 24.7], "5e-1 1e0 2e0 5e0 1e1 2e1 5e1"),
            (&[3.0], "2e0 5e0"),
            (&[5.0, 0.0, -1.0], "5e0 1e1"),
            (&[0.0], "1e0 2e0 5e0 1e1"),
            (&[], "1e0 2e0 5e0 1e1"),
        ] {
            let axis = LogAxis::over(values.iter().copied());
            let ticks = axis.ticks(|value| format!("{value:.0e}"));
            let found: Vec<&str> = ticks.iter().map(|tick| tick.label.as_str()).collect();
            assert_eq!(found.join(" "), marks, "{values:?}");
            for value in values {
                assert!((0.0..=100.0).contains(&axis.at(*value)) && (axis.holds(*value) || *value <= 0.0));
            }
        }
    }

    #[test]
    fn a_curve_goes_through_its_points() {
        let of = |values: [f64; 2]| LogAxis::over(values.into_iter());
        let axes = Axes { x: of([1.0, 100.0]), y: of([10.0, 1e5]) };
        let curve = axes.curve("curve", [(1.0, 10.0), (10.0, 1e3), (1e9, 1e9)].into_iter());
        assert_eq!(curve.path, "M0 100L50 50L100 0");
        let note = axes.note("end", (100.0, 1e4), "10k");
        assert_eq!((note.left.as_str(), note.top.as_str()), ("100", "25"));
    }
}
