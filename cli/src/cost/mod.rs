//! What a month costs, before it is run: a configuration, a stated traffic and committed prices make a bill.
//! Pure: no clock, no files, no AWS.
//!
//! `model` is the traffic; `design` reads what would be deployed from the rendered templates, `measure` the
//! sizes from the encoders; `traffic` is what that traffic makes the design do, by `occupancy`; `bill` prices
//! it by `prices`; `rows` is what is shown, and `change` what a deploy does to it.

mod bill;
mod change;
mod design;
mod measure;
mod model;
mod occupancy;
mod prices;
#[cfg(test)]
mod reference;
mod rows;
mod traffic;

pub use bill::{Allowances, Bill, Entry, Line};
pub use change::{CostChange, LineChange, change};
pub use model::{AddressClass, Model, Stated};
use occupancy::to_f64;
pub(crate) use occupancy::zipf;
pub use prices::{Item, Price, PriceError, Prices};
pub use rows::{By, Row, rows};

use crate::config::Config;
use crate::infra::stacks::RenderError;
use design::Design;

/// Why there is no bill.
#[derive(Debug, thiserror::Error)]
pub enum CostError {
    /// A price is missing.
    #[error(transparent)]
    Price(#[from] PriceError),
    /// The stacks can't be rendered.
    #[error("the stacks that would be billed can't be rendered")]
    Render(#[from] RenderError),
}

/// A month's bill of a configuration under a traffic, with what every account has for nothing.
pub fn monthly(config: &Config, model: &Model) -> Result<Bill, CostError> {
    priced(config, model, &Prices::committed()?, Allowances::All)
}

/// What was counted in the first part of a month.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Counted {
    /// Calls charged, each once.
    pub calls: u64,
    /// Those of them with an API key.
    pub keyed: u64,
    /// API keys that called.
    pub keys: u32,
    /// The part of the month that has passed, 0 to 1.
    pub part: f64,
}

/// What a month has cost so far: the calls that were counted, and what stands for as long as it has stood. What the
/// ledger does not know, such as the bytes of answers, is as [`Model::of_calls`] has it.
pub fn so_far(config: &Config, counted: Counted, prices: &Prices) -> Result<Bill, CostError> {
    // Nothing has passed in the month's first moment; a share of it can still be divided by.
    let part = counted.part.clamp(1e-6, 1.0);
    let calls = to_f64(counted.calls);
    let mut model = Model::of_calls(calls / part);
    model.keys = counted.keys.max(1);
    model.keyed_share = if counted.calls == 0 { 0.0 } else { to_f64(counted.keyed) / calls };
    Ok(bill::price_part(prices, &model, &Design::of(config)?, Allowances::All, part)?)
}

/// The same by other prices, with other allowances.
pub fn priced(
    config: &Config,
    model: &Model,
    prices: &Prices,
    allowances: Allowances,
) -> Result<Bill, CostError> {
    Ok(bill::price(prices, model, &Design::of(config)?, allowances)?)
}

/// The bill of the design of 2018 in the same regions: a REST API, `print(event)` for a usage line, every
/// count replicated to every region.
pub fn priced_2018(
    config: &Config,
    model: &Model,
    prices: &Prices,
    allowances: Allowances,
) -> Result<Bill, CostError> {
    Ok(bill::price(prices, model, &Design::of(config)?.of_2018(), allowances)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infra::stacks::test_config;

    #[test]
    fn the_shipped_configuration_costs_what_was_meant() {
        let config = test_config();
        let base = Prices::committed().expect("prices").at_base();
        for allowances in [Allowances::All, Allowances::None] {
            let bill = priced(&config, &Model::of_calls(25e6), &base, allowances).expect("a bill");
            let free_transfer = bill.sum(&[Line::Internet]) + bill.sum(&[Line::FreeInternet]);
            let total = bill.total() - if allowances == Allowances::None { free_transfer } else { 0.0 };
            assert!(total <= 50.0, "{allowances:?}: {total}\n{:#?}", rows(&bill, &bill, &[]));
        }
    }

    #[test]
    fn a_month_so_far_grows_to_the_month() {
        let (config, prices) = (test_config(), Prices::committed().expect("prices"));
        let at = |calls: u64, part: f64| {
            let counted = Counted { calls, keyed: calls / 10 * 8, keys: 500, part };
            so_far(&config, counted, &prices).expect("a bill").total()
        };
        let whole = monthly(&config, &Model::of_calls(25e6)).expect("a bill").total();
        assert!((at(25_000_000, 1.0) - whole).abs() < 1e-6);
        let at_day = |day: u32| at(25_000_000 / 30 * u64::from(day), f64::from(day) / 30.0);
        let days: Vec<f64> = (0..=30).map(at_day).collect();
        assert!(days.is_sorted(), "{days:?}");
        let (first, half) = (days[0], days[15]);
        assert!((0.0..1.0).contains(&first), "the zone alone: {first}");
        assert!(
            (0.2 * whole..0.6 * whole).contains(&half),
            "what is free is used up first: {half} of {whole}"
        );
    }

    #[test]
    fn a_bill_follows_the_configuration() {
        let (config, model) = (test_config(), Model::of_calls(25e6));
        let line = |config: &Config, lines: &[Line]| monthly(config, &model).expect("a bill").sum(lines);
        let changed = |change: fn(&mut Config)| {
            let mut config = config.clone();
            change(&mut config);
            config
        };
        let alarms = changed(|config| config.alarms.edges = true);
        assert!(line(&alarms, &[Line::Alarms]) > line(&config, &[Line::Alarms]));
        let exact = changed(|config| config.usage.quiet_permille = 0);
        let ledger = [Line::LedgerWrites, Line::TableReads];
        assert!(line(&exact, &ledger) > line(&config, &ledger) + 3.0);
        let soon = changed(|config| config.usage.window_s = 60);
        assert!(line(&soon, &[Line::LedgerWrites]) > line(&config, &[Line::LedgerWrites]) + 1.0);
        let large = changed(|config| config.regions[0].runtime.memory_mb = 1_024);
        assert!(line(&large, &[Line::FunctionTime]) > line(&config, &[Line::FunctionTime]));
        let few = changed(|config| config.regions.truncate(5));
        let replicated = [Line::ReplicatedWrites];
        assert!(line(&few, &replicated) < line(&config, &replicated));
    }

    #[test]
    fn rows_add_up_to_the_bill() {
        let (config, model) = (test_config(), Model::of_calls(25e6));
        let prices = Prices::committed().expect("prices");
        let ours = monthly(&config, &model).expect("a bill");
        let of_2018 = priced_2018(&config, &model, &prices, Allowances::All).expect("a bill");
        assert!(of_2018.total() > 3.0 * ours.total());
        for by in [&[By::Line][..], &[By::Region], &[By::Line, By::Region], &[]] {
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
