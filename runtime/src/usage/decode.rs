//! Decodes stream records to usage events. Pure; whatever is unreadable is skipped and counted.

use std::collections::BTreeMap;

use ipgeo_contract::{LineError, UsageEvent, padded_sequence};
use jiff::Timestamp;
use serde::Serialize;

use super::envelope::{
    CONTROL_MESSAGE, DATA_MESSAGE, Envelope, KinesisEvent, KinesisRecord, RecordFault, unpack,
};
use super::repeats::Fingerprint;

/// A decoded record of the stream.
#[derive(Clone, Debug)]
pub struct EventRecord {
    /// The shard of the record.
    pub shard: String,
    /// Padded sequence number.
    pub sequence: String,
    /// The sequence number as received, which failures are reported by.
    pub raw_sequence: String,
    /// The usage events in it, in order.
    pub events: Vec<UsageEvent>,
    /// Fingerprints of the events' log lines, one per event.
    pub(super) fingerprints: Vec<Option<Fingerprint>>,
}

impl EventRecord {
    /// A record of usage events that did not come from a log. `content` identifies its content: two records with the same one
    /// are repeats. `None` if the sequence number is not a number.
    pub fn new(shard: &str, sequence: &str, content: u64, events: Vec<UsageEvent>) -> Option<Self> {
        Some(Self {
            shard: shard.to_owned(),
            sequence: padded_sequence(sequence)?,
            raw_sequence: sequence.to_owned(),
            fingerprints: (0..events.len())
                .map(|index| Some(Fingerprint::from_content(content, index)))
                .collect(),
            events,
        })
    }
}

/// A decoded batch.
#[derive(Debug, Default)]
pub struct Decoded {
    /// The readable records, sorted by shard and sequence number, each once.
    pub records: Vec<EventRecord>,
    /// What was skipped.
    pub skipped: Skipped,
}

/// What was skipped, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Unreadable records, by fault.
    pub records: BTreeMap<RecordFault, u64>,
    /// Test messages of CloudWatch Logs.
    pub control_messages: u64,
    /// Lines that are not usage lines.
    pub foreign_lines: u64,
    /// Usage lines of another version.
    pub unknown_versions: u64,
    /// Usage lines with a missing or invalid field.
    pub broken_lines: u64,
    /// Usage lines dated on a future day.
    pub future_lines: u64,
}

impl Skipped {
    /// Records and usage lines that could not be read. Control messages and foreign lines are not usage.
    pub fn unreadable(&self) -> u64 {
        self.records.values().sum::<u64>() + self.broken_lines + self.unknown_versions + self.future_lines
    }
}

/// Decodes a batch at the time `now`. Records that are repeated in the batch are returned once.
pub fn decode(event: &KinesisEvent, now: Timestamp) -> Decoded {
    let mut decoded = Decoded::default();
    for record in &event.records {
        match read_record(record, now, &mut decoded.skipped) {
            Ok(Some(record)) => decoded.records.push(record),
            Ok(None) => decoded.skipped.control_messages += 1,
            Err(fault) => *decoded.skipped.records.entry(fault).or_default() += 1,
        }
    }
    decoded.records.sort_by(|a, b| (&a.shard, &a.sequence).cmp(&(&b.shard, &b.sequence)));
    decoded.records.dedup_by(|a, b| a.shard == b.shard && a.sequence == b.sequence);
    decoded
}

