//! Reads the usage stream again from a given time: the reader trait, the copy that `ipgeo dev` keeps, and the segmented
//! logs that hold the copy and the regions' logs.

mod failed;
mod kept;
mod segments;

use std::future::Future;

use ipgeo_runtime::store::StoreError;
use ipgeo_runtime::usage::KinesisRecord;
use jiff::Timestamp;

pub(crate) use failed::{FailedBatches, FailedFolder, StreamPut};
pub(crate) use kept::{CountedPosition, LogPosition, StreamCopy, StreamWriter};
pub(crate) use segments::{SEGMENT_BYTES, SegmentWriter, SegmentedLog};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StreamRecord {
    /// When it arrived in the stream.
    pub at: Timestamp,
    pub record: KinesisRecord,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct StreamPage {
    /// In stream order; may be empty even if there is a next position.
    pub records: Vec<StreamRecord>,
    /// The position of the next page; `None` at the end of the shard.
    pub next: Option<StreamPosition>,
}

/// A position in a shard, in the format of the stream that returned it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StreamPosition(pub String);

pub(crate) trait StreamRead {
    /// The shards that still have records, parents before children.
    fn shards(&self) -> impl Future<Output = Result<Vec<String>, StoreError>> + Send;

    /// The position of a shard's first record that arrived at `from` or later.
    fn begin(
        &self,
        shard: &str,
        from: Timestamp,
    ) -> impl Future<Output = Result<StreamPosition, StoreError>> + Send;

    fn read(
        &self,
        shard: &str,
        place: StreamPosition,
    ) -> impl Future<Output = Result<StreamPage, StoreError>> + Send;
}
