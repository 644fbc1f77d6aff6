//! Serves the ports: one for each region, and one that routes to the region nearest to the caller.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use ipgeo_contract::RegionName;
use ipgeo_geo::Database;
use ipgeo_runtime::lookup::Lookup;
use ipgeo_runtime::tables;
use ipgeo_runtime::wire::Client;
use jiff::Timestamp;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::connections::{Connections, Ticket, connections_max};
use super::early::EarlyReports;
use super::front::{self, CallerRule};
use super::nearest::{Point, nearest};
use super::pipe::{LogGate, RegionLog};
use super::throttle::Throttle;

/// How long shutdown waits for open connections.
const PATIENCE: Duration = Duration::from_secs(2);
/// Timeout for the body once the head has arrived; the same as API Gateway's integration timeout.
const REQUEST_MAX: Duration = Duration::from_secs(30);
/// Delay after a failed accept.
const RETRY_AFTER: Duration = Duration::from_millis(50);

/// Edges use the Lambda function's own client, as on AWS.
pub(crate) type EdgeTable = tables::AccessTable<Client>;

/// A region's API and function.
pub(crate) struct Edge {
    pub(crate) lookup: Lookup<EdgeTable, Arc<Database>, RegionLog>,
    pub(crate) name: RegionName,
    pub(crate) point: Point,
    /// `None`: no limit.
    pub(crate) throttle: Option<Throttle>,
    /// Whether its log can be written.
    pub(crate) log: LogGate,
    pub(crate) reports: EarlyReports,
}

impl Edge {
    async fn answer(&self, request: Request, caller: IpAddr) -> Response<Body> {
        // Read the body before taking a concurrency slot: a slow body must not hold one.
        let event = match tokio::time::timeout(REQUEST_MAX, front::event(request, caller)).await {
            Ok(Ok(event)) => event,
            Ok(Err(refused)) => return refused.response(),
            Err(_) => return too_slow(),
        };
        if !self.log.is_open() {
            return front::not_counted();
        }
        let passage = self.throttle.as_ref().map(|throttle| throttle.pass()).transpose();
        let _passage = match passage {
            Ok(passage) => passage,
            Err(refused) => return refused.response(),
        };
        let answer = self.lookup.handle(&event, Timestamp::now()).await;
        if let Some(report) = self.lookup.early_report(Timestamp::now()) {
            // At shutdown nothing receives any more; the ledger counts the calls.
            let _sent_or_ending = self.reports.send(report);
        }
        // This call's own line may be the first that can't be written. It stays pending and is counted later.
        if self.log.is_open() { front::response(answer, &self.name) } else { front::not_counted() }
    }
}

/// The response when a body does not arrive in time.
fn too_slow() -> Response<Body> {
    let mut response = Response::new(Body::from(r#"{"message":"Request Timeout"}"#));
    *response.status_mut() = StatusCode::REQUEST_TIMEOUT;
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
    response.headers_mut().insert("connection", HeaderValue::from_static("close"));
    response
}

/// Resolves when `stop` turns true or its sender is dropped.
pub(crate) async fn stopped(mut stop: watch::Receiver<bool>) {
    let _stopped_or_dropped = stop.wait_for(|stop| *stop).await;
}

/// Serves the nearest-region port, which comes first, and every region's, each on a task of its own.
pub(crate) fn serve(
    edges: Vec<Edge>,
    listeners: Vec<TcpListener>,
    database: &Arc<Database>,
    rule: CallerRule,
    stop: &watch::Sender<bool>,
) -> Vec<JoinHandle<()>> {
    let edges: Arc<[Edge]> = edges.into();
    let connections = Arc::new(Connections::new(connections_max()));
    let mut fronts = Vec::with_capacity(listeners.len() + 1);
    for (index, listener) in listeners.into_iter().enumerate() {
        let (edges, database) = (Arc::clone(&edges), Arc::clone(database));
        let handler = move |peer: SocketAddr, request: Request| {
            let caller = rule.address(peer, request.headers());
            let region = index.checked_sub(1).unwrap_or_else(|| nearest_region(&database, caller, &edges));
            let edges = Arc::clone(&edges);
            async move { edges[region].answer(request, caller).await }
        };
        fronts.push(tokio::spawn(serve_port(listener, Arc::clone(&connections), stop.subscribe(), handler)));
    }
    let stopped = stopped(stop.subscribe());
    fronts.push(tokio::spawn(async move {
        tokio::select! {
            () = connections.close_idle() => {}
            () = stopped => {}
        }
    }));
    fronts
}

/// Serves a port until `stop` turns true, then answers the requests in flight until the timeout. When this returns, no
/// connection is open and the handler is not in use.
async fn serve_port<H, F>(
    listener: TcpListener,
    connections: Arc<Connections>,
    stop: watch::Receiver<bool>,
    handler: H,
) where
    H: Fn(SocketAddr, Request) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    let mut stopped = pin!(stopped(stop.clone()));
    loop {
        tokio::select! {
            () = &mut stopped => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    // Without a free slot the connection is closed at once.
                    if let Some(ticket) = connections.admit() {
                        let handler = handler.clone();
                        let answer = move |request| handler(peer, request);
                        tasks.spawn(serve_connection(stream, ticket, stop.clone(), answer));
                    }
                }
                Err(_) => {
                    // Usually the open-file limit is reached.
                    connections.close_longest_idle();
                    tokio::time::sleep(RETRY_AFTER).await;
                }
            },
            Some(_) = tasks.join_next() => {}
        }
    }
    drop(listener);
    let all_answered = async { while tasks.join_next().await.is_some() {} };
    // A client that keeps its connection open must not delay shutdown.
    let _answered_or_late = tokio::time::timeout(PATIENCE, all_answered).await;
    tasks.shutdown().await;
}

