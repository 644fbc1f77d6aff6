//! Batches that Lambda gave up: the source trait, a folder of them, and the stream that takes those of forwarders again.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};

use ipgeo_runtime::forward::LogsEvent;
use ipgeo_runtime::store::StoreError;

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

fn collect(root: &Path, folder: &Path, names: &mut Vec<String>) -> io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        // Symbolic links may be circular.
        if entry.file_type()?.is_dir() {
            collect(root, &path, names)?;
        } else if let Ok(name) = path.strip_prefix(root) {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    Ok(())
}

impl FailedBatches for FailedFolder {
    fn place(&self) -> String {
        self.0.display().to_string()
    }

    async fn names(&self) -> Result<Vec<String>, StoreError> {
        let mut names = Vec::new();
        collect(&self.0, &self.0, &mut names).map_err(|error| self.failed("read", error))?;
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
