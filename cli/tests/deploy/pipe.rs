//! moving a service from one log pipe to the other while lines flow.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use futures_util::future::join_all;
use ipgeo::internals::infra::deploy::DeployOutcome;
use ipgeo::internals::infra::plan::{Action, FollowSpec, Plan, PlanOptions, WaveKind};
use ipgeo::internals::infra::stacks::StackKind;
use ipgeo_cli_testing::harness::{
    File, HOME, carried_out, carried_out_or_killed, deployed, finish, observed, planned, planned_with,
};
use ipgeo_cli_testing::{FaultKind, InjectedFault, Latency, MemoryCloud};
use ipgeo_contract::RegionName;
use ipgeo_runtime::forward::{LogsBatch, LogsEvent};
use ipgeo_runtime::usage::{KinesisEvent, KinesisRecord, LogEvent, decode, envelope};
use jiff::Timestamp;

const EDGE: &str = "sa-east-1";
/// CloudWatch Logs: "usually less than three minutes".
const LOG_LAG_S: f64 = 180.0;
/// Longer than Lambda takes for three attempts.
const QUEUE_S: f64 = 600.0;
const LINES: usize = 900;

fn file(pipe: &str) -> File {
    File::with_regions(&[HOME, EDGE]).with(|file| file.add = format!("[usage]\npipe = \"{pipe}\"\n"))
}

/// The stream and what was lost on the way.
#[derive(Default)]
struct Arrived {
    records: RefCell<Vec<KinesisRecord>>,
    lost: RefCell<Vec<usize>>,
}

impl Arrived {
    fn put(&self, data: String) {
        let mut records = self.records.borrow_mut();
        let mut record = KinesisRecord::new("shardId-000000000000", &records.len().to_string(), b"");
        record.kinesis.data = data;
        records.push(record);
    }

    /// How often each line is in the stream, as the counter reads it.
    fn counts(&self) -> BTreeMap<Timestamp, usize> {
        let records = self.records.borrow().clone();
        let decoded = decode(&KinesisEvent { records }, Timestamp::MAX);
        assert_eq!(decoded.skipped.unreadable(), 0);
        let mut counts = BTreeMap::new();
        for event in decoded.records.iter().flat_map(|record| &record.events) {
            *counts.entry(event.time).or_default() += 1;
        }
        counts
    }
}

