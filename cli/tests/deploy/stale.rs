//! What a step does when somebody else has changed what its plan has seen.

use std::collections::BTreeSet;

use ipgeo::internals::infra::deploy::{DeployOutcome, Run};
use ipgeo::internals::infra::plan::{Plan, TrafficChange, TrafficError, drain_or_attach, rollback};
use ipgeo_cli_testing::MemoryCloud;
use ipgeo_cli_testing::harness::{
    FOUR, File, HOME, carried_out, deploy, deployed, finish, observed, planned, planned_destroy, set,
};
use ipgeo_contract::RegionName;

/// The reasons of a run's stale steps; every failure must be one.
fn reasons(run: &Run) -> BTreeSet<String> {
    assert!(run.failures.iter().all(|failure| failure.error.stale), "{:?}", run.failures);
    assert!(run.failures.iter().all(|failure| {
        failure.error.remedy.as_deref().is_some_and(|remedy| remedy.contains("run `ipgeo plan` again"))
    }));
    run.failures.iter().map(|failure| format!("{}: {}", failure.region, failure.error)).collect()
}

/// Carries out a plan that was overtaken: it fails and changes nothing.
async fn overtaken(cloud: &MemoryCloud, plan: &Plan) -> Run {
    cloud.clear_log();
    let picture = cloud.picture();
    let run = carried_out(cloud, plan).await;
    assert_eq!(run.outcome(), DeployOutcome::Failed);
    assert_eq!(cloud.log().effects, []);
    assert_eq!(cloud.picture(), picture);
    // Nor does a rollback revert what others have done.
    finish(cloud, &rollback(plan, &run.changed, &run.failed)).await;
    assert_eq!(cloud.picture(), picture);
    run
}

#[tokio::test(start_paused = true)]
async fn a_change_of_somebody_else_is_not_reverted() {
    let file = File::with_regions(&FOUR);
    let cloud = deployed(&file).await;
    let mine = planned(&cloud, &file.with(|file| file.memory_mb = 512)).await.expect("a plan");
    let theirs = file.with(|file| file.memory_mb = 1024);
    deploy(&cloud, &theirs).await;
    let run = overtaken(&cloud, &mine).await;
    let found = reasons(&run).into_iter().collect::<Vec<_>>().join("\n");
    let expected = "the edge stack was changed since this was planned: LookupFunction (MemorySize)";
    assert!(found.contains(expected), "{found}");
    insta::assert_snapshot!("stale", run.report(&mine, "ipgeo deploy"));
    // After a new plan it goes.
    finish(&cloud, &planned(&cloud, &file.with(|file| file.memory_mb = 512)).await.expect("a plan")).await;
}

#[tokio::test(start_paused = true)]
async fn a_plan_may_be_carried_out_twice_or_by_somebody_else() {
    let file = File::with_regions(&FOUR);
    let cloud = deployed(&file).await;
    let more = file.with(|file| {
        file.memory_mb = 512;
        file.regions.insert(RegionName::new("us-west-2"));
        file.regions.remove("us-east-1");
    });
    let plan = planned(&cloud, &more).await.expect("a plan");
    finish(&cloud, &plan).await;
    let picture = cloud.picture();
    // Home's stack goes through several templates, so only a plan without replicas can be repeated as it is.
    let same = file.with(|file| file.memory_mb = 1024);
    let cloud = deployed(&file).await;
    let plan = planned(&cloud, &same).await.expect("a plan");
    for _ in 0..2 {
        finish(&cloud, &plan).await;
    }
    deploy(&cloud, &more).await;
    assert_eq!(cloud.picture(), picture);
}

