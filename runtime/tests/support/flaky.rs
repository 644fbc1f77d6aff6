//! A store with the failures of a network and a store: it refuses, applies and loses the answer, applies after its caller has
//! given up, or answers wrongly. The same seed gives the same failures.

use std::sync::Mutex;

use ipgeo_contract::{Gap, Identity, Limit, Published};
use ipgeo_runtime::store::{Applied, LedgerUpdate, LedgerWrite, Newest, PublishWrite, ShardNote, StoreError};
use jiff::Timestamp;
use tokio::sync::Notify;

use super::MemoryStore;

/// Failures per thousand writes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rates {
    /// Not written: throttled, or the request lost.
    pub refused: u32,
    /// Written, and the answer lost.
    pub lost: u32,
    /// Given up by the writer, and written some writes later.
    pub late: u32,
    /// Written, with an answer that the adapter can't read.
    pub garbled: u32,
}

/// A write whose caller has given up.
#[derive(Debug)]
enum Late {
    Ledger(LedgerUpdate),
    Published(Identity, Published),
    Note(Newest, Timestamp),
}

/// Failures that occurred in a run: a test of faults without faults would prove nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    pub writes: u64,
    pub refused: u64,
    pub lost: u64,
    pub late: u64,
    pub garbled: u64,
    pub kills: u64,
}

impl Done {
    /// Adds the failures of another run.
    pub fn add(&mut self, other: Self) {
        let Self { writes, refused, lost, late, garbled, kills } = other;
        self.writes += writes;
        self.refused += refused;
        self.lost += lost;
        self.late += late;
        self.garbled += garbled;
        self.kills += kills;
    }
}

#[derive(Debug)]
struct Chance {
    rng: fastrand::Rng,
    /// Writes until the process is killed.
    kill_in: Option<u32>,
}

/// The memory store behind a failing network.
#[derive(Debug)]
pub struct FlakyStore {
    pub memory: MemoryStore,
    pub rates: Mutex<Rates>,
    pub killed: Notify,
    pub done: Mutex<Done>,
    chance: Mutex<Chance>,
    late: Mutex<Vec<Late>>,
}

enum Way {
    Well,
    Refused,
    Lost,
    Late,
    Garbled,
}

fn failed(why: &str) -> StoreError {
    StoreError { action: "write".into(), source: why.to_owned().into() }
}

impl FlakyStore {
    /// A store that lives as long as the test.
    pub fn leaked(seed: u64, rates: Rates) -> &'static Self {
        Box::leak(Box::new(Self {
            memory: MemoryStore::default(),
            rates: Mutex::new(rates),
            killed: Notify::new(),
            done: Mutex::default(),
            chance: Mutex::new(Chance { rng: fastrand::Rng::with_seed(seed), kill_in: None }),
            late: Mutex::default(),
        }))
    }

    /// Kills the writer of the `writes`-th write from now on, during that write.
    pub fn kill_after(&self, writes: u32) {
        self.chance.lock().unwrap().kill_in = Some(writes);
    }

    /// From now on, refuses all writes, or none.
    pub fn set_gone(&self, gone: bool) {
        *self.rates.lock().unwrap() = Rates { refused: if gone { 1_000 } else { 0 }, ..Rates::default() };
    }

    /// Ends all failures; late writes arrive.
    pub fn calm(&self) {
        self.chance.lock().unwrap().kill_in = None;
        self.arrive(|_| true);
    }

    fn roll(&self) -> (Way, u32, u32) {
        let mut done = self.done.lock().unwrap();
        let mut chance = self.chance.lock().unwrap();
        done.writes += 1;
        if let Some(left) = &mut chance.kill_in {
            *left = left.saturating_sub(1);
            if *left == 0 {
                chance.kill_in = None;
                done.kills += 1;
                self.killed.notify_one();
            }
        }
        let (before, after) = (chance.rng.u32(0..3), chance.rng.u32(0..3));
        let Rates { refused, lost, late, garbled } = *self.rates.lock().unwrap();
        let drawn = chance.rng.u32(0..1_000);
        let (way, count) = match drawn {
            n if n < refused => (Way::Refused, &mut done.refused),
            n if n < refused + lost => (Way::Lost, &mut done.lost),
            n if n < refused + lost + late => (Way::Late, &mut done.late),
            n if n < refused + lost + late + garbled => (Way::Garbled, &mut done.garbled),
            _ => return (Way::Well, before, after),
        };
        *count += 1;
        (way, before, after)
    }

    /// Applies the chosen late writes, whatever has happened since.
    fn arrive(&self, mut chosen: impl FnMut(&mut fastrand::Rng) -> bool) {
        let mut waiting = self.late.lock().unwrap();
        let mut chance = self.chance.lock().unwrap();
        let (now, still): (Vec<_>, Vec<_>) = waiting.drain(..).partition(|_| chosen(&mut chance.rng));
        *waiting = still;
        drop((waiting, chance));
        for write in now {
            match write {
                Late::Ledger(update) => drop(self.memory.add(&update)),
                Late::Published(identity, published) => self.memory.set(&identity, published),
                Late::Note(newest, counted) => self.memory.note_newest(&newest, counted),
            }
        }
    }

    /// One write: the delay of its arrival, its failure, the delay of its answer.
    async fn write<T>(&self, apply: impl Fn() -> T + Send, late: Late) -> Result<T, StoreError> {
        let (way, before, after) = self.roll();
        wait(before).await;
        self.arrive(|rng| rng.u8(0..4) == 0);
        let answer = match way {
            Way::Well => Ok(apply()),
            Way::Refused => Err(failed("throttled")),
            Way::Lost => {
                apply();
                Err(failed("no answer in time"))
            }
            Way::Late => {
                self.late.lock().unwrap().push(late);
                Err(failed("no answer in time"))
            }
            Way::Garbled => {
                apply();
                Err(failed("the answer is not what it should be"))
            }
        };
        wait(after).await;
        answer
    }
}

async fn wait(turns: u32) {
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
}

impl LedgerWrite for &'static FlakyStore {
    async fn apply(&self, update: &LedgerUpdate) -> Result<Applied, StoreError> {
        self.write(|| self.memory.add(update), Late::Ledger(update.clone())).await
    }

    async fn shard_note(&self, shard: &str) -> Result<Option<ShardNote>, StoreError> {
        Ok(self.memory.shard_note(shard))
    }

    async fn note_gap(&self, shard: &str, number: u32, gap: &Gap) -> Result<bool, StoreError> {
        Ok(self.memory.note_gap(shard, number, gap))
    }

    async fn note_newest(&self, newest: &Newest, counted: Timestamp) -> Result<(), StoreError> {
        let note = || self.memory.note_newest(newest, counted);
        self.write(note, Late::Note(newest.clone(), counted)).await
    }
}

impl PublishWrite for &'static FlakyStore {
    async fn publish(
        &self,
        identity: &Identity,
        _limit: Limit,
        published: Published,
    ) -> Result<Option<Limit>, StoreError> {
        let set = || self.memory.set(identity, published);
        self.write(set, Late::Published(identity.clone(), published)).await.map(|()| None)
    }
}
