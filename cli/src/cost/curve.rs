//! The bill from a million to ten thousand million calls a month, beside the 2018 design's, and where AWS's prices change.

use super::CostError;
use super::bill::{Allowances, Bill, BillLine, price};
use super::design::Design;
use super::model::TrafficModel;
use super::prices::Prices;
use crate::config::Config;

/// Powers of ten of the first and the last number of calls, and points for each of them.
const DECADES: (i32, i32) = (6, 10);
const POINTS: i32 = 6;

/// What lines of a bill have in common, for stacked bars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    Api,
    Functions,
    Pipe,
    Tables,
    Transfer,
    Other,
}

impl Group {
    /// In the order of the stack.
    pub(crate) const ALL: [Self; 6] =
        [Self::Api, Self::Functions, Self::Pipe, Self::Tables, Self::Transfer, Self::Other];

    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Api => "API requests",
            Self::Functions => "functions",
            Self::Pipe => "logs and stream",
            Self::Tables => "tables",
            Self::Transfer => "transfer to the internet",
            Self::Other => "zone, alarms, artifacts",
        }
    }

    fn of(line: BillLine) -> Self {
        match line.charged() {
            BillLine::Api => Self::Api,
            BillLine::FunctionRequests
            | BillLine::FunctionTime
            | BillLine::Forwarder
            | BillLine::UsageFunction
            | BillLine::EarlyCounts => Self::Functions,
            BillLine::Logs
            | BillLine::LogsStored
            | BillLine::StreamShards
            | BillLine::StreamRecords
            | BillLine::StreamTransfer => Self::Pipe,
            BillLine::TableReads
            | BillLine::LedgerWrites
            | BillLine::ReplicatedWrites
            | BillLine::TableStorage => Self::Tables,
            BillLine::Internet => Self::Transfer,
            _ => Self::Other,
        }
    }
}

/// US dollars a month of each group, in [`Group::ALL`]'s order.
pub(crate) type Stack = [f64; 6];

/// The sums of a bill's groups; of one region or, with the free tier, of all.
pub(crate) fn stack(bill: &Bill, region: Option<&str>) -> Stack {
    let entries = || bill.entries.iter().filter(|entry| region.is_none_or(|region| entry.region == region));
    Group::ALL
        .map(|group| entries().filter(|entry| Group::of(entry.line) == group).map(|entry| entry.usd).sum())
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct CurvePoint {
    /// Calls a month.
    pub(crate) calls: f64,
    pub(crate) usd: f64,
    pub(crate) usd_2018: f64,
    pub(crate) stack: Stack,
    /// Whether it is a power of ten.
    pub(crate) is_decade: bool,
}

/// Where another tier of a price begins.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PriceTier {
    /// Calls a month.
    pub(crate) calls: f64,
    pub(crate) line: BillLine,
    /// Prices of `unit` in the base region, US dollars.
    pub(crate) before: f64,
    pub(crate) after: f64,
    pub(crate) unit: String,
}

/// The curve of the traffic that `model` gives for a number of calls, and the tiers of AWS's prices on it.
pub(crate) fn curve(
    config: &Config,
    model: impl Fn(f64) -> TrafficModel,
    prices: &Prices,
    allowances: Allowances,
) -> Result<(Vec<CurvePoint>, Vec<PriceTier>), CostError> {
    let design = Design::from_config(config)?;
    let design_2018 = design.as_2018();
    let mut points = Vec::new();
    let mut tiers = Vec::new();
    for step in DECADES.0 * POINTS..=DECADES.1 * POINTS {
        let calls = 10_f64.powf(f64::from(step) / f64::from(POINTS));
        let bill = price(prices, &model(calls), &design, allowances)?;
        let usd_2018 = price(prices, &model(calls), &design_2018, allowances)?.total();
        let is_decade = step % POINTS == 0;
        points.push(CurvePoint { calls, usd: bill.total(), usd_2018, stack: stack(&bill, None), is_decade });
        if step == DECADES.1 * POINTS {
            tiers = price_tiers(&bill, calls, prices);
        }
    }
    Ok((points, tiers))
}

/// The tiers that the largest region of a bill reaches below `calls`: amounts with tiers grow in proportion to calls.
fn price_tiers(bill: &Bill, calls: f64, prices: &Prices) -> Vec<PriceTier> {
    let mut tiers: Vec<PriceTier> = Vec::new();
    for entry in &bill.entries {
        let Some((from, before, after, unit)) = prices.tier(entry.item) else { continue };
        if entry.units <= from {
            continue;
        }
        let tier = PriceTier { calls: from / entry.units * calls, line: entry.line, before, after, unit };
        match tiers.iter_mut().find(|found| found.line == tier.line) {
            Some(found) if found.calls <= tier.calls => {}
            Some(found) => *found = tier,
            None => tiers.push(tier),
        }
    }
    tiers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infra::stacks::test_config;

    #[test]
    fn the_curve_grows_and_its_stacks_are_the_bill() {
        let prices = Prices::committed().expect("prices");
        let config = test_config();
        let (points, tiers) =
            curve(&config, TrafficModel::typical, &prices, Allowances::All).expect("a curve");
        assert_eq!(points.len(), 25);
        assert!(points.is_sorted_by(|a, b| a.calls < b.calls && a.usd < b.usd && a.usd_2018 < b.usd_2018));
        assert!(points.iter().all(|point| point.usd < point.usd_2018));
        for point in &points {
            assert!((point.stack.iter().sum::<f64>() - point.usd).abs() < 1e-6, "{point:?}");
        }
        let decades: Vec<f64> =
            points.iter().filter(|point| point.is_decade).map(|point| point.calls.log10()).collect();
        assert_eq!(decades, [6.0, 7.0, 8.0, 9.0, 10.0]);
        // 300 M requests in each of the regions, evenly.
        let [tier] = tiers.as_slice() else { panic!("{tiers:?}") };
        let regions = u32::try_from(config.regions.len()).expect("a few");
        assert_eq!(tier.line, BillLine::Api);
        assert!((tier.calls / (300e6 * f64::from(regions)) - 1.0).abs() < 1e-9, "{tier:?}");
        assert_eq!((tier.before, tier.after, tier.unit.as_str()), (1.0, 0.9, "M requests"));
    }

    #[test]
    fn a_call_beyond_the_tier_costs_less() {
        let prices = Prices::committed().expect("prices");
        let design = Design::from_config(&test_config()).expect("a design");
        let api = |calls: f64| {
            let bill =
                price(&prices, &TrafficModel::typical(calls), &design, Allowances::All).expect("a bill");
            stack(&bill, None)[0]
        };
        let regions = f64::from(u32::try_from(design.edges.len()).expect("a few"));
        let tier = 300e6 * regions;
        let (below, above) = (api(tier) - api(tier - 1e6), api(tier + 1e6) - api(tier));
        assert!((above / below - 0.9).abs() < 1e-6, "{above} of {below}");
    }
}