/// Whether a shard's name is safe as a sort key and in attribute names.
fn is_shard(name: &str) -> bool {
    (1..=128).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

fn read_record(
    record: &KinesisRecord,
    now: Timestamp,
    skipped: &mut Skipped,
) -> Result<Option<EventRecord>, RecordFault> {
    if !is_shard(record.shard()) {
        return Err(RecordFault::Shard);
    }
    let sequence = padded_sequence(&record.kinesis.sequence_number).ok_or(RecordFault::Sequence)?;
    let envelope = unpack(&record.kinesis.data)?;
    match envelope.message_type.as_str() {
        DATA_MESSAGE => {}
        CONTROL_MESSAGE => return Ok(None),
        _ => return Err(RecordFault::Envelope),
    }
    let (events, fingerprints) = read_lines(&envelope, now, skipped).into_iter().unzip();
    Ok(Some(EventRecord {
        shard: record.shard().to_owned(),
        sequence,
        raw_sequence: record.kinesis.sequence_number.clone(),
        events,
        fingerprints,
    }))
}

fn read_lines(
    envelope: &Envelope,
    now: Timestamp,
    skipped: &mut Skipped,
) -> Vec<(UsageEvent, Option<Fingerprint>)> {
    let mut events = Vec::with_capacity(envelope.log_events.len());
    for line in &envelope.log_events {
        match UsageEvent::parse(&line.message) {
            Ok(event) if event.is_of_the_future(now) => skipped.future_lines += 1,
            Ok(event) => {
                let fingerprint = Fingerprint::from_line(&envelope.log_group, &envelope.log_stream, &line.id);
                events.push((event, fingerprint));
            }
            Err(LineError::NotOurs) => skipped.foreign_lines += 1,
            Err(LineError::Version(_)) => skipped.unknown_versions += 1,
            Err(LineError::Broken(_)) => skipped.broken_lines += 1,
        }
    }
    events
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;
    use crate::usage::{LogEvent, envelope};

    const GOOD: &str = r#"{"ipgeo":1,"t":1795522627042,"r":"eu-central-1","c":["sa.test","10d"]}"#;

    const TOMORROW: &str = r#"{"ipgeo":1,"t":1795608000000,"r":"eu-central-1","c":["sa.test","10d"]}"#;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
        packer.write_all(bytes).expect("packs");
        packer.finish().expect("packs")
    }

    fn lines(messages: &[&str]) -> Vec<u8> {
        let events = messages.iter().enumerate().map(|(index, message)| LogEvent {
            id: index.to_string(),
            timestamp: 0,
            message: (*message).to_owned(),
        });
        envelope("group", "stream", events.collect()).expect("packs")
    }

    fn record(sequence: &str, data: &[u8]) -> KinesisRecord {
        KinesisRecord::new("shardId-000000000000", sequence, data)
    }

    fn now() -> Timestamp {
        "2026-11-24T12:30:00Z".parse().expect("a timestamp")
    }

    #[test]
    fn ids_of_lines_may_be_numbers_or_missing() {
        let envelope = |id: &str| {
            let line = serde_json::to_string(GOOD).expect("JSON");
            let json = format!(
                r#"{{"messageType":"DATA_MESSAGE","logGroup":"g","logStream":"s","logEvents":[{{{id}"timestamp":0,"message":{line}}}]}}"#
            );
            let records = vec![record("1", &gzip(json.as_bytes()))];
            decode(&KinesisEvent { records }, now()).records.remove(0).fingerprints
        };
        assert_eq!(envelope(r#""id":17,"#), envelope(r#""id":"17","#));
        assert_eq!(envelope(r#""id":"17","#), [Fingerprint::from_line("g", "s", "17")]);
        assert_eq!(envelope(""), [None]);
    }

    #[test]
    fn junk_is_counted_and_the_rest_is_read() {
        let mut not_base64 = record("5", b"");
        not_base64.kinesis.data = "***".to_owned();
        let cut = lines(&[GOOD]);
        let event = KinesisEvent {
            records: vec![
                record("3", &lines(&[GOOD, "START", "{\"ipgeo\":2}", "{\"ipgeo\":1}", GOOD, TOMORROW])),
                KinesisRecord { event_id: ":4".into(), ..record("4", &lines(&[GOOD])) },
                record("", &lines(&[GOOD])),
                record("x1", &lines(&[GOOD])),
                not_base64,
                record("6", b""),
                record("7", b"not gzip"),
                record("8", &cut[..cut.len() - 9]),
                record("9", &gzip(b"[]")),
                record("10", &gzip(b"{\"messageType\":\"OTHER\"}")),
                record("11", &gzip(b"{\"messageType\":\"CONTROL_MESSAGE\"}")),
                record("12", &gzip(&vec![b' '; 64 * 1024 * 1024 + 1])),
                // As long as a payload may be, and not JSON.
                record("13", &gzip(&vec![b' '; 64 * 1024 * 1024])),
                record("2", &lines(&[GOOD])),
                record("2", &lines(&[GOOD])),
            ],
        };
        let decoded = decode(&event, now());
        let read: Vec<_> =
            decoded.records.iter().map(|r| (r.raw_sequence.as_str(), r.events.len())).collect();
        assert_eq!(read, [("2", 1), ("3", 2)]);
        let expected = Skipped {
            records: [
                (RecordFault::Sequence, 2),
                (RecordFault::Shard, 1),
                (RecordFault::Base64, 1),
                (RecordFault::Gzip, 4),
                (RecordFault::Envelope, 3),
            ]
            .into(),
            control_messages: 1,
            foreign_lines: 1,
            unknown_versions: 1,
            broken_lines: 1,
            future_lines: 1,
        };
        assert_eq!(decoded.skipped, expected);
        assert_eq!(decoded.skipped.unreadable(), 11 + 1 + 1 + 1);
    }

    proptest! {
        #[test]
        fn any_payload_is_answered_without_panic(bytes: Vec<u8>, event_id: String, sequence: String) {
            for data in [bytes.clone(), gzip(&bytes)] {
                let mut record = record(&sequence, &data);
                record.event_id.clone_from(&event_id);
                let event = KinesisEvent { records: vec![record] };
                prop_assert_eq!(decode(&event, now()).records.len(), 0);
            }
        }
    }
}
