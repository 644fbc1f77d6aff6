//! Ctrl-C at every wait of every run: once to finish what is in progress, twice to leave it to AWS.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ipgeo::internals::infra::cloud::{CloudWrite, Done, Progress, Report, StepError};
use ipgeo::internals::infra::deploy::{DeployOutcome, Event, Run, Sink, Stop, execute};
use ipgeo::internals::infra::plan::{
    Action, FollowSpec, Plan, TrafficChange, WantedVersion, drain_or_attach, switch_back,
};
use ipgeo::internals::infra::stacks::FunctionKind;
use ipgeo_cli_testing::harness::{
    FOUR, File, HOME, TOGETHER, carried_out, deploy, deployed, observed, planned_destroy, planned_with, set,
};
use ipgeo_cli_testing::{FaultKind, Latency, MemoryCloud};
use ipgeo_contract::RegionName;

use crate::carried_out::break_at;
use crate::rollout::given;
use crate::versions::{changed, planned_rollback};

/// The first edge of [`FOUR`] that is not home.
const CANARY: &str = "ap-south-1";
/// How long a gate waits in these tests.
const GATE: Duration = Duration::from_mins(5);

/// A cloud whose gates take their time.
struct Patient<'a>(&'a MemoryCloud);

impl CloudWrite for Patient<'_> {
    async fn ensure(
        &self,
        region: &RegionName,
        action: &Action,
        report: Report<'_>,
    ) -> Result<Done, StepError> {
        if matches!(action, Action::Probe(_) | Action::Follow(_)) {
            report(Progress { phase: "not reachable yet".to_owned(), done: 0, total: 0 });
            tokio::time::sleep(GATE).await;
        }
        self.0.ensure(region, action, report).await
    }
}

/// What somebody wants to be done.
#[derive(Debug, Clone)]
enum Work {
    Deploy(File),
    Destroy(File),
    Rollback(File),
    /// The return of `deploy` itself after a failed gate: planned once.
    SwitchBack(Box<Plan>, File),
    Drain(File),
    Database(File),
}

impl Work {
    async fn planned(&self, cloud: &MemoryCloud) -> Plan {
        match self {
            Self::Deploy(file) => {
                let remedy = "check it".to_owned();
                let follow = FollowSpec { patience_s: 485, required: false, remedy, domain: None };
                let options = planned_with(cloud, file, |options| {
                    options.follow = Some(follow);
                    options.recreate_failed = true;
                });
                options.await.expect("a plan")
            }
            Self::Destroy(file) => planned_destroy(cloud, file, true).await.expect("a plan"),
            Self::Rollback(file) => {
                planned_rollback(cloud, file, &FOUR, &WantedVersion::Previous).await.expect("a plan")
            }
            Self::SwitchBack(_, file) => {
                planned_rollback(cloud, file, &[CANARY], &WantedVersion::Previous).await.expect("a plan")
            }
            Self::Drain(file) => {
                let (config, all) = (file.config(), set(&FOUR));
                let seen = observed(cloud, &config).await.expect("read");
                drain_or_attach(&config, &seen, TrafficChange::Drain, "us-east-1", &all, false)
                    .expect("a plan")
            }
            Self::Database(file) => given(cloud, file, &"7".repeat(64)).await.expect("a plan"),
        }
    }

    /// Whether the work is done, after an interruption, too.
    async fn check(&self, cloud: &MemoryCloud, wanted: &[String], what: &str) {
        if let Self::SwitchBack(_, file) = self {
            // A newer counter may stay: it knows the lines of older edges.
            let seen = observed(cloud, &file.config()).await.expect("read");
            let live = seen.function(CANARY, FunctionKind::Edge).and_then(|function| function.live);
            assert_eq!(live, Some(1), "{what}");
        } else {
            assert_eq!(cloud.picture(), wanted, "{what}");
        }
    }

    async fn first_plan(&self, cloud: &MemoryCloud) -> Plan {
        if let Self::SwitchBack(plan, _) = self { (**plan).clone() } else { self.planned(cloud).await }
    }
}

/// The wait that begins with an event, without its region.
fn wait_of(event: &Event) -> Option<String> {
    Some(match event {
        Event::Step { step, .. } => step.clone(),
        Event::Progress { step, progress, .. } => format!("{step}: {}", progress.phase),
        Event::StepRetried { step, .. } => format!("{step}: again in half a minute"),
        _ => return None,
    })
}

