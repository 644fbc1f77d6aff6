//! The effect of a deploy on the bill: the deployed and the planned stacks, priced with the same traffic.

use std::collections::BTreeMap;

use ipgeo_contract::RegionName;
use serde::Serialize;

use super::bill::{Allowances, Bill, price};
use super::design::{DeployedStack, Design};
use super::model::TrafficModel;
use super::prices::{PriceError, Prices};
use crate::infra::stacks::{StackKind, Template};
use crate::ui::format::short;

/// The monthly bill before and after a deploy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct CostChange {
    /// Calls a month.
    pub(crate) calls: f64,
    /// USD a month now; `None`: no edge is deployed.
    pub(crate) before: Option<f64>,
    /// USD a month afterwards; `None`: no edge is left.
    pub(crate) after: Option<f64>,
    /// Lines of the bill that change by half a cent or more, net of the free tier.
    pub(crate) lines: Vec<LineChange>,
}

/// A changed line of the bill, net of the free tier.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct LineChange {
    pub(crate) line: &'static str,
    /// USD a month now.
    pub(crate) before: f64,
    pub(crate) after: f64,
}

/// Half a cent: smaller amounts do not show on a bill.
const VISIBLE_USD: f64 = 0.005;

/// Prices deployed and planned templates, by region and kind, with the free tier.
pub(crate) fn change(
    home: &RegionName,
    before: &BTreeMap<(RegionName, StackKind), Template>,
    after: &BTreeMap<(RegionName, StackKind), Template>,
    model: &TrafficModel,
) -> Result<CostChange, PriceError> {
    let prices = Prices::committed()?;
    let bill = |templates| bill(home, templates, model, &prices);
    let (before, after) = (bill(before)?, bill(after)?);
    let total = |bill: &Option<Bill>| bill.as_ref().map(Bill::total);
    let lines = changed_lines(before.as_ref(), after.as_ref());
    Ok(CostChange { calls: model.calls, before: total(&before), after: total(&after), lines })
}

/// The bill of templates; `None` without an edge.
fn bill(
    home: &RegionName,
    templates: &BTreeMap<(RegionName, StackKind), Template>,
    model: &TrafficModel,
    prices: &Prices,
) -> Result<Option<Bill>, PriceError> {
    let parts: Vec<DeployedStack<'_>> = templates
        .iter()
        .map(|((region, kind), template)| DeployedStack { region, kind: *kind, template })
        .collect();
    let design = Design::from_stacks(home, &parts);
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
        .filter(|(_, (before, after))| (after - before).abs() >= VISIBLE_USD)
        .map(|(line, (before, after))| LineChange { line: line.label(), before, after })
        .collect()
}

impl CostChange {
    /// In one line: `a month of 25M calls costs $53.27, now $50.44 (+2.83: alarms +2.80)`.
    pub(crate) fn summary(&self) -> String {
        let calls = short(self.calls);
        match (self.before, self.after) {
            (None, None) => format!("{calls} calls a month cost nothing: no edge is deployed"),
            (None, Some(after)) => format!("{calls} calls a month will cost ${after:.2}"),
            (Some(before), None) => {
                format!("{calls} calls a month cost ${before:.2} now and will cost nothing")
            }
            (Some(before), Some(after)) => {
                let difference = after - before;
                if difference.abs() < VISIBLE_USD {
                    return format!("{calls} calls a month cost ${after:.2}, unchanged");
                }
                let lines: Vec<String> = self
                    .largest(LINES_SHOWN)
                    .map(|line| format!("{} {:+.2}", line.line, line.after - line.before))
                    .collect();
                let lines = lines.join(", ");
                format!(
                    "{calls} calls a month will cost ${after:.2}, now ${before:.2} ({difference:+.2}: {lines})"
                )
            }
        }
    }

    fn largest(&self, count: usize) -> impl Iterator<Item = &LineChange> {
        let mut lines: Vec<&LineChange> = self.lines.iter().collect();
        let size = |line: &LineChange| (line.after - line.before).abs();
        lines.sort_by(|a, b| size(b).total_cmp(&size(a)));
        lines.into_iter().take(count)
    }
}

const LINES_SHOWN: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::infra::stacks::{Renderer, test_artifacts, test_config};

    fn templates(config: &Config) -> BTreeMap<(RegionName, StackKind), Template> {
        let artifacts = test_artifacts();
        let stacks = Renderer::new(config, &artifacts).and_then(|renderer| renderer.all()).expect("rendered");
        stacks.into_iter().map(|stack| ((stack.region, stack.kind), stack.template)).collect()
    }

    fn summary(before: Option<&Config>, after: Option<&Config>) -> String {
        let stacks = |config: Option<&Config>| config.map(templates).unwrap_or_default();
        let home = test_config().service.home;
        change(&home, &stacks(before), &stacks(after), &TrafficModel::typical(25e6))
            .expect("prices")
            .summary()
    }

    #[test]
    fn templates_cost_what_their_configuration_costs() {
        let (config, model) = (test_config(), TrafficModel::typical(25e6));
        let expected = crate::cost::monthly(&config, &model).expect("a bill").total();
        let now = templates(&config);
        let change = change(&config.service.home, &BTreeMap::new(), &now, &model).expect("prices");
        assert!((change.after.expect("a bill") - expected).abs() < 1e-9, "{change:?}");
        assert_eq!(change.before, None);
    }

    #[test]
    fn a_summary_names_the_lines_that_change_most() {
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
            ("first deploy", None, Some(&shipped)),
            ("unchanged", Some(&shipped), Some(&shipped)),
            ("twice the memory", Some(&shipped), Some(&larger)),
            ("one region fewer", Some(&shipped), Some(&fewer)),
            ("no quiet calls", Some(&shipped), Some(&exact)),
            ("destroyed", Some(&shipped), None),
        ];
        let lines: Vec<String> = table
            .iter()
            .map(|(what, before, after)| format!("{what}: {}", summary(*before, *after)))
            .collect();
        insta::assert_snapshot!("summaries", lines.join("\n"));
    }
}
