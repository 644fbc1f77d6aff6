//! random histories of a file, of traffic and of failures.

use std::collections::BTreeSet;
use std::time::Duration;

use ipgeo_contract::RegionName;
use proptest::prelude::*;
use tokio::runtime::Builder;

use ipgeo::internals::infra::deploy::{Stop, execute};
use ipgeo::internals::infra::plan::{Plan, RecordKind, TrafficChange, drain_or_attach, replicas_of};
use ipgeo::internals::infra::stacks::{StackKind, Template};
use ipgeo_cli_testing::harness::{
    File, Goal, HOME, Kept, TOGETHER, carried_out_or_killed, converge, deploy, observed, planned_for,
    planned_with,
};
use ipgeo_cli_testing::{FaultKind, InjectedFault, Latency, MemoryCloud};

const EDGES: [&str; 5] = ["ap-south-1", "eu-west-1", "sa-east-1", "us-east-1", "us-west-2"];

/// Something that happens.
#[derive(Debug, Clone)]
enum Turn {
    /// The file gets other regions.
    Regions(BTreeSet<RegionName>),
    /// The file gets another memory size.
    Memory(u32),
    /// All of it is deployed, and this step is broken so.
    Deploy(Option<(usize, FaultKind)>),
    /// Some regions are deployed, and this step is broken so.
    DeploySome(BTreeSet<RegionName>, Option<(usize, FaultKind)>),
    /// A region is taken out of DNS, or put back.
    Traffic(TrafficChange, RegionName),
}

fn some_regions() -> impl Strategy<Value = BTreeSet<RegionName>> {
    proptest::collection::btree_set(proptest::sample::select(EDGES.to_vec()), 0..=EDGES.len())
        .prop_map(|regions| regions.into_iter().map(RegionName::new).collect())
}

fn break_of_a_step() -> impl Strategy<Value = Option<(usize, FaultKind)>> {
    let kind = proptest::sample::select(FaultKind::ALL.to_vec());
    proptest::option::weighted(0.6, (0..64_usize, kind))
}

fn turn() -> impl Strategy<Value = Turn> {
    let region = proptest::sample::select(EDGES.to_vec()).prop_map(RegionName::new);
    let change = proptest::sample::select(vec![TrafficChange::Drain, TrafficChange::Attach]);
    prop_oneof![
        3 => some_regions().prop_map(Turn::Regions),
        1 => proptest::sample::select(vec![256_u32, 512]).prop_map(Turn::Memory),
        4 => break_of_a_step().prop_map(Turn::Deploy),
        2 => (some_regions(), break_of_a_step()).prop_map(|(some, broken)| Turn::DeploySome(some, broken)),
        1 => (change, region).prop_map(|(change, region)| Turn::Traffic(change, region)),
    ]
}

/// Carries a plan out with one of its steps broken.
async fn carry_out(cloud: &MemoryCloud, plan: &Plan, broken: Option<(usize, FaultKind)>) {
    let steps: Vec<_> = plan.steps().map(|(_, step)| step).collect();
    if let Some((index, kind)) = broken.filter(|_| !steps.is_empty()) {
        let step = steps[index % steps.len()];
        let calls = cloud.log().calls;
        let nth = calls.iter().filter(|(region, title)| *region == *step.region && *title == step.title());
        let (region, title, nth) = (step.region.clone(), step.title(), nth.count());
        cloud.inject(InjectedFault { region, step: title, nth, kind });
    }
    carried_out_or_killed(cloud, plan).await;
    cloud.clear_faults();
    // Whatever goes on alone comes to its end.
    tokio::time::sleep(Duration::from_secs(40)).await;
    cloud.repair_stuck_stacks();
}

