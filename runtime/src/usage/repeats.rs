//! Records that are in the stream twice: CloudWatch Logs promises to deliver at least once, so that it
//! may put the same batch of lines again, under a new sequence number that no watermark knows.
//!
//! The defence is a bounded memory of the batches seen lately. It does not outlive the environment: a
//! repeat on the other side of a restart is counted twice. How often CloudWatch Logs repeats itself, and
//! whether it does so to the byte, is not documented.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::decode::EventRecord;
use super::envelope::Envelope;

/// Batches remembered: at one batch a second and region, the last quarter of an hour of ten regions.
const REMEMBERED_MAX: usize = 10_000;

/// What makes a batch of lines itself: its log stream, the ids of its first and last line, its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Fingerprint(u64);

impl Fingerprint {
    /// Of a batch that came by no log.
    pub(super) fn of_content(content: u64) -> Self {
        Self(content)
    }

    pub(super) fn of(envelope: &Envelope) -> Self {
        let mut hasher = DefaultHasher::new();
        let lines = &envelope.log_events;
        let ends = (lines.first().map(|line| &line.id), lines.last().map(|line| &line.id));
        (&envelope.log_group, &envelope.log_stream, ends, lines.len()).hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// The batches seen lately, each with the place in the stream where it was seen first.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    first_seen: HashMap<Fingerprint, (String, String)>,
    order: VecDeque<Fingerprint>,
}

impl Repeats {
    /// Whether this record repeats one that stands earlier in the stream. A record that is delivered
    /// again stands where it stood: it is no repeat, and its watermarks will tell what it still adds.
    pub(super) fn is_repeat(&mut self, record: &EventRecord) -> bool {
        if record.events.is_empty() {
            return false;
        }
        let place = (record.shard.clone(), record.sequence.clone());
        if let Some(first) = self.first_seen.get(&record.fingerprint) {
            return *first != place;
        }
        self.first_seen.insert(record.fingerprint, place);
        self.order.push_back(record.fingerprint);
        if self.order.len() > REMEMBERED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.first_seen.remove(&oldest);
        }
        false
    }
}
