//! The usage stream on Kinesis, read again.

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types::ShardIteratorType;
use ipgeo_runtime::store::StoreError;
use ipgeo_runtime::usage::KinesisRecord;
use jiff::Timestamp;

use super::refusal::Refusal;
use super::session::Session;
use crate::config::Config;
use crate::usage::stream::{Arrived, Page, Place, StreamRead};

/// Home's stream.
#[derive(Debug, Clone)]
pub struct UsageStream {
    client: Client,
    name: String,
}

impl UsageStream {
    /// The stream on AWS: credentials and endpoints as every AWS tool reads them, in the home region.
    pub async fn of_account(config: &Config, profile: Option<&str>) -> anyhow::Result<Self> {
        let client = Session::of(config, profile).await?.kinesis(&config.service.home);
        Ok(Self { client, name: crate::infra::stacks::Names::of(config).stream })
    }

    fn failed(&self, refusal: impl Into<Refusal>) -> StoreError {
        let Refusal { code, message } = refusal.into();
        let code = code.map(|code| format!(" ({code})")).unwrap_or_default();
        StoreError {
            action: format!("read of the stream {}", self.name),
            source: format!("{message}{code}").into(),
        }
    }
}

impl StreamRead for UsageStream {
    async fn shards(&self) -> Result<Vec<String>, StoreError> {
        let (mut names, mut next) = (Vec::new(), None::<String>);
        loop {
            // The second page is asked for by its token alone.
            let call = self.client.list_shards();
            let call = match next.take() {
                None => call.stream_name(&self.name),
                Some(token) => call.next_token(token),
            };
            let page = call.send().await.map_err(|error| self.failed(error))?;
            names.extend(page.shards.unwrap_or_default().into_iter().map(|shard| shard.shard_id));
            next = page.next_token;
            if next.is_none() {
                // Ids rise with time: a shard's parents stand before it.
                names.sort();
                return Ok(names);
            }
        }
    }

    async fn begin(&self, shard: &str, from: Timestamp) -> Result<Place, StoreError> {
        let answer = self
            .client
            .get_shard_iterator()
            .stream_name(&self.name)
            .shard_id(shard)
            .shard_iterator_type(ShardIteratorType::AtTimestamp)
            .timestamp(DateTime::from_millis(from.as_millisecond()))
            .send()
            .await
            .map_err(|error| self.failed(error))?;
        answer.shard_iterator.map(Place).ok_or_else(|| StoreError {
            action: format!("read of the stream {}", self.name),
            source: format!("shard {shard} has no place at that time").into(),
        })
    }

    async fn read(&self, shard: &str, place: Place) -> Result<Page, StoreError> {
        let call = self.client.get_records().shard_iterator(place.0);
        let answer = call.send().await.map_err(|error| self.failed(error))?;
        let at_the_end = answer.millis_behind_latest.unwrap_or(0) == 0;
        let records = answer.records.into_iter().map(|record| Arrived {
            // Without a time it is as old as can be: it is counted.
            at: record
                .approximate_arrival_timestamp
                .and_then(|time| time.to_millis().ok())
                .and_then(|ms| Timestamp::from_millisecond(ms).ok())
                .unwrap_or_default(),
            record: KinesisRecord::new(shard, &record.sequence_number, record.data.as_ref()),
        });
        Ok(Page {
            records: records.collect(),
            next: answer.next_shard_iterator.filter(|_| !at_the_end).map(Place),
        })
    }
}
