//! A usage stream in memory: shards that split and merge, records that are corrupt or duplicated, and the poller's
//! progress in each shard. Seeded.

use std::io::Write as _;
use std::sync::OnceLock;

use flate2::Compression;
use flate2::write::GzEncoder;
use ipgeo_contract::{UsageEvent, Verdict, padded_sequence};
use ipgeo_runtime::usage::{BatchResponse, KinesisRecord, LogEvent, envelope};

use super::event;

/// Who is charged, and the limit that applies.
pub const IDENTITIES: [(&str, &str); 7] = [
    ("site#a.test", "40/day"),
    ("site#b.test", "90/month"),
    ("key#0a", "120/month"),
    ("key#0b", "13/day"),
    ("key#0c", "1000/month"),
    ("addr#0d", "9/day"),
    ("addr#*", "5/day"),
];
/// In the past, because the counter skips events of the future.
const TIMES: [&str; 4] =
    ["2026-10-30T10:00:00Z", "2026-10-31T23:59:59.999Z", "2026-11-01T00:00:00Z", "2026-11-01T12:00:00Z"];
/// The leading digits of sequence numbers as Kinesis gives them: more than 128 bits.
const LONG: &str = "4959033827149025660855969253836157109592157598";

/// A shard: its records, and the poller's progress.
#[derive(Debug)]
pub struct Shard {
    pub name: String,
    pub records: Vec<KinesisRecord>,
    /// Records that need not be delivered again.
    pub done: usize,
    /// The parent shards; this one is read after all their records.
    pub parents: Vec<usize>,
    open: bool,
}

/// A complete stream.
#[derive(Debug)]
pub struct Stream {
    pub shards: Vec<Shard>,
    /// The readable events.
    pub events: Vec<UsageEvent>,
    /// Unreadable records.
    pub poisoned: u64,
    /// Records that are in it twice, under two sequence numbers.
    pub repeated: u64,
    sequence: u64,
    long: bool,
}

impl Stream {
    /// Writes a stream of this many records, some of them duplicated: `anywhere`, or in the shard of the original, as
    /// CloudWatch Logs does until shards are split or merged.
    pub fn written(rng: &mut fastrand::Rng, records: usize, anywhere: bool) -> Self {
        let (sequence, long) = (rng.u64(1..2_000), rng.bool());
        let mut stream =
            Self { shards: Vec::new(), events: Vec::new(), poisoned: 0, repeated: 0, sequence, long };
        for _ in 0..rng.usize(1..3) {
            stream.open(Vec::new());
        }
        for _ in 0..records {
            match rng.u8(0..100) {
                0..3 => stream.split(rng),
                3..6 => stream.merge(rng),
                6..18 => stream.poison(rng),
                18..26 => stream.repeat(rng, anywhere),
                _ => stream.write(rng),
            }
        }
        stream
    }

    fn open(&mut self, parents: Vec<usize>) {
        for parent in &parents {
            self.shards[*parent].open = false;
        }
        let name = format!("shardId-{:012}", self.shards.len());
        self.shards.push(Shard { name, records: Vec::new(), done: 0, parents, open: true });
    }

    fn open_shard(&self, rng: &mut fastrand::Rng) -> usize {
        let open: Vec<usize> = (0..self.shards.len()).filter(|shard| self.shards[*shard].open).collect();
        open[rng.usize(0..open.len())]
    }

    fn split(&mut self, rng: &mut fastrand::Rng) {
        let parent = self.open_shard(rng);
        self.open(vec![parent]);
        self.open(vec![parent]);
    }

    fn merge(&mut self, rng: &mut fastrand::Rng) {
        let (one, other) = (self.open_shard(rng), self.open_shard(rng));
        if one != other {
            self.open(vec![one, other]);
        }
    }

    fn put(&mut self, rng: &mut fastrand::Rng, data: &[u8]) {
        let shard = self.open_shard(rng);
        let record = KinesisRecord::new("", "", data);
        self.put_in(rng, shard, record.kinesis.data);
    }

    /// Puts a payload, in base64, into a shard.
    fn put_in(&mut self, rng: &mut fastrand::Rng, shard: usize, payload: String) {
        self.sequence += rng.u64(1..40);
        let digits =
            if self.long { format!("{LONG}{:010}", self.sequence) } else { self.sequence.to_string() };
        let shard = &mut self.shards[shard];
        let mut record = KinesisRecord::new(&shard.name, &digits, &[]);
        record.kinesis.data = payload;
        shard.records.push(record);
    }

    fn write(&mut self, rng: &mut fastrand::Rng) {
        let events: Vec<UsageEvent> = (0..rng.usize(0..9)).map(|_| any_event(rng)).collect();
        let data = self.packed(rng, &events);
        self.put(rng, &data);
        self.events.extend(events);
    }

