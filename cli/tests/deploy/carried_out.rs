//! What deploys leave, what is printed of them, and what rolls them back.

use std::collections::BTreeSet;
use std::time::Duration;

use ipgeo::internals::infra::cloud::{Probe as _, ProbeTarget};
use ipgeo::internals::infra::deploy::{DeployOutcome, Event, ExecuteOptions, Stop, execute};
use ipgeo::internals::infra::plan::{Action, Plan, ProbeSpec, Step, WaveKind, rollback, show};
use ipgeo::internals::infra::stacks::{ArtifactRef, StackKind};
use ipgeo_cli_testing::harness::{
    DOMAIN, FOUR, File, Goal, HOME, Kept, TEN, TOGETHER, carried_out, converge, deploy, deployed, finish,
    observed, planned, planned_destroy, planned_for, planned_with, set, test_artifacts,
};
use ipgeo_cli_testing::{FaultKind, InjectedFault, Latency, MemoryCloud};
use ipgeo_contract::RegionName;

pub(crate) fn break_at(cloud: &MemoryCloud, region: &str, step: &str, kind: FaultKind) {
    let (region, step) = (RegionName::new(region), step.to_owned());
    cloud.inject(InjectedFault { region, step, nth: 0, kind });
}

fn regions_of(plan: &Plan, wanted: impl Fn(&Step) -> bool) -> Vec<&str> {
    plan.steps().filter(|(_, step)| wanted(step)).map(|(_, step)| step.region.as_str()).collect()
}

fn changes_stack(step: &Step, wanted: StackKind) -> bool {
    matches!(&step.action, Action::Stack(stack) if stack.kind == wanted)
}

#[tokio::test(start_paused = true)]
async fn a_second_deploy_plans_nothing() {
    for has_domain in [true, false] {
        let file = File::with_regions(&TEN).with(|file| file.has_domain = has_domain);
        let cloud = deployed(&file).await;
        let again = planned(&cloud, &file).await.expect("a plan");
        assert_eq!(
            again,
            Plan {
                service: "ipgeo-prod".to_owned(),
                account: ipgeo_cli_testing::ACCOUNT.to_owned(),
                home: RegionName::new(HOME),
                ..Plan::default()
            }
        );
        let events = show(&again, false);
        assert_eq!((events.body.as_str(), events.last_line.contains("Nothing to do")), ("", true));
        for region in TEN {
            let target = ProbeTarget {
                region: RegionName::new(region),
                host: DOMAIN.to_owned(),
                connect: None,
                tls: true,
                api_key: None,
            };
            assert!(cloud.probe(&target, &ProbeSpec::default()).await.is_ok(), "{region}");
        }
        assert!(planned_for(&cloud, &file, &["eu-west-1"]).await.expect("a plan").is_empty());
        assert_eq!(cloud.log().effects, []);
    }
}

