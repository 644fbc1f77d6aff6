//! One run: callers, operators and faults until the end, then rest, then the checker.

use std::sync::Arc;

use fastrand::Rng;
use ipgeo_contract::AddressSecret;
use tokio::runtime::Builder;

use crate::check;
use crate::edges::{Caller, Edges};
use crate::history::History;
use crate::home::Home;
use crate::operators::{self, Operators};
use crate::pipe::Pipes;
use crate::recount;
use crate::scenario::{Mood, Scenario};
use crate::shared::{Shared, lock};
use crate::weather::{HOUR_MS, Weather};

/// All parts of a world.
#[derive(Clone)]
pub struct World {
    pub shared: Arc<Shared>,
    pub edges: Arc<Edges>,
    pub home: Arc<Home>,
    pub pipes: Arc<Pipes>,
}

/// The result of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub scenario: Scenario,
    pub history: History,
    /// What did not hold; empty if all is well.
    pub violations: Vec<String>,
    /// Simulated milliseconds, rest included.
    pub ms: u64,
}

impl Outcome {
    /// Simulated hours.
    #[expect(clippy::cast_precision_loss, reason = "a run has far fewer milliseconds than 2^53")]
    pub fn hours(&self) -> f64 {
        self.ms as f64 / HOUR_MS as f64
    }
}

/// Makes the operators of a run.
pub type MakeOperators<'a> = &'a dyn Fn(&World) -> Arc<dyn Operators>;

/// Runs a seed. The same seed gives the same history.
pub fn run(seed: u64, make: Option<MakeOperators<'_>>) -> Outcome {
    let mut random = Rng::with_seed(seed);
    let scenario = Scenario::from_seed(seed, &mut random);
    // No other thread and no other clock: all tasks take turns in one order, and time passes when all of them wait.
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.unwrap_or_else(|error| panic!("a runtime: {error}"));
    runtime.block_on(async {
        // On request, home is gone until Lambda gives batches up: see the open faults in docs/VERIFICATION.md.
        let longest_ms = if std::env::var_os("IPGEO_WORLD_OUTAGES").is_some() { 36 } else { 5 } * HOUR_MS;
        let weather = match scenario.mood {
            Mood::Calm => Weather::calm(),
            _ => Weather::rough(&mut random, scenario.regions, scenario.hours, longest_ms),
        };
        let shared = Shared::new(scenario, random, weather);
        let pipes = Arc::new(Pipes::default());
        let home = Home::new(&shared, &pipes);
        let edges = Edges::new(&shared, &home, &pipes);
        let world = World { shared, edges, home, pipes };
        let extra = make.map(|make| make(&world));
        world.live(extra.as_ref()).await;
        world.end(extra.as_ref()).await;
        let history = lock(&world.shared.history).clone();
        let mut violations = history.wrong.clone();
        violations.extend(check::violations(&world, &history));
        violations.extend(extra.iter().flat_map(|extra| extra.problems(&world)));
        Outcome { scenario: world.shared.scenario.clone(), history, violations, ms: world.shared.ms() }
    })
}

impl World {
    /// Opens the stream, creates the address secret and the API keys, and starts everybody.
    async fn live(&self, extra: Option<&Arc<dyn Operators>>) {
        let shards = self.shared.between(1..=2);
        for _ in 0..shards {
            let shard = lock(&self.pipes.stream).open(None);
            tokio::spawn(Arc::clone(&self.home).poll(shard));
        }
        let (_, access) = Home::tables(&self.shared);
        let secret = AddressSecret::new([7; 32]);
        while access.ensure_address_secret(secret.clone()).await.is_err() {}
        let limits = self.shared.scenario.key_limits.clone();
        for limit in limits {
            while operators::create_key(self, limit).await.is_none() {}
        }
        for address in ["198.51.100.7", "2001:db8::7"] {
            self.edges.add(Caller::Address { address: address.to_owned() });
        }
        self.edges.add(Caller::Site { host: "shop.example".to_owned(), address: "198.51.100.9".to_owned() });
        self.edges.add(Caller::Guess { address: "198.51.100.7".to_owned() });
        self.shared.sleep_ms(2_000).await;
        let callers = lock(&self.edges.callers).len();
        (0..callers).for_each(|caller| self.start_caller(caller));
        self.start_operators(extra);
        self.start_checker();
        self.shared.sleep_ms(self.shared.scenario.hours * HOUR_MS).await;
    }

