//! The page of `ipgeo cost --html`: the bill by line and by region, and from a million to ten thousand million calls on one
//! curve with the 2018 design. Pure.

use serde::Serialize;
use tera::Context;

use super::bill::{ALL_REGIONS, Bill};
use super::curve::{CurvePoint, Group, PriceTier, Stack, stack};
use super::prices::Prices;
use super::rows::{BillRow, GroupBy, rows};
use crate::ui::drawing::Kind::{Bar as BarKind, Long, Number, Short};
use crate::ui::drawing::{Bar, Cell, Chart, Note, Shape, Table, head, line, percent, tick};
use crate::ui::format::short;
use crate::ui::output::{PageError, html_page};

/// Classes of the groups' colours, in the order of [`Group::ALL`].
const CLASSES: [&str; 6] = ["g0", "g1", "g2", "g3", "g4", "g5"];

/// What the page shows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CostPage<'a> {
    pub(crate) service: &'a str,
    /// Calls a month.
    pub(crate) calls: f64,
    pub(crate) ours: &'a Bill,
    pub(crate) of_2018: &'a Bill,
    pub(crate) curve: &'a [CurvePoint],
    pub(crate) tiers: &'a [PriceTier],
    pub(crate) budget_usd: Option<f64>,
    pub(crate) prices: &'a Prices,
}

#[derive(Serialize)]
struct CostTile {
    name: &'static str,
    figure: String,
    note: String,
    warn: bool,
}

fn usd(of: f64) -> String {
    match amount(of).strip_prefix('−') {
        Some(positive) => format!("−${positive}"),
        None => format!("${}", amount(of)),
    }
}

/// In short, for axes and labels: `$250`, `$1.2k`.
fn short_usd(amount: f64) -> String {
    if amount < 1.0 { format!("${amount}") } else { format!("${}", short(amount)) }
}

/// How many times as much.
fn times(more: f64, less: f64) -> String {
    format!("{:.1} times", more / less.max(f64::MIN_POSITIVE))
}

/// Both axes are logarithmic: a percentage from the left and one from the bottom.
struct Scale {
    x: (f64, f64),
    y: (f64, f64),
}

impl Scale {
    fn new(curve: &[CurvePoint]) -> Self {
        let all = || curve.iter().flat_map(|point| [point.usd, point.usd_2018]).filter(|usd| *usd > 0.0);
        let least = all().fold(f64::MAX, f64::min).log10().floor();
        let most = all().fold(1.0, f64::max).log10().ceil();
        let calls = |point: Option<&CurvePoint>, other: f64| point.map_or(other, |point| point.calls.log10());
        Self { x: (calls(curve.first(), 6.0), calls(curve.last(), 10.0)), y: (least.min(most - 1.0), most) }
    }

    fn x(&self, calls: f64) -> f64 {
        (calls.max(1.0).log10() - self.x.0) / (self.x.1 - self.x.0) * 100.0
    }

    fn y(&self, usd: f64) -> f64 {
        let (least, most) = self.y;
        ((usd.max(f64::MIN_POSITIVE).log10() - least) / (most - least) * 100.0).clamp(0.0, 100.0)
    }
}

