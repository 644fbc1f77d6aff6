//! The simulation's clock: calls are decided as they come, lines leave together, home counts every window.

use std::sync::atomic::Ordering;

use fastrand::Rng;
use ipgeo_contract::{
    Charge, Identity, IdentityKind, KeyRecord, Limit, Period, RegionName, Status, UsageEvent, Verdict, Window,
};
use ipgeo_runtime::usage::{Decoded, UsageHandler};
use jiff::{SignedDuration, Timestamp};

use super::arrivals::{Arrival, Arrivals, ms, poisson};
use super::edges::Edges;
use super::outcome::{Crossing, Outcome, Spread};
use super::pipe::{LOST, Pipe};
use super::scenario::{LimitChange, Scenario};
use super::store::Store;
use crate::config::Config;
use crate::cost::{self, CostError, Model};

/// When every simulation starts: a Tuesday's midnight, UTC.
const START_S: i64 = 1_795_478_400;
/// Seconds of a month of thirty days.
const MONTH_S: f64 = 2_592_000.0;

/// Why there is no outcome.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// A scenario that can't be.
    #[error("{0}")]
    Scenario(&'static str),
    /// No bill.
    #[error("reckon the bill")]
    Cost(#[from] CostError),
}

/// An API key and what became of it on the present day.
struct Key {
    identity: Identity,
    record: KeyRecord,
    /// The record before its limit was changed, until the regions show the change.
    before: Option<(u64, KeyRecord)>,
    rate: f64,
    today: Today,
}

#[derive(Default)]
struct Today {
    period: Option<Period>,
    allowed: u64,
    /// When the limit was reached, seconds.
    reached_s: Option<f64>,
    overshoot: u64,
    bound: u64,
    last_s: f64,
}

struct World<'a> {
    scenario: &'a Scenario,
    send_s: f64,
    lag_s: f64,
    keys: Vec<Key>,
    edges: Edges,
    pipe: Pipe,
    store: Store,
    handler: UsageHandler<Store, Store>,
    random: Rng,
    /// The pending change of limits.
    change: Option<LimitChange>,
    each: Vec<Crossing>,
    asked: u64,
    allowed: u64,
    crowd: u64,
    batches: u64,
}

