//! One region's DynamoDB: an embedded one, served on loopback, so that the handlers, the operator's
//! verbs and AWS all speak through the same adapter.

use std::future::Future;
use std::path::Path;

use anyhow::{Context, anyhow};
use dynoxide::Database;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A region's store and the task that serves it.
pub(crate) struct RegionStore {
    /// The store itself, for replication.
    pub(crate) database: Database,
    /// `http://127.0.0.1:<port>`.
    pub(crate) endpoint: String,
    server: JoinHandle<Result<(), String>>,
}

impl RegionStore {
    /// Opens the store of `file`, or one in memory, and serves it on a free loopback port until
    /// `stop` resolves.
    pub(crate) async fn open(
        file: Option<&Path>,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> anyhow::Result<Self> {
        let database = match file {
            Some(file) => {
                let text =
                    file.to_str().ok_or_else(|| anyhow!("the path of {} is not UTF-8", file.display()))?;
                Database::new(text).with_context(|| {
                    format!("open {}; `ipgeo dev --fresh` starts over with empty stores", file.display())
                })?
            }
            None => Database::memory().context("open a store in memory")?,
        };
        // No fsync for every write: what a laptop loses in a power cut, `dev` may lose too.
        database.enable_bulk_loading().context("prepare the store")?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("find a free loopback port")?;
        let endpoint = format!("http://{}", listener.local_addr().context("read the store's port")?);
        let server = tokio::spawn(dynoxide::server::serve_with_shutdown(listener, database.clone(), stop));
        Ok(Self { database, endpoint, server })
    }

    /// Waits until the server has ended; call after `stop` has resolved. A client that keeps its
    /// connection open would hold it for ever, so the wait is bounded.
    pub(crate) async fn closed(self) {
        let _ended_or_not = tokio::time::timeout(std::time::Duration::from_millis(300), self.server).await;
    }
}
