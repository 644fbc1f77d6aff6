//! Warns of short rates that can't be reached, or that make a limit unreachable.

use ipgeo_contract::{Limit, RateLimit, Window};

use super::check::Check;
use crate::config::Config;
use crate::ui::format::{decimal, float, grouped_limit};

/// The longest window of each kind.
const DAY_S: f64 = 86_400.0;
const MONTH_S: f64 = 31.0 * DAY_S;

/// Judges the rates in the file: of addresses, sites and tiers.
pub(super) fn short_rates(config: &Config, checks: &mut Vec<Check>) {
    let (anonymous, rates) = (config.tiers.anonymous, config.tiers.rates());
    let callers =
        [("an address", rates.address, anonymous.limit), ("a site", rates.site, anonymous.site_limit)];
    let callers = callers.into_iter().map(|(name, rate, limit)| (name.to_owned(), rate, limit));
    let tiers =
        config.tiers.paid.iter().map(|tier| (format!("tier {}", tier.name), tier.rate_limit(), tier.limit));
    for (name, rate, limit) in callers.chain(tiers) {
        let Some(rate) = rate else { continue };
        checks.extend(beyond_the_api(&name, rate, config));
        checks.extend(below_the_limit(&name, rate, limit));
    }
}

/// A rate or burst that the API itself throttles first.
fn beyond_the_api(name: &str, rate: RateLimit, config: &Config) -> Option<Check> {
    let region = config.regions.iter().find(|region| {
        rate.rate().per_second() > f64::from(region.runtime.throttle_rate)
            || rate.burst() > region.runtime.throttle_burst
    })?;
    let (api, burst) = (region.runtime.throttle_rate, region.runtime.throttle_burst);
    let found = format!(
        "{name} may call {}, but in {} the API accepts {api}/s, burst {burst}, of all callers together",
        rate.words(),
        region.name
    );
    Some(Check::warn(
        "rate",
        found,
        "lower the rate or burst, or raise `throttle_rate` and `throttle_burst` in regions.toml",
    ))
}

/// A rate that does not allow the limit's calls in a window.
fn below_the_limit(name: &str, rate: RateLimit, limit: Limit) -> Option<Check> {
    let window_s = match limit.window {
        Window::Day => DAY_S,
        Window::Month => MONTH_S,
    };
    let most = (rate.rate().per_second() * window_s).floor();
    let is_below = most + f64::from(rate.burst()) < float(limit.calls);
    let [limit, rate] = [limit.to_string(), rate.rate().to_string()].map(|text| grouped_limit(&text));
    let most = decimal(most, 0);
    let found = || format!("{name} can't reach its limit {limit}: its rate {rate} allows {most} calls");
    is_below.then(|| Check::warn("rate", found(), "raise the rate, or lower the limit"))
}

#[cfg(test)]
mod tests {
    use super::super::Mark;
    use super::*;
    use crate::infra::stacks::test_config;

    #[test]
    fn rates_that_have_no_effect_or_make_a_limit_unreachable_are_warned_of() {
        // (rate and burst of the first tier, its limit, parts of the warnings)
        let table: [(&str, Option<u32>, &str, &[&str]); 7] = [
            ("10/s", None, "100_000/month", &[]),
            ("500/s", Some(250), "1B/month", &[]),
            ("501/s", Some(250), "100_000/month", &["the API accepts 500/s, burst 250"]),
            ("10/s", Some(251), "100_000/month", &["may call 10/s, burst 251"]),
            ("1/min", None, "1442/day", &[]),
            (
                "1/min",
                None,
                "1443/day",
                &["can't reach its limit 1,443/day: its rate 1/min allows 1,440 calls"],
            ),
            ("600/s", None, "10B/month", &["the API accepts", "can't reach"]),
        ];
        for (rate, burst, limit, parts) in table {
            let mut config = test_config();
            let tier = &mut config.tiers.paid[0];
            (tier.rate, tier.burst) = (Some(rate.parse().expect("a rate")), burst);
            tier.limit = limit.parse().expect("a limit");
            let mut checks = Vec::new();
            short_rates(&config, &mut checks);
            assert_eq!(checks.len(), parts.len(), "{rate}: {checks:?}");
            for (check, part) in checks.iter().zip(parts) {
                let has_remedy = check.mark == Mark::Warn && check.remedy.is_some();
                assert!(has_remedy && check.found.contains(part), "{check:?}");
            }
        }
    }
}
