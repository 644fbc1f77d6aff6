//! The event loop of a simulation: calls are decided as they arrive, usage lines are sent in batches, home counts once
//! per window.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use fastrand::Rng;
use ipgeo_contract::{
    Charge, EarlyReport, Identity, IdentityKind, KeyRecord, Limit, Period, RegionName, UsageEvent, Verdict,
    Window,
};
use ipgeo_runtime::usage::{Decoded, UsageHandler};
use jiff::{SignedDuration, Timestamp};

use super::arrivals::{Arrival, Arrivals, ms, poisson, rounded};
use super::edges::Edges;
use super::pipe::{FAILING_REGION, LogPipe};
use super::report::{Crossing, SimulationReport, Spread};
use super::scenario::{CallSpread, LimitChange, Scenario};
use super::store::SimulatedStore;
use crate::cost::{self, Bill};
use crate::ui::format::float;

/// Start of every simulation: midnight UTC on a Tuesday, 24 November 2026.
const START_S: i64 = 1_795_478_400;
/// Seconds in 30 days.
const MONTH_S: f64 = 2_592_000.0;

struct SimulatedKey {
    identity: Identity,
    record: KeyRecord,
    /// The record before its limit was changed, and when the regions see the change, milliseconds.
    before: Option<(u64, KeyRecord)>,
    rate: f64,
    today: KeyDay,
}

/// An API key's calls of the current day.
#[derive(Default)]
struct KeyDay {
    period: Option<Period>,
    allowed: u64,
    /// When the limit was reached, seconds from the start.
    reached_s: Option<f64>,
    overshoot: u64,
    /// Calls received within the lag after the limit was reached: the most that may be allowed beyond it.
    bound: u64,
    /// Time of the last allowed call, seconds.
    last_s: f64,
}

struct Simulation<'a> {
    scenario: &'a Scenario,
    send_s: f64,
    lag_s: f64,
    keys: Vec<SimulatedKey>,
    edges: Edges,
    pipe: LogPipe,
    /// Reports on their way home, by when they arrive in milliseconds and a number.
    reports: BTreeMap<(u64, u64), EarlyReport>,
    store: SimulatedStore,
    handler: UsageHandler<SimulatedStore, SimulatedStore>,
    random: Rng,
    change: Option<LimitChange>,
    each: Vec<Crossing>,
    requested: u64,
    allowed: u64,
    pooled: u64,
    batches: u64,
    early_reports: u64,
    wrongly_refused: u64,
}

fn instant(at_s: f64) -> Timestamp {
    let since = SignedDuration::from_millis(i64::try_from(ms(at_s)).unwrap_or(i64::MAX));
    Timestamp::from_second(START_S)
        .ok()
        .and_then(|start| start.checked_add(since).ok())
        .unwrap_or(Timestamp::MAX)
}

/// Runs a sound scenario. Its report includes figures of `bill`, which is of the same traffic. `progress` gets the share of
/// the simulated time that has passed, 0 to 1.
pub(crate) async fn run(
    scenario: &Scenario,
    bill: &Bill,
    progress: &(dyn Fn(f64) + Sync),
) -> SimulationReport {
    let mut simulation = Simulation::new(scenario);
    let (end_s, gather_s, window_s) =
        (scenario.end_s(), simulation.send_s, scenario.pipeline.window_s.max(1.0));
    let regions = scenario.regions.len();
    let rates = simulation.keys.iter().map(|key| key.rate / scenario.region_count()).collect();
    let mut arrivals = Arrivals::new(rates, regions, scenario.tick_s(), Rng::with_seed(scenario.seed));
    let (mut send_s, mut count_s) = (gather_s, window_s);
    // Continue until all lines in transit are counted, so that the ledger can be compared with the allowed calls.
    while send_s <= end_s + gather_s || !simulation.pipe.is_empty() {
        let until_s = send_s.min(count_s);
        progress(until_s / end_s);
        while let Some(arrival) = arrivals.next(until_s.min(end_s)) {
            simulation.count_early(arrival.at_s).await;
            simulation.arrive(arrival);
        }
        simulation.count_early(until_s).await;
        if send_s <= count_s {
            simulation.send(send_s, end_s);
            send_s += gather_s;
        } else {
            if !scenario.home_loss.is_some_and(|outage| outage.contains(count_s)) {
                simulation.count(count_s).await;
            }
            count_s += window_s;
        }
    }
    simulation.close_days();
    simulation.report(bill)
}

