//! From the regions' logs to home's stream: lines wait, are batched, sent late, out of order and sometimes twice.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ipgeo_runtime::forward::{LogsBatch, LogsEvent};
use ipgeo_runtime::usage::{KinesisRecord, LogEvent, envelope};
use tokio::sync::Notify;

use crate::scenario::REGIONS;
use crate::shared::{Shared, lock};
use crate::weather::Link;

/// Most milliseconds that CloudWatch Logs keeps a line without trouble.
pub(crate) const LOG_LAG_MS: u64 = 180_000;
/// The leading digits of sequence numbers as Kinesis gives them.
const LONG: &str = "4959033827149025660855969253836157109592157598";

/// One shard of the stream.
#[derive(Debug)]
pub struct Shard {
    pub(crate) name: String,
    /// Its records, and when they arrived, milliseconds from the start.
    pub(crate) records: Vec<(u64, KinesisRecord)>,
    /// Records that the poller need not deliver again.
    pub(crate) done: usize,
    /// Its parent, which is read first.
    pub(crate) parent: Option<usize>,
    is_open: bool,
    pub(crate) arrived: Arc<Notify>,
}

/// The stream: its shards, and the number of its last record.
#[derive(Debug, Default)]
pub struct Stream {
    pub(crate) shards: Vec<Shard>,
    sequence: u64,
}

impl Stream {
    pub(crate) fn open(&mut self, parent: Option<usize>) -> usize {
        let name = format!("shardId-{:012}", self.shards.len());
        let arrived = Arc::new(Notify::new());
        self.shards.push(Shard { name, records: Vec::new(), done: 0, parent, is_open: true, arrived });
        self.shards.len() - 1
    }

    /// Closes a shard and opens two others in its place; returns them.
    pub(crate) fn split(&mut self, shard: usize) -> [usize; 2] {
        self.shards[shard].is_open = false;
        let children = [self.open(Some(shard)), self.open(Some(shard))];
        self.shards[shard].arrived.notify_one();
        children
    }

    pub(crate) fn open_shards(&self) -> Vec<usize> {
        (0..self.shards.len()).filter(|shard| self.shards[*shard].is_open).collect()
    }

    /// The shard of a partition key.
    fn shard_of(&self, key: &str) -> usize {
        let open = self.open_shards();
        let hash = key.bytes().fold(7_usize, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
        open[hash % open.len()]
    }

    /// Puts a payload, in base64.
    fn put(&mut self, key: &str, data: String, at_ms: u64) {
        let index = self.shard_of(key);
        self.sequence += 1;
        let sequence = format!("{LONG}{:010}", self.sequence);
        let shard = &mut self.shards[index];
        let mut record = KinesisRecord::new(&shard.name, &sequence, &[]);
        record.kinesis.data = data;
        shard.records.push((at_ms, record));
        shard.arrived.notify_one();
    }

    pub(crate) fn is_counted(&self) -> bool {
        self.shards.iter().all(|shard| shard.done == shard.records.len())
    }
}

/// A log stream's lines that are not sent yet.
#[derive(Debug, Default)]
struct Gathered {
    lines: Vec<LogEvent>,
    /// A task will send them.
    is_due: bool,
}

/// The logs of all regions, and the stream.
#[derive(Debug, Default)]
pub struct Pipes {
    gathered: Mutex<BTreeMap<(usize, String), Gathered>>,
    pub(crate) stream: Mutex<Stream>,
    /// Batches that a forwarder has given up, as Lambda stores them.
    pub(crate) failed_lines: Mutex<Vec<String>>,
    ids: Mutex<u64>,
}

impl Pipes {
    /// Takes a usage line.
    pub(crate) fn write(
        self: &Arc<Self>,
        world: &Arc<Shared>,
        region: usize,
        log_stream: &str,
        line: String,
    ) {
        let id = {
            let mut ids = lock(&self.ids);
            *ids += 1;
            format!("38{:054}", *ids)
        };
        let timestamp = world.clock(0).as_millisecond();
        let key = (region, log_stream.to_owned());
        let mut gathered = lock(&self.gathered);
        let waiting = gathered.entry(key.clone()).or_default();
        waiting.lines.push(LogEvent { id, timestamp, message: line });
        if !std::mem::replace(&mut waiting.is_due, true) {
            let (pipes, task) = (Arc::clone(self), Arc::clone(world));
            world.spawn(async move { pipes.send(&task, key).await });
        }
    }

    /// Sends a log stream's lines after a while, and again if CloudWatch Logs repeats them.
    async fn send(self: Arc<Self>, world: &Arc<Shared>, key: (usize, String)) {
        world.sleep_ms(world.between(500..=LOG_LAG_MS - 1_000)).await;
        while lock(&world.weather).trouble(Link::Pipe(key.0), world.ms()).is_some() {
            world.sleep_ms(world.between(1_000..=60_000)).await;
        }
        let lines = match lock(&self.gathered).get_mut(&key) {
            Some(waiting) => {
                waiting.is_due = false;
                std::mem::take(&mut waiting.lines)
            }
            None => return,
        };
        let shards = lock(&self.stream).shards.len();
        self.deliver(world, key.0, &key.1, lines.clone()).await;
        if world.mishap(60) {
            world.sleep_ms(world.between(0..=200_000)).await;
            // After a split, a repeat may be in another shard, where it is not recognised.
            if lock(&self.stream).shards.len() == shards {
                lock(&world.history).repeats += 1;
                let from = world.random(|random| random.usize(0..lines.len()));
                self.deliver(world, key.0, &key.1, lines[from..].to_vec()).await;
            }
        }
    }

    /// Puts a batch into the stream, through the region's pipe.
    async fn deliver(&self, world: &Arc<Shared>, region: usize, log_stream: &str, lines: Vec<LogEvent>) {
        let group = format!("/aws/lambda/ipgeo-{}", REGIONS[region]);
        let packed = STANDARD.encode(envelope(&group, log_stream, lines).unwrap_or_default());
        if !world.scenario.forwarders[region] {
            lock(&self.stream).put(log_stream, packed, world.ms());
            return;
        }
        let event = LogsEvent { awslogs: LogsBatch { data: packed } };
        let put = event.to_put("usage");
        world.sleep_ms(world.between(1..=300)).await;
        let text = |name: &str| put[name].as_str().unwrap_or_default().to_owned();
        lock(&self.stream).put(&text("PartitionKey"), text("Data"), world.ms());
    }

    /// Puts a batch that an operator recovers.
    pub fn put_again(&self, world: &Shared, event: &LogsEvent) {
        lock(&self.stream).put(&event.partition_key(), event.awslogs.data.clone(), world.ms());
    }

    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.gathered).values().all(|waiting| waiting.lines.is_empty())
            && lock(&self.stream).is_counted()
            && lock(&self.failed_lines).is_empty()
    }
}
