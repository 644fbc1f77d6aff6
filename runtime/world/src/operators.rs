//! Operators: what they do at random, through the code of their verbs. Any of it may be interrupted.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use ipgeo_contract::{ApiKey, Identity, KeyRecord, Limit, Status, Window};
use ipgeo_runtime::tables::{KeyChange, Value};
use jiff::SignedDuration;

use crate::check;
use crate::edges::Caller;
use crate::history::AccessRow;
use crate::home::Home;
use crate::recount;
use crate::run::World;
use crate::scenario::TIER;
use crate::shared::{HOME, LEDGER, access_table, lock};

/// A future of an operation.
pub type Doing<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Operations that need more than the runtime's code: those of the command line.
pub trait Operators: Send + Sync {
    /// One random operation.
    fn act<'a>(&'a self, world: &'a World) -> Doing<'a>;

    /// After callers have stopped and everything works: what an operator does to bring everything to its end.
    fn finish<'a>(&'a self, world: &'a World) -> Doing<'a>;

    /// What does not hold at the end.
    fn problems(&self, world: &World) -> Vec<String>;
}

/// A random API key.
pub(crate) fn any_api_key(world: &World) -> ApiKey {
    let fill = |bytes: &mut [u8]| world.shared.random(|random| random.fill(bytes));
    ApiKey::generate("ipg", fill).unwrap_or_else(|error| panic!("an API key: {error}"))
}

/// Creates an API key, as `ipgeo keys create` does; returns its caller's number.
pub(crate) async fn create_key(world: &World, limit: Limit) -> Option<usize> {
    let key = any_api_key(world);
    let identity = Identity::key(&key.hash());
    let now = world.shared.clock(0);
    let record = KeyRecord::new(key.hint(), "acme", TIER, limit, now);
    let (_, access) = Home::tables(&world.shared);
    access.put_key(&identity, &record).await.ok()?;
    let caller = Caller::Key { text: key.expose().to_owned(), id: identity.to_string() };
    Some(world.edges.add(caller))
}

/// One random operation.
pub(crate) async fn act(world: &World, extra: Option<&Arc<dyn Operators>>) {
    let shared = &world.shared;
    let kind = shared.between(0..=if extra.is_some() { 18 } else { 11 });
    match kind {
        0..=2 => change_limit(world).await,
        3 => set_status(world).await,
        4 => rotate(world).await,
        5 => world.split_a_shard(),
        6 => {
            shared.operation("the counter is deployed again".to_owned());
            world.home.restart();
        }
        7 => {
            let region = usize::try_from(shared.between(0..=shared.scenario.regions as u64 - 1)).unwrap_or(0);
            shared.operation(format!("region {region} is deployed again"));
            world.edges.restart(Some(region));
        }
        8 | 9 => interrupted(world, "recovers what was given up", recount::recover(world)).await,
        10 => interrupted(world, "replays the stream", recount::replay(world)).await,
        11 if shared.scenario.mood == crate::Mood::Clocks => world.edges.step_a_clock(),
        _ => {
            if let Some(extra) = extra {
                extra.act(world).await;
            }
        }
    }
}

/// Runs an operation to its end, or stops it at any moment.
async fn interrupted<T>(world: &World, what: &str, operation: impl Future<Output = T>) {
    world.shared.operation(format!("an operator {what}"));
    let ms = if world.shared.mishap(400) { world.shared.between(0..=2_000) } else { u64::MAX };
    drop(tokio::time::timeout(Duration::from_millis(ms), operation).await);
}

/// An API key and its record's identity.
fn any_key(world: &World) -> Option<(usize, Identity)> {
    let callers = lock(&world.edges.callers);
    let of = |(index, caller): (usize, &Caller)| match caller {
        Caller::Key { id, .. } => Some((index, id.parse().ok()?)),
        _ => None,
    };
    let keys: Vec<(usize, Identity)> = callers.iter().enumerate().filter_map(of).collect();
    let index = world.shared.random(|random| random.usize(0..keys.len().max(1)));
    keys.into_iter().nth(index)
}

/// `ipgeo keys update --quota`: to any limit, or to one that is nearly used up; sometimes while the counter counts.
async fn change_limit(world: &World) {
    let Some((caller, identity)) = any_key(world) else { return };
    let random = |range| world.shared.between(range);
    let window = if random(0..=4) == 0 { Window::Month } else { Window::Day };
    let is_near = world.shared.chance(400);
    if world.shared.chance(300) {
        drop(tokio::time::timeout(Duration::from_mins(30), world.home.begins.notified()).await);
        world.shared.sleep_ms(random(0..=40)).await;
    }
    let used = counted(world, &identity, window);
    let calls = if is_near { (used + random(0..=6)).max(3) } else { random(3..=400) };
    set_limit(world, caller, &identity, Limit { calls, window }).await;
}

