//! Many worlds, each from its seed. `IPGEO_WORLD_SEED=17 cargo test -p ipgeo-world --test world -- one_seed --nocapture` runs one again.

#![expect(
    clippy::print_stderr,
    reason = "how much was simulated, and how to run a failure again, is the result"
)]

use std::time::{Duration, Instant};

use ipgeo_world::{Outcome, run};

fn print_outcome(outcome: &Outcome) {
    let scenario = &outcome.scenario;
    eprintln!("{scenario:#?}");
    for operation in &outcome.history.operations {
        eprintln!("{} ms: {}", operation.ms, operation.what);
    }
    let set = |name: &str| std::env::var(name).unwrap_or_default();
    for answer in &outcome.history.answers {
        if set("IPGEO_WORLD_CALLER") == answer.caller.to_string() {
            eprintln!("{answer:?}");
        }
    }
    for write in &outcome.history.access {
        if set("IPGEO_WORLD_ROW") == write.id {
            eprintln!("{write:?}");
        }
    }
    for violation in &outcome.violations {
        eprintln!("VIOLATION {violation}");
    }
}

#[test]
fn a_seed_has_one_history() {
    for seed in 0..6 {
        let [first, second] = [run(seed, None), run(seed, None)];
        assert_eq!(first.history.digest(), second.history.digest(), "seed {seed}");
    }
}

#[test]
fn one_seed() {
    let Ok(seed) = std::env::var("IPGEO_WORLD_SEED") else { return };
    let outcome = run(seed.parse().expect("a number"), None);
    print_outcome(&outcome);
    assert!(outcome.violations.is_empty());
}

/// What some worlds come to.
#[derive(Default)]
struct Sum {
    worlds: u64,
    hours: f64,
    answers: usize,
    failed: Vec<(u64, String)>,
}

/// Runs every other seed from `seed` on: so many, or until a time.
fn worlds(mut seed: u64, most: u64, until: Option<Instant>) -> Sum {
    let mut sum = Sum::default();
    let is_over = || until.is_some_and(|until| Instant::now() >= until);
    while sum.worlds < most && !is_over() && sum.failed.len() < 2 {
        let outcome = run(seed, None);
        sum.worlds += 1;
        sum.hours += outcome.hours();
        sum.answers += outcome.history.answers.len();
        sum.failed.extend(outcome.violations.into_iter().next().map(|violation| (seed, violation)));
        seed += 2;
    }
    sum
}

/// Sixteen worlds, or `IPGEO_WORLDS`; with `IPGEO_WORLD_SECONDS=600`, as many as there are in ten minutes. `IPGEO_WORLD_FROM` is
/// the first seed.
#[test]
fn every_world_keeps_its_promises() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let (began, from) = (Instant::now(), number("IPGEO_WORLD_FROM").unwrap_or(1_000));
    let until = number("IPGEO_WORLD_SECONDS").map(|seconds| began + Duration::from_secs(seconds));
    let most = number("IPGEO_WORLDS").unwrap_or(if until.is_some() { u64::MAX } else { 16 }) / 2;
    let threads = [0, 1].map(|thread| std::thread::spawn(move || worlds(from + thread, most, until)));
    let mut all = Sum::default();
    for sum in threads.map(|thread| thread.join().expect("no panic")) {
        all.worlds += sum.worlds;
        all.hours += sum.hours;
        all.answers += sum.answers;
        all.failed.extend(sum.failed);
    }
    let Sum { worlds, hours, answers, failed } = all;
    let took_s = began.elapsed().as_secs_f64();
    eprintln!(
        "{worlds} worlds, {hours:.0} simulated hours, {answers} answers, from seed {from} on; {took_s:.0} s"
    );
    for (seed, violation) in &failed {
        eprintln!(
            "IPGEO_WORLD_SEED={seed} cargo test -p ipgeo-world --test world -- one_seed --nocapture: {violation}"
        );
    }
    assert!(failed.is_empty(), "{} seeds", failed.len());
}
