//! Home is unreachable for an hour, in virtual time: nothing is counted, published or replicated. Edges continue to answer
//! with what they know, even the one whose own replica fails too. When home is back, everything is counted.

use crate::support::edge::{Edge, key_record};
use crate::support::flaky::{FlakyStore, Rates};
use crate::support::hostile::api_key;
use crate::support::ledger::{counted, publications_are_right, without_watermarks};
use crate::support::record;
use ipgeo_contract::{ApiKey, Identity, UsageEvent};
use ipgeo_runtime::usage::{KinesisEvent, KinesisRecord, UsageHandler};
use jiff::{SignedDuration, Timestamp};

const REGIONS: [&str; 3] = ["eu-central-1", "us-east-1", "sa-east-1"];
const SHARD: &str = "shardId-000000000000";
const BEGIN: &str = "2026-11-24T10:00:00Z";
const MINUTES: u64 = 180;
/// The hour without home, and the last third of it without the third region's replica.
const HOME_GONE: std::ops::Range<u64> = 60..120;
const REPLICA_GONE: std::ops::Range<u64> = 100..120;
const CALLER: &str = "81.2.69.142";

/// API keys with ample quota, with quota used up before home fails, and with quota used up meanwhile.
const LIMITS: [&str; 3] = ["100000/month", "300/day", "1200/day"];

/// Edges, home, and the stream between them.
struct World {
    edges: Vec<Edge>,
    home: &'static FlakyStore,
    counter: UsageHandler<&'static FlakyStore, &'static FlakyStore>,
    /// Records not counted yet.
    waiting: Vec<KinesisRecord>,
    lines: Vec<String>,
    /// For each API key and minute, the number of answers with status 200 and 429.
    answers: Vec<[(u32, u32); 3]>,
}

impl World {
    fn new(keys: &[ApiKey]) -> Self {
        let edges: Vec<Edge> = REGIONS.iter().map(|region| Edge::new(region)).collect();
        for edge in &edges {
            for (key, limit) in keys.iter().zip(LIMITS) {
                let record = key_record(key, limit);
                edge.replica.keys.lock().expect("unpoisoned").insert(Identity::key(&key.hash()), record);
            }
        }
        let home = FlakyStore::leaked(1, Rates::default());
        let (waiting, lines, answers) = (Vec::new(), Vec::new(), Vec::new());
        Self { edges, home, counter: UsageHandler::new(home, home), waiting, lines, answers }
    }

    /// A minute of calls at every edge; all are answered, without failures.
    async fn calls(&mut self, minute: u64, keys: &[ApiKey], now: Timestamp) {
        let mut answers = [(0, 0); 3];
        for edge in &self.edges {
            for (key, answered) in keys.iter().zip(&mut answers) {
                for _ in 0..5 {
                    match edge.get(Some(key), CALLER, now).await.status_code {
                        200 => answered.0 += 1,
                        429 => answered.1 += 1,
                        other => panic!("minute {minute}: {other}"),
                    }
                }
            }
            assert_eq!(edge.get(None, CALLER, now).await.status_code, 200, "minute {minute}");
        }
        self.answers.push(answers);
        for (region, edge) in (0_u64..).zip(&self.edges) {
            let lines: Vec<String> = edge.log.lines.lock().expect("unpoisoned").drain(..).collect();
            let events: Vec<UsageEvent> =
                lines.iter().map(|line| UsageEvent::parse(line).expect("a usage line")).collect();
            self.waiting.push(record(SHARD, 1_000 + minute * 10 + region, &events));
            self.lines.extend(lines);
        }
    }

    /// Home counts the waiting records, if it is reachable, and every edge's replica receives published usage.
    async fn count(&mut self, home_is_there: bool) {
        let batch = KinesisEvent { records: self.waiting.clone() };
        let (response, _) = self.counter.handle(&batch, crate::support::now()).await;
        assert_eq!(response.batch_item_failures.is_empty(), home_is_there);
        if home_is_there {
            self.waiting.clear();
            let published = self.home.memory.published.lock().expect("unpoisoned");
            self.edges.iter().for_each(|edge| edge.replica.replicate(&published));
        }
    }

    fn answered(&self, key: usize, minutes: std::ops::Range<u64>) -> (u32, u32) {
        let minutes =
            usize::try_from(minutes.start).expect("few")..usize::try_from(minutes.end).expect("few");
        self.answers[minutes]
            .iter()
            .fold((0, 0), |sum, minute| (sum.0 + minute[key].0, sum.1 + minute[key].1))
    }
}

#[tokio::test]
async fn edges_answer_for_an_hour_without_home_and_nothing_is_lost() {
    let keys = [api_key(1), api_key(2), api_key(3)];
    let mut world = World::new(&keys);
    let begin: Timestamp = BEGIN.parse().expect("a timestamp");
    for minute in 0..MINUTES {
        let now = begin + SignedDuration::from_mins(i64::try_from(minute).expect("few"));
        let home_is_there = !HOME_GONE.contains(&minute);
        world.home.set_gone(!home_is_there);
        *world.edges[2].replica.gone.lock().expect("unpoisoned") = REPLICA_GONE.contains(&minute);
        world.calls(minute, &keys, now).await;
        if minute == REPLICA_GONE.start {
            // An API key that this environment has never seen can't be checked.
            let answer = world.edges[2].get(Some(&api_key(9)), CALLER, now).await;
            assert_eq!((answer.status_code, answer.headers["retry-after"].as_str()), (503, "1"));
        }
        world.count(home_is_there).await;
    }

    // API keys with quota are answered all the time, those without are refused.
    let of_hour = 60 * 5 * 3;
    assert_eq!(world.answered(0, HOME_GONE), (of_hour, 0));
    assert_eq!(world.answered(1, HOME_GONE), (0, of_hour));
    // The third reaches its limit meanwhile: no edge admits more calls than it knows to be left.
    let known = u32::try_from(
        world.home.memory.published.lock().expect("unpoisoned")[&Identity::key(&keys[2].hash())]
            .iter()
            .filter(|published| published.as_of < begin + SignedDuration::from_mins(60))
            .map(|published| published.used)
            .max()
            .expect("published before"),
    )
    .expect("few");
    let let_through = world.answered(2, 0..MINUTES).0;
    assert!(
        (1_200..=known + 3 * (1_200 - known)).contains(&let_through),
        "{let_through} of 1200, {known} known"
    );
    assert_eq!(world.answered(2, HOME_GONE.end + 2..MINUTES).0, 0);
    assert!(
        world.edges[2].log.warnings.lock().expect("unpoisoned").len() > 20,
        "a replica that is gone is noticed"
    );

    // Everything is counted.
    assert!(world.waiting.is_empty());
    let events: Vec<UsageEvent> =
        world.lines.iter().map(|line| UsageEvent::parse(line).expect("a usage line")).collect();
    let ledger =
        without_watermarks(world.home.memory.ledger.lock().expect("unpoisoned").clone()).expect("watermarks");
    assert_eq!(ledger, counted(&events));
    let published = world.home.memory.published.lock().expect("unpoisoned");
    for (key, limit) in keys.iter().zip(LIMITS) {
        let identity = Identity::key(&key.hash());
        let history = &published[&identity];
        publications_are_right(&ledger, &identity, limit.parse().expect("a limit"), history).expect("right");
    }
}
