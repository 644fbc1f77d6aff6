//! What a month costs, before it is run: a configuration, a stated traffic and committed prices make a bill.
//! Pure: no clock, no files, no AWS.
//!
//! `model` is the traffic; `design` reads what would be deployed from the rendered templates, `measure` the
//! sizes from the encoders; `traffic` is what that traffic makes the design do, by `occupancy`; `bill` prices
//! it by `prices`; `rows` is what is shown.

mod bill;
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
pub use model::{AddressClass, Model, Stated};
pub(crate) use occupancy::zipf;
pub use prices::{Item, Price, PriceError, Prices};
pub use rows::{By, Row, rows};

use crate::config::Config;
use crate::stacks::RenderError;
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
    use crate::stacks::test_config;

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
