//! Published versions of the functions, and the alias that points to one.

use std::collections::BTreeMap;
use std::time::Duration;

use ipgeo_contract::RegionName;
use serde_yaml::Value;

use ipgeo::internals::infra::cloud::{Ask, observe};
use ipgeo::internals::infra::deploy::{DeployOutcome, Run, Stop, execute};
use ipgeo::internals::infra::plan::{
    Action, Plan, ProbeSpec, Problem, Scope, WantedVersion, plan, roll_back, switch_back,
};
use ipgeo::internals::infra::stacks::{ArtifactRef, ArtifactSet, FunctionKind};
use ipgeo_cli_testing::harness::{
    FOUR, File, Goal, HOME, Kept, TOGETHER, blocked, carried_out, carried_out_or_killed, converge, deploy,
    deployed, finish, observed, options, planned, set, test_artifacts,
};
use ipgeo_cli_testing::{FaultKind, InjectedFault, Latency, MemoryCloud};

use crate::carried_out::{break_at, text};

/// The first edge of [`FOUR`] that is not home.
const CANARY: &str = "ap-south-1";

/// What every edge and the counter serve.
async fn live(cloud: &MemoryCloud, file: &File) -> BTreeMap<String, u64> {
    let seen = observed(cloud, &file.config()).await.expect("read");
    let mut found = BTreeMap::new();
    for (name, region) in &seen.regions {
        for (kind, function) in &region.functions {
            found.insert(format!("{kind} {name}"), function.live.expect("an alias"));
        }
    }
    found
}

/// All of them at this version, but for these.
fn all_at(version: u64, but: &[(&str, u64)]) -> BTreeMap<String, u64> {
    let mut all: BTreeMap<String, u64> =
        FOUR.iter().map(|region| (format!("edge {region}"), version)).collect();
    all.insert(format!("counter {HOME}"), version);
    all.extend(but.iter().map(|(name, version)| ((*name).to_owned(), *version)));
    all
}

/// A change of every function, the counter's among them.
pub(crate) fn changed(file: &File) -> File {
    file.with(|file| {
        file.memory_mb = 512;
        "[alerts]\nthresholds = [50]\n".clone_into(&mut file.add);
    })
}

/// Ends a run as `ipgeo deploy` does.
async fn run_and_switch_back(cloud: &MemoryCloud, plan: &Plan) -> (Run, Plan) {
    let run = carried_out(cloud, plan).await;
    let back = switch_back(plan, &run.done, &run.failed);
    finish(cloud, &back).await;
    (run, back)
}

/// Something that makes the canary fail.
type Fault<'a> = &'a dyn Fn(&MemoryCloud);

