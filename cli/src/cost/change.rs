//! What a deploy does to the bill: the stacks of before and after, priced by the same traffic.

use std::collections::BTreeMap;

use serde::Serialize;

use super::bill::{Allowances, Bill, price};
use super::design::{Design, Part};
use super::model::Model;
use super::prices::{PriceError, Prices};
use crate::infra::stacks::{StackKind, Template};
use crate::ui::format::short;

/// A month's bill of before and after.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CostChange {
    /// The calls that it is of.
    pub calls: f64,
    /// USD a month of what there is; none: nothing answers yet.
    pub before: Option<f64>,
    /// USD a month afterwards; none: nothing answers any more.
    pub after: Option<f64>,
    /// Lines that change by half a cent or more, allowances taken off.
    pub lines: Vec<LineChange>,
}

/// A line of the bill that changes, with what is free of it taken off.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LineChange {
    /// Its label.
    pub line: &'static str,
    /// USD a month of before.
    pub before: f64,
    /// USD a month of afterwards.
    pub after: f64,
}

/// Half a cent: what is less is not seen on a bill.
const SEEN_USD: f64 = 0.005;

/// Prices the templates of before and after, by region and kind, with what every account has for nothing.
pub fn change(
    home: &str,
    before: &BTreeMap<(String, StackKind), Template>,
    after: &BTreeMap<(String, StackKind), Template>,
    model: &Model,
) -> Result<CostChange, PriceError> {
    let prices = Prices::committed()?;
    let bill = |templates| bill(home, templates, model, &prices);
    let (before, after) = (bill(before)?, bill(after)?);
    let total = |bill: &Option<Bill>| bill.as_ref().map(Bill::total);
    let lines = changed_lines(before.as_ref(), after.as_ref());
    Ok(CostChange { calls: model.calls, before: total(&before), after: total(&after), lines })
}

/// The bill of templates; none without an edge that answers.
fn bill(
    home: &str,
    templates: &BTreeMap<(String, StackKind), Template>,
    model: &Model,
    prices: &Prices,
) -> Result<Option<Bill>, PriceError> {
    let parts: Vec<Part<'_>> =
        templates.iter().map(|((region, kind), template)| Part { region, kind: *kind, template }).collect();
    let design = Design::of_parts(home, &parts);
    if design.edges.is_empty() {
        return Ok(None);
    }
    price(prices, model, &design, Allowances::All).map(Some)
}

fn changed_lines(before: Option<&Bill>, after: Option<&Bill>) -> Vec<LineChange> {
    let mut lines = BTreeMap::new();
    for (bill, is_after) in [(before, false), (after, true)] {
        for entry in bill.into_iter().flat_map(|bill| &bill.entries) {
            let sums: &mut (f64, f64) = lines.entry(entry.line.charged()).or_default();
            *(if is_after { &mut sums.1 } else { &mut sums.0 }) += entry.usd;
        }
    }
    lines
        .into_iter()
        .filter(|(_, (before, after))| (after - before).abs() >= SEEN_USD)
        .map(|(line, (before, after))| LineChange { line: line.label(), before, after })
        .collect()
}

impl CostChange {
    /// In one line: `a month of 25M calls costs $53.27, now $50.44 (+2.83: alarms +2.80)`.
    pub fn told(&self) -> String {
        let calls = short(self.calls);
        match (self.before, self.after) {
            (None, None) => format!("a month of {calls} calls costs nothing: no edge answers"),
            (None, Some(after)) => format!("a month of {calls} calls will cost ${after:.2}"),
            (Some(before), None) => {
                format!("a month of {calls} calls costs ${before:.2} now, and nothing then")
            }
            (Some(before), Some(after)) => {
                let difference = after - before;
                if difference.abs() < SEEN_USD {
                    return format!("a month of {calls} calls costs ${after:.2}, as now");
                }
                let lines: Vec<String> = self
                    .largest(LINES_TOLD)
                    .map(|line| format!("{} {:+.2}", line.line, line.after - line.before))
                    .collect();
                let lines = lines.join(", ");
                format!(
                    "a month of {calls} calls will cost ${after:.2}, now ${before:.2} ({difference:+.2}: {lines})"
                )
            }
        }
    }

    /// The lines that change most.
    fn largest(&self, count: usize) -> impl Iterator<Item = &LineChange> {
        let mut lines: Vec<&LineChange> = self.lines.iter().collect();
        let size = |line: &LineChange| (line.after - line.before).abs();
        lines.sort_by(|a, b| size(b).total_cmp(&size(a)));
        lines.into_iter().take(count)
    }
}

/// Lines that are told by name.
const LINES_TOLD: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::infra::stacks::{Renderer, test_artifacts, test_config};

    fn templates(config: &Config) -> BTreeMap<(String, StackKind), Template> {
        let artifacts = test_artifacts();
        let stacks = Renderer::new(config, &artifacts).and_then(|renderer| renderer.all()).expect("rendered");
        stacks.into_iter().map(|stack| ((stack.region, stack.kind), stack.template)).collect()
    }

    fn told(before: Option<&Config>, after: Option<&Config>) -> String {
        let of = |config: Option<&Config>| config.map(templates).unwrap_or_default();
        let home = test_config().service.home;
        change(&home, &of(before), &of(after), &Model::of_calls(25e6)).expect("prices").told()
    }

    #[test]
    fn templates_cost_what_their_configuration_costs() {
        let (config, model) = (test_config(), Model::of_calls(25e6));
        let expected = crate::cost::monthly(&config, &model).expect("a bill").total();
        let now = templates(&config);
        let change = change(&config.service.home, &BTreeMap::new(), &now, &model).expect("prices");
        assert!((change.after.expect("a bill") - expected).abs() < 1e-9, "{change:?}");
        assert_eq!(change.before, None);
    }

    #[test]
    fn a_change_is_told_with_the_lines_that_make_it() {
        let shipped = test_config();
        let mut larger = shipped.clone();
        for region in &mut larger.regions {
            region.runtime.memory_mb *= 2;
        }
        let mut fewer = shipped.clone();
        fewer.regions.retain(|region| region.name != "sa-east-1");
        let mut exact = shipped.clone();
        exact.usage.quiet_permille = 0;
        let table = [
            ("nothing to something", None, Some(&shipped)),
            ("as it is", Some(&shipped), Some(&shipped)),
            ("twice the memory", Some(&shipped), Some(&larger)),
            ("a region less", Some(&shipped), Some(&fewer)),
            ("no quiet calls", Some(&shipped), Some(&exact)),
            ("destroyed", Some(&shipped), None),
        ];
        let lines: Vec<String> =
            table.iter().map(|(what, before, after)| format!("{what}: {}", told(*before, *after))).collect();
        insta::assert_snapshot!("told", lines.join("\n"));
    }
}
