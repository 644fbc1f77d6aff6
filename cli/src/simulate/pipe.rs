//! Carries usage events home: batched by region, delayed, out of order across regions, sometimes duplicated.

use std::collections::BTreeMap;

use fastrand::Rng;
use ipgeo_contract::UsageEvent;
use ipgeo_runtime::usage::EventRecord;

use super::arrivals::ms;
use super::scenario::Scenario;

/// The order of records in transit: when a record arrives, milliseconds, its content, and whether it is a duplicate.
type TransitOrder = (u64, u64, bool);

/// The log pipes of all regions, and the stream that they write to.
pub(super) struct LogPipe {
    random: Rng,
    gathered: Vec<Vec<UsageEvent>>,
    in_transit: BTreeMap<TransitOrder, Vec<UsageEvent>>,
    sequence: u64,
    content: u64,
    /// Records written to the stream, duplicates included.
    pub(super) records: u64,
    /// Records that were sent twice.
    pub(super) repeats: u64,
}

impl LogPipe {
    pub(super) fn new(regions: usize, random: Rng) -> Self {
        Self {
            random,
            gathered: vec![Vec::new(); regions],
            in_transit: BTreeMap::new(),
            sequence: 0,
            content: 0,
            records: 0,
            repeats: 0,
        }
    }

    pub(super) fn write(&mut self, region: usize, event: UsageEvent) {
        self.gathered[region].push(event);
    }

    /// Sends what every region has gathered. A region in an outage sends when it is back.
    pub(super) fn send(&mut self, scenario: &Scenario, now_s: f64) {
        for region in 0..self.gathered.len() {
            let events = std::mem::take(&mut self.gathered[region]);
            if events.is_empty() {
                continue;
            }
            let outage =
                scenario.region_loss.filter(|outage| region == FAILING_REGION && outage.contains(now_s));
            let from_s = outage.map_or(now_s, |outage| outage.end_s());
            self.content += 1;
            let content = self.content;
            let mut lag = || ms(from_s + scenario.pipeline.log_s * (0.1 + 0.9 * self.random.f64()));
            let (arrives_ms, again_ms) = (lag(), lag());
            if self.random.f64() < scenario.duplicates {
                self.repeats += 1;
                self.in_transit.insert((again_ms, content, true), events.clone());
            }
            self.in_transit.insert((arrives_ms, content, false), events);
        }
    }

    /// The new records in the stream at `now_s`, in order.
    pub(super) fn take(&mut self, now_s: f64, shards: u32) -> Vec<EventRecord> {
        let mut taken = Vec::new();
        while let Some(next) = self.in_transit.first_entry().filter(|next| next.key().0 <= ms(now_s)) {
            let ((_, content, _), events) = next.remove_entry();
            self.sequence += 1;
            self.records += 1;
            // The shard depends on the content, so a duplicate is in the same shard.
            let shard = format!("shardId-{:012}", content % u64::from(shards.max(1)));
            taken.extend(EventRecord::new(&shard, &self.sequence.to_string(), content, events));
        }
        taken
    }

    pub(super) fn is_empty(&self) -> bool {
        self.in_transit.is_empty() && self.gathered.iter().all(Vec::is_empty)
    }
}

/// The region that `Scenario::region_loss` affects: the first that is not home.
pub(super) const FAILING_REGION: usize = 1;