impl CostPage<'_> {
    /// Renders the page.
    pub(crate) fn html(&self) -> Result<String, PageError> {
        let legend = || CLASSES.iter().zip(Group::ALL).map(|(class, group)| (*class, group.label()));
        let mut context = Context::new();
        context.insert("title", &format!("Cost of {}", self.service));
        context.insert("calls", &short(self.calls));
        context.insert("tiles", &self.tiles());
        context.insert("chart", &self.chart());
        context.insert("tiers", &self.tiers.iter().map(|tier| self.tier(tier)).collect::<Vec<_>>());
        context.insert("legend", &legend().collect::<Vec<_>>());
        context.insert("by_calls", &self.by_calls());
        context.insert("by_region", &self.by_region());
        context.insert("by_line", &self.by_line());
        context.insert("date", &self.prices.date);
        context.insert("source", &self.prices.source);
        context.insert("estimate", &(!self.ours.is_exact()).then_some(&self.prices.estimate));
        html_page("cost.html", &context)
    }

    fn tiles(&self) -> Vec<CostTile> {
        let (ours, then) = (self.ours.total(), self.of_2018.total());
        let over = self.budget_usd.is_some_and(|budget| ours > budget + 0.005);
        let note = match self.budget_usd {
            Some(budget) if over => format!("over the budget of {}", usd(budget)),
            Some(budget) => format!("within the budget of {}", usd(budget)),
            None => format!("at {} calls", short(self.calls)),
        };
        let million = ours / self.calls.max(1.0) * 1e6;
        let tile = |name, figure, note| CostTile { name, figure, note, warn: false };
        vec![
            CostTile { name: "A month", figure: usd(ours), note, warn: over },
            tile("A million calls", usd(million), "on average".to_owned()),
            tile("2018 design", usd(then), format!("{} as much", times(then, ours))),
        ]
    }

    fn tier(&self, tier: &PriceTier) -> String {
        format!(
            "From {} calls on, {} cost ${:.2} instead of ${:.2} for each {} in the busiest region ({}'s prices).",
            short(tier.calls),
            tier.line.label(),
            tier.after,
            tier.before,
            tier.unit.trim_end_matches('s').replace("M ", "million "),
            self.prices.base_region
        )
    }

    /// The curve, the 2018 design's, the tiers of prices, and the number of calls that the page is for.
    fn chart(&self) -> Chart {
        let scale = Scale::new(self.curve);
        let path = |of: fn(&CurvePoint) -> f64| {
            line(self.curve.iter().map(|point| (scale.x(point.calls), 100.0 - scale.y(of(point)))))
        };
        let shape = |class, path| Shape { class, path, title: String::new() };
        let mut shapes =
            vec![shape("before", path(|point| point.usd_2018)), shape("curve", path(|point| point.usd))];
        let note =
            |class, x: f64, y: f64, text| Note { class, left: percent(x), top: percent(100.0 - y), text };
        let mut notes = Vec::new();
        for tier in self.tiers {
            let x = scale.x(tier.calls);
            shapes.push(shape("tier", line([(x, 0.0), (x, 100.0)])));
            notes.push(note(
                "side",
                x,
                0.5,
                format!("{} at ${:.2} from {}", tier.line.label(), tier.after, short(tier.calls)),
            ));
        }
        if let Some(last) = self.curve.last() {
            let label = |name: &str, usd: f64| format!("{name} {}", short_usd(usd));
            notes.push(note("end above", 100.0, scale.y(last.usd_2018), label("2018 design", last.usd_2018)));
            notes.push(note("end below", 100.0, scale.y(last.usd), label("this design", last.usd)));
        }
        let x = scale.x(self.calls);
        if (0.0..=100.0).contains(&x) {
            let ours = self.ours.total();
            let text = format!("{} calls: {}", short(self.calls), usd(ours));
            notes.push(note("point", x, scale.y(ours), String::new()));
            // On the right half the text ends at the point, below the label of the curve.
            notes.push(note(if x < 50.0 { "beside" } else { "beside before-it" }, x, scale.y(ours), text));
        }
        let decades = |from: f64, to: f64| {
            let exponents = std::iter::successors(Some(from), |exponent| Some(exponent + 1.0));
            exponents.take_while(move |exponent| *exponent <= to + 0.01).map(|exponent| 10_f64.powf(exponent))
        };
        Chart {
            alt: format!(
                "Lines: US dollars a month by calls a month, both logarithmic, for this design and the 2018 design. {}",
                self.tiers.iter().map(|tier| self.tier(tier)).collect::<String>()
            ),
            x: decades(scale.x.0, scale.x.1).map(|calls| tick(scale.x(calls), short(calls), false)).collect(),
            y: decades(scale.y.0, scale.y.1).map(|usd| tick(scale.y(usd), short_usd(usd), false)).collect(),
            shapes,
            notes,
        }
    }

    fn by_calls(&self) -> Table {
        let heads = vec![
            head("Calls a month", Number),
            head("$ a month", Number),
            head("$ per million", Number).extra(),
            head("", BarKind),
        ];
        let decades = self.curve.iter().filter(|point| point.is_decade);
        let cells = |point: &CurvePoint| -> Vec<Cell> {
            let million = point.usd / point.calls * 1e6;
            let figures = [short(point.calls), amount(point.usd), amount(million)];
            let bar = Cell::Bar(stacked(point.stack, point.stack.iter().sum()));
            figures.map(Cell::from).into_iter().chain([bar]).collect()
        };
        Table { heads, rows: decades.map(cells).collect(), ..Table::default() }
    }

    fn by_region(&self) -> Table {
        let heads = vec![
            head("Region", Short),
            head("$ a month", Number),
            head("2018 design", Number).extra(),
            head("", BarKind),
        ];
        let rows = rows(self.ours, self.of_2018, &[GroupBy::Region]);
        let most = rows.iter().filter(|row| !row.region.is_empty()).map(|row| row.usd).fold(0.0, f64::max);
        let cells = |row: &BillRow| -> Vec<Cell> {
            let (name, bar) = match row.region.as_str() {
                "" => ("total".to_owned(), "".into()),
                ALL_REGIONS => ("free tier".to_owned(), "".into()),
                region => (region.to_owned(), Cell::Bar(stacked(stack(self.ours, Some(region)), most))),
            };
            vec![name.into(), amount(row.usd).into(), amount(row.usd_2018).into(), bar]
        };
        Table { heads, rows: rows.iter().map(cells).collect(), ..Table::default() }
    }

    fn by_line(&self) -> Table {
        let heads = vec![
            head("Line", Long),
            head("Amount", Number).extra(),
            head("Unit", Short).extra(),
            head("$ a month", Number),
            head("2018 design", Number),
            head("", BarKind).extra(),
        ];
        let rows = rows(self.ours, self.of_2018, &[GroupBy::Line]);
        let of_lines = rows.iter().filter(|row| row.line != "total");
        let most = of_lines.map(|row| row.usd).fold(0.0, f64::max);
        let cells = |row: &BillRow| -> Vec<Cell> {
            let units = row.amount.map(|amount| format!("{amount:.3}")).unwrap_or_default();
            let width = (row.usd / most.max(f64::MIN_POSITIVE) * 100.0).clamp(0.0, 100.0);
            let bar = match row.line.as_str() {
                "total" => "".into(),
                _ => Cell::Bar(Bar { parts: vec![("fill", percent(width))], ..Bar::default() }),
            };
            vec![
                row.line.clone().into(),
                units.into(),
                row.unit.clone().into(),
                amount(row.usd).into(),
                amount(row.usd_2018).into(),
                bar,
            ]
        };
        Table { heads, rows: rows.iter().map(cells).collect(), ..Table::default() }
    }
}

