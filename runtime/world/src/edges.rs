//! The edges: environments that answer requests with the real handler, and the callers who send them.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use ipgeo_contract::SECRET_ID;
use ipgeo_runtime::lookup::{Event, Geo, Lookup, Origins, UsageSink};
use ipgeo_runtime::tables::AccessTable;
use jiff::Timestamp;

use crate::client::{Client, Read, Reads};
use crate::history::Answered;
use crate::home::Home;
use crate::pipe::Pipes;
use crate::scenario::Mood;
use crate::shared::{Shared, access_table, lock};

/// The address that requests with API keys are sent from.
pub(crate) const KEYS_ADDRESS: &str = "81.2.69.142";

/// Who sends requests.
#[derive(Clone, Debug)]
pub enum Caller {
    /// With an API key: its text and its row's partition key.
    Key { text: String, id: String },
    /// Without an API key, from an address.
    Address { address: String },
    /// From a web page.
    Site { host: String, address: String },
    /// With texts that are not API keys.
    Guess { address: String },
}

impl Caller {
    fn event(&self, calls: u64) -> Event {
        let mut event = Event { raw_path: "/8.8.8.8".into(), ..Event::default() };
        event.request_context.http.method = "GET".into();
        event.request_context.http.source_ip = KEYS_ADDRESS.into();
        if calls != 1 {
            event.raw_path = "/bulk".into();
            event.request_context.http.method = "POST".into();
            let mut items = vec!["\"8.8.4.4\""; usize::try_from(calls).unwrap_or(0)];
            // Invalid items cost nothing.
            items.push("\"10.0.0.1\"");
            event.body = Some(format!("[{}]", items.join(",")));
        }
        match self {
            Self::Key { text, .. } => drop(event.headers.insert("x-api-key".into(), text.clone())),
            Self::Guess { address } => {
                event.headers.insert("x-api-key".into(), "not-an-api-key".into());
                event.request_context.http.source_ip.clone_from(address);
            }
            Self::Address { address } => event.request_context.http.source_ip.clone_from(address),
            Self::Site { host, address } => {
                event.headers.insert("referer".into(), format!("https://{host}/page"));
                event.request_context.http.source_ip.clone_from(address);
            }
        }
        event
    }
}

/// A geo database with one location.
#[derive(Clone, Copy, Debug)]
struct Place;

impl Geo for Place {
    fn write_location(&self, _address: IpAddr, _now: Timestamp, out: &mut String) -> Option<&str> {
        out.push_str(r#""city":"London","latitude":51.5"#);
        Some("")
    }

    fn asn(&self, _number: u32) -> Option<String> {
        None
    }

    fn origins(&self, _address: IpAddr) -> Option<Origins<'_>> {
        None
    }

    fn date(&self) -> &'static str {
        "2026-11-24"
    }

    fn attribution(&self) -> Option<(&str, &str)> {
        None
    }
}

/// The log of one environment: its lines go to the region's pipe.
struct Log {
    world: Arc<Shared>,
    pipes: Arc<Pipes>,
    region: usize,
    stream: String,
}

impl UsageSink for Log {
    fn usage(&self, line: String) {
        self.pipes.write(&self.world, self.region, &self.stream, line);
    }

    fn warn(&self, _message: String) {}
}

/// One environment: it handles one event at a time.
pub(crate) struct Environment {
    id: usize,
    name: String,
    region: usize,
    is_busy: AtomicBool,
    /// What its clock is wrong by, milliseconds, and when that was set.
    wrong_ms: AtomicI64,
    set_ms: AtomicU64,
    reads: Reads,
    lookup: Lookup<AccessTable<Client>, Place, Log>,
}

/// All regions' environments.
pub struct Edges {
    world: Arc<Shared>,
    home: Arc<Home>,
    pipes: Arc<Pipes>,
    environments: Mutex<Vec<Arc<Environment>>>,
    made: AtomicUsize,
    /// Regions that receive callers.
    attached: Mutex<Vec<bool>>,
    pub(crate) callers: Mutex<Vec<Caller>>,
}

impl Edges {
    pub(crate) fn new(world: &Arc<Shared>, home: &Arc<Home>, pipes: &Arc<Pipes>) -> Arc<Self> {
        Arc::new(Self {
            world: Arc::clone(world),
            home: Arc::clone(home),
            pipes: Arc::clone(pipes),
            environments: Mutex::default(),
            made: AtomicUsize::new(0),
            attached: Mutex::new(vec![true; world.scenario.regions]),
            callers: Mutex::default(),
        })
    }

    /// Adds a caller; returns its number.
    pub fn add(&self, caller: Caller) -> usize {
        let mut callers = lock(&self.callers);
        callers.push(caller);
        let mut history = lock(&self.world.history);
        history.attempted.push(0);
        history.acknowledged.push(0);
        callers.len() - 1
    }

    /// Attaches or drains a region.
    pub fn attach(&self, region: usize, is_attached: bool) {
        lock(&self.attached)[region] = is_attached;
    }

    /// A region that receives callers.
    pub(crate) fn any_region(&self) -> usize {
        let attached = lock(&self.attached);
        let open: Vec<usize> = (0..attached.len()).filter(|region| attached[*region]).collect();
        open[self.world.random(|random| random.usize(0..open.len()))]
    }

    /// Ends environments: all of a region or all, as a deploy does. Their lines stay in the log.
    pub fn restart(&self, region: Option<usize>) {
        lock(&self.environments).retain(|one| region.is_some_and(|region| one.region != region));
    }

    /// Steps the clock of an environment.
    pub(crate) fn step_a_clock(&self) {
        let environments = lock(&self.environments);
        if environments.is_empty() {
            return;
        }
        self.step(&environments[self.world.random(|random| random.usize(0..environments.len()))]);
    }