/// Presses Ctrl-C at an event.
struct CtrlC<'a> {
    at: usize,
    twice: bool,
    stop: &'a Stop,
    seen: AtomicUsize,
    events: Mutex<Vec<Event>>,
}

impl<'a> CtrlC<'a> {
    fn new(at: usize, twice: bool, stop: &'a Stop) -> Self {
        Self { at, twice, stop, seen: AtomicUsize::new(0), events: Mutex::default() }
    }
}

impl Sink for CtrlC<'_> {
    fn emit(&self, _: u64, event: &Event) {
        self.events.lock().expect("no panic").push(event.clone());
        if self.seen.fetch_add(1, Ordering::Relaxed) == self.at {
            self.stop.stop();
            if self.twice {
                self.stop.abandon();
            }
        }
    }
}

/// Runs a plan and presses Ctrl-C at its event of this number.
async fn interrupted(cloud: &MemoryCloud, plan: &Plan, at: usize, twice: bool) -> (Run, Vec<Event>) {
    let stop = Stop::default();
    let keys = CtrlC::new(at, twice, &stop);
    let run = execute(plan, &Patient(cloud), TOGETHER, &stop, &keys).await;
    (run, keys.events.into_inner().expect("no panic"))
}

/// One sentence with what was changed, and the command that continues.
fn check_report(plan: &Plan, run: &Run, cloud: &MemoryCloud, what: &str) {
    assert_eq!(run.outcome(), DeployOutcome::Interrupted, "{what}: {:?}", run.failures);
    let report = run.report(plan, "ipgeo x --yes");
    let lines: Vec<&str> = report.lines().filter(|line| !line.starts_with(' ')).collect();
    let sentence = lines.iter().find(|line| line.starts_with("interrupted: ")).expect("a sentence");
    let changes = format!("{} of them changed something, {} not begun; ", run.changed.len(), run.left(plan));
    assert!(sentence.contains(&changes), "{what}: {report}");
    assert!(lines.contains(&"continue with: ipgeo x --yes"), "{what}: {report}");
    let begun = run.done.len() + run.failures.len() + run.abandoned.len();
    assert_eq!(begun + run.left(plan), plan.steps().count(), "{what}");
    for (wave, step) in &run.abandoned {
        let step = &plan.waves[*wave].steps[*step];
        assert!(sentence.contains(&format!("{} {}", step.region, step.title())), "{what}: {report}");
    }
    assert_eq!(run.abandoned.is_empty(), sentence.ends_with("nothing is half done"), "{what}: {report}");
    // What has changed is not more than what is reported.
    if run.changed.is_empty() && run.abandoned.is_empty() && run.failures.is_empty() {
        assert!(cloud.log().effects.is_empty(), "{what}: {:?}", cloud.log().effects);
    }
}

/// Presses Ctrl-C at each wait of a run from `before`, once and twice; returns the waits.
async fn interrupt_everywhere(before: &MemoryCloud, work: &Work) -> BTreeSet<String> {
    before.set_latency(Latency { stack: Duration::from_secs(30), other: Duration::from_secs(1) });
    before.clear_log();
    let plan = work.first_plan(before).await;
    let clean = before.fork();
    let (run, events) = interrupted(&clean, &plan, usize::MAX, false).await;
    assert_eq!(run.outcome(), DeployOutcome::Done, "{work:?}: {:?}", run.failures);
    let wanted = clean.picture();
    // Only the first of several regions that wait for the same.
    let mut waits: BTreeMap<String, usize> = BTreeMap::new();
    for (at, event) in events.iter().enumerate() {
        if let Some(wait) = wait_of(event) {
            waits.entry(wait).or_insert(at);
        }
    }
    for (wait, at) in &waits {
        for twice in [false, true] {
            let (cloud, what) = (before.fork(), format!("{wait}, twice: {twice}"));
            let (run, _) = interrupted(&cloud, &plan, *at, twice).await;
            if run.left(&plan) > 0 || !run.abandoned.is_empty() {
                check_report(&plan, &run, &cloud, &what);
            }
            // AWS completes what was left to it; then the same command continues.
            tokio::time::sleep(Duration::from_mins(2)).await;
            let rest = work.planned(&cloud).await;
            let run = carried_out(&cloud, &rest).await;
            assert_eq!((run.outcome(), run.failures.as_slice()), (DeployOutcome::Done, &[][..]), "{what}");
            work.check(&cloud, &wanted, &what).await;
            assert_eq!(cloud.log().harm, Vec::<String>::new(), "{what}");
        }
    }
    waits.into_keys().collect()
}