/// Dollars in a column: cents below a thousand.
fn amount(usd: f64) -> String {
    let sign = if usd <= -0.005 { "−" } else { "" };
    let usd = usd.abs();
    if usd < 1_000.0 {
        return format!("{sign}{usd:.2}");
    }
    format!("{sign}{}", crate::ui::format::grouped(super::occupancy::to_u64(usd.round())))
}

/// A stack as a bar whose whole width is `most`.
fn stacked(stack: Stack, most: f64) -> Bar {
    let part = |(class, usd): (&&'static str, f64)| {
        let width = usd / most.max(f64::MIN_POSITIVE) * 100.0;
        (width > 0.0).then(|| (*class, percent(width.min(100.0))))
    };
    Bar { parts: CLASSES.iter().zip(stack).filter_map(part).collect(), ..Bar::default() }
}

#[cfg(test)]
mod tests {
    use super::super::{Allowances, TrafficModel, curve, priced, priced_2018};
    use super::*;
    use crate::infra::stacks::test_config;

    fn bills(calls: f64) -> (Bill, Bill) {
        let (config, prices) = (test_config(), Prices::committed().expect("prices"));
        let model = TrafficModel::typical(calls);
        let ours = priced(&config, &model, &prices, Allowances::All).expect("a bill");
        let of_2018 = priced_2018(&config, &model, &prices, Allowances::All).expect("a bill");
        (ours, of_2018)
    }

    fn html(calls: f64, budget_usd: Option<f64>) -> String {
        let (config, prices) = (test_config(), Prices::committed().expect("prices"));
        let (ours, of_2018) = bills(calls);
        let (curve, tiers) =
            curve(&config, TrafficModel::typical, &prices, Allowances::All).expect("a curve");
        let page = CostPage {
            service: "ipgeo-<prod>",
            calls,
            ours: &ours,
            of_2018: &of_2018,
            curve: &curve,
            tiers: &tiers,
            budget_usd,
            prices: &prices,
        };
        page.html().expect("a page")
    }

    #[test]
    fn the_page_has_the_curve_both_stacks_and_the_tier_of_prices() {
        let html = html(25e6, Some(40.0));
        let texts = [
            "<h1>Cost of ipgeo-&lt;prod&gt;",
            "over the budget of $40.00",
            "25M calls: $",
            "API requests at $0.90 from ",
            "cost $0.90 instead of $1.00 for each million request",
            "class=\"before\"",
            "class=\"curve\"",
            "class=\"tier\"",
            ">$100k<",
            ">10B<",
            "logs and stream",
            "eu-central-1",
            "free tier: alarms",
        ];
        for text in texts {
            assert!(html.contains(text), "{text}: {html}");
        }
        assert!(!html.contains("<script") && !html.contains("NaN") && !html.contains("inf%"), "{html}");
        let (ours, of_2018) = bills(25e6);
        let shown = |by| rows(&ours, &of_2018, &[by]).len();
        // Three heads, five powers of ten.
        let expected = 3 + 5 + shown(GroupBy::Region) + shown(GroupBy::Line);
        assert_eq!(html.matches("<tr>").count(), expected);
    }

    #[test]
    fn any_number_of_calls_has_a_page() {
        for calls in [0.0, 1.0, 1e5, 3e12] {
            let html = html(calls, None);
            assert!(!html.contains("NaN") && !html.contains("inf%"), "{calls}: {html}");
        }
    }
}
