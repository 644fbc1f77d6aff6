//! Batches that Lambda gave up: the source trait, a folder of them, and the stream that takes those of forwarders again.

use std::future::Future;
use std::io;
use std::path::PathBuf;

use ipgeo_runtime::forward::LogsEvent;
use ipgeo_runtime::store::StoreError;

use crate::fs::files_below;

pub(crate) trait StreamPut {
    /// Puts a batch as its forwarder would have done.
    fn put(&self, event: &LogsEvent) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// A source of failed batches: a bucket or a copy of one.
pub(crate) trait FailedBatches {
    /// The bucket or folder, for messages.
    fn place(&self) -> String;

    fn names(&self) -> impl Future<Output = Result<Vec<String>, StoreError>> + Send;

    fn read(&self, name: &str) -> impl Future<Output = Result<Vec<u8>, StoreError>> + Send;

    fn remove(&self, name: &str) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// A folder of failed batches, with the objects' keys as paths; it may be missing.
#[derive(Debug, Clone)]
pub(crate) struct FailedFolder(PathBuf);

impl FailedFolder {
    pub(crate) fn at(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    fn failed(&self, action: &str, error: io::Error) -> StoreError {
        StoreError { action: format!("{action} of {}", self.0.display()), source: error.into() }
    }
}

impl FailedBatches for FailedFolder {
    fn place(&self) -> String {
        self.0.display().to_string()
    }

    async fn names(&self) -> Result<Vec<String>, StoreError> {
        let files = files_below(&self.0).map_err(|error| self.failed("read", error))?;
        let name = |file: &PathBuf| Some(file.strip_prefix(&self.0).ok()?.to_string_lossy().into_owned());
        let mut names: Vec<String> = files.iter().filter_map(name).collect();
        names.sort();
        Ok(names)
    }

    async fn read(&self, name: &str) -> Result<Vec<u8>, StoreError> {
        std::fs::read(self.0.join(name)).map_err(|error| self.failed("read", error))
    }

    async fn remove(&self, name: &str) -> Result<(), StoreError> {
        std::fs::remove_file(self.0.join(name)).map_err(|error| self.failed("removal of a file", error))
    }
}