impl<'a> Simulation<'a> {
    fn new(scenario: &'a Scenario) -> Self {
        let mut random = Rng::with_seed(scenario.seed ^ 0x9e37_79b9_7f4a_7c15);
        let store = SimulatedStore::default();
        Self {
            scenario,
            send_s: scenario.send_s(),
            lag_s: scenario.lag_s(),
            keys: keys(scenario, &mut random),
            edges: Edges::new(
                scenario.regions.len(),
                u32::try_from(rounded(scenario.pipeline.cache_s)).unwrap_or(u32::MAX),
            ),
            pipe: LogPipe::new(scenario.regions.len(), random.fork()),
            reports: BTreeMap::new(),
            handler: UsageHandler::new(store.clone(), store.clone()),
            store,
            random,
            change: scenario.limit_change,
            each: Vec::new(),
            requested: 0,
            allowed: 0,
            pooled: 0,
            batches: 0,
            early_reports: 0,
            wrongly_refused: 0,
        }
    }

    /// Decides calls in their region, or in the next one during its outage.
    fn arrive(&mut self, arrival: Arrival) {
        let is_down = |region| {
            region == FAILING_REGION
                && self.scenario.region_loss.is_some_and(|outage| outage.contains(arrival.at_s))
        };
        if let Some(change) = self.change.take_if(|change| change.at_s <= arrival.at_s) {
            self.change_limits(change);
        }
        let regions = self.scenario.regions.len();
        let wanted = match self.scenario.spread {
            CallSpread::Even => arrival.region,
            CallSpread::Hopping => usize::try_from(ms(arrival.at_s) / 1_000).unwrap_or(0) % regions,
        };
        let region = if is_down(wanted) { (wanted + 1) % regions } else { wanted };
        let now = instant(arrival.at_s);
        let key = &mut self.keys[arrival.key];
        let day = Period::new(Window::Day, now);
        if key.today.period != Some(day) {
            let today = std::mem::replace(&mut key.today, KeyDay { period: Some(day), ..KeyDay::default() });
            self.each.extend(crossing(arrival.key, key, &today, self.lag_s));
        }
        let key = &mut self.keys[arrival.key];
        let replica = (&self.store, ms(arrival.at_s));
        let record = key.visible(ms(arrival.at_s));
        let decided = self.edges.decide(region, &key.identity, record, arrival.calls, now, replica);
        let charges = vec![Charge { identity: key.identity.clone(), limit: record.limit }];
        self.requested += arrival.calls;
        self.allowed += decided.allowed;
        let limit = key.record.limit.calls;
        key.today.count(arrival, decided.allowed, limit, self.lag_s);
        // After a change, edges that do not have the new limit yet decide by the old one.
        if self.scenario.limit_change.is_none() {
            self.wrongly_refused += decided.refused.min(limit.saturating_sub(key.today.allowed));
        }
        for (verdict, cost, is_written) in [
            (Verdict::Allowed, decided.allowed, decided.allowed > 0),
            (Verdict::OverQuota, 0, decided.refused > 0),
        ] {
            if is_written {
                self.pipe.write(region, event(self.scenario, region, now, verdict, cost, charges.clone()));
            }
        }
        self.report_early(region, arrival.at_s);
    }