#[tokio::test(start_paused = true)]
async fn stacks_that_came_or_went_since_the_plan_stay_so() {
    let (few, four) = (File::with_regions(&["ap-south-1", HOME, "sa-east-1"]), File::with_regions(&FOUR));
    let cloud = deployed(&few).await;
    let mut new = planned(&cloud, &four.with(|file| file.memory_mb = 512)).await.expect("a plan");
    deploy(&cloud, &four).await;
    new.waves.retain(|wave| wave.wave.title() == "edges");
    new.waves[0].steps.retain(|step| step.region == "us-east-1");
    let run = overtaken(&cloud, &new).await;
    assert_eq!(
        reasons(&run),
        BTreeSet::from(["us-east-1: the edge stack was created since this was planned".to_owned()])
    );
    // Somebody changes the service while another operator is about to delete it, or a region of it.
    let destroy = planned_destroy(&cloud, &four, false).await.expect("a plan");
    let less = planned(&cloud, &few).await.expect("a plan");
    let change = planned(&cloud, &four.with(|file| file.memory_mb = 512)).await.expect("a plan");
    deploy(&cloud, &four.with(|file| file.memory_mb = 1024)).await;
    for plan in [destroy, less] {
        let cloud = cloud.fork();
        let run = carried_out(&cloud, &plan).await;
        let found = reasons(&run).into_iter().collect::<Vec<_>>().join("\n");
        assert!(found.contains("the edge stack was changed since this was planned"), "{found}");
        assert_eq!(cloud.log().effects_of("delete"), Vec::<String>::new());
    }
    // It is deleted while another operator is about to change it.
    finish(&cloud, &planned_destroy(&cloud, &four, false).await.expect("a plan")).await;
    let run = overtaken(&cloud, &change).await;
    assert!(reasons(&run).iter().any(|why| why.contains("was deleted since this was planned")));
}

#[tokio::test(start_paused = true)]
async fn drains_of_two_operators_both_stay() {
    let file = File::with_regions(&FOUR);
    let (cloud, config) = (deployed(&file).await, file.config());
    let all = set(&FOUR);
    let plan = async |cloud: &MemoryCloud, change, region: &str| -> Result<Plan, TrafficError> {
        let seen = observed(cloud, &config).await.expect("read");
        drain_or_attach(&config, &seen, change, region, &all, false)
    };
    let drained = async |cloud: &MemoryCloud| {
        let seen = observed(cloud, &config).await.expect("read");
        (seen.attached(), seen.zone.expect("a zone").drained)
    };
    let (first, second) = (
        plan(&cloud, TrafficChange::Drain, "sa-east-1").await.expect("a plan"),
        plan(&cloud, TrafficChange::Drain, "us-east-1").await.expect("a plan"),
    );
    finish(&cloud, &first).await;
    finish(&cloud, &second).await;
    let gone = set(&["sa-east-1", "us-east-1"]);
    assert_eq!(drained(&cloud).await, (set(&["ap-south-1", HOME]), gone));
    // One attaches a region, the other drains one.
    let (attach, drain) = (
        plan(&cloud, TrafficChange::Attach, "sa-east-1").await.expect("a plan"),
        plan(&cloud, TrafficChange::Drain, "ap-south-1").await.expect("a plan"),
    );
    finish(&cloud, &attach).await;
    finish(&cloud, &drain).await;
    assert_eq!(drained(&cloud).await, (set(&[HOME, "sa-east-1"]), set(&["ap-south-1", "us-east-1"])));
    // Two operators drain the last two regions: the domain leads somewhere all the same.
    let (home, other) = (
        plan(&cloud, TrafficChange::Drain, HOME).await.expect("a plan"),
        plan(&cloud, TrafficChange::Drain, "sa-east-1").await.expect("a plan"),
    );
    finish(&cloud, &home).await;
    let run = overtaken(&cloud, &other).await;
    assert!(reasons(&run).iter().all(|why| why.contains("it would lead nowhere")), "{:?}", reasons(&run));
}

#[tokio::test(start_paused = true)]
async fn a_region_that_was_drained_since_the_plan_is_not_attached() {
    let file = File::with_regions(&["ap-south-1", HOME, "sa-east-1"]);
    let (cloud, config) = (deployed(&file).await, file.config());
    let more = File::with_regions(&FOUR);
    let deploy = planned(&cloud, &more).await.expect("a plan");
    let seen = observed(&cloud, &config).await.expect("read");
    let more = more.config();
    let drain =
        |region: &str| drain_or_attach(&more, &seen, TrafficChange::Drain, region, &set(&FOUR), false);
    // A drain of a region that the deploy does not attach is kept.
    finish(&cloud, &drain("sa-east-1").expect("a plan")).await;
    let other = cloud.fork();
    finish(&other, &deploy).await;
    let zone = observed(&other, &config).await.expect("read").zone.expect("a zone");
    assert_eq!(zone.drained, set(&["sa-east-1"]));
    finish(&cloud, &drain("us-east-1").expect("a plan")).await;
    let run = carried_out(&cloud, &deploy).await;
    let why = format!("{HOME}: us-east-1 was drained since this was planned");
    assert_eq!(reasons(&run), BTreeSet::from([why]));
    assert_eq!(observed(&cloud, &config).await.expect("read").attached(), set(&["ap-south-1", HOME]));
}