#[tokio::test(start_paused = true)]
async fn planning_and_observing_change_nothing() {
    let file = File::with_regions(&FOUR);
    let cloud = MemoryCloud::new(&file.config());
    planned(&cloud, &file).await.expect("a plan");
    planned_destroy(&cloud, &file, true).await.expect("a plan");
    let log = cloud.log();
    assert!(log.reads > 34, "every region is asked: {}", log.reads);
    assert_eq!((log.calls, log.effects), (vec![], vec![]));
    assert_eq!(cloud.picture(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn more_memory_changes_exactly_ten_functions_in_one_line() {
    let file = File::with_regions(&TEN);
    let cloud = deployed(&file).await;
    let plan = planned(&cloud, &file.with(|file| file.memory_mb = 512)).await.expect("a plan");
    let summary = plan.summary();
    assert_eq!((summary.add, summary.change, summary.replace, summary.remove), (0, 10, 0, 0));
    insta::assert_snapshot!("more_memory", text(&plan));
    finish(&cloud, &plan).await;
    assert_eq!(cloud.log().effects_of("").len(), 10);
}

pub(crate) fn text(plan: &Plan) -> String {
    let shown = show(plan, false);
    format!("{}\n{}", shown.body, shown.last_line)
}

#[tokio::test(start_paused = true)]
async fn plans_of_a_region_more_one_less_and_both() {
    let cloud = deployed(&File::with_regions(&FOUR)).await;
    let table: [(&str, &[&str]); 3] = [
        ("region_added", &["ap-south-1", HOME, "eu-west-1", "sa-east-1", "us-east-1"]),
        ("region_removed", &["ap-south-1", HOME, "sa-east-1"]),
        ("regions_swapped", &["ap-south-1", HOME, "eu-west-1", "sa-east-1"]),
    ];
    for (name, regions) in table {
        let (cloud, file) = (cloud.fork(), File::with_regions(regions));
        let plan = planned(&cloud, &file).await.expect("a plan");
        insta::assert_snapshot!(name, text(&plan));
        finish(&cloud, &plan).await;
        let fresh = deployed(&file).await;
        assert_eq!(cloud.picture(), fresh.picture(), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn regions_that_are_not_named_are_left_alone() {
    let file = File::with_regions(&FOUR);
    let cloud = deployed(&file).await;
    let changed = file.with(|file| {
        file.memory_mb = 512;
        file.startup = "1/day".to_owned();
        file.regions.insert(RegionName::new("eu-west-1"));
        file.regions.remove("us-east-1");
    });
    // Home is not named: nothing but the new edge's replica changes in it.
    let plan = planned_for(&cloud, &changed, &["eu-west-1", "sa-east-1"]).await.expect("a plan");
    insta::assert_snapshot!("some_regions", text(&plan));
    finish(&cloud, &plan).await;
    let config = changed.config();
    let seen = observed(&cloud, &config).await.expect("read");
    let replicas = set(&["ap-south-1", HOME, "eu-west-1", "sa-east-1", "us-east-1"]);
    assert_eq!(seen.replicas(&RegionName::new(HOME)), replicas);
    assert_eq!(seen.attached(), replicas);
    // The rest is still to be done, and is done.
    let rest = planned(&cloud, &changed).await.expect("a plan");
    assert_eq!(regions_of(&rest, |step| changes_stack(step, StackKind::Edge)), ["ap-south-1", HOME]);
    finish(&cloud, &rest).await;
    assert_eq!(cloud.picture(), deployed(&changed).await.picture());
}

#[tokio::test(start_paused = true)]
async fn a_first_deploy_of_one_region_makes_home_and_its_replica() {
    let file = File::with_regions(&FOUR);
    let cloud = MemoryCloud::new(&file.config());
    finish(&cloud, &planned_for(&cloud, &file, &["sa-east-1"]).await.expect("a plan")).await;
    let seen = observed(&cloud, &file.config()).await.expect("read");
    assert_eq!(seen.replicas(&RegionName::new(HOME)), set(&[HOME, "sa-east-1"]));
    assert_eq!(seen.attached(), set(&["sa-east-1"]));
    deploy(&cloud, &file).await;
    assert_eq!(cloud.picture(), deployed(&file).await.picture());
}

#[tokio::test(start_paused = true)]
async fn orphans_are_named_and_removed_by_a_deploy_of_everything_only() {
    let cloud = deployed(&File::with_regions(&FOUR)).await;
    let less = File::with_regions(&[HOME, "us-east-1"]);
    let some = planned_for(&cloud, &less, &["us-east-1"]).await.expect("a plan");
    assert!(some.is_empty());
    assert_eq!(
        some.notes,
        ["deployed and not in the file: ap-south-1, sa-east-1; a deploy of all regions removes them"]
    );
    let all = planned(&cloud, &less).await.expect("a plan");
    let removed = all.steps().filter(|(_, step)| matches!(step.action, Action::DeleteStack { .. }));
    let removed: BTreeSet<&str> = removed.map(|(_, step)| step.region.as_str()).collect();
    assert_eq!(removed, BTreeSet::from(["ap-south-1", "sa-east-1"]));
    let waves: Vec<WaveKind> = all.waves.iter().map(|wave| wave.wave).collect();
    assert_eq!(
        waves,
        [
            WaveKind::Records,
            WaveKind::Drain,
            WaveKind::RemoveEdges,
            WaveKind::RemoveReplicas,
            WaveKind::RemoveBuckets
        ]
    );
    finish(&cloud, &all).await;
    assert_eq!(cloud.picture(), deployed(&less).await.picture());
}

/// A region may be there in part only: whatever is left of it is found, and goes.
#[tokio::test(start_paused = true)]
async fn what_is_left_of_a_half_removed_region_goes_too() {
    let (four, less) = (File::with_regions(&FOUR), File::with_regions(&["ap-south-1", HOME, "sa-east-1"]));
    let cloud = deployed(&four).await;
    for (step, region) in
        [("remove edge stack", "us-east-1"), ("home stack", HOME), ("empty bucket", "us-east-1")]
    {
        let cloud = cloud.fork();
        break_at(&cloud, region, step, FaultKind::Refuse);
        let run = carried_out(&cloud, &planned(&cloud, &less).await.expect("a plan")).await;
        assert_eq!(run.outcome(), DeployOutcome::Failed, "{step}");
        assert_eq!(converge(&cloud, &Goal::Deploy(less.clone())).await, 1, "{step}");
        assert_eq!(cloud.picture(), deployed(&less).await.picture(), "{step}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_edge_that_is_gone_is_made_again_and_its_records_follow() {
    let file = File::with_regions(&FOUR);
    let cloud = deployed(&file).await;
    // Somebody has deleted the stack by hand; replica, bucket and records are still there.
    let name = "ipgeo-prod-edge".to_owned();
    let step = Action::DeleteStack { kind: StackKind::Edge, name, before: None };
    let gone = Plan { waves: vec![], ..planned(&cloud, &file).await.expect("a plan") };
    let wave = ipgeo::internals::infra::plan::Wave {
        wave: WaveKind::RemoveEdges,
        steps: vec![Step::new(&ipgeo_contract::RegionName::new("sa-east-1"), step)],
    };
    carried_out(&cloud, &Plan { waves: vec![wave], ..gone }).await;
    cloud.clear_log();
    let plan = planned(&cloud, &file).await.expect("a plan");
    assert_eq!(regions_of(&plan, |step| changes_stack(step, StackKind::Home)), Vec::<&str>::new());
    finish(&cloud, &plan).await;
    assert_eq!(cloud.log().effects_of("attach").len(), 2);
    assert_eq!(cloud.picture(), deployed(&file).await.picture());
}

#[tokio::test(start_paused = true)]
async fn siblings_finish_and_the_next_wave_does_not_begin() {
    let file = File::with_regions(&FOUR);
    let cloud = MemoryCloud::new(&file.config());
    break_at(&cloud, "sa-east-1", "edge stack", FaultKind::Fail);
    let plan = planned(&cloud, &file).await.expect("a plan");
    let run = carried_out(&cloud, &plan).await;
    assert_eq!(cloud.log().effects_of("create edge").len(), 3);
    assert_eq!(cloud.log().effects_of("attach"), Vec::<String>::new());
    insta::assert_snapshot!("one_edge_failed", run.report(&plan, "ipgeo deploy --yes"));
    assert_eq!(converge(&cloud, &Goal::Deploy(file)).await, 1);
}

#[tokio::test(start_paused = true)]
async fn missing_code_is_reported_as_the_root_cause() {
    let file = File::with_regions(&FOUR);
    let cloud = MemoryCloud::new(&file.config());
    let mut plan = planned(&cloud, &file).await.expect("a plan");
    plan.waves.retain(|wave| wave.wave != WaveKind::Copy);
    let run = carried_out(&cloud, &plan).await;
    // The canary lacks what home's bucket has, and the others are not begun.
    let causes: BTreeSet<&str> =
        run.failures.iter().filter_map(|failure| failure.error.resource.as_deref()).collect();
    assert_eq!(causes, BTreeSet::from(["GeoLayer (AWS::Lambda::LayerVersion)"]));
    assert_eq!(run.failures.len(), 1);
    assert!(run.report(&plan, "x").contains("NoSuchKey"));
}

#[tokio::test(start_paused = true)]
async fn the_canary_goes_first_and_its_probe_halts_the_deploy() {
    let file = File::with_regions(&FOUR);
    let cloud = deployed(&file).await;
    // The database's digest is that of new code too: a deploy of code that answers nothing.
    let changed = file.with(|file| file.memory_mb = 512);
    cloud.set_unhealthy("ap-south-1", Some("/health: 502 Bad Gateway"));
    let plan = planned(&cloud, &changed).await.expect("a plan");
    let run = carried_out(&cloud, &plan).await;
    assert_eq!(run.outcome(), DeployOutcome::Halted);
    assert_eq!(cloud.log().effects.len(), 1, "the canary alone was changed");
    insta::assert_snapshot!("canary_halted", run.report(&plan, "ipgeo deploy"));
    // A second try harms no second region.
    let again = planned(&cloud, &changed).await.expect("a plan");
    assert_eq!(carried_out(&cloud, &again).await.outcome(), DeployOutcome::Halted);
    assert_eq!(cloud.log().effects.len(), 1);
    cloud.set_unhealthy("ap-south-1", None);
    assert_eq!(converge(&cloud, &Goal::Deploy(changed)).await, 1);
}

#[tokio::test(start_paused = true)]
async fn records_lead_only_to_edges_that_have_answered() {
    let file = File::with_regions(&FOUR);
    let cloud = MemoryCloud::new(&file.config());
    cloud.set_unhealthy("us-east-1", Some("a wrong answer"));
    let run = carried_out(&cloud, &planned(&cloud, &file).await.expect("a plan")).await;
    assert_eq!(run.outcome(), DeployOutcome::Halted);
    assert_eq!(observed(&cloud, &file.config()).await.expect("read").attached(), set(&[]));
    cloud.set_unhealthy("us-east-1", None);
    // What is missing is asked again before it is routed.
    let rest = planned(&cloud, &file).await.expect("a plan");
    let probed = regions_of(&rest, |step| matches!(step.action, Action::Probe(_)));
    assert_eq!(probed.len(), 4);
    finish(&cloud, &rest).await;
}

#[tokio::test(start_paused = true)]
async fn who_stops_a_deploy_lets_what_is_under_way_finish() {
    let file = File::with_regions(&FOUR);
    let cloud = MemoryCloud::new(&file.config());
    cloud.set_latency(Latency { stack: Duration::from_secs(30), other: Duration::from_secs(1) });
    let plan = planned(&cloud, &file).await.expect("a plan");
    // In the buckets, in home's stack, in the canary, in the edges, and in an upload.
    for (after_ms, begun) in [(5_000, 4), (40_000, 13), (80_000, 15), (110_000, 19), (30_500, 5)] {
        let (cloud, stop, events) = (cloud.fork(), Stop::default(), Kept::default());
        let run = async { execute(&plan, &cloud, TOGETHER, &stop, &events).await };
        let stopping = async {
            tokio::time::sleep(Duration::from_millis(after_ms)).await;
            stop.stop();
        };
        let (run, ()) = futures_util::join!(run, stopping);
        assert_eq!((run.outcome(), run.failures.len()), (DeployOutcome::Interrupted, 0), "{after_ms}");
        assert_eq!(run.done.len(), begun, "{after_ms}");
        assert_eq!(cloud.log().calls.len(), begun, "nothing more was asked for");
        assert!(run.report(&plan, "ipgeo deploy").contains("nothing is half done"));
        let all = events.0.into_inner().expect("events");
        assert!(matches!(all.last(), Some((_, Event::Finished { outcome: "interrupted", .. }))));
        assert_eq!(converge(&cloud, &Goal::Deploy(file.clone())).await, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_resolvers_is_cut_short_and_waited_again() {
    let less = File::with_regions(&["ap-south-1", HOME, "sa-east-1"]);
    let cloud = deployed(&File::with_regions(&FOUR)).await;
    let plan = planned(&cloud, &less).await.expect("a plan");
    let stop = Stop::default();
    let events = Kept::default();
    let run = async { execute(&plan, &cloud, TOGETHER, &stop, &events).await };
    let stopping = async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        stop.stop();
    };
    let (run, ()) = futures_util::join!(run, stopping);
    assert_eq!(run.outcome(), DeployOutcome::Interrupted);
    // The records have gone; callers may still come.
    let rest = planned(&cloud, &less).await.expect("a plan");
    assert_eq!(rest.waves[0].wave, WaveKind::Drain);
    finish(&cloud, &rest).await;
}

#[tokio::test(start_paused = true)]
async fn aws_is_given_time_when_it_asks_for_it() {
    let file = File::with_regions(&FOUR);
    let cloud = MemoryCloud::new(&file.config());
    let plan = planned(&cloud, &file).await.expect("a plan");
    for (times, outcome, waited_s) in
        [(1, DeployOutcome::Done, 2), (5, DeployOutcome::Done, 62), (9, DeployOutcome::Failed, 126)]
    {
        let cloud = cloud.fork();
        break_at(&cloud, "sa-east-1", "edge stack", FaultKind::Throttle(times));
        let began = tokio::time::Instant::now();
        let run = carried_out(&cloud, &plan).await;
        assert_eq!((run.outcome(), began.elapsed().as_secs()), (outcome, waited_s), "{times}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rollback_returns_every_region_that_was_touched() {
    let before = File::with_regions(&[HOME, "us-east-1", "us-west-2"]);
    let after = File::with_regions(&FOUR).with(|file| {
        file.memory_mb = 512;
        file.regions.insert(RegionName::new("us-west-2"));
        file.startup = "2/day".to_owned();
    });
    let cloud = deployed(&before).await;
    let picture = cloud.picture();
    let table = [
        ("us-east-1", "edge stack", FaultKind::Fail),
        ("us-east-1", "edge stack", FaultKind::LoseAnswer),
        ("sa-east-1", "edge stack", FaultKind::Fail),
        ("sa-east-1", "edge stack", FaultKind::LoseAnswer),
        ("us-west-2", "probe", FaultKind::Refuse),
        (HOME, "probe", FaultKind::Refuse),
        (HOME, "records", FaultKind::LoseAnswer),
        ("ap-south-1", "copy geo 99999999", FaultKind::Refuse),
    ];
    for (region, step, kind) in table {
        let cloud = cloud.fork();
        break_at(&cloud, region, step, kind);
        let plan = planned(&cloud, &after).await.expect("a plan");
        let run = carried_out(&cloud, &plan).await;
        assert_ne!(run.outcome(), DeployOutcome::Done, "{step}");
        let back = rollback(&plan, &run.done, &run.failed);
        finish(&cloud, &back).await;
        // Buckets and what was copied into them stay; so do edges' log groups in none.
        let left: Vec<String> = cloud
            .picture()
            .into_iter()
            .filter(|line| !line.contains("artifacts") && !line.starts_with("bucket"))
            .collect();
        let wanted: Vec<String> = picture
            .iter()
            .filter(|line| !line.contains("artifacts") && !line.starts_with("bucket"))
            .cloned()
            .collect();
        assert_eq!(left, wanted, "{region} {step} {kind:?}");
        assert_eq!(converge(&cloud, &Goal::Deploy(after.clone())).await, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_rollback_shows_what_it_returns() {
    let cloud = deployed(&File::with_regions(&[HOME, "us-east-1"])).await;
    let after = File::with_regions(&FOUR).with(|file| file.memory_mb = 512);
    break_at(&cloud, "sa-east-1", "probe", FaultKind::Refuse);
    let plan = planned(&cloud, &after).await.expect("a plan");
    let run = carried_out(&cloud, &plan).await;
    insta::assert_snapshot!("rollback", text(&rollback(&plan, &run.done, &run.failed)));
}

/// Once regions are being removed, all that was brought up has answered.
#[tokio::test(start_paused = true)]
async fn a_rollback_returns_nothing_once_regions_have_begun_to_go() {
    let cloud = deployed(&File::with_regions(&FOUR)).await;
    break_at(&cloud, HOME, "home stack", FaultKind::Fail);
    let less = File::with_regions(&["ap-south-1", HOME, "sa-east-1"]).with(|file| file.memory_mb = 512);
    let plan = planned(&cloud, &less).await.expect("a plan");
    let run = carried_out(&cloud, &plan).await;
    let back = rollback(&plan, &run.done, &run.failed);
    assert!(back.is_empty());
    assert!(back.notes[0].starts_with("nothing to roll back"), "{:?}", back.notes);
    assert_eq!(converge(&cloud, &Goal::Deploy(less)).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_new_artifact_is_uploaded_once_and_copied_by_the_cloud() {
    let file = File::with_regions(&FOUR);
    let cloud = MemoryCloud::new(&file.config());
    deploy(&cloud, &file).await;
    let log = cloud.log();
    assert_eq!(log.effects_of("upload").len(), 2);
    assert!(log.effects_of("upload").iter().all(|effect| effect.starts_with(HOME)));
    assert_eq!(log.effects_of("copy").len(), 2 * 3);
    assert_eq!(log.repeated(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn bad_code_reaches_the_canary_alone() {
    let file = File::with_regions(&FOUR);
    let cloud = MemoryCloud::new(&file.config());
    let code: &ArtifactRef = &test_artifacts().code["arm64"];
    cloud.set_bad_code(&code.digest);
    let run = carried_out(&cloud, &planned(&cloud, &file).await.expect("a plan")).await;
    assert_eq!(run.outcome(), DeployOutcome::Halted);
    assert_eq!(cloud.log().effects_of("create edge").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn api_keys_of_a_tier_follow_its_limit() {
    let file = File::with_regions(&FOUR);
    let cloud = deployed(&file).await;
    cloud.set_api_keys("startup", "100000/month", 3);
    let changed = file.with(|file| file.startup = "200_000/month".to_owned());
    let plan = planned(&cloud, &changed).await.expect("a plan");
    insta::assert_snapshot!("tier", text(&plan));
    finish(&cloud, &plan).await;
    let limits = observed(&cloud, &changed.config()).await.expect("read").access.expect("a table").limits;
    assert_eq!(limits.into_iter().collect::<Vec<_>>(), [(("startup".into(), "200000/month".into()), 3)]);
    assert!(planned(&cloud, &changed).await.expect("a plan").is_empty());
}

#[tokio::test(start_paused = true)]
async fn events_tell_everything_in_order() {
    let file = File::with_regions(&[HOME]).with(|file| file.has_domain = false);
    let cloud = MemoryCloud::new(&file.config());
    cloud.set_latency(Latency { stack: Duration::from_secs(30), other: Duration::from_secs(1) });
    let plan = planned(&cloud, &file).await.expect("a plan");
    let events = Kept::default();
    execute(&plan, &cloud, ExecuteOptions { concurrency: 4 }, &Stop::default(), &events).await;
    let lines: Vec<String> = events
        .0
        .into_inner()
        .expect("events")
        .iter()
        .map(|(at_ms, event)| {
            let events = ipgeo::internals::infra::deploy::EventLine {
                schema: ipgeo::internals::infra::deploy::SCHEMA,
                at_ms: *at_ms,
                event,
            };
            serde_json::to_string(&events).expect("JSON")
        })
        .collect();
    insta::assert_snapshot!("events", lines.join("\n"));
}

#[tokio::test(start_paused = true)]
async fn a_stack_whose_creation_failed_is_recreated_on_request() {
    let file = File::with_regions(&FOUR);
    let cloud = MemoryCloud::new(&file.config());
    cloud.set_failed_creations_deleted(false);
    break_at(&cloud, "sa-east-1", "edge stack", FaultKind::Fail);
    carried_out(&cloud, &planned(&cloud, &file).await.expect("a plan")).await;
    let faults = planned(&cloud, &file).await.expect_err("ROLLBACK_COMPLETE");
    assert!(faults[0].remedy.contains("--recreate-failed"), "{faults:?}");
    let plan = planned_with(&cloud, &file, |options| options.recreate_failed = true).await.expect("a plan");
    assert!(text(&plan).contains("replacing one whose creation failed"));
    finish(&cloud, &plan).await;
    assert!(planned(&cloud, &file).await.expect("a plan").is_empty());
}
