//! Estimates the monthly bill from a configuration, assumed traffic ([`TrafficModel`]) and a committed price table.
//! Pure: no clock, no files, no AWS.
//!
//! What is deployed is read from the rendered templates, and sizes are measured with the production encoders, so that the
//! estimate follows the code. Amounts follow from the traffic by closed formulas (Poisson arrivals), not by simulation;
//! `crate::simulate` checks them.

mod bill;
mod change;
mod curve;
mod design;
mod measure;
mod model;
mod occupancy;
mod page;
mod prices;
#[cfg(test)]
mod reference;
mod rows;
mod traffic;

pub(crate) use bill::{Allowances, Bill, BillLine};
pub(crate) use change::{CostChange, change};
pub(crate) use curve::curve;
pub(crate) use model::TrafficModel;
pub(crate) use occupancy::zipf;
pub(crate) use page::CostPage;
pub(crate) use prices::{PriceError, Prices};
pub(crate) use rows::{BillRow, GroupBy, rows};

use crate::config::Config;
use crate::infra::stacks::RenderError;
use crate::ui::format::float;
use design::Design;

#[derive(Debug, thiserror::Error)]
pub(crate) enum CostError {
    #[error(transparent)]
    Price(#[from] PriceError),
    #[error("can't render the stacks to bill")]
    Render(#[from] RenderError),
}

/// The monthly bill with committed prices and the free tier.
pub(crate) fn monthly(config: &Config, model: &TrafficModel) -> Result<Bill, CostError> {
    priced(config, model, &Prices::committed()?, Allowances::All)
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct MonthToDate {
    pub(crate) calls: u64,
    /// The part of `calls` with an API key.
    pub(crate) keyed: u64,
    /// Number of API keys that called.
    pub(crate) keys: u32,
    /// The elapsed part of the month, 0 to 1.
    pub(crate) part: f64,
}

/// The bill for the month so far: the counted calls, and the fixed costs for the elapsed time. Figures that are not in the
/// ledger, such as response sizes, are those of [`TrafficModel::typical`].
pub(crate) fn month_to_date(
    config: &Config,
    counted: MonthToDate,
    prices: &Prices,
) -> Result<Bill, CostError> {
    // At the start of a month nothing has elapsed: avoid dividing by zero.
    let part = counted.part.clamp(1e-6, 1.0);
    let calls = float(counted.calls);
    let mut model = TrafficModel::typical(calls / part);
    model.keys = counted.keys.max(1);
    model.keyed_share = if counted.calls == 0 { 0.0 } else { float(counted.keyed) / calls };
    Ok(bill::price_part(prices, &model, &Design::from_config(config)?, Allowances::All, part)?)
}

/// The monthly bill with given prices and allowances.
pub(crate) fn priced(
    config: &Config,
    model: &TrafficModel,
    prices: &Prices,
    allowances: Allowances,
) -> Result<Bill, CostError> {
    Ok(bill::price(prices, model, &Design::from_config(config)?, allowances)?)
}

/// The bill of the 2018 design in the same regions; see [`Design::as_2018`].
pub(crate) fn priced_2018(
    config: &Config,
    model: &TrafficModel,
    prices: &Prices,
    allowances: Allowances,
) -> Result<Bill, CostError> {
    Ok(bill::price(prices, model, &Design::from_config(config)?.as_2018(), allowances)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LogPipe;
    use crate::infra::stacks::test_config;

    #[test]
    fn the_shipped_configuration_stays_within_its_cost_target() {
        let config = test_config();
        let base = Prices::committed().expect("prices").at_base();
        for allowances in [Allowances::All, Allowances::None] {
            let bill = priced(&config, &TrafficModel::typical(25e6), &base, allowances).expect("a bill");
            let free_transfer = bill.sum(&[BillLine::Internet]) + bill.sum(&[BillLine::FreeInternet]);
            let total = bill.total() - if allowances == Allowances::None { free_transfer } else { 0.0 };
            assert!(total <= 50.0, "{allowances:?}: {total}\n{:#?}", rows(&bill, &bill, &[]));
        }
    }

    #[test]
    fn a_month_so_far_grows_to_the_month() {
        let (config, prices) = (test_config(), Prices::committed().expect("prices"));
        let at = |calls: u64, part: f64| {
            let counted = MonthToDate { calls, keyed: calls / 10 * 8, keys: 500, part };
            month_to_date(&config, counted, &prices).expect("a bill").total()
        };
        let whole = monthly(&config, &TrafficModel::typical(25e6)).expect("a bill").total();
        assert!((at(25_000_000, 1.0) - whole).abs() < 1e-6);
        let at_day = |day: u32| at(25_000_000 / 30 * u64::from(day), f64::from(day) / 30.0);
        let days: Vec<f64> = (0..=30).map(at_day).collect();
        assert!(days.is_sorted(), "{days:?}");
        let (first, half) = (days[0], days[15]);
        assert!((0.0..1.0).contains(&first), "only the DNS zone: {first}");
        assert!(
            (0.2 * whole..0.6 * whole).contains(&half),
            "the free tier is used up first: {half} of {whole}"
        );
    }

    #[test]
    fn a_bill_follows_the_configuration() {
        let (config, model) = (test_config(), TrafficModel::typical(25e6));
        let line = |config: &Config, lines: &[BillLine]| monthly(config, &model).expect("a bill").sum(lines);
        let changed = |change: fn(&mut Config)| {
            let mut config = config.clone();
            change(&mut config);
            config
        };
        let alarms = changed(|config| config.alarms.edges = true);
        assert!(line(&alarms, &[BillLine::Alarms]) > line(&config, &[BillLine::Alarms]));
        let exact = changed(|config| config.usage.quiet_permille = 0);
        let ledger = [BillLine::LedgerWrites, BillLine::TableReads];
        assert!(line(&exact, &ledger) > line(&config, &ledger) + 3.0);
        let soon = changed(|config| config.usage.window_s = 60);
        assert!(line(&soon, &[BillLine::LedgerWrites]) > line(&config, &[BillLine::LedgerWrites]) + 1.0);
        let large = changed(|config| config.regions[0].runtime.memory_mb = 1_024);
        assert!(line(&large, &[BillLine::FunctionTime]) > line(&config, &[BillLine::FunctionTime]));
        let forwarded = changed(|config| config.usage.pipe = LogPipe::Forwarder);
        assert!(line(&config, &[BillLine::Forwarder]).abs() < 1e-9);
        let usd = line(&forwarded, &[BillLine::Forwarder]);
        assert!((4.0..16.0).contains(&usd), "{usd}");
        let few = changed(|config| config.regions.truncate(5));
        let replicated = [BillLine::ReplicatedWrites];
        assert!(line(&few, &replicated) < line(&config, &replicated));
    }

    #[test]
    fn rows_add_up_to_the_bill() {
        let (config, model) = (test_config(), TrafficModel::typical(25e6));
        let prices = Prices::committed().expect("prices");
        let ours = monthly(&config, &model).expect("a bill");
        let of_2018 = priced_2018(&config, &model, &prices, Allowances::All).expect("a bill");
        assert!(of_2018.total() > 3.0 * ours.total());
        for by in [&[GroupBy::Line][..], &[GroupBy::Region], &[GroupBy::Line, GroupBy::Region], &[]] {
            let rows = rows(&ours, &of_2018, by);
            let (total, parts) = rows.split_last().expect("a total");
            for (of, usd) in [(0, total.usd), (1, total.usd_2018)] {
                let sum: f64 = parts.iter().map(|row| if of == 0 { row.usd } else { row.usd_2018 }).sum();
                assert!((sum - usd).abs() < 0.05, "{by:?}: {sum} of {usd}");
            }
        }
        assert!(!ours.is_exact(), "prices of most regions are estimates");
    }
}
