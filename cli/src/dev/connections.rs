//! Limits the number of open connections and how long one may be idle, so that clients that connect and send nothing, or
//! only half a request, can't lock others out.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// How long a connection may take to send a complete request head.
const IDLE_MAX: Duration = Duration::from_secs(30);
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// Marks a connection whose request is being answered; stored in place of a time.
const BUSY: u64 = u64::MAX;
/// Open-file limit where the system does not report one: macOS's default.
const FILES_DEFAULT: usize = 256;

/// All connections of one `ipgeo dev`, on all of its ports.
pub(crate) struct Connections {
    began: Instant,
    most: usize,
    ids: AtomicU64,
    open: Mutex<HashMap<u64, Arc<Connection>>>,
}

pub(crate) struct Connection {
    /// Since when it is idle, milliseconds; or [`BUSY`].
    idle_since: AtomicU64,
    close: Notify,
}

/// A slot among the open connections; released when dropped.
pub(crate) struct Ticket {
    id: u64,
    connections: Arc<Connections>,
    connection: Arc<Connection>,
}

impl Connections {
    pub(crate) fn new(most: usize) -> Self {
        Self { began: Instant::now(), most, ids: AtomicU64::new(0), open: Mutex::default() }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(BUSY - 1)
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u64, Arc<Connection>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a slot for a new connection. If all are taken, closes the one that has been idle longest; `None` if all are
    /// being answered.
    pub(crate) fn admit(self: &Arc<Self>) -> Option<Ticket> {
        if self.open().len() >= self.most && !self.close_longest_idle() {
            return None;
        }
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        let connection =
            Arc::new(Connection { idle_since: AtomicU64::new(self.now()), close: Notify::new() });
        self.open().insert(id, Arc::clone(&connection));
        Some(Ticket { id, connections: Arc::clone(self), connection })
    }

    /// Closes the connection that has been idle longest, if any is idle.
    pub(crate) fn close_longest_idle(&self) -> bool {
        let mut open = self.open();
        let waits =
            |(id, connection): (&u64, &Arc<Connection>)| (connection.idle_since.load(Ordering::Relaxed), *id);
        let longest = open.iter().map(waits).min().filter(|(since, _)| *since != BUSY);
        let closed = longest.and_then(|(_, id)| open.remove(&id));
        if let Some(closed) = &closed {
            closed.close.notify_one();
        }
        closed.is_some()
    }

    /// Closes connections that have been idle too long; never returns.
    pub(crate) async fn close_idle(&self) {
        loop {
            tokio::time::sleep(CHECK_EVERY).await;
            let (now, idle_max) = (self.now(), u64::try_from(IDLE_MAX.as_millis()).unwrap_or(BUSY));
            for connection in self.open().values() {
                let since = connection.idle_since.load(Ordering::Relaxed);
                if since != BUSY && now.saturating_sub(since) > idle_max {
                    connection.close.notify_one();
                }
            }
        }
    }
}

impl Ticket {
    /// Call when a request has arrived.
    pub(crate) fn set_busy(&self) {
        self.connection.idle_since.store(BUSY, Ordering::Relaxed);
    }

    /// Call when the request is answered.
    pub(crate) fn set_idle(&self) {
        self.connection.idle_since.store(self.connections.now(), Ordering::Relaxed);
    }

    /// Resolves when the connection is to be closed.
    pub(crate) async fn closed(&self) {
        self.connection.close.notified().await;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.connections.open().remove(&self.id);
    }
}

/// The maximum number of connections: half of the process's open-file limit. The rest is for stores, logs and the edges'
/// own connections.
pub(crate) fn connections_max() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    files_max(&limits).unwrap_or(FILES_DEFAULT) / 2
}

/// The open-file limit, parsed from Linux's `/proc/self/limits`.
fn files_max(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_open_files_is_read() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max processes             7823                 7823                 processes \n\
                      Max open files            1024                 524288               files     \n";
        assert_eq!(files_max(limits), Some(1_024));
        assert_eq!((files_max(""), files_max("Max open files unlimited")), (None, None));
        assert!(connections_max() >= 100);
    }

    async fn is_closed(ticket: &Ticket) -> bool {
        tokio::time::timeout(Duration::from_millis(1), ticket.closed()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_idle_connection_is_closed_for_a_new_one_and_a_busy_one_never() {
        let connections = Arc::new(Connections::new(3));
        let mut tickets = Vec::new();
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            tickets.push(connections.admit().expect("a slot"));
        }
        tickets[0].set_busy();
        tokio::time::sleep(Duration::from_millis(10)).await;
        let fourth = connections.admit().expect("a slot");
        assert!(
            !is_closed(&tickets[0]).await && is_closed(&tickets[1]).await && !is_closed(&tickets[2]).await
        );
        tickets[0].set_idle();
        tickets[2].set_busy();
        fourth.set_busy();
        let fifth = connections.admit().expect("a slot");
        assert!(is_closed(&tickets[0]).await);
        fifth.set_busy();
        assert!(connections.admit().is_none(), "all are being answered");
        drop(tickets);
        assert!(connections.admit().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn connections_idle_for_too_long_are_closed() {
        let connections = Arc::new(Connections::new(10));
        let (silent, busy, asking) = (
            connections.admit().expect("a slot"),
            connections.admit().expect("a slot"),
            connections.admit().expect("a slot"),
        );
        busy.set_busy();
        let late = Arc::clone(&connections);
        let looking = tokio::spawn(async move { late.close_idle().await });
        for _ in 0..8 {
            tokio::time::sleep(IDLE_MAX / 4).await;
            asking.set_busy();
            asking.set_idle();
        }
        assert!(is_closed(&silent).await && !is_closed(&busy).await && !is_closed(&asking).await);
        looking.abort();
    }
}
