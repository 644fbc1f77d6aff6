//! Checks the overshoot bound and the bill against simulations.

use std::sync::LazyLock;

use super::{CallSpread, LimitChange, Outage, Scenario, SimulationReport, run};
use crate::config::Config;
use crate::cost::{Bill, TrafficModel, monthly};
use crate::infra::stacks::test_config;

static CONFIG: LazyLock<Config> = LazyLock::new(test_config);
/// These tests read no figure of a report's bill, so they share one.
static BILL: LazyLock<Bill> =
    LazyLock::new(|| monthly(&CONFIG, &TrafficModel::typical(2e6)).expect("a bill"));
/// [`small`] without a change.
static USUAL: LazyLock<SimulationReport> = LazyLock::new(|| small(|_| ()));

fn simulate(calls: f64, change: impl Fn(&mut Scenario)) -> SimulationReport {
    let mut scenario = Scenario::typical(&CONFIG, calls);
    change(&mut scenario);
    scenario.check().expect("a sound scenario");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(run(&scenario, &BILL, &|_| ()))
}

/// A day with few API keys, to keep the test fast. Half of them reach their limit. Home learns of calls from the ledger only,
/// as if no early count arrived.
fn small(change: impl Fn(&mut Scenario)) -> SimulationReport {
    simulate(2e6, |scenario| {
        scenario.keys = 24;
        scenario.over_share = 0.5;
        scenario.early_counts = false;
        change(scenario);
    })
}

/// A burst of one API key over all regions, which uses up its limit within a minute; every call is decided by itself.
fn burst(seed: u64, change: impl Fn(&mut Scenario)) -> SimulationReport {
    let rate = [5.0, 20.0, 50.0, 120.0][usize::try_from(seed % 4).expect("few")];
    simulate(rate * 2_592_000.0, |scenario| {
        scenario.seed = seed;
        scenario.keyed_share = 1.0;
        scenario.keys = 1;
        scenario.over_share = 1.0;
        scenario.hours = 75.0 / 3_600.0;
        scenario.limit_s = 60.0;
        scenario.tick_min_s = 0.01;
        change(scenario);
    })
}

/// With AWS's lags, ten regions, an even spread or a move to another region every second: a limit holds everywhere within five
/// seconds, and few calls exceed it. In no run is a call refused that is within its limit.
#[test]
fn a_limit_holds_everywhere_within_seconds() {
    let mut worst = (0.0_f64, 0.0_f64);
    let seeds = std::env::var("IPGEO_BURSTS").ok().and_then(|count| count.parse().ok()).unwrap_or(BURSTS);
    for seed in 0..seeds {
        let report = burst(seed, |scenario| {
            scenario.spread = if seed % 8 < 4 { CallSpread::Even } else { CallSpread::Hopping };
        });
        assert_eq!((report.crossings, report.wrongly_refused), (1, 0), "seed {seed}");
        assert!(report.counted_exactly, "seed {seed}");
        for one in &report.each {
            let most = early_most(one.rate, one.limit, report.scenario.regions.len());
            let overshoot = f64::from(u32::try_from(one.overshoot).expect("few"));
            assert!(overshoot <= most, "seed {seed}: {overshoot} of {most}: {one:?}");
            assert!(one.enforced_s <= 5.0, "seed {seed}: {one:?}");
            worst = (worst.0.max(overshoot / most), worst.1.max(one.enforced_s));
        }
    }
    // A bound of many times the real overshoot would be useless.
    assert!(worst.0 > 0.3 && worst.1 > 1.0, "{worst:?}");
}

/// The runs of the test above; `.ci/run` makes 1,000.
const BURSTS: u64 = 200;

/// Five seconds of calls, one call for each environment, and 1 % of the limit.
fn early_most(rate: f64, limit: u64, environments: usize) -> f64 {
    let number = |count: u64| f64::from(u32::try_from(count).expect("few"));
    5.0 * rate + number(environments as u64) + number(limit) / 100.0
}

#[test]
fn early_counts_that_home_misses_are_made_up_for() {
    for seed in 0..40 {
        let outage = Outage { from_s: 4.0, for_s: 8.0 };
        let report = burst(seed, |scenario| scenario.home_loss = Some(outage));
        assert_eq!((report.crossings, report.wrongly_refused), (1, 0), "seed {seed}");
        for one in &report.each {
            let most = early_most(one.rate, one.limit, report.scenario.regions.len());
            let overshoot = f64::from(u32::try_from(one.overshoot).expect("few"));
            // A limit that is reached in the outage holds within the same time after it.
            let most = most + outage.for_s * one.rate;
            assert!(overshoot <= most && one.enforced_s <= outage.for_s + 5.0, "seed {seed}: {one:?}");
        }
    }
}

#[test]
fn early_counts_reduce_the_overshoot_of_a_day_and_replicate_little_more() {
    let without = &*USUAL;
    let with = small(|scenario| scenario.early_counts = true);
    assert!(
        10.0 * with.overshoot.mean < without.overshoot.mean,
        "{:?} {:?}",
        with.overshoot,
        without.overshoot
    );
    assert!((with.wrongly_refused, without.wrongly_refused) == (0, 0));
    assert!(with.bound_holds && with.counted_exactly && without.early_reports_a_month < 0.5);
    assert!(
        with.replicated_writes_a_month < 1.2 * without.replicated_writes_a_month,
        "{} {}",
        with.replicated_writes_a_month,
        without.replicated_writes_a_month
    );
}