    fn start_operators(&self, extra: Option<&Arc<dyn Operators>>) {
        if self.shared.scenario.has_operators {
            let (world, extra) = (self.clone(), extra.cloned());
            // Loops are not waited for, but what they do is.
            tokio::spawn(async move {
                loop {
                    world.shared.sleep_ms(world.shared.between(60_000..=5 * HOUR_MS)).await;
                    if world.shared.is_closing() {
                        return;
                    }
                    let (acting, extra) = (world.clone(), extra.clone());
                    drop(
                        world
                            .shared
                            .spawn(async move { operators::act(&acting, extra.as_ref()).await })
                            .await,
                    );
                }
            });
        }
        let world = self.clone();
        tokio::spawn(async move {
            while !world.shared.is_closing() {
                world.shared.sleep_ms(world.shared.between(60_000..=2 * HOUR_MS)).await;
                world.edges.end_some(200);
            }
        });
    }

    /// Checks the world in quiet moments, at most forty times.
    fn start_checker(&self) {
        let world = self.clone();
        tokio::spawn(async move {
            let mut checked = 0;
            while !world.shared.is_closing() {
                world.shared.sleep_ms(world.shared.scenario.hours * HOUR_MS / 40).await;
                let answers = lock(&world.shared.history).answers.len();
                if answers > checked && world.is_at_rest() && lock(&world.home.failed).is_empty() {
                    checked = answers;
                    check::at_rest(&world);
                }
            }
        });
    }

    /// A caller sends bursts of requests until the end.
    pub(crate) fn start_caller(&self, caller: usize) {
        let world = self.clone();
        tokio::spawn(async move {
            let shared = &world.shared;
            loop {
                shared.sleep_ms(shared.between(0..=2_000 * shared.scenario.pause_s)).await;
                if shared.chance(150) {
                    // Until the end of the day, when windows end.
                    let day_ms = 24 * HOUR_MS;
                    let clock_ms = u64::try_from(shared.clock(0).as_millisecond()).unwrap_or_default();
                    let left_ms = day_ms - clock_ms % day_ms;
                    shared.sleep_ms(left_ms.saturating_sub(shared.between(0..=90_000))).await;
                }
                if shared.is_closing() {
                    return;
                }
                let (requests, spacing_ms) = match shared.between(0..=19) {
                    // Enough to use a limit up.
                    0 => (shared.between(100..=400), 4_000),
                    _ => {
                        let power = u32::try_from(shared.between(2..=8)).unwrap_or(4);
                        (shared.between(1..=25), 4_u64.pow(power))
                    }
                };
                let (spread, mut region) = (shared.chance(500), world.edges.any_region());
                for _ in 0..requests {
                    if spread || shared.chance(30) {
                        region = world.edges.any_region();
                    }
                    let calls = if shared.chance(60) { shared.between(0..=6) } else { 1 };
                    let (edges, calls) = (Arc::clone(&world.edges), calls);
                    shared.spawn(async move { edges.request(caller, region, calls, false).await });
                    shared.sleep_ms(shared.between(0..=spacing_ms)).await;
                    if shared.is_closing() {
                        return;
                    }
                }
            }
        });
    }

    /// Splits an open shard, unless there are many.
    pub(crate) fn split_a_shard(&self) {
        let children = {
            let mut stream = lock(&self.pipes.stream);
            let open = stream.open_shards();
            if open.len() > 3 {
                return;
            }
            let shard = open[self.shared.random(|random| random.usize(0..open.len()))];
            stream.split(shard)
        };
        self.shared.operation(format!("a shard is split into {children:?}"));
        for shard in children {
            tokio::spawn(Arc::clone(&self.home).poll(shard));
        }
    }

    /// Whether nothing is in progress.
    fn is_at_rest(&self) -> bool {
        self.shared.is_at_rest() && self.pipes.is_empty()
    }

    /// Waits until nothing moves any more; most two days.
    pub(crate) async fn rest(&self) {
        for _ in 0..2 * 24 * 60 {
            if self.is_at_rest() {
                return;
            }
            self.shared.sleep_ms(60_000).await;
        }
        self.shared.wrong("the world does not come to rest");
    }

    /// Brings the run to its end: rest, a few calls with everything in order, rest.
    async fn end(&self, extra: Option<&Arc<dyn Operators>>) {
        if self.shared.scenario.has_operators && self.shared.chance(500) {
            operators::tighten(self).await;
        }
        self.shared.close();
        self.rest().await;
        while !recount::recover(self).await {}
        self.rest().await;
        if let Some(extra) = extra {
            extra.finish(self).await;
            self.rest().await;
        }
        check::last_calls(self).await;
        self.rest().await;
    }
}