    /// Sends what a region's environment reports after an answer. If home is down, it can't be sent.
    fn report_early(&mut self, region: usize, at_s: f64) {
        if !self.scenario.early_counts {
            return;
        }
        let Some(report) = self.edges.early_report(region, instant(at_s)) else { return };
        if self.scenario.home_loss.is_some_and(|outage| outage.contains(at_s)) {
            self.edges.report_failed(region, &report);
            return;
        }
        self.early_reports += 1;
        let arrives_ms = ms(at_s + self.scenario.pipeline.report_s * (0.5 + 0.5 * self.random.f64()));
        self.reports.insert((arrives_ms, self.early_reports), report);
    }

    /// Adds up the reports that have arrived at home. Those that arrive in an outage are lost.
    async fn count_early(&mut self, now_s: f64) {
        while let Some(next) = self.reports.first_entry().filter(|next| next.key().0 <= ms(now_s)) {
            let ((arrived_ms, _), report) = next.remove_entry();
            let arrived_s = float(arrived_ms) / 1e3;
            if self.scenario.home_loss.is_some_and(|outage| outage.contains(arrived_s)) {
                continue;
            }
            let pipeline = self.scenario.pipeline;
            self.store.set_visible_at(ms(arrived_s + pipeline.early_count_s + pipeline.replication_s));
            self.handler.count_early(&report, instant(arrived_s)).await;
        }
    }

    /// Gives every API key its new limit at home, with its exact usage; regions see both after replication.
    /// Calls allowed earlier are measured against the old limit.
    fn change_limits(&mut self, change: LimitChange) {
        let visible_at = ms(change.at_s + self.scenario.pipeline.replication_s);
        for (rank, key) in self.keys.iter_mut().enumerate() {
            let today = KeyDay { period: key.today.period, allowed: key.today.allowed, ..KeyDay::default() };
            let today = std::mem::replace(&mut key.today, today);
            self.each.extend(crossing(rank, key, &today, self.lag_s));
            key.before = Some((visible_at, key.record.clone()));
            let calls = rounded(float(key.record.limit.calls) * change.share).clamp(1, Limit::CALLS_MAX);
            key.record.limit.calls = calls;
            self.store.publish_exactly(&key.identity, key.record.limit, instant(change.at_s), visible_at);
        }
    }

    /// Sends every region's lines, with the anonymous calls since the last time.
    fn send(&mut self, now_s: f64, end_s: f64) {
        if now_s <= end_s {
            let keyed_share = self.scenario.keyed_share;
            let rate = self.scenario.calls * (1.0 - keyed_share) / MONTH_S / self.scenario.region_count();
            let limit = Limit { calls: 1, window: Window::Day };
            for region in 0..self.scenario.regions.len() {
                let calls = poisson(rate * self.send_s, &mut self.random);
                self.pooled += calls;
                let charges = vec![Charge { identity: Identity::pooled(IdentityKind::Address), limit }];
                let line = event(self.scenario, region, instant(now_s), Verdict::Allowed, calls, charges);
                self.pipe.write(region, line);
            }
        }
        self.pipe.send(self.scenario, now_s);
    }