    fn step(&self, one: &Environment) {
        let step = self.world.random(|random| random.i64(-90_000..=90_000));
        one.wrong_ms.store(step, Ordering::Relaxed);
        one.set_ms.store(self.world.ms(), Ordering::Relaxed);
        self.world.operation(format!("the clock of environment {} is {step} ms ahead", one.id));
    }

    /// An idle environment of a region, or a new one, as Lambda does.
    fn environment(&self, region: usize, is_fresh: bool) -> Arc<Environment> {
        let mut environments = lock(&self.environments);
        let is_idle = |one: &&Arc<Environment>| one.region == region && !one.is_busy.load(Ordering::Relaxed);
        let idle: Vec<_> = environments.iter().filter(is_idle).cloned().collect();
        if !idle.is_empty() && !is_fresh && !self.world.chance(20) {
            return Arc::clone(&idle[self.world.random(|random| random.usize(0..idle.len()))]);
        }
        let id = self.made.fetch_add(1, Ordering::Relaxed);
        let name = format!("{:016x}", self.world.random(|random| random.u64(..)));
        let (world, reads) = (&self.world, Reads::default());
        let client = Client::of_edge(world, region, Arc::clone(&reads));
        let access = AccessTable::new(client, access_table(region));
        let stream = format!("2026/11/24/[$LATEST]{name}");
        let log = Log { world: Arc::clone(world), pipes: Arc::clone(&self.pipes), region, stream };
        let lookup = Lookup::new(access, Place, log, world.scenario.settings(region));
        let has_early = world.scenario.has_early_counts;
        let lookup = if has_early { lookup.reporting_as(name.clone()) } else { lookup };
        let wrong_ms =
            if world.scenario.mood.is_rough() { world.random(|r| r.i64(-1_500..=1_500)) } else { 0 };
        let one = Arc::new(Environment {
            id,
            name,
            region,
            is_busy: AtomicBool::new(false),
            wrong_ms: AtomicI64::new(wrong_ms),
            set_ms: AtomicU64::new(world.ms()),
            reads,
            lookup,
        });
        environments.push(Arc::clone(&one));
        one
    }

    /// Sends a request; returns its status, if its answer arrives.
    pub async fn request(
        self: &Arc<Self>,
        caller: usize,
        region: usize,
        calls: u64,
        is_fresh: bool,
    ) -> Option<u16> {
        let who = lock(&self.callers)[caller].clone();
        lock(&self.world.history).attempted[caller] += calls;
        let (sent_ms, one) = (self.world.ms(), self.environment(region, is_fresh));
        one.is_busy.store(true, Ordering::Relaxed);
        if self.world.scenario.mood == Mood::Clocks && self.world.mishap(10) {
            self.step(&one);
        }
        let (edges, environment) = (Arc::clone(self), Arc::clone(&one));
        let answering =
            self.world.spawn(async move { edges.answer(&environment, &who, caller, calls, sent_ms).await });
        if self.world.mishap(4) {
            // The environment dies while it answers.
            self.world.sleep_ms(self.world.between(0..=20)).await;
            answering.abort();
            lock(&self.environments).retain(|other| other.id != one.id);
            return None;
        }
        let status = answering.await.ok()?;
        one.is_busy.store(false, Ordering::Relaxed);
        self.report(&one);
        let is_lost = self.world.mishap(10);
        if status == 200 && !is_lost {
            lock(&self.world.history).acknowledged[caller] += calls;
        }
        (!is_lost).then_some(status)
    }

    async fn answer(&self, one: &Environment, who: &Caller, caller: usize, calls: u64, sent_ms: u64) -> u16 {
        let now = self.world.clock(one.wrong_ms.load(Ordering::Relaxed));
        let answer = one.lookup.handle(&who.event(calls), now).await;
        // The usage line was written in the same step of the scheduler.
        let reads = lock(&one.reads);
        let read = match who {
            Caller::Key { id, .. } => reads.get(id).cloned(),
            _ => None,
        };
        let read = read.unwrap_or(Read { is_there: true, ..Read::default() });
        let has_secret = reads.get(SECRET_ID).is_some_and(|read| read.is_there);
        let (status, ms) = (answer.status_code, self.world.ms());
        lock(&self.world.history).answers.push(Answered {
            sent_ms,
            ms,
            environment: one.id,
            region: one.region,
            caller,
            clock_ms: now.as_millisecond(),
            set_ms: one.set_ms.load(Ordering::Relaxed),
            status,
            calls,
            known: read.known,
            is_unknown: !read.is_there,
            published: read.published,
            reads: read.count,
            has_secret,
            is_over_quota: status == 429 && is_of_quota(&answer.body),
        });
        status
    }

    /// Reports early counts after an answer, as `bootstrap` does.
    fn report(self: &Arc<Self>, one: &Arc<Environment>) {
        let now = self.world.clock(one.wrong_ms.load(Ordering::Relaxed));
        let Some(report) = one.lookup.early_report(now) else { return };
        let (edges, one) = (Arc::clone(self), Arc::clone(one));
        self.world.spawn(async move {
            if !edges.home.report(one.region, &report).await {
                one.lookup.report_failed(&report);
            }
        });
    }

    /// Some environments end, as Lambda ends idle ones.
    pub(crate) fn end_some(&self, permille: u64) {
        let world = &self.world;
        lock(&self.environments).retain(|one| one.is_busy.load(Ordering::Relaxed) || !world.chance(permille));
    }
}

/// Whether a refusal names the window of a limit, and not the unit of a rate.
fn is_of_quota(body: &str) -> bool {
    ["[\"day\"]", "[\"month\"]"].iter().any(|window| body.contains(window))
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "environment {} ({})", self.id, self.name)
    }
}
