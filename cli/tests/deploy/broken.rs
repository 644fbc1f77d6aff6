//! every step of a deploy broken in every way. Whatever fails, the report is true, another
//! run comes to the same end, nothing is done twice, and nothing is asked for that AWS refuses.

use std::time::Duration;

use ipgeo::internals::infra::deploy::{DeployOutcome, Run};
use ipgeo::internals::infra::plan::{Action, Plan, WaveKind};
use ipgeo_cli_testing::harness::{
    DOMAIN, FOUR, File, Goal, HOME, carried_out_or_killed, converge, deployed, finish,
};
use ipgeo_cli_testing::{FaultKind, InjectedFault, Latency, MemoryCloud};
use ipgeo_contract::RegionName;

/// Every step that asks something of the cloud.
fn places(plan: &Plan) -> Vec<(usize, InjectedFault)> {
    let mut seen: Vec<(RegionName, String)> = Vec::new();
    let mut places = Vec::new();
    for (wave_index, wave) in plan.waves.iter().enumerate() {
        for step in wave.steps.iter().filter(|step| !matches!(step.action, Action::Wait { .. })) {
            let place = (step.region.clone(), step.title());
            let nth = seen.iter().filter(|known| **known == place).count();
            seen.push(place.clone());
            let (region, step) = place;
            places.push((wave_index, InjectedFault { region, step, nth, kind: FaultKind::Refuse }));
        }
    }
    places
}

fn check_run(plan: &Plan, wave: usize, broken: &InjectedFault, run: Option<&Run>) {
    let Some(run) = run else {
        assert_eq!(broken.kind, FaultKind::Kill);
        return;
    };
    if let FaultKind::Throttle(_) | FaultKind::Early = broken.kind {
        assert_eq!((run.outcome(), run.left(plan)), (DeployOutcome::Done, 0));
        return;
    }
    let [failure] = &run.failures[..] else { panic!("one failure, not {:?}", run.failures) };
    assert_eq!((&failure.region, &failure.step), (&broken.region, &broken.step));
    let halted = matches!(plan.waves[wave].wave, WaveKind::CanaryProbe | WaveKind::Probe);
    assert_eq!(run.outcome(), if halted { DeployOutcome::Halted } else { DeployOutcome::Failed });
    // Earlier waves are done, siblings have finished, later waves were not begun.
    for (index, planned) in plan.waves.iter().enumerate() {
        for (step_index, step) in planned.steps.iter().enumerate() {
            let done = run.done.contains(&(index, step_index));
            let expected = index < wave || (index == wave && step.region != broken.region);
            assert!(done == expected || (index == wave && step.region == broken.region), "{step:?}");
        }
    }
    assert_eq!(run.done.len() + 1 + run.left(plan), plan.summary().steps);
    let report = run.report(plan, "ipgeo deploy");
    for part in [broken.region.as_str(), &broken.step, &failure.error.message, "ipgeo deploy"] {
        assert!(report.contains(part), "{part} in {report}");
    }
}

/// Breaks every step of what leads from `before` to `goal`; returns how many were broken.
async fn break_everything(before: &MemoryCloud, goal: &Goal) -> usize {
    before.set_latency(Latency { stack: Duration::from_secs(30), other: Duration::from_secs(1) });
    let plan = goal.planned(before).await.expect("a plan");
    let clean = before.fork();
    finish(&clean, &plan).await;
    let wanted = clean.picture();
    let foreign = before.foreign_records();
    let places = places(&plan);
    for (wave, place) in &places {
        for kind in FaultKind::ALL {
            for failed_creations_deleted in [true, false] {
                // Only a failed creation ends in the one way or the other.
                if !failed_creations_deleted && kind != FaultKind::Fail {
                    continue;
                }
                let cloud = before.fork();
                cloud.set_failed_creations_deleted(failed_creations_deleted);
                let broken = InjectedFault { kind, ..place.clone() };
                cloud.inject(broken.clone());
                let run = carried_out_or_killed(&cloud, &plan).await;
                check_run(&plan, *wave, &broken, run.as_ref());
                converge(&cloud, goal).await;
                let log = cloud.log();
                assert_eq!(cloud.picture(), wanted, "{broken:?}");
                assert_eq!(log.harm, Vec::<String>::new(), "{broken:?}");
                assert_eq!(log.repeated(), Vec::<String>::new(), "{broken:?}");
                assert_eq!(cloud.foreign_records(), foreign, "{broken:?}");
            }
        }
    }
    places.len()
}

#[tokio::test(start_paused = true)]
async fn a_first_deploy_may_break_anywhere() {
    let file = File::with_regions(&FOUR);
    let cloud = MemoryCloud::new(&file.config());
    let broken = break_everything(&cloud, &Goal::Deploy(file)).await;
    // Four buckets, two uploads, copies, home, secret, four edges and probes, records.
    assert!(broken >= 20, "{broken}");
}

#[tokio::test(start_paused = true)]
async fn regions_may_come_and_go_with_any_step_broken() {
    let before = File::with_regions(&[HOME, "us-east-1", "eu-west-1", "us-west-2"]);
    let cloud = deployed(&before).await;
    let after = File::with_regions(&[HOME, "us-east-1", "ap-south-1", "sa-east-1"]);
    let after = after.with(|file| {
        file.memory_mb = 512;
        file.startup = "200_000/month".to_owned();
    });
    cloud.set_api_keys("startup", "100000/month", 3);
    let broken = break_everything(&cloud, &Goal::Deploy(after)).await;
    // Two replicas come, two are released and go; two edges and buckets go.
    assert!(broken >= 25, "{broken}");
}

#[tokio::test(start_paused = true)]
async fn a_destroy_may_break_anywhere() {
    let file = File::with_regions(&FOUR);
    let cloud = deployed(&file).await;
    for delete_data in [false, true] {
        let broken = break_everything(&cloud, &Goal::Destroy(file.clone(), delete_data)).await;
        assert!(broken >= 14, "{broken}");
    }
    assert_eq!(file.config().service.domain.as_deref(), Some(DOMAIN));
}