    /// A batch of log lines, some of which are not ours.
    fn packed(&self, rng: &mut fastrand::Rng, events: &[UsageEvent]) -> Vec<u8> {
        let mut lines: Vec<String> = events.iter().map(UsageEvent::to_line).collect();
        for foreign in ["START RequestId: 1", r#"{"ipgeo":2,"n":9}"#, r#"{"ipgeo":1,"t":0,"c":["x","1d"]}"#] {
            if rng.u8(0..8) == 0 {
                lines.insert(rng.usize(0..=lines.len()), foreign.to_owned());
            }
        }
        let line =
            |(index, message)| LogEvent { id: format!("{}-{index}", self.sequence), timestamp: 0, message };
        envelope("ipgeo", "stream", lines.into_iter().enumerate().map(line).collect()).expect("packs")
    }

    fn poison(&mut self, rng: &mut fastrand::Rng) {
        let events: Vec<UsageEvent> = (0..4).map(|_| any_event(rng)).collect();
        let good = self.packed(rng, &events);
        let data = match rng.u8(0..7) {
            0 => Vec::new(),
            1 => b"not gzip at all".to_vec(),
            2 => good[..rng.usize(1..good.len() - 1)].to_vec(),
            3 => gzip(b"{\"messageType\":"),
            4 => gzip(b"{\"messageType\":\"OTHER\",\"logEvents\":[]}"),
            5 => gzip(&[b'['; 5_000]),
            _ if rng.u8(0..60) == 0 => huge().clone(),
            _ => [good.as_slice(), b"and more"].concat(),
        };
        self.put(rng, &data);
        self.poisoned += 1;
    }

    /// Repeats an earlier record, as CloudWatch Logs may.
    fn repeat(&mut self, rng: &mut fastrand::Rng, anywhere: bool) {
        let first = rng.usize(0..self.shards.len());
        let Shard { records, open, .. } = &self.shards[first];
        if records.is_empty() || !(anywhere || *open) {
            return;
        }
        let payload = records[rng.usize(0..records.len())].kinesis.data.clone();
        let shard = if anywhere { self.open_shard(rng) } else { first };
        self.put_in(rng, shard, payload);
        self.repeated += 1;
    }

    /// A batch of a shard: from the poller's position or earlier, of any length, in any order, with duplicates.
    pub fn batch(&self, rng: &mut fastrand::Rng, shard: usize) -> Vec<KinesisRecord> {
        let shard = &self.shards[shard];
        let back = if rng.u8(0..3) == 0 { rng.usize(0..6) } else { 0 };
        let first = shard.done.saturating_sub(back);
        let end = (shard.done + rng.usize(1..9)).min(shard.records.len());
        let mut batch = shard.records[first..end].to_vec();
        if rng.u8(0..4) == 0 {
            batch.push(batch[rng.usize(0..batch.len())].clone());
        }
        if rng.bool() {
            rng.shuffle(&mut batch);
        }
        batch
    }

    /// The poller's position in a shard after a batch: after the batch, or at its lowest failure.
    pub fn settle(&mut self, shard: usize, batch: &[KinesisRecord], response: &BatchResponse) {
        let of = |text: &str| padded_sequence(text).expect("a sequence number");
        let shard = &mut self.shards[shard];
        let place = |sequence: &str| {
            let found =
                shard.records.iter().position(|record| of(&record.kinesis.sequence_number) == sequence);
            found.expect("a record of the shard")
        };
        let failures = response.batch_item_failures.iter().map(|failure| of(&failure.item_identifier));
        let last = batch.iter().map(|record| of(&record.kinesis.sequence_number)).max();
        shard.done = match failures.min() {
            Some(lowest) => place(&lowest),
            None => last.map_or(shard.done, |last| place(&last) + 1),
        };
    }

    /// The shards that may be read: not finished, and all parents are.
    pub fn ready(&self) -> Vec<usize> {
        let is_ready = |shard: &usize| !self.is_done(*shard) && self.parents_are_done(*shard);
        (0..self.shards.len()).filter(is_ready).collect()
    }

    fn is_done(&self, shard: usize) -> bool {
        self.shards[shard].done == self.shards[shard].records.len()
    }

    fn parents_are_done(&self, shard: usize) -> bool {
        let parents = &self.shards[shard].parents;
        parents.iter().all(|parent| self.is_done(*parent) && self.parents_are_done(*parent))
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(bytes).expect("packs");
    packer.finish().expect("packs")
}

/// A record that unpacks to more than the maximum size.
fn huge() -> &'static Vec<u8> {
    static HUGE: OnceLock<Vec<u8>> = OnceLock::new();
    HUGE.get_or_init(|| gzip(&vec![b' '; 64 * 1024 * 1024 + 1]))
}

fn any_event(rng: &mut fastrand::Rng) -> UsageEvent {
    let (identity, limit) = IDENTITIES[rng.usize(0..IDENTITIES.len())];
    let mut event = event(TIMES[rng.usize(0..TIMES.len())], identity, limit);
    if identity.starts_with("addr#") && rng.bool() {
        event.charges.extend(super::event(TIMES[0], IDENTITIES[0].0, IDENTITIES[0].1).charges);
    }
    event.request_id = String::new();
    event.tier = String::new();
    if rng.u8(0..5) == 0 {
        (event.verdict, event.cost) = (Verdict::OverQuota, 0);
    } else {
        event.cost = rng.u64(0..4);
    }
    event.region = ipgeo_contract::RegionName::new(["us-east-1", "eu-central-1"][rng.usize(0..2)]);
    event
}
