//! Callers of an HTTP server on loopback: each sends requests over one connection, one after another.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// The requests of a caller.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// `127.0.0.1:4171`.
    pub(crate) server: String,
    /// The requested paths, in turn.
    pub(crate) paths: Vec<String>,
    /// Its API key.
    pub(crate) api_key: String,
}

/// The answers that callers received.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Answers, by status.
    pub(crate) statuses: BTreeMap<u16, u64>,
    /// Microseconds of each answer that was 200, and of the others, each sorted.
    pub(crate) answered_us: Vec<u32>,
    /// See `answered_us`.
    pub(crate) refused_us: Vec<u32>,
}

/// The pace of requests.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// Each as soon as it has an answer: the maximum throughput.
    Flat,
    /// A fixed total rate, whether the server keeps up or not.
    PerSecond(u32),
}

impl Told {
    /// Answers of a status.
    pub(crate) fn count(&self, status: u16) -> u64 {
        self.statuses.get(&status).copied().unwrap_or(0)
    }

    fn add(&mut self, other: Self) {
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        self.answered_us.extend(other.answered_us);
        self.refused_us.extend(other.refused_us);
    }
}

/// The quantile of sorted times, in thousandths.
pub(crate) fn at_permille(sorted_us: &[u32], permille: usize) -> u32 {
    let at = (sorted_us.len() * permille).div_ceil(1_000).saturating_sub(1);
    sorted_us.get(at).copied().unwrap_or(0)
}

type Connection = SendRequest<Empty<Bytes>>;

async fn connect(server: &str) -> Connection {
    let stream = TcpStream::connect(server).await.expect("the server listens");
    stream.set_nodelay(true).expect("a socket");
    let (sender, connection) = handshake(TokioIo::new(stream)).await.expect("HTTP");
    tokio::spawn(connection);
    sender
}

async fn ask(connection: &mut Connection, caller: &Caller, path: &str) -> u16 {
    let request = Request::get(path)
        .header("host", &caller.server)
        .header("x-api-key", &caller.api_key)
        .body(Empty::new())
        .expect("a request");
    let mut answer = connection.send_request(request).await.expect("an answer");
    while let Some(frame) = answer.body_mut().frame().await {
        frame.expect("a body");
    }
    answer.status().as_u16()
}

/// Sends requests until `end`; with a pace, from `first` on in intervals of `every`.
async fn call(caller: &Caller, first: Instant, every: Option<Duration>, end: Instant) -> Told {
    let (mut told, mut due) = (Told::default(), first);
    let mut connection = connect(&caller.server).await;
    for path in caller.paths.iter().cycle() {
        let mut begun = Instant::now();
        if let Some(every) = every {
            if due > begun {
                tokio::time::sleep_until(due.into()).await;
                begun = Instant::now();
            } else {
                // A late answer delays later requests too; that delay counts.
                begun = due;
            }
            due += every;
        }
        if begun >= end {
            break;
        }
        let status = ask(&mut connection, caller, path).await;
        let micros = u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX);
        *told.statuses.entry(status).or_default() += 1;
        if status == 200 { &mut told.answered_us } else { &mut told.refused_us }.push(micros);
    }
    told
}

/// Runs all callers for a time, and waits for their last answers.
pub(crate) async fn all_call(callers: &[Caller], pace: Pace, during: Duration) -> Told {
    let (begun, count) = (Instant::now(), u32::try_from(callers.len()).expect("few"));
    let every = match pace {
        Pace::Flat => None,
        Pace::PerSecond(rate) => Some(Duration::from_secs(1) * count / rate),
    };
    let calls = callers.iter().zip(0..).map(|(caller, index)| {
        // Spread over an interval, so that they do not all start at once.
        let first = begun + every.unwrap_or_default() * index / count;
        Box::pin(call(caller, first, every, begun + during)) as Pin<Box<dyn Future<Output = Told>>>
    });
    let mut all = Told::default();
    for told in join_all(calls).await {
        all.add(told);
    }
    all.answered_us.sort_unstable();
    all.refused_us.sort_unstable();
    all
}
