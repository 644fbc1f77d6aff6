//! The way of usage events to home: gathered by region, late, out of order over regions, sometimes twice.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use fastrand::Rng;
use ipgeo_contract::UsageEvent;
use ipgeo_runtime::usage::EventRecord;

use super::arrivals::ms;
use super::scenario::Scenario;

/// A record under way, ordered by its arrival.
struct Underway {
    arrives_ms: u64,
    content: u64,
    events: Vec<UsageEvent>,
}

impl PartialEq for Underway {
    fn eq(&self, other: &Self) -> bool {
        (self.arrives_ms, self.content) == (other.arrives_ms, other.content)
    }
}

impl Eq for Underway {}

impl PartialOrd for Underway {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Underway {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.arrives_ms, self.content).cmp(&(other.arrives_ms, other.content))
    }
}

/// The log pipe of every region, and the stream at its end.
pub(super) struct Pipe {
    random: Rng,
    gathered: Vec<Vec<UsageEvent>>,
    underway: BinaryHeap<Reverse<Underway>>,
    sequence: u64,
    content: u64,
    /// Records that came into the stream.
    pub(super) records: u64,
    /// Records that were sent twice.
    pub(super) repeats: u64,
}

impl Pipe {
    pub(super) fn new(regions: usize, random: Rng) -> Self {
        Self {
            random,
            gathered: vec![Vec::new(); regions],
            underway: BinaryHeap::new(),
            sequence: 0,
            content: 0,
            records: 0,
            repeats: 0,
        }
    }

    pub(super) fn write(&mut self, region: usize, event: UsageEvent) {
        self.gathered[region].push(event);
    }

    /// Sends what every region has gathered. A region that is away sends when it is back.
    pub(super) fn send(&mut self, scenario: &Scenario, now_s: f64) {
        for region in 0..self.gathered.len() {
            let events = std::mem::take(&mut self.gathered[region]);
            if events.is_empty() {
                continue;
            }
            let away = scenario.region_loss.filter(|outage| region == LOST && outage.holds(now_s));
            let from_s = away.map_or(now_s, |outage| outage.end_s());
            self.content += 1;
            let content = self.content;
            let mut lag = || ms(from_s + scenario.pipeline.log_s * (0.1 + 0.9 * self.random.f64()));
            let (arrives_ms, again_ms) = (lag(), lag());
            if self.random.f64() < scenario.duplicates {
                self.repeats += 1;
                let repeat = Underway { arrives_ms: again_ms, content, events: events.clone() };
                self.underway.push(Reverse(repeat));
            }
            self.underway.push(Reverse(Underway { arrives_ms, content, events }));
        }
    }

    /// The records that are in the stream by now and were not taken yet, in order, each of a shard.
    pub(super) fn take(&mut self, now_s: f64, shards: u32) -> Vec<EventRecord> {
        let mut taken = Vec::new();
        while self.underway.peek().is_some_and(|Reverse(next)| next.arrives_ms <= ms(now_s)) {
            let Some(Reverse(record)) = self.underway.pop() else { break };
            self.sequence += 1;
            self.records += 1;
            // A repeat goes where the first went: by its content.
            let shard = format!("shardId-{:012}", record.content % u64::from(shards.max(1)));
            taken.extend(EventRecord::new(&shard, &self.sequence.to_string(), record.content, record.events));
        }
        taken
    }

    /// Whether nothing is gathered or under way.
    pub(super) fn is_empty(&self) -> bool {
        self.underway.is_empty() && self.gathered.iter().all(Vec::is_empty)
    }
}

/// The region that can be lost: the first that is not home.
pub(super) const LOST: usize = 1;
