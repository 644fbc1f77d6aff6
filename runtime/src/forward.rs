//! The forwarder of an edge, for `pipe = "forwarder"`: CloudWatch Logs invokes it with a batch of usage lines, and it puts the
//! batch into home's stream, unchanged. So the counter can't tell how a record arrived. The other pipe, a log destination, costs
//! nothing and needs no code, but AWS documents it only for delivery to another account.
//!
//! One invocation has one batch, which becomes one record. Lambda limits the event to 1 MB and a record may have as much, so a
//! batch is never split, and a failed put has no partial effect. If the put fails after its retries, the invocation fails:
//! Lambda invokes again, and in the end stores the batch in the region's bucket (the function's on-failure destination).

use serde::Deserialize;
use serde_json::{Value, json};

use crate::usage::log_stream;

/// The event that CloudWatch Logs invokes a function with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct LogsEvent {
    /// The batch.
    pub awslogs: LogsBatch,
}

/// A batch of log lines.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct LogsBatch {
    /// Gzip, as base64.
    pub data: String,
}

impl LogsEvent {
    /// The key that selects the batch's shard: its log stream, as for a log destination. CloudWatch Logs may deliver a line
    /// again, and the counter recognises a repeat only within a shard. An unreadable batch is forwarded too, because the counter
    /// reports it.
    pub fn partition_key(&self) -> String {
        // Kinesis takes keys of 1 to 256 characters; a log stream's name may have 512.
        let usable = |name: &String| (1..=256).contains(&name.chars().count());
        log_stream(&self.awslogs.data).filter(usable).unwrap_or_else(|| NO_LOG_STREAM.to_owned())
    }

    /// The input of Kinesis' `PutRecord` that puts the batch into a stream, its bytes unchanged. Both APIs write bytes as
    /// base64, so the text is passed on.
    pub fn to_put(&self, stream: &str) -> Value {
        json!({ "StreamName": stream, "PartitionKey": self.partition_key(), "Data": self.awslogs.data })
    }
}

/// The partition key of batches without a usable log stream.
const NO_LOG_STREAM: &str = "unknown";

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use crate::usage::{LogEvent, envelope};

    fn event(log_stream: &str, id: &str) -> LogsEvent {
        let line = LogEvent { id: id.to_owned(), timestamp: 0, message: "{}".to_owned() };
        let data = STANDARD.encode(envelope("/aws/lambda/x", log_stream, vec![line]).expect("packs"));
        serde_json::from_value(serde_json::json!({ "awslogs": { "data": data } })).expect("an event")
    }

    #[test]
    fn batches_of_a_log_stream_have_one_key() {
        let name = "2026/11/28/[$LATEST]0123456789abcdef";
        assert_eq!(event(name, "1").partition_key(), name);
        assert_eq!(event(name, "2").partition_key(), name);
    }

    #[test]
    fn a_batch_without_a_usable_log_stream_still_has_a_key() {
        let junk = LogsEvent { awslogs: LogsBatch { data: "***".to_owned() } };
        for event in [junk, LogsEvent::default(), event("", "1"), event(&"x".repeat(257), "1")] {
            assert_eq!(event.partition_key(), NO_LOG_STREAM, "{event:?}");
        }
    }
}