    /// Counts at home what has arrived; some batches are delivered twice.
    async fn count(&mut self, now_s: f64) {
        let records = self.pipe.take(now_s, self.scenario.shards);
        if records.is_empty() {
            return;
        }
        let pipeline = self.scenario.pipeline;
        self.store.set_visible_at(ms(now_s + pipeline.count_s + pipeline.replication_s));
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

    fn report(self, bill: &Bill) -> SimulationReport {
        let scenario = self.scenario;
        let months = scenario.hours / 720.0;
        let counts = self.store.counts();
        let a_month = |count: u64| float(count) / months;
        let count = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
        let charged: u64 = self.keys.iter().map(|key| self.store.charged(&key.identity)).sum();
        let pooled = self.store.charged(&Identity::pooled(IdentityKind::Address));
        let used = |crossing: &Crossing| float(crossing.overshoot) / float(crossing.bound.max(1));
        let holds = |one: &Crossing| one.overshoot <= one.bound && one.enforced_s <= self.lag_s;
        let each = &self.each;
        let spread = |of: fn(&Crossing) -> f64| Spread::new(&each.iter().map(of).collect::<Vec<_>>());
        SimulationReport {
            tick_s: scenario.tick_s(),
            requested: self.requested,
            allowed: self.allowed,
            refused: self.requested - self.allowed,
            pooled: self.pooled,
            crossings: each.len(),
            overshoot: spread(|one| float(one.overshoot)),
            overshoot_percent: spread(|one| 100.0 * float(one.overshoot) / float(one.limit)),
            enforced_s: spread(|one| one.enforced_s),
            lag_s: self.lag_s,
            bound_used: each.iter().map(used).fold(0.0, f64::max),
            bound_holds: each.iter().all(holds),
            early_lag_s: scenario.early_counts.then(|| scenario.early_lag_s()),
            early_reports_a_month: a_month(self.early_reports),
            wrongly_refused: self.wrongly_refused,
            without_early_counts: None,
            counted_exactly: charged == self.allowed && pooled == self.pooled,
            records: self.pipe.records,
            repeated_records: self.pipe.repeats,
            batches: self.batches,
            ledger_writes_a_month: a_month(count(&counts.ledger_writes)),
            behind: count(&counts.behind),
            replicated_writes_a_month: a_month(count(&counts.publications)) * scenario.region_count(),
            reads_a_month: a_month(self.edges.reads),
            shards_needed: bill.shards_needed,
            bill: bill.total(),
            billed_replicated_writes: bill.publications * scenario.region_count(),
            scenario: scenario.clone(),
            each: self.each,
        }
    }
}

impl SimulatedKey {
    /// The record as the regions see it.
    fn visible(&self, at_ms: u64) -> &KeyRecord {
        match &self.before {
            Some((until_ms, before)) if at_ms < *until_ms => before,
            _ => &self.record,
        }
    }
}

impl KeyDay {
    fn count(&mut self, arrival: Arrival, allowed: u64, limit: u64, lag_s: f64) {
        let before = self.allowed;
        self.allowed += allowed;
        let beyond = self.allowed.saturating_sub(limit.max(before));
        if self.allowed >= limit {
            let reached_s = *self.reached_s.get_or_insert(arrival.at_s);
            let beyond_limit = if before >= limit { arrival.calls } else { arrival.calls - (limit - before) };
            if arrival.at_s <= reached_s + lag_s {
                self.bound += beyond_limit;
            }
            self.overshoot += beyond;
            if allowed > 0 {
                self.last_s = arrival.at_s;
            }
        }
    }
}

/// The result for one API key's day, if it reached its limit.
fn crossing(rank: usize, key: &SimulatedKey, today: &KeyDay, lag_s: f64) -> Option<Crossing> {
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

/// API keys whose calls follow Zipf's law. A share of them, spread evenly, has a limit that it reaches during the day;
/// the others have twice the calls they make.
fn keys(scenario: &Scenario, random: &mut Rng) -> Vec<SimulatedKey> {
    let calls = cost::zipf(scenario.keys, scenario.calls * scenario.keyed_share);
    let mut over = 0.0;
    let key = |(rank, calls): (usize, f64)| {
        let limit_calls = calls / MONTH_S * scenario.limit_s;
        over += scenario.over_share;
        let share = if over >= 1.0 {
            over -= 1.0;
            0.2 + 0.7 * random.f64()
        } else {
            2.0
        };
        let limit = Limit { calls: rounded(limit_calls * share).max(1), window: Window::Day };
        let identity = format!("{}#{rank:064x}", IdentityKind::Key.as_str()).parse().ok()?;
        let rate = calls / MONTH_S;
        Some(SimulatedKey { identity, record: record(limit), before: None, rate, today: KeyDay::default() })
    };
    calls.into_iter().enumerate().filter_map(key).collect()
}

fn record(limit: Limit) -> KeyRecord {
    KeyRecord::new(String::new(), "simulated", "simulated", limit, instant(0.0))
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
