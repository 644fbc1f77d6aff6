//! how long deploys take when every stack takes half a minute.

use std::time::Duration;

use tokio::time::Instant;

use ipgeo::internals::infra::plan::{Plan, WaveKind};
use ipgeo_cli_testing::harness::{File, TEN, carried_out, deployed, planned};
use ipgeo_cli_testing::{Latency, MemoryCloud};

const STACK: Duration = Duration::from_secs(30);

async fn timed(cloud: &MemoryCloud, plan: &Plan) -> f64 {
    cloud.set_latency(Latency { stack: STACK, other: Duration::from_millis(500) });
    let began = Instant::now();
    let run = carried_out(cloud, plan).await;
    assert_eq!(run.failures, []);
    began.elapsed().as_secs_f64()
}

/// Ten regions take what home, the canary and one more edge take, and a fifth at most on top.
#[tokio::test(start_paused = true)]
async fn ten_regions_take_as_long_as_home_the_canary_and_one_edge() {
    let file = File::with_regions(&TEN);
    let cloud = deployed(&file).await;
    // New limits change home; more memory changes every edge.
    let changed = file.with(|file| {
        file.memory_mb = 512;
        file.startup = "200_000/month".to_owned();
        // What is watched takes the time that is asked for.
        file.add = "[deploy]\nbake_s = 0\n".to_owned();
    });
    let plan = planned(&cloud, &changed).await.expect("a plan");
    let of = |kind| plan.steps().filter(|(wave, _)| *wave == kind).count();
    assert_eq!((of(WaveKind::Home), of(WaveKind::Canary), of(WaveKind::Edges)), (1, 1, 9));
    let took = timed(&cloud, &plan).await;
    assert!(took <= 1.2 * 3.0 * STACK.as_secs_f64(), "{took} s");
}

/// From nothing, home begins with its bucket: the counter's code must be in it before home's stack is made.
#[tokio::test(start_paused = true)]
async fn ten_regions_from_nothing_wait_for_homes_bucket_too() {
    let file = File::with_regions(&TEN);
    let cloud = MemoryCloud::new(&file.config());
    let plan = planned(&cloud, &file).await.expect("a plan");
    let took = timed(&cloud, &plan).await;
    let home = 2.0 * STACK.as_secs_f64();
    assert!(took <= 1.2 * (home + 2.0 * STACK.as_secs_f64()), "{took} s");
}

/// Fewer at once take longer: the figure above is that of regions that run together, not of a clock that stands.
#[tokio::test(start_paused = true)]
async fn one_region_after_the_other_takes_ten_times_as_long() {
    let file = File::with_regions(&TEN);
    let cloud = deployed(&file).await;
    let changed = file.with(|file| file.memory_mb = 512);
    let plan = planned(&cloud, &changed).await.expect("a plan");
    cloud.set_latency(Latency { stack: STACK, other: Duration::ZERO });
    let began = Instant::now();
    let options = ipgeo::internals::infra::deploy::ExecuteOptions { concurrency: 1 };
    let sink = ipgeo_cli_testing::harness::Kept::default();
    ipgeo::internals::infra::deploy::execute(
        &plan,
        &cloud,
        options,
        &ipgeo::internals::infra::deploy::Stop::default(),
        &sink,
    )
    .await;
    assert!(began.elapsed() >= 10 * STACK, "{:?}", began.elapsed());
}
