//! Minimal stubs of Lambda's Runtime API and of the DynamoDB API, so that the bench measures the program and not these.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

/// An answer of the function, and its time.
#[derive(Clone)]
pub(crate) struct Answered {
    pub(crate) at: Instant,
    /// When the function asked for the event.
    pub(crate) polled: Instant,
    /// From the first byte of the event to the last of the answer.
    pub(crate) round_trip: Duration,
    pub(crate) body: String,
}

struct Request {
    first_line: String,
    head: String,
    body: String,
}

/// Reads a request; `None` if the connection has ended.
fn read_request(stream: &mut impl BufRead) -> Option<Request> {
    let mut head = String::new();
    let mut first_line = String::new();
    stream.read_line(&mut first_line).ok().filter(|count| *count > 0)?;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok().filter(|count| *count > 0)?;
        if line == "\r\n" {
            break;
        }
        head.push_str(&line.to_lowercase());
    }
    let length = |name: &str| Some(head.split_once(name)?.1.lines().next()?.trim().to_owned());
    let mut body = Vec::new();
    if head.contains("transfer-encoding: chunked") {
        loop {
            let mut size = String::new();
            stream.read_line(&mut size).ok()?;
            let size = usize::from_str_radix(size.trim(), 16).ok()?;
            let mut chunk = vec![0; size + 2];
            stream.read_exact(&mut chunk).ok()?;
            body.extend_from_slice(&chunk[..size]);
            if size == 0 {
                break;
            }
        }
    } else if let Some(length) = length("content-length:") {
        body = vec![0; length.parse().ok()?];
        stream.read_exact(&mut body).ok()?;
    }
    Some(Request { first_line, head, body: String::from_utf8_lossy(&body).into_owned() })
}

fn write_answer(stream: &mut impl Write, status: &str, headers: &str, body: &str) -> std::io::Result<()> {
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    );
    stream.write_all(answer.as_bytes())?;
    stream.flush()
}

/// The Runtime API of one function, until it is dropped.
pub(crate) struct RuntimeApi {
    shared: Arc<Shared>,
    pub(crate) address: String,
}

#[derive(Default)]
struct State {
    event: Option<String>,
    closed: bool,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    answers: Mutex<Sender<Answered>>,
    /// When the function asked for the latest event, and when it was sent.
    sent: Mutex<Option<(Instant, Instant)>>,
}

impl RuntimeApi {
    pub(crate) fn serve(answers: Sender<Answered>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
            answers: Mutex::new(answers),
            sent: Mutex::default(),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if accepting.state.lock().expect("unpoisoned").closed {
                    break;
                }
                let shared = Arc::clone(&accepting);
                let stream = stream.expect("a caller");
                std::thread::spawn(move || shared.converse(&stream));
            }
        });
        Self { shared, address }
    }

    /// Sends an event to the function, as soon as it polls.
    pub(crate) fn send(&self, event: &str) {
        self.shared.state.lock().expect("unpoisoned").event = Some(event.to_owned());
        self.shared.changed.notify_all();
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.shared.state.lock().expect("unpoisoned").closed = true;
        self.shared.changed.notify_all();
        let _ = TcpStream::connect(&self.address);
    }
}

impl Shared {
    /// The next event; `None` after the last one.
    fn next(&self) -> Option<String> {
        let state = self.state.lock().expect("unpoisoned");
        let waiting = |state: &mut State| state.event.is_none() && !state.closed;
        let mut state = self.changed.wait_while(state, waiting).expect("unpoisoned");
        state.event.take().filter(|_| !state.closed)
    }

    fn converse(&self, stream: &TcpStream) {
        stream.set_nodelay(true).expect("a socket");
        let (mut reader, mut writer) = (BufReader::new(stream), stream);
        while let Some(request) = read_request(&mut reader) {
            let at = Instant::now();
            let written = if request.first_line.starts_with("GET") {
                let Some(event) = self.next() else { break };
                *self.sent.lock().expect("unpoisoned") = Some((at, Instant::now()));
                write_answer(&mut writer, "200 OK", &event_headers(), &event)
            } else {
                let refused = request.first_line.contains("/error");
                assert!(!refused, "the function failed: {}", request.body);
                let sent = self.sent.lock().expect("unpoisoned").take();
                let (polled, sent) = sent.unwrap_or((at, at));
                let answered =
                    Answered { at, polled, round_trip: at.duration_since(sent), body: request.body };
                let _ = self.answers.lock().expect("unpoisoned").send(answered);
                write_answer(&mut writer, "202 Accepted", "", "{\"status\":\"OK\"}")
            };
            if written.is_err() {
                break;
            }
        }
        let _ = stream.shutdown(Shutdown::Both);
    }
}

fn event_headers() -> String {
    let deadline_ms = jiff::Timestamp::now().as_millisecond() + 60_000;
    format!(
        "Lambda-Runtime-Aws-Request-Id: 8476a536-e9f4-11e8-9739-2dfe598c3fcd\r\n\
         Lambda-Runtime-Deadline-Ms: {deadline_ms}\r\n\
         Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:eu-central-1:000000000000:function:bench\r\n\
         Lambda-Runtime-Trace-Id: Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0\r\n"
    )
}

/// A Lambda API that accepts every invocation, and how many it has accepted.
pub(crate) fn serve_home() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, count) = (BufReader::new(stream.expect("a caller")), Arc::clone(&count));
            std::thread::spawn(move || {
                while read_request(&mut stream).is_some() {
                    count.fetch_add(1, Ordering::Relaxed);
                    if write_answer(stream.get_mut(), "202 Accepted", "", "").is_err() {
                        break;
                    }
                }
            });
        }
    });
    (format!("http://{address}"), accepted)
}

/// A DynamoDB API with one item, which every read of an API key returns; over TLS if a configuration is given.
pub(crate) fn serve_store(item: &str, tls: Option<Arc<ServerConfig>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let scheme = if tls.is_some() { "https" } else { "http" };
    let item: Arc<str> = item.into();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, item, tls) = (stream.expect("a caller"), Arc::clone(&item), tls.clone());
            std::thread::spawn(move || {
                stream.set_nodelay(true).expect("a socket");
                match tls {
                    None => answer_reads(BufReader::new(stream), &item),
                    Some(tls) => {
                        let connection = ServerConnection::new(tls).expect("a configuration");
                        answer_reads(BufReader::new(StreamOwned::new(connection, stream)), &item);
                    }
                }
            });
        }
    });
    format!("{scheme}://127.0.0.1:{port}")
}

fn answer_reads<S: Read + Write>(mut stream: BufReader<S>, item: &str) {
    while let Some(request) = read_request(&mut stream) {
        let target = request.head.split_once("x-amz-target: dynamodb_20120810.").map_or("", |(_, rest)| rest);
        let body = if target.starts_with("getitem") && request.body.contains("key#") {
            format!("{{\"Item\":{item}}}")
        } else if target.starts_with("batchgetitem") {
            "{\"Responses\":{},\"UnprocessedKeys\":{}}".to_owned()
        } else {
            "{}".to_owned()
        };
        if write_answer(stream.get_mut(), "200 OK", "", &body).is_err() {
            break;
        }
    }
}
