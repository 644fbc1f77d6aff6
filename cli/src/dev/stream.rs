//! Replaces Kinesis: each shard is a part of the stream's copy on disk, from which records are counted.

use std::io;
use std::sync::{Mutex, PoisonError};

use ipgeo_runtime::usage::KinesisRecord;
use jiff::Timestamp;
use tokio::sync::watch;

use crate::usage::stream::{LogPosition, StreamWriter};

/// The stream: shards, each with the records put into it in order.
pub(crate) struct Stream {
    shards: Vec<(String, watch::Sender<()>)>,
    head: Mutex<Head>,
}

struct Head {
    sequence: u128,
    keeper: StreamWriter,
}

impl Stream {
    /// A stream of `shards` shards, with a notifier of new records for each. It includes shards that only an earlier run
    /// wrote; those end at once. Sequence numbers continue from the highest in the copy, or from `at_least`; they never
    /// come from a clock, which may be set back.
    pub(crate) fn new(
        shards: usize,
        at_least: u128,
        keeper: StreamWriter,
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

    /// Puts a record; its log stream selects the shard, like a partition key. `log` is the position in its region's log
    /// after the record. On an error, nothing was written.
    pub(crate) fn put(&self, log_stream: &str, data: &[u8], log: LogPosition) -> io::Result<()> {
        let hash =
            log_stream.bytes().fold(0_usize, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
        let (shard, records) = &self.shards[hash % self.shards.len()];
        // Number and write in one step, so that a shard's records are in the order of their numbers.
        let mut head = self.head.lock().unwrap_or_else(PoisonError::into_inner);
        let sequence = head.sequence + 1;
        let record = KinesisRecord::new(shard, &sequence.to_string(), data);
        // Written before it is counted, so that a counted record can be replayed.
        head.keeper.keep(shard, Timestamp::now(), &record, Some(log))?;
        head.sequence = sequence;
        records.send_replace(());
        Ok(())
    }
}
