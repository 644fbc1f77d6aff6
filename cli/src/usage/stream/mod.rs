//! Reads the usage stream again from a given time: the reader trait, the copy that `ipgeo dev` keeps, and the segmented
//! logs that hold the copy and the regions' logs.

mod failed;
mod kept;
mod segments;

use std::future::Future;

use ipgeo_runtime::store::StoreError;
use ipgeo_runtime::usage::KinesisRecord;
use jiff::Timestamp;

pub(crate) use failed::{FailedBatches, FailedFolder};
pub(crate) use kept::{Counted, Keeper, KeptStream, LogPosition};
pub(crate) use segments::{SEGMENT_BYTES, SegmentWriter, SegmentedLog};

/// A record and when it reached the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arrived {
    /// When.
    pub at: Timestamp,
    /// The record.
    pub record: KinesisRecord,
}

/// Records of a shard in order, and where the ones after them are; `None`: there are none for now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Page {
    /// In order; there may be none while there is a next place.
    pub records: Vec<Arrived>,
    /// Where to go on.
    pub next: Option<Place>,
}

/// A place in a shard, in the words of the stream that gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place(pub String);

/// Reading a stream of usage lines.
pub(crate) trait StreamRead {
    /// The shards that still hold records, parents before children.
    fn shards(&self) -> impl Future<Output = Result<Vec<String>, StoreError>> + Send;

    /// The place of a shard's first record that arrived at `from` or later.
    fn begin(&self, shard: &str, from: Timestamp) -> impl Future<Output = Result<Place, StoreError>> + Send;

    /// The records at a place.
    fn read(&self, shard: &str, place: Place) -> impl Future<Output = Result<Page, StoreError>> + Send;
}
