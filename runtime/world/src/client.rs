//! A client of the tables in memory. It gives each call the attempts and timeouts of the real clients, and each attempt its own
//! fate: a request may get lost, arrive after its caller has given up or died, or be applied while its response is lost.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use ipgeo_runtime::dynamo::Transact;
use ipgeo_runtime::tables::{Calls, Cause, Change, Effort, Found, Item, Updated};
use tokio::sync::oneshot;

use crate::history::{AccessRow, AccessWrite, Known};
use crate::shared::{HOME, Shared, access_table, lock};
use crate::store::{Effect, row_key};
use crate::weather::Link;

/// Milliseconds that a request usually takes within a region.
const USUAL_MS: u64 = 8;

/// What an environment has read last, by partition key.
pub(crate) type Reads = Arc<Mutex<BTreeMap<String, Read>>>;

/// A row as an environment has read it last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Read {
    pub(crate) is_there: bool,
    /// An API key's limit.
    pub(crate) known: Option<Known>,
    /// Its published usage, with the period.
    pub(crate) published: (String, u64),
    /// How often the row has been read.
    pub(crate) count: u64,
}

/// A client of one place.
#[derive(Clone, Debug)]
pub struct Client {
    world: Arc<Shared>,
    link: Link,
    effort: Effort,
    reads: Reads,
}

impl Client {
    /// An edge's client of its replica.
    pub(crate) fn of_edge(world: &Arc<Shared>, region: usize, reads: Reads) -> Self {
        Self { world: Arc::clone(world), link: Link::Replica(region), effort: Effort::Quick, reads }
    }

    /// A client of home's tables, of the counter or of an operator.
    pub fn of_home(world: &Arc<Shared>) -> Self {
        Self { world: Arc::clone(world), link: Link::Home, effort: Effort::Patient, reads: Reads::default() }
    }

    /// One call with its attempts.
    async fn call<T, F>(&self, apply: F) -> Result<T, Cause>
    where
        T: Send + 'static,
        F: Fn(&Arc<Shared>) -> Result<T, String> + Clone + Send + 'static,
    {
        let bounds = self.effort.bounds();
        let mut pause = bounds.pause;
        let attempts = async {
            for attempt in 1..=bounds.tries {
                let tried = tokio::time::timeout(bounds.attempt, self.attempt(apply.clone())).await;
                if let Ok(answer) = tried {
                    return answer.map_err(Cause::from);
                }
                if attempt < bounds.tries {
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
            }
            Err(Cause::from("every attempt timed out"))
        };
        tokio::time::timeout(bounds.all, attempts).await.unwrap_or_else(|_| Err("the call timed out".into()))
    }

    /// One attempt; it never ends if its request or its response is lost.
    async fn attempt<T, F>(&self, apply: F) -> Result<T, String>
    where
        T: Send + 'static,
        F: Fn(&Arc<Shared>) -> Result<T, String> + Send + 'static,
    {
        let fate = self.world.fate(self.link, USUAL_MS);
        if fate.is_refused {
            self.world.sleep_ms(fate.there_ms).await;
            return Err("throttled".to_owned());
        }
        let (answer, answered) = oneshot::channel();
        if fate.arrives {
            // On its way, a request does not depend on its caller.
            let world = Arc::clone(&self.world);
            self.world.spawn(async move {
                world.sleep_ms(fate.there_ms).await;
                drop(answer.send(apply(&world)));
            });
        }
        let Ok(result) = answered.await else { return std::future::pending().await };
        self.world.sleep_ms(fate.back_ms).await;
        if fate.is_answered { result } else { std::future::pending().await }
    }
}

/// Applies a change, and replicates it if it is one of home's access table.
pub(crate) fn apply(world: &Arc<Shared>, table: &str, change: &Change) -> Result<Updated, String> {
    let Effect { answer, changed } = {
        let mut tables = lock(&world.tables);
        tables.get_mut(table).ok_or_else(|| format!("there is no table {table}"))?.update(change)?
    };
    if let Some((before, after)) = changed
        && table == access_table(HOME)
    {
        record(world, HOME, before.as_ref(), &after);
        for region in 1..world.scenario.regions {
            replicate(world, region, &after);
        }
    }
    Ok(answer)
}

fn record(world: &Shared, region: usize, before: Option<&Item>, after: &Item) {
    let write = AccessWrite {
        ms: world.ms(),
        region,
        id: row_key(after).0,
        before: before.map(AccessRow::read),
        after: AccessRow::read(after),
    };
    lock(&world.history).access.push(write);
}

/// Milliseconds that replication usually takes.
const REPLICATION_MS: u64 = 900;

/// Copies a complete item to a replica after a while, unless the replica has a later one by then.
fn replicate(world: &Arc<Shared>, region: usize, item: &Item) {
    let (version, task, item) = (world.next_version(), Arc::clone(world), item.clone());
    world.spawn(async move {
        let world = task;
        let mut wait_ms = world.between(50..=REPLICATION_MS);
        loop {
            world.sleep_ms(wait_ms).await;
            if lock(&world.weather).trouble(Link::Replication(region), world.ms()).is_none() {
                break;
            }
            wait_ms = 5_000;
        }
        if !world.is_newest_copy(region, row_key(&item), version) {
            return;
        }
        let before = lock(&world.tables)
            .get_mut(&access_table(region))
            .and_then(|replica| replica.rows.insert(row_key(&item), item.clone()));
        record(&world, region, before.as_ref(), &item);
    });
}

impl Calls for Client {
    async fn get(&self, table: &str, key: Item, _consistent: bool) -> Result<Option<Item>, Cause> {
        let (name, id) = (table.to_owned(), row_key(&key).0);
        let found = self
            .call(move |world| Ok(lock(&world.tables).get(&name).and_then(|rows| rows.get(&key))))
            .await?;
        let row = found.as_ref().map(AccessRow::read);
        let mut reads = lock(&self.reads);
        let read = reads.entry(id).or_default();
        *read = Read {
            is_there: row.is_some(),
            known: row.as_ref().and_then(AccessRow::known),
            published: row.map(|row| (row.period, row.used)).unwrap_or_default(),
            count: read.count + 1,
        };
        Ok(found)
    }

    async fn batch_get(&self, table: &str, keys: Vec<Item>) -> Result<Found, Cause> {
        let name = table.to_owned();
        self.call(move |world| {
            let leaves_one = keys.len() > 1 && world.mishap(5);
            let (now, left) = keys.split_at(keys.len() - usize::from(leaves_one));
            let tables = lock(&world.tables);
            let items = now.iter().filter_map(|key| tables.get(&name)?.get(key)).collect();
            Ok(Found { items, left: left.to_vec() })
        })
        .await
    }

    async fn update(&self, table: &str, change: Change) -> Result<Updated, Cause> {
        let name = table.to_owned();
        self.call(move |world| apply(world, &name, &change)).await
    }
}

impl Transact for Client {
    async fn transact(&self, table: &str, changes: Vec<Change>) -> Result<bool, Cause> {
        let name = table.to_owned();
        self.call(move |world| {
            let mut tables = lock(&world.tables);
            let rows = tables.get_mut(&name).ok_or_else(|| format!("there is no table {name}"))?;
            for change in &changes {
                if !rows.admits(change)? {
                    return Ok(false);
                }
            }
            for change in &changes {
                rows.update(change)?;
            }
            Ok(true)
        })
        .await
    }
}
