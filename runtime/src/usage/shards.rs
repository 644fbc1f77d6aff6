//! What a counter must know of a shard before it counts a batch of it: which log lines are counted already, and
//! whether records before this batch may have been given up.
//!
//! Lambda gives up records that are older than `RECORD_AGE_S`, without a word to the counter: they are in the failure bucket,
//! and the watermarks of later batches pass them. Some of their items may have been counted before, others not. So a
//! counter that finds its shard uncounted for nearly so long notes a *gap* before it counts on, and from then on every
//! item keeps the watermark that it had when it was first written behind the gap. That tells for ever what of the
//! gap it has. A gap that is noted where nothing was lost does no harm: it costs each item an attribute.

use std::collections::HashSet;
use std::sync::Arc;

use ipgeo_contract::{GAP_AGE_S, Gap, Month};
use jiff::{SignedDuration, Timestamp};

use super::decode::EventRecord;
use super::repeats::{Fingerprint, Position, Repeats, from_text};
use crate::store::{LedgerWrite, ShardNote, StoreError};

/// A shard, as its next batch is counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shard {
    /// Its name.
    pub(super) name: String,
    /// What was noted of it.
    pub(super) note: ShardNote,
    /// The gaps that the batch is behind.
    gaps: usize,
}

impl Shard {
    /// Reads what is noted of a shard; when records before `first` may have been given up, notes that. Without it no
    /// record may be counted.
    pub(super) async fn open<L: LedgerWrite>(
        ledger: &L,
        name: &str,
        first: &str,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let note = ledger.shard_note(name).await?;
        let has_gap = may_have_gap(note.as_ref(), first, now);
        let mut shard = Self { name: name.to_owned(), note: note.unwrap_or_default(), gaps: 0 };
        if has_gap {
            let gap = Gap { behind: first.to_owned(), found: now };
            let number = u32::try_from(shard.note.gaps.len() + 1).unwrap_or(u32::MAX);
            if !ledger.note_gap(name, number, &gap).await? {
                return Err(StoreError {
                    action: format!("note of a gap in {name}"),
                    source: "another counter has just noted one".into(),
                });
            }
            shard.note.gaps.push(gap);
        }
        // A batch of before, delivered again, is where it was.
        shard.gaps = shard.note.gaps.partition_point(|gap| *gap.behind <= *first);
        Ok(shard)
    }

    /// The last gap before the batch by its number, when events of `month` may be in it, and the last of all.
    pub(super) fn gap_of(&self, month: Month) -> Option<(u32, u32)> {
        let gap = self.note.gaps.get(self.gaps.checked_sub(1)?)?;
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        (month <= Month::of(gap.found)).then(|| (number(self.gaps), number(self.note.gaps.len())))
    }

    /// Takes the lines out of records of this shard that were counted elsewhere in the stream; how many they were. With
    /// `again`, the notes are not asked: the stream is counted once more.
    pub(super) fn without_repeats(
        &self,
        records: &mut [EventRecord],
        repeats: &mut Repeats,
        again: bool,
    ) -> u64 {
        let noted = if again { "" } else { &self.note.fingerprints };
        let counted: HashSet<_> = from_text(noted).into_iter().collect();
        let mut found = 0;
        for record in records {
            let position: Position = Arc::new((record.shard.clone(), record.sequence.clone()));
            let is_fresh = |fingerprint: &Option<Fingerprint>| {
                fingerprint.is_none_or(|fingerprint| !repeats.is_repeat(fingerprint, &position, &counted))
            };
            let fresh: Vec<bool> = record.fingerprints.iter().map(is_fresh).collect();
            if fresh.iter().all(|fresh| *fresh) {
                continue;
            }
            found += fresh.iter().filter(|fresh| !**fresh).count() as u64;
            let mut keeps = fresh.iter();
            record.events.retain(|_| keeps.next().copied().unwrap_or(true));
            let mut keeps = fresh.iter();
            record.fingerprints.retain(|_| keeps.next().copied().unwrap_or(true));
        }
        found
    }
}

/// Whether records may have been given up between what was counted of a shard and its record `first`. A shard's records
/// arrive in order, and an event is older than the arrival of its record: what follows the newest counted event arrived
/// after it, and is given up `RECORD_AGE_S` later at the earliest.
fn may_have_gap(note: Option<&ShardNote>, first: &str, now: Timestamp) -> bool {
    let Some(note) = note else { return true };
    let counted_until = note.newest.unwrap_or(Timestamp::MIN);
    let old = now.duration_since(counted_until) >= SignedDuration::from_secs(GAP_AGE_S);
    old && *first > *note.sequence && note.gaps.last().is_none_or(|gap| *gap.behind < *first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a timestamp")
    }

    #[test]
    fn a_gap_is_suspected_before_lambda_gives_anything_up() {
        let note = |newest: Option<&str>, gaps: &[&str]| ShardNote {
            sequence: "5".into(),
            newest: newest.map(at),
            gaps: gaps
                .iter()
                .map(|behind| Gap { behind: (*behind).into(), found: at("2026-11-24T00:00:00Z") })
                .collect(),
            ..ShardNote::default()
        };
        let now = at("2026-11-24T22:00:00Z");
        let table = [
            (None, "6", true),
            (Some(note(Some("2026-11-24T00:00:01Z"), &[])), "6", false),
            (Some(note(Some("2026-11-24T00:00:00Z"), &[])), "6", true),
            (Some(note(None, &[])), "6", true),
            // Delivered again, or counted again: nothing is passed.
            (Some(note(None, &[])), "5", false),
            // It failed after the gap was noted.
            (Some(note(None, &["6"])), "6", false),
            (Some(note(None, &["6"])), "7", true),
        ];
        for (note, first, expected) in table {
            assert_eq!(may_have_gap(note.as_ref(), first, now), expected, "{note:?} {first}");
        }
    }

    #[test]
    fn items_of_later_months_have_nothing_in_a_gap() {
        let gap = Gap { behind: "6".into(), found: at("2026-11-30T23:59:59Z") };
        let note = ShardNote { gaps: vec![gap], ..ShardNote::default() };
        let shard = Shard { name: "s".into(), note, gaps: 1 };
        let month = |text: &str| text.parse().expect("a month");
        assert_eq!(shard.gap_of(month("2026-10")), Some((1, 1)));
        assert_eq!(shard.gap_of(month("2026-11")), Some((1, 1)));
        assert_eq!(shard.gap_of(month("2026-12")), None);
        assert_eq!(Shard::default().gap_of(month("2026-11")), None);
    }
}
