//! The format of the stream: Kinesis events of records, each a gzip-compressed batch of log lines.
//!
//! The types are our own and lenient: an unreadable record must not fail the other thousands of its batch, so the payload
//! remains text until `decode` reads it.

use std::io::{Read, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

/// Maximum uncompressed bytes of a record. CloudWatch Logs sends at most 1 MiB compressed, and usage lines compress by a factor
/// of ten; more is an attack or a mistake.
const UNPACKED_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The event that Lambda's poller of the stream invokes the function with.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct KinesisEvent {
    /// The batch.
    #[serde(rename = "Records", default)]
    pub records: Vec<KinesisRecord>,
}

/// One record of the stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KinesisRecord {
    /// `<shard id>:<sequence number>`.
    #[serde(rename = "eventID", default)]
    pub event_id: String,
    /// The payload.
    #[serde(default)]
    pub kinesis: KinesisPayload,
}

/// The payload of a record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KinesisPayload {
    /// Decimal, about 56 digits; ascending within a shard.
    #[serde(default)]
    pub sequence_number: String,
    /// Base64.
    #[serde(default)]
    pub data: String,
}

impl KinesisRecord {
    /// A record of `shard` with the payload `data`.
    pub fn new(shard: &str, sequence_number: &str, data: &[u8]) -> Self {
        Self {
            event_id: format!("{shard}:{sequence_number}"),
            kinesis: KinesisPayload {
                sequence_number: sequence_number.to_owned(),
                data: STANDARD.encode(data),
            },
        }
    }

    /// The shard of the record; empty if the event does not name it.
    pub fn shard(&self) -> &str {
        self.event_id.split_once(':').map_or("", |(shard, _)| shard)
    }
}

/// One log line as CloudWatch Logs delivers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEvent {
    /// Unique per log event: a string of digits, or a number from emulators.
    #[serde(default, deserialize_with = "text_or_number")]
    pub id: String,
    /// Unix milliseconds.
    #[serde(default)]
    pub timestamp: i64,
    /// The line.
    pub message: String,
}

fn text_or_number<'de, D: serde::Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Id {
        Text(String),
        Number(serde_json::Number),
    }
    Ok(match Id::deserialize(from)? {
        Id::Text(text) => text,
        Id::Number(number) => number.to_string(),
    })
}

/// A batch of log lines, in the envelope of CloudWatch Logs.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Envelope {
    pub(super) message_type: String,
    #[serde(default)]
    pub(super) owner: String,
    #[serde(default)]
    pub(super) log_group: String,
    #[serde(default)]
    pub(super) log_stream: String,
    #[serde(default)]
    pub(super) subscription_filters: Vec<String>,
    #[serde(default)]
    pub(super) log_events: Vec<LogEvent>,
}

/// Type of an envelope that carries log lines.
pub(super) const DATA_MESSAGE: &str = "DATA_MESSAGE";
/// Type of an envelope that CloudWatch Logs sends to check whether the stream is reachable.
pub(super) const CONTROL_MESSAGE: &str = "CONTROL_MESSAGE";

/// Why a record is unreadable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum RecordFault {
    /// Its sequence number is not a number.
    #[error("the sequence number is not a number")]
    Sequence,
    /// The shard is missing or invalid.
    #[error("the shard is missing or not a name")]
    Shard,
    /// Its payload is not base64.
    #[error("the payload is not base64")]
    Base64,
    /// Its payload is not gzip, is truncated, or exceeds the maximum size.
    #[error("the payload is not gzip, is truncated, or is too large")]
    Gzip,
    /// Its payload is not an envelope of CloudWatch Logs.
    #[error("the payload is not an envelope of CloudWatch Logs")]
    Envelope,
}

/// The payload of a record with log lines, as CloudWatch Logs sends it.
pub fn envelope(log_group: &str, log_stream: &str, log_events: Vec<LogEvent>) -> std::io::Result<Vec<u8>> {
    let envelope = Envelope {
        message_type: DATA_MESSAGE.to_owned(),
        owner: "000000000000".to_owned(),
        log_group: log_group.to_owned(),
        log_stream: log_stream.to_owned(),
        subscription_filters: vec!["ipgeo-usage".to_owned()],
        log_events,
    };
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(&serde_json::to_vec(&envelope)?)?;
    packer.finish()
}

/// The log stream of a payload's lines, read without unpacking the lines; `None` if the payload is unreadable.
pub(crate) fn log_stream(data: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Head {
        #[serde(rename = "logStream")]
        log_stream: String,
    }
    let packed = STANDARD.decode(data).ok()?;
    let unpacker = MultiGzDecoder::new(packed.as_slice()).take(UNPACKED_BYTES_MAX);
    let head: Head = serde_json::from_reader(std::io::BufReader::new(unpacker)).ok()?;
    Some(head.log_stream)
}

/// Unpacks the payload of a record.
pub(super) fn unpack(data: &str) -> Result<Envelope, RecordFault> {
    let packed = STANDARD.decode(data).map_err(|_| RecordFault::Base64)?;
    let mut json = Vec::new();
    let mut unpacker = MultiGzDecoder::new(packed.as_slice()).take(UNPACKED_BYTES_MAX + 1);
    unpacker.read_to_end(&mut json).map_err(|_| RecordFault::Gzip)?;
    if json.is_empty() || json.len() as u64 > UNPACKED_BYTES_MAX {
        return Err(RecordFault::Gzip);
    }
    serde_json::from_slice(&json).map_err(|_| RecordFault::Envelope)
}