fn assert_has(waits: &BTreeSet<String>, expected: &[&str]) {
    for wait in expected {
        assert!(waits.iter().any(|known| known == wait), "{wait} is not in {waits:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_deploy_is_interrupted_at_every_wait() {
    let file = File::with_regions(&FOUR);
    let cloud = MemoryCloud::new(&file.config());
    break_at(&cloud, HOME, "home stack", FaultKind::Early);
    break_at(&cloud, "sa-east-1", "edge stack", FaultKind::Throttle(2));
    let waits = interrupt_everywhere(&cloud, &Work::Deploy(file)).await;
    assert_has(
        &waits,
        &[
            "upload geo 99999999: changing",
            "copy geo 99999999: changing",
            "home stack: updating",
            "home stack: again in half a minute",
            "edge stack: throttled, again in 2 s",
            "probe: not reachable yet",
            "marked call to the ledger: not reachable yet",
            "records: changing",
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn changes_are_interrupted_at_every_wait() {
    let file = File::with_regions(&FOUR);
    let cloud = deployed(&file).await;
    let more = File::with_regions(&["ap-south-1", HOME, "us-east-1", "eu-west-1"]).with(|file| {
        file.memory_mb = 512;
        file.startup = "200_000/month".to_owned();
    });
    cloud.set_api_keys("startup", "100000/month", 3);
    let waits = interrupt_everywhere(&cloud, &Work::Deploy(more)).await;
    assert_has(&waits, &["watch: changing", "wait 60 s", "remove edge stack: removing"]);

    // Rolled back, and a third version: the second is pruned.
    let cloud = deployed(&file).await;
    let after = changed(&file);
    deploy(&cloud, &after).await;
    let waits = interrupt_everywhere(&cloud.fork(), &Work::Rollback(after.clone())).await;
    assert_has(&waits, &["edge version 1: changing", "probe: not reachable yet"]);
    let back = planned_rollback(&cloud, &after, &FOUR, &WantedVersion::Previous).await.expect("a plan");
    carried_out(&cloud, &back).await;
    let third = after.with(|file| file.memory_mb = 1_024);
    let waits = interrupt_everywhere(&cloud, &Work::Deploy(third)).await;
    assert_has(&waits, &["prune edge versions: changing"]);
}

#[tokio::test(start_paused = true)]
async fn the_return_of_a_failed_canary_is_interrupted_at_every_wait() {
    let file = File::with_regions(&FOUR);
    let cloud = deployed(&file).await;
    let after = changed(&file);
    cloud.set_broken(CANARY, 2);
    let plan = planned_with(&cloud, &after, |_| {}).await.expect("a plan");
    let run = carried_out(&cloud, &plan).await;
    assert_eq!(run.outcome(), DeployOutcome::Halted);
    let back = switch_back(&plan, &run.done, &run.failed);
    let waits = interrupt_everywhere(&cloud, &Work::SwitchBack(Box::new(back), after)).await;
    assert_has(
        &waits,
        &["edge version 1: changing", "counter version 1: changing", "probe: not reachable yet"],
    );
}

#[tokio::test(start_paused = true)]
async fn destroys_drains_and_rollouts_are_interrupted_at_every_wait() {
    let file = File::with_regions(&FOUR);
    let cloud = deployed(&file).await;
    let waits = interrupt_everywhere(&cloud.fork(), &Work::Destroy(file.clone())).await;
    assert_has(&waits, &["wait 60 s", "remove home stack: removing", "empty bucket: changing", "records"]);
    let waits = interrupt_everywhere(&cloud.fork(), &Work::Drain(file.clone())).await;
    assert_has(&waits, &["records: changing"]);
    let waits = interrupt_everywhere(&cloud.fork(), &Work::Database(file)).await;
    assert_has(
        &waits,
        &["upload geo 77777777: changing", "copy geo 77777777: changing", "edge stack: updating"],
    );
}
