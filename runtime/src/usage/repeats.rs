//! Recognises log lines that are in the stream twice. CloudWatch Logs delivers at least once, so it may put lines again, in
//! different batches and under new sequence numbers that watermarks can't recognise.
//!
//! Each line has its own id. An environment remembers the lines that it has seen, and stores the latest in the row that it
//! writes with every batch anyway, so that a new environment knows them too. A repeat is counted twice only if it comes after a
//! restart, and either later than the stored lines reach or in another shard (after a split), or if a copy is in a record that
//! Lambda gave up and was not stored as counted before the other copy was: a recovery stores no lines, and a record that was
//! counted in part is not stored. A batch whose lines could not be stored is redelivered, although they are counted. AWS does not
//! document how often lines are repeated.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Maximum lines that an environment remembers: a few minutes at 1B calls a month, in 10 MB.
const REMEMBERED_MAX: usize = 200_000;
/// Maximum lines stored in the shard's row: seven minutes at 25M calls a month. Each kilobyte costs a write unit per batch.
const STORED_MAX: usize = 4_000;
/// Bytes of a fingerprint: a collision between two lines is expected once in a thousand months.
const BYTES: usize = 6;
/// Characters of a fingerprint in the row.
const CHARS: usize = 8;

/// Fingerprint of a log line: a hash of its log group, log stream and id. Stable across builds, because it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Fingerprint(u64);

impl Fingerprint {
    /// For the nth event of a batch that did not come from a log.
    pub(super) fn from_content(content: u64, index: usize) -> Self {
        Self::from_parts(&[&content.to_le_bytes(), &index.to_le_bytes()])
    }

    /// For a line; `None` if it has no id.
    pub(super) fn from_line(log_group: &str, log_stream: &str, id: &str) -> Option<Self> {
        (!id.is_empty())
            .then(|| Self::from_parts(&[log_group.as_bytes(), log_stream.as_bytes(), id.as_bytes()]))
    }

    /// FNV-1a over the parts and their lengths, with a final mix so that all retained bits depend on all input.
    fn from_parts(parts: &[&[u8]]) -> Self {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for part in parts {
            let length = part.len() as u64;
            for byte in length.to_le_bytes().iter().chain(*part) {
                hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
        }
        hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        Self((hash ^ (hash >> 33)) >> (64 - 8 * BYTES))
    }
}

/// Encodes fingerprints for a ledger row: newest last, the oldest dropped.
pub(super) fn to_text(fingerprints: impl DoubleEndedIterator<Item = Fingerprint>) -> String {
    let mut latest: Vec<Fingerprint> = fingerprints.rev().take(STORED_MAX).collect();
    latest.reverse();
    let bytes: Vec<u8> =
        latest.iter().flat_map(|Fingerprint(bits)| bits.to_be_bytes().into_iter().skip(8 - BYTES)).collect();
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Decodes fingerprints; malformed ones are skipped.
pub(super) fn from_text(text: &str) -> Vec<Fingerprint> {
    let decoded = |text: &[u8]| URL_SAFE_NO_PAD.decode(text).ok();
    // All at once, because it is done twice a batch; one by one only if something in it is malformed.
    let (texts, _) = text.as_bytes().as_chunks::<CHARS>();
    let bytes = decoded(texts.as_flattened())
        .unwrap_or_else(|| texts.iter().filter_map(|text| decoded(text)).flatten().collect());
    let (parts, _) = bytes.as_chunks::<BYTES>();
    let bits = |part: &[u8; BYTES]| part.iter().fold(0, |bits, byte| bits << 8 | u64::from(*byte));
    parts.iter().map(|part| Fingerprint(bits(part))).collect()
}

/// The position of a record: shard and sequence number.
pub(super) type Position = Arc<(String, String)>;

/// The lines seen lately, each with the record in which it was seen first.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    first_seen: HashMap<Fingerprint, Position>,
    order: VecDeque<Fingerprint>,
}

impl Repeats {
    /// Whether this line repeats one elsewhere in the stream, or one of those `counted` already. A redelivered record has the
    /// same position, so it is not a repeat: watermarks decide what it still adds.
    pub(super) fn is_repeat(
        &mut self,
        fingerprint: Fingerprint,
        position: &Position,
        counted: &HashSet<Fingerprint>,
    ) -> bool {
        if let Some(first) = self.first_seen.get(&fingerprint) {
            return first != position;
        }
        if counted.contains(&fingerprint) {
            return true;
        }
        self.first_seen.insert(fingerprint, Arc::clone(position));
        self.order.push_back(fingerprint);
        if self.order.len() > REMEMBERED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.first_seen.remove(&oldest);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_read_back_and_the_newest_are_stored() {
        let all: Vec<Fingerprint> =
            (0..STORED_MAX + 7).map(|index| Fingerprint::from_content(1, index)).collect();
        let text = to_text(all.iter().copied());
        // A DynamoDB item has at most 400 KB.
        assert_eq!(text.len(), STORED_MAX * CHARS);
        assert_eq!(from_text(&text), all[7..]);
        assert_eq!(from_text("*******"), []);
        assert_eq!(from_text("********AAAAAAAA"), [Fingerprint(0)]);
        assert_eq!(all.iter().copied().collect::<HashSet<Fingerprint>>().len(), all.len());
    }

    #[test]
    fn the_latest_lines_are_remembered_and_no_more() {
        let position = |sequence: &str| Position::new(("shard".to_owned(), sequence.to_owned()));
        let line = |index: usize| Fingerprint::from_content(2, index);
        let (mut repeats, first, second, none) =
            (Repeats::default(), position("1"), position("2"), HashSet::new());
        for index in 0..REMEMBERED_MAX {
            assert!(!repeats.is_repeat(line(index), &first, &none));
        }
        assert!(repeats.is_repeat(line(0), &second, &none) && !repeats.is_repeat(line(0), &first, &none));
        // One more: the oldest is forgotten, and counts as new.
        assert!(!repeats.is_repeat(line(REMEMBERED_MAX), &first, &none));
        assert!(repeats.is_repeat(line(1), &second, &none));
        assert!(!repeats.is_repeat(line(0), &second, &none));
        assert_eq!((repeats.order.len(), repeats.first_seen.len()), (REMEMBERED_MAX, REMEMBERED_MAX));
    }

    #[test]
    fn a_line_is_identified_by_its_stream_and_its_id() {
        let line = |stream: &str, id: &str| Fingerprint::from_line("group", stream, id);
        assert_eq!(line("a", "1"), line("a", "1"));
        assert_ne!(line("a", "1"), line("a", "2"));
        assert_ne!(line("a", "1"), line("b", "1"));
        assert_ne!(line("a", "11"), line("a1", "1"));
        assert_eq!(line("a", ""), None);
        // The next version must read what this one writes.
        assert_eq!(line("a", "1").map(|found| to_text([found].into_iter())).as_deref(), Some(STABLE));
    }

    const STABLE: &str = "cnfwri9p";
}
