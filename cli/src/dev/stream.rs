//! The stream on a laptop: shards, each a part of the kept copy, which is what is counted.

use std::io;
use std::sync::{Mutex, PoisonError};

use ipgeo_runtime::usage::KinesisRecord;
use jiff::Timestamp;
use tokio::sync::watch;

use crate::stream::{Keeper, LogPosition};

/// The stream: shards, each with the records put into it in order.
pub(crate) struct Stream {
    shards: Vec<(String, watch::Sender<()>)>,
    head: Mutex<Head>,
}

/// Where the stream stands.
struct Head {
    sequence: u128,
    keeper: Keeper,
}

impl Stream {
    /// A stream of `shards` shards, and for each what tells that there are new records in the copy. Shards of which only an
    /// earlier run has left records are among them, and end at once. Sequence numbers go on from the highest in the copy,
    /// or from `at_least`: never from a clock, which may be set back.
    pub(crate) fn new(
        shards: usize,
        at_least: u128,
        keeper: Keeper,
    ) -> (Self, Vec<(String, watch::Receiver<()>)>) {
        let (mut ins, mut outs) = (Vec::new(), Vec::new());
        let mut names = keeper.shards();
        for shard in 0..shards.max(1) {
            let name = format!("shardId-{shard:012}");
            let (put, get) = watch::channel(());
            names.remove(&name);
            ins.push((name.clone(), put));
            outs.push((name, get));
        }
        outs.extend(names.into_iter().map(|name| (name, watch::channel(()).1)));
        let head = Head { sequence: keeper.highest_sequence().max(at_least), keeper };
        (Self { shards: ins, head: Mutex::new(head) }, outs)
    }

    /// Puts a record; its log stream decides the shard, as a partition key does. `log` says how far the record brings its
    /// region's log. When it fails, nothing was put.
    pub(crate) fn put(&self, log_stream: &str, data: &[u8], log: LogPosition) -> io::Result<()> {
        let hash =
            log_stream.bytes().fold(0_usize, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
        let (shard, records) = &self.shards[hash % self.shards.len()];
        // Numbering and keeping are one step: a shard's records stand in the order of their numbers.
        let mut head = self.head.lock().unwrap_or_else(PoisonError::into_inner);
        let sequence = head.sequence + 1;
        let record = KinesisRecord::new(shard, &sequence.to_string(), data);
        // Kept before it is counted: what was counted can be counted again.
        head.keeper.keep(shard, Timestamp::now(), &record, Some(log))?;
        head.sequence = sequence;
        records.send_replace(());
        Ok(())
    }
}