async fn serve_connection<H, F>(stream: TcpStream, ticket: Ticket, stop: watch::Receiver<bool>, answer: H)
where
    H: Fn(Request) -> F,
    F: Future<Output = Response<Body>>,
{
    let ticket = &ticket;
    let service = service_fn(|request: hyper::Request<Incoming>| {
        ticket.set_busy();
        let answered = answer(request.map(Body::new));
        async move {
            let answered = answered.await;
            ticket.set_idle();
            Ok::<_, Infallible>(answered)
        }
    });
    let mut connection = pin!(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        // An error means that the client closed the connection.
        _ended = connection.as_mut() => return,
        () = ticket.closed() => return,
        () = stopped(stop) => connection.as_mut().graceful_shutdown(),
    }
    let _ended = connection.await;
}

fn nearest_region(database: &Database, caller: IpAddr, edges: &[Edge]) -> usize {
    let mut members = String::from("{");
    let Some(location) = database.lookup(caller) else { return 0 };
    location.write_static(&mut members);
    members.push('}');
    let read: Option<Located> = serde_json::from_str(&members).ok();
    let at = read.and_then(|read| Some(Point { latitude: read.latitude?, longitude: read.longitude? }));
    at.map_or(0, |at| nearest(at, edges.iter().map(|edge| edge.point)))
}

#[derive(serde::Deserialize)]
struct Located {
    latitude: Option<f64>,
    longitude: Option<f64>,
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    struct Port {
        address: SocketAddr,
        stop: watch::Sender<bool>,
        served: JoinHandle<()>,
        looking: JoinHandle<()>,
    }

    /// A port that echoes request bodies.
    async fn port(most: usize) -> Port {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let connections = Arc::new(Connections::new(most));
        let (stop, stopped) = watch::channel(false);
        let echo = |_: SocketAddr, request: Request| async {
            let read = axum::body::to_bytes(request.into_body(), 1_000);
            match tokio::time::timeout(REQUEST_MAX, read).await {
                Ok(body) => Response::new(Body::from(body.expect("a body"))),
                Err(_) => too_slow(),
            }
        };
        let served = tokio::spawn(serve_port(listener, Arc::clone(&connections), stopped, echo));
        let looking = tokio::spawn(async move { connections.close_idle().await });
        Port { address, stop, served, looking }
    }

    async fn sent(port: &Port, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(port.address).await.expect("it listens");
        stream.write_all(text.as_bytes()).await.expect("sent");
        stream
    }

    /// Reads until the other side closes.
    async fn read(stream: &mut TcpStream) -> String {
        let mut bytes = Vec::new();
        // A reset is an end too.
        let _ended = stream.read_to_end(&mut bytes).await;
        String::from_utf8(bytes).expect("UTF-8")
    }

    /// Incomplete requests that keep a connection open.
    const HALF: [(&str, &str); 5] = [
        ("nothing", ""),
        ("half a head", "GET / HTTP/1.1\r\nhost: a"),
        ("half a body", "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nabc"),
        ("half a chunk", "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n9\r\nabc"),
        ("half a preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM"),
    ];

    #[tokio::test(start_paused = true)]
    async fn an_incomplete_request_is_closed_after_the_timeout() {
        let port = port(100).await;
        for (what, text) in HALF {
            let mut stream = sent(&port, text).await;
            let told = tokio::time::timeout(REQUEST_MAX * 2, read(&mut stream)).await;
            let told = told.unwrap_or_else(|_| panic!("{what} is still open"));
            assert_eq!(
                told.contains(" 408 "),
                what.contains("body") || what.contains("chunk"),
                "{what}: {told}"
            );
        }
        port.looking.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn shutdown_does_not_wait_for_incomplete_requests() {
        let port = port(100).await;
        let mut open = Vec::new();
        for (_, text) in HALF {
            open.push(sent(&port, text).await);
        }
        let mut whole = sent(&port, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nok").await;
        let mut answer = [0; 12];
        whole.read_exact(&mut answer).await.expect("an answer");
        port.stop.send_replace(true);
        tokio::time::timeout(PATIENCE * 3, port.served).await.expect("it ends").expect("it ends well");
        port.looking.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn idle_connections_make_room_for_new_ones() {
        let port = port(8).await;
        let mut open = Vec::new();
        for _ in 0..40 {
            open.push(sent(&port, "").await);
        }
        let mut asking =
            sent(&port, "POST / HTTP/1.1\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok").await;
        let told = read(&mut asking).await;
        assert!(told.starts_with("HTTP/1.1 200") && told.ends_with("ok"), "{told}");
        port.looking.abort();
    }
}
