//! Rereads the usage stream on Kinesis, and puts recovered batches into it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ipgeo_contract::RegionName;
use ipgeo_runtime::forward::LogsEvent;
use ipgeo_runtime::store::StoreError;
use ipgeo_runtime::usage::KinesisRecord;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::refusal::Refusal;
use super::session::Session;
use super::signed::{Service, Signed};
use crate::config::Config;
use crate::usage::stream::{StreamPage, StreamPosition, StreamPut, StreamRead, StreamRecord};

#[derive(Debug, Clone)]
pub(crate) struct UsageStream {
    signed: Signed,
    region: RegionName,
    name: String,
}

impl UsageStream {
    pub(crate) async fn of_account(config: &Config, profile: Option<&str>) -> anyhow::Result<Self> {
        let signed = Session::connect(config, profile).await?.signed();
        let name = crate::infra::stacks::Names::new(config).stream;
        Ok(Self { signed, region: config.service.home.clone(), name })
    }

    async fn send(&self, operation: &str, input: &Value) -> Result<Value, Refusal> {
        self.signed.json(Service::Kinesis, &self.region, operation, input).await
    }

    async fn call(&self, operation: &str, input: &Value) -> Result<Value, StoreError> {
        self.send(operation, input).await.map_err(|refusal| self.failed(refusal.to_string()))
    }

    fn failed(&self, why: String) -> StoreError {
        StoreError { action: format!("read of the stream {}", self.name), source: why.into() }
    }

    fn record(&self, shard: &str, record: &Value) -> Result<StreamRecord, StoreError> {
        let number = record["SequenceNumber"].as_str();
        let data = record["Data"].as_str().and_then(|data| STANDARD.decode(data).ok());
        let (number, data) = number.zip(data).ok_or_else(|| {
            self.failed(format!("a record of shard {shard} has no sequence number or no valid data"))
        })?;
        // Without a time, the earliest is assumed, so that the record is counted.
        let at = record["ApproximateArrivalTimestamp"].as_f64().unwrap_or_default();
        #[expect(clippy::cast_possible_truncation, reason = "milliseconds")]
        let at = Timestamp::from_millisecond((at * 1_000.0).round() as i64).unwrap_or_default();
        Ok(StreamRecord { at, record: KinesisRecord::new(shard, number, &data) })
    }
}

impl StreamPut for UsageStream {
    async fn put(&self, event: &LogsEvent) -> Result<(), StoreError> {
        let put = self.send("PutRecord", &event.to_put(&self.name)).await;
        put.map(drop).map_err(|refusal| StoreError {
            action: format!("put into the stream {}", self.name),
            source: refusal.into(),
        })
    }
}

impl StreamRead for UsageStream {
    async fn shards(&self) -> Result<Vec<String>, StoreError> {
        let (mut names, mut next) = (Vec::new(), None::<String>);
        loop {
            // Further pages are requested by token alone (Kinesis API).
            let input = match next.take() {
                None => json!({ "StreamName": self.name }),
                Some(token) => json!({ "NextToken": token }),
            };
            let page = self.call("ListShards", &input).await?;
            let shards = page["Shards"].as_array().into_iter().flatten();
            names.extend(shards.filter_map(|shard| shard["ShardId"].as_str().map(str::to_owned)));
            next = page["NextToken"].as_str().map(str::to_owned);
            if next.is_none() {
                // IDs rise with time: a shard's parents sort before it.
                names.sort();
                return Ok(names);
            }
        }
    }

    async fn begin(&self, shard: &str, from: Timestamp) -> Result<StreamPosition, StoreError> {
        #[expect(clippy::cast_precision_loss, reason = "53 bits of milliseconds reach far")]
        let from_s = from.as_millisecond() as f64 / 1_000.0;
        let input = json!({
            "StreamName": self.name, "ShardId": shard, "ShardIteratorType": "AT_TIMESTAMP", "Timestamp": from_s,
        });
        let answer = self.call("GetShardIterator", &input).await?;
        let place = answer["ShardIterator"].as_str().map(|place| StreamPosition(place.to_owned()));
        place.ok_or_else(|| self.failed(format!("shard {shard} has no position at that time")))
    }

    async fn read(&self, shard: &str, place: StreamPosition) -> Result<StreamPage, StoreError> {
        let answer = self.call("GetRecords", &json!({ "ShardIterator": place.0 })).await?;
        let at_the_end = answer["MillisBehindLatest"].as_i64().unwrap_or(0) == 0;
        let records = answer["Records"].as_array().into_iter().flatten();
        let next = answer["NextShardIterator"].as_str().filter(|_| !at_the_end);
        Ok(StreamPage {
            records: records.map(|record| self.record(shard, record)).collect::<Result<_, _>>()?,
            next: next.map(|next| StreamPosition(next.to_owned())),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::signed::tests::server;
    use super::*;

    #[tokio::test]
    async fn shards_and_records_are_read_to_the_end() {
        let record = |number: &str, at: Value| json!({"SequenceNumber": number, "Data": STANDARD.encode("x"), "ApproximateArrivalTimestamp": at});
        let (signed, thread) = server(vec![
            (200, json!({"Shards": [{"ShardId": "s-2"}], "NextToken": "t"})),
            (200, json!({"Shards": [{"ShardId": "s-1"}]})),
            (200, json!({"ShardIterator": "i-1"})),
            (
                200,
                json!({"Records": [record("1", json!(1_764_000_000.25))], "NextShardIterator": "i-2", "MillisBehindLatest": 5}),
            ),
            (
                200,
                json!({"Records": [record("2", Value::Null)], "NextShardIterator": "i-3", "MillisBehindLatest": 0}),
            ),
            (400, json!({"__type": "ExpiredIteratorException", "message": "too late"})),
        ]);
        let stream = UsageStream { signed, region: RegionName::new("eu-west-1"), name: "s".into() };
        assert_eq!(stream.shards().await.expect("shards"), ["s-1", "s-2"]);
        let from = Timestamp::from_millisecond(1_764_000_000_125).expect("a time");
        let place = stream.begin("s-1", from).await.expect("a place");
        let page = stream.read("s-1", place).await.expect("a page");
        assert_eq!(page.records[0].at.as_millisecond(), 1_764_000_000_250);
        let page = stream.read("s-1", page.next.expect("more")).await.expect("a page");
        assert_eq!((page.records[0].at, page.next.is_none()), (Timestamp::UNIX_EPOCH, true));
        let error = stream.read("s-1", StreamPosition("old".into())).await.expect_err("refused");
        assert_eq!(error.source.to_string(), "too late (ExpiredIteratorException)");
        let requests = thread.join().expect("a server");
        assert!(requests[1].ends_with(r#"{"NextToken":"t"}"#), "{}", requests[1]);
        assert!(requests[2].contains(r#""Timestamp":1764000000.125"#), "{}", requests[2]);
        assert!(requests[4].contains(r#"{"ShardIterator":"i-2"}"#), "{}", requests[4]);
    }
}
