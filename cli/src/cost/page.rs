//! The page of `ipgeo cost --html`: the bill by line and by region, and from a million to ten thousand million calls on one
//! curve with the 2018 design. Pure.

use tera::Context;

use super::bill::{ALL_REGIONS, Bill};
use super::curve::{CurvePoint, Group, PriceTier, Stack, stack};
use super::prices::Prices;
use super::rows::{BillRow, GroupBy, rows};
use crate::ui::curves::{Axes, LogAxis};
use crate::ui::drawing::Kind::{Bar as BarKind, Long, Number, Short};
use crate::ui::drawing::{Bar, Cell, Chart, Table, Tile, head, percent, tile};
use crate::ui::format::{grouped, short, whole};
use crate::ui::output::{PageError, html_page};

/// Classes of the groups' colours, in the order of [`Group::ALL`].
const CLASSES: [&str; 6] = ["g0", "g1", "g2", "g3", "g4", "g5"];

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

impl CostPage<'_> {
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

    fn tiles(&self) -> Vec<Tile> {
        let (ours, then) = (self.ours.total(), self.of_2018.total());
        let over = self.budget_usd.is_some_and(|budget| ours > budget + 0.005);
        let note = match self.budget_usd {
            Some(budget) if over => format!("over the budget of {}", usd(budget)),
            Some(budget) => format!("within the budget of {}", usd(budget)),
            None => format!("at {} calls", short(self.calls)),
        };
        let million = ours / self.calls.max(1.0) * 1e6;
        vec![
            Tile { warn: over, ..tile("A month", usd(ours), note) },
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
        let ours = || self.curve.iter().map(|point| (point.calls, point.usd));
        let then = || self.curve.iter().map(|point| (point.calls, point.usd_2018));
        let axes = Axes {
            x: LogAxis::over(ours().map(|(calls, _)| calls)),
            y: LogAxis::over(ours().chain(then()).map(|(_, usd)| usd)),
        };
        let mut shapes = vec![axes.curve("reference", then()), axes.curve("curve", ours())];
        let mut notes = Vec::new();
        for tier in self.tiers {
            let text = format!("{} at ${:.2} from {}", tier.line.label(), tier.after, short(tier.calls));
            shapes.push(axes.curve("tier", [(tier.calls, 0.0), (tier.calls, f64::MAX)].into_iter()));
            notes.push(axes.note("side", (tier.calls, f64::MAX), text));
        }
        // Both curves grow: above and to the left of a point of one, and below and to the right, there is room for a name.
        if let (Some(middle), Some(last)) = (self.curve.get(self.curve.len() / 2), self.curve.last()) {
            notes.push(axes.note("name above", (middle.calls, middle.usd_2018), "2018 design"));
            notes.push(axes.note("name below", (middle.calls, middle.usd), "this design"));
            notes.push(axes.note("end above", (last.calls, last.usd_2018), short_usd(last.usd_2018)));
            notes.push(axes.note("end below", (last.calls, last.usd), short_usd(last.usd)));
        }
        if axes.x.holds(self.calls) {
            let at = (self.calls, self.ours.total());
            notes.push(axes.note("point", at, ""));
            let text = format!("{} calls: {}", short(self.calls), usd(at.1));
            // To the right of the point, unless the right edge or the horizontal axis is near.
            let (left, top) = axes.place(at);
            let has_room = left < 50.0 && top < 88.0;
            notes.push(if has_room {
                axes.note("beside", at, text)
            } else {
                axes.note("corner", (f64::MAX, 0.0), text)
            });
        }
        Chart {
            alt: format!(
                "Lines: US dollars a month by calls a month, both logarithmic, for this design and the 2018 design. {}",
                self.tiers.iter().map(|tier| self.tier(tier)).collect::<String>()
            ),
            x: axes.x.ticks(short),
            y: axes.y.ticks(short_usd),
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
    format!("{sign}{}", grouped(whole(usd.round())))
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
            "class=\"reference\"",
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
