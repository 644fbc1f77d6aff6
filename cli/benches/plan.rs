//! Planning against the cloud in memory: from the text of `regions.toml` to the plan, without AWS's
//! response times. For a first deploy, without changes, and with a change of every function.

#![expect(clippy::print_stdout, reason = "what was measured is the point")]

#[path = "support/curve.rs"]
mod curve;
#[path = "support/file.rs"]
#[expect(dead_code, reason = "shared with benches that need more of it")]
mod file;
#[path = "support/median.rs"]
mod median;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use curve::{Curve, save};
use file::regions_toml;
use ipgeo::internals::config::{Config, PLACES, parse};
use ipgeo::internals::infra::cloud::{Ask, observe};
use ipgeo::internals::infra::deploy::{Event, ExecuteOptions, Sink, Stop, execute};
use ipgeo::internals::infra::plan::{ArtifactFile, Plan, PlanOptions, ProbeSpec, Scope, plan};
use ipgeo::internals::infra::stacks::{ArtifactRef, ArtifactSet};
use ipgeo_cli_testing::MemoryCloud;
use median::median;

const RUNS: usize = 25;

/// Discards events.
struct Silent;

impl Sink for Silent {
    fn emit(&self, _: u64, _: &Event) {}
}

fn artifacts() -> ArtifactSet {
    let zip = |folder: &str, digit: &str| ArtifactRef::new(folder, &digit.repeat(64));
    ArtifactSet {
        code: BTreeMap::from([("arm64", zip("code", "a"))]),
        geo: zip("geo", "b"),
        geo_description: "a database".to_owned(),
    }
}

fn options(config: &Config, artifacts: &ArtifactSet) -> PlanOptions {
    let file = |artifact: &ArtifactRef| ArtifactFile {
        artifact: artifact.clone(),
        file: PathBuf::from("an.zip"),
        bytes: 2_500_000,
    };
    let regions = config.regions.iter().map(|region| region.name.clone()).collect();
    PlanOptions {
        scope: Scope { regions, whole: true },
        allow_replace: BTreeSet::new(),
        recreate_failed: false,
        files: artifacts.code.values().chain([&artifacts.geo]).map(file).collect(),
        probe: ProbeSpec { address: "8.8.8.8".to_owned(), ..ProbeSpec::default() },
        follow: None,
        today: "2026-11-28".to_owned(),
    }
}

async fn planned(cloud: &MemoryCloud, text: &str, artifacts: &ArtifactSet) -> Plan {
    let config = parse("regions.toml", text).expect("a sound file");
    let observed = observe(cloud, &Ask::everywhere(&config, Some(artifacts))).await.expect("it can be read");
    let planned = plan(&config, artifacts, &observed, &options(&config, artifacts));
    planned.expect("nothing blocks it")
}

async fn measured(cloud: &MemoryCloud, text: &str, artifacts: &ArtifactSet) -> (Duration, usize) {
    let (mut times, mut steps) = (Vec::with_capacity(RUNS), 0);
    for _ in 0..RUNS {
        let begun = Instant::now();
        steps = planned(cloud, text, artifacts).await.steps().count();
        times.push(begun.elapsed());
    }
    (median(&mut times), steps)
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    println!("planning against the cloud in memory; medians of {RUNS} runs");
    println!("  regions  from nothing       nothing to do      every function changes");
    let artifacts = artifacts();
    let names = ["from nothing", "nothing to do", "every function changes"];
    let mut curves = names.map(|name| Curve { name, points: Vec::new(), spread: Vec::new() });
    for count in [1, 2, 5, 10, 20, PLACES.len()] {
        let text = regions_toml(count);
        let cloud = MemoryCloud::new(&parse("regions.toml", &text).expect("a sound file"));
        let mut measurements = vec![measured(&cloud, &text, &artifacts).await];
        let first = planned(&cloud, &text, &artifacts).await;
        let run =
            execute(&first, &cloud, ExecuteOptions { concurrency: 34 }, &Stop::default(), &Silent).await;
        assert_eq!(run.failures, []);
        measurements.push(measured(&cloud, &text, &artifacts).await);
        assert_eq!(measurements[1].1, 0, "the second plan is empty");
        measurements.push(measured(&cloud, &(text + "[runtime]\nmemory_mb = 512\n"), &artifacts).await);
        let cells: Vec<String> = measurements
            .iter()
            .map(|(time, steps)| format!("{:>5.1} ms {steps:>3} steps", time.as_secs_f64() * 1e3))
            .collect();
        println!("  {count:>7}  {}", cells.join("  "));
        let regions = f64::from(u32::try_from(count).expect("few"));
        for (curve, (time, _)) in curves.iter_mut().zip(&measurements) {
            curve.points.push((regions, time.as_secs_f64() * 1e3));
        }
    }
    let exponents = curves.each_ref().map(|curve| format!("{:.2} ({})", curve.exponent(), curve.name));
    println!("exponents: {}", exponents.join(", "));
    save("plan", "regions", &curves);
}
