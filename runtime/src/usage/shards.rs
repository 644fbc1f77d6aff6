//! A shard's state before one of its batches is counted: which log lines are already counted, and whether Lambda may have
//! given up records before the batch.
//!
//! Lambda gives up records older than `RECORD_AGE_S` without notifying the counter: they go to the failure bucket, and the
//! watermarks of later batches pass them. Some of their items may have been counted before, others not. So a counter whose
//! shard has not been counted for almost that long records a *gap* before it continues. From then on, each item's first
//! write after the gap saves its previous watermark, which records permanently which events of the gap the item has. A gap where
//! nothing was lost (an idle day) is harmless: it costs each item of its months an attribute.
//!
//! The gap is an attribute `g#<number>` of the shard's row: where counting resumes, and when. An item's saved watermark is
//! `g#<number>#<shard>`, written together with its counts. `ipgeo usage recover` adds the events above that watermark: each
//! identity's events of a record in one transaction with a marker row, on the condition that the item has not changed
//! since it was read.

use std::collections::HashSet;
use std::sync::Arc;

use ipgeo_contract::{GAP_AGE_S, Gap, Month};
use jiff::{SignedDuration, Timestamp};

use super::decode::EventRecord;
use super::repeats::{Fingerprint, Position, Repeats, from_text};
use crate::store::{LedgerWrite, MonthTotals, ShardNote, StoreError};

/// A shard whose next batch is being counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shard {
    pub(super) name: String,
    /// Its saved progress.
    pub(super) note: ShardNote,
    /// Number of gaps before the batch.
    gaps: usize,
    /// The newest usage event of the shard up to the end of the batch.
    newest: Timestamp,
    /// When the batch is counted.
    counted: Timestamp,
}

impl Shard {
    /// Reads a shard's row; if records before `first` may have been given up, records a gap. No record may be counted
    /// without it.
    pub(super) async fn open<L: LedgerWrite>(
        ledger: &L,
        name: &str,
        first: &str,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let note = ledger.shard_note(name).await?;
        let has_gap = may_have_gap(note.as_ref(), first, now);
        let note = note.unwrap_or_default();
        let newest = note.newest.unwrap_or_default();
        let mut shard = Self { name: name.to_owned(), note, gaps: 0, newest, counted: now };
        if has_gap {
            let gap = Gap { behind: first.to_owned(), found: now };
            let number = u32::try_from(shard.note.gaps.len() + 1).unwrap_or(u32::MAX);
            if !ledger.note_gap(name, number, &gap).await? {
                return Err(StoreError {
                    action: format!("note of a gap in {name}"),
                    source: "another counter has just recorded one".into(),
                });
            }
            shard.note.gaps.push(gap);
        }
        // A redelivered batch is at its old position.
        shard.gaps = shard.note.gaps.partition_point(|gap| *gap.behind <= *first);
        Ok(shard)
    }

    /// Includes a batch, and what this counter has counted of the shard before, in its newest event; returns that.
    pub(super) fn include(&mut self, records: &[EventRecord], before: Option<Timestamp>) -> Timestamp {
        let times = records.iter().flat_map(|record| &record.events).map(|event| event.time);
        self.newest = times.chain(before).fold(self.newest, Timestamp::max);
        self.newest
    }

    /// A moment that no event in these totals is later than. Edges add their own calls after it, so an earlier one would count
    /// calls twice: lines of a slow region may be counted after later ones of another.
    pub(super) fn as_of(&self, totals: &MonthTotals) -> Timestamp {
        if totals.includes_others { self.newest.max(self.counted) } else { self.newest }
    }

    /// The number of the last gap before the batch, if events of `month` may be in it, and of the shard's last gap.
    pub(super) fn gap_of(&self, month: Month) -> Option<(u32, u32)> {
        let gap = self.note.gaps.get(self.gaps.checked_sub(1)?)?;
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        (month <= Month::from_time(gap.found)).then(|| (number(self.gaps), number(self.note.gaps.len())))
    }

    /// Removes lines that were counted elsewhere in the stream from this shard's records; returns their number. In a
    /// replay, saved fingerprints are ignored.
    pub(super) fn without_repeats(
        &self,
        records: &mut [EventRecord],
        repeats: &mut Repeats,
        is_replay: bool,
    ) -> u64 {
        let noted = if is_replay { "" } else { &self.note.fingerprints };
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
            let mut is_fresh = fresh.iter();
            record.events.retain(|_| is_fresh.next().copied().unwrap_or(true));
            let mut is_fresh = fresh.iter();
            record.fingerprints.retain(|_| is_fresh.next().copied().unwrap_or(true));
        }
        found
    }
}

/// Whether records may have been given up between a shard's counted position and its record `first`. A shard's records
/// arrive in order, and an event is older than its record's arrival. So records after the newest counted event arrived
/// later than it, and are given up `RECORD_AGE_S` after that at the earliest.
fn may_have_gap(note: Option<&ShardNote>, first: &str, now: Timestamp) -> bool {
    let Some(note) = note else { return true };
    let counted_until = note.newest.unwrap_or(Timestamp::MIN);
    let old = now.duration_since(counted_until) >= SignedDuration::from_secs(GAP_AGE_S);
    old && *first > *note.sequence && note.gaps.last().is_none_or(|gap| *gap.behind < *first)
}

#[cfg(test)]
mod tests {
    use ipgeo_contract::UsageEvent;

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
            // A redelivery or replay passes nothing.
            (Some(note(None, &[])), "5", false),
            // The batch failed after the gap was recorded.
            (Some(note(None, &["6"])), "6", false),
            (Some(note(None, &["6"])), "7", true),
        ];
        for (note, first, expected) in table {
            assert_eq!(may_have_gap(note.as_ref(), first, now), expected, "{note:?} {first}");
        }
    }

    #[test]
    fn a_gap_does_not_concern_items_of_later_months() {
        let gap = Gap { behind: "6".into(), found: at("2026-11-30T23:59:59Z") };
        let note = ShardNote { gaps: vec![gap], ..ShardNote::default() };
        let shard = Shard { name: "s".into(), note, gaps: 1, ..Shard::default() };
        let month = |text: &str| text.parse().expect("a month");
        assert_eq!(shard.gap_of(month("2026-10")), Some((1, 1)));
        assert_eq!(shard.gap_of(month("2026-11")), Some((1, 1)));
        assert_eq!(shard.gap_of(month("2026-12")), None);
        assert_eq!(Shard::default().gap_of(month("2026-11")), None);
    }

    #[test]
    fn totals_are_as_of_the_newest_event_or_of_now_if_they_include_those_of_others() {
        let line = r#"{"ipgeo":1,"t":1795522627042,"r":"eu-central-1","c":["sa.test","10d"]}"#;
        let event = UsageEvent::parse(line).expect("an event");
        let (time, later) = (event.time, at("2026-11-24T23:00:00Z"));
        let records = [EventRecord::new("s", "1", 0, vec![event]).expect("a record")];
        let counted = at("2026-11-25T00:00:00Z");
        let mut shard = Shard { newest: at("2026-11-24T00:00:00Z"), counted, ..Shard::default() };
        let totals = |includes_others| MonthTotals { includes_others, ..MonthTotals::default() };
        for (before, newest) in [(None, time), (Some(later), later), (Some(time), later)] {
            assert_eq!(shard.include(&records, before), newest);
            assert_eq!((shard.as_of(&totals(false)), shard.as_of(&totals(true))), (newest, counted));
        }
    }
}