async fn take(cloud: &MemoryCloud, file: &mut File, turn: &Turn) {
    match turn {
        Turn::Regions(regions) => {
            file.regions.clone_from(regions);
            file.regions.insert(RegionName::new(HOME));
        }
        Turn::Memory(memory_mb) => file.memory_mb = *memory_mb,
        Turn::Deploy(broken) => {
            let plan = planned_with(cloud, file, |options| options.recreate_failed = true).await;
            // What forbids a plan here is the removal of the last region that is not drained.
            if let Ok(plan) = plan {
                check_replica_steps(&plan);
                carry_out(cloud, &plan, *broken).await;
            }
        }
        Turn::DeploySome(some, broken) => {
            let some: Vec<&str> =
                some.iter().filter(|name| file.regions.contains(*name)).map(RegionName::as_str).collect();
            if let Ok(plan) = planned_for(cloud, file, &some).await {
                check_replica_steps(&plan);
                carry_out(cloud, &plan, *broken).await;
            }
        }
        Turn::Traffic(change, region) => {
            let config = file.config();
            let seen = observed(cloud, &config).await.expect("read");
            if let Ok(plan) = drain_or_attach(&config, &seen, *change, region, &seen.attached(), false) {
                execute(&plan, cloud, TOGETHER, &Stop::default(), &Kept::default()).await;
            }
        }
    }
}

/// By the plan alone: in each step at most one replica comes or goes, never home's, and none that is protected.
fn check_replica_steps(plan: &Plan) {
    for (_, step) in plan.steps() {
        let ipgeo::internals::infra::plan::Action::Stack(stack) = &step.action else { continue };
        let Some(before) = stack.before.as_ref().filter(|_| stack.kind == StackKind::Home) else { continue };
        let (old, new) = (Template::parse(&before.text), Template::parse(&stack.text));
        let (old, new) = (old.expect("a template"), new.expect("a template"));
        let (was, is) = (replicas_of(&old), replicas_of(&new));
        let moved: Vec<&RegionName> = was.symmetric_difference(&is).collect();
        assert!(moved.len() <= 1, "{moved:?}");
        assert!(is.contains(&plan.home));
        if let Some(gone) = was.difference(&is).next() {
            let replicas = &old.resources["AccessTable"].properties["Replicas"];
            let its = replicas.as_array().and_then(|all| all.iter().find(|one| one["Region"] == **gone));
            assert_eq!(its.expect("it was declared")["DeletionProtectionEnabled"], false, "{gone}");
        }
    }
}

fn live(turns: &[Turn]) -> Result<(), TestCaseError> {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        let mut file = File::with_regions(&[HOME, "eu-west-1"]);
        let cloud = MemoryCloud::new(&file.config());
        cloud.set_latency(Latency { stack: Duration::from_secs(30), other: Duration::from_secs(1) });
        for turn in turns {
            take(&cloud, &mut file, turn).await;
            let harm = cloud.log().harm;
            prop_assert!(harm.is_empty(), "{harm:?} after {turn:?}");
        }
        let config = file.config();
        // Somebody must be left for whoever asks for the domain, and in the end everybody is back.
        for _ in 0..2 {
            for region in observed(&cloud, &config).await.expect("read").zone.expect("a zone").drained {
                take(&cloud, &mut file, &Turn::Traffic(TrafficChange::Attach, region)).await;
            }
            converge(&cloud, &Goal::Deploy(file.clone())).await;
        }
        let harm = cloud.log().harm;
        prop_assert!(harm.is_empty(), "{harm:?} at the end");
        // It is as if the file had been deployed to an empty account.
        let fresh = MemoryCloud::new(&config);
        deploy(&fresh, &file).await;
        let (seen, wanted) = (cloud.picture(), fresh.picture());
        prop_assert_eq!(seen, wanted);
        let zone = observed(&cloud, &config).await.expect("read").zone.expect("a zone");
        let records: BTreeSet<(&str, RecordKind)> =
            zone.records.iter().map(|record| (record.region.as_str(), record.kind)).collect();
        prop_assert_eq!(records.len(), 2 * file.regions.len());
        Ok(())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_history_of_regions_converges_without_an_illegal_step(
        turns in proptest::collection::vec(turn(), 1..10)
    ) {
        live(&turns)?;
    }
}