/// A number that is not negative, as a whole count.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast saturates")]
pub(super) fn whole(number: f64) -> u64 {
    number.max(0.0).round() as u64
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn number(count: u64) -> f64 {
    count as f64
}

fn instant(at_s: f64) -> Timestamp {
    let since = SignedDuration::from_millis(i64::try_from(ms(at_s)).unwrap_or(i64::MAX));
    Timestamp::from_second(START_S)
        .ok()
        .and_then(|start| start.checked_add(since).ok())
        .unwrap_or(Timestamp::MAX)
}

/// Runs a scenario. The configuration gives the bill.
pub async fn run(scenario: &Scenario, config: &Config) -> Result<Outcome, SimulateError> {
    scenario.check().map_err(SimulateError::Scenario)?;
    let mut world = World::new(scenario);
    let (end_s, gather_s, window_s) = (scenario.end_s(), world.send_s, scenario.pipeline.window_s.max(1.0));
    let regions = scenario.regions.len();
    let rates = world.keys.iter().map(|key| key.rate / scenario.places()).collect();
    let mut arrivals = Arrivals::new(rates, regions, scenario.tick_s(), Rng::with_seed(scenario.seed));
    let (mut send_s, mut count_s) = (gather_s, window_s);
    // Lines that are under way at the end are counted too, so that the ledger can be held against the calls.
    while send_s <= end_s + gather_s || !world.pipe.is_empty() {
        let until_s = send_s.min(count_s);
        while let Some(arrival) = arrivals.next(until_s.min(end_s)) {
            world.arrive(arrival);
        }
        if send_s <= count_s {
            world.send(send_s, end_s);
            send_s += gather_s;
        } else {
            if !scenario.home_loss.is_some_and(|outage| outage.holds(count_s)) {
                world.count(count_s).await;
            }
            count_s += window_s;
        }
    }
    world.close_days();
    world.outcome(config)
}

impl<'a> World<'a> {
    fn new(scenario: &'a Scenario) -> Self {
        let mut random = Rng::with_seed(scenario.seed ^ 0x9e37_79b9_7f4a_7c15);
        let store = Store::default();
        Self {
            scenario,
            send_s: scenario.send_s(),
            lag_s: scenario.lag_s(),
            keys: keys(scenario, &mut random),
            edges: Edges::new(
                scenario.regions.len(),
                u32::try_from(whole(scenario.pipeline.cache_s)).unwrap_or(u32::MAX),
            ),
            pipe: Pipe::new(scenario.regions.len(), random.fork()),
            handler: UsageHandler::new(store.clone(), store.clone()),
            store,
            random,
            change: scenario.limit_change,
            each: Vec::new(),
            asked: 0,
            allowed: 0,
            crowd: 0,
            batches: 0,
        }
    }

    /// Calls come to a region, or to the next one while it is lost.
    fn arrive(&mut self, arrival: Arrival) {
        let lost = |region| {
            region == LOST && self.scenario.region_loss.is_some_and(|outage| outage.holds(arrival.at_s))
        };
        if let Some(change) = self.change.take_if(|change| change.at_s <= arrival.at_s) {
            self.change_limits(change);
        }
        let regions = self.scenario.regions.len();
        let region = if lost(arrival.region) { (arrival.region + 1) % regions } else { arrival.region };
        let now = instant(arrival.at_s);
        let key = &mut self.keys[arrival.key];
        let day = Period::new(Window::Day, now);
        if key.today.period != Some(day) {
            let today = std::mem::replace(&mut key.today, Today { period: Some(day), ..Today::default() });
            self.each.extend(crossing(arrival.key, key, &today, self.lag_s));
        }
        let key = &mut self.keys[arrival.key];
        let replica = (&self.store, ms(arrival.at_s));
        let record = key.shown(ms(arrival.at_s));
        let decided = self.edges.decide(region, &key.identity, record, arrival.calls, now, replica);
        let charges = vec![Charge { identity: key.identity.clone(), limit: record.limit }];
        self.asked += arrival.calls;
        self.allowed += decided.allowed;
        key.today.count(arrival, decided.allowed, key.record.limit.calls, self.lag_s);
        for (verdict, cost, some) in [
            (Verdict::Allowed, decided.allowed, decided.allowed > 0),
            (Verdict::OverQuota, 0, decided.refused > 0),
        ] {
            if some {
                self.pipe.write(region, event(self.scenario, region, now, verdict, cost, charges.clone()));
            }
        }
    }

    /// Gives every API key its new limit at home, with its exact usage; regions see both after replication.
    /// Calls admitted earlier are measured against the old limit.
    fn change_limits(&mut self, change: LimitChange) {
        let shown_at = ms(change.at_s + self.scenario.pipeline.replication_s);
        for (rank, key) in self.keys.iter_mut().enumerate() {
            let today = Today { period: key.today.period, allowed: key.today.allowed, ..Today::default() };
            let today = std::mem::replace(&mut key.today, today);
            self.each.extend(crossing(rank, key, &today, self.lag_s));
            key.before = Some((shown_at, key.record.clone()));
            let calls = whole(number(key.record.limit.calls) * change.share).clamp(1, Limit::CALLS_MAX);
            key.record.limit.calls = calls;
            self.store.publish_exactly(&key.identity, key.record.limit, instant(change.at_s), shown_at);
        }
    }

    /// Every region's lines leave; the crowd's calls meanwhile are among them.
    fn send(&mut self, now_s: f64, end_s: f64) {
        if now_s <= end_s {
            let keyed_share = self.scenario.keyed_share;
            let rate = self.scenario.calls * (1.0 - keyed_share) / MONTH_S / self.scenario.places();
            let limit = Limit { calls: 1, window: Window::Day };
            for region in 0..self.scenario.regions.len() {
                let calls = poisson(rate * self.send_s, &mut self.random);
                self.crowd += calls;
                let charges = vec![Charge { identity: Identity::pooled(IdentityKind::Address), limit }];
                let line = event(self.scenario, region, instant(now_s), Verdict::Allowed, calls, charges);
                self.pipe.write(region, line);
            }
        }
        self.pipe.send(self.scenario, now_s);
    }

    /// Home counts what has come; now and then the same batch comes once more.
    async fn count(&mut self, now_s: f64) {
        let records = self.pipe.take(now_s, self.scenario.shards);
        if records.is_empty() {
            return;
        }
        let way = self.scenario.pipeline;
        self.store.show_at(ms(now_s + way.count_s + way.replication_s));
        let again = self.random.f64() < self.scenario.redelivered;
        for records in std::iter::once(records.clone()).chain(again.then_some(records)) {
            self.batches += 1;
            let mut records = records;
            records.sort_by(|a, b| (&a.shard, &a.sequence).cmp(&(&b.shard, &b.sequence)));
            self.handler.count(Decoded { records, ..Decoded::default() }, instant(now_s)).await;
        }
    }

    fn close_days(&mut self) {
        for (rank, key) in self.keys.iter_mut().enumerate() {
            let today = std::mem::take(&mut key.today);
            self.each.extend(crossing(rank, key, &today, self.lag_s));
        }
    }

    fn outcome(self, config: &Config) -> Result<Outcome, SimulateError> {
        let scenario = self.scenario;
        let months = scenario.hours / 720.0;
        let counts = self.store.counts();
        let a_month = |count: u64| number(count) / months;
        let count = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
        let charged: u64 = self.keys.iter().map(|key| self.store.charged(&key.identity)).sum();
        let crowd = self.store.charged(&Identity::pooled(IdentityKind::Address));
        let used = |crossing: &Crossing| number(crossing.overshoot) / number(crossing.bound.max(1));
        let holds = |one: &Crossing| one.overshoot <= one.bound && one.enforced_s <= self.lag_s;
        let each = &self.each;
        let spread = |of: fn(&Crossing) -> f64| Spread::of(&each.iter().map(of).collect::<Vec<_>>());
        let model = Model {
            keyed_share: scenario.keyed_share,
            keys: scenario.keys,
            ..Model::of_calls(scenario.calls)
        };
        let bill = cost::monthly(config, &model)?;
        Ok(Outcome {
            tick_s: scenario.tick_s(),
            asked: self.asked,
            allowed: self.allowed,
            refused: self.asked - self.allowed,
            crowd: self.crowd,
            crossings: each.len(),
            overshoot: spread(|one| number(one.overshoot)),
            overshoot_percent: spread(|one| 100.0 * number(one.overshoot) / number(one.limit)),
            enforced_s: spread(|one| one.enforced_s),
            lag_s: self.lag_s,
            bound_used: each.iter().map(used).fold(0.0, f64::max),
            bound_holds: each.iter().all(holds),
            counted_exactly: charged == self.allowed && crowd == self.crowd,
            records: self.pipe.records,
            repeated_records: self.pipe.repeats,
            batches: self.batches,
            ledger_writes_a_month: a_month(count(&counts.ledger_writes)),
            behind: count(&counts.behind),
            replicated_writes_a_month: a_month(count(&counts.publications)) * scenario.places(),
            reads_a_month: a_month(self.edges.reads),
            shards_needed: bill.shards_needed,
            bill: bill.total(),
            billed_replicated_writes: bill.publications * scenario.places(),
            scenario: scenario.clone(),
            each: self.each,
        })
    }
}

impl Key {
    /// The record as the regions see it.
    fn shown(&self, at_ms: u64) -> &KeyRecord {
        match &self.before {
            Some((until_ms, before)) if at_ms < *until_ms => before,
            _ => &self.record,
        }
    }
}

impl Today {
    fn count(&mut self, arrival: Arrival, allowed: u64, limit: u64, lag_s: f64) {
        let before = self.allowed;
        self.allowed += allowed;
        let beyond = self.allowed.saturating_sub(limit.max(before));
        if self.allowed >= limit {
            let reached_s = *self.reached_s.get_or_insert(arrival.at_s);
            let asked = if before >= limit { arrival.calls } else { arrival.calls - (limit - before) };
            if arrival.at_s <= reached_s + lag_s {
                self.bound += asked;
            }
            self.overshoot += beyond;
            if allowed > 0 {
                self.last_s = arrival.at_s;
            }
        }
    }
}

/// What became of an API key's day, if it reached its limit.
fn crossing(rank: usize, key: &Key, today: &Today, lag_s: f64) -> Option<Crossing> {
    let reached_s = today.reached_s?;
    Some(Crossing {
        key: rank + 1,
        limit: key.record.limit.calls,
        rate: key.rate,
        overshoot: today.overshoot,
        enforced_s: today.last_s - reached_s,
        bound: today.bound,
        expected: crate::quota::overshoot(key.rate, lag_s),
    })
}

/// API keys by Zipf's law. Every so manieth has a limit that it reaches in the course of the day; the others'
/// is twice what they ask for.
fn keys(scenario: &Scenario, random: &mut Rng) -> Vec<Key> {
    let calls = cost::zipf(scenario.keys, scenario.calls * scenario.keyed_share);
    let mut over = 0.0;
    let key = |(rank, calls): (usize, f64)| {
        let day = calls / MONTH_S * 86_400.0;
        over += scenario.over_share;
        let share = if over >= 1.0 {
            over -= 1.0;
            0.2 + 0.7 * random.f64()
        } else {
            2.0
        };
        let limit = Limit { calls: whole(day * share).max(1), window: Window::Day };
        let identity = format!("{}#{rank:064x}", IdentityKind::Key.as_str()).parse().ok()?;
        let rate = calls / MONTH_S;
        Some(Key { identity, record: record(limit), before: None, rate, today: Today::default() })
    };
    calls.into_iter().enumerate().filter_map(key).collect()
}

fn record(limit: Limit) -> KeyRecord {
    KeyRecord {
        owner: "simulated".to_owned(),
        tier: "simulated".to_owned(),
        limit,
        status: Status::Active,
        expires: None,
        sites: Vec::new(),
        networks: Vec::new(),
        hint: String::new(),
        created: instant(0.0),
        published: None,
    }
}

fn event(
    scenario: &Scenario,
    region: usize,
    time: Timestamp,
    verdict: Verdict,
    cost: u64,
    charges: Vec<Charge>,
) -> UsageEvent {
    UsageEvent {
        time,
        verdict,
        cost,
        region: RegionName::new(scenario.regions[region].as_str()),
        request_id: String::new(),
        tier: String::new(),
        charges,
    }
}