/// The payload of one line.
fn payload(number: usize) -> String {
    // The time is the line's own.
    let time_ms = 1_795_522_627_042 + number;
    let message = format!(r#"{{"ipgeo":1,"t":{time_ms},"r":"{EDGE}","c":["sa.test","10d"]}}"#);
    let line = LogEvent { id: number.to_string(), timestamp: 0, message };
    let packed = envelope("/aws/lambda/ipgeo-prod-lookup", "stream", vec![line]).expect("packs");
    KinesisRecord::new("s", "1", &packed).kinesis.data
}

/// A line's way: written, delivered to what the subscription then leads to, and from a function into the stream.
async fn travel(cloud: &MemoryCloud, number: usize, waits: [Duration; 3], arrived: &Arrived) {
    tokio::time::sleep(waits[0] + waits[1]).await;
    for target in cloud.subscriptions(EDGE) {
        let data = payload(number);
        let is_function = target.contains(":function:");
        if is_function {
            tokio::time::sleep(waits[2]).await;
        }
        if !cloud.takes_lines(&target) {
            arrived.lost.borrow_mut().push(number);
        } else if is_function {
            let event = LogsEvent { awslogs: LogsBatch { data } };
            assert_eq!(event.partition_key(), "stream");
            arrived.put(event.awslogs.data);
        } else {
            arrived.put(data);
        }
    }
}

/// Lets a line a second flow while `change` happens.
async fn flow(cloud: &MemoryCloud, random: &mut Rng, change: impl Future<Output = ()>) -> Arrived {
    let arrived = Arrived::default();
    let lines: Vec<[Duration; 3]> = (0..LINES as u64)
        .map(|second| {
            let (lag_s, queue_s) = (random.f64() * LOG_LAG_S, random.f64().powi(4) * QUEUE_S);
            [Duration::from_secs(second), Duration::from_secs_f64(lag_s), Duration::from_secs_f64(queue_s)]
        })
        .collect();
    let travels = lines.into_iter().enumerate().map(|(number, waits)| travel(cloud, number, waits, &arrived));
    tokio::join!(join_all(travels), change);
    arrived
}

fn latency(random: &mut Rng) -> Latency {
    Latency { stack: Duration::from_secs(random.u64(0..90)), other: Duration::from_secs(1) }
}

#[tokio::test(start_paused = true)]
async fn a_move_from_one_log_pipe_to_the_other_loses_and_doubles_no_line() {
    for seed in 0..40 {
        let mut random = Rng::with_seed(seed);
        let cloud = deployed(&file("destination")).await;
        cloud.set_latency(latency(&mut random));
        // A step of the moves may fail, or its operator may be gone.
        let broken = random.choice(FaultKind::ALL).filter(|_| random.bool());
        if let Some(kind) = broken {
            cloud.inject(InjectedFault {
                region: RegionName::new(EDGE),
                step: "edge stack".to_owned(),
                nth: 1,
                kind,
            });
        }
        let pauses = [random.u64(0..200), random.u64(0..300), random.u64(0..300)];
        let moves = async {
            for (pipe, pause) in ["forwarder", "destination", "forwarder"].into_iter().zip(pauses) {
                tokio::time::sleep(Duration::from_secs(pause)).await;
                if let Ok(plan) = planned(&cloud, &file(pipe)).await {
                    let _ = carried_out_or_killed(&cloud, &plan).await;
                }
            }
        };
        let arrived = flow(&cloud, &mut random, moves).await;
        assert_eq!(*arrived.lost.borrow(), Vec::<usize>::new(), "seed {seed}");
        let counts = arrived.counts();
        assert_eq!(counts.len(), LINES, "seed {seed}: lines are missing");
        assert!(counts.values().all(|count| *count == 1), "seed {seed}: {counts:?}");
        assert_eq!(cloud.log().harm, Vec::<String>::new());
        let ends_at_forwarder = cloud.subscriptions(EDGE).iter().all(|target| target.ends_with(":live"));
        assert!(broken.is_some() || ends_at_forwarder, "seed {seed}: {:?}", cloud.subscriptions(EDGE));
    }
}

/// The plan that removes the forwarder, which the operator has named.
async fn without_forwarder(cloud: &MemoryCloud) -> Plan {
    let file = file("destination");
    let named = |options: &mut PlanOptions| {
        options.allow_replace.insert("ForwardFunction".to_owned());
    };
    planned_with(cloud, &file, named).await.expect("it was named")
}

/// The model above finds losses: a forwarder that is removed with the move takes its queue along.
#[tokio::test(start_paused = true)]
async fn a_forwarder_that_goes_at_once_loses_lines() {
    let cloud = deployed(&file("forwarder")).await;
    let remove = async {
        tokio::time::sleep(Duration::from_mins(5)).await;
        finish(&cloud, &without_forwarder(&cloud).await).await;
    };
    let arrived = flow(&cloud, &mut Rng::with_seed(1), remove).await;
    assert!(!arrived.lost.borrow().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_move_changes_the_one_subscription_in_place_and_leaves_the_old_pipe() {
    let cloud = deployed(&file("destination")).await;
    let to_forwarder = planned(&cloud, &file("forwarder")).await.expect("a plan");
    insta::assert_snapshot!("pipe_move", crate::carried_out::text(&to_forwarder));
    finish(&cloud, &to_forwarder).await;
    assert!(planned(&cloud, &file("forwarder")).await.expect("a plan").is_empty());
    // Back: one property in each region.
    let back = planned(&cloud, &file("destination")).await.expect("a plan");
    let changes: Vec<_> = back
        .steps()
        .filter_map(|(_, step)| match &step.action {
            Action::Stack(stack) => {
                Some(stack.changes.iter().map(|change| change.name.as_str()).collect::<Vec<_>>())
            }
            _ => None,
        })
        .collect();
    assert_eq!(changes, [["UsageSubscription"], ["UsageSubscription"]]);
    finish(&cloud, &back).await;
    assert!(planned(&cloud, &file("destination")).await.expect("a plan").is_empty());
    // What is left goes when it is named, and a new service has one pipe.
    finish(&cloud, &without_forwarder(&cloud).await).await;
    let fresh = deployed(&file("destination")).await;
    assert_eq!(cloud.picture(), fresh.picture());
}

#[tokio::test(start_paused = true)]
async fn a_region_that_must_be_enabled_first_may_send_its_lines_before_it_has_an_edge() {
    let before = File::with_regions(&[HOME]);
    let cloud = deployed(&before).await;
    let after = File::with_regions(&[HOME, "af-south-1"]);
    // Home is not selected, and its role must trust the region all the same.
    let plan =
        ipgeo_cli_testing::harness::planned_for(&cloud, &after, &["af-south-1"]).await.expect("a plan");
    let texts: Vec<&str> = plan
        .steps()
        .filter_map(|(_, step)| match &step.action {
            Action::Stack(stack) if step.region == HOME => Some(stack.text.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(texts.len(), 2, "trust, then the replica");
    assert!(texts[0].contains("logs.af-south-1.amazonaws.com"), "{}", texts[0]);
    finish(&cloud, &plan).await;
    assert!(planned(&cloud, &after).await.expect("a plan").is_empty());
    // The trust stays until the region's edge is gone.
    let removal = planned(&cloud, &before).await.expect("a plan");
    let kinds: Vec<(&str, bool)> = removal
        .steps()
        .filter_map(|(_, step)| match &step.action {
            Action::Stack(stack) => Some(("home", stack.text.contains("logs.af-south-1"))),
            Action::DeleteStack { kind, .. } => Some((kind.as_str(), false)),
            _ => None,
        })
        .collect();
    let edge_gone = kinds.iter().position(|(kind, _)| *kind == "edge").expect("the edge goes");
    assert!(kinds[..edge_gone].iter().all(|(_, trusts)| *trusts), "{kinds:?}");
    let run = carried_out(&cloud, &removal).await;
    assert_eq!(run.failures, []);
    let seen = observed(&cloud, &before.config()).await.expect("read");
    let text = &seen.regions[HOME].stacks.values().map(|stack| stack.text.clone()).collect::<String>();
    assert!(!text.contains("logs.af-south-1"));
}

/// A plan whose marked calls are followed.
async fn followed(cloud: &MemoryCloud, file: &File, required: bool) -> Plan {
    let spec = FollowSpec { patience_s: 485, required, remedy: "check it".to_owned(), domain: None };
    planned_with(cloud, file, |options| options.follow = Some(spec)).await.expect("a plan")
}

/// Waves that follow marked calls, with their regions.
fn follows(plan: &Plan) -> Vec<(WaveKind, &str)> {
    let steps = plan.steps().filter(|(_, step)| matches!(step.action, Action::Follow(_)));
    steps.map(|(wave, step)| (wave, step.region.as_str())).collect()
}

#[tokio::test(start_paused = true)]
async fn a_marked_call_follows_the_canary_and_each_new_edge() {
    let regions = [HOME, EDGE, "us-east-1"];
    let file = File::with_regions(&regions);
    let cloud = MemoryCloud::new(&file.config());
    let first = followed(&cloud, &file, false).await;
    let all = [(WaveKind::CanaryPipe, EDGE), (WaveKind::Pipe, HOME), (WaveKind::Pipe, "us-east-1")];
    assert_eq!(follows(&first), all);
    // Records lead only to regions whose calls were looked for.
    let kinds: Vec<WaveKind> = first.waves.iter().map(|wave| wave.wave).collect();
    let at = |kind| kinds.iter().position(|known| *known == kind).expect("a wave");
    assert!(at(WaveKind::CanaryPipe) < at(WaveKind::Edges) && at(WaveKind::Pipe) < at(WaveKind::Records));
    finish(&cloud, &first).await;
    // More memory concerns no log pipe; another variable of the function may; a new region has a new pipe.
    let more = followed(&cloud, &file.with(|file| file.memory_mb = 512), false).await;
    assert_eq!(follows(&more), []);
    let variable = file.with(|file| file.add = "[usage]\nquiet_permille = 1\n".to_owned());
    assert_eq!(follows(&followed(&cloud, &variable, false).await), [(WaveKind::CanaryPipe, EDGE)]);
    let region = File::with_regions(&[HOME, EDGE, "us-east-1", "us-west-2"]);
    assert_eq!(follows(&followed(&cloud, &region, false).await), [(WaveKind::CanaryPipe, "us-west-2")]);
    // A move concerns every region.
    let moved = file.with(|file| file.add = "[usage]\npipe = \"forwarder\"\n".to_owned());
    assert_eq!(follows(&followed(&cloud, &moved, false).await), all);
}

#[tokio::test(start_paused = true)]
async fn a_dead_pipe_warns_or_halts() {
    let file = File::with_regions(&[HOME, EDGE, "us-east-1"]);
    // (the region whose lines do not arrive, whether they must, how the run ends, whether records lead to edges)
    for (dead, required, outcome, attached) in [
        (EDGE, false, DeployOutcome::Done, true),
        (HOME, false, DeployOutcome::Done, true),
        (EDGE, true, DeployOutcome::Halted, false),
        (HOME, true, DeployOutcome::Halted, false),
    ] {
        let cloud = MemoryCloud::new(&file.config());
        cloud.kill_pipe(dead);
        let plan = followed(&cloud, &file, required).await;
        let run = carried_out(&cloud, &plan).await;
        assert_eq!(run.outcome(), outcome, "{dead} {required}");
        let report = run.report(&plan, "ipgeo deploy");
        let mark = if required {
            format!("{dead}: marked call to the ledger failed")
        } else {
            format!("warning: {dead}: marked call")
        };
        assert!(report.contains(&mark) && report.contains("check it"), "{report}");
        let seen = observed(&cloud, &file.config()).await.expect("read");
        assert_eq!(!seen.attached().is_empty(), attached, "{dead} {required}");
        // A dead canary stops before the others are touched.
        let others = seen.regions_with(StackKind::Edge).count();
        assert_eq!(others, if required && dead == EDGE { 1 } else { 3 }, "{dead} {required}");
    }
}
