//! The formula against the simulation, and the simulation against itself.

use super::{LimitChange, Outage, Outcome, Scenario, run};
use crate::infra::stacks::test_config;

fn simulate(calls: f64, change: impl Fn(&mut Scenario)) -> Outcome {
    let config = test_config();
    let mut scenario = Scenario::of(&config, calls);
    change(&mut scenario);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(run(&scenario, &config)).expect("an outcome")
}

/// A day of few API keys: what a test has time for. Half of them reach their limit.
fn small(change: impl Fn(&mut Scenario)) -> Outcome {
    simulate(2e6, |scenario| {
        scenario.keys = 24;
        scenario.over_share = 0.5;
        change(scenario);
    })
}

#[test]
fn nobody_gets_more_than_rate_times_lag_whatever_goes_wrong() {
    type Change = Box<dyn Fn(&mut Scenario)>;
    let away = |hour: f64, minutes: f64| Some(Outage { from_s: hour * 3_600.0, for_s: minutes * 60.0 });
    let table: [(&str, Change); 7] = [
        ("as usual", Box::new(|_| ())),
        ("another seed", Box::new(|scenario| scenario.seed = 99)),
        ("a short window", Box::new(|scenario| scenario.pipeline.window_s = 30.0)),
        ("a slow log", Box::new(|scenario| scenario.pipeline.log_s = 900.0)),
        ("twice and again", Box::new(|scenario| (scenario.duplicates, scenario.redelivered) = (0.2, 0.3))),
        ("home away", Box::new(move |scenario| scenario.home_loss = away(3.0, 30.0))),
        ("a region away", Box::new(move |scenario| scenario.region_loss = away(3.0, 30.0))),
    ];
    for (name, change) in table {
        let outcome = small(change);
        assert_eq!(outcome.crossings, 12, "{name}");
        assert!(outcome.overshoot.worst > 0.0, "{name}: nobody was beyond a limit");
        assert!(outcome.bound_holds, "{name}: {:#?}", outcome.each);
        assert!(outcome.counted_exactly, "{name}: {outcome:#?}");
        for one in &outcome.each {
            // The formula before the fact: by chance more may come, five deviations at most.
            let most = one.expected + 5.0 * one.expected.sqrt() + 5.0;
            let overshoot = f64::from(u32::try_from(one.overshoot).expect("few"));
            assert!(overshoot <= most, "{name}: {one:?}");
        }
    }
}

#[test]
fn a_lowered_limit_holds_within_the_same_lag() {
    // From 60 % of its day's calls to a hundredth: every API key is beyond its new limit when it is changed, and none has
    // crossed a step of it. Then to half, which some reach later on.
    for (name, share, redelivered) in [("far beyond", 0.01, 0.0), ("later on", 0.5, 0.3)] {
        let outcome = small(|scenario| {
            scenario.limit_change = Some(LimitChange { at_s: 8.0 * 3_600.0, share });
            scenario.redelivered = redelivered;
        });
        assert!(outcome.crossings > 12, "{name}: {}", outcome.crossings);
        assert!(outcome.bound_holds, "{name}: {:#?}", outcome.each);
        assert!(outcome.counted_exactly, "{name}");
    }
}

#[test]
fn a_raised_limit_is_known_within_the_same_lag() {
    let usual = small(|_| ());
    let raised =
        small(|scenario| scenario.limit_change = Some(LimitChange { at_s: 8.0 * 3_600.0, share: 10.0 }));
    assert!(raised.allowed > usual.allowed && raised.bound_holds && raised.counted_exactly);
}

#[test]
fn the_formula_is_not_far_from_what_happens() {
    // Were it ten times what happens, it would say nothing.
    let outcome = small(|scenario| scenario.redelivered = 0.0);
    assert!(outcome.bound_used > 0.5, "{}", outcome.bound_used);
    assert!(outcome.enforced_s.worst > 0.4 * outcome.lag_s, "{:?} of {}", outcome.enforced_s, outcome.lag_s);
}

#[test]
fn one_region_alone_is_hardly_beyond_a_limit() {
    // It counts its own calls at once, but for those whose lines a later line has overtaken.
    let (one, ten) = (small(|scenario| scenario.regions.truncate(1)), small(|_| ()));
    assert_eq!((one.crossings, one.bound_holds), (12, true));
    assert!(10.0 * one.overshoot.mean < ten.overshoot.mean, "{:?} {:?}", one.overshoot, ten.overshoot);
}

#[test]
fn a_shorter_window_holds_limits_sooner() {
    let late = small(|scenario| scenario.pipeline.window_s = 300.0);
    let soon = small(|scenario| scenario.pipeline.window_s = 10.0);
    assert!(soon.overshoot.mean < late.overshoot.mean, "{:?} {:?}", soon.overshoot, late.overshoot);
    assert!(soon.ledger_writes_a_month > late.ledger_writes_a_month);
}

#[test]
fn a_seed_is_a_run() {
    let once = small(|scenario| scenario.hours = 6.0);
    assert_eq!(once, small(|scenario| scenario.hours = 6.0));
    assert_ne!(once, small(|scenario| (scenario.hours, scenario.seed) = (6.0, 2)));
}

#[test]
fn writes_are_as_many_as_the_bill_reckons() {
    // The same traffic by the formula of the bill and by simulation; the crowd is one identity there, two here.
    let outcome = simulate(25e6, |scenario| {
        scenario.hours = 2.0;
        scenario.over_share = 0.0;
        (scenario.duplicates, scenario.redelivered) = (0.0, 0.0);
    });
    let model = crate::cost::Model::of_calls(25e6);
    let bill = crate::cost::monthly(&test_config(), &model).expect("a bill");
    let off = outcome.ledger_writes_a_month / bill.ledger_writes;
    assert!((0.9..1.1).contains(&off), "{} of {}", outcome.ledger_writes_a_month, bill.ledger_writes);
}

#[test]
fn many_calls_are_decided_together_and_still_within_the_formula() {
    let outcome = simulate(10e9, |scenario| {
        scenario.keys = 20;
        scenario.over_share = 0.5;
        scenario.decisions_max = 1e5;
    });
    assert!(outcome.tick_s > 100.0 && outcome.crossings == 10, "{outcome:#?}");
    assert!(outcome.bound_holds && outcome.counted_exactly, "{:#?}", outcome.each);
    assert!(outcome.asked > 250_000_000, "{}", outcome.asked);
}