/// Lowers the limit of every API key to what is nearly used up, while calls are not counted yet.
pub(crate) async fn tighten(world: &World) {
    let callers = lock(&world.edges.callers).clone();
    for (caller, who) in callers.iter().enumerate() {
        let Caller::Key { id, .. } = who else { continue };
        let Ok(identity) = id.parse::<Identity>() else { continue };
        for _ in 0..world.shared.between(1..=8) {
            let (edges, region) = (Arc::clone(&world.edges), world.edges.any_region());
            let _status = edges.request(caller, region, 1, false).await;
        }
        let calls = counted(world, &identity, Window::Day) + world.shared.between(1..=4);
        set_limit(world, caller, &identity, Limit { calls, window: Window::Day }).await;
    }
}

/// Changes a limit; the ledger's usage so far is published with it.
async fn set_limit(world: &World, caller: usize, identity: &Identity, limit: Limit) {
    world.shared.operation(format!("the limit of caller {caller} becomes {limit}"));
    let change = KeyChange { limit: Some(limit), ..KeyChange::default() };
    let (used, period) = (counted(world, identity, limit.window), period_now(world, limit.window));
    if !update(world, identity, &change).await || used == 0 {
        return;
    }
    let rows = world.shared.rows(&access_table(HOME), identity.as_str());
    let Some(row) = rows.first().map(AccessRow::read) else { return };
    let is_this = (row.limit, row.window.as_str()) == (limit.calls, limit.window.as_str());
    if is_this && (&row.period, row.used) < (&period, used) {
        world.shared.wrong(&format!("a new limit is published with the usage so far: {used}, {row:?}"));
    }
}

/// The period of a window that it is now.
fn period_now(world: &World, window: Window) -> String {
    check::period(window, world.shared.clock(0).as_millisecond())
}

/// Calls of an API key that the ledger has counted in the period of a window.
fn counted(world: &World, identity: &Identity, window: Window) -> u64 {
    let (month, day) = (period_now(world, Window::Month), period_now(world, Window::Day));
    let rows = world.shared.rows(LEDGER, identity.as_str());
    let row = rows.iter().find(|row| row.get("month").and_then(Value::text) == Some(&month));
    let name = match window {
        Window::Day => format!("d#{}", &day[8..]),
        Window::Month => "n".to_owned(),
    };
    row.and_then(|row| row.get(&name)?.digits()?.parse().ok()).unwrap_or(0)
}

/// `ipgeo keys disable`, and `enable` after a while.
async fn set_status(world: &World) {
    let Some((caller, identity)) = any_key(world) else { return };
    for status in [Status::Disabled, Status::Active] {
        world.shared.operation(format!("caller {caller} becomes {status}"));
        let change = KeyChange { status: Some(status), ..KeyChange::default() };
        while !update(world, &identity, &change).await {
            world.shared.sleep_ms(30_000).await;
        }
        if status == Status::Disabled {
            world.shared.sleep_ms(world.shared.between(1_000..=3_600_000)).await;
        }
    }
}

async fn update(world: &World, identity: &Identity, change: &KeyChange) -> bool {
    let (ledger, access) = Home::tables(&world.shared);
    access.update_key(&ledger, identity, change, world.shared.clock(0)).await.is_ok()
}

/// `ipgeo keys rotate`: the caller uses the successor from then on, and the old one until it expires.
async fn rotate(world: &World) {
    let Some((caller, identity)) = any_key(world) else { return };
    let (_, access) = Home::tables(&world.shared);
    let Ok(Some(old)) = access.key_now(&identity).await else { return };
    let Some(new) = create_key(world, old.limit).await else { return };
    world.shared.operation(format!("caller {caller} is rotated to {new}"));
    let successor = match &lock(&world.edges.callers)[new] {
        Caller::Key { id, .. } => id.parse::<Identity>().ok(),
        _ => None,
    };
    let expires = world.shared.clock(0) + SignedDuration::from_hours(2);
    if let Some(successor) = successor {
        drop(access.supersede(&identity, &successor, expires).await);
    }
    world.start_caller(new);
}
