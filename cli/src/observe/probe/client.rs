//! One HTTP request over a connection of its own, as a new caller would send it, timed phase by phase: DNS, connect,
//! TLS, first byte. The request names the host; the connection may go elsewhere, so that an edge can be probed before
//! DNS points to it. `ureq`, which fetches geo databases and calls AWS, follows redirects and proxies but times no phases.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{Either, select};
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use ipgeo_contract::error_chain;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self as tls, ClientConfig, RootCertStore};

use crate::infra::cloud::{ProbeError, ProbeTarget};

/// An edge's answer has a few hundred bytes: longer responses are not from our edge and are rejected.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// How long the phases of one request took, ms.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct PhaseTimes {
    /// Looking up the name; `None` if the host is an address.
    pub dns: Option<f64>,
    pub connect: f64,
    /// The TLS handshake; `None` without TLS.
    pub tls: Option<f64>,
    /// From the request to the head of its response.
    pub first_byte: f64,
}

impl PhaseTimes {
    pub fn total(&self) -> f64 {
        self.dns.unwrap_or_default() + self.connect + self.tls.unwrap_or_default() + self.first_byte
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProbeReply {
    pub times: PhaseTimes,
    pub status: u16,
    pub body: String,
}

#[derive(Debug, Clone)]
pub struct ProbeClient {
    tls: Arc<ClientConfig>,
    timeout: Duration,
}

/// A stream with or without TLS.
trait Transport: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Transport for T {}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1_000.0
}

impl ProbeClient {
    /// A client that trusts `roots` and gives up a request after `timeout`.
    pub fn new(roots: RootCertStore, timeout: Duration) -> Result<Self, tls::Error> {
        let provider = Arc::new(tls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        // A new caller has no session to resume.
        config.resumption = tls::client::Resumption::disabled();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { tls: Arc::new(config), timeout })
    }

    /// A client that trusts what this machine trusts.
    pub fn with_native_roots(timeout: Duration) -> Result<Self, tls::Error> {
        let mut roots = RootCertStore::empty();
        let (_added, _unreadable) =
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Self::new(roots, timeout)
    }

    /// Requests a path, with the target's API key if it has one. Any status is a reply.
    pub async fn get(&self, target: &ProbeTarget, path: &str) -> Result<ProbeReply, String> {
        self.ask(target, path).await.map_err(|error| error.to_string())
    }

    /// The same, but distinguishes an edge that can't be reached from one that answers incorrectly.
    pub(super) async fn ask(&self, target: &ProbeTarget, path: &str) -> Result<ProbeReply, ProbeError> {
        tokio::time::timeout(self.timeout, self.send(target, path)).await.unwrap_or_else(|_| {
            Err(ProbeError::Wrong(format!("no answer within {} s", self.timeout.as_secs())))
        })
    }

    async fn send(&self, target: &ProbeTarget, path: &str) -> Result<ProbeReply, ProbeError> {
        let request = request(target, path).map_err(ProbeError::Wrong)?;
        let (stream, times) = self.connect(target).await.map_err(ProbeError::NotReady)?;
        let handshake = handshake(TokioIo::new(stream)).await;
        let (sender, connection) = handshake.map_err(|error| ProbeError::Wrong(explain(&error)))?;
        // The connection moves the bytes while the exchange waits for them; a server that closes ends it first.
        let reply = match select(pin!(exchange(sender, request, times)), pin!(connection)).await {
            Either::Left((reply, _)) => reply,
            Either::Right((_, exchange)) => exchange.await,
        };
        reply.map_err(ProbeError::Wrong)
    }

