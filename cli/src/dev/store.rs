//! One region's DynamoDB: an embedded one, served on loopback, so that handlers and verbs use the same adapter as on AWS. It
//! only answers requests that are signed with the state folder's access key.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, Response, StatusCode};
use dynoxide::Database;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::admission::{self, Refused};
use super::copies::Table;
use super::operations::{Answer, Operations, refusal};
use super::replication::Feed;
use crate::fs::append_private;
use crate::world::WorldKey;

/// DynamoDB's maximum request size.
const BODY_BYTES_MAX: usize = 16 << 20;

/// A region's store and the task that serves it.
pub(crate) struct RegionStore {
    pub(crate) database: Database,
    /// `http://127.0.0.1:<port>`.
    pub(crate) endpoint: String,
    server: JoinHandle<std::io::Result<()>>,
}

impl RegionStore {
    /// Opens the store in `file` and serves it on a free loopback port to clients that sign with `key`,
    /// until `stop` resolves. `feed` is notified of writes.
    pub(crate) async fn open(
        file: &Path,
        key: &WorldKey,
        feed: Option<Feed>,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> anyhow::Result<Self> {
        let database = open_file(file, feed.is_some())?;
        // No fsync for each write: losing the last writes in a power cut is acceptable here.
        database.enable_bulk_loading().context("prepare the store")?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("find a free loopback port")?;
        let port = listener.local_addr().context("read the store's port")?.port();
        let operations = Operations { database: database.clone(), feed };
        let door = Arc::new(StoreServer { operations, key: key.clone(), port });
        let handler = move |request: Request| {
            let door = Arc::clone(&door);
            async move { door.answer(request).await }
        };
        let served = axum::serve(listener, Router::new().fallback(handler)).with_graceful_shutdown(stop);
        let server = tokio::spawn(served.into_future());
        Ok(Self { database, endpoint: format!("http://127.0.0.1:{port}"), server })
    }

    pub(crate) fn table(&self, name: &str) -> Table {
        Table { database: self.database.clone(), name: name.to_owned() }
    }

    /// Waits until the server has ended; call after `stop` has resolved. A client that keeps its
    /// connection open would hold it for ever, so the wait is bounded.
    pub(crate) async fn closed(self) {
        let _ended_or_not = tokio::time::timeout(std::time::Duration::from_millis(300), self.server).await;
    }
}

/// Opens a store file that only its owner can read. `SQLite` gives its side files the same permissions.
fn open_file(file: &Path, is_home: bool) -> anyhow::Result<Database> {
    let text = file.to_str().ok_or_else(|| anyhow!("the path of {} is not UTF-8", file.display()))?;
    let failed = || {
        let help = if is_home {
            "restore it from a backup, or start over with `--fresh`, which deletes API keys and usage"
        } else {
            "it is only a copy of home's: remove the file and start again to recreate it"
        };
        format!("open the store {}; {help}", file.display())
    };
    append_private(file).with_context(failed)?;
    Database::new(text).with_context(failed)
}

/// The HTTP layer in front of a store.
struct StoreServer {
    operations: Operations,
    key: WorldKey,
    port: u16,
}

impl StoreServer {
    async fn answer(&self, request: Request) -> Response<Body> {
        let (status, json) = self.answered(request).await;
        let mut response = Response::new(Body::from(json));
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let json = HeaderValue::from_static("application/x-amz-json-1.0");
        response.headers_mut().insert("content-type", json);
        response
    }

    async fn answered(&self, request: Request) -> Answer {
        let refused = |refused: Refused| refusal(403, refused.code(), &refused.to_string());
        let (head, body) = request.into_parts();
        if let Err(error) = admission::not_from_a_web_page(&head.headers, self.port) {
            return refused(error);
        }
        let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
            return refusal(413, "RequestEntityTooLarge", "the request is larger than 16 MiB");
        };
        if let Err(error) = admission::signed(&head, &body, &self.key) {
            return refused(error);
        }
        let target = head.headers.get("x-amz-target").and_then(|value| value.to_str().ok());
        self.operations.run(target.unwrap_or_default(), &body)
    }
}