#[test]
fn the_overshoot_is_at_most_rate_times_lag_under_every_failure() {
    type Change = Box<dyn Fn(&mut Scenario)>;
    let outage = |hour: f64, minutes: f64| Some(Outage { from_s: hour * 3_600.0, for_s: minutes * 60.0 });
    let table: [(&str, Change); 6] = [
        ("another seed", Box::new(|scenario| scenario.seed = 99)),
        ("a short window", Box::new(|scenario| scenario.pipeline.window_s = 30.0)),
        ("a slow log", Box::new(|scenario| scenario.pipeline.log_s = 900.0)),
        (
            "duplicates and redeliveries",
            Box::new(|scenario| (scenario.duplicates, scenario.redelivered) = (0.2, 0.3)),
        ),
        ("counting outage", Box::new(move |scenario| scenario.home_loss = outage(3.0, 30.0))),
        ("region outage", Box::new(move |scenario| scenario.region_loss = outage(3.0, 30.0))),
    ];
    let changed = table.into_iter().map(|(name, change)| (name, small(change)));
    for (name, report) in changed.chain([("no failures", USUAL.clone())]) {
        assert_eq!(report.crossings, 12, "{name}");
        assert!(report.overshoot.worst > 0.0, "{name}: no overshoot");
        assert!(report.bound_holds, "{name}: {:#?}", report.each);
        assert!(report.counted_exactly, "{name}: {report:#?}");
        for one in &report.each {
            // By chance more calls may arrive than expected: allow five standard deviations.
            let most = one.expected + 5.0 * one.expected.sqrt() + 5.0;
            let overshoot = f64::from(u32::try_from(one.overshoot).expect("few"));
            assert!(overshoot <= most, "{name}: {one:?}");
        }
    }
}

#[test]
fn a_lowered_limit_holds_within_the_same_lag() {
    // Lowered to a hundredth, every API key is beyond its new limit at once, without crossing a publication step.
    // Lowered to half, some reach it later.
    for (name, share, redelivered) in [("far beyond", 0.01, 0.0), ("reached later", 0.5, 0.3)] {
        let report = small(|scenario| {
            scenario.limit_change = Some(LimitChange { at_s: 8.0 * 3_600.0, share });
            scenario.redelivered = redelivered;
        });
        assert!(report.crossings > 12, "{name}: {}", report.crossings);
        assert!(report.bound_holds, "{name}: {:#?}", report.each);
        assert!(report.counted_exactly, "{name}");
    }
}

#[test]
fn a_raised_limit_applies_within_the_same_lag() {
    let usual = &*USUAL;
    let raised =
        small(|scenario| scenario.limit_change = Some(LimitChange { at_s: 8.0 * 3_600.0, share: 10.0 }));
    assert!(raised.allowed > usual.allowed && raised.bound_holds && raised.counted_exactly);
}

#[test]
fn the_bound_is_tight() {
    // A bound of ten times the real overshoot would be useless.
    let report = small(|scenario| scenario.redelivered = 0.0);
    assert!(report.bound_used > 0.5, "{}", report.bound_used);
    assert!(report.enforced_s.worst > 0.4 * report.lag_s, "{:?} of {}", report.enforced_s, report.lag_s);
}

#[test]
fn a_single_region_hardly_exceeds_a_limit() {
    // It counts its own calls at once, except those whose lines were overtaken by later ones.
    let (one, ten) = (small(|scenario| scenario.regions.truncate(1)), &*USUAL);
    assert_eq!((one.crossings, one.bound_holds), (12, true));
    assert!(10.0 * one.overshoot.mean < ten.overshoot.mean, "{:?} {:?}", one.overshoot, ten.overshoot);
}

#[test]
fn a_shorter_window_enforces_limits_sooner() {
    let late = small(|scenario| scenario.pipeline.window_s = 300.0);
    let soon = small(|scenario| scenario.pipeline.window_s = 10.0);
    assert!(soon.overshoot.mean < late.overshoot.mean, "{:?} {:?}", soon.overshoot, late.overshoot);
    assert!(soon.ledger_writes_a_month > late.ledger_writes_a_month);
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let once = small(|scenario| scenario.hours = 6.0);
    assert_eq!(once, small(|scenario| scenario.hours = 6.0));
    assert_ne!(once, small(|scenario| (scenario.hours, scenario.seed) = (6.0, 2)));
}

#[test]
fn ledger_writes_match_the_bill() {
    // The same traffic, in the bill and simulated. The bill has two pooled identities, the simulation one.
    let report = simulate(25e6, |scenario| {
        scenario.hours = 2.0;
        scenario.over_share = 0.0;
        (scenario.duplicates, scenario.redelivered) = (0.0, 0.0);
    });
    let bill = monthly(&CONFIG, &TrafficModel::typical(25e6)).expect("a bill");
    let ratio = report.ledger_writes_a_month / bill.ledger_writes;
    assert!((0.9..1.1).contains(&ratio), "{} of {}", report.ledger_writes_a_month, bill.ledger_writes);
}

#[test]
fn calls_that_are_decided_together_stay_within_the_bound() {
    let report = simulate(10e9, |scenario| {
        scenario.keys = 20;
        scenario.over_share = 0.5;
        scenario.decisions_max = 1e5;
    });
    assert!(report.tick_s > 100.0 && report.crossings == 10, "{report:#?}");
    assert!(report.bound_holds && report.counted_exactly, "{:#?}", report.each);
    assert!(report.requested > 250_000_000, "{}", report.requested);
}