    async fn connect(&self, target: &ProbeTarget) -> Result<(Box<dyn Transport>, PhaseTimes), String> {
        let mut times = PhaseTimes::default();
        let default_port = if target.tls { 443 } else { 80 };
        let (name, port) = split_port(target.connect.as_deref().unwrap_or(&target.host), default_port);

        let started = Instant::now();
        let addresses: Vec<_> = tokio::net::lookup_host((name.as_str(), port))
            .await
            .map_err(|error| format!("{name} can't be looked up: {error}"))?
            .collect();
        if name.parse::<IpAddr>().is_err() {
            times.dns = Some(ms(started));
        }

        let started = Instant::now();
        let stream = TcpStream::connect(addresses.as_slice())
            .await
            .map_err(|error| format!("{name} can't be connected to: {error}"))?;
        let _small_packets_may_wait = stream.set_nodelay(true);
        times.connect = ms(started);
        if !target.tls {
            return Ok((Box::new(stream), times));
        }

        let (host, _) = split_port(&target.host, default_port);
        let name =
            ServerName::try_from(host.clone()).map_err(|_| format!("{host} is not a valid host name"))?;
        let started = Instant::now();
        let stream = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await;
        let stream = stream.map_err(|error| format!("TLS: {error}"))?;
        times.tls = Some(ms(started));
        Ok((Box::new(stream), times))
    }
}

fn request(target: &ProbeTarget, path: &str) -> Result<Request<Empty<Bytes>>, String> {
    let mut request = Request::get(path)
        .header("host", &target.host)
        .header("user-agent", concat!("ipgeo-probe/", env!("CARGO_PKG_VERSION")))
        .header("accept", "application/json")
        .header("connection", "close");
    if let Some(key) = &target.api_key {
        request = request.header("x-api-key", key.expose());
    }
    request.body(Empty::new()).map_err(|error| format!("cannot request {path} from {}: {error}", target.host))
}

async fn exchange(
    mut sender: SendRequest<Empty<Bytes>>,
    request: Request<Empty<Bytes>>,
    mut times: PhaseTimes,
) -> Result<ProbeReply, String> {
    let started = Instant::now();
    let response = sender.send_request(request).await.map_err(|error| explain(&error))?;
    times.first_byte = ms(started);
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await.map_err(|error| {
        let too_long = error.is::<LengthLimitError>();
        if too_long { "the answer is too long" } else { "the answer was cut off" }.to_owned()
    })?;
    Ok(ProbeReply { times, status, body: String::from_utf8_lossy(&body.to_bytes()).into_owned() })
}

fn explain(error: &hyper::Error) -> String {
    if error.is_incomplete_message() {
        return "the connection was closed without an answer".to_owned();
    }
    if error.is_parse() {
        return "the answer is not HTTP".to_owned();
    }
    error_chain(error, ": ")
}

/// A host and its port: `a.test:8443`, `[::1]:80`, `a.test`.
fn split_port(text: &str, default: u16) -> (String, u16) {
    let port = |text: &str| text.parse::<u16>().ok();
    match text.rsplit_once(':') {
        Some((host, digits)) if (!host.contains(':') || host.ends_with(']')) && port(digits).is_some() => {
            (host.trim_matches(['[', ']']).to_owned(), port(digits).unwrap_or(default))
        }
        _ => (text.trim_matches(['[', ']']).to_owned(), default),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use ipgeo_contract::RegionName;

    use super::*;

    /// The reply to a server that sends these bytes and closes.
    async fn reply_to(bytes: Vec<u8>) -> Result<(u16, String), String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let host = listener.local_addr().expect("an address").to_string();
        let server = async {
            let (mut stream, _) = listener.accept().await.expect("a caller");
            let _request = stream.read(&mut [0; 4_096]).await.expect("a request");
            // A caller that has seen enough closes before everything is written.
            let _all_or_some = stream.write_all(&bytes).await;
            let _closed = stream.shutdown().await;
        };
        let target = ProbeTarget {
            region: RegionName::new("eu-west-1"),
            host,
            connect: None,
            tls: false,
            api_key: None,
        };
        let client = ProbeClient::new(RootCertStore::empty(), Duration::from_secs(10)).expect("TLS");
        let (reply, ()) = tokio::join!(client.get(&target, "/health"), server);
        reply.map(|reply| (reply.status, reply.body))
    }

    #[tokio::test]
    async fn complete_responses_are_read_and_all_others_rejected() {
        let body = r#"{"status":"ok","region":"eu-west-1"}"#;
        let with_length = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let (first, second) = body.split_at(20);
        let chunked = format!(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{first}\r\n{:x};x=1\r\n{second}\r\n0\r\n\r\n",
            first.len(),
            second.len()
        );
        let long = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(BODY_BYTES_MAX + 1));
        let long_length = format!("HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n{}", "x".repeat(99_999));
        let whole = Ok((200, body));
        let table = [
            (with_length.clone(), whole),
            (chunked.clone(), whole),
            (format!("HTTP/1.0 200 OK\r\n\r\n{body}"), whole),
            ("HTTP/1.1 503 Service Unavailable\r\n\r\nbusy".to_owned(), Ok((503, "busy"))),
            ("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}".to_owned(), Err("the answer was cut off")),
            (chunked[..chunked.len() - 8].to_owned(), Err("the answer was cut off")),
            ("HTTP/1.1 200 OK\r\n".to_owned(), Err("the connection was closed without an answer")),
            (String::new(), Err("the connection was closed without an answer")),
            ("SSH-2.0-OpenSSH\r\n\r\n".to_owned(), Err("the answer is not HTTP")),
            (long, Err("the answer is too long")),
            (long_length, Err("the answer is too long")),
            ("x".repeat(BODY_BYTES_MAX * 10), Err("the answer is not HTTP")),
        ];
        for (bytes, expected) in table {
            let shown = bytes[..bytes.len().min(80)].to_owned();
            let reply = reply_to(bytes.into_bytes()).await;
            let reply = reply.as_ref().map(|(status, body)| (*status, body.as_str())).map_err(String::as_str);
            assert_eq!(reply, expected, "{shown}");
        }
    }

    #[test]
    fn hosts_and_ports() {
        let table = [
            ("a.test", ("a.test", 443)),
            ("a.test:8443", ("a.test", 8443)),
            ("127.0.0.1:4171", ("127.0.0.1", 4171)),
            ("[::1]:80", ("::1", 80)),
            ("::1", ("::1", 443)),
            ("a.test:http", ("a.test:http", 443)),
        ];
        for (text, (host, port)) in table {
            assert_eq!(split_port(text, 443), (host.to_owned(), port), "{text}");
        }
    }
}