#[tokio::test(start_paused = true)]
async fn a_failed_canary_serves_no_live_traffic() {
    let file = File::with_regions(&FOUR);
    let cloud = deployed(&file).await;
    let after = changed(&file);
    let stack = "edge stack";
    let table: [(&str, Fault<'_>, DeployOutcome); 5] = [
        ("probe", &|cloud| cloud.set_broken(CANARY, 2), DeployOutcome::Halted),
        ("metrics", &|cloud| cloud.set_failing(CANARY, 2), DeployOutcome::Halted),
        (
            "a refused probe",
            &|cloud| break_at(cloud, CANARY, "probe", FaultKind::Refuse),
            DeployOutcome::Halted,
        ),
        ("a failed stack", &|cloud| break_at(cloud, CANARY, stack, FaultKind::Fail), DeployOutcome::Failed),
        (
            "a lost answer",
            &|cloud| break_at(cloud, CANARY, stack, FaultKind::LoseAnswer),
            DeployOutcome::Failed,
        ),
    ];
    for (what, fault, outcome) in table {
        let cloud = cloud.fork();
        fault(&cloud);
        let plan = planned(&cloud, &after).await.expect("a plan");
        let (run, back) = run_and_switch_back(&cloud, &plan).await;
        assert_eq!(run.outcome(), outcome, "{what}");
        assert_eq!(live(&cloud, &after).await, all_at(1, &[]), "{what}");
        if what == "metrics" {
            insta::assert_snapshot!("switch_back", text(&back));
            // The next plan starts with the same version at the same canary.
            let again = planned(&cloud, &after).await.expect("a plan");
            insta::assert_snapshot!("again_after_switch_back", text(&again));
            let (run, _) = run_and_switch_back(&cloud, &again).await;
            assert_eq!(run.outcome(), DeployOutcome::Halted);
            assert_eq!(live(&cloud, &after).await, all_at(1, &[]));
            // Something else, whose stacks fail: CloudFormation returns them to the version that was rolled back.
            let other = after.with(|file| file.memory_mb = 1_024);
            for region in [CANARY, "us-east-1"] {
                let cloud = cloud.fork();
                cloud.clear_log();
                break_at(&cloud, region, "edge stack", FaultKind::Fail);
                let plan = planned(&cloud, &other).await.expect("a plan");
                let run = carried_out(&cloud, &plan).await;
                assert_eq!(run.outcome(), DeployOutcome::Failed);
                finish(&cloud, &switch_back(&plan, &run.done, &run.failed)).await;
                assert_eq!(live(&cloud, &after).await[&format!("edge {region}")], 1);
            }
        }
        for region in FOUR {
            cloud.set_broken(region, 0);
            cloud.set_failing(region, 0);
        }
        converge(&cloud, &Goal::Deploy(after.clone())).await;
        assert_eq!(cloud.picture(), deployed(&after).await.picture(), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_rollback_the_canary_alone_serves_what_failed() {
    let file = File::with_regions(&FOUR);
    let cloud = deployed(&file).await;
    let after = changed(&file);
    cloud.set_broken(CANARY, 2);
    for _ in 0..2 {
        let plan = planned(&cloud, &after).await.expect("a plan");
        assert_eq!(carried_out(&cloud, &plan).await.outcome(), DeployOutcome::Halted);
        let expected = all_at(1, &[(&format!("edge {CANARY}"), 2), (&format!("counter {HOME}"), 2)]);
        assert_eq!(live(&cloud, &after).await, expected);
    }
}

/// An edge that fails after the canary has passed goes back alone.
#[tokio::test(start_paused = true)]
async fn a_region_that_fails_later_goes_back_alone() {
    let file = File::with_regions(&FOUR);
    let cloud = deployed(&file).await;
    let after = changed(&file);
    cloud.set_failing("us-east-1", 2);
    let plan = planned(&cloud, &after).await.expect("a plan");
    let (run, back) = run_and_switch_back(&cloud, &plan).await;
    assert_eq!(run.outcome(), DeployOutcome::Halted);
    assert_eq!(live(&cloud, &after).await, all_at(2, &[("edge us-east-1", 1)]));
    assert_eq!(back.summary().steps, 2);
}

/// A new edge has nothing to return to, and no record leads to it.
#[tokio::test(start_paused = true)]
async fn a_first_deploy_has_nothing_to_return_to() {
    let file = File::with_regions(&FOUR);
    let cloud = MemoryCloud::new(&file.config());
    cloud.set_broken(CANARY, 1);
    let plan = planned(&cloud, &file).await.expect("a plan");
    let (run, back) = run_and_switch_back(&cloud, &plan).await;
    assert_eq!(run.outcome(), DeployOutcome::Halted);
    assert!(back.is_empty());
    assert_eq!(observed(&cloud, &file.config()).await.expect("read").attached(), set(&[]));
}

pub(crate) async fn planned_rollback(
    cloud: &MemoryCloud,
    file: &File,
    regions: &[&str],
    wanted: &WantedVersion,
) -> Result<Plan, Vec<Problem>> {
    let config = file.config();
    let seen = observe(cloud, &Ask::everywhere(&config, None)).await.expect("read");
    let scope = Scope { regions: set(regions), whole: regions.len() == file.regions.len() };
    let spec = ProbeSpec { address: "8.8.8.8".to_owned(), ..ProbeSpec::default() };
    blocked(roll_back(&config, &seen, &scope, wanted, &spec, "2026-11-28"))
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_canary_is_reported_with_the_command_to_return() {
    let file = File::with_regions(&FOUR);
    let cloud = deployed(&file).await;
    cloud.set_latency(Latency { stack: Duration::from_secs(30), other: Duration::from_secs(1) });
    let after = changed(&file);
    let plan = planned(&cloud, &after).await.expect("a plan");
    let (stop, events) = (Stop::default(), Kept::default());
    let run = async { execute(&plan, &cloud, TOGETHER, &stop, &events).await };
    let stopping = async {
        tokio::time::sleep(Duration::from_secs(45)).await;
        stop.stop();
    };
    let (run, ()) = futures_util::join!(run, stopping);
    assert_eq!(run.outcome(), DeployOutcome::Interrupted);
    let report = run.report(&plan, "ipgeo deploy");
    assert!(report.ends_with(&format!("ipgeo rollback --regions {CANARY}")), "{report}");
    let back = planned_rollback(&cloud, &after, &[CANARY], &WantedVersion::Previous).await.expect("a plan");
    finish(&cloud, &back).await;
    assert_eq!(live(&cloud, &after).await, all_at(1, &[(&format!("counter {HOME}"), 2)]));
    converge(&cloud, &Goal::Deploy(after.clone())).await;
    assert_eq!(cloud.picture(), deployed(&after).await.picture());
}

/// A watch only reads: Ctrl-C ends it at once.
#[tokio::test(start_paused = true)]
async fn a_watch_is_cut_short() {
    let file = File::with_regions(&FOUR);
    let cloud = deployed(&file).await;
    let plan = planned(&cloud, &changed(&file)).await.expect("a plan");
    let (stop, events) = (Stop::default(), Kept::default());
    let began = tokio::time::Instant::now();
    let run = async { execute(&plan, &cloud, TOGETHER, &stop, &events).await };
    let stopping = async {
        tokio::time::sleep(Duration::from_secs(7)).await;
        stop.stop();
    };
    let (run, ()) = futures_util::join!(run, stopping);
    assert_eq!((run.outcome(), began.elapsed().as_secs()), (DeployOutcome::Interrupted, 7));
}

#[tokio::test(start_paused = true)]
async fn a_rollback_that_is_interrupted_is_continued() {
    let file = File::with_regions(&FOUR);
    let after = changed(&file);
    let cloud = deployed(&file).await;
    deploy(&cloud, &after).await;
    let previous = WantedVersion::Previous;
    let all = planned_rollback(&cloud, &after, &FOUR, &previous).await.expect("a plan");
    insta::assert_snapshot!("roll_back", text(&all));
    for kind in FaultKind::ALL {
        let cloud = cloud.fork();
        let (region, step) = (RegionName::new("us-east-1"), "edge version 1".to_owned());
        cloud.inject(InjectedFault { region, step, nth: 0, kind });
        carried_out_or_killed(&cloud, &all).await;
        tokio::time::sleep(Duration::from_secs(40)).await;
        let rest = planned_rollback(&cloud, &after, &FOUR, &previous).await.expect("a plan");
        finish(&cloud, &rest).await;
        // The change is one of memory and variables: the counter has the same code, so it stays.
        assert_eq!(live(&cloud, &after).await, all_at(1, &[(&format!("counter {HOME}"), 2)]), "{kind:?}");
        assert!(
            planned_rollback(&cloud, &after, &FOUR, &previous).await.expect("a plan").is_empty(),
            "{kind:?}"
        );
        converge(&cloud, &Goal::Deploy(after.clone())).await;
        assert_eq!(cloud.picture(), deployed(&after).await.picture(), "{kind:?}");
    }
}

async fn planned_set(cloud: &MemoryCloud, file: &File, artifacts: &ArtifactSet, today: &str) -> Plan {
    let config = file.config();
    let mut wanted = options(&config, artifacts);
    today.clone_into(&mut wanted.today);
    let seen = observe(cloud, &Ask::everywhere(&config, Some(artifacts))).await.expect("read");
    blocked(plan(&config, artifacts, &seen, &wanted)).expect("a plan")
}

/// Deploys other artifacts.
pub(crate) async fn deploy_set(
    cloud: &MemoryCloud,
    file: &File,
    artifacts: &ArtifactSet,
    today: &str,
) -> Plan {
    let plan = planned_set(cloud, file, artifacts, today).await;
    finish(cloud, &plan).await;
    plan
}

pub(crate) fn with_code(digit: &str) -> ArtifactSet {
    let mut artifacts = test_artifacts();
    artifacts.code.insert("arm64", ArtifactRef::new("code", &digit.repeat(64)));
    artifacts
}

#[tokio::test(start_paused = true)]
async fn a_version_is_named_by_number_or_code_and_the_counter_follows_the_code() {
    let file = File::with_regions(&FOUR);
    let cloud = MemoryCloud::new(&file.config());
    for digit in ["a", "b", "c"] {
        deploy_set(&cloud, &file, &with_code(digit), "2026-11-28").await;
    }
    let to = |wanted: WantedVersion| {
        let (cloud, file) = (&cloud, &file);
        async move { planned_rollback(cloud, file, &FOUR, &wanted).await }
    };
    let table = [
        (WantedVersion::Previous, 2),
        (WantedVersion::Number(1), 1),
        (WantedVersion::Code("aaaaaaaa".to_owned()), 1),
        (WantedVersion::Code("cccccccc".to_owned()), 3),
    ];
    for (wanted, expected) in table {
        let plan = to(wanted.clone()).await.expect("a plan");
        let cloud = cloud.fork();
        finish(&cloud, &plan).await;
        assert_eq!(live(&cloud, &file).await, all_at(expected, &[]), "{wanted:?}");
    }
    for (wanted, why) in [
        (WantedVersion::Number(7), "there is no version 7"),
        (WantedVersion::Code("dddddddd".to_owned()), "no version has code dddddddd"),
    ] {
        let problems = to(wanted).await.expect_err("unknown");
        assert_eq!((problems.len(), problems[0].what.as_str()), (4, why));
        assert!(problems[0].remedy.contains("1, 2, 3"), "{problems:?}");
    }
    let fresh = MemoryCloud::new(&file.config());
    let problems =
        planned_rollback(&fresh, &file, &[HOME], &WantedVersion::Previous).await.expect_err("nothing");
    assert!(problems[0].what.contains("no published version"), "{problems:?}");
}

/// Old versions go when the new ones have passed: those beyond the retained number, those that were rolled back, and those
/// whose database must no longer be served.
#[tokio::test(start_paused = true)]
async fn versions_that_nobody_returns_to_are_pruned() {
    let mut file = File::with_regions(&[HOME, "us-east-1"]);
    file.add =
        "[deploy]\nkeep_versions = 3\n[geo]\nname = \"GeoLite City\"\nattribution = \"MaxMind\"\n".to_owned();
    let cloud = MemoryCloud::new(&file.config());
    let numbers = |cloud: &MemoryCloud| {
        let seen = cloud.fork();
        let config = file.config();
        async move {
            let seen = observed(&seen, &config).await.expect("read");
            let of = |region: &str| {
                seen.function(region, FunctionKind::Edge).expect("a function").versions.clone()
            };
            assert_eq!(of(HOME), of("us-east-1"));
            of(HOME).into_keys().collect::<Vec<u64>>()
        }
    };
    let artifacts = |digit: &str, date: &str| ArtifactSet {
        geo: ArtifactRef::new("geo", &digit.repeat(64)),
        geo_description: format!("GeoLite City {date}"),
        ..test_artifacts()
    };
    for (digit, date, retained) in [
        ("1", "2026-10-01", vec![1]),
        ("2", "2026-10-08", vec![1, 2]),
        ("3", "2026-10-15", vec![1, 2, 3]),
        ("4", "2026-10-22", vec![2, 3, 4]),
    ] {
        deploy_set(&cloud, &file, &artifacts(digit, date), date).await;
        assert_eq!(numbers(&cloud).await, retained, "{date}");
    }
    // Rolled back, and then something else is deployed.
    let scope = [HOME, "us-east-1"];
    let back = planned_rollback(&cloud, &file, &scope, &WantedVersion::Number(3)).await;
    // On that day, its licence has ended.
    let problems = back.expect_err("2026-10-15 and 30 days");
    assert!(problems[0].what.contains("its licence allowed to serve until 2026-11-14"), "{problems:?}");
    let newest = artifacts("5", "2026-11-21");
    deploy_set(&cloud, &file, &newest, "2026-11-22").await;
    assert_eq!(numbers(&cloud).await, [5], "all others have expired");
    let code = ArtifactSet { geo: newest.geo, geo_description: newest.geo_description, ..with_code("b") };
    deploy_set(&cloud, &file, &code, "2026-11-23").await;
    assert_eq!(numbers(&cloud).await, [5, 6]);
    let back = planned_rollback(&cloud, &file, &scope, &WantedVersion::Previous).await.expect("a plan");
    finish(&cloud, &back).await;
    let third = ArtifactSet { geo: code.geo, geo_description: code.geo_description, ..with_code("c") };
    let plan = deploy_set(&cloud, &file, &third, "2026-11-24").await;
    insta::assert_snapshot!("prune", text(&plan));
    assert_eq!(numbers(&cloud).await, [5, 7], "what was rolled back is not returned to");
    assert!(deploy_set(&cloud, &file, &third, "2026-11-24").await.is_empty());
}

/// The forwarder is switched, rolled back and pruned with its edge; a change of the edge's memory does not concern it.
#[tokio::test(start_paused = true)]
async fn the_forwarder_goes_with_its_edge() {
    let today = "2026-11-28";
    let pipe = "[usage]\npipe = \"forwarder\"\n[deploy]\nkeep_versions = 2\n";
    let file = File::with_regions(&FOUR).with(|file| pipe.clone_into(&mut file.add));
    let cloud = MemoryCloud::new(&file.config());
    // The versions that forwarders serve, without those that are usual.
    let unusual = |file: &File, usual: u64| {
        let (cloud, file) = (&cloud, file.clone());
        async move {
            let mut found = live(cloud, &file).await;
            found.retain(|name, _| name.starts_with("forwarder "));
            assert_eq!(found.len(), FOUR.len());
            found.retain(|_, version| *version != usual);
            found
        }
    };
    let none = BTreeMap::new();
    deploy_set(&cloud, &file, &with_code("a"), today).await;
    let file = file.with(|file| file.memory_mb = 512);
    deploy_set(&cloud, &file, &with_code("a"), today).await;
    assert_eq!(unusual(&file, 1).await, none);
    // The canary fails with other code, and then passes with it.
    cloud.set_broken(CANARY, 3);
    let plan = planned_set(&cloud, &file, &with_code("b"), today).await;
    let (run, back) = run_and_switch_back(&cloud, &plan).await;
    assert_eq!((run.outcome(), back.summary().steps), (DeployOutcome::Halted, 4));
    assert_eq!(unusual(&file, 1).await, none);
    cloud.set_broken(CANARY, 0);
    deploy_set(&cloud, &file, &with_code("b"), today).await;
    assert_eq!(unusual(&file, 2).await, none);
    // Back to the first code, and forward again.
    let wanted = WantedVersion::Code("aaaaaaaa".to_owned());
    let back = planned_rollback(&cloud, &file, &FOUR, &wanted).await.expect("a plan");
    finish(&cloud, &back).await;
    assert_eq!(unusual(&file, 1).await, none);
    deploy_set(&cloud, &file, &with_code("b"), today).await;
    assert_eq!(unusual(&file, 2).await, none);
    deploy_set(&cloud, &file, &with_code("c"), today).await;
    let seen = observed(&cloud, &file.config()).await.expect("read");
    for region in FOUR {
        let forwarder = seen.function(region, FunctionKind::Forwarder).expect("a forwarder");
        assert_eq!(forwarder.versions.keys().copied().collect::<Vec<_>>(), [2, 3], "{region}");
    }
}

/// A template as it was before functions were published: everything leads to the function itself.
fn without_versions(text: &str) -> String {
    let mut template: Value = serde_yaml::from_str(text).expect("YAML");
    let resources = template["Resources"].as_mapping_mut().expect("resources");
    resources.retain(|_, resource| {
        !["AWS::Lambda::Version", "AWS::Lambda::Alias", "AWS::Lambda::EventInvokeConfig"]
            .iter()
            .any(|kind| resource["Type"] == *kind)
    });
    for (name, property, value) in [
        ("ApiPermission", "FunctionName", "{Ref: LookupFunction}"),
        ("Integration", "IntegrationUri", "{'Fn::GetAtt': [LookupFunction, Arn]}"),
        ("UsageSource", "FunctionName", "{Ref: UsageFunction}"),
    ] {
        if let Some(resource) = resources.get_mut(name) {
            resource["Properties"][property] = serde_yaml::from_str(value).expect("YAML");
            resource.as_mapping_mut().expect("a resource").remove("DependsOn");
        }
    }
    if let Some(outputs) = template.get_mut("Outputs").and_then(Value::as_mapping_mut) {
        outputs.remove("Version");
    }
    serde_yaml::to_string(&template).expect("YAML")
}

/// The API must be allowed to call the alias before it does: the cloud in memory refuses the other order.
#[tokio::test(start_paused = true)]
async fn a_service_without_versions_gets_them_in_one_update() {
    let file = File::with_regions(&FOUR);
    let cloud = MemoryCloud::new(&file.config());
    let mut first: Plan = planned(&cloud, &file).await.expect("a plan");
    let steps = first.waves.iter_mut().flat_map(|wave| &mut wave.steps);
    for step in steps {
        match &mut step.action {
            Action::Stack(stack) => stack.text = without_versions(&stack.text),
            // Nothing of it answers as the cloud in memory knows it.
            Action::Probe(_) => step.action = Action::Secret,
            _ => {}
        }
    }
    let home = first.home.clone();
    for wave in &mut first.waves {
        wave.steps.retain(|step| !matches!(step.action, Action::Secret) || step.region == home);
    }
    finish(&cloud, &first).await;
    let plan = planned(&cloud, &file).await.expect("a plan");
    // Logical names have a hash.
    let shown = without_hashes(&text(&plan));
    insta::assert_snapshot!("to_versions", shown);
    finish(&cloud, &plan).await;
    assert!(planned(&cloud, &file).await.expect("a plan").is_empty());
    assert_eq!(cloud.picture(), deployed(&file).await.picture());
}

/// A plan without the hashes in logical names of versions.
fn without_hashes(text: &str) -> String {
    let cut = |line: &str| match line.find("Version") {
        Some(at) if line.contains("+ edge Lookup") || line.contains("+ home Usage") => {
            line[..at + "Version".len()].to_owned()
        }
        _ => line.to_owned(),
    };
    text.lines().map(cut).collect::<Vec<_>>().join("\n")
}
